//! Sequences of packets of a few flows, small numbers and small budgets so that everything
//! collides: a strict dissector checks the engine's promises, and in the end nothing may be held.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use remora_dissect::detect::Entry;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::{Context, Dissector, Ending, Limits, Problem, Role, Sink, Taken, Verdict};
use remora_model::{Call, CaptureSource, FlowRow, Protocol, Timestamp, Transport};

/// Asserts what dissectors may rely on; the bytes tell it what to do.
#[derive(Default)]
struct Strict {
    pos: [Option<u64>; 2],
    time: [Timestamp; 2],
    skipping: [bool; 2],
    ended: [bool; 2],
    handed_over: bool,
}

impl Strict {
    fn at(&mut self, role: Role, cx: &Context<'_>) {
        let i = role.index();
        assert!(!self.ended[i], "nothing comes after the end");
        assert!(!self.handed_over, "what follows is for another");
        assert!(self.pos[i].is_none_or(|p| p == cx.pos), "positions have no jumps");
    }
}

impl Dissector for Strict {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let i = role.index();
        if cx.transport == Transport::Udp {
            return Taken::Bytes(bytes.len());
        }
        self.at(role, cx);
        assert!(!bytes.is_empty() && !self.skipping[i]);
        let mut last = cx.time_at(0);
        for offset in 1..bytes.len() {
            let t = cx.time_at(offset);
            assert!(t >= last, "time does not run backwards within what is shown");
            last = t;
        }
        assert!(last >= self.time[i], "nor from one showing to the next");
        self.time[i] = last;
        let taken = match bytes[0] % 8 {
            0 => Taken::Bytes(0),
            1 => Taken::Bytes(bytes.len() / 2),
            2 => Taken::AndSkip(u64::from(bytes[0])),
            3 => Taken::AndSkip(u64::MAX),
            // Not every such byte: after a few of these the engine gives a flow up.
            4 if bytes.len() % 4 == 3 => Taken::Handover(bytes.len() / 2),
            _ => Taken::Bytes(bytes.len()),
        };
        let n = match taken {
            Taken::Bytes(n) => n,
            Taken::Handover(n) => {
                self.handed_over = true;
                n
            }
            Taken::AndSkip(_) => {
                self.skipping[i] = true;
                bytes.len()
            }
        };
        self.pos[i] = (!self.skipping[i]).then_some(cx.pos + n as u64);
        taken
    }
    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        assert!(len > 0 && !self.skipping[role.index()]);
        assert!(!self.ended[role.index()]);
        self.pos[role.index()] = Some(cx.pos + len);
    }
    fn in_sync(&self, role: Role) -> bool {
        self.pos[role.index()].is_some_and(|p| p % 2 == 0)
    }
    fn skipped(&mut self, role: Role, _: u64, cx: &mut Context<'_>) {
        assert!(std::mem::take(&mut self.skipping[role.index()]));
        self.pos[role.index()] = Some(cx.pos);
    }
    fn end(&mut self, role: Role, _: &[u8], _: Ending, _: &mut Context<'_>) {
        assert!(!std::mem::replace(&mut self.ended[role.index()], true), "one end per side");
    }
    fn is_busy(&self) -> bool {
        self.skipping[0]
    }
    fn memory(&self) -> usize {
        size_of::<Self>()
    }
}

fn probe(bytes: &[u8], _: Transport) -> Verdict {
    match bytes.first() {
        Some(b) if b % 16 == 15 => Verdict::No,
        Some(b) if b % 16 == 14 => Verdict::Likely(Role::Server),
        Some(b) if b % 16 == 13 && bytes.len() < 16 => Verdict::NeedMore,
        Some(b) if b % 2 == 0 => Verdict::Match(Role::Client),
        Some(_) => Verdict::Match(Role::Server),
        None => Verdict::NeedMore,
    }
}

static REGISTRY: &[Entry] = &[Entry {
    protocol: Protocol::Http,
    transports: &[Transport::Tcp, Transport::Udp],
    probe,
    resync: |bytes, role| bytes.iter().position(|&b| b & 0x80 != 0 && (b % 2 == 0) == (role == Role::Client)),
    start: |_, _| Box::new(Strict::default()),
    ports: &[],
}];

struct Ignore;

impl Sink for Ignore {
    fn call(&mut self, _: &Call<'_>) {}
    fn flow(&mut self, row: &FlowRow<'_>) {
        assert!(row.missing_bytes >= 0 && row.client_packets + row.server_packets > 0);
    }
    fn problem(&mut self, _: Problem, _: u64) {}
}

/// The next bytes of the input; zeros behind its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }
    fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        first
    }
}

fn segment(ports: [u16; 2], seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut t = Vec::with_capacity(20 + payload.len());
    t.extend_from_slice(&ports[0].to_be_bytes());
    t.extend_from_slice(&ports[1].to_be_bytes());
    t.extend_from_slice(&seq.to_be_bytes());
    t.extend_from_slice(&ack.to_be_bytes());
    t.extend_from_slice(&[0x50, flags, 1, 0, 0, 0, 0, 0]);
    t.extend_from_slice(payload);
    t
}

/// An IP packet, possibly a fragment.
fn packet(v6: bool, swap: bool, protocol: u8, fragment: Option<(u16, bool)>, payload: &[u8]) -> Vec<u8> {
    let mut p = Vec::with_capacity(48 + payload.len());
    let mut ends = if v6 {
        [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))]
    } else {
        [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))]
    };
    if swap {
        ends.reverse();
    }
    let (units, more) = fragment.unwrap_or_default();
    if v6 {
        let extra = if fragment.is_some() { 8 } else { 0 };
        p.extend_from_slice(&[0x60, 0, 0, 0]);
        p.extend_from_slice(&(payload.len() as u16 + extra).to_be_bytes());
        p.extend_from_slice(&[if fragment.is_some() { 44 } else { protocol }, 64]);
    } else {
        p.extend_from_slice(&[0x45, 0]);
        p.extend_from_slice(&(payload.len() as u16 + 20).to_be_bytes());
        p.extend_from_slice(&[0, 7]);
        p.extend_from_slice(&(units | u16::from(more) << 13).to_be_bytes());
        p.extend_from_slice(&[64, protocol, 0, 0]);
    }
    for end in ends {
        match end {
            IpAddr::V4(ip) => p.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => p.extend_from_slice(&ip.octets()),
        }
    }
    if v6 && fragment.is_some() {
        p.extend_from_slice(&[protocol, 0]);
        p.extend_from_slice(&(units << 3 | u16::from(more)).to_be_bytes());
        p.extend_from_slice(&[0, 0, 0, 7]);
    }
    p.extend_from_slice(payload);
    p
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let setup = input.byte();
    let limits = Limits {
        message_bytes: 64 << (setup & 3),
        detect_bytes: 32,
        flows: 1 + usize::from(setup >> 2 & 3),
        flow_bytes: 512 << (setup >> 4 & 3),
        total_bytes: 4_096 << (setup >> 6),
        segments: 6,
        fragments: 2,
        ..Limits::default()
    };
    let total = limits.total_bytes;
    let mut engine = Engine::with_registry(limits, CaptureSource::File, FlowIds::new(1, 1), REGISTRY);
    engine.set_shunt_threshold(Some(16));
    let base = if setup & 1 == 0 { u32::MAX - 40 } else { 1_000 };
    let mut now = Timestamp(1_000_000_000_000);
    while !input.0.is_empty() {
        let [kind, flags, seq, ack, len, wait] = [0; 6].map(|_: u8| input.byte());
        now = match wait {
            0..=199 => now.plus(Duration::from_micros(u64::from(wait))),
            200..=239 => now.plus(Duration::from_millis(u64::from(wait))),
            240..=250 => now.plus(Duration::from_secs(u64::from(wait) - 239)),
            _ => now.minus(Duration::from_secs(u64::from(wait))),
        };
        let swap = kind & 1 != 0;
        let flow = u16::from(kind >> 1 & 3);
        let v6 = kind & 8 != 0;
        let mut ports = [1_000 + flow, 80];
        if swap {
            ports.reverse();
        }
        let payload = input.bytes(usize::from(len & 63));
        let bytes = match kind >> 4 {
            0 => {
                engine.tick(now, &mut Ignore);
                continue;
            }
            1 => {
                let shunts: Vec<_> = engine.take_shunts().collect();
                for s in &shunts {
                    engine.shunted(s);
                }
                continue;
            }
            2 | 3 => packet(
                v6,
                swap,
                if flags & 1 == 0 { 6 } else { 17 },
                Some((u16::from(seq & 7), ack & 1 != 0)),
                payload,
            ),
            4 => {
                let mut u = Vec::new();
                u.extend_from_slice(&ports[0].to_be_bytes());
                u.extend_from_slice(&ports[1].to_be_bytes());
                u.extend_from_slice(&[0, 8 + payload.len() as u8, 0, 0]);
                u.extend_from_slice(payload);
                packet(v6, swap, 17, None, &u)
            }
            _ => {
                // Mostly plain data; SYN, FIN and RST only where two bits agree.
                let flags = flags & 16 | if flags >> 6 == 3 { flags & 7 } else { 0 };
                let far = if kind >> 4 == 15 { u32::from(ack) << 24 } else { 0 };
                let number = |n: u8| base.wrapping_add(u32::from(n));
                let t = segment(ports, number(seq).wrapping_add(far), number(ack), flags, payload);
                packet(v6, swap, 6, None, &t)
            }
        };
        // Sometimes a snaplen cuts it.
        let cut =
            if len & 64 != 0 { bytes.len().saturating_sub(usize::from(wait & 15)) } else { bytes.len() };
        engine.packet(now, &bytes[..cut], bytes.len() as u32, &mut Ignore);
        let stats = engine.stats();
        // One packet's worth beyond the budget at most, plus what empty buffers keep.
        assert!(stats.bytes <= total + 8_192, "{stats:?}");
    }
    engine.finish(&mut Ignore);
    let stats = engine.stats();
    assert_eq!((stats.flows, stats.bytes, stats.fragments), (0, 0, 0));
});
