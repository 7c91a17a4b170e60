//! Rows that are planted into a store, and what is found in it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use remora_model::{
    BatchSet, Call, CallId, CaptureSource, CoverageRow, Endpoint, FieldId, FlowId, FlowRow, FlowState,
    Incomplete, Protocol, Side, Sides, TableBatch, Timestamp, Transport, ValueRef, field as f,
};
use remora_store::{SourceId, Store, StoreConfig};
use serde_json::{Map, Value};

use crate::identity::Identity;
use crate::ingest::Agents;
use crate::query::request::{AnalyzeRequest, CallsRequest, FlowsRequest, StatusRequest};
use crate::query::{Answer, Query};

/// When the traffic begins.
pub(super) const START: i64 = 1_795_000_000_000_000_000;
pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const MS: i64 = 1_000_000;
/// How long the window is.
pub(super) const WINDOW: i64 = 900 * SECOND;

/// Calls that an agent sends at once.
const MESSAGE: usize = 4_096;

/// A call to plant.
#[derive(Clone, Debug)]
pub(super) struct What {
    pub(super) protocol: Protocol,
    pub(super) src: &'static str,
    pub(super) dst: &'static str,
    pub(super) port: u16,
    /// Nanoseconds after the start.
    pub(super) at: i64,
    /// Microseconds.
    pub(super) elapsed: Option<i64>,
    pub(super) flow: i64,
    pub(super) failed: bool,
    pub(super) client_error: bool,
    pub(super) incomplete: Option<Incomplete>,
    pub(super) response_bytes: i64,
    pub(super) tls: bool,
    pub(super) fields: Vec<(FieldId, Cell)>,
}

/// A value of a field.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Text(String),
    Int(i64),
    List(Vec<String>),
}

impl What {
    pub(super) fn new(protocol: Protocol, [src, dst]: [&'static str; 2], port: u16, at: i64) -> Self {
        Self {
            protocol,
            src,
            dst,
            port,
            at,
            elapsed: Some(2_000 + at % 7_000),
            flow: i64::from(port),
            failed: false,
            client_error: false,
            incomplete: None,
            response_bytes: 900,
            tls: false,
            fields: Vec::new(),
        }
    }

    pub(super) fn text(mut self, id: FieldId, text: impl Into<String>) -> Self {
        self.fields.push((id, Cell::Text(text.into())));
        self
    }

    pub(super) fn int(mut self, id: FieldId, n: i64) -> Self {
        self.fields.push((id, Cell::Int(n)));
        self
    }

    pub(super) fn list(mut self, id: FieldId, items: &[&str]) -> Self {
        self.fields.push((id, Cell::List(items.iter().map(|i| (*i).to_owned()).collect())));
        self
    }

    pub(super) fn http(
        sides: [&'static str; 2],
        port: u16,
        at: i64,
        path: impl Into<String>,
        status: i64,
    ) -> Self {
        let path = path.into();
        let mut what = Self::new(Protocol::Http, sides, port, at)
            .text(f::METHOD, "GET")
            .text(f::URL, path.clone())
            .text(f::PATH, path)
            .text(f::HOST, sides[1])
            .text(f::CONTENT_TYPE, "application/json")
            .int(f::STATUS_CODE, status);
        (what.failed, what.client_error) = (status >= 500, (400..500).contains(&status));
        what
    }

    pub(super) fn dns(at: i64, name: &str, rcode: Option<&str>) -> Self {
        let mut what = Self::new(Protocol::Dns, ["shop", "resolver"], 53, at)
            .list(f::DNS_QUESTIONS, &[name])
            .list(f::DNS_QUESTION_TYPES, &["A"]);
        match rcode {
            Some(rcode) => what = what.text(f::DNS_RCODE, rcode),
            None => (what.incomplete, what.elapsed) = (Some(Incomplete::NoResponse), None),
        }
        what.failed = rcode.is_some_and(|r| r != "NOERROR");
        what
    }
}

/// A flow to plant, with its counters at the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) flow: i64,
    pub(super) src: &'static str,
    pub(super) dst: &'static str,
    pub(super) port: u16,
    pub(super) at: i64,
    pub(super) asked: i64,
    pub(super) answered: i64,
    pub(super) retransmits: i64,
}

/// A store with planted rows.
pub(super) struct Plant {
    set: BatchSet,
    sent: Vec<Vec<TableBatch>>,
    dir: tempfile::TempDir,
    /// Every call, by its id minus one.
    pub(super) calls: Vec<What>,
    pub(super) flows: Vec<Flow>,
}

/// Addresses by name; none is loopback.
fn address(name: &str) -> IpAddr {
    let sum = name.bytes().fold(7u8, |sum, b| sum.wrapping_mul(31).wrapping_add(b));
    IpAddr::V4(Ipv4Addr::new(10, 0, u8::try_from(name.len()).unwrap_or(0), sum))
}

impl Plant {
    pub(super) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { set: BatchSet::new("node-1"), sent: Vec::new(), dir, calls: Vec::new(), flows: Vec::new() }
    }

    /// Plants a call and gives its id.
    pub(super) fn call(&mut self, what: What) -> i64 {
        let id = i64::try_from(self.calls.len()).unwrap() + 1;
        let lists: Vec<Vec<&[u8]>> = what
            .fields
            .iter()
            .map(|(_, c)| match c {
                Cell::List(items) => items.iter().map(String::as_bytes).collect(),
                _ => Vec::new(),
            })
            .collect();
        let fields: Vec<(FieldId, ValueRef<'_>)> = what
            .fields
            .iter()
            .zip(&lists)
            .map(|((id, cell), list)| {
                let value = match cell {
                    Cell::Text(text) => ValueRef::Text(text.as_bytes()),
                    Cell::Int(n) => ValueRef::Int(*n),
                    Cell::List(_) => ValueRef::List(list),
                };
                (*id, value)
            })
            .collect();
        let udp = what.protocol == Protocol::Dns;
        let call = Call {
            protocol: what.protocol,
            transport: if udp { Transport::Udp } else { Transport::Tcp },
            flow: FlowId(what.flow),
            client: Endpoint { ip: address(what.src), port: 40_000 },
            server: Endpoint { ip: address(what.dst), port: what.port },
            ts: Timestamp(START + what.at),
            elapsed_us: what.elapsed,
            ttlb_us: what.elapsed.map(|e| e + 100),
            request_bytes: Some(300),
            response_bytes: Some(what.response_bytes),
            request_pos: None,
            response_pos: None,
            failed: what.failed,
            client_error: what.client_error,
            incomplete: what.incomplete,
            tls: what.tls,
            source: CaptureSource::Ebpf,
            fields: &fields,
        };
        self.set.call(CallId(id), &call, &sides(what.src, what.dst));
        self.calls.push(what);
        if self.calls.len().is_multiple_of(MESSAGE) {
            self.sent.push(self.set.take().unwrap());
        }
        id
    }

    /// Plants a flow that ends after a minute.
    pub(super) fn flow(&mut self, flow: Flow) {
        let acknowledged = |packets: i64| if packets > 0 { 0x1b } else { 0 };
        for (half, state) in [(2, FlowState::InProgress), (1, FlowState::Closed)] {
            let row = FlowRow {
                flow: FlowId(flow.flow),
                transport: Transport::Tcp,
                client: Endpoint { ip: address(flow.src), port: 40_000 },
                server: Endpoint { ip: address(flow.dst), port: flow.port },
                first_seen: Timestamp(START + flow.at),
                last_seen: Timestamp(START + flow.at + 60 * SECOND / half),
                state,
                close_reason: None,
                client_packets: flow.asked / half,
                client_bytes: 100 * flow.asked / half,
                server_packets: flow.answered / half,
                server_bytes: 200 * flow.answered / half,
                handshake_rtt_us: Some(150),
                retransmits: flow.retransmits / half,
                client_tcp_flags: acknowledged(flow.asked),
                server_tcp_flags: acknowledged(flow.answered),
                missing_bytes: 0,
                l7: &["http"],
                source: CaptureSource::Ebpf,
            };
            self.set.flow(&row, &sides(flow.src, flow.dst));
        }
        self.flows.push(flow);
    }

    pub(super) fn coverage(&mut self, stage: &str, reason: &str, count: i64) {
        for at in 0..900 {
            let ts = Timestamp(START + at * SECOND);
            let here = if stage == "captured" || at == 450 { count } else { 0 };
            if here > 0 {
                self.set.coverage(&CoverageRow {
                    ts,
                    interval_ms: 1_000,
                    stage,
                    reason,
                    count: here,
                    bytes: here * 100,
                });
            }
        }
    }

    /// What is found, with every next call made.
    pub(super) async fn analyzed(self, filter: &str) -> Answer {
        let (query, _dir) = self.query().await;
        let answer = query.analyze(&request(filter)).await.unwrap();
        for row in &answer.rows {
            shows_evidence(&query, row).await;
        }
        answer
    }

    /// The store, ready to be asked.
    pub(super) async fn query(mut self) -> (Query, tempfile::TempDir) {
        let config = StoreConfig {
            retention_age: Duration::from_secs(100 * 365 * 24 * 3600),
            query_threads: 2,
            ..StoreConfig::new(self.dir.path())
        };
        let store = Store::open(config).unwrap();
        let identity = Identity::new(crate::identity::NameIndexLimits::default());
        self.sent.push(self.set.take().unwrap());
        for (number, mut batches) in (1..).zip(std::mem::take(&mut self.sent)) {
            identity.enrich(&mut batches).unwrap();
            store.append(&SourceId::new("agent-1", "boot-1"), number, batches).await.unwrap();
        }
        let agents = Arc::new(Agents::default());
        (Query::new(store, agents, Arc::new(identity), false), self.dir)
    }
}

fn sides<'a>(src: &'a str, dst: &'a str) -> Sides<'a> {
    let side = |process| Side { process: Some(process), ..Side::default() };
    Sides { src: side(src), dst: side(dst) }
}

/// The window in which everything was planted.
pub(super) fn request(filter: &str) -> AnalyzeRequest {
    AnalyzeRequest {
        filter: Some(filter.to_owned()),
        since: Some(Timestamp(START).to_rfc3339()),
        until: Some(Timestamp(START + WINDOW).to_rfc3339()),
        ..AnalyzeRequest::default()
    }
}

/// Makes the next call of a finding: it must show what the finding names.
async fn shows_evidence(query: &Query, row: &Map<String, Value>) {
    let arguments = row["next_arguments"].clone();
    let ids = |name: &str| -> Vec<i64> {
        row.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_i64).collect()
    };
    let (calls, flows) = (ids("calls"), ids("flows"));
    let has = |answer: &Answer, field: &str, id: i64| answer.rows.iter().any(|r| r[field] == id);
    match row["next_tool"].as_str().unwrap() {
        "list_api_calls" => {
            let mut request: CallsRequest = serde_json::from_value(arguments).unwrap();
            request.limit = Some(1_000);
            let answer = query.calls(&request).await.unwrap_or_else(|e| panic!("{e}\n{row:#?}"));
            assert!(!answer.rows.is_empty() && !calls.is_empty(), "{row:#?}");
            // A call that encloses the others is named last.
            for id in calls.iter().take(2) {
                assert!(has(&answer, "id", *id), "no {id} in {} rows of {row:#?}", answer.rows.len());
            }
            assert!(answer.notes.is_empty(), "{:?}", answer.notes);
        }
        "list_l4_flows" => {
            let request: FlowsRequest = serde_json::from_value(arguments).unwrap();
            let answer = query.flows(&request).await.unwrap();
            assert!(!flows.is_empty() && flows.iter().all(|id| has(&answer, "flow_id", *id)), "{row:#?}");
        }
        "get_status" => {
            let request: StatusRequest = serde_json::from_value(arguments).unwrap();
            query.status(&request).await.unwrap();
        }
        other => panic!("{other} of {row:#?}"),
    }
}
