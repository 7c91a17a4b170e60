//! What calls state, and whether a run that saw less contradicts one that saw all.
//!
//! A call of the run that saw less is *invented* unless the run that saw all has a call
//! - in the same connection with the same roles, of the same protocol,
//! - of which it states no fact otherwise. A call that is whole has the same times, lengths and
//!   outcome, and each field that it has has the same value. A call that is marked incomplete, or
//!   whose protocol marks what it could not read (a header `?` of HTTP/2), may have seen a part:
//!   its times lie within those of the other, its lengths and counts are not greater, its texts,
//!   lists and maps are parts;
//! - which no other call stands for: the request of a call is told once, and so is its response.
//!
//! What is missing is no contradiction: a statement that was prepared before the capture began has
//! no text. Nor is what a field says by its definition of the half that was seen ([`OF_EITHER`]),
//! or a call that the run that saw all has not whole.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

#[path = "parts.rs"]
mod parts;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use remora_dissect::harness::Value;
use remora_dissect::{Problem, Sink};
use remora_model::{Call, Endpoint, FlowRow, Protocol, field};

use parts::{OF_THE_HALF_SEEN, REMEMBERED, SUMMARIES, contains, is_part, is_topic_id};

/// A call, owned, with the connection that it was in.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    pub protocol: Protocol,
    pub client: Endpoint,
    pub server: Endpoint,
    pub ts: i64,
    pub elapsed_us: Option<i64>,
    pub ttlb_us: Option<i64>,
    pub lengths: [Option<i64>; 2],
    pub places: [Option<i64>; 2],
    pub failed: bool,
    pub client_error: bool,
    pub incomplete: Option<&'static str>,
    pub fields: BTreeMap<&'static str, Value>,
}

/// Keeps calls and problems.
#[derive(Default)]
pub struct Statements {
    pub calls: Vec<Stated>,
    pub problems: BTreeMap<Problem, u64>,
}

impl Sink for Statements {
    fn call(&mut self, call: &Call<'_>) {
        self.calls.push(Stated {
            protocol: call.protocol,
            client: call.client,
            server: call.server,
            ts: call.ts.0,
            elapsed_us: call.elapsed_us,
            ttlb_us: call.ttlb_us,
            lengths: [call.request_bytes, call.response_bytes],
            places: [call.request_pos, call.response_pos],
            failed: call.failed,
            client_error: call.client_error,
            incomplete: call.incomplete.map(|i| i.name()),
            fields: call.fields.iter().map(|(id, v)| (id.def().name, Value::from(v))).collect(),
        });
    }
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, problem: Problem, _: u64) {
        *self.problems.entry(problem).or_default() += 1;
    }
}

impl Stated {
    /// Some of its header fields are not known: what depends on them is not either. Or a topic is
    /// named by its id, or a value of unknown type is shown in hexadecimal.
    fn guesses(&self) -> bool {
        let rows = self.fields.get(field::RESPONSE_BODY.def().name);
        if let (Protocol::Postgresql, Some(Value::Text(rows))) = (self.protocol, rows)
            && rows.windows(3).any(|w| w == br"\\x")
        {
            return true;
        }
        let parameters = self.fields.get(field::POSTGRESQL_PARAMETERS.def().name);
        if let Some(Value::List(values)) = parameters
            && values.iter().any(|v| v.starts_with(b"\\x"))
        {
            return true;
        }
        let values = self.fields.get(field::CASSANDRA_VALUES.def().name);
        if let Some(Value::List(values)) = values
            && values.iter().any(|v| v.starts_with(b"\\x"))
        {
            return true;
        }
        let topics = self.fields.get(field::KAFKA_TOPICS.def().name);
        if let Some(Value::List(topics)) = topics
            && topics.iter().any(|t| is_topic_id(t))
        {
            return true;
        }
        self.fields.contains_key(field::HTTP2_UNKNOWN_HEADERS.def().name)
    }

    /// Bodies are decoded by what the headers say: of gRPC, of a content coding. Rows are by the types
    /// and names of columns.
    fn knows_body_of(&self, whole: &Self) -> bool {
        if self.protocol == Protocol::Postgresql {
            return false;
        }
        let headers = |c: &Self| {
            [field::REQUEST_HEADERS, field::RESPONSE_HEADERS].map(|id| c.fields.get(id.def().name).cloned())
        };
        self.protocol == whole.protocol && headers(self) == headers(whole)
    }

    /// Where to look for the same call: whether it is one of gRPC, only its headers tell, and whether
    /// it is one of GraphQL, only its request.
    fn key(&self) -> (Protocol, Endpoint, Endpoint) {
        let http = matches!(self.protocol, Protocol::Grpc | Protocol::Gql);
        (if http { Protocol::Http } else { self.protocol }, self.client, self.server)
    }

    /// When its last byte came; far away where that is not known.
    fn until(&self) -> i64 {
        self.ttlb_us.map_or(i64::MAX, |us| self.ts + (us + 1) * 1_000)
    }

    /// True when some field of it has the text in it.
    fn says(&self, text: &[u8]) -> bool {
        self.fields.values().any(|value| match value {
            Value::Text(t) => contains(t, text),
            Value::List(l) => l.iter().any(|t| contains(t, text)),
            _ => false,
        })
    }

    /// True for a message that needs no answer, where a receipt for it was not known as one: whether
    /// messages get any is agreed on at the beginning.
    fn misses_a_receipt(&self, whole: &Self) -> bool {
        let said = |name: &str, text: &[u8]| whole.fields.get(name) == Some(&Value::Text(text.to_vec()));
        let receipt = said("amqp_response_method", b"basic.ack")
            || said("amqp_response_method", b"basic.nack")
            || said("nats_response_operation", b"+OK")
            || said("nats_response_operation", b"-ERR");
        receipt && self.lengths[1].is_none()
    }

    /// One of the replies to a SUBSCRIBE of Redis, or its kin, that was not seen. There is one for each
    /// channel, and nothing in them tells which belong to the same command: each is told by itself, and
    /// only that none is told twice can be asked for.
    fn is_one_of_several(&self) -> bool {
        let name = self.fields.get(field::REDIS_TYPE.def().name);
        let subscription = matches!(name, Some(Value::Text(name)) if name.ends_with(b"SUBSCRIBE"));
        self.protocol == Protocol::Redis && self.lengths[0].is_none() && subscription
    }

    /// The content of a stream of HTTP/2 whose request was not seen, and was one for WebSocket (RFC 8441):
    /// only the request says so, and the call of the request ends where the messages begin.
    fn is_content_of_a_tunnel(&self, whole: &Self) -> bool {
        let said = |id: remora_model::FieldId| self.fields.get(id.def().name);
        let of = |id: remora_model::FieldId| whole.fields.get(id.def().name);
        self.incomplete.is_some()
            && self.protocol == Protocol::Http
            && said(field::METHOD).is_none()
            && of(field::METHOD) == Some(&Value::Text(b"CONNECT".to_vec()))
            && said(field::HTTP2_STREAM).is_some()
            && said(field::HTTP2_STREAM) == of(field::HTTP2_STREAM)
            && self.ts >= whole.ts
            && !self.failed
    }

    /// In a line that people can read.
    fn line(&self) -> String {
        let mut out = format!(
            "{} {}>{} at {} {} us, bytes {:?} at {:?}{}{}",
            self.protocol.name(),
            self.client.port,
            self.server.port,
            self.ts / 1_000,
            self.ttlb_us.map_or("?".to_owned(), |us| us.to_string()),
            self.lengths,
            self.places,
            if self.failed { " failed" } else { "" },
            self.incomplete.map_or(String::new(), |why| format!(" {why}")),
        );
        for (name, value) in &self.fields {
            let value = shown(value);
            write!(out, " {name}={}", value.chars().take(60).collect::<String>()).unwrap();
        }
        out
    }

    /// What it says otherwise than `whole`, which has seen everything.
    pub fn contradicts(&self, whole: &Self) -> Option<String> {
        if self.is_content_of_a_tunnel(whole) {
            return None;
        }
        let partial = self.incomplete.is_some() || self.guesses() || self.misses_a_receipt(whole);
        if self.protocol != whole.protocol && !(partial && self.protocol == Protocol::Http) {
            return Some(format!("it is {}", self.protocol.name()));
        }
        if whole.incomplete.is_some() || whole.guesses() {
            // Neither has seen all of it.
            if self.ts > whole.until() || whole.ts > self.until() {
                return Some(format!("at {} instead of {} to {}", self.ts, whole.ts, whole.until()));
            }
            return self.fields.iter().find_map(|(name, value)| {
                let all = whole.fields.get(name)?;
                let decoded = name.ends_with(".body") && !self.knows_body_of(whole);
                let unknown = *name == field::HTTP2_UNKNOWN_HEADERS.def().name;
                let fits = decoded
                    || unknown
                    || value == all
                    || is_part(name, value, all)
                    || is_part(name, all, value);
                (!fits).then(|| format!("{name} is {} instead of {}", shown(value), shown(all)))
            });
        }
        if !partial {
            let head =
                |c: &Self| (c.ts, c.elapsed_us, c.ttlb_us, c.lengths, c.failed, c.client_error, c.incomplete);
            if head(self) != head(whole) {
                return Some(format!("{:?} instead of {:?}", head(self), head(whole)));
            }
        } else {
            if self.ts < whole.ts || self.ts > whole.until() {
                return Some(format!("at {} instead of {} to {}", self.ts, whole.ts, whole.until()));
            }
            for (part, all) in self.lengths.iter().zip(&whole.lengths) {
                if part.is_some_and(|part| all.is_none_or(|all| part > all)) {
                    return Some(format!("lengths {:?} of {:?}", self.lengths, whole.lengths));
                }
            }
            if (self.failed && !whole.failed) || (self.client_error && !whole.client_error) {
                return Some("it has failed".to_owned());
            }
        }
        self.fields.iter().find_map(|(name, value)| {
            if *name == field::HTTP2_UNKNOWN_HEADERS.def().name {
                return None;
            }
            let all = whole.fields.get(name);
            if partial && name.ends_with(".body") && !self.knows_body_of(whole) {
                return None;
            }
            if partial && self.lengths[0].is_none() && OF_THE_HALF_SEEN.contains(name) {
                return None;
            }
            if let (true, Value::Text(text)) = (SUMMARIES.contains(name), value)
                && text.split(|b| *b == b' ').all(|word| whole.says(word))
            {
                return None;
            }
            // An OP_REPLY is shown as the answer to a command only where the command was seen.
            if partial && self.lengths[0].is_none() && *name == "mongodb_response_body" {
                return None;
            }
            // What was remembered may have changed where something is missing.
            if REMEMBERED.contains(name) && all.is_none_or(|all| is_part(name, value, all)) {
                return None;
            }
            // What is cut or not seen, where nothing was cut.
            let mark = partial && matches!(value, Value::Bool(_)) && all.is_none();
            let fits = mark || all.is_some_and(|all| value == all || (partial && is_part(name, value, all)));
            (!fits).then(|| {
                format!("{name} is {} instead of {}", shown(value), all.map_or("nothing".to_owned(), shown))
            })
        })
    }
}

fn shown(value: &Value) -> String {
    let text = |t: &[u8]| String::from_utf8_lossy(t).escape_debug().to_string();
    match value {
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Text(t) => text(t),
        Value::List(l) => format!("[{}]", l.iter().map(|t| text(t)).collect::<Vec<_>>().join(", ")),
        Value::Map(m) => {
            let pairs = m.iter().map(|(k, v)| format!("{}: {}", text(k), text(v)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The calls of a run that saw all, to compare others with.
pub struct Whole<'a> {
    calls: &'a [Stated],
    by_flow: HashMap<(Protocol, Endpoint, Endpoint), Vec<usize>>,
}

impl<'a> Whole<'a> {
    pub fn new(calls: &'a [Stated]) -> Self {
        let mut by_flow: HashMap<_, Vec<usize>> = HashMap::new();
        for (i, call) in calls.iter().enumerate() {
            by_flow.entry(call.key()).or_default().push(i);
        }
        Self { calls, by_flow }
    }

    /// The first call of `part` that is invented, and why.
    pub fn invented(&self, part: &[Stated]) -> Option<String> {
        let mut fitting = Vec::with_capacity(part.len());
        for call in part {
            let of_flow = self.by_flow.get(&call.key()).map_or(&[][..], Vec::as_slice);
            let fits: Vec<usize> =
                of_flow.iter().copied().filter(|&i| call.contradicts(&self.calls[i]).is_none()).collect();
            if fits.is_empty() {
                return Some(self.explain(call, of_flow));
            }
            fitting.push(fits);
        }
        for side in [0, 1] {
            let with: Vec<usize> = (0..part.len())
                .filter(|&i| part[i].lengths[side].is_some() && !(side == 1 && part[i].is_one_of_several()))
                .collect();
            let choices: Vec<&[usize]> = with.iter().map(|&i| fitting[i].as_slice()).collect();
            if let Some(lone) = unmatched(&choices) {
                return Some(format!(
                    "its {} is told twice: {}",
                    ["request", "response"][side],
                    part[with[lone]].line()
                ));
            }
        }
        let mut places = BTreeSet::new();
        let several = part.iter().filter(|c| c.is_one_of_several());
        let twice = several.map(|c| (c.client, c.server, c.places)).find(|place| !places.insert(*place));
        twice.map(|(_, _, places)| format!("a reply is told twice: {places:?}"))
    }

    fn explain(&self, call: &Stated, of_flow: &[usize]) -> String {
        // The one that says most of what it says.
        let agreed = |c: &Stated| {
            let fields = call.fields.iter().filter(|(name, v)| c.fields.get(*name) == Some(v)).count();
            let lengths = call.lengths.iter().zip(&c.lengths).filter(|(a, b)| a == b && a.is_some()).count();
            let within = c.ts <= call.ts && call.ts <= c.until();
            fields + 4 * lengths + 4 * usize::from(within)
        };
        let nearest = of_flow.iter().max_by_key(|&&i| agreed(&self.calls[i]));
        match nearest {
            None => {
                let other = self.calls.iter().find(|c| c.client == call.server || c.client == call.client);
                let other = other.map_or("nothing".to_owned(), Stated::line);
                format!("no such protocol with these roles:\n    {}\n    but {other}", call.line())
            }
            Some(&i) => {
                let whole = &self.calls[i];
                let why = call.contradicts(whole).unwrap_or_default();
                format!("{why}\n    {}\n    nearest is {}", call.line(), whole.line())
            }
        }
    }
}

/// An element that finds no partner of its own (Kuhn's algorithm for bipartite matching).
fn unmatched(choices: &[&[usize]]) -> Option<usize> {
    let mut taken: HashMap<usize, usize> = HashMap::new();
    (0..choices.len()).find(|&i| {
        let mut visited = std::collections::HashSet::new();
        !matched(i, choices, &mut taken, &mut visited)
    })
}

fn matched(
    i: usize,
    choices: &[&[usize]],
    taken: &mut HashMap<usize, usize>,
    visited: &mut std::collections::HashSet<usize>,
) -> bool {
    for &partner in choices[i] {
        if visited.insert(partner) {
            let free = match taken.get(&partner) {
                None => true,
                Some(&other) => matched(other, choices, taken, visited),
            };
            if free {
                taken.insert(partner, i);
                return true;
            }
        }
    }
    false
}

/// The same calls, in any order.
pub fn same(a: &[Stated], b: &[Stated], with_times: bool) -> Option<String> {
    let lines = |calls: &[Stated]| {
        let mut lines: Vec<String> = calls
            .iter()
            .map(|c| {
                let mut c = c.clone();
                // In the order of calls, whatever the order of reports.
                if !with_times {
                    (c.ts, c.elapsed_us, c.ttlb_us) = (0, None, None);
                    c.fields.remove(field::TLSX_HANDSHAKE_TIME.def().name);
                }
                c.line()
            })
            .collect();
        lines.sort();
        lines
    };
    if with_times && a == b {
        return None;
    }
    let (a, b) = (lines(a), lines(b));
    if a == b {
        return None;
    }
    let only =
        |x: &[String], y: &[String]| x.iter().find(|line| !y.contains(line)).cloned().unwrap_or_default();
    Some(format!(
        "{} calls instead of {}\n    {}\n    instead of {}",
        a.len(),
        b.len(),
        only(&a, &b),
        only(&b, &a)
    ))
}
