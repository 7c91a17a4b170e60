//! Trouble below requests: connections, DNS, TLS, and the capture itself.

use remora_model::{Incomplete, Protocol, field as f};

use super::healthy::{failed_connection, handshake, healthy};
use super::plant::{Flow, MS, SECOND, START, What};
use super::{count, number, only, title};

const DAY: i64 = 86_400 * SECOND;

#[tokio::test]
async fn connections_that_fail() {
    for (how, kind) in [
        ("connection_refused", "connection_refused"),
        ("connection_timeout", "connection_timeout"),
        ("connection_reset", "resets"),
    ] {
        let mut p = healthy();
        (0..25).for_each(|n| _ = p.call(failed_connection(["shop", "mail"], 25, n * 30 * SECOND, how)));
        let finding = only(p, kind).await;
        assert_eq!(number(&finding, "connections"), 25);
        assert!(
            title(&finding).contains("mail:25") && finding["explanation"].as_str().unwrap().contains("shop"),
            "{finding:#?}"
        );
    }
}

#[tokio::test]
async fn retransmits() {
    let mut p = healthy();
    for n in 0..10 {
        p.flow(Flow {
            flow: 500 + n,
            src: "shop",
            dst: "backup",
            port: 9000,
            at: n * 60 * SECOND,
            asked: 900,
            answered: 100,
            retransmits: if n % 2 == 0 { 40 + n } else { 0 },
        });
    }
    let planted: i64 = p.flows.iter().filter(|f| f.dst == "backup").map(|f| f.retransmits).sum();
    let finding = only(p, "retransmits").await;
    assert_eq!((number(&finding, "retransmits"), number(&finding, "packets")), (planted, 10_000));
    assert_eq!((number(&finding, "flows_hit"), number(&finding, "flows")), (5, 10));
    assert_eq!(finding["flows"][0], 508);
}

#[tokio::test]
async fn flows_of_one_direction() {
    let mut p = healthy();
    for n in 0..12 {
        p.flow(Flow {
            flow: 500 + n,
            src: "shop",
            dst: "legacy",
            port: 9000,
            at: n * 60 * SECOND,
            asked: 50,
            answered: 0,
            retransmits: 0,
        });
        for _ in 0..2 {
            let mut half = What::http(["shop", "legacy"], 9000, n * 60 * SECOND, "/x", 200);
            half.fields.retain(|(id, _)| *id != f::STATUS_CODE);
            (half.incomplete, half.elapsed) = (Some(Incomplete::NoResponse), None);
            p.call(half);
        }
    }
    // The calls lack their answers for the same reason: that is one finding.
    let finding = only(p, "one_sided").await;
    assert_eq!(number(&finding, "flows"), 12);
    assert!(title(&finding).contains("nothing from the server"), "{finding:#?}");
}

#[tokio::test]
async fn calls_of_one_direction() {
    for (why, says) in
        [(Incomplete::NoResponse, "only the request"), (Incomplete::NoRequest, "only the response")]
    {
        let mut p = healthy();
        for n in 0..40 {
            let mut half = What::http(["shop", "legacy"], 9000, n * 20 * SECOND, "/x", 200);
            (half.incomplete, half.elapsed) = (Some(why), None);
            p.call(half);
        }
        let finding = only(p, "one_sided").await;
        assert_eq!(number(&finding, why.name()), 40);
        assert!(title(&finding).contains(says), "{finding:#?}");
    }
}

#[tokio::test]
async fn names_that_do_not_resolve() {
    for (rcode, says) in [(Some("NXDOMAIN"), "NXDOMAIN"), (Some("SERVFAIL"), "SERVFAIL"), (None, "no answer")]
    {
        let mut p = healthy();
        (0..30).for_each(|n| {
            _ = p.call(What::dns(
                n * 25 * SECOND,
                if n % 2 == 0 && rcode.is_some() { "Gone.example" } else { "gone.example" },
                rcode,
            ))
        });
        let planted = count(p.calls.iter().filter(|c| c.protocol == Protocol::Dns));
        let finding = only(p, "dns_failures").await;
        assert_eq!((number(&finding, "failed"), number(&finding, "queries")), (30, planted));
        assert_eq!(title(&finding), format!("DNS queries for gone.example end with {says}: 30"));
    }
}

#[tokio::test]
async fn search_domains_that_multiply_queries() {
    let mut p = healthy();
    for n in 0..40 {
        let at = n * 20 * SECOND;
        for (i, end) in
            [".default.svc.cluster.local", ".svc.cluster.local", ".cluster.local"].into_iter().enumerate()
        {
            p.call(What::dns(at + i as i64 * MS, &format!("api.bank.example{end}"), Some("NXDOMAIN")));
        }
        p.call(What::dns(at + 4 * MS, "api.bank.example", Some("NOERROR")));
    }
    let finding = only(p, "dns_search_domains").await;
    assert_eq!((number(&finding, "wasted"), number(&finding, "names")), (120, 1));
    assert!(
        finding["explanation"].as_str().unwrap().contains("api.bank.example.cluster.local"),
        "{finding:#?}"
    );
}

#[tokio::test]
async fn certificates() {
    let cases = [
        ([START - 400 * DAY, START - 2 * DAY], "certificate_expired", "expired 2 days ago"),
        ([START - 80 * DAY, START + 5 * DAY], "certificate_expiring", "expires in 4 days"),
        ([START + 2 * DAY, START + 90 * DAY], "certificate_not_yet_valid", "not valid yet"),
    ];
    for (valid, kind, says) in cases {
        let mut p = healthy();
        for n in 0..7 {
            let mut old = handshake(["shop", "vault"], n * 60 * SECOND, 9_000 + n, valid);
            old.at += 5 * SECOND;
            p.call(old);
        }
        let finding = only(p, kind).await;
        assert_eq!(number(&finding, "handshakes"), 7);
        assert!(title(&finding).contains(says), "{finding:#?}");
    }
    let mut p = healthy();
    let mut own = handshake(["shop", "vault"], 5 * SECOND, 9_001, [START - 80 * DAY, START + 300 * DAY]);
    own.fields.retain(|(id, _)| *id != f::TLSX_CERT_ISSUER);
    p.call(own.text(f::TLSX_CERT_ISSUER, "CN=bank.example"));
    assert_eq!(only(p, "certificate_self_issued").await["severity"], "low");
}

#[tokio::test]
async fn weak_tls() {
    for (weak, severity) in [(&["TLS 1.0"][..], "medium"), (&["TLS 1.0", "RC4"], "high")] {
        let mut p = healthy();
        for n in 0..6 {
            let shaken =
                handshake(["till", "bank"], n * 50 * SECOND, 9_000 + n, [START - DAY, START + 90 * DAY]);
            p.call(shaken.list(f::TLSX_WEAK, weak));
        }
        let finding = only(p, "weak_tls").await;
        assert_eq!((number(&finding, "handshakes"), &finding["severity"]), (6, &severity.into()));
        assert!(title(&finding).contains(&weak.join(", ")), "{finding:#?}");
    }
}

#[tokio::test]
async fn tls_that_was_not_read() {
    let mut p = healthy();
    (0..8).for_each(|n| {
        _ = p.call(handshake(["shop", "vault"], n * 60 * SECOND, 9_500 + n, [START - DAY, START + 90 * DAY]))
    });
    let finding = only(p, "unread_tls").await;
    assert_eq!((number(&finding, "unread"), number(&finding, "connections")), (8, 28));
    assert_eq!(finding["severity"], "info");
}

#[tokio::test]
async fn losses_of_the_capture() {
    let mut p = healthy();
    p.coverage("ring", "ring_full", 20_000);
    let finding = only(p, "capture_loss").await;
    assert_eq!(number(&finding, "lost"), 20_000);
    assert_eq!(finding["severity"], "medium");

    let mut p = healthy();
    p.coverage("tls", "encrypted", 40);
    p.coverage("tls", "no_secrets", 12);
    assert_eq!(number(&only(p, "unread_tls").await, "times"), 12);

    let mut p = healthy();
    for n in 0..200 {
        let mut torn = What::http(["shop", "items"], 8080, n * 4 * SECOND, format!("/items/{n}"), 200);
        torn.incomplete = Some(Incomplete::Gap);
        p.call(torn);
    }
    let calls = count(&p.calls);
    let finding = only(p, "gaps").await;
    assert_eq!((number(&finding, "gaps"), number(&finding, "calls")), (200, calls));
}
