//! When the value of a field that was seen in part is a part of the whole one.
#![allow(unreachable_pub)]

use remora_dissect::harness::Value;

/// Numbers that grow as more is seen.
const COUNTS: &[&str] = &[
    "size", "bytes", "length", "rows", "records", "messages", "columns", "count", "events", "results",
    "frames",
];

/// Fields that tell of the request where that was seen and else of the response, as the catalogue
/// says: of a call whose request was not seen they tell of something else.
pub const OF_THE_HALF_SEEN: &[&str] = &[
    "diameter_method",
    "diameter_origin_host",
    "diameter_origin_realm",
    "diameter_summary",
    "icmp_length",
    "icmp_type",
    "ldap_type",
    "radius_code",
    "radius_code_name",
    "radius_eap_method",
];

/// Lines that are put together from other fields, from others where less is known: each of their
/// words stands in a field of the call that is whole.
pub const SUMMARIES: &[&str] = &["amqp_summary", "smtp_summary", "tlsx_summary"];

/// Texts of lines of which some may be missing in the middle: entries of a search.
const LINES: &[&str] = &["ldap_response_body"];

/// Fields that tell of the request where that was seen and else of the response, or of both, and
/// what stands in for a command that was not seen.
const OF_EITHER: &[&str] = &["http_version", "content_type", "dns_flags", "icmp_code"];
const STAND_INS: &[(&str, &[u8])] = &[
    ("amqp_method", b"protocol-header"),
    ("nats_operation", b"-ERR"),
    ("mysql_command", b"ERROR"),
    ("postgresql_command", b"ERROR"),
    ("ws_opcode", b"pong"),
];

/// What was said once and is remembered for the calls that follow: it is as old as the newest
/// message that was seen.
pub const REMEMBERED: &[&str] = &[
    "amqp_user",
    "amqp_virtual_host",
    "mysql_database",
    "mysql_auth_plugin",
    "mysql_user",
    "postgresql_application",
    "postgresql_database",
    "postgresql_user",
    // As declared, where the schema is known.
    "grpc_kind",
    // The last of several: more may have come.
    "sse_last_id",
];

/// Fields that are made of what is known, and so look otherwise where less is; and those that say how
/// far a handshake was seen.
const MADE: &[&str] = &["kafka_request_body", "kafka_response_body", "tls_summary", "tlsx_info"];

pub fn is_part(name: &str, part: &Value, whole: &Value) -> bool {
    if OF_EITHER.contains(&name) || REMEMBERED.contains(&name) || MADE.contains(&name) {
        return true;
    }
    match (part, whole) {
        (Value::Text(part), Value::Text(whole)) if LINES.contains(&name) => {
            let mut all = whole.split(|b| *b == b'\n');
            part.split(|b| *b == b'\n').all(|line| all.any(|l| l == line))
        }
        (Value::Text(part), Value::Text(whole)) => {
            contains(whole, part) || STAND_INS.contains(&(name, part.as_slice()))
        }
        (Value::List(part), Value::List(whole)) => {
            part.len() <= whole.len() && part.iter().all(|p| whole.iter().any(|w| contains(w, p)))
        }
        (Value::Map(part), Value::Map(whole)) => part.iter().all(|(k, v)| {
            let unknown = |t: &[u8]| t == b"?";
            whole.iter().any(|(wk, wv)| (wk == k || unknown(k)) && (contains(wv, v) || unknown(v)))
        }),
        // Seen or not, ended well or not: what is not seen is not told. What is cut is.
        (Value::Bool(part), Value::Bool(_)) => !part || name.ends_with("_truncated"),
        (Value::Int(part), Value::Int(whole)) => {
            part <= whole && COUNTS.iter().any(|end| name.ends_with(end))
        }
        _ => false,
    }
}

pub fn contains(whole: &[u8], part: &[u8]) -> bool {
    // Bytes of a type that was not seen are shown in hexadecimal.
    part.is_empty()
        || is_topic_id(part)
        || part.starts_with(b"\\x")
        || whole.windows(part.len()).any(|w| w == part)
}

/// A Kafka topic by its id, where the name was not seen: 16 bytes in Base64 without padding, and a
/// partition.
pub fn is_topic_id(text: &[u8]) -> bool {
    let id = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    text.len() >= 22
        && text[..22].iter().all(id)
        && text[22..].iter().all(|b| *b == b'-' || b.is_ascii_digit())
}
