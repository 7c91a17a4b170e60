//! Parameters in a query string or a form, and the JSON part of an upload.

use remora_model::Span;

use crate::texts::Texts;

/// Bytes at the front of an upload in which its JSON is looked for.
const FRONT: usize = 4 << 10;
/// Parameters that are looked at.
const PARAMETERS: usize = 64;

/// The query of a request target; empty where it has none.
pub(super) fn query(target: &[u8]) -> &[u8] {
    let from = memchr::memchr(b'?', target).map_or(target.len(), |i| i + 1);
    let query = target.get(from..).unwrap_or_default();
    let end = memchr::memchr(b'#', query).unwrap_or(query.len());
    query.get(..end).unwrap_or_default()
}

/// Calls `each` with the name and the encoded value of every parameter.
pub(super) fn pairs(text: &[u8], mut each: impl FnMut(&[u8], &[u8])) {
    for pair in text.split(|&b| b == b'&').take(PARAMETERS) {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        each(pair.get(..equals).unwrap_or_default(), pair.get(equals + 1..).unwrap_or_default());
    }
}

/// Adds a value without its encoding (`application/x-www-form-urlencoded`).
pub(super) fn decode(value: &[u8], texts: &mut Texts) -> Span {
    texts.add(|out| {
        let mut rest = value;
        while let Some((&b, after)) = rest.split_first() {
            rest = after;
            let escaped = after.get(..2).filter(|_| b == b'%').and_then(|d| std::str::from_utf8(d).ok());
            match escaped.and_then(|d| u8::from_str_radix(d, 16).ok()) {
                Some(byte) => {
                    out.push(byte);
                    rest = after.get(2..).unwrap_or_default();
                }
                None => out.push(if b == b'+' { b' ' } else { b }),
            }
        }
    })
}

/// The JSON of the part `operations` of an upload.
pub(super) fn operations(body: &[u8]) -> Option<&[u8]> {
    let front = body.get(..FRONT).unwrap_or(body);
    let name = memchr::memmem::find(front, b"name=\"operations\"")?;
    let head = front.get(name..)?;
    let start = name + memchr::memmem::find(head, b"\r\n\r\n")? + 4;
    body.get(start..)
}
