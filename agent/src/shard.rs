//! One ring, one thread, one engine: from packets to rows.

mod exchange;
mod report;
mod sink;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use remora_dissect::{Engine, FlowIds, Limits, Plaintext, Problem, Sink as _};
use remora_model::{BatchSet, CaptureSource, Timestamp};

pub use self::exchange::Exchange;
use self::exchange::Route;
pub use self::report::{ShardReport, SharedReport};
use self::sink::{BatchSink, RowMaker};
use crate::config::FlushOptions;
use crate::ids::CallIds;
use crate::kernel::{
    Control, Direction, FlowTable, KernelError, PacketRecord, RingReader, ShuntUntil, Wake, packet_flags,
};
use crate::owners::{FlowOwners, Processes};
use crate::packets::Tap;
use crate::ship::ShipQueue;
use crate::tls::Inbox;
use crate::tls::inbox::Parcel;

/// Packets taken from a ring before time is looked at.
const DRAIN: usize = 512;

/// How long a ring may fill before it is looked at again: latency against wake-ups.
const WAIT: Duration = Duration::from_millis(5);

/// Pieces of plaintext taken between batches of packets.
const PIECES: usize = 512;

/// How often the engine is told the time.
const TICK: Duration = Duration::from_secs(1);

/// Packets that are still taken from a ring once the end is near: what a ring holds, roughly.
const LAST_DRAIN: usize = 1 << 20;

/// Where a shard gets its packets from.
pub trait PacketReader: Send {
    /// Hands up to `budget` packets to `f`; fewer mean that there are no more at the moment.
    fn drain(&mut self, budget: usize, f: &mut dyn FnMut(PacketRecord<'_>)) -> usize;

    /// Waits for packets, not much longer than `timeout`.
    ///
    /// # Errors
    /// When there will be none any more.
    fn wait(&mut self, timeout: Duration) -> Result<Wake, KernelError>;
}

impl PacketReader for RingReader {
    fn drain(&mut self, budget: usize, f: &mut dyn FnMut(PacketRecord<'_>)) -> usize {
        Self::drain(self, budget, f)
    }

    fn wait(&mut self, timeout: Duration) -> Result<Wake, KernelError> {
        Self::wait(self, timeout)
    }
}

/// What a shard is made of.
pub struct ShardParts {
    /// Its number, from 0.
    pub index: usize,
    /// How many there are.
    pub shards: usize,
    /// The name of the node.
    pub node: String,
    /// Its share of the budgets.
    pub limits: Limits,
    /// Where the packets come from.
    pub source: CaptureSource,
    /// Supply of call ids.
    pub ids: CallIds,
    /// First flow id of the run.
    pub first_flow: i64,
    /// Owners of flows.
    pub owners: FlowOwners,
    /// Names of owners.
    pub processes: Processes,
    /// Names of processes to which rows are restricted, unless empty.
    pub only: Arc<[String]>,
    /// When rows are handed over.
    pub flush: FlushOptions,
    /// Where they go.
    pub queue: ShipQueue,
    /// The way to the other shards.
    pub exchange: Exchange,
    /// Plaintext of TLS whose flow comes here.
    pub plaintext: Option<Inbox>,
    /// What the kernel has counted of each flow, where it does.
    pub table: Option<FlowTable>,
    /// Where packets are kept as they are.
    pub tap: Option<Tap>,
    /// To leave out bodies in the kernel, from this size on.
    pub shunt: Option<(Control, u64)>,
}

/// The state of a shard's thread.
pub struct Shard {
    engine: Engine,
    rows: RowMaker,
    flush: FlushOptions,
    queue: ShipQueue,
    shunt: Option<Control>,
    plaintext: Option<Inbox>,
    tap: Option<Tap>,
    report: SharedReport,
    flushed: Instant,
    ticked: Instant,
}

impl Shard {
    /// A shard without packets.
    pub fn new(parts: ShardParts) -> Self {
        let step = i64::try_from(parts.shards).unwrap_or(1);
        let first = parts.first_flow + i64::try_from(parts.index).unwrap_or(0);
        let mut engine = Engine::new(parts.limits, parts.source, FlowIds::new(first, step));
        let (shunt, threshold) = parts.shunt.unzip();
        engine.set_shunt_threshold(threshold);
        let now = Instant::now();
        Self {
            engine,
            rows: RowMaker {
                set: BatchSet::new(&parts.node),
                ids: parts.ids,
                owners: parts.owners,
                processes: parts.processes,
                exchange: parts.exchange,
                table: parts.table,
                only: parts.only,
                lean: false,
                now,
                report: ShardReport::default(),
            },
            flush: parts.flush,
            queue: parts.queue,
            shunt,
            plaintext: parts.plaintext,
            tap: parts.tap,
            report: SharedReport::default(),
            flushed: now,
            ticked: now,
        }
    }

    /// What the shard counts, brought up to date with every flush.
    pub fn report(&self) -> SharedReport {
        self.report.clone()
    }

    /// Takes packets from `reader` until it says that it has been stopped, and then what is left.
    pub fn run(mut self, reader: &mut dyn PacketReader) {
        loop {
            let n = reader.drain(DRAIN, &mut |packet| self.packet(&packet));
            self.turn(n < DRAIN);
            if n == DRAIN {
                continue;
            }
            match reader.wait(WAIT) {
                Ok(Wake::Stopped) => break,
                Ok(Wake::Volume | Wake::Timer) => {}
                Err(error) => {
                    tracing::error!(%error, "a shard has lost its ring");
                    break;
                }
            }
        }
        let mut left = LAST_DRAIN;
        while left > 0 && reader.drain(DRAIN, &mut |packet| self.packet(&packet)) > 0 {
            left = left.saturating_sub(DRAIN);
            self.turn(false);
        }
        self.finish();
    }

    /// Takes a packet.
    pub fn packet(&mut self, packet: &PacketRecord<'_>) {
        if let Some(tap) = &mut self.tap {
            tap.packet(packet);
        }
        self.engine.set_scope(packet.netns);
        self.engine.set_tag(packet.flow_id);
        if packet.flags & packet_flags::FRAGMENT != 0 && self.rows.exchange.is_needed() {
            self.fragment(packet);
            return;
        }
        let sink = &mut BatchSink { rows: &mut self.rows, packet: Some(packet) };
        self.engine.packet(packet.time, packet.data, packet.wire_len, sink);
        if let Some(control) = &self.shunt {
            // One packet gives rise to one shunt at most.
            let shunt = self.engine.take_shunts().next();
            if let Some(shunt) = shunt {
                // Without the shunt the bytes keep coming, which is right as well.
                if control.shunt(packet, ShuntUntil::Seq(shunt.until)).is_ok() {
                    self.engine.shunted(&shunt);
                    self.rows.report.shunts += 1;
                }
            }
        }
    }

    fn fragment(&mut self, packet: &PacketRecord<'_>) {
        let sink = &mut BatchSink::new(&mut self.rows);
        let whole = self.engine.defragment(packet.time, packet.data, packet.wire_len, sink);
        match whole.map(|datagram| self.rows.exchange.route(packet.time, datagram)) {
            None | Some(Route::Sent) => {}
            Some(Route::Here(datagram)) => {
                let sink = &mut BatchSink { rows: &mut self.rows, packet: Some(packet) };
                self.engine.datagram(packet.time, &datagram, sink);
            }
            Some(Route::Refused(len)) => {
                BatchSink::new(&mut self.rows).problem(Problem::FragmentLost, len as u64);
            }
        }
    }

    /// Does what is due between batches of packets. `idle`: the ring is empty, so that the clock
    /// may speak for the packets.
    pub fn turn(&mut self, idle: bool) {
        let now = Instant::now();
        self.rows.now = now;
        if let Some(tap) = &mut self.tap {
            tap.turn(now);
        }
        while let Some((ts, datagram)) = self.rows.exchange.take() {
            self.engine.datagram(ts, &datagram, &mut BatchSink::new(&mut self.rows));
        }
        self.take_plaintext(PIECES);
        if idle && now.duration_since(self.ticked) >= TICK {
            self.ticked = now;
            self.engine.tick(wall_clock(), &mut BatchSink::new(&mut self.rows));
        }
        let set = &self.rows.set;
        let full = set.rows() >= self.flush.rows || set.bytes() >= self.flush.bytes;
        if full || now.duration_since(self.flushed) >= self.flush.interval {
            self.flushed = now;
            self.hand_over();
        }
    }

    /// Takes what other threads have sent of the plaintext of TLS.
    fn take_plaintext(&mut self, most: usize) {
        for _ in 0..most {
            let Some(parcel) = self.plaintext.as_ref().and_then(Inbox::take) else { break };
            match parcel {
                Parcel::Data { piece, from, to, scope, flow, method, doubtful } => {
                    self.engine.set_scope(scope);
                    self.engine.set_tag(flow);
                    // As if a packet told of its owner.
                    let owner = PacketRecord {
                        time: piece.ts,
                        data: &[],
                        wire_len: 0,
                        ip_version: if from.ip.is_ipv4() { 4 } else { 6 },
                        protocol: 6,
                        direction: if piece.at_sender { Direction::Egress } else { Direction::Ingress },
                        flags: 0,
                        l4_offset: 0,
                        payload_offset: 0,
                        ifindex: 0,
                        cgroup_id: piece.cgroup_id,
                        tgid: piece.tgid,
                        netns: scope,
                        flow_id: flow,
                    };
                    let text = Plaintext {
                        conn: piece.conn,
                        from,
                        to,
                        at_sender: piece.at_sender,
                        pos: piece.pos,
                        len: piece.len,
                        bytes: &piece.bytes,
                        fresh: piece.fresh,
                        method,
                        doubtful,
                    };
                    let sink = &mut BatchSink { rows: &mut self.rows, packet: Some(&owner) };
                    self.engine.plaintext(piece.ts, &text, sink);
                }
                Parcel::End { ts, scope, conn, ends } => {
                    self.engine.set_scope(scope);
                    self.engine.plaintext_end(ts, conn, ends, &mut BatchSink::new(&mut self.rows));
                }
            }
        }
    }

    /// Ends all flows and hands everything over.
    pub fn finish(&mut self) {
        // Hands over what it has.
        self.tap = None;
        self.take_plaintext(usize::MAX);
        self.engine.finish(&mut BatchSink::new(&mut self.rows));
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let bytes = self.rows.set.bytes();
        let rows = self.rows.set.rows();
        if rows > 0 {
            match self.rows.set.take() {
                Ok(tables) => self.queue.push(tables, bytes),
                Err(error) => {
                    tracing::error!(%error, rows, "rows that do not make columns");
                    self.rows.report.broken_rows += rows as u64;
                }
            }
        }
        self.rows.lean = self.queue.is_strained();
        self.rows.report.engine = self.engine.stats();
        self.rows.report.known_owners = self.rows.owners.len() as u64;
        self.report.publish(&self.rows.report);
    }
}

fn wall_clock() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}
