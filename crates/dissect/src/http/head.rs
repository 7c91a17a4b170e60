//! Heads: the start line, the header fields, and what they say about the message.

mod pushed;

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Request, Response};
use remora_model::{Pairs, Span};

use super::facts::Facts;
use super::start;
use crate::Role;

/// Header fields kept of one message; the rest is counted.
const MAX_FIELDS: usize = 1_024;

/// Stands for a name or value of HTTP/2 that the capture does not show.
pub(crate) const UNKNOWN: &[u8] = b"?";

/// A range of [`Head::bytes`].
fn span(start: usize, end: usize) -> Span {
    // Heads are far below 4 GiB (see `Http::head_limit`).
    Span { start: start as u32, len: end.saturating_sub(start) as u32 }
}

/// Where `part`, a slice of `whole`, lies in it.
fn span_of(whole: &[u8], part: &[u8]) -> Span {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    span(start, start + part.len())
}

/// Name and value of a header or trailer field. The name is in lower case.
type Field = [Span; 2];

/// A head, with trailers behind it once they have arrived. Reused from message to message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    pub(crate) method: Span,
    pub(crate) target: Span,
    /// `HTTP/1.1` and the like.
    pub(crate) version: Span,
    /// Of a response.
    pub(crate) status: u16,
    pub(crate) facts: Facts,
}

/// What was wrong with a head that could be read all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Lines that are no header fields, or that RFC 9112 tells servers to reject.
    pub(crate) malformed: bool,
    /// More than [`MAX_FIELDS`] fields.
    pub(crate) too_many: bool,
}

/// The bytes do not begin with a start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAHead;

impl Head {
    /// The bytes of a span.
    pub(crate) fn at(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    /// The fields in wire order, trailers last.
    pub(crate) fn fields(&self) -> Pairs<'_> {
        Pairs { text: &self.bytes, spans: &self.fields }
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    /// Forgets the message and keeps the buffers.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.method = Span::default();
        self.target = Span::default();
        self.version = Span::default();
        self.status = 0;
        self.facts = Facts::default();
    }

    /// Reads the head at the front of `bytes`, if all of it is there and it follows the grammar;
    /// gives its length. Most heads arrive like that, and are looked through once.
    pub(crate) fn read_at_once(&mut self, role: Role, bytes: &[u8]) -> Option<usize> {
        self.clear();
        let len = self.strict::<48>(role, bytes)?;
        self.bytes.extend_from_slice(bytes.get(..len)?);
        self.note_facts();
        Some(len)
    }

    /// Reads a whole head, the empty line included. `folded` says that a line begins with white
    /// space, which continues the line before it (obs-fold, RFC 9112 section 5.2).
    pub(crate) fn read(&mut self, role: Role, raw: &[u8], folded: bool) -> Result<Faults, NotAHead> {
        self.clear();
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.extend_from_slice(raw);
        if folded {
            unfold(&mut bytes, 0);
        }
        let strict = self.strict::<256>(role, &bytes).is_some();
        self.bytes = bytes;
        let faults = if strict { Faults::default() } else { self.lenient(role)? };
        self.note_facts();
        Ok(faults)
    }

    /// Appends a trailer section, the empty line included (RFC 9112 section 7.1.2). Its fields
    /// stand behind the headers, so that a repeated name is joined with its header.
    pub(crate) fn read_trailers(&mut self, raw: &[u8], folded: bool) -> Faults {
        let (start, first) = (self.bytes.len(), self.fields.len());
        self.bytes.extend_from_slice(raw);
        if folded {
            unfold(&mut self.bytes, start);
        }
        let faults = self.field_lines(start);
        self.lower_names(first);
        faults
    }

    /// Reads with httparse, which knows the grammar and is fast; gives the head's length. `None`
    /// when it is not whole, has more than `N` fields or does not follow the grammar.
    fn strict<const N: usize>(&mut self, role: Role, bytes: &[u8]) -> Option<usize> {
        let mut room = [const { MaybeUninit::<Header<'_>>::uninit() }; N];
        let config = ParserConfig::default();
        let (len, headers): (usize, &[Header<'_>]) = match role {
            Role::Client => {
                let mut request = Request::new(&mut []);
                let len = match config.parse_request_with_uninit_headers(&mut request, bytes, &mut room) {
                    Ok(httparse::Status::Complete(len)) => len,
                    _ => return None,
                };
                self.method = span_of(bytes, request.method?.as_bytes());
                self.target = span_of(bytes, request.path?.as_bytes());
                let version = self.target.start as usize + self.target.len as usize + 1;
                self.version = span(version, version + start::VERSION_LEN);
                (len, request.headers)
            }
            Role::Server => {
                let mut response = Response::new(&mut []);
                let len = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut room) {
                    Ok(httparse::Status::Complete(len)) => len,
                    _ => return None,
                };
                self.status = response.code?;
                self.version = span(0, start::VERSION_LEN);
                (len, response.headers)
            }
        };
        let field = |h: &Header<'_>| [span_of(bytes, h.name.as_bytes()), span_of(bytes, h.value)];
        self.fields.extend(headers.iter().map(field));
        Some(len)
    }

    /// Reads what real clients and servers send beside the grammar: spaces before the colon,
    /// several spaces in the start line, a target that is not UTF-8, lines that are no fields.
    fn lenient(&mut self, role: Role) -> Result<Faults, NotAHead> {
        self.fields.clear();
        let line_end = memchr::memchr(b'\n', &self.bytes).ok_or(NotAHead)?;
        match role {
            Role::Client => {
                let line = start::request_line(&self.bytes).ok_or(NotAHead)?;
                self.method = span(line.method.start, line.method.end);
                self.target = span(line.target.start, line.target.end);
                self.version = span(line.version, line.version + start::VERSION_LEN);
            }
            Role::Server => {
                self.status = start::status_line(&self.bytes).ok_or(NotAHead)?;
                self.version = span(0, start::VERSION_LEN);
            }
        }
        Ok(self.field_lines(line_end + 1))
    }

    /// Reads field lines from `start` to the empty line or the end.
    fn field_lines(&mut self, mut start: usize) -> Faults {
        let mut faults = Faults::default();
        while let Some(rest) = self.bytes.get(start..).filter(|r| !r.is_empty()) {
            let line_len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..line_len).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            let colon = memchr::memchr(b':', line).unwrap_or(0);
            let (name, value) = line.split_at(colon);
            let trimmed = name.trim_ascii();
            if trimmed.is_empty() || !trimmed.iter().all(|&b| start::is_token(b)) {
                faults.malformed = true;
            } else if self.fields.len() >= MAX_FIELDS {
                faults.too_many = true;
            } else {
                faults.malformed |= trimmed.len() != name.len();
                let value = value.get(1..).unwrap_or_default().trim_ascii();
                self.fields.push([span_of(&self.bytes, trimmed), span_of(&self.bytes, value)]);
            }
            start += line_len + 1;
        }
        faults
    }

    fn lower_names(&mut self, first: usize) {
        for [name, _] in self.fields.get(first..).unwrap_or_default() {
            lower(&mut self.bytes, *name);
        }
    }

    /// Puts the names into lower case, and notes what is looked at more than once.
    fn note_facts(&mut self) {
        let mut facts = Facts::default();
        for &[name, span] in &self.fields {
            lower(&mut self.bytes, name);
            let value = span.of(&self.bytes);
            let first = |old: Span| if old.len == 0 { span } else { old };
            // The length first: it decides most names with one comparison.
            match (name.len, name.of(&self.bytes)) {
                (2, b"b3") => facts.b3 = first(facts.b3),
                (4, b"host") => facts.host = first(facts.host),
                (6, b"expect") => facts.expects |= value.eq_ignore_ascii_case(b"100-continue"),
                (7, b"upgrade") => facts.upgrade = true,
                (10, b"user-agent") => facts.user_agent = first(facts.user_agent),
                (11, b"traceparent") => facts.traceparent = first(facts.traceparent),
                (11, b"x-b3-spanid") => facts.b3_span = first(facts.b3_span),
                (12, b"content-type") => facts.content_type = first(facts.content_type),
                (12, b"x-b3-traceid") => facts.b3_trace = first(facts.b3_trace),
                (14, b"content-length") => facts.note_length(value),
                (16, b"content-encoding") => facts.encoded = true,
                (17, b"transfer-encoding") => facts.note_transfer(value),
                _ => {}
            }
        }
        self.facts = facts;
    }
}

fn lower(bytes: &mut [u8], name: Span) {
    let start = name.start as usize;
    if let Some(name) = bytes.get_mut(start..start + name.len as usize) {
        name.make_ascii_lowercase();
    }
}

/// Replaces the line ends before continuation lines by spaces.
fn unfold(bytes: &mut [u8], from: usize) {
    let mut at = from;
    while let Some(i) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        let newline = at + i;
        at = newline + 1;
        if newline > from && matches!(bytes.get(at), Some(b' ' | b'\t')) {
            bytes[newline] = b' ';
            if bytes[newline - 1] == b'\r' {
                bytes[newline - 1] = b' ';
            }
        }
    }
}

/// Looks for the end of a head or trailer section, across any number of attempts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scan {
    /// Bytes that hold no end.
    seen: usize,
    /// A line begins with white space.
    pub(crate) folded: bool,
}

impl Scan {
    /// True when no bytes have been looked at yet.
    pub(crate) fn is_new(self) -> bool {
        self.seen == 0
    }

    /// Where the section at the front of `bytes` ends, its empty line included. Each attempt
    /// must show the same bytes, with more behind them.
    pub(crate) fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(i) = bytes.get(self.seen..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let next = self.seen + i + 1;
            match (bytes.get(next), bytes.get(next + 1)) {
                (Some(b'\n'), _) => return Some(next + 1),
                (Some(b'\r'), Some(b'\n')) => return Some(next + 2),
                // The line end is looked at again when what follows it is there.
                (None, _) | (Some(b'\r'), None) => {
                    self.seen = next - 1;
                    return None;
                }
                (Some(b' ' | b'\t'), _) => self.folded = true,
                _ => {}
            }
            self.seen = next;
        }
        self.seen = self.seen.max(bytes.len());
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head(role: Role, raw: &str) -> Head {
        let mut head = Head::default();
        let mut scan = Scan::default();
        assert_eq!(scan.find_end(raw.as_bytes()), Some(raw.len()));
        head.read(role, raw.as_bytes(), scan.folded).unwrap();
        head
    }

    fn value(head: &Head, name: &str) -> String {
        let values: Vec<_> = head
            .fields()
            .iter()
            .filter(|(n, _)| *n == name.as_bytes())
            .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
            .collect();
        values.join(", ")
    }

    #[test]
    fn end_is_found_however_the_head_was_split() {
        for raw in ["GET / HTTP/1.1\r\nA: b\r\n\r\n", "GET / HTTP/1.0\n\n", "GET / HTTP/1.1\nA: b\n c\n\r\n"]
        {
            for first in 0..raw.len() {
                for second in first..raw.len() {
                    let mut scan = Scan::default();
                    assert_eq!(scan.find_end(&raw.as_bytes()[..first]), None);
                    assert_eq!(scan.find_end(&raw.as_bytes()[..second]), None);
                    assert_eq!(scan.find_end(format!("{raw}GET").as_bytes()), Some(raw.len()));
                    assert_eq!(scan.folded, raw.contains("\n c"));
                }
            }
        }
    }

    #[test]
    fn names_are_lowered_and_folds_are_undone() {
        let head =
            head(Role::Client, "GET /A HTTP/1.1\r\nX-Id: One\r\n  Two\r\n\tThree\r\nHOST:Shop\r\n\r\n");
        assert_eq!(value(&head, "x-id"), "One    Two  \tThree");
        assert_eq!(head.at(head.facts.host), b"Shop");
        assert_eq!(head.at(head.target), b"/A");
    }

    #[test]
    fn what_the_grammar_forbids_is_read_and_reported() {
        let mut head = Head::default();
        let raw = b"GET  /\xff  HTTP/1.1\r\nHost : a\r\nrubbish\r\nX: 1\r\n\r\n";
        let faults = head.read(Role::Client, raw, false).unwrap();
        assert!(faults.malformed);
        assert_eq!(head.at(head.target), b"/\xff");
        assert_eq!(head.at(head.version), b"HTTP/1.1");
        assert_eq!((value(&head, "host"), value(&head, "x")), ("a".into(), "1".into()));
    }

    #[test]
    fn fields_are_bounded() {
        for n in [39, 40, 41, 255, 256, 257, MAX_FIELDS, MAX_FIELDS + 1] {
            let mut raw = b"HTTP/1.1 200\r\n".to_vec();
            (0..n).for_each(|i| raw.extend(format!("X-{i}: {i}\r\n").bytes()));
            raw.extend(b"\r\n");
            let mut head = Head::default();
            let faults = head.read(Role::Server, &raw, false).unwrap();
            assert_eq!(head.fields().spans.len(), n.min(MAX_FIELDS));
            assert_eq!(faults.too_many, n > MAX_FIELDS);
            assert_eq!(head.status, 200);
        }
    }
}
