//! Packets at interfaces: the tc classifier hook (clsact or tcx).

use aya_ebpf::programs::SkBuffContext;
use aya_ebpf::{EbpfContext as _, bindings::__sk_buff, macros::classifier, programs::TcContext};

use crate::packet::{At, handle};

/// TC_ACT_UNSPEC, which is also TCX_NEXT (include/uapi/linux/pkt_cls.h, bpf.h): whatever follows decides.
const PASS: i32 = -1;
/// Ethernet header (include/uapi/linux/if_ether.h).
const ETH_HLEN: u32 = 14;

/// Into an Ethernet interface.
#[classifier]
pub fn remora_link_in(ctx: TcContext) -> i32 {
    handle(&skb(&ctx), At::InterfaceIngress, ETH_HLEN);
    PASS
}

/// Out of an Ethernet interface.
#[classifier]
pub fn remora_link_out(ctx: TcContext) -> i32 {
    handle(&skb(&ctx), At::InterfaceEgress, ETH_HLEN);
    PASS
}

/// Into an interface without a link header (tunnels, PPP).
#[classifier]
pub fn remora_bare_in(ctx: TcContext) -> i32 {
    handle(&skb(&ctx), At::InterfaceIngress, 0);
    PASS
}

/// Out of an interface without a link header.
#[classifier]
pub fn remora_bare_out(ctx: TcContext) -> i32 {
    handle(&skb(&ctx), At::InterfaceEgress, 0);
    PASS
}

#[inline(always)]
fn skb(ctx: &TcContext) -> SkBuffContext {
    SkBuffContext::new(ctx.as_ptr().cast::<__sk_buff>())
}
