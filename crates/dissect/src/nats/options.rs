//! The options of INFO and CONNECT, which are JSON.

use remora_model::Span;

use crate::messaging::Arena;

/// Keys of values that are never shown.
const SECRETS: [&[u8]; 5] = [b"pass", b"auth_token", b"jwt", b"sig", b"password"];

/// Copies an object with its secrets replaced. What is no object to its end is replaced whole,
/// because a secret could be anywhere in it.
pub(super) fn redacted(text: &[u8], arena: &mut Arena) -> Span {
    let mark = arena.mark();
    if strings(text).last().is_none_or(|s| s.end > text.len()) || text.last() != Some(&b'}') {
        arena.push(b"***");
        return arena.since(mark);
    }
    let (mut from, mut secret) = (0, false);
    for s in strings(text) {
        if secret && !s.is_key {
            arena.push(text.get(from..s.start).unwrap_or_default());
            arena.push(b"\"***\"");
            from = s.end;
        }
        secret = s.is_key && SECRETS.iter().any(|k| s.text(text).eq_ignore_ascii_case(k));
    }
    arena.push(text.get(from..).unwrap_or_default());
    arena.since(mark)
}

/// The string under `key`, as it stands there.
pub(super) fn string<'a>(text: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut all = strings(text);
    all.find(|s| s.is_key && s.text(text) == key.as_bytes())?;
    all.next().filter(|s| !s.is_key).map(|s| s.text(text)).filter(|t| !t.is_empty())
}

/// What stands behind `key`, if it is no string: a number or a word.
pub(super) fn word<'a>(text: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let at = strings(text).find(|s| s.is_key && s.text(text) == key.as_bytes())?.end;
    let rest = text.get(at..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let end = rest.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'-').unwrap_or(rest.len());
    rest.get(..end).filter(|w| !w.is_empty())
}

/// A string in a JSON text: where it stands, quotation marks included.
#[derive(Clone, Copy, Debug)]
struct JsonString {
    start: usize,
    /// Beyond the end of the text where it does not end.
    end: usize,
    /// A colon follows.
    is_key: bool,
}

impl JsonString {
    fn text(self, text: &[u8]) -> &[u8] {
        text.get(self.start + 1..self.end.saturating_sub(1)).unwrap_or_default()
    }
}

/// The strings of a JSON text, in order.
fn strings(text: &[u8]) -> impl Iterator<Item = JsonString> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + memchr::memchr(b'"', text.get(at..)?)?;
        let mut end = start + 1;
        loop {
            match text.get(end) {
                Some(b'\\') => end += 2,
                Some(b'"') => break,
                Some(_) => end += 1,
                None => {
                    at = text.len();
                    return Some(JsonString { start, end: text.len() + 1, is_key: false });
                }
            }
        }
        at = end + 1;
        let is_key = text.get(at..).and_then(|t| t.trim_ascii_start().first()) == Some(&b':');
        Some(JsonString { start, end: at, is_key })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut arena = Arena::default();
        arena.begin(1000);
        let span = redacted(text.as_bytes(), &mut arena);
        String::from_utf8(span.of(arena.text()).to_vec()).unwrap()
    }

    #[test]
    fn secrets_are_replaced() {
        assert_eq!(
            shown(
                r#"{"user":"ada","pass":"se\"same" , "n":{"auth_token" : "x"},"jwt":"e","sig":"s","verbose":false}"#
            ),
            r#"{"user":"ada","pass":"***" , "n":{"auth_token" : "***"},"jwt":"***","sig":"***","verbose":false}"#
        );
        assert_eq!(shown(r#"{"a":"pass","b":"c"}"#), r#"{"a":"pass","b":"c"}"#, "a value is no key");
        for broken in [r#"{"pass":"sesame"#, r#"{"pass":"x" "#, "{", r#"{"pass":"x\"}"#] {
            assert_eq!(shown(broken), "***");
        }
    }

    #[test]
    fn values_are_found() {
        let text = br#"{"name":"app","verbose": true,"code":404,"user":""}"#;
        assert_eq!(string(text, "name"), Some(&b"app"[..]));
        assert_eq!(string(text, "user"), None);
        assert_eq!(string(text, "verbose"), None);
        assert_eq!(word(text, "verbose"), Some(&b"true"[..]));
        assert_eq!(word(text, "code"), Some(&b"404"[..]));
        assert_eq!(word(text, "name"), None);
    }
}
