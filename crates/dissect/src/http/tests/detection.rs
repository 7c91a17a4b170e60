use super::*;
use crate::Verdict;

fn probe(bytes: impl AsRef<[u8]>) -> Verdict {
    (ENTRY.probe)(bytes.as_ref(), Transport::Tcp)
}

#[test]
fn http_is_recognised() {
    assert_eq!(probe(get("/")), Verdict::Match(Role::Client));
    assert_eq!(probe("FOO /x HTTP/1.0\n"), Verdict::Match(Role::Client));
    assert_eq!(probe("\r\nGET / HTTP/1.1\r\n"), Verdict::Match(Role::Client));
    assert_eq!(probe(OK), Verdict::Match(Role::Server));
    assert_eq!(probe("GET /a"), Verdict::Likely(Role::Client));
    assert_eq!(probe("HTTP/1.1"), Verdict::Likely(Role::Server));
    assert_eq!(probe("GE"), Verdict::NeedMore);
    assert_eq!(probe(""), Verdict::NeedMore);
    assert_eq!(probe(format!("GET /{}", "a".repeat(5_000))), Verdict::Match(Role::Client));
}

#[test]
fn others_are_refused() {
    for bytes in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "OPTIONS rtsp://a RTSP/1.0\r\n",
        "RTSP/1.0 200 OK\r\n",
        "REGISTER sip:a SIP/2.0\r\n",
        "SIP/2.0 200 OK\r\n",
        "PING\r\n",
        "GET key\r\n",
        "*1\r\n$4\r\nPING\r\n",
        "+OK\r\n",
        "SSH-2.0-OpenSSH_9\r\n",
        "220 mail.example ESMTP\r\n",
        "\x16\x03\x01\x02\0",
        "\r\n\r\n\r\n",
    ] {
        assert_eq!(probe(bytes), Verdict::No, "{bytes:?}");
    }
}

#[test]
fn every_length_gets_an_answer() {
    let limits = Limits::default();
    for byte in 0..=255_u8 {
        let bytes = vec![byte; limits.detect_bytes];
        assert_ne!(probe(&bytes), Verdict::NeedMore, "{byte}");
    }
    assert_ne!(probe(format!("FOO /{}", "a".repeat(limits.detect_bytes))), Verdict::NeedMore);
    assert_ne!(probe(format!("GET {}", " ".repeat(limits.detect_bytes))), Verdict::NeedMore);
}

#[test]
fn messages_are_found_in_the_middle() {
    let resync = |role, bytes: &str| (ENTRY.resync)(bytes.as_bytes(), role);
    assert_eq!(resync(Role::Client, &format!("rest of body{}", get("/"))), Some(12));
    assert_eq!(resync(Role::Server, &format!("rest HTTP/1.1 body{OK}")), Some(18));
    assert_eq!(resync(Role::Client, OK), None);
    assert_eq!(resync(Role::Server, &get("/")), None);
}
