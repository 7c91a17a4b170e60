//! Random filters and random rows.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use remora_kfl::{Target, Value};
use remora_model::field::{self, CATALOGUE, Case};
use remora_model::{FieldId, FieldType, Protocol, Timestamp};

pub(crate) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-21T05:00:00Z").unwrap()
}

/// SplitMix64: enough to choose with, and the seed alone repeats a case.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const TEXTS: &[&str] = &[
    "GET",
    "get",
    "http",
    "DNS",
    "redis",
    "tcp",
    "/api/users",
    "/",
    "",
    "a",
    "42",
    "-7",
    "10.1.2.3",
    "fd00::1",
    "::ffff:10.0.0.1",
    "NXDOMAIN",
    "Ünïcode",
    "q\"uote\\",
    "x-id",
    "e",
    "{\"a\": {\"b\": [\"x\", 42]}, \"host\": \"GET\"}",
];
const KEYS: &[&str] = &["x-id", "X-Id", "host", "etag", "a"];
const NETWORKS: &[&str] = &["10.0.0.0/8", "fd00::/8", "0.0.0.0/0", "10.1.2.3", "::ffff:10.0.0.0/104"];
const PATTERNS: &[&str] = &["^/api/", "[0-9]+", "a|b", "", "T$", "(?i)get"];

/// Fields whose constants KFL spells as their values are spelled, which CEL does not; so are those
/// of a [`Case`].
const CASELESS: &[FieldId] = &[
    field::PROTOCOL,
    field::TRANSPORT,
    field::CAPTURE_SOURCE,
    field::INCOMPLETE,
    field::CONN_STATE,
    field::CLOSE_REASON,
    field::CONN_L7_DETECTED,
    field::SRC_IP,
    field::DST_IP,
];

/// Writes filters in the ways that people do: canonical or not, sensible or not, always of the
/// right types.
pub(crate) struct Writer<'r> {
    pub(crate) random: &'r mut Random,
    pub(crate) target: Target,
    /// Write only what standard CEL has, without times, and no operation that may fail.
    pub(crate) plain_cel: bool,
    element: bool,
}

impl<'r> Writer<'r> {
    pub(crate) fn new(random: &'r mut Random, target: Target) -> Self {
        Self { random, target, plain_cel: false, element: false }
    }

    pub(crate) fn fields(&self, ty: FieldType) -> Vec<&'static str> {
        CATALOGUE
            .iter()
            .filter(|f| f.ty == ty)
            .filter(|f| match self.target {
                Target::Calls => f.in_calls(),
                Target::Flows => f.in_flows(),
            })
            .filter(|f| !self.plain_cel || f.case == Case::Any && !CASELESS.contains(&f.id))
            .map(|f| f.name)
            .collect()
    }

    fn field(&mut self, ty: FieldType) -> &'static str {
        let all = self.fields(ty);
        self.random.of(&all)
    }

    pub(crate) fn condition(&mut self, depth: usize) -> String {
        let leaf = depth == 0;
        match self.random.below(if leaf { 9 } else { 16 }) {
            0 if !self.element => self.field(FieldType::Bool).to_owned(),
            0 | 1 => self.comparison(depth, FieldType::Int),
            2 => self.comparison(depth, FieldType::Text),
            3 => {
                let method = self.random.of(&["contains", "startsWith", "endsWith"]);
                format!("{}.{method}({})", self.operand(depth), self.text(depth))
            }
            4 => format!("{}.matches({:?})", self.operand(depth), self.random.of(PATTERNS)),
            5 => {
                let items: Vec<String> = (0..=self.random.below(3)).map(|_| self.constant()).collect();
                let word = if self.plain_cel { "in" } else { self.random.of(&["in", "not in", "IN"]) };
                format!("{} {word} [{}]", self.operand(depth), items.join(", "))
            }
            6 if !self.element => match self.target {
                Target::Calls if self.random.one_in(2) => {
                    format!("{} in {}", self.key(), self.field(FieldType::Map))
                }
                _ => format!("{} in {}", self.text(depth), self.field(FieldType::List)),
            },
            7 if !self.element && !self.plain_cel => {
                let field = CATALOGUE[self.random.below(CATALOGUE.len())].name;
                let tables =
                    [FieldType::Int, FieldType::Text, FieldType::List, FieldType::Map, FieldType::Time];
                if tables.iter().any(|ty| self.fields(*ty).contains(&field)) {
                    format!("has({field})")
                } else {
                    "has(ts)".to_owned()
                }
            }
            8 if !self.plain_cel => match self.random.below(4) {
                0 => format!("ip_in({}, {:?})", self.operand(depth), self.random.of(NETWORKS)),
                1 if !self.element => self.comparison(depth, FieldType::Time),
                2 if !self.element => {
                    format!("{} {} null", self.field(FieldType::Text), self.random.of(&["==", "!="]))
                }
                _ => self.random.of(&["true", "false"]).to_owned(),
            },
            6..=8 => self.random.of(&["true", "false"]).to_owned(),
            9 | 10 => {
                let and = if self.plain_cel { "&&" } else { self.random.of(&["&&", "and", "AND"]) };
                format!("{} {and} {}", self.grouped(depth), self.grouped(depth))
            }
            11 | 12 => {
                let or = if self.plain_cel { "||" } else { self.random.of(&["||", "or"]) };
                format!("({} {or} {})", self.grouped(depth), self.grouped(depth))
            }
            13 if !self.plain_cel && self.random.one_in(2) => format!("(not {})", self.condition(depth - 1)),
            13 => format!("!({})", self.condition(depth - 1)),
            14 => format!(
                "({} ? {} : {})",
                self.grouped(depth),
                self.condition(depth - 1),
                self.condition(depth - 1)
            ),
            _ if !self.element => {
                let quantifier = self.random.of(&["exists", "all", "exists_one"]);
                let over = self.field(FieldType::List);
                self.element = true;
                let predicate = self.condition(depth - 1);
                self.element = false;
                format!("{over}.{quantifier}(it, {predicate})")
            }
            _ => format!("it == {}", self.text(depth)),
        }
    }

    /// A condition that may stand beside any connective.
    fn grouped(&mut self, depth: usize) -> String {
        format!("({})", self.condition(depth - 1))
    }

    fn comparison(&mut self, depth: usize, ty: FieldType) -> String {
        let op = self.random.of(&["==", "!=", "<", "<=", ">", ">="]);
        let side = |this: &mut Self| match ty {
            FieldType::Int => this.int(depth),
            FieldType::Time => this.time(),
            _ => this.text(depth),
        };
        format!("{} {op} {}", side(self), side(self))
    }

    fn constant(&mut self) -> String {
        format!("{:?}", self.random.of(TEXTS))
    }

    fn key(&mut self) -> String {
        format!("{:?}", if self.plain_cel { self.random.of(&["x-id", "etag"]) } else { self.random.of(KEYS) })
    }

    /// Something of type string that is not a constant.
    fn operand(&mut self, depth: usize) -> String {
        if self.element {
            return "it".to_owned();
        }
        match self.random.below(6) {
            4 if !self.plain_cel => format!("{}[{}]", self.field(FieldType::List), self.random.below(2)),
            5 if !self.plain_cel => {
                let way = self.random.of(&[".a.b[1]", ".host", "[\"a\"]", "", ".a[0]"]);
                format!("json({}){way}", self.field(FieldType::Text))
            }
            0 if self.target == Target::Calls => format!("{}[{}]", self.field(FieldType::Map), self.key()),
            1 if depth > 0 && !self.plain_cel => format!("({}).lowerAscii()", self.text(depth - 1)),
            _ => self.field(FieldType::Text).to_owned(),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 4 } else { 8 }) {
            0 | 1 => self.constant(),
            2 | 3 => self.operand(depth),
            4 => format!("({} + {})", self.text(depth - 1), self.text(depth - 1)),
            5 => format!("string({})", self.int(depth - 1)),
            6 if !self.element && !self.plain_cel && self.target == Target::Calls => {
                format!("map_get({}, {}, {})", self.field(FieldType::Map), self.key(), self.constant())
            }
            _ if self.plain_cel => self.constant(),
            _ => format!("upperAscii({})", self.text(depth - 1)),
        }
    }

    fn int(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 4 } else { 9 }) {
            0 | 1 => self.random.of(&["0", "1", "-1", "500", "0x10", "1000000"]).to_owned(),
            2 | 3 if self.element => "size(it)".to_owned(),
            2 | 3 => self.field(FieldType::Int).to_owned(),
            4 => format!("size({})", self.text(depth - 1)),
            5 if !self.element => format!("size({})", self.field(FieldType::List)),
            6 if !self.plain_cel => format!("int({})", self.text(depth - 1)),
            7 if !self.element => format!("-({})", self.field(FieldType::Int)),
            _ => {
                let op = if self.plain_cel {
                    self.random.of(&["+", "-", "*"])
                } else {
                    self.random.of(&["+", "-", "*", "/", "%"])
                };
                format!("({} {op} {})", self.int(depth - 1), self.int(depth - 1))
            }
        }
    }

    fn time(&mut self) -> String {
        match self.random.below(4) {
            0 => format!("{} - duration(\"{}s\")", "now()", self.random.below(1000)),
            1 => "timestamp(\"2026-11-21T04:59:00.5Z\")".to_owned(),
            2 => "(ts + duration(\"1m\"))".to_owned(),
            _ => self.field(FieldType::Time).to_owned(),
        }
    }
}

/// A row: the fields of one protocol (or of flows), each absent with one chance in `absent`; none
/// is with `absent == 0`, and then every field of the table is there.
pub(crate) fn row(random: &mut Random, target: Target, absent: usize) -> (Protocol, HashMap<FieldId, Value>) {
    let protocol = random.of(Protocol::ALL);
    let mut row = HashMap::new();
    for def in CATALOGUE {
        let here = match target {
            Target::Calls if absent == 0 => def.in_calls(),
            Target::Calls => def.in_calls() && def.applies_to(protocol),
            Target::Flows => def.in_flows(),
        };
        // What a row is made of is never absent.
        let certain = [field::PROTOCOL, field::TS].contains(&def.id) || def.flag_of().is_some();
        if !here || (absent > 0 && !certain && random.one_in(absent)) {
            continue;
        }
        let value = match def.ty {
            FieldType::Bool => match def.flag_of() {
                Some(p) => Value::Bool(protocol.is(p)),
                None => Value::Bool(random.one_in(2)),
            },
            FieldType::Int => Value::Int(match random.below(4) {
                0 => random.of(&[0, 1, -1, 500]),
                _ => random.below(2_000_000) as i64,
            }),
            FieldType::Text if def.id == field::PROTOCOL => Value::Text(protocol.name().to_owned()),
            FieldType::Text => Value::Text(random.of(TEXTS).to_owned()),
            FieldType::List => {
                Value::List((0..random.below(3)).map(|_| random.of(TEXTS).to_owned()).collect())
            }
            FieldType::Map => Value::Map(
                ["x-id", "etag"].iter().map(|k| ((*k).to_owned(), random.of(TEXTS).to_owned())).collect(),
            ),
            FieldType::Time => Value::Time(Timestamp(
                now().0 + random.below(2_000) as i64 * 1_000_000_000 - 1_000_000_000_000,
            )),
        };
        row.insert(def.id, value);
    }
    // One value under two names.
    for (same, column) in [
        (field::TIMESTAMP, field::TS),
        (field::CONN_ID, field::FLOW_ID),
        (field::LOCAL_PROCESS_NAME, field::PROCESS_NAME),
    ] {
        match row.get(&column).cloned() {
            Some(value) => row.insert(same, value),
            None => row.remove(&same),
        };
    }
    (protocol, row)
}
