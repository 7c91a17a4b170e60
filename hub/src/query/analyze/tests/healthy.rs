//! Traffic of a shop that is well, with the errors, waits and oddities that healthy traffic has.

use remora_model::{Protocol, field as f};

use super::plant::{Flow, MS, Plant, SECOND, START, What};

const DAY: i64 = 86_400 * SECOND;

/// The shop: clients ask `shop`, which asks `items`, a database, a cache, a broker and a resolver.
pub(super) fn healthy() -> Plant {
    let mut p = Plant::empty();
    for n in 0..1_200 {
        let at = n * 700 * MS;
        // A request now and then fails, is wrong, or takes long.
        let status = match n {
            n if n % 400 == 77 => 500,
            n if n % 50 == 3 => 404,
            _ => 200,
        };
        let mut visit = What::http(["browser", "shop"], 80, at, format!("/cart/{n}"), status);
        visit.elapsed = Some(if n % 97 == 0 { 300_000 } else { 20_000 + n % 30_000 });
        p.call(visit);
        for i in 0..2 {
            p.call(What::http(
                ["shop", "items"],
                8080,
                at + (2 + i) * MS,
                format!("/items/{}", n * 2 + i),
                200,
            ));
        }
        let key = format!("session:{n}");
        let cached = What::new(Protocol::Redis, ["shop", "cache"], 6379, at + 5 * MS);
        p.call(
            cached
                .text(f::REDIS_TYPE, "GET")
                .text(f::REDIS_KEY, key.clone())
                .text(f::REDIS_COMMAND, format!("GET {key}")),
        );
        p.call(statement(
            ["shop", "orders-db"],
            at + 7 * MS,
            format!("SELECT * FROM orders WHERE customer = {n}"),
        ));
        if n % 4 == 0 {
            let mut fetch = What::new(Protocol::Kafka, ["billing", "broker"], 9092, at);
            fetch.elapsed = Some(500_000 + n);
            p.call(fetch.text(f::KAFKA_API_KEY_NAME, "FETCH").text(f::KAFKA_REQUEST_SUMMARY, "orders"));
        }
        if n % 10 == 0 {
            p.call(What::dns(at, "items.shop.example", Some("NOERROR")));
            p.call(What::dns(
                at + MS,
                if n % 400 == 0 { "typo.example" } else { "cache.shop.example" },
                Some(if n % 400 == 0 { "NXDOMAIN" } else { "NOERROR" }),
            ));
        }
    }
    // Handshakes with a good certificate, each followed by a call that was read.
    for n in 0..20 {
        let at = n * 30 * SECOND;
        p.call(handshake(["shop", "bank"], at, 9_000 + n, [START - 30 * DAY, START + 60 * DAY]));
        let mut paid = What::http(["shop", "bank"], 443, at + 20 * MS, format!("/payments/{n}"), 200);
        (paid.tls, paid.flow) = (true, 9_000 + n);
        p.call(paid);
    }
    // A connection that was refused while something started, and one that was reset.
    for (n, how) in ["connection_refused", "connection_refused", "connection_reset"].into_iter().enumerate() {
        p.call(failed_connection(["shop", "items"], 8080, n as i64 * SECOND, how));
    }
    // Files are large by nature.
    for n in 0..10 {
        let mut file = What::http(["browser", "shop"], 80, n * SECOND, format!("/video/{n}.mp4"), 200);
        file.response_bytes = 20 << 20;
        file.fields.retain(|(id, _)| *id != f::CONTENT_TYPE);
        p.call(file.text(f::CONTENT_TYPE, "video/mp4"));
    }
    for n in 0..100 {
        p.flow(Flow {
            flow: 100 + n,
            src: "browser",
            dst: "shop",
            port: 80,
            at: n * 8 * SECOND,
            asked: 400,
            answered: 600,
            retransmits: i64::from(n % 9 == 0),
        });
    }
    p.coverage("captured", "packets", 1_000);
    p
}

/// A statement.
pub(super) fn statement(sides: [&'static str; 2], at: i64, text: String) -> What {
    let mut what = What::new(Protocol::Mysql, sides, 3306, at)
        .text(f::MYSQL_COMMAND, "QUERY")
        .text(f::MYSQL_QUERY, text);
    what.elapsed = Some(900);
    what
}

/// A handshake of TLS 1.2 with a certificate that is valid between two instants.
pub(super) fn handshake(sides: [&'static str; 2], at: i64, flow: i64, valid: [i64; 2]) -> What {
    let mut what = What::new(Protocol::Tlsx, sides, 443, at)
        .text(f::TLSX_SNI, "bank.example")
        .text(f::TLSX_VERSION_NAME, "TLS 1.2")
        .text(f::TLSX_CERT_SUBJECT, "CN=bank.example")
        .text(f::TLSX_CERT_ISSUER, "CN=Example CA")
        .int(f::TLSX_CERT_NOT_BEFORE, valid[0])
        .int(f::TLSX_CERT_NOT_AFTER, valid[1]);
    what.flow = flow;
    what
}

/// A connection that came to nothing.
pub(super) fn failed_connection(sides: [&'static str; 2], port: u16, at: i64, how: &str) -> What {
    let mut what =
        What::new(Protocol::Tcp, sides, port, at).text(f::TCP_METHOD, "connect").text(f::TCP_ERROR_TYPE, how);
    (what.failed, what.elapsed) = (true, None);
    what
}
