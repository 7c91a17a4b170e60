//! The flow table: one entry for both directions.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::generated::bpf_get_prandom_u32};
use remora_abi::{FlowKey, FlowSide, FlowValue, Opener, side_flags, tcp_flags};

use crate::{
    maps::{FLOWS, RING_COUNT},
    parse::{Headers, protocol},
};

/// The key of a packet's flow, and which side sent it.
#[inline(always)]
pub fn key(h: &Headers, netns: u32) -> (FlowKey, usize) {
    FlowKey::between((&h.src, h.src_port), (&h.dst, h.dst_port), h.protocol, netns)
}

/// Adds a flow; `template` is memory to build it in.
#[inline(always)]
pub fn create(key: &FlowKey, template: &mut FlowValue, now: u64, fragment: bool) -> Option<*mut FlowValue> {
    reset(template, now);
    template.side[0] = FlowSide::default();
    template.side[1] = FlowSide::default();
    // Fragments go to ring 0, where user space puts them together.
    template.ring = if fragment { 0 } else { key.share(RING_COUNT.load()) };
    // When another CPU was quicker, its entry is the one.
    let _ = FLOWS.insert(key, &*template, u64::from(BPF_NOEXIST));
    FLOWS.get_ptr_mut(key)
}

/// Forgets what belongs to an earlier connection with the same endpoints.
#[inline(always)]
pub fn reset(flow: &mut FlowValue, now: u64) {
    flow.first_ns = now;
    flow.syn_ns = 0;
    flow.synack_ns = 0;
    flow.ack_ns = 0;
    // SAFETY: a helper without arguments.
    flow.id = unsafe { bpf_get_prandom_u32() } | 1;
    flow.policy_generation = 0;
    flow.verdict = 0;
    flow.opener = Opener::UNKNOWN;
}

/// True when a SYN opens a new connection on the endpoints of an old one.
#[inline(always)]
pub fn is_reopened(flow: &FlowValue, from: &FlowSide, h: &Headers) -> bool {
    h.protocol == protocol::TCP
        && h.tcp_flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN
        && from.packets != 0
        && (flow.syn_ns == 0 || from.next_seq.wrapping_sub(h.seq) > SYN_DISTANCE)
}

/// A repeated SYN leaves `next_seq` this far ahead of its sequence number at most: itself and
/// data sent with it (TCP Fast Open).
const SYN_DISTANCE: u32 = 4_096;

/// Counts a packet on its side. `side` is that of the sender, `index` its number.
#[inline(always)]
pub fn account(flow: &mut FlowValue, side: *mut FlowSide, index: u8, h: &Headers, now: u64) {
    // SAFETY: `side` points into `flow`, which is a live map value.
    let side = unsafe { &mut *side };
    side.packets += 1;
    side.bytes += u64::from(h.total);
    side.last_ns = now;
    if h.protocol != protocol::TCP || h.no_l4 {
        if flow.opener == Opener::UNKNOWN {
            flow.opener = index + 1;
        }
        return;
    }
    side.tcp_flags |= h.tcp_flags;
    let syn = h.tcp_flags & tcp_flags::SYN != 0;
    let ack = h.tcp_flags & tcp_flags::ACK != 0;
    let payload = h.total - h.payload;
    let mut end = h.seq.wrapping_add(payload);
    if syn {
        end = end.wrapping_add(1);
        side.next_seq = end;
        side.flags |= side_flags::SEQ;
        if ack {
            flow.synack_ns = now;
            if flow.opener == Opener::UNKNOWN {
                flow.opener = 2 - index;
            }
        } else if flow.syn_ns == 0 {
            flow.syn_ns = now;
            flow.opener = index + 1;
        }
    } else if payload != 0 {
        if side.flags & side_flags::SEQ == 0 {
            side.flags |= side_flags::SEQ;
            side.next_seq = end;
        } else if (end.wrapping_sub(side.next_seq) as i32) <= 0 {
            side.retransmits += 1;
        } else {
            side.next_seq = end;
        }
    }
    if ack && !syn && flow.ack_ns == 0 && flow.synack_ns != 0 && flow.opener == index + 1 {
        flow.ack_ns = now;
    }
}
