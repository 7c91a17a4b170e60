use remora_model::{Transport, field as f};

use super::ENTRY;
use crate::harness::{Harness, Recorded, Recorder};
use crate::{Ending, Limits, Problem, Role};

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut m = vec![kind];
    m.extend((body.len() as u32 + 4).to_be_bytes());
    m.extend(body);
    m
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Bind of text values to a statement, for the unnamed portal.
fn bind(statement: &str, values: &[Option<&str>]) -> Vec<u8> {
    let mut b = format!("\0{statement}\0\0\0").into_bytes();
    b.extend((values.len() as u16).to_be_bytes());
    for v in values {
        b.extend(v.map_or(-1, |v| v.len() as i32).to_be_bytes());
        b.extend(v.unwrap_or_default().as_bytes());
    }
    b.extend([0, 0]);
    message(b'B', &b)
}

fn execute() -> Vec<u8> {
    message(b'E', b"\0\0\0\0\0")
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn done(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

fn error(code: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{code}\0M{text}\0\0").as_bytes())
}

fn row(values: &[&str]) -> Vec<u8> {
    let mut b = (values.len() as u16).to_be_bytes().to_vec();
    for v in values {
        b.extend((v.len() as u32).to_be_bytes());
        b.extend(v.as_bytes());
    }
    message(b'D', &b)
}

fn login() -> Harness {
    login_with(Limits::default())
}

fn login_with(limits: Limits) -> Harness {
    let mut h = Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default());
    h.client(b"\0\0\0\x20\0\x03\0\0user\0ada\0database\0shop\0\0".as_slice());
    h.server([message(b'R', &[0; 4]), ready()].concat());
    h.sink.calls.clear();
    h
}

fn commands(h: &Harness) -> Vec<String> {
    h.sink.calls.iter().map(|c| c.text(f::POSTGRESQL_COMMAND)).collect()
}

fn last(h: &Harness) -> &Recorded {
    h.sink.calls.last().expect("a call")
}

#[test]
fn everything_behind_an_error_is_passed_over_up_to_sync() {
    let mut h = login();
    let one = |sql| [parse("", sql), bind("", &[]), execute()].concat();
    h.client([one("SELECT 1"), one("SELECT bad"), one("SELECT 3"), sync(), one("SELECT 4"), sync()].concat());
    let ok = [message(b'1', b""), message(b'2', b""), done("SELECT 1")].concat();
    h.server([ok.clone(), error("42703", "no column"), ready(), ok, ready()].concat());
    let calls: Vec<_> = h.sink.calls.iter().map(|c| (c.text(f::POSTGRESQL_QUERY), c.failed)).collect();
    let expected = [("SELECT 1", false), ("SELECT bad", true), ("SELECT 3", true), ("SELECT 4", false)];
    assert_eq!(calls, expected.map(|(q, failed)| (q.to_owned(), failed)));
    assert_eq!(h.sink.calls[1].text(f::POSTGRESQL_ERROR_CODE), "42703");
    assert!(h.sink.calls[2].text(f::POSTGRESQL_ERROR_MESSAGE).starts_with("not executed"));
    assert!(h.sink.problems.is_empty());
}

#[test]
fn an_error_may_come_before_the_rest_of_its_statement() {
    let mut h = login();
    h.client(parse("", "SELEC 1")).server(error("42601", "syntax"));
    h.client([bind("", &[]), execute(), sync()].concat()).server(ready());
    assert_eq!(h.sink.calls.len(), 1);
    assert_eq!(last(&h).text(f::POSTGRESQL_ERROR_CODE), "42601");
    h.client(query("SELECT 2")).server([done("SELECT 1"), ready()].concat());
    assert!(last(&h).is(f::POSTGRESQL_SUCCESS));
}

#[test]
fn statements_are_known_by_name_until_they_are_closed() {
    let mut h = login();
    h.client([parse("s", "SELECT $1"), sync()].concat()).server([message(b'1', b""), ready()].concat());
    let run = |h: &mut Harness| {
        h.client([bind("s", &[Some("x"), None]), execute(), sync()].concat());
        h.server([message(b'2', b""), row(&["x"]), done("SELECT 1"), ready()].concat());
    };
    run(&mut h);
    assert_eq!(last(&h).text(f::POSTGRESQL_QUERY), "SELECT $1");
    assert_eq!(
        last(&h).get(f::POSTGRESQL_PARAMETERS),
        Some(&crate::harness::Value::List(vec![b"x".to_vec(), b"NULL".to_vec()]))
    );
    h.client([message(b'C', b"Ss\0"), sync()].concat()).server([message(b'3', b""), ready()].concat());
    run(&mut h);
    assert_eq!(last(&h).text(f::POSTGRESQL_QUERY), "");
    assert_eq!(commands(&h), ["PARSE", "SELECT", "CLOSE", "SELECT"]);
}

#[test]
fn copy_in_the_extended_protocol_ignores_an_early_sync() {
    let mut h = login();
    h.client([parse("", "COPY t FROM STDIN"), bind("", &[]), execute(), sync()].concat());
    h.server([message(b'1', b""), message(b'2', b""), message(b'G', b"\0\0\0")].concat());
    h.client([message(b'd', b"a\n"), message(b'd', b"b\n"), message(b'c', b""), sync()].concat());
    h.server([done("COPY 2"), ready()].concat());
    h.client(query("SELECT 1")).server([done("SELECT 1"), ready()].concat());
    assert_eq!(commands(&h), ["COPY", "SELECT"]);
    let copy = &h.sink.calls[0];
    assert_eq!((copy.text(f::REQUEST_BODY).as_str(), copy.int(f::POSTGRESQL_ROWS)), ("a\nb\n", Some(2)));
    assert!(copy.incomplete.is_none() && h.sink.problems.is_empty());
}

#[test]
fn functions_are_called() {
    let mut h = login();
    h.client(message(b'F', b"\0\0\x04\xd2\0\0\0\x01\0\0\0\x027x\0\0"));
    h.server([message(b'V', b"\0\0\0\x02ok"), ready()].concat());
    assert_eq!(commands(&h), ["FUNCTIONCALL"]);
    assert_eq!(last(&h).text(f::POSTGRESQL_STATEMENT), "1234");
    assert_eq!(last(&h).text(f::RESPONSE_BODY), "\\\\x6f6b");
}

#[test]
fn encryption_is_noticed_and_seen_through_where_the_capture_does() {
    let ssl = b"\0\0\0\x08\x04\xd2\x16\x2f";
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.client(ssl).server(b"S").client(b"\x16\x03\x01\0\x05hello").server(b"\x16\x03\x03xx");
    assert_eq!(commands(&h), ["SSLREQUEST"]);
    assert!(h.handed_over() && h.sink.problems.is_empty());

    // The client's hello is captured before the server's answer.
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.client(ssl).client(b"\x16\x03\x01\0\x05hello").server(b"S").server(b"\x16\x03\x03xx");
    assert!(h.handed_over() && h.sink.problems.is_empty());

    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.client(ssl).server(b"S").client(b"\0\0\0\x12\0\x03\0\0user\0ada\0\0".as_slice());
    h.server([message(b'R', &[0; 4]), ready()].concat());
    assert_eq!(commands(&h), ["SSLREQUEST", "STARTUP"]);
    assert_eq!(last(&h).text(f::POSTGRESQL_DATABASE), "ada");
}

#[test]
fn large_messages_are_counted_off() {
    let mut h = login_with(Limits { payload: 100, ..Limits::default() });
    let sql = format!("SELECT '{}'", "x".repeat(100_000));
    let wire = query(&sql);
    h.client(&wire[..20_000]);
    assert!(h.skipping(Role::Client) > 80_000);
    h.client(&wire[20_000..]);
    let answer = [row(&[&"y".repeat(50_000)]), row(&["z"]), done("SELECT 2"), ready()].concat();
    h.server(&answer[..1_000]);
    assert!(h.skipping(Role::Server) > 40_000);
    h.server(&answer[1_000..]);
    let call = last(&h);
    assert_eq!(call.text(f::POSTGRESQL_QUERY), sql[..100]);
    assert_eq!(
        (call.request_bytes, call.response_bytes),
        (Some(wire.len() as i64), Some(answer.len() as i64))
    );
    assert_eq!((call.int(f::POSTGRESQL_ROWS), call.incomplete), (Some(2), None));
    assert_eq!(call.text(f::RESPONSE_BODY).len(), 100);
    assert!(call.is(f::RESPONSE_BODY_TRUNCATED) && call.is(f::REQUEST_BODY_TRUNCATED));
    assert!(h.dissector().memory() < 64 << 10);
}

#[test]
fn too_many_requests_and_statements_are_bounded() {
    let limits = Limits { pending: 5, flow_bytes: 4_000, ..Limits::default() };
    let mut h = login_with(limits);
    for n in 0..50 {
        h.client([parse(&format!("s{n}"), &"x".repeat(200)), sync()].concat());
        h.server([message(b'1', b""), ready()].concat());
    }
    assert!(h.sink.problems[&Problem::StateLimit].0 >= 45);
    for _ in 0..50 {
        h.client(query("SELECT 1"));
    }
    assert!(h.sink.problems[&Problem::TooManyPending].0 >= 5);
    assert!(h.dissector().memory() < 64 << 10, "{}", h.dissector().memory());
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 100);
}

#[test]
fn the_server_may_end_the_connection_unasked() {
    let mut h = login();
    h.server(message(b'E', b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0")).close(Ending::Closed);
    assert_eq!((commands(&h), last(&h).failed, last(&h).incomplete), (vec!["ERROR".to_owned()], true, None));
}

#[test]
fn what_is_cut_off_says_so() {
    let mut h = login();
    h.client(query("SELECT 1")).server(row(&["1"])).close(Ending::Reset);
    assert_eq!((last(&h).incomplete, last(&h).response_bytes), (Some("reset"), Some(12)));
    let mut h = login();
    h.client([query("SELECT 1"), query("SELECT 2")].concat()).close(Ending::Closed);
    assert_eq!(h.sink.calls.iter().map(|c| c.incomplete).collect::<Vec<_>>(), [Some("no_response"); 2]);
}

#[test]
fn an_error_is_shown_although_the_capture_ends_behind_it() {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.client(query("asdf")).server(error("42601", "syntax error")).close(Ending::Lost);
    let call = last(&h);
    assert_eq!((h.sink.calls.len(), call.failed, call.incomplete), (1, true, Some("truncated")));
    assert_eq!(call.text(f::POSTGRESQL_ERROR_CODE), "42601");
}

#[test]
fn pipelined_replies_are_never_shifted_in_a_joined_connection() {
    // Two queries were on their way before the capture began.
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    let one = |n: usize| [parse("", &format!("SELECT {n}")), bind("", &[]), execute(), sync()].concat();
    let ok = [message(b'1', b""), message(b'2', b""), done("SELECT 1"), ready()].concat();
    h.client([one(3), one(4)].concat()).server(ok.repeat(2)).client(one(5)).server(ok.repeat(2));
    h.client(one(6)).client(one(7)).server(ok.repeat(3)).close(Ending::Closed);
    assert!(h.sink.calls.iter().all(|c| c.request_pos.is_none() || c.response_pos.is_none()));
}

#[test]
fn copied_data_is_not_given_to_another_request() {
    let mut h = login();
    // The answer to the first, and what the server says to the second, are missing.
    h.client(query("SELECT 1")).client(query("COPY t FROM STDIN")).client(message(b'd', b"a\n"));
    h.close(Ending::Lost);
    assert_eq!(h.sink.calls.len(), 2);
    let bodies: Vec<_> = h.sink.calls.iter().map(|c| c.text(f::REQUEST_BODY)).collect();
    assert_eq!(bodies, ["", "a\n"]);
    assert_eq!(h.sink.calls[0].request_bytes, Some(query("SELECT 1").len() as i64));
}

#[test]
fn of_an_answer_without_its_request_the_first_statement_is_told() {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    let (bound, row, inserted) = (message(b'2', b""), row(&["1"]), done("INSERT 0 1"));
    // In the middle of a query of several statements, perhaps.
    h.server([done("SELECT 1"), error("42P01", "no relation"), ready()].concat());
    // Two statements, or one that was prepared before.
    h.server([message(b'1', b""), bound.clone(), row.clone(), inserted.clone(), ready()].concat());
    h.close(Ending::Lost);
    assert_eq!(commands(&h), ["", "INSERT"]);
    let lengths: Vec<_> = h.sink.calls.iter().map(|c| c.response_bytes).collect();
    let second = bound.len() + row.len() + inserted.len();
    assert_eq!(lengths, [Some(done("SELECT 1").len() as i64), Some(second as i64)]);
    assert!(h.sink.calls.iter().all(|c| c.incomplete == Some("no_request") && !c.failed));
}

#[test]
fn rows_are_shown_only_where_their_formats_are_known() {
    let mut h = login();
    // The Bind is missing.
    h.client([execute(), sync()].concat());
    h.server([row(&["\0\0\x01\x05"]), done("SELECT 1"), ready()].concat());
    assert_eq!((last(&h).text(f::RESPONSE_BODY), last(&h).int(f::POSTGRESQL_ROWS)), ("".into(), Some(1)));
}

#[test]
fn data_behind_the_end_of_a_copy_is_not_given_to_it() {
    let mut h = login();
    h.client(query("COPY t FROM STDIN")).server(message(b'G', b"\0\0\0")).client(message(b'd', b"a\n"));
    // What was asked in between is shown late, or not at all.
    h.client([message(b'c', b""), message(b'd', b"b\n"), message(b'c', b"")].concat());
    h.server([done("COPY 1"), ready()].concat()).close(Ending::Closed);
    assert_eq!(h.sink.calls[0].text(f::REQUEST_BODY), "a\n");
    let copied = query("COPY t FROM STDIN").len() + message(b'd', b"a\n").len() + message(b'c', b"").len();
    assert_eq!(h.sink.calls[0].request_bytes, Some(copied as i64));
}
