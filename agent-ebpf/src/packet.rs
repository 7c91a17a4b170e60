//! The path of every packet: parse, account, decide, copy.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{
        bpf_get_netns_cookie, bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_ringbuf_output,
        bpf_ringbuf_query, bpf_skb_load_bytes,
    },
    programs::SkBuffContext,
};
use aya_log_ebpf::debug;
use remora_abi::{
    FlowValue, Hook, MAX_CAPTURE, PacketHeader, Reason, Settings, Shunt, direction, packet_flags, side_flags,
    tcp_flags,
};

use crate::{
    flow,
    insn::{self, low17},
    maps::{
        FIRST_LEN, FLOWS, HAS_NETNS_COOKIE, HEAD_LEN, LOG, RING_STATES, RINGS, SCRATCH, SCRATCH_SLOTS,
        SETTINGS, SHUNTS, Scratch, count,
    },
    parse::{Failure, Headers, parse, protocol},
    policy, socket,
};

/// Which hook runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum At {
    SocketIngress,
    SocketEgress,
    InterfaceIngress,
    InterfaceEgress,
}

impl At {
    #[inline(always)]
    const fn is_socket(self) -> bool {
        matches!(self, Self::SocketIngress | Self::SocketEgress)
    }

    #[inline(always)]
    const fn is_egress(self) -> bool {
        matches!(self, Self::SocketEgress | Self::InterfaceEgress)
    }
}

/// A direction whose hook has been silent for this long is taken over by another hook: a route
/// changed, or an address moved to another host.
const TAKE_OVER_NS: u64 = 5_000_000_000;
/// Packets after which a flow is taken to last: it costs something to note that the rest of its
/// packets can be passed over at their receiver.
const SPARED_AFTER: u64 = 8;
/// Interface index of loopback, in every network namespace (LOOPBACK_IFINDEX, net/net_namespace.h).
const LOOPBACK: u32 = 1;

/// What is added to a slot's count to leave it: minus one.
const LEAVE: u64 = u64::MAX;

/// Handles a packet whose IP header begins at `l3`.
#[inline(always)]
pub fn handle(ctx: &SkBuffContext, at: At, l3: u32) {
    let len = ctx.len().saturating_sub(l3);
    let Some(settings) = SETTINGS.get(0) else { return };
    if at == At::SocketIngress && socket::may_pass_over(ctx.skb.skb, settings.generation) {
        count(Reason::Seen, len);
        return;
    }
    // SAFETY: a helper without arguments.
    let first = unsafe { bpf_get_smp_processor_id() } as u32 * SCRATCH_SLOTS;
    let mut slot = 0;
    let scratch = loop {
        if slot == SCRATCH_SLOTS {
            count(Reason::ScratchBusy, len);
            return;
        }
        let Some(s) = SCRATCH.get_ptr_mut(first + slot) else { return };
        // SAFETY: a live map value; whoever sees the count at 1 after adding to it owns the rest of it. Of
        // two that are between the two steps at once, one or none sees 1.
        unsafe {
            insn::add(&raw mut (*s).busy, 1);
            if (&raw const (*s).busy).read_volatile() == 1 {
                break s;
            }
            insn::add(&raw mut (*s).busy, LEAVE);
        }
        slot += 1;
    };
    // SAFETY: the slot was taken above, so nothing else refers to it.
    let (reason, bytes) = unsafe { examine(ctx, at, l3, len, settings, scratch) };
    // SAFETY: as above. Not a store of 0: somebody who found the slot taken may be about to leave it.
    unsafe { insn::add(&raw mut (*scratch).busy, LEAVE) };
    count(reason, bytes);
}

/// # Safety
///
/// `scratch` belongs to the caller alone.
#[inline(always)]
unsafe fn examine(
    ctx: &SkBuffContext,
    at: At,
    l3: u32,
    len: u32,
    settings: &Settings,
    scratch: *mut Scratch,
) -> (Reason, u32) {
    let scratch = unsafe { &mut *scratch };
    let have = if len < FIRST_LEN as u32 { len } else { FIRST_LEN as u32 };
    if have < 20 {
        return (Reason::Short, len);
    }
    if unsafe { bpf_skb_load_bytes(ctx.as_ptr(), l3, scratch.data.as_mut_ptr().cast(), have) } != 0 {
        return (Reason::CopyFailed, len);
    }
    // SAFETY: the buffer is longer than its head.
    let head = unsafe { &*scratch.data.as_ptr().cast::<[u8; HEAD_LEN]>() };
    match parse(head, have, len) {
        Ok(h) => scratch.headers = h,
        Err(Failure::Short) => return (Reason::Short, len),
        Err(Failure::NotIp) => return (Reason::NotIp, len),
    }
    // The many ways through the parser end here as one.
    // SAFETY: the same scratch buffer.
    let scratch = unsafe { &mut *insn::launder(core::ptr::from_mut(scratch)) };
    let h = &scratch.headers;
    // SAFETY: a field of the context.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    let netns = if at.is_socket() && ifindex == LOOPBACK && HAS_NETNS_COOKIE.load() != 0 {
        // SAFETY: the loader found that the helper takes this context.
        (unsafe { bpf_get_netns_cookie(ctx.as_ptr()) }) as u32 & 0xff_ffff
    } else {
        0
    };
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let (key, from) = flow::key(h, netns);
    let found = match FLOWS.get_ptr_mut(&key) {
        Some(f) => f,
        None => match flow::create(&key, &mut scratch.flow, now, h.fragment) {
            Some(f) => {
                if LOG.load() != 0 {
                    debug!(ctx, "new flow: protocol {} ports {} {}", h.protocol, h.src_port, h.dst_port);
                }
                f
            }
            None => return (Reason::FlowTableFull, h.total),
        },
    };
    // SAFETY: a live map value. Other CPUs may write to it at the same time; each direction is
    // written by one hook, and a torn counter is the worst that can happen.
    let flow = unsafe { &mut *found };
    let (side, local) = if from == 0 {
        let side = &raw mut flow.side[0];
        (side, if at.is_egress() { side } else { &raw mut flow.side[1] })
    } else {
        let side = &raw mut flow.side[1];
        (side, if at.is_egress() { side } else { &raw mut flow.side[0] })
    };
    // SAFETY: both point into `flow`.
    let (side, local) = unsafe { (&mut *side, &mut *local as *mut remora_abi::FlowSide) };

    if flow::is_reopened(flow, side, h) || may_be_another(at, flow, side, h) {
        flow::reset(flow, now);
        flow.side[0] = Default::default();
        flow.side[1] = Default::default();
    }
    let stale = flow.policy_generation != settings.generation;
    // SAFETY: points into `flow`.
    if stale || at.is_socket() && unsafe { (*local).flags } & side_flags::LOCAL == 0 {
        if stale {
            flow.policy_generation = settings.generation;
            flow.side[0].flags &= side_flags::SEQ;
            flow.side[1].flags &= side_flags::SEQ;
        }
        if at.is_socket() {
            // SAFETY: points into `flow`.
            policy::identify(ctx.skb.skb, unsafe { &mut *local }, settings);
        }
        flow.verdict = policy::judge(&key, flow, settings, h.fragment) as u8;
    }
    if let Some(reason) = left_out(at, flow.verdict, side) {
        if reason == Reason::Seen {
            spare(ctx, at, flow, h, settings);
        }
        return (reason, h.total);
    }
    // The sender's packets are captured at one hook, the first that saw them, so that local
    // traffic comes once.
    let here = match at {
        At::SocketIngress => Hook::SOCKET_INGRESS,
        At::SocketEgress => Hook::SOCKET_EGRESS,
        _ => Hook::interface(ifindex, at.is_egress()),
    };
    if side.hook != here {
        if side.hook != Hook::NONE && now.saturating_sub(side.last_ns) < TAKE_OVER_NS {
            spare(ctx, at, flow, h, settings);
            return (Reason::Seen, h.total);
        }
        // Before Linux 6.6 a SYN/ACK over IPv6 passes no egress hook, because its socket is not yet a
        // full one (include/linux/bpf-cgroup.h). Its receiver's hook does not become the direction's:
        // what a local sender sends next is to be seen at its own socket, which has the owner.
        if at != At::SocketIngress || !h.is_synack() {
            side.hook = here;
        }
    }
    flow::account(flow, side, from as u8, h, now);
    if h.protocol == protocol::TCP
        && !h.no_l4
        && h.tcp_flags & (tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST) == 0
    {
        if h.total == h.payload {
            return (Reason::NoPayload, h.total);
        }
        if is_shunted(flow, from, h) {
            side.shunted_bytes += u64::from(h.total);
            return (Reason::Shunted, h.total);
        }
    }
    scratch.header = PacketHeader {
        time_ns: now,
        // SAFETY: points into `flow`.
        cgroup_id: unsafe { (*local).cgroup_id },
        flow_id: flow.id,
        // SAFETY: points into `flow`.
        tgid: unsafe { (*local).tgid },
        ifindex,
        wire_len: h.total,
        captured: 0,
        netns,
        l4_offset: h.l4 as u16,
        payload_offset: h.payload as u16,
        direction: if at.is_egress() { direction::EGRESS } else { direction::INGRESS },
        flags: if h.fragment { packet_flags::FRAGMENT } else { 0 }
            | if from == 1 { packet_flags::FROM_SIDE_1 } else { 0 }
            | if h.no_l4 { packet_flags::NO_L4 } else { 0 },
        protocol: h.protocol,
        ip_version: h.version,
    };
    let total = h.total;
    (ship(ctx, l3, total, settings, scratch, flow.ring), total)
}

/// A packet of this flow reached its socket and had been seen where it was sent: those that follow
/// need not be looked at, if both ends are connected here and their owners are known.
#[inline(always)]
fn spare(ctx: &SkBuffContext, at: At, flow: &FlowValue, h: &Headers, settings: &Settings) {
    let both = flow.side[0].flags & flow.side[1].flags & side_flags::LOCAL != 0;
    if at == At::SocketIngress
        && both
        && h.protocol == protocol::TCP
        && flow.side[0].packets + flow.side[1].packets >= SPARED_AFTER
    {
        socket::pass_over(ctx.skb.skb, settings.generation);
    }
}

/// True for a SYN on the endpoints of a connection that was left out: it may open another one, of
/// another process. The old one's sequence numbers would tell, but they are not kept; so each SYN is
/// judged anew, where the sender's packets are seen first.
#[inline(always)]
fn may_be_another(at: At, flow: &FlowValue, side: &remora_abi::FlowSide, h: &Headers) -> bool {
    flow.verdict != Reason::Captured as u8
        && h.tcp_flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN
        && (at != At::SocketIngress || side.flags & side_flags::COUNTED_AT_EGRESS == 0)
}

/// The reason why the flow is not captured, if there is one. A packet that was left out at its
/// sender's socket is not counted again at its receiver's.
#[inline(always)]
fn left_out(at: At, verdict: u8, side: &mut remora_abi::FlowSide) -> Option<Reason> {
    let reason = if verdict == Reason::Captured as u8 {
        return None;
    } else if verdict == Reason::Own as u8 {
        Reason::Own
    } else if verdict == Reason::Sampled as u8 {
        Reason::Sampled
    } else {
        Reason::Policy
    };
    match at {
        At::SocketEgress => {
            side.flags |= side_flags::COUNTED_AT_EGRESS;
            // The receiver may be of interest where the sender is not.
            side.hook = Hook::SOCKET_INGRESS;
        }
        At::SocketIngress if side.flags & side_flags::COUNTED_AT_EGRESS != 0 => return Some(Reason::Seen),
        _ => {}
    }
    Some(reason)
}

/// True when user space has asked to skip these bytes.
#[inline(always)]
fn is_shunted(flow: &FlowValue, from: usize, h: &Headers) -> bool {
    let Some(slot) = SHUNTS.get_ptr_mut(flow.id & (Shunt::SLOTS - 1)) else { return false };
    // SAFETY: a live map value.
    unsafe {
        if (*slot).flow_id != flow.id {
            return false;
        }
        let bits = (*slot).sides;
        let (part, rest, until) = if from == 0 { (1, 4, (*slot).until[0]) } else { (2, 8, (*slot).until[1]) };
        if bits & rest != 0 {
            return true;
        }
        if bits & part == 0 {
            return false;
        }
        let end = h.seq.wrapping_add(h.total - h.payload);
        let left = until.wrapping_sub(end);
        if left <= Shunt::MAX_AHEAD {
            return true;
        }
        // Past the end: free the slot, so that it cannot come true again when the numbers wrap.
        (*slot).sides = bits & !part;
        false
    }
}

/// Copies the packet and sends the record.
#[inline(always)]
fn ship(
    ctx: &SkBuffContext,
    l3: u32,
    total: u32,
    settings: &Settings,
    scratch: &mut Scratch,
    ring: u32,
) -> Reason {
    let mut captured = total;
    if captured > settings.snaplen {
        captured = settings.snaplen;
    }
    if captured > MAX_CAPTURE {
        captured = MAX_CAPTURE;
    }
    if captured < total {
        scratch.header.flags |= packet_flags::TRUNCATED;
        count(Reason::Truncated, total - captured);
    }
    scratch.header.captured = captured;
    if captured > FIRST_LEN as u32 {
        // At least one byte, which the verifier wants to see.
        let rest = low17(u64::from(captured - FIRST_LEN as u32 - 1)) as u32 + 1;
        // SAFETY: the buffer has room for FIRST_LEN + 0x20000 bytes.
        let copied = unsafe {
            bpf_skb_load_bytes(
                ctx.as_ptr(),
                l3 + FIRST_LEN as u32,
                scratch.data.as_mut_ptr().add(FIRST_LEN).cast(),
                rest,
            )
        };
        if copied != 0 {
            return Reason::CopyFailed;
        }
    }
    let Some(out) = RINGS.get(ring) else { return Reason::RingFull };
    let out = core::ptr::from_ref(out).cast_mut().cast();
    let size = low17(u64::from(captured)) as u32 + PacketHeader::LEN as u32;
    // A wake-up per record would cost more than all the rest: the reader comes by itself every few
    // milliseconds, and is woken when the ring passes a mark or when it sleeps long.
    // SAFETY: `out` is a ring from the map of rings.
    let waiting = unsafe { bpf_ringbuf_query(out, u64::from(BPF_RB_AVAIL_DATA)) } as u32;
    let mark = settings.wakeup_bytes;
    let mut flags = BPF_RB_NO_WAKEUP;
    if waiting < mark && waiting + size >= mark {
        flags = BPF_RB_FORCE_WAKEUP;
    }
    if let Some(state) = RING_STATES.get_ptr_mut(ring) {
        // SAFETY: a live map value; the worst of a race is one wake-up too many.
        unsafe {
            if (*state).idle != 0 {
                (*state).idle = 0;
                flags = BPF_RB_FORCE_WAKEUP;
            }
        }
    }
    // SAFETY: header and data lie one after the other in the scratch buffer.
    let sent = unsafe {
        bpf_ringbuf_output(out, (&raw mut scratch.header).cast(), u64::from(size), u64::from(flags))
    };
    if sent == 0 { Reason::Captured } else { Reason::RingFull }
}
