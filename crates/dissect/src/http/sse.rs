//! Server-sent events (the HTML standard, section 9.2): a body of `text/event-stream`.

use remora_model::{Span, ValueRef, field as f};

use super::values::{Fields, int};
use crate::texts::{LISTED, Listed, Texts};

/// Longest name of an event, and longest id, that are kept.
const VALUE: usize = 128;
/// Longest name of a field that means something: `event`.
const NAME: usize = 5;

/// True for the Content-Type of a stream of events.
pub(crate) fn is_stream(content_type: &[u8]) -> bool {
    const NAME: &[u8] = b"text/event-stream";
    content_type.split_at_checked(NAME.len()).is_some_and(|(name, rest)| {
        name.eq_ignore_ascii_case(NAME) && matches!(rest.trim_ascii_start().first(), None | Some(b';'))
    })
}

/// An event whose lines lie in one text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Event<'a> {
    /// Its data, with the line ends between its lines.
    pub(crate) data: &'a [u8],
}

/// Calls `each` with every event of `text` that has data.
pub(crate) fn events(text: &[u8], mut each: impl FnMut(Event<'_>)) {
    let mut joined = Vec::new();
    let mut any = false;
    for line in text.split(|&b| b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l)) {
        if line.is_empty() {
            if std::mem::take(&mut any) {
                each(Event { data: &joined });
            }
            joined.clear();
        } else if let Some(data) = line.strip_prefix(b"data:") {
            if any {
                joined.push(b'\n');
            }
            any = true;
            joined.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
    }
    if any {
        each(Event { data: &joined });
    }
}

/// Which field a line is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Field {
    /// Its name is being read.
    #[default]
    Name,
    Data,
    Event,
    Id,
    /// One that says nothing here, or a comment.
    Other,
}

/// Counts the events of a stream as its bytes come, in any pieces.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    events: u64,
    /// The names of the events that were there.
    types: Listed,
    texts: Texts,
    last_id: Vec<u8>,
    /// The line being read: its field, the front of its name or value, and its length.
    field: Field,
    line: Vec<u8>,
    length: usize,
    /// The event being read: its name, and whether it has data.
    name: Vec<u8>,
    data: bool,
    /// The byte before was a carriage return.
    after_cr: bool,
    /// Bytes were lost.
    lost: bool,
}

impl Counter {
    /// The next bytes of the stream.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(&b) = bytes.first() {
            let end = memchr::memchr2(b'\n', b'\r', bytes);
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if std::mem::take(&mut self.after_cr) && b == b'\n' {
                bytes = rest.get(1..).unwrap_or_default();
                continue;
            }
            self.part(line);
            if end.is_some() {
                self.after_cr = rest.first() == Some(&b'\r');
                self.end_line();
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
    }

    /// Part of a line.
    fn part(&mut self, mut part: &[u8]) {
        if self.field == Field::Name && !part.is_empty() {
            let colon = memchr::memchr(b':', part);
            let (name, rest) = part.split_at(colon.unwrap_or(part.len()));
            let room = (NAME + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(name.get(..room).unwrap_or(name));
            self.length += part.len();
            if colon.is_none() {
                return;
            }
            self.field = Self::named(&self.line);
            self.line.clear();
            part = rest.get(1..).unwrap_or_default();
        } else {
            self.length += part.len();
        }
        if matches!(self.field, Field::Event | Field::Id) {
            let room = (VALUE + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
        }
    }

    fn named(name: &[u8]) -> Field {
        match name {
            b"data" => Field::Data,
            b"event" => Field::Event,
            b"id" => Field::Id,
            _ => Field::Other,
        }
    }

    fn end_line(&mut self) {
        if self.length == 0 {
            return self.dispatch();
        }
        let field = match std::mem::take(&mut self.field) {
            Field::Name => {
                // A name without a colon is a field without a value.
                let field = Self::named(&self.line);
                self.line.clear();
                field
            }
            field => field,
        };
        let value = self.line.strip_prefix(b" ").unwrap_or(&self.line);
        match field {
            Field::Data => self.data = true,
            Field::Event => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            Field::Id if !value.contains(&0) => {
                self.last_id.clear();
                self.last_id.extend_from_slice(value);
            }
            _ => {}
        }
        self.line.clear();
        self.length = 0;
    }

    /// An empty line ends an event; one without data is none.
    fn dispatch(&mut self) {
        if std::mem::take(&mut self.data) {
            self.events = self.events.saturating_add(1);
            let name = if self.name.is_empty() { b"message".as_slice() } else { &self.name };
            let known = self.types.len() >= LISTED;
            if !known {
                let before = self.texts.len();
                let span: Span = self.texts.bytes(name, VALUE);
                if !self.types.push(span, &self.texts) {
                    self.texts.truncate(before);
                }
            }
        }
        self.name.clear();
    }

    /// Bytes of the stream are missing.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        self.texts.memory() + self.last_id.capacity() + self.line.capacity() + self.name.capacity()
    }

    /// The names of the events, in `room`.
    pub(crate) fn types<'a, 'r>(&'a self, room: &'r mut [&'a [u8]; LISTED]) -> &'r [&'a [u8]] {
        self.types.show(&self.texts, room)
    }

    /// Adds its fields but for the names. Where bytes were lost there is no number.
    pub(crate) fn push_fields<'a>(&'a self, fields: &mut Fields<'a>) {
        if !self.lost {
            fields.add(f::SSE_EVENTS, ValueRef::Int(int(self.events)));
        }
        fields.filled(f::SSE_LAST_ID, &self.last_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b": comment\n\nid: 1\ndata: one\n\nevent: update\r\nid:2\r\ndata: a\r\ndata: b\r\n\r\n\
        event: empty\n\ndata\n\nevent: update\rdata:{}\r\rretry: 10\nid\n\ndata: not ended";

    fn show(counter: &Counter) -> (u64, Vec<String>, String) {
        let mut room = [b"".as_slice(); LISTED];
        let types =
            counter.types(&mut room).iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect();
        (counter.events, types, String::from_utf8_lossy(&counter.last_id).into_owned())
    }

    #[test]
    fn events_are_counted_in_any_pieces() {
        for size in 1..STREAM.len() {
            let mut counter = Counter::default();
            STREAM.chunks(size).for_each(|c| counter.push(c));
            assert_eq!(show(&counter), (4, vec!["message".into(), "update".into()], String::new()), "{size}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut counter = Counter::default();
        for i in 0..1_000 {
            counter
                .push(format!("event: {i}{}\nid: {}\ndata\n\n", "x".repeat(i), "y".repeat(1_000)).as_bytes());
        }
        assert_eq!(counter.events, 1_000);
        assert!(counter.memory() < 8 << 10, "{}", counter.memory());
    }

    #[test]
    fn data_is_put_together() {
        let mut all = Vec::new();
        events(b"data: a\ndata:b\n\n: x\n\nid: 1\ndata: c\r\n\r\ndata: d", |e| {
            all.push(String::from_utf8_lossy(e.data).into_owned());
        });
        assert_eq!(all, ["a\nb", "c", "d"]);
    }
}
