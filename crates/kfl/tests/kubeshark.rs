//! The filters that Kubeshark publishes as examples of KFL2. Those whose fields the catalogue has
//! are accepted; of the others the error names the field that is missing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use remora_kfl::{Target, compile, render_all};
use remora_model::field::by_name;

/// The filter, the table it is about, and the fields it needs.
const PUBLISHED: &[(&str, Target, &[&str])] = {
    use Target::{Calls, Flows};
    &[
        (r#"http && method == "GET" && status_code >= 400"#, Calls, &["http", "method", "status_code"]),
        (r#"dst.pod.namespace == "production""#, Calls, &["dst.pod.namespace"]),
        (r#"dns && "google.com" in dns_questions"#, Calls, &["dns", "dns_questions"]),
        ("http && elapsed_time > 5000000", Calls, &["http", "elapsed_time"]),
        ("grpc && grpc_status != 0", Calls, &["grpc", "grpc_status"]),
        (r#"timestamp > now() - duration("5m")"#, Calls, &["timestamp"]),
        (
            r#"timestamp >= timestamp("2026-03-14T22:00:00Z") && timestamp <= timestamp("2026-03-14T23:00:00Z")"#,
            Calls,
            &["timestamp"],
        ),
        (r#"http && url.matches(".*/api/v[0-9]+/.*")"#, Calls, &["http", "url"]),
        (r#"http && "authorization" in request.headers"#, Calls, &["http", "request.headers"]),
        (
            r#"map_get(local_labels, "app", "") == "checkout" && "production" in namespaces"#,
            Calls,
            &["local_labels", "namespaces"],
        ),
        (
            "src.service.namespace != dst.service.namespace",
            Calls,
            &["src.service.namespace", "dst.service.namespace"],
        ),
        (r#""db.example.com" in dns_resolutions"#, Calls, &["dns_resolutions"]),
        (r#"dst.dns != "" && !dst.dns.endsWith(".internal")"#, Calls, &["dst.dns"]),
        (
            r#"tlsx && tlsx_cipher_suites.exists(s, s.contains("RC4"))"#,
            Calls,
            &["tlsx", "tlsx_cipher_suites"],
        ),
        (
            r#"kafka && kafka_api_key_name == "PRODUCE" && kafka_request_summary.contains("orders")"#,
            Calls,
            &["kafka", "kafka_api_key_name", "kafka_request_summary"],
        ),
        (
            r#"mongodb && mongodb_command == "find" && !mongodb_success"#,
            Calls,
            &["mongodb", "mongodb_command", "mongodb_success"],
        ),
        (
            r#"postgresql && postgresql_error_code == "23505""#,
            Calls,
            &["postgresql", "postgresql_error_code"],
        ),
        (
            r#"redis && redis_type == "GET" && redis_key.startsWith("session:")"#,
            Calls,
            &["redis", "redis_type", "redis_key"],
        ),
        (
            r#"conn && conn_state == "open" && conn_local_bytes > 1000000"#,
            Flows,
            &["conn", "conn_state", "conn_local_bytes"],
        ),
        ("tcp_flow && flow_local_bps > 5000000", Flows, &["tcp_flow", "flow_local_bps"]),
        (r#"tcp && tcp_error_type != """#, Calls, &["tcp", "tcp_error_type"]),
        (r#"capture_source == "ebpf_tls""#, Calls, &["capture_source"]),
        (r#"http && !path.contains("/health")"#, Calls, &["http", "path"]),
        (
            r#"http && method == "POST" && status_code >= 500 && path.contains("/api")"#,
            Calls,
            &["http", "method", "status_code", "path"],
        ),
        ("dns && dns_response && status_code != 0", Calls, &["dns", "dns_response", "status_code"]),
    ]
};

/// Names that are understood without being in the catalogue.
const OTHER_NAMES: &[&str] = &["conn_local_bytes", "tcp_flow"];

#[test]
fn published_filters_compile_or_name_what_is_missing() {
    let mut accepted = 0;
    for (text, target, fields) in PUBLISHED {
        let missing: Vec<&str> =
            fields.iter().copied().filter(|f| by_name(f).is_none() && !OTHER_NAMES.contains(f)).collect();
        match compile(text, *target, common::now()) {
            Ok(filter) => {
                let missing: Vec<_> =
                    missing.into_iter().filter(|name| !OTHER_NAMES.contains(name)).collect();
                assert!(missing.is_empty(), "{text} was accepted without {missing:?}");
                assert!(filter.warnings.is_empty(), "{}", render_all(&filter.warnings, text));
                accepted += 1;
            }
            Err(errors) => {
                assert!(!missing.is_empty(), "{}", render_all(&errors, text));
                for field in missing {
                    let named = errors.iter().any(|e| e.message.contains(&format!("`{field}`")));
                    assert!(named, "{field} is not named:\n{}", render_all(&errors, text));
                }
            }
        }
    }
    assert!(accepted >= 17, "only {accepted} were accepted");
}
