//! Endpoints of the tests.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// A port of loopback that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

pub(crate) fn loopback4(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn loopback6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}
