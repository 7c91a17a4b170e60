#![allow(clippy::unwrap_used)]

use super::*;
use crate::dns::testing::Build;

fn read(bytes: &[u8]) -> Message {
    let mut m = Message::default();
    assert!(m.read(bytes, 1 << 16));
    m
}

fn texts<'a>(items: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    items.map(|b| String::from_utf8(b.to_vec()).unwrap()).collect()
}

#[test]
fn question_and_answers() {
    let m = read(
        &Build::response(7, "www.example")
            .record(1, "www.example", types::CNAME, 300, b"\x01a\xc0\x10")
            .a("a.example", 9)
            .record(2, "example", types::NS, 5, b"\x00")
            .0,
    );
    assert_eq!(m.header.id, 7);
    assert_eq!(texts(m.questions()), ["www.example"]);
    assert_eq!(texts(m.question_types()), ["A"]);
    assert_eq!(texts(m.answers()), ["a.example", "192.0.2.9"]);
    assert_eq!(texts(m.answer_types()), ["CNAME", "A"]);
    assert_eq!(texts(m.answer_ttls()), ["300", "60"]);
    assert_eq!((m.rcode, m.rcode_name()), (0, &b"NOERROR"[..]));
    assert_eq!((m.fault, m.oddities, m.cut), (None, 0, 0));
}

#[test]
fn edns_extends_the_response_code() {
    let subnet = b"\x00\x08\x00\x07\x00\x01\x18\x10\xc0\x00\x02";
    let m = read(&Build::response(1, "a").opt(1, true, subnet).0);
    assert_eq!((m.rcode, m.rcode_name(), m.dnssec_ok), (16, &b"BADVERS"[..], true));
    assert_eq!(m.subnet(), Some(&b"192.0.2.0/24/16"[..]));
    let m = read(&Build::query(1, "a").opt(0, false, b"\x00\x08\x00\x05\x00\x02\x08\x00\x20").0);
    assert_eq!(m.subnet(), Some(&b"2000::/8/0"[..]));
    assert!(!m.dnssec_ok);
    let m = read(&Build::query(1, "a").opt(0, false, b"\x00\x08\x00\x04\x00\x09\x08\x00").0);
    assert_eq!((m.subnet(), m.oddities), (None, 1));
}

#[test]
fn damage_behind_the_answers_leaves_them() {
    let whole = Build::response(1, "a").a("a", 1).opt(0, false, b"");
    let m = read(&whole.0[..whole.0.len() - 3]);
    assert_eq!(m.fault, Some(Section::Additional));
    assert_eq!(texts(m.answers()), ["192.0.2.1"]);
    let m = read(&Build::response(1, "a").a("a", 1).a("a", 2).0[..12 + 7 + 17 + 5]);
    assert_eq!(m.fault, Some(Section::Answer));
    assert_eq!(texts(m.answers()), ["192.0.2.1"]);
    assert_eq!(read(&Build::query(1, "a").0[..14]).fault, Some(Section::Question));
    assert!(!Message::default().read(&[0; 11], 100));
}

#[test]
fn zeros_behind_are_padding_and_anything_else_is_odd() {
    let mut bytes = Build::query(1, "a").0;
    bytes.extend([0; 4]);
    assert_eq!(read(&bytes).oddities, 0);
    bytes.push(1);
    assert_eq!(read(&bytes).oddities, 1);
}

#[test]
fn chaosnet_addresses_are_not_internet_addresses() {
    let mut bytes = Build::response(1, "a").a("a", 1).0;
    let class = bytes.len() - 11;
    bytes[class] = 3;
    let m = read(&bytes);
    assert_eq!(texts(m.answers()), ["\\# 4 C0000201"]);
    assert_eq!(m.oddities, 0);
}

#[test]
fn text_is_bounded() {
    let mut m = Message::default();
    let mut b = Build::response(1, "a");
    for i in 0..200 {
        b = b.a("a", i);
    }
    assert!(m.read(&b.0, 100));
    assert!(m.cut > 0 && m.answers().len() < 10 && m.answers().len() == m.answer_ttls().len());
    let held = m.memory();
    assert!(m.read(&b.0, 100));
    assert_eq!(m.memory(), held, "buffers are used again");
}

#[test]
fn same_questions_whatever_the_case() {
    let (a, b) = (read(&Build::query(1, "wWw.Example").0), read(&Build::response(1, "www.example").0));
    assert!(a.same_questions(&b));
    assert!(!a.same_questions(&read(&Build::query(1, "www.example2").0)));
    let other = read(&Build::new(1, 0).question("www.example", types::AAAA).0);
    assert!(!a.same_questions(&other));
}

#[test]
fn no_prefix_and_no_flipped_octet_panics() {
    let whole = Build::response(1, "www.example")
        .record(1, "b", types::MX, 1, b"\x00\x01\xc0\x0c")
        .record(1, "b", types::HTTPS, 1, b"\x00\x01\x00\x00\x01\x00\x03\x02h2")
        .opt(0, true, b"\x00\x08\x00\x04\x00\x01\x00\x00")
        .0;
    let mut m = Message::default();
    for len in 0..whole.len() {
        m.read(&whole[..len], 1000);
        let mut flipped = whole.clone();
        for bit in 0..8 {
            flipped[len] ^= 1 << bit;
            m.read(&flipped, 1000);
        }
    }
}
