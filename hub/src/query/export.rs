//! From a question to the packets that its answer was made of.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use remora_kfl::Target;
use remora_model::{FieldId, Timestamp, field};
use remora_ring::{ExportOptions, FlowKey, FlowSelection, Flows, PacketInfo, Payload, Window as Span};
use remora_store::{CallsQuery, FlowsQuery, Order as StoreOrder};
use serde_json::{Map, Value};

use super::request::{ExportRequest, TableArgument};
use super::window::Window;
use super::{Query, QueryError, compile, json_rows, now};

/// Rows asked for at a time.
const PAGE: usize = 1_000;
/// Calls whose connections are exported at most.
const MAX_CALLS: usize = 20_000;
/// Connections that are exported at most.
const MAX_FLOWS: usize = 5_000;
/// Connections that one filter names.
const FLOWS_AT_ONCE: usize = 200;
/// Ids of calls in the comment of a connection.
const MAX_IDS: usize = 20;
/// Packets are stamped where they are seen and rows where they are made: nanoseconds to either side.
const SLACK: i64 = 1_000_000_000;

const OF_CALL: &[FieldId] = &[field::ID, field::FLOW_ID];
const OF_FLOW: &[FieldId] = &[
    field::FLOW_ID,
    field::TRANSPORT,
    field::FIRST_SEEN,
    field::TS,
    field::CONN_STATE,
    field::SRC_IP,
    field::SRC_PORT,
    field::SRC_NAME,
    field::DST_IP,
    field::DST_PORT,
    field::DST_NAME,
    field::CONN_L7_DETECTED,
];

/// What is to be taken out of the rings, and what is to be said about it.
#[derive(Debug)]
pub struct Selection {
    /// The window, with absolute times.
    pub window: Window,
    /// For the ring.
    pub options: ExportOptions,
    /// Connections; `None`: every packet of the window.
    pub connections: Option<usize>,
    /// Warnings and advice.
    pub notes: Vec<String>,
}

impl Query {
    /// Finds the connections of the calls (or flows) that match, with their names and the ids of their
    /// calls. Without a filter every packet of the window is selected.
    ///
    /// # Errors
    /// An argument or filter that is wrong, no match, or a store that cannot answer.
    pub async fn select_packets(&self, request: &ExportRequest) -> Result<Selection, QueryError> {
        let at = now();
        let window = Window::parse(request.since.as_deref(), request.until.as_deref(), at)?;
        let text = request.filter.as_deref().unwrap_or_default().trim();
        let mut notes = Vec::new();
        let all = text.is_empty();
        let (flows, ids) = match request.table.unwrap_or_default() {
            TableArgument::Calls if !all => {
                let calls = self.calls_of(text, window, at, &mut notes).await?;
                let mut flows = Vec::new();
                let names: Vec<i64> = calls.keys().copied().collect();
                for some in names.chunks(FLOWS_AT_ONCE) {
                    let list: Vec<String> = some.iter().map(ToString::to_string).collect();
                    // A connection may have begun before the window and go on behind it.
                    let whole = Window { from: Timestamp(0), to: window.to.max(at) };
                    let filter = format!("flow_id in [{}]", list.join(", "));
                    flows.extend(self.flows_of(&filter, whole, at, &mut notes).await?);
                }
                (flows, calls)
            }
            _ => (self.flows_of(text, window, at, &mut notes).await?, BTreeMap::new()),
        };
        if flows.is_empty() && !all {
            return Err(QueryError::NotFound {
                what: "a matching connection".to_owned(),
                advice: "list_api_calls with the same filter and window shows what there is".to_owned(),
            });
        }
        let chosen: Vec<FlowSelection> = flows.iter().filter_map(selection).collect();
        let mut options = ExportOptions {
            window: Span { from: window.from.nanos(), until: window.to.nanos() },
            names: names(&flows),
            secrets: request.secrets.unwrap_or(true),
            comment: Some(comments(&flows, &ids)),
            ..ExportOptions::default()
        };
        if request.headers_only.unwrap_or(false) {
            options.payload = Payload::HeadersOnly;
        }
        let connections = (!all).then_some(chosen.len());
        if !all {
            // Whole connections: Wireshark reassembles nothing from their middle.
            options.window = Span::ALL;
            options.flows = Flows::Only(chosen);
        }
        Ok(Selection { window, options, connections, notes })
    }

    /// Ids of the calls that match, by the flow that they travelled in.
    async fn calls_of(
        &self,
        text: &str,
        window: Window,
        at: Timestamp,
        notes: &mut Vec<String>,
    ) -> Result<BTreeMap<i64, Vec<String>>, QueryError> {
        let mut query = CallsQuery {
            filter: compile(text, Target::Calls, at)?,
            window: window.into(),
            as_of: at,
            limit: PAGE,
            cursor: None,
            fields: Some(OF_CALL.to_vec()),
            order: StoreOrder::Newest,
        };
        notes.extend(query.filter.warnings.iter().map(ToString::to_string));
        let mut found: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        let mut seen = 0;
        loop {
            let page = self.store.calls(&query).await?;
            for row in json_rows(&page.rows, true) {
                seen += 1;
                let Some(flow) = row.get("flow_id").and_then(Value::as_i64) else { continue };
                let ids = found.entry(flow).or_default();
                if ids.len() < MAX_IDS {
                    ids.extend(row.get("id").map(|id| id.to_string().trim_matches('"').to_owned()));
                }
            }
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(found);
            }
            if seen >= MAX_CALLS || found.len() >= MAX_FLOWS {
                notes.push(format!("only the connections of the newest {seen} calls: narrow the filter"));
                return Ok(found);
            }
        }
    }

    async fn flows_of(
        &self,
        text: &str,
        window: Window,
        at: Timestamp,
        notes: &mut Vec<String>,
    ) -> Result<Vec<Map<String, Value>>, QueryError> {
        let mut query = FlowsQuery {
            filter: compile(text, Target::Flows, at)?,
            window: window.into(),
            as_of: at,
            limit: PAGE,
            cursor: None,
            fields: Some(OF_FLOW.to_vec()),
        };
        let mut found = Vec::new();
        loop {
            let page = self.store.flows(&query).await?;
            found.extend(json_rows(&page.rows, true));
            query.cursor = page.next;
            if query.cursor.is_none() {
                return Ok(found);
            }
            if found.len() >= MAX_FLOWS {
                notes.push(format!("names and comments of the newest {} connections only", found.len()));
                return Ok(found);
            }
        }
    }
}

fn end(row: &Map<String, Value>, side: &str) -> Option<SocketAddr> {
    let ip: IpAddr = row.get(&format!("{side}.ip"))?.as_str()?.parse().ok()?;
    let port = row.get(&format!("{side}.port")).and_then(Value::as_u64).unwrap_or_default();
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}

fn key(row: &Map<String, Value>) -> Option<FlowKey> {
    // IANA, Assigned Internet Protocol Numbers.
    let protocol = match row.get("transport")?.as_str()? {
        "tcp" => 6,
        "udp" => 17,
        "sctp" => 132,
        "icmp" if end(row, "src")?.is_ipv6() => 58,
        "icmp" => 1,
        _ => return None,
    };
    let mut ends = [end(row, "src")?, end(row, "dst")?];
    if matches!(protocol, 1 | 58) {
        // Packets of ICMP show no ports.
        ends.iter_mut().for_each(|end| end.set_port(0));
    }
    Some(FlowKey::new(protocol, ends[0], ends[1]))
}

/// A connection from its first packet to its last: its ports may belong to another one before and after.
fn selection(row: &Map<String, Value>) -> Option<FlowSelection> {
    let time = |name: &str| Some(Timestamp::parse_rfc3339(row.get(name)?.as_str()?)?.nanos());
    let from = time("first_seen").map_or(i64::MIN, |t| t.saturating_sub(SLACK));
    let over = row.get("conn_state").and_then(Value::as_str) == Some("closed");
    let until = time("ts").filter(|_| over).map_or(i64::MAX, |t| t.saturating_add(SLACK));
    Some(FlowSelection { key: key(row)?, window: Span { from, until } })
}

/// Names of addresses, each once.
fn names(flows: &[Map<String, Value>]) -> Vec<(IpAddr, String)> {
    let mut names = BTreeMap::new();
    for (row, side) in flows.iter().flat_map(|row| [(row, "src"), (row, "dst")]) {
        let (Some(end), Some(name)) = (end(row, side), row.get(&format!("{side}.name"))) else { continue };
        let name = name.as_str().unwrap_or_default();
        // Loopback is everybody's.
        if !name.is_empty() && name.parse::<IpAddr>().is_err() && !end.ip().is_loopback() {
            names.entry(end.ip()).or_insert_with(|| name.to_owned());
        }
    }
    names.into_iter().collect()
}

/// The first packet of each connection says whose it is and which calls it carries.
fn comments(flows: &[Map<String, Value>], ids: &BTreeMap<i64, Vec<String>>) -> remora_ring::Comment {
    let mut texts: HashMap<FlowKey, String> = HashMap::new();
    for row in flows {
        let Some(key) = key(row) else { continue };
        let name = |side: &str| row.get(&format!("{side}.name")).and_then(Value::as_str).unwrap_or("?");
        let mut text = format!("remora: {} -> {}", name("src"), name("dst"));
        let flow = row.get("flow_id").and_then(Value::as_i64).unwrap_or_default();
        if let Some(Value::Array(l7)) = row.get("conn_l7_detected") {
            let l7: Vec<&str> = l7.iter().filter_map(Value::as_str).collect();
            text.push_str(&format!(", {}", l7.join("+")));
        }
        text.push_str(&format!(", flow {flow}"));
        if let Some(ids) = ids.get(&flow) {
            let more = if ids.len() >= MAX_IDS { ", ..." } else { "" };
            text.push_str(&format!(", calls {}{more}", ids.join(", ")));
        }
        texts.insert(key, text);
    }
    Box::new(move |packet: &PacketInfo<'_>, out: &mut String| {
        if let Some(text) = packet.flow.and_then(|key| texts.remove(&key)) {
            out.push_str(&text);
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn connections_are_selected_by_their_ends_and_their_time() {
        let flow = row(json!({
            "flow_id": 7, "transport": "tcp", "conn_state": "closed",
            "first_seen": "2026-11-21T04:40:49Z", "ts": "2026-11-21T04:40:59Z",
            "src.ip": "10.0.0.1", "src.port": 40_000, "src.name": "shop",
            "dst.ip": "10.0.0.2", "dst.port": 80, "dst.name": "10.0.0.2",
            "conn_l7_detected": ["http"],
        }));
        let chosen = selection(&flow).unwrap();
        let ends = ["10.0.0.1:40000", "10.0.0.2:80"].map(|e| e.parse().unwrap());
        assert_eq!(chosen.key, FlowKey::new(6, ends[0], ends[1]));
        assert_eq!((chosen.window.until - chosen.window.from) / SLACK, 12);
        let mut open = flow.clone();
        open.insert("conn_state".into(), "open".into());
        assert_eq!(selection(&open).unwrap().window.until, i64::MAX);
        assert_eq!(names(std::slice::from_ref(&flow)), [("10.0.0.1".parse().unwrap(), "shop".to_owned())]);

        let mut comment =
            comments(std::slice::from_ref(&flow), &BTreeMap::from([(7, vec!["4711".to_owned()])]));
        let packet = PacketInfo {
            ts: 0,
            flow: Some(chosen.key),
            from: None,
            interface: "",
            direction: remora_ring::Direction::Unknown,
            wire_len: 0,
        };
        let mut text = String::new();
        comment(&packet, &mut text);
        assert_eq!(text, "remora: shop -> 10.0.0.2, http, flow 7, calls 4711");
        text.clear();
        comment(&packet, &mut text);
        assert_eq!(text, "", "only the first packet has it");
    }

    #[test]
    fn what_has_no_ends_is_not_selected() {
        assert!(selection(&row(json!({"transport": "tcp", "src.ip": "10.0.0.1"}))).is_none());
        let ping = row(json!({"transport": "icmp", "src.ip": "::1", "src.port": 9, "dst.ip": "::1"}));
        let end = "[::1]:0".parse().unwrap();
        assert_eq!(key(&ping), Some(FlowKey::new(58, end, end)));
    }
}
