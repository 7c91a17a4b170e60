#![allow(clippy::unwrap_used)]

use remora_model::{Transport, field};

use super::{ENTRY, detect};
use crate::harness::{Harness, Recorded};
use crate::{Ending, Problem, Role, Verdict};

fn message(id: i32, response_to: i32, opcode: i32, body: &[u8]) -> Vec<u8> {
    let len = i32::try_from(16 + body.len()).unwrap();
    let mut out: Vec<u8> = [len, id, response_to, opcode].into_iter().flat_map(i32::to_le_bytes).collect();
    out.extend(body);
    out
}

fn element(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
    [&[kind][..], name.as_bytes(), b"\0", value].concat()
}

fn document(elements: &[Vec<u8>]) -> Vec<u8> {
    let inner = elements.concat();
    let len = i32::try_from(inner.len() + 5).unwrap().to_le_bytes();
    [&len[..], &inner, b"\0"].concat()
}

fn text(name: &str, text: &str) -> Vec<u8> {
    let len = i32::try_from(text.len() + 1).unwrap().to_le_bytes();
    element(2, name, &[&len[..], text.as_bytes(), b"\0"].concat())
}

fn int(name: &str, n: i32) -> Vec<u8> {
    element(16, name, &n.to_le_bytes())
}

fn msg(flags: u32, doc: &[u8]) -> Vec<u8> {
    [&flags.to_le_bytes()[..], b"\0", doc].concat()
}

fn ask(id: i32, elements: &[Vec<u8>]) -> Vec<u8> {
    message(id, 0, 2013, &msg(0, &document(elements)))
}

fn answer(to: i32, elements: &[Vec<u8>]) -> Vec<u8> {
    message(9_000 + to, to, 2013, &msg(0, &document(elements)))
}

fn one(request: &[Vec<u8>], reply: &[Vec<u8>]) -> Recorded {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.client(ask(7, request)).server(answer(7, reply)).close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 1);
    assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
    h.sink.calls.remove(0)
}

#[test]
fn passwords_are_not_written_down() {
    let payload = element(5, "payload", b"\x06\0\0\0\0secret");
    let ok = [payload.clone(), int("ok", 1)];
    let auth = element(3, "speculativeAuthenticate", &document(&[int("saslStart", 1), payload.clone()]));
    for request in [
        vec![int("saslStart", 1), payload.clone()],
        vec![int("saslContinue", 1), payload],
        vec![text("createUser", "bob"), text("pwd", "secret")],
        vec![int("hello", 1), auth],
    ] {
        let call = one(&request, &ok);
        assert!(!format!("{call:?}").contains("secret") && !format!("{call:?}").contains("c2VjcmV0"));
    }
    let users =
        element(4, "users", &document(&[element(3, "0", &document(&[text("credentials", "secret")]))]));
    let call = one(&[text("usersInfo", "bob")], &[users, int("ok", 1)]);
    assert_eq!(call.text(field::MONGODB_RESPONSE_BODY), r#"{"users":[{"credentials":"***"}],"ok":1}"#);
    assert_eq!(call.text(field::MONGODB_COLLECTION), "");
    // What looks like it in somebody's data is shown.
    let call = one(&[text("find", "x"), text("payload", "mine")], &[int("ok", 1)]);
    assert!(call.text(field::MONGODB_REQUEST_BODY).contains("mine"));
}

#[test]
fn collections_and_databases() {
    let about = |request: &[Vec<u8>]| {
        let call = one(request, &[int("ok", 1)]);
        [field::MONGODB_COMMAND, field::MONGODB_DATABASE, field::MONGODB_COLLECTION].map(|f| call.text(f))
    };
    assert_eq!(about(&[text("find", "users"), text("$db", "shop")]), ["find", "shop", "users"]);
    assert_eq!(
        about(&[text("renameCollection", "a.b.c"), text("$db", "admin")]),
        ["renameCollection", "admin", "b.c"]
    );
    assert_eq!(about(&[text("getLog", "global"), text("$db", "admin")]), ["getLog", "admin", ""]);
    let explained = document(&[text("find", "users")]);
    assert_eq!(
        about(&[element(3, "explain", &explained), text("$db", "shop")]),
        ["explain", "shop", "users"]
    );
    let cursor = element(18, "getMore", &5_i64.to_le_bytes());
    assert_eq!(about(&[cursor, text("collection", "users"), text("$db", "d")]), ["getMore", "d", "users"]);
}

#[test]
fn failures() {
    let call = one(&[text("x", "y")], &[text("err", "E11000 dup"), int("code", 11_000), int("ok", 1)]);
    assert!(call.failed && call.client_error);
    assert_eq!(call.text(field::MONGODB_ERROR_CODE_NAME), "DuplicateKey");
    let concern = element(3, "writeConcernError", &document(&[int("code", 64), text("errmsg", "waiting")]));
    let call = one(&[text("insert", "y")], &[int("n", 1), concern, int("ok", 1)]);
    assert!(call.failed && !call.client_error && !call.is(field::MONGODB_SUCCESS));
    assert_eq!(call.text(field::MONGODB_ERROR_MESSAGE), "waiting");
    let call = one(&[text("find", "y")], &[int("ok", 1)]);
    assert!(!call.failed && call.is(field::MONGODB_SUCCESS));
}

#[test]
fn what_is_not_bson_is_passed_over() {
    let mut bad = ask(1, &[text("find", "users"), int("x", 1)]);
    let at = bad.len() - 8;
    bad[at] = 0x60;
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.client(&bad).client(ask(2, &[int("ping", 1)]));
    h.server(answer(1, &[int("ok", 1)])).server(answer(2, &[int("ok", 1)])).close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 2);
    assert_eq!(h.sink.calls[0].text(field::MONGODB_COLLECTION), "users");
    assert_eq!(h.sink.problems.keys().collect::<Vec<_>>(), [&Problem::Malformed]);
}

#[test]
fn replies_without_requests_are_calls_too() {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.server(answer(1, &[int("ok", 1)])).client(ask(2, &[int("ping", 1)])).close(Ending::Closed);
    let incomplete: Vec<_> = h.sink.calls.iter().map(|c| c.incomplete).collect();
    assert_eq!(incomplete, [Some("no_request"), Some("no_response")]);
}

#[test]
fn detection() {
    let probe = |b: &[u8]| detect::probe(b, Transport::Tcp);
    let request = ask(1, &[text("find", "users")]);
    assert_eq!(probe(&request), Verdict::Match(Role::Client));
    assert_eq!(probe(&answer(1, &[int("ok", 1)])), Verdict::Match(Role::Server));
    for n in 0..request.len() {
        assert!(matches!(probe(&request[..n]), Verdict::NeedMore | Verdict::Match(Role::Client)), "{n}");
    }
    assert_eq!(probe(b"GET / HTTP/1.1\r\n"), Verdict::No);
    assert_eq!(probe(&[0; 64]), Verdict::No);
    let mut later = vec![7; 100];
    later.extend(&request);
    assert_eq!(detect::find(&later, Role::Client), Some(100));
    assert_eq!(detect::find(&later, Role::Server), None);
}
