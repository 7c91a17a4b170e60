//! What people call the workload of a pod: what controls it, at the end of the chain.

use std::collections::HashMap;
use std::sync::Arc;

use crate::record::{OwnerRef, PodRecord};

/// Longest chain of controllers that is followed: a job of a cron job of something else.
const DEPTH: usize = 4;

/// A controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Its kind, such as `Deployment`; empty when the pod has no controller.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub(crate) uid: Arc<str>,
}

impl Workload {
    /// True for a pod that nothing controls.
    pub fn is_none(&self) -> bool {
        self.kind.is_empty()
    }
}

impl From<&OwnerRef> for Workload {
    fn from(owner: &OwnerRef) -> Self {
        Self {
            kind: owner.kind.as_str().into(),
            name: owner.name.as_str().into(),
            uid: owner.uid.as_str().into(),
        }
    }
}

/// The controller of the pod that is named in its record. A deployment names its replica sets after
/// itself and the label `pod-template-hash`, which tells who it is even when replica sets are not
/// known.
pub(crate) fn direct(pod: &PodRecord) -> Workload {
    let Some(owner) = &pod.owner else { return Workload::default() };
    let mut direct = Workload::from(owner);
    let hash = pod.labels.iter().find(|(k, _)| k == "pod-template-hash").map(|(_, v)| v.as_str());
    if owner.kind == "ReplicaSet"
        && let Some(name) = hash.and_then(|h| owner.name.strip_suffix(h)?.strip_suffix('-'))
        && !name.is_empty()
    {
        direct.kind = "Deployment".into();
        direct.name = name.into();
    }
    direct
}

/// The end of the chain that begins with `direct`; `owners` has who controls the objects of a uid.
pub(crate) fn follow(direct: &Workload, owners: &HashMap<Arc<str>, Option<Workload>>) -> Workload {
    let mut at = direct;
    for _ in 0..DEPTH {
        match owners.get(&at.uid) {
            Some(Some(next)) => at = next,
            _ => break,
        }
    }
    at.clone()
}
