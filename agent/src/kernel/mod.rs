//! The kernel's side of the node: packets with their owners, from hooks to records in user space.
//!
//! [`Capture::start`] probes what the host allows, takes the best [`Tier`], attaches and returns.
//! Each ring is then read by one thread:
//!
//! ```no_run
//! use std::time::Duration;
//! use remora_agent::kernel::{Capture, Config};
//!
//! # fn main() -> Result<(), remora_agent::kernel::KernelError> {
//! let mut capture = Capture::start(Config::default())?;
//! let control = capture.control();
//! for mut reader in capture.take_readers() {
//!     std::thread::spawn(move || loop {
//!         while reader.drain(1024, |packet| drop(packet.data.len())) > 0 {}
//!         if reader.wait(Duration::from_millis(5)).is_err() {
//!             break;
//!         }
//!     });
//! }
//! println!("{:?}", control.counters()?);
//! # Ok(()) }
//! ```
//!
//! All packets of a flow, both directions, come through one ring in order; IP fragments of whatever
//! flow come through ring 0. Dropping [`Capture`] detaches everything; readers then find nothing
//! more.

mod btf;
mod cgroup;
mod clock;
mod config;
mod control;
mod counters;
mod error;
mod flows;
mod headers;
mod load;
mod owner;
mod packet_ring;
mod packet_socket;
mod policy;
mod reader;
mod seed;
mod start;
mod sys;
mod tier;
mod tls;
mod uprobe;
mod uprobe_multi;

pub use config::{Cidr, CidrError, Config, Policy, TlsConfig};
pub use control::{Control, ShuntUntil};
pub use counters::Counters;
pub use error::KernelError;
pub use flows::{FlowEntry, FlowSideEntry, FlowTable};
pub use owner::{Owner, OwnerSource, Owners};
pub use reader::{Direction, PacketRecord, RingReader, Stopper, Wake, Waker};
pub use remora_abi::{Reason, TlsReason, packet_flags, tcp_flags};
pub use start::Capture;
pub use tier::{Tier, TierError, TierReport};
pub use tls::{TlsControl, TlsCounters, TlsProbes, TlsReader};
pub use uprobe::{ProbeError, Probes, Program as ProbeProgram, Way as ProbeWay};
