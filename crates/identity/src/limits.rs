//! Bounds of the index, and what it assumes about clocks.

use std::time::Duration;

/// Settings of an [`Index`](crate::Index).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Pods held, those that are gone included. When there are more, the one that went first is
    /// forgotten; when none has gone, new ones are refused.
    pub pods: usize,
    /// Services held.
    pub services: usize,
    /// Endpoints of all slices together.
    pub endpoints: usize,
    /// Nodes held.
    pub nodes: usize,
    /// Owners (replica sets, jobs) held.
    pub owners: usize,
    /// Containers of a pod, those of earlier restarts included.
    pub containers_per_pod: usize,
    /// Holdings of one address or port.
    pub holdings: usize,
    /// Bytes of the labels of a pod, and of its chosen annotations, as [`encode`](crate::encode)
    /// writes them.
    pub set_bytes: usize,
    /// How long what is gone is remembered.
    pub retention: Duration,
    /// How far the clocks of nodes, of the API server and of this host may lie apart.
    pub skew: Duration,
    /// How late an event of a watch that is connected may be, from what happened on the node: the
    /// kubelet takes a second or two to report it.
    pub lag: Duration,
    /// How long a pod that was deleted by force may go on using its address.
    pub linger: Duration,
    /// How long a pod that has no address yet makes the addresses of its node doubtful.
    pub starting: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pods: 100_000,
            services: 50_000,
            endpoints: 500_000,
            nodes: 20_000,
            owners: 100_000,
            containers_per_pod: 32,
            holdings: 16,
            set_bytes: 4_096,
            retention: Duration::from_secs(3_600),
            skew: Duration::from_millis(200),
            lag: Duration::from_secs(4),
            linger: Duration::from_secs(30),
            starting: Duration::from_secs(30),
        }
    }
}
