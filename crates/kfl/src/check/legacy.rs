//! Spellings of KFL1, Kubeshark's older language, that still stand in its examples: names that are paths into
//! an entry, regular expressions as literals, and functions of time.

use remora_model::field::{self as f, by_name};
use remora_model::{FieldDef, FieldId};

use crate::{ArithOp, CompareOp, Expr, Literal, Target};

/// Names of KFL1 whose meaning does not depend on the protocol, and the fields that say the same. Sources:
/// `docs` of Kubeshark, `filtering.md` and `mcp/l7_tools.md`, and `pkg/extensions` of `kubeshark/base`.
const NAMES: &[(&str, &str)] = &[
    ("protocol.name", "protocol"),
    ("request.method", "method"),
    ("request.url", "url"),
    ("request.targetUri", "url"),
    ("request.path", "path"),
    ("request.queryString", "query_string"),
    ("request.postData.text", "request.body"),
    ("request.bodySize", "request_body_size"),
    ("response.status", "status_code"),
    ("response.content.text", "response.body"),
    ("response.bodySize", "response_body_size"),
    ("request.opCode", "dns_opcode"),
    ("request.apiKeyName", "kafka_api_key_name"),
    ("request.apiVersion", "kafka_api_version"),
    ("request.clientID", "kafka_client_id"),
    ("request.correlationID", "kafka_correlation_id"),
    ("request.exchange", "amqp_exchange"),
    ("request.routingKey", "amqp_routing_key"),
    ("request.queue", "amqp_queue"),
    ("request.key", "redis_key"),
    ("request.size", "request_bytes"),
    ("response.size", "response_bytes"),
    ("request.questions", "dns_questions"),
    ("response.answers", "dns_answers"),
];

/// Names of KFL2 for what has one name here.
const KFL2: &[(&str, &str)] = &[
    ("tcp_flow", "tcp"),
    ("udp_flow", "udp"),
    ("tcp_conn", "tcp"),
    ("udp_conn", "udp"),
    ("flow_state", "conn_state"),
    ("flow_l7_detected", "conn_l7_detected"),
];

/// Names that mean something else for each protocol, and the fields that they are there.
const BY_PROTOCOL: &[(&str, &[(FieldId, FieldId)])] = &[
    (
        "request.command",
        &[
            (f::REDIS, f::REDIS_TYPE),
            (f::MONGODB, f::MONGODB_COMMAND),
            (f::POSTGRESQL, f::POSTGRESQL_COMMAND),
            (f::MYSQL, f::MYSQL_COMMAND),
        ],
    ),
    (
        "request.query",
        &[(f::POSTGRESQL, f::POSTGRESQL_QUERY), (f::MYSQL, f::MYSQL_QUERY), (f::GQL, f::GQL_QUERY)],
    ),
    ("response.code", &[(f::HTTP, f::STATUS_CODE), (f::DNS, f::STATUS_CODE)]),
];

/// Counters of KFL2 by the near and the far peer, those of the server and those of the client: as with
/// `local_process_name`, the server is the near one where its process is known.
const PEERS: &[(&str, FieldId, FieldId)] = &[
    ("local_pkts", f::DST_PACKETS, f::SRC_PACKETS),
    ("local_bytes", f::DST_BYTES, f::SRC_BYTES),
    ("remote_pkts", f::SRC_PACKETS, f::DST_PACKETS),
    ("remote_bytes", f::SRC_BYTES, f::DST_BYTES),
];

/// Functions of a number that are a span of time, and nanoseconds of one of them.
const SPANS: &[(&str, i64)] = &[
    ("seconds", 1_000_000_000),
    ("minutes", 60_000_000_000),
    ("hours", 3_600_000_000_000),
    ("days", 86_400_000_000_000),
    ("weeks", 604_800_000_000_000),
    // Of 30 days and of 365: a span has no calendar.
    ("months", 30 * 86_400_000_000_000),
    ("years", 365 * 86_400_000_000_000),
];

/// What stands in a regular expression and hardly in a text that is compared as it is.
const SIGNS: &[&str] = &[".*", ".+", "\\", "[", "|", ")?", ")*", ")+"];

/// The field that a name of KFL1 stands for.
pub(super) fn field(name: &str) -> Option<&'static FieldDef> {
    NAMES.iter().find(|(old, _)| *old == name).and_then(|(_, new)| by_name(new))
}

/// The expression that a name stands for which is no single field, and what is to be said of it where it is not
/// KFL2.
pub(super) fn expression(name: &str, target: Target) -> Option<(Expr, Option<String>)> {
    let field = |id| Box::new(Expr::Field(id));
    let choose = |condition, then, otherwise| Expr::If { condition, then, otherwise };
    if target == Target::Flows {
        let counter = name.strip_prefix("conn_").or_else(|| name.strip_prefix("flow_"))?;
        let (_, server, client) = PEERS.iter().find(|(peer, ..)| *peer == counter)?;
        let near = Box::new(Expr::Has(f::DST_PROCESS));
        return Some((choose(near, field(*server), field(*client)), None));
    }
    if let Some((_, all)) = BY_PROTOCOL.iter().find(|(old, _)| *old == name) {
        let names: Vec<&str> = all.iter().map(|(_, id)| id.def().name).collect();
        let (last, before) = all.split_last()?;
        let each = before.iter().rev();
        let expr = each
            .fold(Expr::Field(last.1), |rest, (flag, id)| choose(field(*flag), field(*id), Box::new(rest)));
        return Some((expr, Some(format!("the one of {} that the protocol has", names.join(", ")))));
    }
    match name {
        "http2" => {
            let text = Box::new(Expr::Literal(Literal::Text("HTTP/2".to_owned())));
            let version = Expr::Compare { op: CompareOp::Eq, left: field(f::HTTP_VERSION), right: text };
            Some((super::and(vec![Expr::Field(f::HTTP), version]), Some("HTTP of version 2".to_owned())))
        }
        "https" => Some((
            super::and(vec![Expr::Field(f::TLS), Expr::Field(f::HTTP)]),
            Some("`tls && http`, as in Kubeshark's macros".to_owned()),
        )),
        "elapsedTime" => {
            let thousand = Box::new(Expr::Literal(Literal::Int(1_000)));
            let expr = Expr::Arith { op: ArithOp::Div, left: field(f::ELAPSED_TIME), right: thousand };
            Some((expr, Some("milliseconds in KFL1: `elapsed_time / 1000`".to_owned())))
        }
        _ => None,
    }
}

/// The field that another name of KFL2 stands for.
pub(super) fn same(name: &str) -> Option<&'static FieldDef> {
    KFL2.iter().find(|(theirs, _)| *theirs == name).and_then(|(_, ours)| by_name(ours))
}

/// Nanoseconds of one, for a function that makes a span of time of a number.
pub(super) fn span(name: &str) -> Option<i64> {
    SPANS.iter().find(|(span, _)| *span == name).map(|(_, nanos)| *nanos)
}

/// Whether a raw literal (`r"..."`, as it stands in the filter) is a regular expression: in KFL1 all are, in
/// CEL it is a text without escapes, for which there is no need unless it has a backslash.
pub(super) fn is_pattern(source: &str, text: &str) -> bool {
    source.starts_with(['r', 'R'])
        && (text.starts_with('^') || text.ends_with('$') || SIGNS.iter().any(|s| text.contains(s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_no_fields_and_stand_for_fields() {
        for (old, new) in NAMES.iter().chain(KFL2) {
            assert!(by_name(old).is_none() && by_name(new).is_some(), "{old} {new}");
        }
    }

    #[test]
    fn only_what_looks_like_one_is_a_pattern() {
        assert!(is_pattern("r\"^/api\"", "^/api") && is_pattern("r'a.*b'", "a.*b"));
        assert!(!is_pattern("r\"example.com\"", "example.com") && !is_pattern("\"^/api\"", "^/api"));
    }
}
