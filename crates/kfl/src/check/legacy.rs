//! Spellings of KFL1, Kubeshark's older language, that still stand in its examples: names that are paths into
//! an entry, regular expressions as literals, and functions of time.

use remora_model::FieldDef;
use remora_model::field::by_name;

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
];

/// Functions of a number that are a span of time, and nanoseconds of one of them.
const SPANS: &[(&str, i64)] = &[
    ("seconds", 1_000_000_000),
    ("minutes", 60_000_000_000),
    ("hours", 3_600_000_000_000),
    ("days", 86_400_000_000_000),
    ("weeks", 604_800_000_000_000),
];

/// What stands in a regular expression and hardly in a text that is compared as it is.
const SIGNS: &[&str] = &[".*", ".+", "\\", "[", "|", ")?", ")*", ")+"];

/// The field that a name of KFL1 stands for.
pub(super) fn field(name: &str) -> Option<&'static FieldDef> {
    NAMES.iter().find(|(old, _)| *old == name).and_then(|(_, new)| by_name(new))
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
        for (old, new) in NAMES {
            assert!(by_name(old).is_none() && by_name(new).is_some(), "{old} {new}");
        }
    }

    #[test]
    fn only_what_looks_like_one_is_a_pattern() {
        assert!(is_pattern("r\"^/api\"", "^/api") && is_pattern("r'a.*b'", "a.*b"));
        assert!(!is_pattern("r\"example.com\"", "example.com") && !is_pattern("\"^/api\"", "^/api"));
    }
}
