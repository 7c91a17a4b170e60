//! A value inside a text of JSON (RFC 8259), found without reading more than stands before it: bodies that
//! were cut off still have what their beginning has.

use std::borrow::Cow;

/// One step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum JsonStep {
    /// The member of an object; of equal names the first.
    Key(String),
    /// The element of an array, counted from 0.
    Index(usize),
}

/// The value at the end of `path`: a string's text, a number or bool as it is spelled, an object or array as it
/// stands there. `None` where the way does not lead to a value, the value is `null`, or the text is not JSON up
/// to its end.
pub fn json_value<'a>(text: &'a [u8], path: &[JsonStep]) -> Option<Cow<'a, str>> {
    let mut at = Scanner { text, at: 0 };
    for step in path {
        match step {
            JsonStep::Key(key) => at.enter_member(key)?,
            JsonStep::Index(index) => at.enter_element(*index)?,
        }
    }
    at.blanks();
    let start = at.at;
    match at.peek()? {
        b'"' => Some(string(at.string()?)),
        b'n' => None,
        _ => {
            at.skip()?;
            Some(String::from_utf8_lossy(text.get(start..at.at)?))
        }
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes this byte, blanks before it left out.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Goes to the value of a member of the object that begins here.
    fn enter_member(&mut self, key: &str) -> Option<()> {
        self.take(b'{')?;
        loop {
            self.blanks();
            let name = self.string()?;
            self.take(b':')?;
            // Without escapes the name stands there as it is.
            let same = name == key.as_bytes() || (name.contains(&b'\\') && string(name) == key);
            if same {
                return Some(());
            }
            self.skip()?;
            self.take(b',')?;
        }
    }

    /// Goes to an element of the array that begins here.
    fn enter_element(&mut self, index: usize) -> Option<()> {
        self.take(b'[')?;
        for _ in 0..index {
            self.skip()?;
            self.take(b',')?;
        }
        self.blanks();
        (self.peek()? != b']').then_some(())
    }

    /// What stands between the quotation marks of the string that begins here.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return self.text.get(start..self.at - 1);
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// Goes behind the value that begins here. Brackets are counted and not matched by kind: what is wrong inside
    /// of a value that nobody asked for does not hide the one behind it.
    fn skip(&mut self) -> Option<()> {
        self.blanks();
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => _ = self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => self.at += 1,
                _ => self.word()?,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Goes behind a number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            self.at += 1;
        }
        let word = self.text.get(start..self.at)?;
        let number = word.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-');
        (number || [&b"true"[..], b"false", b"null"].contains(&word)).then_some(())
    }
}

/// The text that a string's inside stands for. Escapes that are none stay as they are.
fn string(inside: &[u8]) -> Cow<'_, str> {
    if !inside.contains(&b'\\') {
        return String::from_utf8_lossy(inside);
    }
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escape, after)) = rest.split_first() else { break };
        rest = after;
        match escape {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => {
                let (c, after) = unicode(rest);
                rest = after;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The character of the digits behind `\u`, both halves of a surrogate pair, and what follows them.
fn unicode(rest: &[u8]) -> (char, &[u8]) {
    let unit = |from: &[u8]| -> Option<u32> {
        let digits = std::str::from_utf8(from.get(..4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(rest) else { return (char::REPLACEMENT_CHARACTER, rest) };
    let after = rest.get(4..).unwrap_or_default();
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = after.strip_prefix(b"\\u").and_then(unit)
        && (0xdc00..0xe000).contains(&second)
    {
        let joined = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (
            char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER),
            after.get(6..).unwrap_or_default(),
        );
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#" {"a": 1, "error": {"code": "E\u00e4\ud83d\ude00\n\"", "n": -1.5e3, "ok": true, "no": null},
        "items": [{"id": 7}, {"id": 8, "tags": ["x", "y"]}], "a": 2, "\u0062": 3, "": 4} "#;

    fn at(text: &str, path: &[&str]) -> Option<String> {
        let step = |s: &&str| match s.parse() {
            Ok(index) => JsonStep::Index(index),
            Err(_) => JsonStep::Key((*s).to_owned()),
        };
        let path: Vec<JsonStep> = path.iter().map(step).collect();
        json_value(text.as_bytes(), &path).map(Cow::into_owned)
    }

    #[test]
    fn values_are_found_by_their_way() {
        for (path, value) in [
            (&["a"][..], Some("1")),
            (&["error", "code"], Some("Eä😀\n\"")),
            (&["error", "n"], Some("-1.5e3")),
            (&["error", "ok"], Some("true")),
            (&["error", "no"], None),
            (&["error", "none"], None),
            (&["items", "1", "id"], Some("8")),
            (&["items", "1", "tags"], Some(r#"["x", "y"]"#)),
            (&["items", "1", "tags", "1"], Some("y")),
            (&["items", "2"], None),
            (&["items", "id"], None),
            (&["a", "b"], None),
            (&["b"], Some("3")),
            (&[""], Some("4")),
        ] {
            assert_eq!(at(BODY, path).as_deref(), value, "{path:?}");
        }
        assert_eq!(at("7", &[]).as_deref(), Some("7"));
        assert_eq!(at("\"x\"", &[]).as_deref(), Some("x"));
        assert_eq!(at("[]", &["0"]), None);
        assert_eq!(at("{}", &["a"]), None);
    }

    #[test]
    fn what_is_cut_off_or_no_json_has_what_stands_before() {
        assert_eq!(at(r#"{"a": 1, "b": [1, 2"#, &["a"]).as_deref(), Some("1"));
        assert_eq!(at(r#"{"a": 1, "b": [1, 2"#, &["b"]), None);
        assert_eq!(at(r#"{"a": [1 2}], "b": 5}"#, &["b"]).as_deref(), None);
        for text in ["", "hello", "{", "{\"a", "{\"a\":", "<a>1</a>", "[1,", "\"x", "{a: 1}", "{\"a\": oops}"]
        {
            assert_eq!(at(text, &["a"]), None, "{text}");
        }
        // Deeper than any stack.
        let deep = format!("{{\"x\":{}1{},\"a\":2}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(at(&deep, &["a"]).as_deref(), Some("2"));
    }

    #[test]
    fn it_finds_what_a_parser_finds_and_never_panics_on_parts() {
        for end in 0..BODY.len() {
            if BODY.is_char_boundary(end) {
                let whole = at(BODY, &["items", "1", "id"]);
                let part = at(&BODY[..end], &["items", "1", "id"]);
                assert!(part.is_none() || part == whole, "{end}");
            }
        }
    }
}
