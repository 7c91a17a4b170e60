#![allow(clippy::unwrap_used)]

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};

use super::*;
use crate::{CaptureSource, FlowId, Incomplete, Transport};

pub(crate) fn call<'a>(protocol: Protocol, fields: &'a [(FieldId, ValueRef<'a>)]) -> Call<'a> {
    let ip = |last| std::net::IpAddr::from([127, 0, 0, last]);
    Call {
        protocol,
        transport: Transport::Tcp,
        flow: FlowId(7),
        client: Endpoint { ip: ip(1), port: 4000 },
        server: Endpoint { ip: ip(2), port: 80 },
        ts: Timestamp(1_000),
        elapsed_us: Some(3),
        ttlb_us: None,
        request_bytes: Some(10),
        response_bytes: None,
        request_pos: Some(0),
        response_pos: None,
        failed: false,
        client_error: false,
        incomplete: Some(Incomplete::NoResponse),
        tls: false,
        source: CaptureSource::File,
        fields,
    }
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Vec<Option<&'a str>> {
    let column = batch.column_by_name(name).unwrap();
    match column.as_dictionary_opt::<Int32Type>() {
        Some(d) => d.downcast_dict::<arrow::array::StringArray>().unwrap().into_iter().collect(),
        None => column.as_string::<i32>().iter().collect(),
    }
}

#[test]
fn calls_of_two_protocols_become_two_batches() {
    let mut set = BatchSet::new("n1");
    let sides =
        Sides { dst: Side { process: Some("nginx"), pid: Some(9), ..Side::default() }, ..Sides::default() };
    set.call(CallId(1), &call(Protocol::Http, &[(field::METHOD, ValueRef::str("GET"))]), &sides);
    set.call(CallId(2), &call(Protocol::Http, &[(field::METHOD, ValueRef::str("PUT"))]), &Sides::default());
    set.call(CallId(3), &call(Protocol::Dns, &[(field::STATUS_CODE, ValueRef::Int(3))]), &sides);
    assert_eq!(set.rows(), 3);
    assert!(set.bytes() > 0);
    let batches = set.take().unwrap();
    assert_eq!(batches.len(), 2);
    let http = &batches[0].batch;
    assert_eq!(batches[0].protocol, Some(Protocol::Http));
    assert_eq!(texts(http, "method"), [Some("GET"), Some("PUT")]);
    assert_eq!(texts(http, "dst.process"), [Some("nginx"), None]);
    assert_eq!(texts(http, "src.ip"), [Some("127.0.0.1"); 2]);
    assert_eq!(texts(http, "incomplete"), [Some("no_response"); 2]);
    assert_eq!(texts(http, "url"), [None, None]);
    assert_eq!(
        batches[1].batch.column_by_name("status_code").unwrap().as_primitive::<Int64Type>().value(0),
        3
    );
    assert_eq!((set.rows(), set.bytes()), (0, 0));
    assert!(set.take().unwrap().is_empty());
}

#[test]
fn a_repeated_header_is_joined_and_a_repeated_field_is_not_appended_twice() {
    let headers: &[(&[u8], &[u8])] =
        &[(b"a", b"1"), (b"cookie", b"x=1"), (b"a", b"2"), (b"cookie", b"y=2"), (b"bad", b"\xff")];
    let fields = [
        (field::REQUEST_HEADERS, ValueRef::Map(headers)),
        (field::URL, ValueRef::str("/1")),
        (field::URL, ValueRef::str("/2")),
    ];
    let mut set = BatchSet::new("n1");
    set.call(CallId(1), &call(Protocol::Http, &fields), &Sides::default());
    let batch = set.take().unwrap().remove(0).batch;
    assert_eq!(texts(&batch, "url"), [Some("/1")]);
    let map = batch.column_by_name("request.headers").unwrap().as_map();
    let keys: Vec<_> = map.keys().as_string::<i32>().iter().flatten().collect();
    let values: Vec<_> = map.values().as_string::<i32>().iter().flatten().collect();
    assert_eq!(keys, ["a", "cookie", "bad"]);
    assert_eq!(values, ["1, 2", "x=1; y=2", "\u{fffd}"]);
}

/// A value stands in its own row, whatever the rows around it lack, in columns of every kind.
#[test]
fn absent_values_leave_the_others_in_their_rows() {
    let mut set = BatchSet::new("n1");
    let value = [
        (field::METHOD, ValueRef::str("GET")),
        (field::STATUS_CODE, ValueRef::Int(200)),
        (field::URL, ValueRef::str("/a")),
        (field::REQUEST_BODY, ValueRef::str("body")),
        (field::REQUEST_BODY_TRUNCATED, ValueRef::Bool(true)),
        (field::REQUEST_HEADERS, ValueRef::Map(&[(b"host", b"h")])),
    ];
    for (id, fields) in [(1, &[][..]), (2, &[]), (3, &value), (4, &[]), (5, &value), (6, &[])] {
        set.call(CallId(id), &call(Protocol::Http, fields), &Sides::default());
    }
    let batches = set.take().unwrap();
    let batch = &batches[0].batch;
    for (name, _) in value.map(|(id, v)| (id.def().name, v)) {
        let column = batch.column_by_name(name).unwrap();
        let present: Vec<bool> = (0..6).map(|row| column.is_valid(row)).collect();
        assert_eq!(present, [false, false, true, false, true, false], "{name}");
    }
    assert_eq!(texts(batch, "url")[4], Some("/a"));
    assert_eq!(batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().values(), &[1, 2, 3, 4, 5, 6]);
    // The next batch starts without the nulls of this one.
    set.call(CallId(7), &call(Protocol::Http, &value), &Sides::default());
    assert_eq!(texts(&set.take().unwrap()[0].batch, "url"), [Some("/a")]);
}

#[test]
fn dictionaries_start_anew_with_each_batch() {
    let mut set = BatchSet::new("n1");
    for round in 0..3 {
        for i in 0..100 {
            let method = format!("M{}", i % (round + 2));
            set.call(
                CallId(i),
                &call(Protocol::Http, &[(field::METHOD, ValueRef::str(&method))]),
                &Sides::default(),
            );
        }
        let batch = set.take().unwrap().remove(0).batch;
        let methods = batch.column_by_name("method").unwrap().as_dictionary::<Int32Type>();
        assert_eq!(methods.values().len() as i64, round + 2);
        assert_eq!(texts(&batch, "method")[99], Some(&*format!("M{}", 99 % (round + 2))));
    }
}

/// Text is checked when the array is made; what is not UTF-8 is replaced and nothing else changes.
#[test]
fn bytes_that_are_no_text_are_replaced_in_columns_of_every_kind() {
    // The halves of an `ü` in two values are not one.
    let urls: [&[u8]; 5] = [b"/a", b"/\xc3", b"\xbc/", b"/\xff", "/\u{fc}".as_bytes()];
    let mut set = BatchSet::new("n1");
    for (i, url) in urls.into_iter().enumerate() {
        let headers = [(&b"a"[..], url)];
        let fields = [
            (field::URL, ValueRef::Text(url)),
            (field::METHOD, ValueRef::Text(url)),
            (field::REQUEST_HEADERS, ValueRef::Map(&headers)),
        ];
        let fields = if i == 2 { &fields[..0] } else { &fields[..] };
        set.call(CallId(i as i64), &call(Protocol::Http, fields), &Sides::default());
    }
    let batch = set.take().unwrap().remove(0).batch;
    let expected = [Some("/a"), Some("/\u{fffd}"), None, Some("/\u{fffd}"), Some("/\u{fc}")];
    assert_eq!(texts(&batch, "url"), expected);
    assert_eq!(texts(&batch, "method"), expected);
    let methods = batch.column_by_name("method").unwrap().as_dictionary::<Int32Type>();
    assert_eq!(methods.values().len(), 3);
    let headers = batch.column_by_name("request.headers").unwrap().as_map();
    let values: Vec<_> = headers.values().as_string::<i32>().iter().collect();
    assert_eq!(values, [expected[0], expected[1], expected[3], expected[4]]);
}

#[test]
fn coverage_rows_carry_the_node() {
    let mut set = BatchSet::new("n1");
    set.coverage(&CoverageRow {
        ts: Timestamp(5),
        interval_ms: 1000,
        stage: "ring",
        reason: "ring_full",
        count: 2,
        bytes: 99,
    });
    let batch = set.take().unwrap().remove(0).batch;
    assert_eq!(texts(&batch, "node_name"), [Some("n1")]);
    assert_eq!(texts(&batch, "reason"), [Some("ring_full")]);
}
