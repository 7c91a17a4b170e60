//! The tier for hosts where no program may be loaded: `AF_PACKET` sockets. What the kernel programs
//! decide elsewhere is decided here: policy, and each packet once.

use std::{
    collections::HashMap,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use remora_abi::{Counter, Hook, PacketHeader, Reason, direction, packet_flags};

use super::{
    Config, Counters, KernelError, Policy,
    control::lock,
    headers::{self, Headers},
    packet_ring::{Frame, PacketRing},
    sys,
};

/// What an interface's packets begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// An Ethernet header.
    Ethernet,
    /// The IP header.
    Bare,
}

/// A network interface.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) loopback: bool,
    /// `None` for kinds whose link header is not known here.
    pub(super) link: Option<Link>,
}

/// The named interfaces, or all that are up.
pub(super) fn interfaces(names: &[String]) -> Result<Vec<Interface>, KernelError> {
    let mut all = sys::interfaces().map_err(|e| KernelError::io("listing the network interfaces", e))?;
    if let Some(missing) = names.iter().find(|n| all.iter().all(|i| i.name != **n)) {
        return Err(KernelError::Setting(format!("there is no network interface {missing}")));
    }
    all.retain(|i| if names.is_empty() { i.up } else { names.contains(&i.name) });
    let known = all.into_iter().map(|i| Interface {
        name: i.name,
        index: i.index,
        loopback: i.kind == libc::ARPHRD_LOOPBACK,
        link: match i.kind {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(Link::Ethernet),
            libc::ARPHRD_NONE | libc::ARPHRD_TUNNEL | libc::ARPHRD_SIT => Some(Link::Bare),
            _ => None,
        },
    });
    Ok(known.collect())
}

/// What all sources of a capture share.
#[derive(Debug, Default)]
pub(super) struct PacketShared {
    policy: Mutex<Arc<Policy>>,
    generation: AtomicU32,
    counters: Mutex<Counters>,
}

impl PacketShared {
    pub(super) fn counters(&self) -> Counters {
        lock(&self.counters).clone()
    }

    pub(super) fn set_policy(&self, policy: &Policy) {
        *lock(&self.policy) = Arc::new(policy.clone());
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// What opening the sockets yields.
pub(super) struct Opened {
    pub(super) shared: Arc<PacketShared>,
    pub(super) sources: Vec<PacketSource>,
    pub(super) attached_to: String,
}

/// Opens one socket per ring.
pub(super) fn open(config: &Config, rings: u32) -> Result<Opened, KernelError> {
    let opening = |e| KernelError::io("opening an AF_PACKET socket", e);
    let mut chosen = interfaces(&config.interfaces)?;
    // One socket can listen on one interface or on all: several named ones are filtered here.
    let ifindex = match chosen.as_slice() {
        [only] if !config.interfaces.is_empty() => only.index,
        _ => 0,
    };
    let attached_to = if config.interfaces.is_empty() {
        "all interfaces".to_owned()
    } else {
        chosen.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if config.interfaces.is_empty() {
        chosen.clear();
    }
    let shared = Arc::new(PacketShared::default());
    shared.set_policy(&config.policy);
    // Groups are named by 16 bits that are shared by the namespace's sockets.
    let group = (std::process::id() as u16) ^ NEXT_GROUP.fetch_add(1, Ordering::Relaxed) as u16;
    let sources = (0..rings)
        .map(|_| {
            Ok(PacketSource {
                ring: PacketRing::open(ifindex, config.ring_bytes, group, rings).map_err(opening)?,
                rules: Rules {
                    shared: Arc::clone(&shared),
                    generation: 0,
                    policy: Arc::default(),
                    interfaces: chosen.iter().map(|i| i.index).collect(),
                    snaplen: config.snaplen as usize,
                    sample: config.sample,
                    hooks: Hooks::new(config.flows as usize),
                    counters: Counters::default(),
                },
            })
        })
        .collect::<Result<Vec<_>, KernelError>>()?;
    Ok(Opened { shared, sources, attached_to })
}

static NEXT_GROUP: AtomicU32 = AtomicU32::new(0);

/// One socket with what it has to know.
#[derive(Debug)]
pub(super) struct PacketSource {
    ring: PacketRing,
    rules: Rules,
}

#[derive(Debug)]
struct Rules {
    shared: Arc<PacketShared>,
    generation: u32,
    policy: Arc<Policy>,
    interfaces: Vec<u32>,
    snaplen: usize,
    sample: u32,
    hooks: Hooks,
    counters: Counters,
}

impl PacketSource {
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// Hands packets to `f`; returns how many frames were taken from the ring.
    pub(super) fn drain(&mut self, budget: usize, mut f: impl FnMut(&PacketHeader, &[u8])) -> usize {
        let Self { ring, rules } = self;
        let generation = rules.shared.generation.load(Ordering::Acquire);
        if generation != rules.generation {
            rules.generation = generation;
            rules.policy = Arc::clone(&lock(&rules.shared.policy));
        }
        let n = ring.drain(budget, |frame| {
            let bytes = u64::from(frame.wire_len);
            let reason = match rules.examine(&frame) {
                Ok((header, data)) => {
                    f(&header, data);
                    Reason::Captured
                }
                Err(reason) => reason,
            };
            rules.counters.add(reason, Counter { packets: 1, bytes });
        });
        if let Ok(packets @ 1..) = ring.take_drops() {
            rules.counters.add(Reason::RingFull, Counter { packets, bytes: 0 });
        }
        let grown = std::mem::take(&mut rules.counters);
        let mut total = lock(&rules.shared.counters);
        for (reason, c) in grown.iter() {
            total.add(reason, c);
        }
        n
    }
}

impl Rules {
    fn examine<'a>(&mut self, frame: &Frame<'a>) -> Result<(PacketHeader, &'a [u8]), Reason> {
        // Loopback passes each packet twice: its way out is enough.
        if frame.loopback && !frame.outgoing {
            return Err(Reason::Seen);
        }
        if !self.interfaces.is_empty() && !self.interfaces.contains(&frame.ifindex) {
            return Err(Reason::Policy);
        }
        let h = headers::parse(frame.data).map_err(|f| match f {
            headers::Failure::Short => Reason::Short,
            headers::Failure::NotIp => Reason::NotIp,
        })?;
        let wire = frame.wire_len as usize;
        let total = if h.stated == 0 { wire } else { wire.min(h.stated) };
        if !admits(&self.policy, &h) {
            return Err(Reason::Policy);
        }
        if self.sample > 1 && !hash(&h).is_multiple_of(u64::from(self.sample)) {
            return Err(Reason::Sampled);
        }
        let hook = Hook::interface(frame.ifindex, frame.outgoing);
        if !frame.loopback && !self.hooks.is_mine(&h, hook, frame.time_ns) {
            return Err(Reason::Seen);
        }
        // Segments without payload go on too: no flow table counts them here.
        let captured = total.min(self.snaplen).min(frame.data.len());
        let data = frame.data.get(..captured).ok_or(Reason::Short)?;
        if captured < total {
            let bytes = (total - captured) as u64;
            self.counters.add(Reason::Truncated, Counter { packets: 1, bytes });
        }
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let header = PacketHeader {
            time_ns: frame.time_ns,
            ifindex: frame.ifindex,
            wire_len: u32::try_from(total).unwrap_or(u32::MAX),
            captured: u32::try_from(captured).unwrap_or(u32::MAX),
            l4_offset: u16::try_from(h.l4).unwrap_or(u16::MAX),
            payload_offset: u16::try_from(h.payload.min(total)).unwrap_or(u16::MAX),
            direction: if frame.outgoing { direction::EGRESS } else { direction::INGRESS },
            flags: flag(h.fragment, packet_flags::FRAGMENT)
                | flag(captured < total, packet_flags::TRUNCATED)
                | flag(h.no_l4, packet_flags::NO_L4),
            protocol: h.protocol,
            ip_version: h.version,
            ..PacketHeader::default()
        };
        Ok((header, data))
    }
}

fn admits(policy: &Policy, h: &Headers) -> bool {
    let either_port =
        |set: &std::collections::BTreeSet<u16>| set.contains(&h.src_port) || set.contains(&h.dst_port);
    let either_addr = |set: &std::collections::BTreeSet<super::Cidr>| {
        let within = |a: IpAddr| set.iter().any(|c| c.contains(a));
        within(h.src) || within(h.dst)
    };
    let ports = h.fragment
        || !either_port(&policy.exclude_ports)
            && (policy.include_ports.is_empty() || either_port(&policy.include_ports));
    ports
        && !either_addr(&policy.exclude_cidrs)
        && (policy.include_cidrs.is_empty() || either_addr(&policy.include_cidrs))
}

/// The same for both directions of a flow, and for every ring.
fn hash(h: &Headers) -> u64 {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    let (a, b) = ((h.src, h.src_port), (h.dst, h.dst_port));
    let build = BuildHasherDefault::<DefaultHasher>::default();
    build.hash_one((a.min(b), a.max(b), h.protocol))
}

/// Which interface captures a direction of a flow, as the flow table of the kernel programs keeps
/// it: two generations of a bounded table, the older of which is forgotten when the newer is full.
#[derive(Debug)]
struct Hooks {
    new: HashMap<Direction, (u32, u64)>,
    old: HashMap<Direction, (u32, u64)>,
    limit: usize,
}

type Direction = (IpAddr, u16, IpAddr, u16, u8);

impl Hooks {
    /// As in the kernel programs.
    const TAKE_OVER_NS: u64 = 5_000_000_000;

    fn new(flows: usize) -> Self {
        Self { new: HashMap::new(), old: HashMap::new(), limit: flows.max(1) }
    }

    fn is_mine(&mut self, h: &Headers, hook: u32, now: u64) -> bool {
        let key = (h.src, h.src_port, h.dst, h.dst_port, h.protocol);
        if !self.new.contains_key(&key) {
            let entry = self.old.remove(&key).unwrap_or((hook, now));
            if self.new.len() >= self.limit {
                self.old = std::mem::take(&mut self.new);
            }
            self.new.insert(key, entry);
        }
        let Some((owner, seen)) = self.new.get_mut(&key) else { return true };
        if *owner != hook && now.saturating_sub(*seen) < Self::TAKE_OVER_NS {
            return false;
        }
        (*owner, *seen) = (hook, now);
        true
    }
}
