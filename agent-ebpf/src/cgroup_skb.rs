//! Packets at the sockets: `cgroup_skb`, whose packets begin with the IP header.

use aya_ebpf::{macros::cgroup_skb, programs::SkBuffContext};

use crate::packet::{At, handle};

/// Verdict of a cgroup program: the packet passes.
const PASS: i32 = 1;

/// Packets on their way up to a socket.
#[cgroup_skb(ingress)]
pub fn remora_socket_in(ctx: SkBuffContext) -> i32 {
    handle(&ctx, At::SocketIngress, 0);
    PASS
}

/// Packets that left a socket.
#[cgroup_skb(egress)]
pub fn remora_socket_out(ctx: SkBuffContext) -> i32 {
    handle(&ctx, At::SocketEgress, 0);
    PASS
}
