//! Filters in KFL1, Kubeshark's older language, mean what their text says: the same as in KFL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use remora_kfl::{Target, compile, render_all};

/// A filter in KFL1 and the same in KFL. Those of the first part are from Kubeshark's pages.
const SAME: &[(&str, &str)] = &[
    ("http and response.status == 500", "http && status_code == 500"),
    ("http and request.path == \"/api/orders\"", "http && path == \"/api/orders\""),
    ("request.path contains \"/api/orders\"", "path.contains(\"/api/orders\")"),
    (
        "http and request.method == \"GET\" and response.status >= 400",
        "http && method == \"GET\" && status_code >= 400",
    ),
    ("request.headers[\"x-request-id\"] == \"7\"", "request.headers[\"x-request-id\"] == \"7\""),
    (
        "http and src.name == \"front-end\" and dst.name == \"cart\"",
        "http && src.name == \"front-end\" && dst.name == \"cart\"",
    ),
    ("request.path == r\"^/api/.*\"", "path.matches(\"^/api/.*\")"),
    ("request.path != r\"hello.*\"", "!path.matches(\"hello.*\")"),
    (
        "request.headers[\"user-agent\"] == r\"(curl|wget)/.*\"",
        "request.headers[\"user-agent\"].matches(\"(curl|wget)/.*\")",
    ),
    ("timestamp >= now() - minutes(5)", "timestamp >= now() - duration(\"5m\")"),
    (
        "timestamp > now() - hours(1) and timestamp < now() - seconds(30)",
        "timestamp > now() - duration(\"1h\") && timestamp < now() - duration(\"30s\")",
    ),
    (
        "timestamp >= now() - days(2) or timestamp <= now() - weeks(1)",
        "timestamp >= now() - duration(\"48h\") || timestamp <= now() - duration(\"168h\")",
    ),
    ("timestamp >= datetime(\"2026-11-20T00:00:00Z\")", "timestamp >= timestamp(\"2026-11-20T00:00:00Z\")"),
    (
        "protocol.name == \"redis\" and !(redis_type == \"GET\")",
        "protocol == \"redis\" && !(redis_type == \"GET\")",
    ),
    ("not dns and (http or kafka)", "!dns && (http || kafka)"),
    ("response.content.text.contains(\"error\")", "response.body.contains(\"error\")"),
    (
        "amqp and request.exchange == \"orders\" and request.routingKey.startsWith(\"order.\")",
        "amqp && amqp_exchange == \"orders\" && amqp_routing_key.startsWith(\"order.\")",
    ),
    ("kafka and request.apiKeyName == \"Produce\"", "kafka && kafka_api_key_name == \"PRODUCE\""),
    ("request.queryString[\"id\"] == \"7\"", "query_string[\"id\"] == \"7\""),
    (
        "path startsWith \"/api\" and not path endsWith \".js\"",
        "path.startsWith(\"/api\") && !path.endsWith(\".js\")",
    ),
];

#[test]
fn old_spellings_mean_the_same() {
    for (old, new) in SAME {
        let [old_filter, new_filter] = [old, new].map(|text| {
            compile(text, Target::Calls, common::now()).unwrap_or_else(|e| panic!("{}", render_all(&e, text)))
        });
        assert_eq!(old_filter.normalised, new_filter.normalised, "{old}");
        assert_eq!(old_filter.expr, new_filter.expr, "{old}");
    }
}

#[test]
fn what_was_read_otherwise_is_said() {
    for (text, says) in [
        ("response.status == 500", "`response.status` of KFL1 is `status_code`"),
        ("path == r\"^/api\"", "regular expression"),
    ] {
        let filter = compile(text, Target::Calls, common::now()).unwrap();
        let notes = render_all(&filter.warnings, text);
        assert!(notes.contains(says), "{notes}");
    }
    // A raw text is a text, as in CEL, when it is no pattern.
    let plain = compile("host == r\"example.com\"", Target::Calls, common::now()).unwrap();
    assert_eq!(plain.normalised, "host == \"example.com\"");
    assert!(plain.warnings.is_empty());
}

#[test]
fn mistakes_in_old_spellings_are_errors() {
    for (text, says) in [
        ("path == r\"^/api(\"", "regular expression"),
        ("timestamp > now() - minutes(\"5\")", "minutes(5)"),
        ("timestamp > now() - weeks(9999999999)", "out of range"),
        ("request.path contains", "did you mean `.contains"),
        ("response.statu == 500", "no field is called `response.statu`"),
    ] {
        let errors = compile(text, Target::Calls, common::now()).expect_err(text);
        let shown = render_all(&errors, text);
        assert!(shown.contains(says), "{shown}");
    }
}
