//! What the programs in the kernel and the agent say to each other: the records in the rings and
//! the keys and values of the maps.
//!
//! Everything is `repr(C)` in the machine's byte order, with its padding spelled out, so that the
//! two compilers that see it (the BPF target and the host) agree; the sizes are asserted here.
//! Fields that come from packets (addresses, ports) stay in network byte order where that is said.

#![no_std]

mod counter;
mod flow;
mod owner;
mod packet;
#[cfg(feature = "user")]
mod pod;
mod policy;
mod tls;

pub use counter::{Counter, Reason};
pub use flow::{FlowKey, FlowSide, FlowValue, Hook, Opener, Shunt, side_flags, tcp_flags};
pub use owner::{COMM_LEN, Process, SocketOwner};
pub use packet::{MAX_CAPTURE, PacketHeader, direction, packet_flags};
pub use policy::{CidrKey4, CidrKey6, Match, RingState, Settings, settings_flags};
pub use tls::{
    TLS_CALL, TLS_CHUNK, TlsConn, TlsConnKey, TlsCounter, TlsHeader, TlsReason, TlsSecret, TlsTrace,
    tls_event, tls_flags, tls_method,
};
