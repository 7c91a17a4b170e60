//! Looking for things in JSON (RFC 8259) without building it: values are parts of the text, and
//! what is not asked for is stepped over. Works on text that is cut, takes no memory and does not
//! recurse. Text that is no JSON gives nothing, or something odd, and never harm.

/// A value, as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    text: &'a [u8],
    /// Its end was there.
    whole: bool,
}

/// What separates values.
fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r')
}

fn skip_space(text: &[u8]) -> &[u8] {
    let n = text.iter().position(|&b| !is_space(b)).unwrap_or(text.len());
    text.get(n..).unwrap_or_default()
}

/// The length of the string at the front of `text`, quotation marks included.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let i = memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        at += i + 1;
        if text.get(at - 1) == Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// The length of the value at the front of `text`; `None` when its end is not there.
fn value_len(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string_len(text),
        b'{' | b'[' => {
            let (mut at, mut depth) = (0_usize, 0_usize);
            loop {
                match text.get(at)? {
                    b'"' => at += string_len(text.get(at..)?)?,
                    b'{' | b'[' => {
                        depth += 1;
                        at += 1;
                    }
                    b'}' | b']' => {
                        depth -= 1;
                        at += 1;
                        if depth == 0 {
                            return Some(at);
                        }
                    }
                    _ => at += 1,
                }
            }
        }
        _ => text.iter().position(|&b| is_space(b) || matches!(b, b',' | b'}' | b']')),
    }
}

impl<'a> Value<'a> {
    /// The value at the front of `text`, and what follows it.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let text = skip_space(text);
        if text.is_empty() {
            return None;
        }
        Some(match value_len(text) {
            Some(n) => {
                let (value, rest) = text.split_at_checked(n)?;
                (Self { text: value, whole: true }, rest)
            }
            None => (Self { text, whole: false }, b"".as_slice()),
        })
    }

    /// The value that `text` is.
    pub(crate) fn of(text: &'a [u8]) -> Option<Self> {
        let text = skip_space(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
        if matches!(text.first(), Some(b'{' | b'[')) {
            // Its end is found when what is in it is looked at, if it is at all.
            return Some(Self { text, whole: true });
        }
        Self::split(text).map(|(value, _)| value)
    }

    /// Its text.
    pub(crate) fn raw(self) -> &'a [u8] {
        self.text
    }

    pub(crate) fn is_object(self) -> bool {
        self.text.first() == Some(&b'{')
    }

    pub(crate) fn is_array(self) -> bool {
        self.text.first() == Some(&b'[')
    }

    /// The members of an object; none of anything else.
    pub(crate) fn members(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        let mut rest = if self.is_object() { self.text.get(1..).unwrap_or_default() } else { b"" };
        std::iter::from_fn(move || {
            rest = skip_space(rest);
            rest = skip_space(rest.strip_prefix(b",").unwrap_or(rest));
            if rest.first() != Some(&b'"') {
                return None;
            }
            let len = string_len(rest)?;
            let key = rest.get(1..len - 1)?;
            rest = skip_space(rest.get(len..)?).strip_prefix(b":")?;
            let (value, after) = Value::split(rest)?;
            rest = after;
            Some((key, value))
        })
    }

    /// The elements of an array; none of anything else.
    pub(crate) fn items(self) -> impl Iterator<Item = Value<'a>> {
        let mut rest = if self.is_array() { self.text.get(1..).unwrap_or_default() } else { b"" };
        std::iter::from_fn(move || {
            rest = skip_space(rest);
            rest = skip_space(rest.strip_prefix(b",").unwrap_or(rest));
            if rest.first() == Some(&b']') {
                return None;
            }
            let (value, after) = Value::split(rest)?;
            if value.text.is_empty() {
                return None;
            }
            rest = after;
            Some(value)
        })
    }

    /// The first member with that name, which is written without escapes.
    pub(crate) fn get(self, name: &str) -> Option<Value<'a>> {
        self.members().find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
    }

    /// A string, without its quotation marks and with its escapes.
    pub(crate) fn string(self) -> Option<&'a [u8]> {
        let inner = self.text.strip_prefix(b"\"")?;
        if self.whole { inner.strip_suffix(b"\"") } else { Some(inner) }
    }

    pub(crate) fn int(self) -> Option<i64> {
        std::str::from_utf8(self.text).ok()?.parse().ok()
    }

    /// Appends a string without its escapes, else the value as it is written; at most `max` bytes.
    pub(crate) fn write(self, out: &mut Vec<u8>, max: usize) {
        let most = out.len().saturating_add(max);
        match self.string() {
            Some(string) => unescape(string, out, most),
            None => out.extend_from_slice(self.text.get(..max).unwrap_or(self.text)),
        }
        out.truncate(most);
    }
}

/// Four hexadecimal digits.
fn hex4(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text.get(..4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

/// Appends a string's text without its escapes (section 7), until `out` has `most` bytes.
fn unescape(mut text: &[u8], out: &mut Vec<u8>, most: usize) {
    while out.len() < most {
        let plain = memchr::memchr(b'\\', text).unwrap_or(text.len());
        let Some((before, rest)) = text.split_at_checked(plain) else { return };
        out.extend_from_slice(before.get(..most - out.len()).unwrap_or(before));
        let Some(&[_, escape]) = rest.first_chunk::<2>() else { return };
        text = rest.get(2..).unwrap_or_default();
        let simple = match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let Some(mut code) = hex4(text) else { return };
                text = text.get(4..).unwrap_or_default();
                // A pair of surrogates is one character.
                if let (0xd800..=0xdbff, Some(low)) =
                    (code, text.strip_prefix(b"\\u").and_then(hex4).filter(|l| (0xdc00..=0xdfff).contains(l)))
                {
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    text = text.get(6..).unwrap_or_default();
                }
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        };
        out.push(simple);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(value: Value<'_>) -> String {
        let mut out = Vec::new();
        value.write(&mut out, 1_000);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn members_and_items_are_found() {
        let json = br#" {"a": 1, "b":{"x":["}",{"y":"\"]"}]} , "c":[1,"two",[3],{}], "d":null}"#;
        let value = Value::of(json).unwrap();
        let keys: Vec<_> = value.members().map(|(k, _)| String::from_utf8_lossy(k).into_owned()).collect();
        assert_eq!(keys, ["a", "b", "c", "d"]);
        assert_eq!(value.get("a").unwrap().int(), Some(1));
        assert_eq!(value.get("d").unwrap().raw(), b"null");
        let x = value.get("b").unwrap().get("x").unwrap();
        assert_eq!(x.items().count(), 2);
        let items: Vec<_> = value.get("c").unwrap().items().map(text).collect();
        assert_eq!(items, ["1", "two", "[3]", "{}"]);
        assert_eq!(value.items().count(), 0);
        assert_eq!(x.members().count(), 0);
    }

    #[test]
    fn escapes_are_undone() {
        for (json, expected) in [
            (r#""a\n\t\"\\\/b""#, "a\n\t\"\\/b"),
            (r#""\u0041\u00e9\u20ac\ud83d\ude00""#, "A\u{e9}\u{20ac}\u{1f600}"),
            (r#""\ud83d!\u12""#, "\u{fffd}!"),
        ] {
            assert_eq!(text(Value::of(json.as_bytes()).unwrap()), expected);
        }
        let mut out = b"x".to_vec();
        Value::of(br#""abcdef""#).unwrap().write(&mut out, 3);
        assert_eq!(out, b"xabc");
    }

    #[test]
    fn what_is_cut_gives_what_is_there() {
        let json = br#"{"a":"one","b":[1,{"c":"tw\"o"}],"d":12}"#;
        for n in 0..json.len() {
            let Some(value) = Value::of(&json[..n]) else { continue };
            for (key, value) in value.members() {
                assert!([b"a", b"b", b"d"].iter().any(|k| *k == key));
                let _ = (value.items().count(), value.string(), value.int());
            }
        }
        assert_eq!(Value::of(&json[..8]).unwrap().get("a").unwrap().string(), Some(b"on".as_slice()));
    }

    #[test]
    fn rubbish_and_depth_do_no_harm() {
        for rubbish in [
            b"".as_slice(),
            b"{",
            b"[",
            b"{\"",
            b"{\"a\"",
            b"{\"a\":",
            b"{,,,",
            b"[,,,]",
            b"}",
            b"]",
            b"[}]",
            b"{]}",
            b"\"",
            b"\"\\",
            b"{\"a\" 1}",
            b"[1 2]",
        ] {
            if let Some(value) = Value::of(rubbish) {
                assert!(value.members().count() < 10);
                assert!(value.items().count() < 10);
            }
        }
        let deep = [vec![b'['; 1 << 16], vec![b']'; 1 << 16]].concat();
        assert_eq!(Value::of(&deep).unwrap().items().count(), 1);
    }
}
