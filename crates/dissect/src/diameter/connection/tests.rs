//! Pairing in both directions, results, secrets, other transports.

use remora_model::{Transport, field};

use super::super::ENTRY;
use crate::harness::{Harness, Recorder};
use crate::{Ending, Limits, Problem, Role, Verdict};

fn avp(code: u32, vendor: u32, value: &[u8]) -> Vec<u8> {
    let header = if vendor == 0 { 8 } else { 12 };
    let mut out = code.to_be_bytes().to_vec();
    out.push(if vendor == 0 { 0x40 } else { 0xc0 });
    out.extend(&u32::try_from(header + value.len()).unwrap().to_be_bytes()[1..]);
    if vendor != 0 {
        out.extend(vendor.to_be_bytes());
    }
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn message(flags: u8, command: u32, application: u32, id: u32, avps: &[Vec<u8>]) -> Vec<u8> {
    let body = avps.concat();
    let mut out = (0x0100_0000 | (20 + body.len() as u32)).to_be_bytes().to_vec();
    out.extend((u32::from(flags) << 24 | command).to_be_bytes());
    [application, id, id].iter().for_each(|n| out.extend(n.to_be_bytes()));
    out.extend(body);
    out
}

fn session() -> Vec<u8> {
    avp(263, 0, b"gate;1;2")
}

fn ask(id: u32) -> Vec<u8> {
    message(
        0xc0,
        272,
        4,
        id,
        &[session(), avp(264, 0, b"gate"), avp(416, 0, &[0, 0, 0, 1]), avp(1, 0, b"anna")],
    )
}

fn answer(id: u32, code: u32) -> Vec<u8> {
    message(0x40, 272, 4, id, &[session(), avp(268, 0, &code.to_be_bytes()), avp(264, 0, b"home")])
}

#[test]
fn answers_come_in_any_order_and_both_sides_ask() {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.client([ask(1), ask(2)].concat());
    h.server([message(0x80, 280, 0, 1, &[avp(264, 0, b"home")]), answer(2, 4012), answer(1, 2001)].concat());
    h.client(message(0, 280, 0, 1, &[avp(268, 0, &2001_u32.to_be_bytes()), avp(264, 0, b"gate")]));
    h.close(Ending::Closed);
    let [late, early, watchdog] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!(
        late.text(field::DIAMETER_SUMMARY),
        "CCR Credit Control INITIAL_REQUEST anna DIAMETER_CREDIT_LIMIT_REACHED"
    );
    assert!(late.failed && late.client_error && !early.failed);
    assert_eq!(early.text(field::DIAMETER_METHOD), "Credit-Control-Request");
    assert_eq!(early.text(field::DIAMETER_ANSWER_HOST), "home");
    assert_eq!(watchdog.text(field::DIAMETER_ORIGIN_HOST), "home");
    assert!(h.sink.problems.is_empty() && h.sink.calls.iter().all(|c| c.incomplete.is_none()));
}

#[test]
fn groups_secrets_and_experimental_results() {
    let vector =
        avp(1414, 10_415, &[avp(1450, 10_415, b"geheimgeheim"), avp(1419, 10_415, &[0, 0, 0, 1])].concat());
    let application = avp(260, 0, &[avp(266, 0, &10_415_u32.to_be_bytes())].concat());
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.client(message(
        0xc0,
        318,
        16_777_251,
        1,
        &[session(), application, avp(2, 0, b"geheim"), avp(9_999, 77, b"x")],
    ));
    let result = avp(
        297,
        0,
        &[avp(266, 0, &10_415_u32.to_be_bytes()), avp(298, 0, &5_001_u32.to_be_bytes())].concat(),
    );
    h.server(message(0x40, 318, 16_777_251, 1, &[session(), result, avp(1413, 10_415, &vector)]));
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!(call.text(field::DIAMETER_RESULT), "DIAMETER_ERROR_USER_UNKNOWN");
    assert!(call.failed && call.client_error);
    let body = call.text(field::DIAMETER_REQUEST_BODY);
    assert!(body.contains("User-Password: ***\nAVP-77-9999: x\n"), "{body}");
    let body = call.text(field::DIAMETER_RESPONSE_BODY);
    assert!(
        body.contains("Authentication-Info:\n  E-UTRAN-Vector:\n    KASME: ***\n    Item-Number: 1\n"),
        "{body}"
    );
    assert!(!format!("{:?}", h.sink.calls).contains("geheim"));
}

#[test]
fn the_error_bit_fails_a_call() {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.client(ask(1)).server(message(
        0x20,
        272,
        4,
        1,
        &[session(), avp(268, 0, &3007_u32.to_be_bytes()), avp(281, 0, b"no")],
    ));
    let call = &h.sink.calls[0];
    assert!(call.failed);
    assert_eq!(call.text(field::DIAMETER_RESULT), "DIAMETER_APPLICATION_UNSUPPORTED");
    assert_eq!(call.text(field::DIAMETER_ERROR_MESSAGE), "no");
}

#[test]
fn depth_and_length_are_bounded() {
    let mut deep = avp(1, 0, b"x");
    for _ in 0..2_000 {
        deep = avp(297, 0, &deep);
    }
    let limits = Limits { payload: 1 << 10, message_bytes: 8 << 10, ..Limits::default() };
    let mut h = Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default());
    h.client(message(0x80, 272, 4, 1, &[session(), deep]));
    h.client(message(0x80, 272, 4, 2, &[session(), avp(9, 9, &[0; 60_000])]));
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 2);
    assert!(h.sink.problems.contains_key(&Problem::PayloadLimit));
    assert!(h.sink.calls.iter().all(|c| c.text(field::DIAMETER_REQUEST_BODY).len() <= 1 << 10));
}

#[test]
fn messages_of_other_transports() {
    let mut h = Harness::new(&ENTRY, Transport::Udp);
    h.client(ask(1)).server(answer(1, 2001)).client(b"\x01\0\0\x20");
    assert_eq!(h.sink.calls.len(), 1);
    assert_eq!(h.sink.problems[&Problem::Malformed], (1, 4));
}

#[test]
fn detection() {
    let probe = |bytes: &[u8]| (ENTRY.probe)(bytes, Transport::Tcp);
    let request = ask(1);
    assert_eq!(probe(&request), Verdict::Match(Role::Client));
    assert_eq!(probe(&answer(1, 2001)), Verdict::Match(Role::Server));
    for n in 1..request.len() {
        assert!(!matches!(probe(&request[..n]), Verdict::No), "{n}");
    }
    for other in
        [&b"\x01\0\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"[..], b"GET / HTTP/1.1\r\n", &[1; 40]]
    {
        assert_eq!(probe(other), Verdict::No, "{other:?}");
    }
    let joined = [&b"\x01tail of another"[..], &request].concat();
    assert_eq!((ENTRY.resync)(&joined, Role::Client), Some(joined.len() - request.len()));
}
