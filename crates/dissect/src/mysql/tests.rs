use std::io::Write as _;

use remora_model::{Transport, field as f};

use super::ENTRY;
use crate::harness::{Harness, Recorded, Recorder};
use crate::{Ending, Limits, Problem, Role};

const DEPRECATE_EOF: u32 = 1 << 24;
const COMPRESS: u32 = 1 << 5;

fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    p.push(seq);
    p.extend(payload);
    p
}

fn command(kind: u8, argument: &[u8]) -> Vec<u8> {
    packet(0, &[&[kind], argument].concat())
}

fn query(sql: &str) -> Vec<u8> {
    command(3, sql.as_bytes())
}

fn ok(seq: u8) -> Vec<u8> {
    packet(seq, b"\0\x01\0\x02\0\0\0")
}

fn eof(seq: u8, status: u8) -> Vec<u8> {
    packet(seq, &[0xfe, 0, 0, status, 0])
}

/// OK in the place of EOF.
fn end(seq: u8, status: u8) -> Vec<u8> {
    packet(seq, &[0xfe, 0, 0, status, 0, 0, 0])
}

fn column(seq: u8, name: &str, kind: u8) -> Vec<u8> {
    let mut p = b"\x03def\0\0\0".to_vec();
    p.push(name.len() as u8);
    p.extend(name.as_bytes());
    p.extend([0, 0x0c, 0x21, 0, 4, 0, 0, 0, kind, 0, 0, 0, 0, 0]);
    packet(seq, &p)
}

fn text_row(seq: u8, value: &str) -> Vec<u8> {
    packet(seq, &[&[value.len() as u8], value.as_bytes()].concat())
}

fn greeting() -> Vec<u8> {
    let mut p = b"\x0a8.0.36\0\x01\0\0\0abcdefgh\0".to_vec();
    p.extend([0xff, 0xff, 0x21, 2, 0, 0xff, 0xff, 21]);
    p.extend([0; 10]);
    p.extend(b"ijklmnopqrst\0caching_sha2_password\0");
    packet(0, &p)
}

fn response(capabilities: u32) -> Vec<u8> {
    // Protocol 4.1, a database, authentication plugins, 8 bits of length for the secret.
    let capabilities = capabilities | 1 << 9 | 1 << 3 | 1 << 19 | 1 << 15 | 1;
    let mut p = capabilities.to_le_bytes().to_vec();
    p.extend([0, 0, 0, 1, 0x21]);
    p.extend([0; 23]);
    p.extend(b"ada\0\x04hashshop\0mysql_native_password\0");
    packet(1, &p)
}

fn login_with(capabilities: u32, limits: Limits) -> Harness {
    let mut h = Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default());
    h.server(greeting()).client(response(capabilities));
    h.server(packet(2, b"\xfecaching_sha2_password\0salt\0")).client(packet(3, b"secret"));
    h.server([packet(4, b"\x01\x04"), ok(5)].concat());
    h
}

fn login(capabilities: u32) -> Harness {
    let mut h = login_with(capabilities, Limits::default());
    h.sink.calls.clear();
    h
}

fn last(h: &Harness) -> &Recorded {
    h.sink.calls.last().expect("a call")
}

#[test]
fn logins_show_who_and_how_and_no_secret() {
    let h = login_with(0, Limits::default());
    let call = last(&h);
    assert_eq!(call.text(f::MYSQL_COMMAND), "HANDSHAKE");
    assert_eq!((call.text(f::MYSQL_USER), call.text(f::MYSQL_DATABASE)), ("ada".into(), "shop".into()));
    assert_eq!(call.text(f::MYSQL_AUTH_PLUGIN), "caching_sha2_password");
    assert_eq!(call.text(f::MYSQL_SERVER_VERSION), "8.0.36");
    assert!(!format!("{call:?}").contains("115, 101, 99, 114, 101, 116"), "the secret, byte by byte");
    assert!(h.sink.problems.is_empty());
}

#[test]
fn results_end_with_eof_or_ok() {
    for (capabilities, with_eof) in [(0, true), (DEPRECATE_EOF, false)] {
        let mut h = login(capabilities);
        let mut wire = [packet(1, &[2]), column(2, "a", 0xfd), column(3, "b", 3)].concat();
        let mut seq = 4;
        if with_eof {
            wire.extend(eof(seq, 2));
            seq += 1;
        }
        wire.extend(packet(seq, b"\x01x\xfb"));
        wire.extend(if with_eof { eof(seq + 1, 2) } else { end(seq + 1, 2) });
        h.client(query("SELECT a, b FROM t")).server(&wire);
        let call = last(&h);
        assert_eq!(call.text(f::RESPONSE_BODY), "a\tb\nx\t\\N\n");
        assert_eq!((call.int(f::MYSQL_ROWS), call.int(f::MYSQL_COLUMNS)), (Some(1), Some(2)));
        assert_eq!((call.incomplete, call.response_bytes), (None, Some(wire.len() as i64)));
        h.client(command(0x0e, b"")).server(ok(1));
        assert_eq!(last(&h).text(f::MYSQL_COMMAND), "COM_PING");
        assert!(h.sink.problems.is_empty());
    }
}

#[test]
fn several_results_are_one_call() {
    let mut h = login(DEPRECATE_EOF);
    let more = 0x08;
    h.client(query("SELECT 1; SELECT 2; UPDATE t SET a = 1"));
    h.server([packet(1, &[1]), column(2, "a", 3), text_row(3, "1"), end(4, more)].concat());
    assert!(h.sink.calls.is_empty());
    h.server([packet(5, &[1]), column(6, "b", 3), text_row(7, "2"), end(8, more), ok(9)].concat());
    assert_eq!(last(&h).text(f::RESPONSE_BODY), "a\n1\nb\n2\n");
    assert_eq!(last(&h).int(f::MYSQL_ROWS), Some(2));
}

/// `COM_STMT_PREPARE` of a statement with two parameters and one column.
fn prepare(h: &mut Harness, id: u8, with_eof: bool) {
    h.client(command(0x16, b"SELECT ? + ? AS sum"));
    let mut wire = packet(1, &[0, id, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0]);
    wire.extend([column(2, "?", 0xfd), column(3, "?", 0xfd)].concat());
    let mut seq = 4;
    if with_eof {
        wire.extend(eof(seq, 2));
        seq += 1;
    }
    wire.extend(column(seq, "sum", 8));
    if with_eof {
        wire.extend(eof(seq + 1, 2));
    }
    h.server(wire);
}

fn execute(id: u8) -> Vec<u8> {
    // A TINY and a VAR_STRING, bound now.
    command(0x17, &[&[id, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0xfd, 0, 5, 2][..], b"ab"].concat())
}

#[test]
fn prepared_statements_show_text_and_values() {
    for with_eof in [true, false] {
        let mut h = login(if with_eof { 0 } else { DEPRECATE_EOF });
        prepare(&mut h, 7, with_eof);
        assert_eq!(last(&h).int(f::MYSQL_STATEMENT_ID), Some(7));
        h.client(execute(7));
        let mut wire = [packet(1, &[1]), column(2, "sum", 8)].concat();
        if with_eof {
            wire.extend(eof(3, 2));
        }
        let seq = if with_eof { 4 } else { 3 };
        wire.extend(packet(seq, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
        wire.extend(if with_eof { eof(seq + 1, 2) } else { end(seq + 1, 2) });
        h.server(wire);
        let call = last(&h);
        assert_eq!(call.text(f::MYSQL_QUERY), "SELECT ? + ? AS sum");
        assert_eq!(
            call.get(f::MYSQL_PARAMETERS),
            Some(&crate::harness::Value::List(vec![b"5".to_vec(), b"ab".to_vec()]))
        );
        assert_eq!(call.text(f::RESPONSE_BODY), "sum\n-1\n");
        h.client(command(0x19, &[7, 0, 0, 0]));
        assert_eq!((last(&h).text(f::MYSQL_COMMAND), last(&h).incomplete), ("COM_STMT_CLOSE".into(), None));
        h.client(execute(7)).server(packet(1, b"\xff\xdb\x04#HY000Unknown prepared statement"));
        assert_eq!(
            (last(&h).text(f::MYSQL_QUERY), last(&h).int(f::MYSQL_ERROR_CODE)),
            ("".into(), Some(1243))
        );
        assert_eq!(h.sink.calls.len(), 4);
        assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
    }
}

#[test]
fn mariadb_executes_what_it_has_just_prepared() {
    let mut h = login(DEPRECATE_EOF);
    let run = command(0x17, b"\xff\xff\xff\xff\0\x01\0\0\0");
    h.client([command(0x16, b"DO 1"), run].concat());
    h.server([packet(1, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), ok(1)].concat());
    let queries: Vec<_> = h.sink.calls.iter().map(|c| c.text(f::MYSQL_QUERY)).collect();
    assert_eq!(queries, ["DO 1", "DO 1"]);
    assert!(h.sink.problems.is_empty());
}

/// A compressed packet around packets.
fn wrap(seq: u8, inner: &[u8], coding: &str) -> Vec<u8> {
    let payload = match coding {
        "zlib" => {
            let mut e = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            e.write_all(inner).expect("memory");
            e.finish().expect("memory")
        }
        "zstd" => zstd::encode_all(inner, 3).expect("memory"),
        _ => inner.to_vec(),
    };
    let before = if coding == "stored" { 0 } else { inner.len() as u32 };
    let mut p = packet(seq, &payload)[..4].to_vec();
    p.extend(&before.to_le_bytes()[..3]);
    p.extend(payload);
    p
}

#[test]
fn compressed_packets_are_undone() {
    for (coding, capabilities) in [("zlib", COMPRESS), ("zstd", 1 << 26), ("stored", COMPRESS)] {
        let mut h = login(capabilities | DEPRECATE_EOF);
        let sql = format!("SELECT '{}'", "x".repeat(300));
        let asked = wrap(0, &query(&sql), coding);
        let rows = [packet(1, &[1]), column(2, "x", 0xfd), text_row(3, &"x".repeat(200)), end(4, 2)].concat();
        // The packets inside are cut anywhere.
        let answered = [wrap(1, &rows[..30], "stored"), wrap(2, &rows[30..], coding)].concat();
        h.client(&asked);
        answered.chunks(7).for_each(|piece| {
            h.server(piece);
        });
        let call = last(&h);
        assert_eq!(call.text(f::MYSQL_QUERY), sql, "{coding}");
        assert_eq!((call.int(f::MYSQL_ROWS), call.incomplete), (Some(1), None));
        assert_eq!(
            (call.request_bytes, call.response_bytes),
            (Some(asked.len() as i64), Some(answered.len() as i64))
        );
        assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
    }
}

#[test]
fn compression_bombs_are_given_up() {
    let mut h = login_with(COMPRESS, Limits { expansion: 2, ..Limits::default() });
    h.client(wrap(0, &query("SELECT 1"), "stored"));
    let bomb = vec![0; 10 << 20];
    h.server(wrap(1, &packet(1, &bomb), "zlib"));
    assert!(h.sink.problems.contains_key(&Problem::BadEncoding));
    assert!(h.dissector().memory() < 1 << 20);
    // The next command begins another packet.
    for n in 0..3 {
        h.client(wrap(0, &query(&format!("SELECT {n}")), "stored")).server(wrap(1, &ok(1), "stored"));
    }
    h.close(Ending::Closed);
    let whole: Vec<_> =
        h.sink.calls.iter().filter(|c| c.incomplete.is_none()).map(|c| c.text(f::MYSQL_QUERY)).collect();
    assert!(whole.contains(&"SELECT 2".to_owned()), "{whole:?}");
}

#[test]
fn tls_is_noticed() {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    let mut request = vec![0; 32];
    request[..4].copy_from_slice(&(1_u32 << 9 | 1 << 11 | 1).to_le_bytes());
    h.server(greeting())
        .client(packet(1, &request))
        .client(b"\x16\x03\x01\0\x02ab")
        .server(b"\x16\x03\x03\0\x01x");
    h.close(Ending::Closed);
    let names: Vec<_> = h.sink.calls.iter().map(|c| c.text(f::MYSQL_COMMAND)).collect();
    assert_eq!(names, ["SSLREQUEST"]);
    assert!(h.handed_over() && h.sink.problems.is_empty());
}

#[test]
fn refused_connections_are_calls() {
    let mut h = Harness::new(&ENTRY, Transport::Tcp);
    h.server(packet(0, b"\xff\x10\x04Too many connections")).close(Ending::Closed);
    assert_eq!(
        (last(&h).text(f::MYSQL_COMMAND), last(&h).int(f::MYSQL_ERROR_CODE)),
        ("ERROR".into(), Some(1040))
    );
    assert!(last(&h).failed && last(&h).incomplete.is_none());
}

#[test]
fn files_are_sent() {
    let mut h = login(0);
    h.client(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t")).server(packet(1, b"\xfbf"));
    h.client([packet(2, b"1,2\n"), packet(3, b"")].concat()).server(ok(4));
    assert_eq!(last(&h).text(f::REQUEST_BODY), "1,2\n");
    assert!(last(&h).incomplete.is_none() && h.sink.problems.is_empty());
}

#[test]
fn large_packets_are_counted_off() {
    let mut h = login_with(0, Limits { payload: 100, ..Limits::default() });
    let sql = format!("SELECT '{}'", "x".repeat(50_000));
    let wire = query(&sql);
    h.client(&wire[..10_000]);
    assert!(h.skipping(Role::Client) > 30_000);
    h.client(&wire[10_000..]);
    let row = packet(4, &[&[0xfc, 0x40, 0x9c][..], &[b'y'; 40_000]].concat());
    let answer = [packet(1, &[1]), column(2, "x", 0xfd), eof(3, 2), row, eof(5, 2)].concat();
    h.server(&answer[..1_000]);
    assert!(h.skipping(Role::Server) > 30_000);
    h.server(&answer[1_000..]);
    let call = last(&h);
    assert_eq!((call.int(f::MYSQL_ROWS), call.incomplete), (Some(1), None));
    assert_eq!(
        (call.request_bytes, call.response_bytes),
        (Some(wire.len() as i64), Some(answer.len() as i64))
    );
    assert!(call.is(f::RESPONSE_BODY_TRUNCATED));
    assert!(h.dissector().memory() < 64 << 10);
}

#[test]
fn packets_of_16_mib_go_on_in_the_next() {
    let mut h = login_with(0, Limits { payload: 10, ..Limits::default() });
    let mut wire = vec![0xff, 0xff, 0xff, 0, 3];
    wire.extend(b"SELECT '");
    wire.resize(4 + 0xff_ffff, b'x');
    wire.extend([3, 0, 0, 1]);
    wire.extend(b"xx'");
    wire.chunks(1 << 20).for_each(|piece| {
        h.client(piece);
    });
    h.server(ok(2));
    assert_eq!((last(&h).request_bytes, last(&h).incomplete), (Some(wire.len() as i64), None));
    assert!(h.sink.problems.keys().all(|p| *p == Problem::PayloadLimit));
}

#[test]
fn too_many_requests_are_bounded() {
    let mut h = login_with(0, Limits { pending: 5, flow_bytes: 4_000, ..Limits::default() });
    for _ in 0..50 {
        h.client(query("SELECT 1"));
    }
    assert!(h.sink.problems[&Problem::TooManyPending].0 >= 5);
    assert!(h.dissector().memory() < 64 << 10, "{}", h.dissector().memory());
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 51);
}

#[test]
fn what_follows_a_prepared_statement_tells_whether_an_eof_ends_it() {
    for with_eof in [true, false] {
        // The login was not seen.
        let mut h = Harness::new(&ENTRY, Transport::Tcp);
        h.client(command(0x16, b"DO ?"));
        let mut wire = [packet(1, &[0, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]), column(2, "?", 0xfd)].concat();
        if with_eof {
            wire.extend(eof(3, 2));
        }
        h.server(&wire);
        for _ in 0..2 {
            h.client(query("SELECT 1")).server(ok(1));
        }
        let call = &h.sink.calls[0];
        assert_eq!(call.int(f::MYSQL_STATEMENT_ID), Some(7));
        assert_eq!((call.response_bytes, call.incomplete), (Some(wire.len() as i64), None));
        assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
    }
}

#[test]
fn a_database_is_forgotten_where_another_may_have_been_chosen() {
    let mut h = login(DEPRECATE_EOF);
    h.client(command(2, b"shop")).server(ok(1));
    h.client(query("SELECT 1")).server(ok(1));
    assert_eq!(last(&h).text(f::MYSQL_DATABASE), "shop");
    let before = h.sink.calls.len();
    h.gap(Role::Client, 20);
    for _ in 0..3 {
        h.client(query("SELECT 2")).server(ok(1));
    }
    h.close(Ending::Closed);
    assert!(h.sink.calls.len() > before);
    assert!(h.sink.calls[before..].iter().all(|c| c.text(f::MYSQL_DATABASE).is_empty()));
}

#[test]
fn a_database_that_is_refused_is_not_chosen() {
    let mut h = login(DEPRECATE_EOF);
    h.client(query("USE shop")).server(ok(1));
    h.client(query("USE nowhere")).server(packet(1, b"\xff\x19\x04#42000Unknown database"));
    assert_eq!(last(&h).text(f::MYSQL_DATABASE), "shop");
    // Whether it was done is not seen.
    h.client(query("USE other")).gap(Role::Server, 11).client(query("SELECT 1"));
    h.close(Ending::Closed);
    assert_eq!(last(&h).text(f::MYSQL_DATABASE), "");
}
