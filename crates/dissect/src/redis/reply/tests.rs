#![allow(clippy::unwrap_used)]

use super::*;
use crate::redis::resp::{Parser, Step};

fn read_with(bytes: &[u8], size: usize, budget: usize, secrecy: Secrecy) -> Reply {
    let mut reply = Reply::new();
    reply.begin(budget, secrecy);
    let mut parser = Parser::new();
    let (mut at, mut end) = (0, 0);
    loop {
        match parser.step(&bytes[at..end]) {
            Step::Token { len, token, done } => {
                reply.token(token);
                at += len;
                if done {
                    return reply;
                }
            }
            Step::More => end += size.min(bytes.len() - end),
            Step::Fault => panic!("fault at {at}"),
        }
    }
}

#[track_caller]
fn is(bytes: &[u8], kind: &str, text: &str) {
    for size in 1..=bytes.len() {
        let reply = read_with(bytes, size, 1 << 16, Secrecy::No);
        assert_eq!((reply.type_name(), std::str::from_utf8(reply.text())), (Some(kind), Ok(text)));
        assert_eq!(reply.cut, 0);
    }
}

#[test]
fn text_and_type() {
    is(b"+OK\r\n", "simple", "OK");
    is(b"-ERR no\r\n", "error", "ERR no");
    is(b"!7\r\nERR\r\nno\r\n", "error", "ERR\r\nno");
    is(b":12\r\n", "int", "12");
    is(b"$8\r\n{\"a\": 1}\r\n", "bulk", "{\"a\": 1}");
    is(b"$-1\r\n", "null", "(nil)");
    is(b"*-1\r\n", "null", "(nil)");
    is(b"_\r\n", "null", "(nil)");
    is(b"#t\r\n", "bool", "(true)");
    is(b",1.50\r\n", "double", "1.50");
    is(b"(123\r\n", "bignum", "123");
    is(b"=8\r\ntxt:a\nbc\r\n", "verbatim", "a\nbc");
    is(b"*0\r\n", "array", "[]");
    is(
        b"*4\r\n$1\r\na\r\n$3\r\nb c\r\n:3\r\n*2\r\n$-1\r\n$0\r\n\r\n",
        "array",
        r#"[a, "b c", 3, [(nil), ""]]"#,
    );
    is(b"%2\r\n+a\r\n:1\r\n+b\r\n#f\r\n", "map", "{a: 1, b: (false)}");
    is(b"~2\r\n+a\r\n+b\r\n", "set", "{a, b}");
    is(b"*1\r\n-ERR no\r\n", "array", "[(error) ERR no]");
    is(b"|1\r\n+k\r\n*1\r\n+v\r\n:7\r\n", "int", "7");
    is(b"$?\r\n;1\r\na\r\n;1\r\nb\r\n;0\r\n", "bulk", "ab");
}

#[test]
fn text_is_bounded_and_the_rest_counted() {
    for size in [1, 3, 100] {
        let reply = read_with(b"$10\r\n0123456789\r\n", size, 4, Secrecy::No);
        assert_eq!((reply.text(), reply.cut), (&b"0123"[..], 6));
        let reply = read_with(b"*2\r\n$3\r\na b\r\n$3\r\nc d\r\n", size, 9, Secrecy::No);
        assert!(reply.text().starts_with(br#"["a b", "#) && reply.text().len() <= 9 && reply.cut > 0);
    }
}

#[test]
fn secrets() {
    let config = b"*4\r\n$11\r\nrequirepass\r\n$3\r\nfoo\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n";
    let reply = read_with(config, 5, 1000, Secrecy::Settings);
    assert_eq!(reply.text(), b"[requirepass, ***, maxmemory, 0]");
    let none = b"%1\r\n$11\r\nrequirepass\r\n$0\r\n\r\n";
    assert_eq!(read_with(none, 5, 1000, Secrecy::Settings).text(), b"{requirepass: \"\"}");
    let reply = read_with(b"*1\r\n$9\r\nuser a #x\r\n", 5, 1000, Secrecy::All);
    assert_eq!((reply.text(), reply.type_name(), reply.cut), (&b"***"[..], Some("array"), 0));
}

#[test]
fn heads_and_errors() {
    let reply = read_with(b">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n:5\r\n", 2, 0, Secrecy::No);
    assert_eq!((reply.head(0), reply.head(1)), (Some(&b"message"[..]), Some(&b"ch"[..])));
    assert_eq!((reply.head_number(1), reply.head_number(2), reply.items()), (None, Some(5), Some(3)));
    let reply = read_with(b"*2\r\n:1\r\n-ERR no\r\n", 2, 100, Secrecy::No);
    assert_eq!((reply.error(), reply.is_error(), reply.head(2)), (Some(&b"ERR no"[..]), false, None));
}

#[test]
fn nothing_behind_a_hole_is_shown() {
    let mut reply = Reply::new();
    reply.begin(100, Secrecy::No);
    for token in
        [Token::Open(Kind::Array, Some(3)), Token::Line(Kind::Int, b"1"), Token::Begin(Kind::Bulk, Some(9))]
    {
        reply.token(token);
    }
    reply.token(Token::Piece(b"a b"));
    reply.lost(3);
    for token in [Token::Piece(b"c d"), Token::End, Token::Line(Kind::Int, b"2"), Token::Close(Kind::Array)] {
        reply.token(token);
    }
    assert_eq!((reply.text(), reply.hole), (&b"[1, "[..], true));
    // A string by itself is shown up to the hole.
    reply.begin(100, Secrecy::No);
    reply.token(Token::Begin(Kind::Bulk, Some(9)));
    reply.token(Token::Piece(b"a b"));
    reply.lost(3);
    reply.token(Token::Piece(b"c d"));
    assert_eq!(reply.text(), b"a b");
}

#[test]
fn half_a_string_among_others_is_not_shown() {
    let mut reply = Reply::new();
    reply.begin(100, Secrecy::No);
    for token in [Token::Open(Kind::Array, Some(1)), Token::Begin(Kind::Bulk, Some(9)), Token::Piece(b"a b")]
    {
        reply.token(token);
    }
    reply.stop();
    assert_eq!(reply.text(), b"[");
}
