//! What was probably meant by a name that does not exist.

use remora_model::field::CATALOGUE;

use crate::Target;
use crate::functions::FUNCTIONS;

/// Words that people bring from elsewhere, and the fields that say the same. A field that does not
/// exist in the table that is asked is passed over.
const ALIASES: &[(&[&str], &[&str])] = &[
    (
        &[
            "status",
            "code",
            "http_status",
            "response.status",
            "response.code",
            "response_code",
            "http.status_code",
            "statuscode",
        ],
        &["status_code"],
    ),
    (
        &["latency", "duration", "response_time", "took", "elapsed", "elapsedtime", "rtt_us"],
        &["elapsed_time", "ttlb"],
    ),
    (&["src_ip", "source_ip", "client_ip", "ip.src", "source.ip", "srcip"], &["src.ip"]),
    (&["dst_ip", "dest_ip", "destination_ip", "server_ip", "ip.dst", "destination.ip", "dstip"], &["dst.ip"]),
    (&["ip", "addr", "address", "ip.addr"], &["src.ip", "dst.ip"]),
    (&["src_port", "source_port", "client_port", "srcport", "tcp.srcport"], &["src.port"]),
    (&["dst_port", "dest_port", "destination_port", "server_port", "dstport", "tcp.dstport"], &["dst.port"]),
    (&["port", "tcp.port", "udp.port"], &["dst.port", "src.port"]),
    (&["name", "service", "pod", "src", "dst", "source", "destination"], &["src.name", "dst.name"]),
    (&["src.pod.name", "src.service.name", "src_name"], &["src.name"]),
    (&["dst.pod.name", "dst.service.name", "dst_name"], &["dst.name"]),
    (&["namespace", "ns"], &["namespaces", "src.namespace", "dst.namespace"]),
    (&["verb", "request.method", "http_method", "http.method", "http.request.method"], &["method"]),
    (&["uri", "request.url", "target", "http.request.uri"], &["url", "path"]),
    (&["route"], &["path", "endpoint"]),
    (&["hostname", "authority", "domain", "request.host", "http.host", "vhost"], &["host", "dns_questions"]),
    (&["body", "content", "payload"], &["request.body", "response.body"]),
    (&["request.content", "request_body", "request.payload"], &["request.body"]),
    (&["response.content", "response_body", "response.payload"], &["response.body"]),
    (&["headers", "header"], &["request.headers", "response.headers"]),
    (&["request_headers", "request.header"], &["request.headers"]),
    (&["response_headers", "response.header"], &["response.headers"]),
    (&["query", "params", "request.query", "request.querystring", "querystring"], &["query_string"]),
    (&["cookies", "cookie"], &["request.cookies", "response.cookies"]),
    (&["useragent", "ua", "agent"], &["user_agent"]),
    (&["mime", "mimetype", "mime_type"], &["content_type"]),
    (&["qname", "question", "questions", "dns_query", "dns_name", "dns.qry.name"], &["dns_questions"]),
    (&["answer", "answers", "dns_answer"], &["dns_answers"]),
    (&["rcode", "dns.flags.rcode", "dns_status"], &["dns_rcode"]),
    (&["qtype", "dns_type", "dns_query_type"], &["dns_question_types"]),
    (&["command", "cmd", "redis_cmd"], &["redis_command", "redis_type"]),
    (&["key"], &["redis_key", "kafka_record_keys"]),
    (&["topic", "kafka_topic", "request.topic"], &["kafka_topics"]),
    (&["group", "consumer_group", "kafka_consumer_group"], &["kafka_group"]),
    (&["apikey", "api_key", "request.apikeyname"], &["kafka_api_key_name", "kafka_api_key"]),
    (&["error", "errors", "is_error", "failure", "failing"], &["failed", "client_error"]),
    (&["time", "date", "at"], &["ts"]),
    (&["process", "comm", "exe", "proc"], &["process_name", "src.process", "dst.process"]),
    (&["pid"], &["src.pid", "dst.pid"]),
    (&["container", "containerid"], &["container_id"]),
    (&["cgroup"], &["src.cgroup", "dst.cgroup"]),
    (&["node", "node.name"], &["node_name"]),
    (&["http2", "https", "http1", "h2"], &["http", "tls"]),
    (&["proto", "l7", "protocol.name"], &["protocol", "conn_l7_detected"]),
    (&["l4proto", "l4", "ip.proto"], &["transport"]),
    (&["rtt", "handshake"], &["tcp_rtt_us"]),
    (&["retransmits", "retransmissions", "retrans"], &["tcp_retransmits"]),
    (&["state", "flow_state"], &["conn_state"]),
    (&["bytes", "size"], &["request_bytes", "response_bytes", "src.bytes", "dst.bytes"]),
    (&["packets"], &["src.packets", "dst.packets"]),
    (&["conn_local_bytes", "flow_local_bytes"], &["src.bytes", "dst.bytes"]),
    (&["conn_remote_bytes", "flow_remote_bytes"], &["dst.bytes", "src.bytes"]),
    (&["conn_local_pkts", "flow_local_pkts"], &["src.packets", "dst.packets"]),
    (&["conn_remote_pkts", "flow_remote_pkts"], &["dst.packets", "src.packets"]),
    (&["traceid", "trace"], &["trace_id"]),
    (&["spanid", "span"], &["span_id"]),
];

/// Functions of other languages, and what to write here.
const FUNCTION_ALIASES: &[(&[&str], &str)] = &[
    (&["len", "length", "count"], "did you mean `size`?"),
    (&["lower", "tolower", "tolowercase", "downcase"], "did you mean `lowerAscii`?"),
    (&["upper", "toupper", "touppercase", "upcase"], "did you mean `upperAscii`?"),
    (&["match", "regex", "rlike", "regexp", "search"], "did you mean `matches`?"),
    (&["like", "includes", "include", "indexof"], "did you mean `contains`?"),
    (&["any", "some"], "did you mean `exists`?"),
    (&["every"], "did you mean `all`?"),
    (&["filter", "map"], "a filter asks yes or no: use exists, all, exists_one or size"),
    (&["get"], "did you mean `map_get`?"),
    (&["datetime", "date", "time"], "did you mean `timestamp`?"),
    (
        &["seconds", "minutes", "hours", "days", "weeks"],
        "did you mean `duration`, as in now() - duration(\"5m\")?",
    ),
    (&["exist", "exists_field", "present", "isset", "defined", "isnull"], "did you mean `has`?"),
    (&["inip", "ip", "in_cidr", "cidr_match", "incidr"], "did you mean `ip_in`?"),
    (&["limit"], "the number of rows is an option of the command or tool, not part of the filter"),
    (&["redact"], "redaction is configured at the agent, not in a filter"),
];

/// How many names are proposed.
const PROPOSED: usize = 3;

pub(crate) fn is_function(name: &str) -> bool {
    FUNCTIONS.iter().any(|f| f.name == name)
}

/// "did you mean `a`, `b` or `c`?"
pub(crate) fn did_you_mean(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.as_slice() {
        [head @ .., a, b] => {
            let head: String = head.iter().map(|n| format!("{n}, ")).collect();
            format!("did you mean {head}{a} or {b}?")
        }
        _ => format!("did you mean {}?", quoted.concat()),
    }
}

/// The fields of that table which are closest to `name`, closest first; none when none is close.
pub(crate) fn fields(name: &str, target: Target) -> Vec<&'static str> {
    let wanted = name.to_ascii_lowercase();
    let exists = |n: &&'static str| {
        CATALOGUE.iter().any(|f| {
            f.name == *n
                && match target {
                    Target::Calls => f.in_calls(),
                    Target::Flows => f.in_flows(),
                }
        })
    };
    let alias: Vec<&'static str> = ALIASES
        .iter()
        .filter(|(theirs, _)| theirs.contains(&wanted.as_str()))
        .flat_map(|(_, ours)| ours.iter().copied())
        .filter(exists)
        .take(PROPOSED)
        .collect();
    if !alias.is_empty() {
        return alias;
    }
    let mut close: Vec<(usize, &'static str)> = CATALOGUE
        .iter()
        .map(|f| f.name)
        .filter(exists)
        .filter_map(|candidate| Some((distance_rank(&wanted, candidate)?, candidate)))
        .collect();
    close.sort_by_key(|(rank, _)| *rank);
    let best = close.first().map_or(0, |(rank, _)| *rank);
    close.into_iter().take_while(|(rank, _)| *rank <= best + 1).map(|(_, name)| name).take(PROPOSED).collect()
}

/// What to write instead of a function that does not exist.
pub(crate) fn function(name: &str) -> Option<String> {
    let wanted = name.to_ascii_lowercase();
    if let Some((_, help)) = FUNCTION_ALIASES.iter().find(|(theirs, _)| theirs.contains(&wanted.as_str())) {
        return Some((*help).to_owned());
    }
    FUNCTIONS
        .iter()
        .filter_map(|f| Some((distance_rank(&wanted.replace('_', ""), &f.name.replace('_', ""))?, f.name)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, f)| did_you_mean(&[f]))
}

/// How far a name is from a candidate: spelled the same but for case and separators, a few letters
/// apart, or the beginning or the end of it. `None` when it is not close.
fn distance_rank(wanted: &str, candidate: &str) -> Option<usize> {
    let fold = |s: &str| s.to_ascii_lowercase().replace(['.', '_', '-'], "");
    let (a, b) = (fold(wanted), fold(candidate));
    if a == b {
        return Some(0);
    }
    let length = a.chars().count();
    if length > 64 {
        return None;
    }
    let edits = edit_distance(&a, &b);
    if edits <= (length / 4).max(1) && edits < length {
        return Some(edits);
    }
    let part = length >= 3 && (b.starts_with(&a) || b.ends_with(&a) || (b.len() >= 4 && a.ends_with(&b)));
    part.then(|| 10 + a.len().abs_diff(b.len()))
}

/// Letters to insert, delete, replace or exchange with their neighbour.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (above[j - 1] + same).min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}
