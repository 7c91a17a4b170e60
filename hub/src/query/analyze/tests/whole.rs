//! The answer as a whole: nothing, everything, filters and limits.

use super::healthy::{failed_connection, healthy, statement};
use super::plant::{MS, Plant, SECOND, What, request};
use crate::query::analyze::findings;

#[tokio::test]
async fn healthy_traffic_has_no_findings() {
    let calls = healthy().calls.len();
    let answer = healthy().analyzed("").await;
    assert!(answer.rows.is_empty(), "{:#?}", answer.rows);
    let notes = answer.notes.join("\n");
    assert!(notes.contains(&format!("no findings; looked at {calls} calls")), "{notes}");
    assert!(notes.contains("20 certificates") && notes.contains("100 TCP flows"), "{notes}");
}

#[tokio::test]
async fn an_empty_answer_says_what_was_looked_at() {
    let mut p = Plant::empty();
    (0..30).for_each(|n| _ = p.call(What::http(["a", "b"], 80, n * SECOND, "/x", 200)));
    let answer = p.analyzed("").await;
    assert!(answer.rows.is_empty(), "{:#?}", answer.rows);
    let notes = answer.notes.join("\n");
    for part in [
        "looked at 30 calls: 30 http",
        "nothing to look at for DNS, TLS handshakes and certificates, retransmits",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
    let nothing = Plant::empty().analyzed("").await;
    assert!(
        nothing.rows.is_empty() && nothing.notes.join("\n").contains("no calls of any kind"),
        "{:?}",
        nothing.notes
    );
}

fn troubled() -> Plant {
    let mut p = healthy();
    for n in 0..60 {
        p.call(What::http(["shop", "payments"], 8081, n * 12 * SECOND, format!("/charge/{n}"), 503));
        p.call(failed_connection(["shop", "mail"], 25, n * 12 * SECOND, "connection_refused"));
    }
    for parent in 0..4 {
        let at = parent * 200 * SECOND + 350 * MS;
        let mut report = What::http(["browser", "reports"], 8082, at, "/report", 200);
        report.elapsed = Some(100_000);
        p.call(report);
        for n in 0..40 {
            p.call(statement(
                ["reports", "orders-db"],
                at + (1 + n * 2) * MS,
                format!("SELECT name FROM users WHERE id = {n}"),
            ));
        }
    }
    p
}

#[tokio::test]
async fn findings_are_ranked_filtered_and_bounded() {
    let answer = troubled().analyzed("").await;
    let kinds: Vec<&str> = answer.rows.iter().filter_map(|r| r["kind"].as_str()).collect();
    assert_eq!(kinds, ["always_failing", "connection_refused", "n_plus_one"]);
    let (text, shown) = findings(&answer.rows, 24 << 10);
    assert!(shown == 3 && text.len() < 3_000, "{text}");

    let filtered = troubled().analyzed("dst.name == \"payments\"").await;
    assert_eq!(filtered.rows.len(), 1, "{:#?}", filtered.rows);
    let only_calls = troubled().analyzed("http && dst.name == \"payments\"").await;
    assert_eq!(only_calls.rows.len(), 1, "{:#?}", only_calls.rows);
    assert!(only_calls.notes.iter().any(|n| n.contains("flows not looked at")), "{:?}", only_calls.notes);

    let (query, _dir) = troubled().query().await;
    let mut two = request("");
    two.limit = Some(2);
    let answer = query.analyze(&two).await.unwrap();
    assert_eq!(answer.rows.len(), 2);
    assert!(answer.notes.iter().any(|n| n.starts_with("1 finding more")), "{:?}", answer.notes);
    two.filter = Some("statu_code > 1".to_owned());
    assert!(query.analyze(&two).await.unwrap_err().to_string().contains("status_code"));
}

#[tokio::test]
async fn many_requests_are_looked_at_as_far_as_memory_goes() {
    let mut p = Plant::empty();
    for n in 0..150_000 {
        let at = n * 6 * MS;
        let mut asked = What::http(
            ["shop", "items"],
            8080,
            at,
            format!("/items/{n}"),
            if n % 5_000 == 0 { 500 } else { 200 },
        );
        asked.elapsed = Some(3_000);
        p.call(asked);
    }
    let answer = p.analyzed("").await;
    assert!(answer.rows.is_empty(), "{:#?}", answer.rows);
    let notes = answer.notes.join("\n");
    assert!(notes.contains("N+1 calls and retries were looked for from 2026-11-18T"), "{notes}");
    assert!(!notes.contains("not looked at:"), "{notes}");
}
