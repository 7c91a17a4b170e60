//! Trouble with requests.

use remora_model::{Incomplete, Protocol, Timestamp, field as f};

use super::healthy::{healthy, statement};
use super::plant::{MS, SECOND, START, What};
use super::{count, number, only, title};

#[tokio::test]
async fn an_error_burst() {
    let mut p = healthy();
    for n in 0..300 {
        let at = n * 3 * SECOND;
        let bad = (300 * SECOND..360 * SECOND).contains(&at) && n % 4 != 0;
        p.call(What::http(
            ["shop", "payments"],
            8081,
            at,
            format!("/charge/{n}"),
            if bad { 503 } else { 200 },
        ));
    }
    let planted: Vec<What> = p.calls.iter().filter(|c| c.dst == "payments").cloned().collect();
    let finding = only(p, "error_burst").await;
    assert_eq!(number(&finding, "failed"), count(planted.iter().filter(|c| c.failed)));
    let at =
        |name: &str| Timestamp::parse_rfc3339(finding["numbers"][name].as_str().unwrap()).unwrap().0 - START;
    let inside = planted.iter().filter(|c| (at("from")..at("to")).contains(&c.at));
    assert_eq!(number(&finding, "calls"), count(inside));
    assert!(at("from") > 270 * SECOND && at("to") < 390 * SECOND, "{finding:#?}");
    assert_eq!(number(&finding, "calls_elsewhere") + number(&finding, "calls"), 300);
    assert_eq!(number(&finding, "failed_elsewhere"), 0);
    assert!(title(&finding).starts_with("payments (http) failed in 15 of "), "{finding:#?}");
    assert!(finding["explanation"].as_str().unwrap().contains("All with 503"), "{finding:#?}");
}

#[tokio::test]
async fn an_endpoint_that_always_fails() {
    let mut p = healthy();
    for n in 0..40 {
        p.call(What::http(["shop", "items"], 8080, n * 20 * SECOND, format!("/prices/{n}"), 500));
    }
    let finding = only(p, "always_failing").await;
    assert_eq!((number(&finding, "failed"), number(&finding, "calls")), (40, 40));
    assert_eq!(title(&finding), "GET /prices/{} of items fails always: 40 of 40 calls (100 %)");
}

#[tokio::test]
async fn an_endpoint_that_often_fails() {
    let mut p = healthy();
    for n in 0..200 {
        p.call(What::http(
            ["shop", "items"],
            8080,
            n * 4 * SECOND,
            "/prices",
            if n % 5 == 0 { 502 } else { 200 },
        ));
    }
    let planted =
        count(p.calls.iter().filter(|c| c.failed && c.dst == "items" && c.protocol == Protocol::Http));
    let finding = only(p, "failing").await;
    assert_eq!(number(&finding, "failed"), planted);
    assert_eq!(finding["severity"], "medium");
}

#[tokio::test]
async fn clients_that_are_rejected() {
    let mut p = healthy();
    for n in 0..50 {
        p.call(What::http(["cron", "items"], 8080, n * 17 * SECOND, format!("/old/{n}"), 401));
    }
    let finding = only(p, "rejected").await;
    assert_eq!(number(&finding, "rejected"), 50);
}

#[tokio::test]
async fn three_failures_are_no_finding() {
    let mut p = healthy();
    for n in 0..3 {
        p.call(What::http(["shop", "items"], 8080, n * SECOND, "/rare", 500));
        p.call(What::http(["shop", "rare"], 8085, n * SECOND, "/rare", 500));
    }
    let answer = p.analyzed("").await;
    assert!(answer.rows.is_empty(), "{:#?}", answer.rows);
}

#[tokio::test]
async fn slow_endpoints() {
    let mut p = healthy();
    for n in 0..40 {
        let mut slow = What::http(["shop", "items"], 8080, n * 20 * SECOND, "/search", 200);
        slow.elapsed = Some(3_000_000 + n * 1_000);
        p.call(slow);
    }
    let mut planted: Vec<i64> =
        p.calls.iter().filter_map(|c| c.elapsed.filter(|e| *e >= 3_000_000)).collect();
    planted.sort_unstable();
    let finding = only(p, "slow").await;
    let median = planted[planted.len() / 2];
    assert!((number(&finding, "elapsed_p50") - median).abs() * 100 < median * 2, "{finding:#?}");
    assert_eq!(number(&finding, "elapsed_max"), planted[planted.len() - 1]);
    assert_eq!(finding["calls"][0], i64::from(p_last_slow(&planted)));

    let mut p = healthy();
    for n in 0..200 {
        let mut call = What::http(["shop", "items"], 8080, n * 4 * SECOND, "/stock", 200);
        call.elapsed = Some(if n % 12 == 0 { 900_000 } else { 5_000 });
        p.call(call);
    }
    let finding = only(p, "slow_tail").await;
    assert!((number(&finding, "elapsed_p95") - 900_000).abs() < 18_000, "{finding:#?}");
}

/// The id of the slowest planted call: it was planted last.
fn p_last_slow(planted: &[i64]) -> i32 {
    i32::try_from(healthy().calls.len() + planted.len()).unwrap()
}

#[tokio::test]
async fn statements_one_after_the_other() {
    let mut p = healthy();
    for parent in 0..6 {
        let at = parent * 140 * SECOND + 350 * MS;
        let mut report = What::http(["browser", "reports"], 8082, at, format!("/report/{parent}"), 200);
        report.elapsed = Some(80_000);
        p.call(report);
        p.call(statement(["reports", "orders-db"], at + MS, "SELECT id FROM orders LIMIT 30".to_owned()));
        for n in 0..30 {
            p.call(statement(
                ["reports", "orders-db"],
                at + (2 + n * 2) * MS,
                format!("SELECT name FROM users WHERE id = {n}"),
            ));
        }
    }
    let finding = only(p, "n_plus_one").await;
    assert_eq!(
        (number(&finding, "series"), number(&finding, "calls"), number(&finding, "longest")),
        (6, 180, 30)
    );
    assert_eq!(finding["numbers"]["within"], "GET /report/{}");
    assert_eq!(finding["severity"], "medium");
    assert!(title(&finding).contains("SELECT name FROM users WHERE id = {}"), "{finding:#?}");
}

#[tokio::test]
async fn a_service_that_passes_on_what_it_gets_is_well() {
    let mut p = healthy();
    // A hundred requests a second, each answered with one statement on one connection.
    for n in 0..2_000 {
        let at = 10 * SECOND + n * 10 * MS;
        p.call(What::http(["browser", "proxy"], 8083, at, format!("/user/{n}"), 200));
        p.call(statement(["proxy", "orders-db"], at + MS, format!("SELECT name FROM users WHERE id = {n}")));
    }
    let answer = p.analyzed("").await;
    assert!(answer.rows.is_empty(), "{:#?}", answer.rows);
}

#[tokio::test]
async fn chatty_retries() {
    let mut p = healthy();
    // Each order fails three times and then goes well; others go well at once.
    for n in 0..20 {
        for attempt in 0..4 {
            let at = n * 40 * SECOND + attempt * 300 * MS;
            p.call(What::http(
                ["shop", "stock"],
                8084,
                at,
                format!("/reserve/{n}"),
                if attempt < 3 { 503 } else { 200 },
            ));
        }
    }
    let answer = p.analyzed("").await;
    let found = answer.rows.iter().find(|r| r["kind"] == "retries").unwrap();
    assert_eq!((number(found, "retries"), number(found, "helped")), (60, 20));
    // That it fails is a finding too, and nothing else is.
    assert!(
        answer.rows.iter().all(|r| ["retries", "failing"].contains(&r["kind"].as_str().unwrap())),
        "{:#?}",
        answer.rows
    );
}

#[tokio::test]
async fn big_payloads() {
    let mut p = healthy();
    for n in 0..12 {
        let mut big = What::http(["shop", "items"], 8080, n * 60 * SECOND, "/export", 200);
        big.response_bytes = (3 << 20) + n;
        p.call(big);
    }
    let planted: i64 = p
        .calls
        .iter()
        .filter(|c| c.dst == "items" && c.response_bytes > 1 << 20)
        .map(|c| c.response_bytes)
        .sum();
    let finding = only(p, "big_payload").await;
    assert_eq!(number(&finding, "response_bytes"), planted);
    assert_eq!(number(&finding, "largest_bytes"), (3 << 20) + 11);
}

#[tokio::test]
async fn calls_without_an_answer_and_cut_off() {
    for (why, kind) in [(Incomplete::NoResponse, "unanswered"), (Incomplete::Reset, "resets")] {
        let mut p = healthy();
        for n in 0..100 {
            let mut call = What::http(["shop", "search"], 9200, n * 8 * SECOND, "/q", 200);
            if n % 4 == 0 {
                call.fields.retain(|(id, _)| *id != f::STATUS_CODE);
                (call.incomplete, call.elapsed) = (Some(why), None);
            }
            p.call(call);
        }
        let finding = only(p, kind).await;
        assert_eq!((number(&finding, why.name()), number(&finding, "calls")), (25, 100));
    }
}
