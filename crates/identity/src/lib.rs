//! Who had an address, a container or a port at an instant: pods, services and nodes by time.
//!
//! The index is fed with plain records by whoever watches the cluster, and with observations of
//! agents, which see containers use addresses. It has no I/O and asks no clock: every instant is an
//! argument.
//!
//! Addresses are reused, and nobody tells when exactly one was taken or let go. So every holding has
//! four bounds: the instants after which and by which it began, and those after which and by which it
//! ended. Where the bounds leave two pods possible, the answer is "ambiguous", never one of them.

mod cgroup;
mod counters;
mod hold;
mod index;
mod info;
mod limits;
mod pods;
mod record;
mod resolve;
mod services;
mod set;
mod workload;

pub use cgroup::{container_id, pod_uid};
pub use counters::Counters;
pub use index::{Index, Kind};
pub use info::{PodInfo, ServiceInfo};
pub use limits::Limits;
pub use record::{
    ContainerRecord, EndpointRecord, NodeRecord, OwnerRecord, OwnerRef, PodRecord, ServiceRecord, SliceRecord,
};
pub use resolve::{Answer, Found, How, Missing, Outcome, Side};
pub use set::encode;
pub use workload::Workload;
