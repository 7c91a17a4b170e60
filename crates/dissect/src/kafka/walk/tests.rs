#![allow(clippy::unwrap_used)]

use super::*;
use crate::kafka::schema::{API_VERSIONS, FETCH, METADATA};

/// The kinds of tokens of a message, one letter each; `!` for a fault, `?` for more bytes.
fn tokens(fields: &'static [Field], version: i16, flexible: bool, bytes: &[u8], left: u64) -> String {
    let mut walker = Walker::default();
    walker.begin(fields, version, flexible, false, left);
    let (mut at, mut out) = (0, String::new());
    loop {
        match walker.step(bytes.get(at..).unwrap_or_default()) {
            Step::Token(n, token) => {
                at += n;
                out.push(match token {
                    Token::Value(_, Value::Null) => '0',
                    Token::Value(..) => 'v',
                    Token::Open(_, Shape::Array) => '[',
                    Token::Open(_, Shape::Structure) => '(',
                    Token::Element => '{',
                    Token::Close => ')',
                    Token::Blob(..) => '<',
                    Token::Piece(_) => '-',
                    Token::BlobEnd => '>',
                });
            }
            Step::Quiet(n) => at += n,
            Step::More => return out + "?",
            Step::Done => return out,
            Step::Fault => return out + "!",
        }
    }
}

#[test]
fn arrays_structures_and_nulls() {
    // Metadata version 1: null is all topics, an empty list none.
    let request = |bytes: &[u8]| tokens(METADATA.request, 1, false, bytes, bytes.len() as u64);
    assert_eq!(request(&[0xff, 0xff, 0xff, 0xff]), "0");
    assert_eq!(request(&[0, 0, 0, 0]), "[)");
    assert_eq!(request(b"\0\0\0\x02\0\x01a\0\x02bc"), "[{v){v))");
    // Bare elements are no structures.
    let bytes =
        b"\0\0\0\0\0\0\0\x01\0\0\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\0\0\0";
    assert_eq!(tokens(METADATA.response, 0, false, bytes, bytes.len() as u64), "[)[{vv[{vvv[vv)[)))))");
}

#[test]
fn tagged_fields_known_and_unknown() {
    // ApiVersions version 3: error, no keys, no throttle; then tag 1 (known) and tag 77 (unknown).
    let bytes = b"\0\0\x01\0\0\0\0\x02\x01\x08\0\0\0\0\0\0\0\x09\x4d\x03abc";
    assert_eq!(tokens(API_VERSIONS.response, 3, true, bytes, bytes.len() as u64), "v[)vv");
    // A known one has to be as long as it says.
    let bytes = b"\0\0\x01\0\0\0\0\x01\x01\x09\0\0\0\0\0\0\0\x09\0";
    assert_eq!(tokens(API_VERSIONS.response, 3, true, bytes, bytes.len() as u64), "v[)vv!");
    // An array as a tagged field, with elements that have tagged fields themselves.
    let bytes = b"\0\0\x01\0\0\0\0\x01\0\x08\x02\x02a\0\x01\0\x02\0";
    assert_eq!(tokens(API_VERSIONS.response, 3, true, bytes, bytes.len() as u64), "v[)v[{vvv))");
    // More than the message has left.
    let bytes = b"\0\0\x01\0\0\0\0\x01\x4d\x7f";
    assert_eq!(tokens(API_VERSIONS.response, 3, true, bytes, bytes.len() as u64), "v[)v!");
}

#[test]
fn hostile_lengths_are_faults() {
    let metadata = |bytes: &[u8], left| tokens(METADATA.request, 1, false, bytes, left);
    // More elements than bytes, negative lengths, texts beyond the message or longer than any.
    assert_eq!(metadata(&[0x7f, 0xff, 0xff, 0xff], 1_000), "!");
    assert_eq!(metadata(&[0x80, 0, 0, 0], 1_000), "!");
    assert_eq!(metadata(b"\0\0\0\x01\xff\xfe", 1_000), "[{!");
    assert_eq!(metadata(b"\0\0\0\x01\0\x09a", 7), "[{!");
    assert_eq!(metadata(b"\0\0\0\x01\0\x09a", 15), "[{?");
    let compact = b"\x02\xff\xff\xff\xff\x0f";
    assert_eq!(tokens(METADATA.request, 9, true, compact, 1 << 30), "[{!");
    // Records beyond the message.
    let bytes = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0\x09abc";
    assert_eq!(tokens(FETCH.response, 0, false, bytes, bytes.len() as u64), "[{v[{vvv!");
    assert_eq!(tokens(FETCH.response, 0, false, bytes, bytes.len() as u64 + 6), "[{v[{vvv<-?");
}

#[test]
fn bytes_are_passed_over() {
    let bytes = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0\x09";
    let mut walker = Walker::default();
    walker.begin(FETCH.response, 0, false, false, bytes.len() as u64 + 9);
    let mut at = 0;
    while walker.blob_left() == 0 {
        match walker.step(&bytes[at..]) {
            Step::Token(n, _) | Step::Quiet(n) => at += n,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((at, walker.blob_left()), (bytes.len(), 9));
    walker.pass(9);
    let mut rest = 0;
    while !matches!(walker.step(&[]), Step::Done) {
        rest += 1;
    }
    assert_eq!(rest, 5, "the end of the bytes, two arrays and two structures");
}
