//! What the index keeps and hands out of a pod or a service.

use std::sync::Arc;

use crate::workload::Workload;

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodInfo {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its node.
    pub node: Option<Arc<str>>,
    /// It uses the addresses of its node.
    pub host_network: bool,
    /// Its labels, as [`encode`](crate::encode) writes them.
    pub labels: Option<Arc<str>>,
    /// Its chosen annotations, in the same way.
    pub annotations: Option<Arc<str>>,
    /// Its controller, and who controls that.
    pub workload: Workload,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceInfo {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}
