//! The packets of a node, kept on disk for a while: a bounded ring of pcapng segments.
//!
//! ```text
//! capturing threads                     one writer                 any number of readers
//! Feed (a buffer of blocks) --\
//! Feed -----------------------> queue -> live segment + index      Export: heads -> secrets -> packets,
//! secrets ---------------------/          sealed segments -------> merged by time, as one section
//! ```
//!
//! A capturing thread writes each packet once, as the block that it will be on disk, into a buffer of
//! its own; a full buffer goes to the writer as it is. When the writer does not keep up (a slow or full
//! disk) whole buffers are dropped and counted: nothing waits for the disk. A segment is a pcapng file
//! that Wireshark opens as it lies there; beside it stands an index that can be made anew from it.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use remora_ring::{Direction, ExportOptions, Packet, Ring, RingConfig};
//! let ring = Ring::open(&RingConfig::new("/var/lib/remora/packets".into()))?;
//! let interface = ring.interface("node-1", "");
//! let mut feed = ring.feed();
//! feed.packet(&Packet { ts: 1, interface, direction: Direction::Unknown, wire_len: 4, data: b"\x45abc" });
//! feed.flush();
//! for chunk in ring.export(ExportOptions::default()) {
//!     std::io::Write::write_all(&mut std::io::stdout(), &chunk)?;
//! }
//! # Ok(()) }
//! ```
//!
//! The format and the limits are described in docs/packet-ring.md.

mod config;
mod export;
mod feed;
mod flow;
mod index;
mod inspect;
mod keylog;
mod pcapng;
mod queue;
mod read_at;
mod recover;
mod retention;
mod ring;
mod segment;
mod shelf;
mod stats;
mod writer;

pub use config::RingConfig;
pub use export::{
    Comment, Export, ExportOptions, ExportReport, FlowSelection, Flows, PacketInfo, Payload, Window,
};
pub use feed::{Feed, Packet};
pub use flow::FlowKey;
pub use inspect::{Inspection, inspect};
pub use keylog::{KeyLogError, Secret};
pub use pcapng::{Direction, LINKTYPE_RAW, MAX_PACKET};
pub use ring::{InterfaceId, Ring, RingError};
pub use stats::{Count, RingStats, Shed};
