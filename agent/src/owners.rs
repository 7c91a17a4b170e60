//! Whose connection is it: process, cgroup, container.
//!
//! The kernel tells the process and cgroup of the local socket with each packet, where it knows
//! them. A shard notes them for each side of a flow ([`FlowOwners`]) and turns them into names once
//! for each process ([`Processes`]). Where the kernel does not know, the sockets in `/proc` are
//! asked, a few times for each flow.

mod cgroup;
mod flows;
mod process;

pub use cgroup::{Cgroups, cgroup_root};
pub use flows::{FlowOwners, SideOwner};
pub use process::{Process, Processes};
