//! Drives one dissector over byte streams, without packets and without an engine: for tests,
//! fuzzing and measurements.
//!
//! It keeps the engine's side of the [`Dissector`] contract: bytes that were not taken are shown
//! again with what follows, [`Taken::AndSkip`] is counted off whether bytes arrive or are missing,
//! and a gap takes what was shown and not taken with it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use remora_model::{Call, CaptureSource, Endpoint, FieldId, FlowId, FlowRow, Timestamp, Transport, ValueRef};

use crate::detect::Entry;
use crate::dissector::Times;
use crate::engine::nested::Within;
use crate::tls::Secrets;
use crate::{Context, Dissector, Ending, Limits, Problem, Role, Sink, Taken};

/// A field's value, owned.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// Text.
    Text(Vec<u8>),
    /// A list of texts.
    List(Vec<Vec<u8>>),
    /// Pairs of text in wire order.
    Map(Vec<(Vec<u8>, Vec<u8>)>),
}

impl From<&ValueRef<'_>> for Value {
    fn from(v: &ValueRef<'_>) -> Self {
        match v {
            ValueRef::Bool(b) => Self::Bool(*b),
            ValueRef::Int(i) => Self::Int(*i),
            ValueRef::Text(t) => Self::Text(t.to_vec()),
            ValueRef::List(l) => Self::List(l.iter().map(|t| t.to_vec()).collect()),
            ValueRef::Map(m) => Self::Map(m.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect()),
            ValueRef::Pairs(p) => Self::Map(p.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect()),
        }
    }
}

/// A call, owned: everything that a dissector decides about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// See [`Call::ts`].
    pub ts: i64,
    /// See [`Call::elapsed_us`].
    pub elapsed_us: Option<i64>,
    /// See [`Call::ttlb_us`].
    pub ttlb_us: Option<i64>,
    /// See [`Call::request_bytes`].
    pub request_bytes: Option<i64>,
    /// See [`Call::response_bytes`].
    pub response_bytes: Option<i64>,
    /// See [`Call::request_pos`].
    pub request_pos: Option<i64>,
    /// See [`Call::response_pos`].
    pub response_pos: Option<i64>,
    /// See [`Call::failed`].
    pub failed: bool,
    /// See [`Call::client_error`].
    pub client_error: bool,
    /// The value of the field `incomplete`.
    pub incomplete: Option<&'static str>,
    /// The protocol's fields by name.
    pub fields: BTreeMap<&'static str, Value>,
}

impl Recorded {
    fn new(call: &Call<'_>) -> Self {
        let mut fields = BTreeMap::new();
        for (id, value) in call.fields {
            let twice = fields.insert(id.def().name, Value::from(value));
            assert!(twice.is_none(), "{} is there twice", id.def().name);
        }
        Self {
            ts: call.ts.0,
            elapsed_us: call.elapsed_us,
            ttlb_us: call.ttlb_us,
            request_bytes: call.request_bytes,
            response_bytes: call.response_bytes,
            request_pos: call.request_pos,
            response_pos: call.response_pos,
            failed: call.failed,
            client_error: call.client_error,
            incomplete: call.incomplete.map(|i| i.name()),
            fields,
        }
    }

    /// The field, if the call has it.
    pub fn get(&self, id: FieldId) -> Option<&Value> {
        self.fields.get(id.def().name)
    }

    /// The text field, invalid UTF-8 replaced; empty where the call lacks it.
    pub fn text(&self, id: FieldId) -> String {
        match self.get(id) {
            Some(Value::Text(t)) => String::from_utf8_lossy(t).into_owned(),
            _ => String::new(),
        }
    }

    /// The integer field.
    pub fn int(&self, id: FieldId) -> Option<i64> {
        match self.get(id) {
            Some(Value::Int(i)) => Some(*i),
            _ => None,
        }
    }

    /// True when the boolean field is there and true.
    pub fn is(&self, id: FieldId) -> bool {
        self.get(id) == Some(&Value::Bool(true))
    }

    /// The values under `key` in the map field, joined by a comma and a space.
    pub fn entry(&self, id: FieldId, key: &str) -> Option<String> {
        let Some(Value::Map(pairs)) = self.get(id) else { return None };
        let found: Vec<_> = pairs
            .iter()
            .filter(|(k, _)| k == key.as_bytes())
            .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
            .collect();
        (!found.is_empty()).then(|| found.join(", "))
    }
}

/// Keeps everything that it is handed.
#[derive(Default)]
pub struct Recorder {
    /// Calls in the order in which they were reported.
    pub calls: Vec<Recorded>,
    /// How often and for how many bytes each problem was counted.
    pub problems: BTreeMap<Problem, (u64, u64)>,
}

impl Sink for Recorder {
    fn call(&mut self, call: &Call<'_>) {
        self.calls.push(Recorded::new(call));
    }

    fn flow(&mut self, _: &FlowRow<'_>) {}

    fn problem(&mut self, problem: Problem, bytes: u64) {
        let entry = self.problems.entry(problem).or_default();
        entry.0 += 1;
        entry.1 += bytes;
    }
}

#[derive(Default)]
struct Side {
    /// What was shown and not taken, with what has arrived since.
    waiting: Vec<u8>,
    /// Arrival times of `waiting`.
    times: Vec<(usize, Timestamp)>,
    /// Stream offset of the first waiting byte.
    pos: u64,
    /// Bytes still to be counted off, and those of them that were missing so far.
    skip: Option<(u64, u64)>,
}

/// One flow.
pub struct Harness<S: Sink = Recorder> {
    dissector: Box<dyn Dissector>,
    limits: Limits,
    transport: Transport,
    sides: [Side; 2],
    now: Timestamp,
    handed_over: bool,
    secrets: Secrets,
    /// Receives what the dissector finds.
    pub sink: S,
}

impl Harness {
    /// A flow of that protocol with default limits.
    pub fn new(entry: &Entry, transport: Transport) -> Self {
        Self::with(entry, transport, Limits::default(), Recorder::default())
    }
}

impl<S: Sink> Harness<S> {
    /// A flow of that protocol.
    pub fn with(entry: &Entry, transport: Transport, limits: Limits, sink: S) -> Self {
        Self {
            dissector: (entry.start)(&limits, transport),
            limits,
            transport,
            sides: Default::default(),
            now: Timestamp(0),
            handed_over: false,
            secrets: Secrets::default(),
            sink,
        }
    }

    /// Sets the secrets with which TLS is read.
    pub fn set_secrets(&mut self, secrets: Secrets) -> &mut Self {
        self.secrets = secrets;
        self
    }

    /// What follows happens at this time.
    pub fn at(&mut self, micros: i64) -> &mut Self {
        self.now = Timestamp(micros.saturating_mul(1_000));
        self
    }

    /// The client sends `bytes`.
    pub fn client(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.send(Role::Client, bytes.as_ref())
    }

    /// The server sends `bytes`.
    pub fn server(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.send(Role::Server, bytes.as_ref())
    }

    /// `role` sends `bytes`: the next part of its stream, or one datagram.
    pub fn send(&mut self, role: Role, mut bytes: &[u8]) -> &mut Self {
        if self.handed_over {
            return self;
        }
        if self.transport != Transport::Tcp {
            let now = self.now;
            let pos = self.sides[role.index()].pos;
            self.call(pos, &[(0, now)], |d, cx| {
                d.data(role, bytes, cx);
            });
            self.sides[role.index()].pos += bytes.len() as u64;
            return self;
        }
        if self.sides[role.index()].skip.is_some() {
            let n = self.count_off(role, bytes.len() as u64, false);
            bytes = bytes.get(usize::try_from(n).unwrap_or(usize::MAX)..).unwrap_or_default();
        }
        if bytes.is_empty() {
            return self;
        }
        let now = self.now;
        let side = &mut self.sides[role.index()];
        side.times.push((side.waiting.len(), now));
        side.waiting.extend_from_slice(bytes);
        // The side's buffers are out of `self` while the dissector looks at them.
        let mut waiting = std::mem::take(&mut side.waiting);
        let mut times = std::mem::take(&mut side.times);
        let pos = side.pos;
        let taken = self.call(pos, &times, |d, cx| d.data(role, &waiting, cx));
        let side = &mut self.sides[role.index()];
        match taken {
            Taken::Bytes(n) => {
                assert!(n <= waiting.len(), "took {n} of {} bytes", waiting.len());
                waiting.drain(..n);
                side.pos += n as u64;
                let first = times.partition_point(|&(from, _)| from <= n).saturating_sub(1);
                times.drain(..first);
                times.iter_mut().for_each(|t| t.0 = t.0.saturating_sub(n));
                if waiting.is_empty() {
                    times.clear();
                }
            }
            Taken::AndSkip(n) => {
                side.pos += waiting.len() as u64;
                side.skip = Some((n, 0));
                waiting.clear();
                times.clear();
            }
            Taken::Handover(n) => {
                assert!(n <= waiting.len(), "took {n} of {} bytes", waiting.len());
                self.handed_over = true;
                return self;
            }
        }
        side.waiting = waiting;
        side.times = times;
        if self.sides[role.index()].skip.is_some_and(|(left, _)| left == 0) {
            self.count_off(role, 0, false);
        }
        self
    }

    /// The stream of `role` does not begin with its first byte, and `passed` bytes were passed over.
    pub fn joined(&mut self, role: Role, passed: u64) -> &mut Self {
        self.sides[role.index()].pos += passed;
        self.dissector.joined(role, passed);
        self
    }

    /// `len` bytes from `role` were never captured.
    pub fn gap(&mut self, role: Role, mut len: u64) -> &mut Self {
        if self.sides[role.index()].skip.is_some() {
            len -= self.count_off(role, len, true);
        }
        if len > 0 {
            let side = &mut self.sides[role.index()];
            side.pos += side.waiting.len() as u64;
            side.waiting.clear();
            side.times.clear();
            let (pos, now) = (side.pos, self.now);
            self.call(pos, &[(0, now)], |d, cx| d.gap(role, len, cx));
            self.sides[role.index()].pos += len;
        }
        self
    }

    /// Nothing more comes from `role`.
    pub fn end(&mut self, role: Role, how: Ending) -> &mut Self {
        let side = &mut self.sides[role.index()];
        let rest = std::mem::take(&mut side.waiting);
        let mut times = std::mem::take(&mut side.times);
        if times.is_empty() {
            times.push((0, self.now));
        }
        let pos = side.pos;
        self.call(pos, &times, |d, cx| d.end(role, &rest, how, cx));
        self
    }

    /// Both sides end, the client first.
    pub fn close(&mut self, how: Ending) -> &mut Self {
        self.end(Role::Client, how).end(Role::Server, how)
    }

    /// Time passes.
    pub fn tick(&mut self) -> &mut Self {
        let now = self.now;
        // As the engine does it.
        if self.dissector.awaits_time() {
            self.call(0, &[(0, now)], |d, cx| d.tick(now, cx));
        }
        self
    }

    /// True once the dissector has said that what follows is another protocol. What is sent after
    /// that is ignored.
    pub fn handed_over(&self) -> bool {
        self.handed_over
    }

    /// The dissector, to ask it for its state.
    pub fn dissector(&self) -> &dyn Dissector {
        self.dissector.as_ref()
    }

    /// Bytes of `role` that the dissector asked not to see and that have not passed yet.
    pub fn skipping(&self, role: Role) -> u64 {
        self.sides[role.index()].skip.map_or(0, |(left, _)| left)
    }

    /// Counts off up to `len` skipped bytes and says how many it were.
    fn count_off(&mut self, role: Role, len: u64, missing: bool) -> u64 {
        let now = self.now;
        let side = &mut self.sides[role.index()];
        let Some((left, lost)) = side.skip.as_mut() else { return 0 };
        let n = len.min(*left);
        *left -= n;
        side.pos += n;
        if missing {
            *lost += n;
        }
        if *left == 0 {
            let (lost, pos) = (*lost, side.pos);
            side.skip = None;
            self.call(pos, &[(0, now)], |d, cx| d.skipped(role, lost, cx));
        }
        n
    }

    fn call<R>(
        &mut self,
        pos: u64,
        times: &[(usize, Timestamp)],
        f: impl FnOnce(&mut dyn Dissector, &mut Context<'_>) -> R,
    ) -> R {
        let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let mut cx = Context {
            flow: FlowId(1),
            transport: self.transport,
            client: Endpoint { ip: address(1), port: 40_000 },
            server: Endpoint { ip: address(2), port: 80 },
            source: CaptureSource::File,
            tls: false,
            registry: crate::detect::REGISTRY,
            within: Within { secrets: &self.secrets, depth: 0 },
            tally: Default::default(),
            limits: &self.limits,
            pos,
            times: Times(times),
            sink: &mut self.sink,
        };
        f(self.dissector.as_mut(), &mut cx)
    }
}
