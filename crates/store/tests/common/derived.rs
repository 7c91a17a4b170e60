//! What derived fields are by their descriptions in the catalogue, written without a look at how the store
//! derives them.

use std::collections::HashMap;

use remora_kfl::Value;
use remora_model::field::{self as f, Rule};
use remora_model::row::SUMMARY_CHARS;
use remora_model::{FieldId, Protocol, Storage, Table};

/// Derived fields that have tests of their own and no second rule here.
pub(crate) const NOT_HERE: &[FieldId] = &[f::ENDPOINT];

type Row = HashMap<FieldId, Value>;

fn text(row: &Row, id: FieldId) -> Option<String> {
    match row.get(&id)? {
        Value::Text(t) => Some(t.clone()),
        Value::Int(n) => Some(n.to_string()),
        Value::List(l) => Some(l.join(", ")),
        _ => None,
    }
}

fn int(row: &Row, id: FieldId) -> Option<i64> {
    match row.get(&id)? {
        Value::Int(n) => Some(*n),
        _ => None,
    }
}

fn sum(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    Some(a?.wrapping_add(b?))
}

/// Adds every derived field that the row has.
pub(crate) fn add(row: &mut Row, table: Table) {
    let protocol = text(row, f::PROTOCOL).and_then(|p| Protocol::from_name(&p));
    for def in f::CATALOGUE.iter().filter(|d| matches!(d.storage, Storage::Derived(_))) {
        let here = if table == Table::Flows { def.in_flows() } else { def.in_calls() };
        if !here || NOT_HERE.contains(&def.id) {
            continue;
        }
        let Storage::Derived(rule) = def.storage else { continue };
        let value = match rule {
            Rule::Own => own(row, def.id, protocol),
            rule => protocol.and_then(|p| by_rule(row, rule, p)),
        };
        if let Some(value) = value {
            row.insert(def.id, value);
        }
    }
}

fn by_rule(row: &Row, rule: Rule, protocol: Protocol) -> Option<Value> {
    let (request, response) = (int(row, f::REQUEST_BYTES), int(row, f::RESPONSE_BYTES));
    let of = |of: Protocol, value: Option<Value>| value.filter(|_| protocol == of);
    match rule {
        Rule::Own => None,
        Rule::Flag(of) => Some(Value::Bool(protocol == of || protocol.parent() == Some(of))),
        Rule::RequestSize(p) => of(p, request.map(Value::Int)),
        Rule::ResponseSize(p) => of(p, response.map(Value::Int)),
        Rule::TotalSize(p) => of(p, sum(request, response).map(Value::Int)),
        Rule::RequestSeen(p) => of(p, Some(Value::Bool(request.is_some()))),
        Rule::ResponseSeen(p) => of(p, Some(Value::Bool(response.is_some()))),
    }
}

fn own(row: &Row, id: FieldId, protocol: Option<Protocol>) -> Option<Value> {
    let get = |id| row.get(&id).cloned();
    let transport = |name: &str| Some(Value::Bool(text(row, f::TRANSPORT)? == name));
    let dns = |id| {
        // The message alone: over TCP its length stands in front of it in two bytes.
        let framing = if text(row, f::TRANSPORT)? == "tcp" { 2 } else { 0 };
        int(row, id).filter(|_| protocol == Some(Protocol::Dns)).map(|n| n.wrapping_sub(framing))
    };
    match id {
        f::TIMESTAMP => get(f::TS),
        f::CONN_ID => get(f::FLOW_ID),
        f::PROCESS_NAME | f::LOCAL_PROCESS_NAME => get(f::DST_PROCESS).or_else(|| get(f::SRC_PROCESS)),
        f::REMOTE_PROCESS_NAME => get(f::DST_PROCESS).and_then(|_| get(f::SRC_PROCESS)),
        f::CONTAINER_ID => get(f::DST_CONTAINER).or_else(|| get(f::SRC_CONTAINER)),
        f::DNS_RESOLUTIONS => {
            let mut names: Vec<String> = Vec::new();
            for name in [text(row, f::SRC_DNS), text(row, f::DST_DNS)].into_iter().flatten() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            (!names.is_empty()).then_some(Value::List(names))
        }
        f::CAPTURE_BACKEND => {
            text(row, f::CAPTURE_SOURCE).map(|s| Value::Text(if s == "ebpf_tls" { "ebpf".into() } else { s }))
        }
        f::TCP => transport("tcp"),
        f::UDP => transport("udp"),
        f::SCTP => transport("sctp"),
        f::CONN | f::FLOW => Some(Value::Bool(true)),
        f::SUMMARY => {
            let parts: Vec<String> = protocol?.summary().iter().filter_map(|id| text(row, *id)).collect();
            let line: String = parts.join(" ").chars().take(SUMMARY_CHARS).collect();
            (!line.is_empty()).then_some(Value::Text(line))
        }
        f::OUTCOME => protocol?.outcome().iter().find_map(|id| text(row, *id)).map(Value::Text),
        // The random texts have neither `?` nor `;`, so that these maps are there and empty; the store's unit
        // tests take real ones apart.
        f::QUERY_STRING => get(f::URL).map(|_| Value::Map(Vec::new())),
        f::REQUEST_COOKIES => get(f::REQUEST_HEADERS).map(|_| Value::Map(Vec::new())),
        f::RESPONSE_COOKIES => get(f::RESPONSE_HEADERS).map(|_| Value::Map(Vec::new())),
        f::DNS_REQUEST_LENGTH => dns(f::REQUEST_BYTES).map(Value::Int),
        f::DNS_RESPONSE_LENGTH => dns(f::RESPONSE_BYTES).map(Value::Int),
        f::DNS_TOTAL_SIZE => sum(dns(f::REQUEST_BYTES), dns(f::RESPONSE_BYTES)).map(Value::Int),
        f::KAFKA_SIZE => {
            let size = int(row, f::REQUEST_BYTES).or_else(|| int(row, f::RESPONSE_BYTES));
            size.filter(|_| protocol == Some(Protocol::Kafka)).map(Value::Int)
        }
        id => panic!("no rule for {}", id.def().name),
    }
}
