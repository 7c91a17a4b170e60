//! From packets to flows, streams, dissectors and calls.
//!
//! [`Engine::packet`] finds the flow of a packet in a bounded table, its TCP assembler puts
//! the bytes in order, and the application side detects the protocol by content and runs its
//! dissector. An in-order packet of a known flow, all of which the dissector takes, is handed
//! through without a copy or an allocation.

mod app;
mod attention;
mod counts;
mod doze;
mod env;
mod flow;
mod fragments;
mod ids;
mod intake;
mod plaintext;
mod shunt;
mod stream;
mod table;
mod unknown;

/// For dissectors that carry other protocols: the application side of a flow, inside theirs.
pub(crate) mod nested {
    pub(crate) use super::app::App;
    pub(crate) use super::env::{Env, Within};
}

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use remora_model::{CaptureSource, CloseReason, FlowId, Timestamp, Transport};

pub use fragments::Datagram;
pub use ids::FlowIds;
pub use plaintext::Plaintext;
pub use shunt::Shunt;

use crate::detect::{Entry, REGISTRY};
use crate::tcp::{Assembler, Bounds, Seq};
use crate::tls::Secrets;
use crate::{Ending, Limits, Problem, Sink};
use attention::Attention;
use flow::{Flow, Lent};
use fragments::Fragments;
use table::{Key, Queue, Table};

/// How often all flows are looked at, in time of the capture.
const SWEEP: Duration = Duration::from_secs(1);

/// A closed flow stays this long in the table, for its stragglers.
const LINGER: Duration = Duration::from_secs(10);

/// Flows that may come to nothing (no TCP payload yet, or UDP) are over after this long in
/// silence, if `Limits::idle` is not shorter.
const SHORT_IDLE: Duration = Duration::from_secs(60);

/// Flows looked at to find one that may go. Keeps the cost per packet bounded.
const VICTIMS: usize = 64;

/// What an engine holds at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Packets given to it since it was made.
    pub packets: u64,
    /// Flows in the table.
    pub flows: usize,
    /// IP datagrams being put together.
    pub fragments: usize,
    /// Bytes held against [`Limits::total_bytes`].
    pub bytes: usize,
}

/// Puts packets together and has them dissected. One engine serves one shard of the flows: all
/// packets of a flow must go to the same engine. It reads no clock: time is what the packets and
/// [`tick`](Self::tick) say.
pub struct Engine {
    limits: Limits,
    source: CaptureSource,
    registry: &'static [Entry],
    ids: FlowIds,
    table: Table,
    fragments: Fragments,
    /// Flows in which something waits: when to look, slot, serial.
    waits: VecDeque<(Timestamp, u32, u64)>,
    attention: Attention,
    serial: u64,
    /// What all flows are charged with.
    charged: usize,
    swept: Option<Timestamp>,
    packets: u64,
    shunt_threshold: Option<u64>,
    shunts: VecDeque<Shunt>,
    scope: u32,
    tag: u32,
    secrets: Arc<Secrets>,
}

impl Engine {
    /// An engine without flows.
    pub fn new(limits: Limits, source: CaptureSource, ids: FlowIds) -> Self {
        Self::with_registry(limits, source, ids, REGISTRY)
    }

    /// An engine that knows other protocols than [`REGISTRY`].
    pub fn with_registry(
        limits: Limits,
        source: CaptureSource,
        ids: FlowIds,
        registry: &'static [Entry],
    ) -> Self {
        Self {
            limits,
            source,
            registry,
            ids,
            table: Table::new(),
            fragments: Fragments::default(),
            waits: VecDeque::new(),
            attention: Attention::default(),
            serial: 0,
            charged: 0,
            swept: None,
            packets: 0,
            shunt_threshold: None,
            shunts: VecDeque::new(),
            scope: 0,
            tag: 0,
            secrets: Arc::default(),
        }
    }

    /// Sets what the packets that follow are part of: addresses mean something within a scope, such
    /// as loopback addresses within a network namespace. 0 at first.
    pub fn set_scope(&mut self, scope: u32) {
        self.scope = scope;
    }

    /// Sets the capture's own name for the flow of the packets that follow, under which
    /// [`Sink::counted`] and [`Sink::gone`] know it. Another name for the same connection means that
    /// the capture has begun to count anew. 0 at first: the capture does not count.
    pub fn set_tag(&mut self, tag: u32) {
        self.tag = tag;
    }

    /// Sets the secrets with which connections of TLS are read from now on. A connection uses what
    /// there is when its handshake is seen. None at first.
    pub fn set_secrets(&mut self, secrets: Arc<Secrets>) {
        self.secrets = secrets;
    }

    /// Says what time it is in the capture when no packets do: gives up holes that have waited
    /// too long, closes idle flows, writes rows of changed flows. Wanted about once a second on
    /// live traffic; a reader of files need not call it.
    pub fn tick(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        self.expire_waits(now, sink);
        self.sweep(now, sink);
    }

    /// The capture is over: delivers what is held and ends every flow. The engine is empty
    /// afterwards and may be used again.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        self.fragments.clear(|bytes| sink.problem(Problem::FragmentLost, bytes));
        let mut slots: Vec<(FlowId, u32)> =
            (0..self.table.slots()).filter_map(|s| Some((self.table.get(s)?.id, s))).collect();
        slots.sort_unstable();
        for (_, slot) in slots {
            self.close(slot, CloseReason::CaptureEnd, sink);
        }
        self.waits.clear();
        self.attention.clear();
        self.shunts.clear();
        self.swept = None;
    }

    /// What it holds at this moment.
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            packets: self.packets,
            flows: self.table.len(),
            fragments: self.fragments.len(),
            bytes: self.held(),
        }
    }

    /// Lists a [`Shunt`] whenever a dissector skips at least `bytes`; `None`, the initial state:
    /// never. See [`Shunt`] for what the capture has to do with them.
    pub fn set_shunt_threshold(&mut self, bytes: Option<u64>) {
        self.shunt_threshold = bytes;
    }

    /// Takes the shunts listed since the last time, at most 1024.
    pub fn take_shunts(&mut self) -> impl Iterator<Item = Shunt> + '_ {
        self.shunts.drain(..)
    }

    /// The capture has begun to leave out what `shunt` names.
    pub fn shunted(&mut self, shunt: &Shunt) {
        let (key, dir) = Key::new(self.scope, Transport::Tcp, shunt.from, shunt.to);
        if let Some(flow) = self.table.find(&key).and_then(|slot| self.table.get_mut(slot))
            && flow.id == shunt.flow
        {
            flow.shunted(dir, Seq(shunt.until));
        }
    }

    fn held(&self) -> usize {
        self.charged + self.fragments.bytes()
    }

    /// Settles accounts after something happened in a flow.
    fn after(&mut self, slot: u32, now: Timestamp, sink: &mut dyn Sink) {
        let Some(flow) = self.table.get_mut(slot) else { return };
        flow.report(now, false, &mut lend(&self.limits, self.source, self.registry, &self.secrets, sink));
        let memory = flow.memory();
        self.charged = self.charged - flow.charged + memory;
        flow.charged = memory;
        self.attention.note(flow, slot, now, self.limits.flow_interval);
        if !flow.scheduled && flow.is_waiting() {
            flow.scheduled = true;
            let serial = flow.serial;
            let due = now.plus(Assembler::check_interval(&self.bounds()));
            self.waits.push_back((due, slot, serial));
        }
        if self.attention.is_crowded(self.table.len()) {
            let table = &self.table;
            self.attention.prune(|(slot, serial)| table.get(slot).is_some_and(|f| f.serial == serial));
        }
        if self.held() > self.limits.total_bytes {
            self.shed(slot, sink);
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds { bytes: self.limits.flow_bytes, pieces: self.limits.segments, gap_wait: self.limits.gap_wait }
    }

    /// Time as the packets tell it.
    fn advance(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        if !self.waits.is_empty() {
            self.expire_waits(now, sink);
        }
        match self.swept {
            Some(at) if now.0.abs_diff(at.0) < nanos(SWEEP) => {}
            Some(_) => self.sweep(now, sink),
            None => self.swept = Some(now),
        }
    }

    /// Looks at the flows in which something may have waited too long.
    fn expire_waits(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        let interval = nanos(Assembler::check_interval(&self.bounds()));
        // One turn for each entry: those that go on waiting are appended anew.
        for _ in 0..self.waits.len() {
            let Some(&(due, slot, serial)) = self.waits.front() else { break };
            // A time far in the future comes from a capture whose clock was set back.
            if now < due && now.0.abs_diff(due.0) <= interval.saturating_mul(2) {
                break;
            }
            self.waits.pop_front();
            if let Some(flow) = self.table.get_mut(slot).filter(|f| f.serial == serial) {
                flow.scheduled = false;
                flow.expire(now, &mut lend(&self.limits, self.source, self.registry, &self.secrets, sink));
                self.after(slot, now, sink);
            }
        }
    }

    /// Looks at what time changes: idle flows, rows that are due, dissectors that wait for time. Flows
    /// in which nothing goes on cost nothing here.
    fn sweep(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        self.swept = Some(now);
        self.fragments.expire(now, |bytes| sink.problem(Problem::FragmentLost, bytes));
        for queue in Queue::ALL {
            let idle = nanos(match queue {
                Queue::Closed => LINGER,
                Queue::Embryonic | Queue::Datagrams => self.limits.idle.min(SHORT_IDLE),
                Queue::Streams => self.limits.idle,
            });
            while let Some(slot) = self.table.oldest(queue) {
                let Some(flow) = self.table.get_mut(slot) else { break };
                let is_idle = |flow: &Flow| flow.silence(now) > idle;
                if !is_idle(flow) {
                    break;
                }
                // What was left out of a stream is no silence.
                if queue == Queue::Streams {
                    flow.consult(&mut lend(&self.limits, self.source, self.registry, &self.secrets, sink));
                    if !is_idle(flow) {
                        self.attention.note(flow, slot, now, self.limits.flow_interval);
                        self.table.touch(slot, queue);
                        continue;
                    }
                }
                self.close(slot, CloseReason::Idle, sink);
            }
        }
        let waiting = self.attention.take_waiting();
        for &(slot, serial) in &waiting {
            let Some(flow) = self.table.get_mut(slot).filter(|f| f.serial == serial) else { continue };
            flow.listed.waiting = false;
            flow.tick(now, &mut lend(&self.limits, self.source, self.registry, &self.secrets, sink));
            self.after(slot, now, sink);
        }
        self.attention.give_back(waiting);
        while let Some((slot, serial)) = self.attention.take_due(now, self.limits.flow_interval) {
            if let Some(flow) = self.table.get_mut(slot).filter(|f| f.serial == serial) {
                flow.listed.changed = false;
                self.after(slot, now, sink);
            }
        }
    }

    /// Ends a flow, writes its last row and forgets it.
    fn close(&mut self, slot: u32, reason: CloseReason, sink: &mut dyn Sink) {
        let Some(mut flow) = self.table.remove(slot) else { return };
        self.charged -= flow.charged;
        let mut lent = lend(&self.limits, self.source, self.registry, &self.secrets, sink);
        flow.end(Ending::Lost, reason, &mut lent);
        flow.end_plaintext(None, flow::plain::ending(flow.closed.unwrap_or(reason)), &mut lent);
        let last = flow.last_seen;
        flow.report(last, true, &mut lent);
        lent.sink.gone(&flow.name(), flow.closed.unwrap_or(reason));
    }

    /// Makes room in the full table. Flows that are over go first, then those without payload,
    /// then UDP, then TCP; among the last two those with nothing half done, oldest first.
    fn evict(&mut self, sink: &mut dyn Sink) -> bool {
        let idle = Queue::ALL.into_iter().find_map(|queue| match queue {
            Queue::Closed | Queue::Embryonic => self.table.oldest(queue),
            Queue::Datagrams | Queue::Streams => self.oldest_where(queue, |f| !f.is_busy()),
        });
        let any = || Queue::ALL.into_iter().find_map(|queue| self.table.oldest(queue));
        let Some(slot) = idle.or_else(any) else { return false };
        if let Some(flow) = self.table.get(slot).filter(|f| f.closed.is_none()) {
            sink.problem(Problem::FlowEvicted, flow.charged as u64);
        }
        self.close(slot, CloseReason::Evicted, sink);
        true
    }

    /// Gives memory back: of idle flows first, oldest first, then of busy ones, at last of the
    /// flow that has just grown.
    fn shed(&mut self, grown: u32, sink: &mut dyn Sink) {
        while self.held() > self.limits.total_bytes {
            let worth = |f: &Flow| f.charged >= 4_096;
            let find = |busy: bool| {
                [Queue::Datagrams, Queue::Streams]
                    .into_iter()
                    .find_map(|queue| self.oldest_where(queue, |f| worth(f) && f.is_busy() == busy))
            };
            let slot = find(false).or_else(|| find(true)).unwrap_or(grown);
            let Some(flow) = self.table.get_mut(slot) else { break };
            let held = flow.shed(&mut lend(&self.limits, self.source, self.registry, &self.secrets, sink));
            sink.problem(Problem::TotalBudget, held as u64);
            let memory = flow.memory();
            self.charged = self.charged - flow.charged + memory;
            flow.charged = memory;
            if slot == grown {
                break;
            }
        }
    }

    fn oldest_where(&self, queue: Queue, accept: impl Fn(&Flow) -> bool) -> Option<u32> {
        let first = self.table.oldest(queue);
        std::iter::successors(first, |&slot| self.table.newer(slot))
            .take(VICTIMS)
            .find(|&slot| self.table.get(slot).is_some_and(&accept))
    }
}

fn lend<'a>(
    limits: &'a Limits,
    source: CaptureSource,
    registry: &'static [Entry],
    secrets: &'a Secrets,
    sink: &'a mut dyn Sink,
) -> Lent<'a> {
    let within = env::Within { secrets, depth: 0 };
    Lent { limits, source, registry, within, sink }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
