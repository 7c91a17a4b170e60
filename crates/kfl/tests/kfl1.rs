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
    ("timestamp >= now() - months(1)", "timestamp >= now() - duration(\"30d\")"),
    ("timestamp >= now() - years(2)", "timestamp >= now() - duration(\"730d\")"),
    ("http2 and response.status == 500", "http && http_version == \"HTTP/2\" && status_code == 500"),
    ("https", "tls && http"),
    ("elapsedTime > 500", "elapsed_time / 1000 > 500"),
    ("redis and request.key == \"cart:7\"", "redis && redis_key == \"cart:7\""),
    ("response.size > 1000", "response_bytes > 1000"),
    ("gqlv1 or gqlv2", "gqlv1 || gqlv2"),
    (
        "request.command == \"find\"",
        "(redis ? redis_type : mongodb ? mongodb_command : postgresql ? postgresql_command : mysql_command) == \"find\"",
    ),
    ("request.questions[0] == \"example.com\"", "dns_questions[0] == \"example.com\""),
    ("response.content.text.json().error.code == 7", "json(response.body).error.code == 7"),
    ("json(response.body)[\"error\"][\"code\"] == \"E1\"", "json(response.body).error.code == \"E1\""),
    ("json(response.body).ok == true", "json(response.body).ok == \"true\""),
    ("json(request.body).id in [1, 2]", "int(json(request.body).id) in [1, 2]"),
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
fn flows_have_their_names_of_kfl2() {
    for (theirs, ours) in [
        ("tcp_flow && flow_state == \"open\"", "tcp && conn_state == \"open\""),
        ("udp_conn and \"dns\" in flow_l7_detected", "udp && \"dns\" in conn_l7_detected"),
        ("conn_local_bytes > 5", "(has(dst.process) ? dst.bytes : src.bytes) > 5"),
        ("flow_remote_pkts > 5", "(has(dst.process) ? src.packets : dst.packets) > 5"),
    ] {
        let [theirs, ours] = [theirs, ours].map(|text| {
            compile(text, Target::Flows, common::now()).unwrap_or_else(|e| panic!("{}", render_all(&e, text)))
        });
        assert_eq!(theirs.expr, ours.expr);
        assert!(theirs.warnings.is_empty());
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
        ("json(response.body, path) == \"x\"", "one text"),
        ("json(status_code).a == \"x\"", "must be a string"),
        ("json(response.body)[-1] == \"x\"", "a number from 0"),
        ("dns_questions[-1] == \"x\"", "counted from 0"),
        ("dns_questions[path] == \"x\"", "not a number of its elements"),
        ("http && json(response.body).error", "not a condition"),
        ("response.statu == 500", "no field is called `response.statu`"),
    ] {
        let errors = compile(text, Target::Calls, common::now()).expect_err(text);
        let shown = render_all(&errors, text);
        assert!(shown.contains(says), "{shown}");
    }
}
