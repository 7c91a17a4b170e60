//! From packets to rows, the engine included.

use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::{Limits, Problem, Sink};
use remora_model::{BatchSet, Call, CallId, CaptureSource, Endpoint, FlowRow, Sides, Timestamp};

use crate::counting::{ALLOCATIONS, Count};
use crate::messages::{REQUEST, WITH_LENGTH};
use crate::support::packets::{ACK, SYN, client, server, tcp};

/// Packets of keep-alive connections, each with the pieces of its messages one after the other.
struct Connections {
    packets: Vec<Vec<u8>>,
    now: i64,
}

impl Connections {
    const COUNT: u16 = 40;

    fn open(engine: &mut Engine, sink: &mut dyn Sink) -> Self {
        for n in 0..Self::COUNT {
            let from = Endpoint { port: 20_000 + n, ..client() };
            for p in [tcp(from, server(), 0, 0, SYN, b""), tcp(server(), from, 0, 1, SYN | ACK, b"")] {
                engine.packet(Timestamp(1_000_000_000), &p, p.len() as u32, sink);
            }
        }
        Self { packets: Vec::new(), now: 1_000_000_000 }
    }

    /// The packets of the `round`th call on every connection: each message in two pieces on every
    /// other connection, an acknowledgement of its own behind it.
    fn prepare(&mut self, round: u32) {
        self.packets.clear();
        let lens = [REQUEST.len() as u32, WITH_LENGTH.len() as u32];
        let [up, down] = lens.map(|len| 1 + round * len);
        for n in 0..Self::COUNT {
            let from = Endpoint { port: 20_000 + n, ..client() };
            let cut = if n % 2 == 0 { 0 } else { 40 };
            for (from, to, seq, ack, message) in
                [(from, server(), up, down, REQUEST), (server(), from, down, up + lens[0], WITH_LENGTH)]
            {
                let (a, b) = message.split_at(cut);
                if cut > 0 {
                    self.packets.push(tcp(from, to, seq, ack, ACK, a));
                }
                self.packets.push(tcp(from, to, seq + cut as u32, ack, ACK, b));
                self.packets.push(tcp(to, from, ack, seq + message.len() as u32, ACK, b""));
            }
        }
    }

    fn send(&mut self, engine: &mut Engine, sink: &mut dyn Sink) {
        for p in &self.packets {
            self.now += 10_000;
            engine.packet(Timestamp(self.now), p, p.len() as u32, sink);
        }
    }
}

#[test]
fn the_engine_does_not_allocate_per_packet() {
    let mut engine = Engine::new(Limits::default(), CaptureSource::Ebpf, FlowIds::new(1, 1));
    let mut count = Count::default();
    let mut connections = Connections::open(&mut engine, &mut count);
    let mut allocations = 0;
    for round in 0..50 {
        connections.prepare(round);
        let before = ALLOCATIONS.get();
        connections.send(&mut engine, &mut count);
        if round >= 10 {
            allocations += ALLOCATIONS.get() - before;
        }
    }
    assert_eq!(count.0, 50 * u64::from(Connections::COUNT));
    assert_eq!(allocations, 0);
}

/// Makes rows as the agent does, without owners.
struct Rows {
    set: BatchSet,
    calls: i64,
}

impl Sink for Rows {
    fn call(&mut self, call: &Call<'_>) {
        self.calls += 1;
        self.set.call(CallId(self.calls), call, &Sides::default());
    }
    fn flow(&mut self, row: &FlowRow<'_>) {
        self.set.flow(row, &Sides::default());
    }
    fn problem(&mut self, problem: Problem, _: u64) {
        panic!("{problem:?}");
    }
}

#[test]
fn rows_allocate_per_batch_and_not_per_call() {
    let mut engine = Engine::new(Limits::default(), CaptureSource::Ebpf, FlowIds::new(1, 1));
    let mut rows = Rows { set: BatchSet::new("n1"), calls: 0 };
    let mut connections = Connections::open(&mut engine, &mut rows);
    const BATCH: u32 = 50;
    let mut each = Vec::new();
    for batch in 0..4 {
        let mut allocations = 0;
        for round in 0..BATCH {
            connections.prepare(batch * BATCH + round);
            let before = ALLOCATIONS.get();
            connections.send(&mut engine, &mut rows);
            allocations += ALLOCATIONS.get() - before;
        }
        rows.set.take().unwrap();
        each.push(allocations);
    }
    assert_eq!(rows.calls, 4 * i64::from(BATCH) * i64::from(Connections::COUNT));
    // The first batch finds out how much room there must be. The others make room once for each
    // vector of a column that has values.
    assert!(each[1..].iter().all(|&n| n <= 120), "{each:?} allocations for {BATCH} calls x 40");
    assert!(each[1] < each[0], "{each:?}");
}
