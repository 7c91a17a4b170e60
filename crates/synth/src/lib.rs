//! Traffic that looks like that of a shop of twenty services, drawn from a seed: for benchmarks and tests.
//!
//! A user's request leads to calls of eight protocols (HTTP, gRPC, DNS, Redis, Kafka, AMQP, MongoDB, PostgreSQL)
//! that share a trace. A few users, articles and paths have most of the calls. Latencies have a long tail; some
//! calls fail at all times, and payments fail for five minutes of every hour. HTTP, Kafka, MongoDB, PostgreSQL
//! and gRPC calls have bodies. The same seed gives the same calls on every machine.

mod calls;
mod random;
mod services;
mod text;

use remora_model::{BatchSet, CallId, Protocol, Timestamp};

use crate::calls::Writer;
use crate::random::Random;
use crate::services::{EDGES, SERVICES};

/// Users' requests per second, which lead to about seven calls each.
const REQUESTS_PER_SECOND: f64 = 200.0;

/// Users, of whom few come often.
const USERS: u64 = 200_000;

/// Articles, of which few are asked for often.
const ARTICLES: u64 = 50_000;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// One user's request and what it leads to have this in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) number: u64,
    pub(crate) trace: u128,
    pub(crate) user: u64,
    pub(crate) article: u64,
    /// Payments fail at this time.
    pub(crate) outage: bool,
}

/// A source of calls without end.
pub struct Traffic {
    seed: u64,
    random: Random,
    start: Timestamp,
    now: i64,
    requests: u64,
    next_id: i64,
    wire_bytes: u64,
    /// Calls that are drawn and not taken yet: which edge, when, and of which request.
    waiting: Vec<(usize, i64, Request)>,
    writer: Writer,
}

impl Traffic {
    /// Traffic from `start` on. Ids of calls count from 1.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        Self {
            seed,
            random: Random::new(seed),
            start,
            now: start.0,
            requests: 0,
            next_id: 1,
            wire_bytes: 0,
            waiting: Vec::new(),
            writer: Writer::default(),
        }
    }

    /// Adds that many calls, in about the order of time, as a capture has them.
    pub fn add(&mut self, set: &mut BatchSet, calls: usize) {
        for _ in 0..calls {
            while self.waiting.is_empty() {
                self.draw();
            }
            let Some((edge, ts, request)) = self.waiting.pop() else { return };
            let Some(edge) = EDGES.get(edge) else { return };
            let id = CallId(self.next_id);
            self.next_id += 1;
            self.wire_bytes += self.writer.write(set, id, edge, Timestamp(ts), &request, &mut self.random);
        }
    }

    /// Calls so far.
    pub const fn calls(&self) -> i64 {
        self.next_id - 1
    }

    /// Time of the newest request so far.
    pub const fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// Bytes that a capture file of these calls would have: see [`capture_bytes`].
    pub const fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// The trace of a user's request, counted from 0, as text.
    pub fn trace_id(&self, request: u64) -> String {
        format!("{:032x}", trace(self.seed, request))
    }

    /// The users' requests so far.
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Draws a user's request and what it leads to.
    fn draw(&mut self) {
        self.now += self.random.pause(SECOND as f64 / REQUESTS_PER_SECOND);
        let request = Request {
            number: self.requests,
            trace: trace(self.seed, self.requests),
            user: self.random.skewed(USERS),
            article: self.random.skewed(ARTICLES),
            outage: ((self.now - self.start.0) / (60 * SECOND)) % 60 / 5 == 4,
        };
        self.requests += 1;
        let mut at = self.now;
        for (i, edge) in EDGES.iter().enumerate() {
            if self.random.below(1_000) < edge.per_thousand {
                self.waiting.push((i, at, request));
                at += 50_000 + self.random.below(400_000) as i64;
            }
        }
        // The first is taken first.
        self.waiting.reverse();
    }
}

fn trace(seed: u64, request: u64) -> u128 {
    let half = |n: u64| u128::from(random::mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed));
    half(request * 2 + 1) << 64 | half(request * 2 + 2)
}

/// Names of the services.
pub fn services() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|s| s.name)
}

/// The protocols that the traffic has.
pub fn protocols() -> Vec<Protocol> {
    let mut all: Vec<Protocol> = EDGES.iter().map(|e| e.protocol).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Bytes of a call in a capture file, whose connection is kept open: messages in segments of 1448 bytes, an
/// acknowledgement for every second of them and at least one, and for each packet the headers of TCP with
/// time stamps (32), IPv4 (20), Ethernet (14) and of a record in a pcap file (16). UDP has one packet for each
/// message and a header of 8.
pub const fn capture_bytes(udp: bool, request: u64, response: u64) -> u64 {
    const SEGMENT: u64 = 1448;
    let (packets, header) = if udp {
        (2, 8 + 20 + 14 + 16)
    } else {
        let data = request.div_ceil(SEGMENT) + response.div_ceil(SEGMENT);
        (data + if data / 2 > 1 { data / 2 } else { 1 }, 32 + 20 + 14 + 16)
    };
    request + response + packets * header
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use remora_model::row;

    use super::*;

    fn drawn(seed: u64, calls: usize) -> (Traffic, Vec<remora_model::TableBatch>) {
        let mut traffic = Traffic::new(seed, Timestamp(1_795_000_000 * SECOND));
        let mut set = BatchSet::new("node-1");
        traffic.add(&mut set, calls);
        (traffic, set.take().unwrap())
    }

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let rows = |seed| -> Vec<String> {
            let (_, batches) = drawn(seed, 500);
            let of = |b: &remora_model::TableBatch| {
                (0..b.batch.num_rows())
                    .map(|i| format!("{:?}", row::to_json(&b.batch, i)))
                    .collect::<Vec<_>>()
            };
            batches.iter().flat_map(of).collect()
        };
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
    }

    #[test]
    fn it_has_services_protocols_errors_bodies_and_few_that_come_often() {
        let (traffic, batches) = drawn(3, 60_000);
        assert_eq!((services().count(), protocols().len(), batches.len()), (20, 8, 8));
        let (mut rows, mut failed, mut bodies) = (0, 0, 0);
        let mut paths: BTreeMap<String, usize> = BTreeMap::new();
        for b in &batches {
            for i in 0..b.batch.num_rows() {
                let row = row::to_json(&b.batch, i);
                rows += 1;
                failed += usize::from(row["failed"] == true);
                bodies += usize::from(row.contains_key("response.body"));
                if let Some(path) = row.get("path").and_then(|p| p.as_str()) {
                    *paths.entry(path.to_owned()).or_default() += 1;
                }
            }
        }
        assert_eq!(rows, 60_000);
        assert!(failed > rows / 1_000 && failed < rows / 20, "{failed}");
        assert!(bodies > rows / 4, "{bodies}");
        let most = paths.values().max().unwrap();
        assert!(paths.len() > 1_000 && *most > 300, "{} paths, one has {most}", paths.len());
        let each = traffic.wire_bytes() as usize / rows;
        assert!((500..5_000).contains(&each), "{each} bytes of a capture for each call");
        let trace = traffic.trace_id(5);
        let of_trace = batches
            .iter()
            .flat_map(|b| (0..b.batch.num_rows()).map(|i| row::to_json(&b.batch, i)).collect::<Vec<_>>());
        assert!(of_trace.filter(|r| r.get("trace_id").is_some_and(|t| *t == trace)).count() >= 1);
    }

    #[test]
    fn captures_count_headers_and_acknowledgements() {
        assert_eq!(capture_bytes(true, 40, 80), 120 + 2 * 58);
        assert_eq!(capture_bytes(false, 100, 200), 300 + 3 * 82);
        assert_eq!(capture_bytes(false, 100, 5_000), 5_100 + 7 * 82);
    }
}
