#![allow(clippy::unwrap_used)]

use super::*;

/// Tokens of `bytes`, which arrive `size` at a time, pieces of a string joined. `None` on a fault.
fn tokens(bytes: &[u8], size: usize) -> Option<Vec<String>> {
    let mut parser = Parser::new();
    let mut out: Vec<String> = Vec::new();
    let (mut at, mut end) = (0, 0);
    loop {
        match parser.step(&bytes[at..end]) {
            Step::Token { len, token, done } => {
                at += len;
                match token {
                    Token::Piece(b) => {
                        out.last_mut().unwrap().push_str(std::str::from_utf8(b).unwrap());
                    }
                    Token::Line(k, b) => out.push(format!("{k:?} {}", std::str::from_utf8(b).unwrap())),
                    Token::Begin(k, n) => out.push(format!("{k:?} {n:?} ")),
                    Token::End => {}
                    Token::Open(k, n) => out.push(format!("{k:?} {n:?}")),
                    Token::Close(_) => out.push("close".into()),
                }
                if done {
                    out.push("done".into());
                }
            }
            Step::More if end == bytes.len() => return Some(out),
            Step::More => end = (end + size).min(bytes.len()),
            Step::Fault => return None,
        }
    }
}

#[track_caller]
fn reads(bytes: &[u8], expected: &[&str]) {
    for size in 1..=bytes.len() {
        assert_eq!(tokens(bytes, size).unwrap(), expected, "{size} at a time");
    }
}

#[test]
fn values_of_one_line() {
    reads(b"+OK\r\n", &["Simple OK", "done"]);
    reads(b"-ERR no\r\n", &["Error ERR no", "done"]);
    reads(b":-12\r\n:+1\r\n", &["Int -12", "done", "Int +1", "done"]);
    reads(b"_\r\n$-1\r\n*-1\r\n", &["Null ", "done", "Null ", "done", "Null ", "done"]);
    reads(b"#t\r\n,1.5e3\r\n,inf\r\n", &["Bool t", "done", "Double 1.5e3", "done", "Double inf", "done"]);
    reads(b"(-349\r\n", &["BigNumber -349", "done"]);
}

#[test]
fn strings() {
    reads(b"$5\r\na\r\nbc\r\n$0\r\n\r\n", &["Bulk Some(5) a\r\nbc", "done", "Bulk Some(0) ", "done"]);
    reads(b"!3\r\nERR\r\n", &["BulkError Some(3) ERR", "done"]);
    reads(b"=5\r\ntxt:x\r\n", &["Verbatim Some(5) txt:x", "done"]);
    reads(b"$?\r\n;2\r\nab\r\n;1\r\nc\r\n;0\r\n", &["Bulk None abc", "done"]);
}

#[test]
fn aggregates() {
    reads(b"*0\r\n", &["Array Some(0)", "close", "done"]);
    reads(
        b"*2\r\n*1\r\n:1\r\n~0\r\n",
        &["Array Some(2)", "Array Some(1)", "Int 1", "close", "Set Some(0)", "close", "close", "done"],
    );
    reads(b"%1\r\n+a\r\n:1\r\n", &["Map Some(2)", "Simple a", "Int 1", "close", "done"]);
    reads(b">1\r\n+a\r\n", &["Push Some(1)", "Simple a", "close", "done"]);
    reads(b"*?\r\n:1\r\n*?\r\n.\r\n.\r\n", &["Array None", "Int 1", "Array None", "close", "close", "done"]);
}

#[test]
fn attributes_are_no_values() {
    reads(
        b"|1\r\n+k\r\n+v\r\n*1\r\n|1\r\n+k\r\n+v\r\n:7\r\n",
        &[
            "Attribute Some(2)",
            "Simple k",
            "Simple v",
            "close",
            "Array Some(1)",
            "Attribute Some(2)",
            "Simple k",
            "Simple v",
            "close",
            "Int 7",
            "close",
            "done",
        ],
    );
}

#[test]
fn faults() {
    for bad in [
        &b"x"[..],
        b"+a\n",
        b":\r\n",
        b":1a\r\n",
        b"#x\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        b"$1\r\nabc",
        b"!-1\r\n",
        b"*-2\r\n",
        b"%-1\r\n",
        b".\r\n",
        b"*1\r\n.\r\n",
        b"$9999999999\r\n",
        b"*9999999999\r\n",
        b"$99999999999999999999\r\n",
        b"$?\r\n+a\r\n",
        b"_x\r\n",
    ] {
        assert_eq!(tokens(bad, 1), None, "{bad:?}");
    }
}

#[test]
fn depth_is_bounded() {
    let mut nested = b"*1\r\n".repeat(MAX_DEPTH);
    nested.extend(b":1\r\n");
    assert_eq!(tokens(&nested, 7).unwrap().last().unwrap(), "done");
    nested.splice(0..0, *b"*1\r\n");
    assert_eq!(tokens(&nested, 7), None);
}

#[test]
fn a_line_without_end_is_given_up() {
    let mut parser = Parser::new();
    let long = vec![b'+'; MAX_LINE + 1];
    assert_eq!(parser.step(&long[..MAX_LINE]), Step::More);
    assert_eq!(parser.step(&long), Step::Fault);
}

#[test]
fn payload_may_be_passed_over() {
    let mut parser = Parser::new();
    assert!(matches!(parser.step(b"$4000000000\r\nab"), Step::Token { len: 13, .. }));
    assert!(matches!(parser.step(b"ab"), Step::Token { len: 2, .. }));
    assert_eq!(parser.payload_left(), 3_999_999_998);
    assert!(!parser.pass(3_999_999_999));
    assert!(parser.pass(3_999_999_998));
    assert!(matches!(parser.step(b"\r\n"), Step::Token { token: Token::End, done: true, .. }));
}
