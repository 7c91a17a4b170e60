//! Conversations, secrets, upgrades, gaps.

use remora_model::{Transport, field};

use super::super::ENTRY;
use crate::harness::{Harness, Recorded, Value};
use crate::{Ending, Limits, Problem, Role, Verdict, harness::Recorder};

fn begun() -> Harness {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.server("220 mail ESMTP\r\n")
        .client("EHLO me\r\n")
        .server("250-mail\r\n250-PIPELINING\r\n250 SIZE 9\r\n");
    h
}

fn list(call: &Recorded, id: remora_model::FieldId) -> Vec<String> {
    match call.get(id) {
        Some(Value::List(l)) => l.iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect(),
        _ => Vec::new(),
    }
}

fn summaries(h: &Harness) -> Vec<(String, Option<i64>, Option<&'static str>)> {
    let of = |c: &Recorded| (c.text(field::SMTP_SUMMARY), c.int(field::SMTP_STATUS_CODE), c.incomplete);
    h.sink.calls.iter().map(of).collect()
}

#[test]
fn a_mail_sent_without_waiting() {
    let mut h = begun();
    h.client("MAIL FROM:<a@b>\r\nRCPT TO:<no@b>\r\nRCPT TO:<c@b>\r\nDATA\r\n");
    h.server("250 2.1.0 fine\r\n550 5.1.1 who\r\n250 2.1.5 fine\r\n354 go\r\n");
    h.client("Subject: one\r\n two\r\n\r\n..dot\r\n.\r\nQUIT\r\n").server("250 2.0.0 queued\r\n221 bye\r\n");
    h.close(Ending::Closed);
    assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
    let calls = summaries(&h);
    assert_eq!(calls.len(), 7);
    assert_eq!(calls[0], ("mail ESMTP".into(), Some(220), None));
    assert_eq!(calls[3], ("RCPT TO:<no@b>".into(), Some(550), None));
    assert_eq!(calls[5], ("DATA a@b c@b one two".into(), Some(250), None));
    assert_eq!(list(&h.sink.calls[1], field::SMTP_EXTENSIONS), ["PIPELINING", "SIZE 9"]);
    let data = &h.sink.calls[5];
    assert_eq!(data.text(field::SMTP_MESSAGE), "Subject: one\r\n two\r\n\r\n.dot\r\n");
    assert_eq!(data.int(field::SMTP_MESSAGE_SIZE), Some(28));
    assert_eq!(list(data, field::SMTP_TO), ["c@b"]);
    assert!(h.sink.calls[3].failed && h.sink.calls[3].client_error);
}

#[test]
fn secrets_are_never_kept() {
    let mut h = begun();
    h.client("AUTH PLAIN geheim\r\n").server("235 2.7.0 fine\r\n");
    h.client("AUTH LOGIN\r\n").server("334 VXNlcg==\r\n").client("geheim\r\n").server("334 UGFzcw==\r\n");
    h.client("geheim\r\n").server("535 5.7.8 no\r\n").client("geheim geheim\r\n").server("500 what\r\n");
    h.close(Ending::Closed);
    let calls = summaries(&h);
    assert_eq!(calls[2], ("AUTH PLAIN ***".into(), Some(235), None));
    assert_eq!(calls[3], ("AUTH LOGIN".into(), Some(535), None));
    assert_eq!(calls[4], ("UNKNOWN".into(), Some(500), None));
    assert!(!format!("{:?}", h.sink.calls).contains("geheim"));
}

#[test]
fn upgrades() {
    let mut h = begun();
    h.client("STARTTLS\r\n").client(b"\x16\x03\x01").server("220 go\r\n");
    assert!(h.handed_over() && h.sink.problems.is_empty());
    let mut h = begun();
    h.client("STARTTLS\r\n").server("454 not now\r\n").client("NOOP\r\n").server("250 fine\r\n");
    assert_eq!(summaries(&h)[3], ("NOOP".into(), Some(250), None));
}

#[test]
fn chunks() {
    let mut h = begun();
    h.client("MAIL FROM:<>\r\nRCPT TO:<c@b>\r\n").server("250 ok\r\n250 ok\r\n");
    h.client("BDAT 15\r\nSubject: x\r\n\r\n.BDAT 0 LAST\r\n").server("250 ok\r\n250 ok\r\n");
    h.close(Ending::Closed);
    let calls = summaries(&h);
    assert_eq!(calls[4], ("BDAT c@b x".into(), Some(250), None));
    assert_eq!(calls.len(), 6);
    assert!(h.sink.problems.is_empty());
    // Beyond the limit it is passed over.
    let limits = Limits { payload: 4, ..Limits::default() };
    let mut h = Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default());
    h.server("220 mail ESMTP\r\n").client("BDAT 1000 LAST\r\n0123456789");
    assert_eq!(h.skipping(Role::Client), 990);
    h.client([b'x'; 990]).client("QUIT\r\n").server("250 ok\r\n221 bye\r\n").close(Ending::Closed);
    assert_eq!(h.sink.calls[1].int(field::SMTP_MESSAGE_SIZE), Some(1000));
    assert_eq!(h.sink.calls[1].text(field::SMTP_MESSAGE), "0123");
    assert_eq!(h.sink.calls.len(), 3);
}

#[test]
fn one_reply_for_each_recipient() {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.server("220 mail LMTP\r\n").client("LHLO me\r\n").server("250 mail\r\n");
    h.client("MAIL FROM:<a@b>\r\nRCPT TO:<c@b>\r\nRCPT TO:<d@b>\r\nDATA\r\n");
    h.server("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n").client("\r\nx\r\n.\r\n");
    h.server("250 c\r\n452 4.2.2 d\r\n").client("QUIT\r\n").server("221 bye\r\n").close(Ending::Closed);
    let calls = summaries(&h);
    assert_eq!(calls[5], ("DATA a@b c@b d@b".into(), Some(452), None));
    assert_eq!(h.sink.calls[5].text(field::SMTP_REPLY), "c\nd");
    assert_eq!(calls[6], ("QUIT".into(), Some(221), None));
}

#[test]
fn gaps_in_content_keep_the_order() {
    let mut h = begun();
    h.client("MAIL FROM:<a@b>\r\n").server("250 ok\r\n").client("DATA\r\n").server("354 go\r\n");
    h.client("Subject: x\r\n\r\nhal").gap(Role::Client, 100).client("lo\r\n.\r\nQUIT\r\n");
    h.server("250 ok\r\n221 bye\r\n").close(Ending::Closed);
    let calls = summaries(&h);
    assert_eq!(calls[3], ("DATA a@b x".into(), Some(250), Some("gap")));
    assert_eq!(calls[4], ("QUIT".into(), Some(221), None));
}

#[test]
fn after_other_gaps_turns_are_counted() {
    let mut h = begun();
    h.client("NOOP\r\n").gap(Role::Server, 8).server("250 ok\r\n").client("RSET\r\n").server("250 ok\r\n");
    for _ in 0..3 {
        h.client("NOOP\r\n").server("250 ok\r\n");
    }
    h.client("QUIT\r\n").server("221 bye\r\n").close(Ending::Closed);
    let calls = summaries(&h);
    assert!(calls[2..6].iter().all(|c| c.2 == Some("gap")), "{calls:?}");
    assert_eq!(calls.last(), Some(&("QUIT".into(), Some(221), None)));
}

#[test]
fn unasked_and_unanswered() {
    let mut h = begun();
    h.server("421 idle too long\r\n").client("NOOP\r\n").close(Ending::Closed);
    let calls = summaries(&h);
    assert_eq!(calls[2], ("idle too long".into(), Some(421), None));
    assert_eq!(calls[3], ("NOOP".into(), None, Some("no_response")));
}

#[test]
fn detection() {
    let probe = |bytes: &str| (ENTRY.probe)(bytes.as_bytes(), Transport::Tcp);
    assert_eq!(probe("EHLO me\r\n"), Verdict::Match(Role::Client));
    assert_eq!(probe("mail from:<a@b>\r\n"), Verdict::Match(Role::Client));
    assert_eq!(probe("220 mail ESMTP ready\r\n"), Verdict::Match(Role::Server));
    assert_eq!(probe("250-mail\r\n250 SIZE 9\r\n"), Verdict::Match(Role::Server));
    assert_eq!(probe("220 (vsFTPd 3.0.3)\r\n"), Verdict::Likely(Role::Server));
    for part in ["E", "EHLO", "EHLO me", "22", "220 mail"] {
        assert_eq!(probe(part), Verdict::NeedMore, "{part}");
    }
    for other in ["HELP\r\n", "GET / HTTP/1.1\r\n", "USER anna\r\n", "EHLO\r\n", "200 OK\r\n", "250 ok\r\n"] {
        assert_eq!(probe(other), Verdict::No, "{other}");
    }
    assert_eq!((ENTRY.resync)(b"tail\r\nRCPT TO:<a@b>\r\n", Role::Client), Some(6));
    assert_eq!((ENTRY.resync)(b"tail\r\n250 ok\r\n", Role::Server), Some(6));
}

#[test]
fn faults_are_counted() {
    let mut h = begun();
    h.client([0; 20_000]).server("nonsense\r\n").close(Ending::Closed);
    assert!(h.sink.problems.contains_key(&Problem::Malformed));
    assert!(!h.dissector().is_busy());
}
