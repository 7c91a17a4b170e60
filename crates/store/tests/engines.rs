//! Random filters over the whole catalogue on random rows: what the engine finds, over unsealed, sealed and
//! merged rows, pruned by statistics and Bloom filters, by pages in both orders, is what a plain evaluation of
//! each row finds. What is derived is derived here by rules of this file's own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
#[path = "common/derived.rs"]
mod derived;
#[path = "../../kfl/tests/common/mod.rs"]
mod random;

use std::collections::HashMap;
use std::time::Duration;

use common::{SECOND, config, endpoint};
use random::{Random, Writer, now};
use remora_kfl::{Filter, Target, TimeRange, Value, compile, eval};
use remora_model::{
    BatchSet, Call, CallId, CaptureSource, CloseReason, FieldId, FieldType, FlowId, FlowRow, FlowState,
    Incomplete, Protocol, Side, Sides, Table, TableBatch, Timestamp, Transport, ValueRef, field as f, row,
};
use remora_store::{BatchFilter, CallsQuery, Cursor, FlowsQuery, Order, SourceId, Store, StoreConfig};

const ADDRESSES: [&str; 5] = ["10.1.2.3", "10.0.0.9", "fd00::1", "192.0.2.7", "172.16.0.1"];

/// Fields that a call's own structure sets, and not the list of its protocol's fields.
fn is_common(id: FieldId) -> bool {
    let def = id.def();
    def.in_flows()
        || [
            f::ID,
            f::PROTOCOL,
            f::ELAPSED_TIME,
            f::TTLB,
            f::FAILED,
            f::CLIENT_ERROR,
            f::INCOMPLETE,
            f::TLS,
            f::REQUEST_BYTES,
            f::RESPONSE_BYTES,
            f::REQUEST_POS,
            f::RESPONSE_POS,
        ]
        .contains(&id)
}

/// Names and addresses are the only fields of both tables that come with a call's own.
const NAMES: [FieldId; 4] = [f::SRC_NAME, f::DST_NAME, f::SRC_DNS, f::DST_DNS];

/// A random call: the values of the KFL tests' random row, of which the stored ones are kept.
fn add_call(random: &mut Random, set: &mut BatchSet, id: i64, only: Option<Protocol>) {
    let absent = random.of(&[2, 4]);
    let (protocol, values) = loop {
        let drawn = random::row(random, Target::Calls, absent);
        if only.is_none_or(|only| only == drawn.0) {
            break drawn;
        }
    };
    let texts = |v: &[String]| -> Vec<Vec<u8>> { v.iter().map(|t| t.clone().into_bytes()).collect() };
    let mut owned: Vec<(FieldId, Value, Vec<Vec<u8>>)> = Vec::new();
    for (id, value) in &values {
        let stored = id.def().storage.is_column() && (!is_common(*id) || NAMES.contains(id));
        if stored && id.def().applies_to(protocol) {
            let parts = match value {
                Value::List(l) => texts(l),
                Value::Map(m) => m.iter().flat_map(|(k, v)| texts(&[k.clone(), v.clone()])).collect(),
                Value::Text(t) => texts(std::slice::from_ref(t)),
                _ => Vec::new(),
            };
            owned.push((*id, value.clone(), parts));
        }
    }
    let lists: Vec<Vec<&[u8]>> =
        owned.iter().map(|(_, _, p)| p.iter().map(Vec::as_slice).collect()).collect();
    let maps: Vec<Vec<(&[u8], &[u8])>> =
        lists.iter().map(|l| l.chunks_exact(2).map(|p| (p[0], p[1])).collect()).collect();
    let mut fields = Vec::new();
    for (at, (id, value, _)) in owned.iter().enumerate() {
        fields.push((
            *id,
            match value {
                Value::Bool(b) => ValueRef::Bool(*b),
                Value::Int(n) => ValueRef::Int(*n),
                Value::Text(_) => ValueRef::Text(lists[at][0]),
                Value::List(_) => ValueRef::List(&lists[at]),
                Value::Map(_) => ValueRef::Map(&maps[at]),
                Value::Time(_) | Value::Duration(_) => continue,
            },
        ));
    }
    let int = |random: &mut Random| random.one_in(2).then(|| random.of(&[0, 1, 2, 500, 1_000_000, i64::MAX]));
    let process = |random: &mut Random| Side {
        process: random.one_in(2).then(|| random.of(&["GET", "a", "nginx"])),
        pid: random.one_in(2).then(|| random.of(&[0, 1, 42])),
        container_id: random.one_in(3).then_some("e"),
        cgroup: random.one_in(3).then_some("/api/users"),
    };
    let sides = Sides { src: process(random), dst: process(random) };
    let address = |random: &mut Random| {
        let port = random.of(&[0, 1, 53, 500]);
        remora_model::Endpoint { ip: random.of(&ADDRESSES).parse().unwrap(), port }
    };
    let incomplete = [
        Incomplete::NoResponse,
        Incomplete::NoRequest,
        Incomplete::Gap,
        Incomplete::Truncated,
        Incomplete::Reset,
    ];
    let call = Call {
        protocol,
        transport: random.of(Transport::ALL),
        flow: FlowId(random.below(20) as i64),
        client: address(random),
        server: address(random),
        // Many at the same time, so that ids decide the order.
        ts: Timestamp(now().0 - SECOND * random.below(1_000) as i64),
        elapsed_us: int(random),
        ttlb_us: int(random),
        request_bytes: int(random),
        response_bytes: int(random),
        request_pos: int(random),
        response_pos: int(random),
        failed: random.one_in(2),
        client_error: random.one_in(2),
        incomplete: random.one_in(3).then(|| random.of(&incomplete)),
        tls: random.one_in(2),
        source: random.of(&[CaptureSource::Ebpf, CaptureSource::EbpfTls, CaptureSource::File]),
        fields: &fields,
    };
    set.call(CallId(id), &call, &sides);
}

fn add_flow(random: &mut Random, set: &mut BatchSet, id: i64) {
    let number = |random: &mut Random| random.of(&[0, 1, 500, 1_000_000]);
    let l7: &[&str] = random.of(&[&[][..], &["http"], &["dns", "redis"]]);
    let closed = random.one_in(2);
    let reasons = [CloseReason::Fin, CloseReason::Reset, CloseReason::Idle];
    let row = FlowRow {
        flow: FlowId(id),
        transport: random.of(&[Transport::Tcp, Transport::Udp]),
        client: endpoint(random.below(4) as u8, random.of(&[0, 1, 500])),
        server: endpoint(random.below(4) as u8, 53),
        first_seen: Timestamp(now().0 - 2_000 * SECOND),
        last_seen: Timestamp(now().0 - SECOND * random.below(1_000) as i64),
        state: if closed { FlowState::Closed } else { random.of(&[FlowState::Open, FlowState::InProgress]) },
        close_reason: closed.then(|| random.of(&reasons)),
        client_packets: number(random),
        client_bytes: number(random),
        server_packets: number(random),
        server_bytes: number(random),
        handshake_rtt_us: random.one_in(2).then_some(1),
        retransmits: number(random),
        client_tcp_flags: 27,
        server_tcp_flags: 27,
        missing_bytes: 0,
        l7,
        source: CaptureSource::Ebpf,
    };
    set.flow(&row, &Sides::default());
}

/// The rows of some batches by field, read back from their columns.
fn rows_of(batches: &[TableBatch], table: Table) -> Vec<HashMap<FieldId, Value>> {
    let mut rows = Vec::new();
    for b in batches.iter().filter(|b| b.table == table) {
        for i in 0..b.batch.num_rows() {
            let mut row: HashMap<FieldId, Value> = HashMap::new();
            for (column, array) in b.batch.schema_ref().fields().iter().zip(b.batch.columns()) {
                let def = f::by_name(column.name()).unwrap();
                if let Some(json) = row::value(array.as_ref(), i) {
                    row.insert(def.id, value(def.ty, &json));
                }
            }
            derived::add(&mut row, table);
            rows.push(row);
        }
    }
    rows
}

fn value(ty: FieldType, json: &serde_json::Value) -> Value {
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
    match ty {
        FieldType::Bool => Value::Bool(json.as_bool().unwrap()),
        FieldType::Int => Value::Int(json.as_i64().unwrap()),
        FieldType::Text => Value::Text(text(json)),
        FieldType::List => Value::List(json.as_array().unwrap().iter().map(text).collect()),
        FieldType::Map => {
            Value::Map(json.as_object().unwrap().iter().map(|(k, v)| (k.clone(), text(v))).collect())
        }
        FieldType::Time => Value::Time(Timestamp::parse_rfc3339(json.as_str().unwrap()).unwrap()),
    }
}

fn int(row: &HashMap<FieldId, Value>, id: FieldId) -> i64 {
    match row[&id] {
        Value::Int(n) => n,
        Value::Time(t) => t.0,
        _ => panic!("{} is no number", id.def().name),
    }
}

/// How many filters are tried: `REMORA_STORE_FILTERS` times as many as usual.
fn filters(usual: usize) -> usize {
    let times = std::env::var("REMORA_STORE_FILTERS").ok().and_then(|n| n.parse().ok());
    usual * times.unwrap_or(1)
}

/// A random filter that compiles and that the rules of this file cover.
fn filter(random: &mut Random, target: Target) -> Filter {
    loop {
        let depth = 1 + random.below(3);
        let text = Writer::new(random, target).condition(depth);
        let Ok(filter) = compile(&text, target, now()) else { continue };
        let mut covered = true;
        filter.expr.walk(&mut |e| covered &= e.own_field().is_none_or(|id| !derived::NOT_HERE.contains(&id)));
        if covered {
            return filter;
        }
    }
}

/// A store with rows in every kind of place: merged, sealed, sealed with Bloom filters, and unsealed.
async fn filled(random: &mut Random, dir: &std::path::Path) -> (Store, Vec<TableBatch>) {
    let store = Store::open(StoreConfig {
        seal_after: Duration::from_secs(3600),
        row_group_rows: 48,
        merge_fan_in: 3,
        merge_cpu_percent: 100,
        ..config(dir)
    })
    .unwrap();
    let (mut all, mut id) = (Vec::new(), 0);
    let source = SourceId::new("agent-1", "boot-1");
    for (seq, (calls, only)) in (1..).zip([
        (200, None),
        (200, None),
        (200, None),
        (150, None),
        (1_100, Some(Protocol::Http)),
        (100, None),
    ]) {
        let mut set = BatchSet::new("node-1");
        for _ in 0..calls {
            id += 1;
            add_call(random, &mut set, id, only);
            if only.is_none() && id % 4 == 0 {
                add_flow(random, &mut set, id);
            }
        }
        let batches = set.take().unwrap();
        all.extend(batches.iter().cloned());
        store.append(&source, seq, batches).await.unwrap();
        if seq < 6 {
            store.flush().await.unwrap();
        }
        while seq == 3 && store.metrics().merges < Protocol::ALL.len() as u64 / 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    (store, all)
}

/// The ids of every page, each page's cursor written out and read again.
async fn paged(store: &Store, mut query: CallsQuery) -> Vec<i64> {
    let mut ids = Vec::new();
    loop {
        let page = store.calls(&query).await.unwrap_or_else(|e| panic!("{}: {e}", query.filter.normalised));
        ids.extend(common::ints(&page.rows, "id"));
        match page.next {
            Some(next) => query.cursor = Some(next.to_string().parse::<Cursor>().unwrap()),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn pages_find_what_a_plain_evaluation_finds() {
    let dir = tempfile::tempdir().unwrap();
    let random = &mut Random(7);
    let (store, all) = filled(random, dir.path()).await;
    let m = store.metrics();
    assert!(m.merges > 0 && m.open_rows > 0 && m.segments > 10, "{m:?}");
    let mut rows = rows_of(&all, Table::Calls);
    rows.sort_by_key(|r| (int(r, f::TS), int(r, f::ID)));
    let (mut hits, mut kinds) = (0, std::collections::BTreeSet::new());
    for _ in 0..filters(160) {
        let filter = filter(random, Target::Calls);
        filter.expr.walk(&mut |e| {
            kinds.insert(format!("{e:?}").split([' ', '(']).next().unwrap_or_default().to_owned());
        });
        let order = random.of(&[Order::Newest, Order::Oldest]);
        let at = |random: &mut Random| {
            random.one_in(3).then(|| Timestamp(now().0 - SECOND * random.below(1_000) as i64))
        };
        let window = TimeRange { from: at(random), until: at(random) };
        let inside = |r: &HashMap<FieldId, Value>| {
            let ts = int(r, f::TS);
            window.from.is_none_or(|t| ts >= t.0) && window.until.is_none_or(|t| ts < t.0)
        };
        let matching =
            rows.iter().filter(|r| inside(r) && eval(&filter.expr, &|id| r.get(&id).cloned()) == Some(true));
        let mut want: Vec<i64> = matching.map(|r| int(r, f::ID)).collect();
        if order == Order::Newest {
            want.reverse();
        }
        hits += want.len();
        let limit = random.of(&[7, 100, 2_000]);
        let text = filter.normalised.clone();
        let query = CallsQuery {
            filter,
            window,
            as_of: now(),
            limit: limit.max(want.len() / 5),
            cursor: None,
            fields: Some(vec![f::ID]),
            order,
        };
        assert_eq!(paged(&store, query).await, want, "{text} {order:?} {window:?}");
    }
    assert!(hits > 8_000, "the filters select too little: {hits}");
    assert!(kinds.len() >= 20, "kinds of expressions: {kinds:?}");
}

#[tokio::test]
async fn flows_find_what_a_plain_evaluation_finds() {
    let dir = tempfile::tempdir().unwrap();
    let random = &mut Random(11);
    let (store, all) = filled(random, dir.path()).await;
    let rows = rows_of(&all, Table::Flows);
    for _ in 0..filters(80) {
        let filter = filter(random, Target::Flows);
        let matching = rows.iter().filter(|r| eval(&filter.expr, &|id| r.get(&id).cloned()) == Some(true));
        let mut want: Vec<(i64, i64)> = matching.map(|r| (int(r, f::TS), int(r, f::FLOW_ID))).collect();
        want.sort_unstable_by(|a, b| b.cmp(a));
        let text = filter.normalised.clone();
        let fields = Some(vec![f::FLOW_ID]);
        let mut query = FlowsQuery {
            filter,
            window: TimeRange::default(),
            as_of: now(),
            limit: 60,
            cursor: None,
            fields,
        };
        let mut got = Vec::new();
        loop {
            let page = store.flows(&query).await.unwrap_or_else(|e| panic!("{text}: {e}"));
            got.extend(common::ints(&page.rows, "flow_id"));
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(got, want.iter().map(|w| w.1).collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn batches_as_they_arrive_are_filtered_the_same() {
    let random = &mut Random(13);
    let mut set = BatchSet::new("node-1");
    (1..=300).for_each(|id| add_call(random, &mut set, id, None));
    let all = set.take().unwrap();
    let rows: Vec<_> = all.iter().map(|b| rows_of(std::slice::from_ref(b), Table::Calls)).collect();
    for _ in 0..filters(200) {
        let filter = filter(random, Target::Calls);
        let lowered = BatchFilter::new(&filter).unwrap_or_else(|e| panic!("{}: {e}", filter.normalised));
        for (batch, rows) in all.iter().zip(&rows) {
            let got = lowered.apply(&batch.batch).unwrap_or_else(|e| panic!("{}: {e}", filter.normalised));
            let matching =
                rows.iter().filter(|r| eval(&filter.expr, &|id| r.get(&id).cloned()) == Some(true));
            let want: Vec<i64> = matching.map(|r| int(r, f::ID)).collect();
            assert_eq!(common::ints(&got, "id"), want, "{}", filter.normalised);
        }
    }
}
