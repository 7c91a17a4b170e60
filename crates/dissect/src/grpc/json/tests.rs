use super::super::schema::Schemas;
use super::*;
use remora_model::Endpoint;

const SET: &[u8] = include_bytes!("../../../tests/corpus/http2/typed.set");

/// The JSON of a `remora.typed.Kinds`, and whether it is whole.
fn rendered(bytes: &[u8], cut: bool, max: usize) -> Option<(String, bool)> {
    let server = Endpoint { ip: "10.0.0.2".parse().unwrap(), port: 1 };
    let schemas = Schemas::parse(SET).unwrap();
    schemas
        .with(server, b"remora.typed.Typed", b"Echo", |pool, signature| {
            let mut out = Vec::new();
            let whole = render(pool, signature.types[0], bytes, cut, &mut Vec::new(), &mut out, max)?;
            Some((String::from_utf8(out).unwrap(), whole))
        })
        .unwrap()
}

fn json(bytes: &[u8]) -> String {
    let (text, whole) = rendered(bytes, false, 1 << 16).unwrap();
    assert!(whole);
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    text
}

#[test]
fn fields_come_by_number_and_the_last_value_counts() {
    assert_eq!(json(b"\x72\x01b\x18\x01\x72\x01c"), r#"{"anInt32":1,"aString":"c"}"#);
    // The parts of one message are put together.
    assert_eq!(json(b"\x8a\x01\x03\x0a\x01a\x8a\x01\x02\x12\x00"), r#"{"part":{"name":"a","parts":[{}]}}"#);
    // Packed and not, together.
    assert_eq!(json(b"\x92\x01\x02\x01\x02\x90\x01\x03"), r#"{"packed":[1,2,3]}"#);
}

#[test]
fn what_the_schema_does_not_have_is_shown_by_number() {
    // Field 50 is unknown; field 14 is no number.
    assert_eq!(json(b"\x90\x03\x07\x70\x05"), r#"{"aString":5,"50":7}"#);
    assert_eq!(json(b"\x92\x03\x02hi\x92\x03\x03\x0a\x01\x01"), r#"{"50":["hi","1: \"\\001\""]}"#);
    assert_eq!(json(b"\x95\x03\x01\0\0\0"), r#"{"50":"0x00000001"}"#);
    assert_eq!(json(b"\x93\x03\x08\x01\x94\x03"), r#"{"50":"1: 1"}"#);
    // A message that is none.
    assert_eq!(json(b"\x8a\x01\x02\xff\xff"), r#"{"part":"//8="}"#);
    assert_eq!(json(b"\x80\x01\x2a"), r#"{"color":42}"#);
}

#[test]
fn entries_of_maps_may_leave_out_what_is_empty() {
    assert_eq!(json(b"\xba\x01\x00\xb2\x01\x00"), r#"{"partsByName":{"":{}},"namesById":{"0":""}}"#);
}

#[test]
fn well_known_types_that_contradict_themselves_are_plain_messages() {
    // A timestamp with nanos of -1.
    assert_eq!(json(b"\xf2\x01\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), r#"{"time":{"nanos":-1}}"#);
    // An Any of a type that nobody knows.
    assert_eq!(json(b"\x82\x02\x08\x0a\x03x/y\x12\x01\x07"), r#"{"any":{"@type":"x/y","value":"Bw=="}}"#);
    let url = b"x/google.protobuf.BoolValue";
    let any = [&[0x0a, url.len() as u8], url.as_slice(), b"\x12\x02\x08\x01"].concat();
    assert_eq!(
        json(&[&[0x82, 0x02, any.len() as u8], any.as_slice()].concat()),
        r#"{"any":{"@type":"x/google.protobuf.BoolValue","value":true}}"#
    );
}

#[test]
fn what_is_no_message_is_not_taken_for_one() {
    assert_eq!(rendered(b"\xff\xff", false, 100), None);
    assert_eq!(rendered(b"\x72\x05ab", false, 100), None);
    assert_eq!(rendered(b"\x0c", false, 100), None);
    assert_eq!(rendered(b"\x72\x05ab", true, 100), Some((r#"{"aString":"ab"}"#.into(), false)));
}

#[test]
fn length_and_depth_are_bounded() {
    let mut text = vec![0x72, 0xe8, 0x07];
    text.extend([b'x'; 1_000]);
    let (out, whole) = rendered(&text, false, 20).unwrap();
    assert_eq!((out.as_str(), whole), (r#"{"aString":"xxxxxxxx"#, false));
    // Parts in parts, deeper than any are followed.
    let mut deep = vec![0x0a, 1, b'x'];
    for _ in 0..100 {
        deep = super::super::schema::part(2, &deep);
    }
    let deep = [b"\x8a".as_slice(), &super::super::schema::part(1, &deep)[1..]].concat();
    let deep = [&deep[..1], &[1], &deep[1..]].concat();
    let out = json(&deep);
    assert!(out.matches("parts").count() <= MAX_DEPTH, "{out}");
    // Values of any kind in lists of them.
    let mut deep = vec![];
    for _ in 0..200 {
        deep = super::super::schema::part(6, &super::super::schema::part(1, &deep));
    }
    let deep = [&[0x92, 0x02], &super::super::schema::part(1, &deep)[1..]].concat();
    assert!(json(&deep).contains("null"));
    // Many fields out of order, which are sorted once.
    let many = b"\x18\x01\x10\x01".repeat(100_000);
    assert!(rendered(&many, false, 1 << 10).is_some());
}
