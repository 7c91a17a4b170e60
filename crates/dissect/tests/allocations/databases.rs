//! Databases and caches.

use remora_dissect::harness::Harness;
use remora_dissect::{Limits, cassandra, memcached, mongodb, mysql, postgresql, redis};
use remora_model::Transport;

use crate::counting::{ALLOCATIONS, Count};

#[test]
fn redis_does_not_allocate_once_the_buffers_are_there() {
    const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$9\r\nsession:1\r\n";
    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$9\r\nsession:1\r\n$5\r\nvalue\r\n";
    let pipelined = [GET, SET, GET].concat();
    let mut flow = Harness::with(&redis::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(SET).server(b"+OK\r\n").client(GET).server(b"$5\r\nvalue\r\n");
        flow.client(&pipelined).server(b"$5\r\nvalue\r\n+OK\r\n*2\r\n:1\r\n$3\r\na b\r\n");
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 600);
}

#[test]
fn mongodb_does_not_allocate_once_the_buffers_are_there() {
    let frame = |id: i32, to: i32, doc: &[u8]| {
        let len = 16 + 5 + doc.len() as i32;
        let head: Vec<u8> = [len, id, to, 2013, 0].into_iter().flat_map(i32::to_le_bytes).collect();
        [&head[..], b"\0", doc].concat()
    };
    let find = b"\x2a\0\0\0\x02find\0\x06\0\0\0users\0\x02$db\0\x05\0\0\0shop\0\x10n\0\x05\0\0\0\0";
    let found = b"\x15\0\0\0\x01ok\0\0\0\0\0\0\0\xf0\x3f\x0an\0\0";
    let (find, found) = (fit(find), fit(found));
    let mut flow = Harness::with(&mongodb::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let two = [frame(1, 0, &find), frame(2, 0, &find)].concat();
    let (first, second) = (frame(11, 1, &found), frame(12, 2, &found));
    let mut round = || {
        flow.client(&two).server(&first).server(&second);
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 280);
}

/// A document with its length in front.
fn fit(document: &[u8]) -> Vec<u8> {
    let mut out = document.to_vec();
    let len = out.len() as i32;
    out[..4].copy_from_slice(&len.to_le_bytes());
    out
}

#[test]
fn memcached_does_not_allocate_once_the_buffers_are_there() {
    let mut flow = Harness::with(&memcached::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(b"set session:1 0 60 5\r\nvalue\r\n").server(b"STORED\r\n");
        flow.client(b"get session:1 session:2\r\nincr n 1\r\n");
        flow.server(b"VALUE session:1 0 5\r\nvalue\r\nEND\r\n5\r\n");
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 360);
}

#[test]
fn cassandra_does_not_allocate_once_the_buffers_are_there() {
    let envelope = |version: u8, stream: u8, opcode: u8, body: &[u8]| {
        [&[version, 0, 0, stream, opcode, 0, 0, 0, body.len() as u8][..], body].concat()
    };
    let query = |stream| envelope(4, stream, 7, b"\0\0\0\x0fSELECT a FROM b\0\x01\0");
    let rows = |stream| {
        let head = b"\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\x02ks\0\x01t\0\x01c\0\x0d\0\x01d\0\x09\0\0\0\x01";
        envelope(0x84, stream, 8, &[&head[..], b"\0\0\0\x02ab\0\0\0\x04\0\0\0\x07"].concat())
    };
    let mut flow = Harness::with(&cassandra::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let (two, first, second) = ([query(1), query(2)].concat(), rows(2), rows(1));
    let mut round = || {
        flow.client(&two).server(&first).server(&second);
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 280);
}

#[test]
fn postgresql_does_not_allocate_once_the_buffers_are_there() {
    const SIMPLE: &[u8] = b"Q\0\0\0\x1bSELECT name FROM t;   \0";
    const ANSWER: &[u8] = b"T\0\0\0\x1d\0\x01name\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0\
        D\0\0\0\x0d\0\x01\0\0\0\x03abcC\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    const EXTENDED: &[u8] = b"P\0\0\0\x16\0SELECT $1::int\0\0\0B\0\0\0\x11\0\0\0\0\0\x01\0\0\0\x017\0\0\
        E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
    const BOUND: &[u8] =
        b"1\0\0\0\x042\0\0\0\x04D\0\0\0\x0b\0\x01\0\0\0\x017C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    let mut flow = Harness::with(&postgresql::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    flow.client(b"\0\0\0\x20\0\x03\0\0user\0ada\0database\0shop\0\0".as_slice());
    flow.server(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
    let mut round = || {
        flow.client(SIMPLE).server(ANSWER).client(EXTENDED).server(BOUND);
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 241);
}

#[test]
fn mysql_does_not_allocate_once_the_buffers_are_there() {
    const QUERY: &[u8] = b"\x13\0\0\0\x03SELECT name FROM t";
    const ANSWER: &[u8] =
        b"\x01\0\0\x01\x01\x1a\0\0\x02\x03def\0\0\0\x04name\0\x0c\x21\0\x04\0\0\0\xfd\0\0\0\0\0\
        \x05\0\0\x03\xfe\0\0\x02\0\x04\0\0\x04\x03abc\x05\0\0\x05\xfe\0\0\x02\0";
    const PING: &[u8] = b"\x01\0\0\0\x0e";
    const OK: &[u8] = b"\x07\0\0\x01\0\0\0\x02\0\0\0";
    let mut flow = Harness::with(&mysql::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(QUERY).server(ANSWER).client(PING).server(OK).client(PING).server(OK);
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    // The last call of a connection that was joined in the middle waits to be certain.
    assert!((300..=360).contains(&flow.sink.0), "{}", flow.sink.0);
}
