//! Reading a ring.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex},
    time::Duration,
};

use aya::maps::{Array, MapData, RingBuf};
use remora_abi::{PacketHeader, RingState, direction};
use remora_model::Timestamp;

use super::{
    KernelError,
    clock::Clock,
    packet_socket::PacketSource,
    sys::{self, Ready, Waiter},
};

/// Which way a packet went where it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Up to a socket, or into an interface.
    Ingress,
    /// From a socket, or out of an interface.
    Egress,
}

/// A captured packet; its bytes are borrowed from the ring.
#[derive(Clone, Copy, Debug)]
pub struct PacketRecord<'a> {
    /// When the kernel saw it.
    pub time: Timestamp,
    /// Bytes from the IP header on; as many as were captured.
    pub data: &'a [u8],
    /// Length of the packet from the IP header on; larger than `data` when it was cut.
    pub wire_len: u32,
    /// 4 or 6.
    pub ip_version: u8,
    /// IP protocol number of the upper layer.
    pub protocol: u8,
    /// Which way it went.
    pub direction: Direction,
    /// See [`super::packet_flags`].
    pub flags: u8,
    /// Offset of the upper-layer header in `data`; may be past its end.
    pub l4_offset: u16,
    /// Offset of the payload in `data`; may be past its end.
    pub payload_offset: u16,
    /// Interface.
    pub ifindex: u32,
    /// Cgroup-v2 id of the local socket (the sender's on egress, the receiver's on ingress); 0 when
    /// unknown.
    pub cgroup_id: u64,
    /// Process that owns the local socket; 0 when unknown.
    pub tgid: u32,
    /// Tells apart loopback traffic of different network namespaces; 0 for all other traffic. Part
    /// of a flow's identity.
    pub netns: u32,
    /// Name of the flow's entry in the kernel's table, for [`super::Control::shunt`]; 0 without one.
    pub flow_id: u32,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Enough data is there.
    Volume,
    /// The timer ran out; there may be data.
    Timer,
    /// [`Stopper::stop`] was called.
    Stopped,
}

/// Ends the waits of a [`RingReader`] from another thread.
#[derive(Debug)]
pub struct Stopper(OwnedFd);

impl Stopper {
    /// Makes the current and all later waits return [`Wake::Stopped`].
    pub fn stop(&self) -> io::Result<()> {
        sys::raise(&self.0)
    }
}

/// Ends one wait of a [`RingReader`] from another thread, which has something else for its thread.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// Makes the current wait, or the next one, return [`Wake::Timer`].
    pub fn wake(&self) -> io::Result<()> {
        sys::raise(&self.0)
    }
}

pub(super) enum Source {
    Bpf { ring: RingBuf<MapData>, states: Arc<Mutex<Array<MapData, RingState>>> },
    Packet(Box<PacketSource>),
}

/// One ring. It belongs to one thread; the packets of a flow all come through one ring.
pub struct RingReader {
    index: usize,
    source: Source,
    waiter: Waiter,
    clock: Clock,
    empty_waits: u32,
    drained: bool,
    malformed: u64,
}

impl std::fmt::Debug for RingReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingReader").field("index", &self.index).finish_non_exhaustive()
    }
}

impl RingReader {
    /// Waits without data after which the reader sleeps until the next record wakes it.
    const EMPTY_WAITS: u32 = 16;
    /// Longest sleep of an idle reader; a net below the wake-up by the kernel.
    const IDLE_SLEEP: Duration = Duration::from_millis(500);

    pub(super) fn new(index: usize, source: Source) -> Result<Self, KernelError> {
        let waiter = match &source {
            Source::Bpf { ring, .. } => Waiter::new(ring.as_fd()),
            Source::Packet(p) => Waiter::new(p.as_fd()),
        }
        .map_err(|e| KernelError::io("waiting for packets", e))?;
        Ok(Self { index, source, waiter, clock: Clock::new(), empty_waits: 0, drained: false, malformed: 0 })
    }

    /// Which ring it is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// A handle with which other threads ask this reader to look around.
    pub fn waker(&self) -> Result<Waker, KernelError> {
        self.waiter.waker().map(Waker).map_err(|e| KernelError::io("copying an eventfd", e))
    }

    /// A handle that ends this reader's waits.
    pub fn stopper(&self) -> Result<Stopper, KernelError> {
        self.waiter.stopper().map(Stopper).map_err(|e| KernelError::io("copying an eventfd", e))
    }

    /// Records that were shorter than they said; always 0 unless the kernel side is broken.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Hands up to `budget` packets to `f` and returns how many there were; fewer than `budget`
    /// means that the ring is empty. Never blocks.
    pub fn drain(&mut self, budget: usize, mut f: impl FnMut(PacketRecord<'_>)) -> usize {
        self.clock.refresh();
        let mut n = 0;
        match &mut self.source {
            Source::Bpf { ring, .. } => {
                while n < budget {
                    let Some(item) = ring.next() else { break };
                    n += 1;
                    match PacketHeader::parse(&item) {
                        Some((h, data)) => f(record(&h, self.clock.unix(h.time_ns), data)),
                        None => self.malformed += 1,
                    }
                }
            }
            Source::Packet(source) => {
                n = source.drain(budget, |h, data| {
                    f(record(h, Timestamp(i64::try_from(h.time_ns).unwrap_or(i64::MAX)), data));
                });
            }
        }
        self.drained |= n > 0;
        n
    }

    /// Hands up to `budget` records to `f` as they lie in the ring, which has others than packets.
    pub(super) fn drain_raw(&mut self, budget: usize, mut f: impl FnMut(&[u8])) -> usize {
        let Source::Bpf { ring, .. } = &mut self.source else { return 0 };
        let mut n = 0;
        while n < budget {
            let Some(item) = ring.next() else { break };
            n += 1;
            f(&item);
        }
        self.drained |= n > 0;
        n
    }

    /// The next wait is not that of an idle reader.
    pub(super) fn stay_awake(&mut self) {
        self.drained = true;
    }

    /// Waits until the ring holds enough to be worth a batch, or `timeout` has passed (a few
    /// milliseconds, the latency that batching may add). On an idle host it sleeps longer, and the
    /// first packet wakes it.
    pub fn wait(&mut self, timeout: Duration) -> Result<Wake, KernelError> {
        self.empty_waits = if self.drained { 0 } else { self.empty_waits.saturating_add(1) };
        self.drained = false;
        let ready = match &self.source {
            Source::Bpf { .. } if self.empty_waits < Self::EMPTY_WAITS => self.waiter.notified(timeout),
            Source::Bpf { states, .. } => {
                set_idle(states, self.index, 1)?;
                // Level-triggered: a record that came before the kernel saw the flag ends the wait.
                let ready = self.waiter.readable(Self::IDLE_SLEEP.max(timeout));
                set_idle(states, self.index, 0)?;
                if matches!(ready, Ok(Ready::Data)) {
                    self.empty_waits = 0;
                }
                ready
            }
            // The kernel closes a block after its own timer; nothing is readable before.
            Source::Packet(_) => self.waiter.readable(Self::IDLE_SLEEP.max(timeout)),
        };
        match ready {
            Ok(Ready::Data) => Ok(Wake::Volume),
            Ok(Ready::Timeout | Ready::Woken) => Ok(Wake::Timer),
            Ok(Ready::Stop) => Ok(Wake::Stopped),
            Err(e) => Err(KernelError::io("waiting for packets", e)),
        }
    }
}

fn set_idle(states: &Mutex<Array<MapData, RingState>>, index: usize, idle: u32) -> Result<(), KernelError> {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    states
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .set(index, RingState { idle, pad: 0 }, 0)
        .map_err(|e| KernelError::bpf("marking a ring's reader as idle", e))
}

fn record<'a>(h: &PacketHeader, time: Timestamp, data: &'a [u8]) -> PacketRecord<'a> {
    PacketRecord {
        time,
        data,
        wire_len: h.wire_len,
        ip_version: h.ip_version,
        protocol: h.protocol,
        direction: if h.direction == direction::EGRESS { Direction::Egress } else { Direction::Ingress },
        flags: h.flags,
        l4_offset: h.l4_offset,
        payload_offset: h.payload_offset,
        ifindex: h.ifindex,
        cgroup_id: h.cgroup_id,
        tgid: h.tgid,
        netns: h.netns,
        flow_id: h.flow_id,
    }
}
