//! Types that JSON shows in a way of their own.

use super::super::schema::{Known, camel};
use super::super::wire::{self, MAX_DEPTH, Value};
use super::{Writer, text};

impl Writer<'_> {
    /// A message of a well-known type. False when it cannot be shown as one.
    pub(super) fn known(&mut self, known: Known, bytes: &[u8], depth: usize) -> bool {
        if depth >= MAX_DEPTH {
            return false;
        }
        let number = |of: u64| {
            let last = wire::fields(bytes).filter(|(n, _)| *n == of).last();
            match last {
                Some((_, Value::Varint(n))) => n as i64,
                _ => 0,
            }
        };
        match known {
            Known::Timestamp => text::timestamp(number(1), number(2), self.out),
            Known::Duration => text::duration(number(1), number(2), self.out),
            Known::Empty if bytes.is_empty() => {
                self.put(b"{}");
                true
            }
            Known::Empty | Known::Null => false,
            Known::FieldMask => {
                self.put(b"\"");
                let mut first = true;
                for (_, path) in wire::fields(bytes).filter(|(n, _)| *n == 1) {
                    let Value::Bytes(path) = path else { return false };
                    self.comma(&mut first);
                    let path = String::from_utf8_lossy(path.get(..self.max).unwrap_or(path));
                    text::escape(camel(&path).as_bytes(), self.out, self.max);
                }
                self.put(b"\"");
                true
            }
            Known::Wrapper(kind) => {
                let value = wire::fields(bytes).filter(|(n, _)| *n == 1).last().map(|(_, v)| v);
                let value = value.unwrap_or(match kind {
                    super::Kind::Double => Value::Fixed64(0),
                    super::Kind::Float => Value::Fixed32(0),
                    super::Kind::String | super::Kind::Bytes => Value::Bytes(b""),
                    _ => Value::Varint(0),
                });
                self.scalar(kind, u32::MAX, value)
            }
            Known::Any => self.any(bytes, depth),
            Known::Struct => self.structure(bytes, depth),
            Known::Value => self.dynamic(bytes, depth),
            Known::ListValue => self.list_value(bytes, depth),
        }
    }

    /// A message of any type, which it names.
    fn any(&mut self, bytes: &[u8], depth: usize) -> bool {
        let (mut url, mut content) = (b"".as_slice(), b"".as_slice());
        for (number, value) in wire::fields(bytes) {
            match (number, value) {
                (1, Value::Bytes(v)) => url = v,
                (2, Value::Bytes(v)) => content = v,
                _ => {}
            }
        }
        let mut first = true;
        self.put(b"{");
        if !url.is_empty() {
            self.key(b"@type", &mut first);
            text::string(url, self.out, self.max);
            let name = url.rsplit(|&b| b == b'/').next().and_then(|name| std::str::from_utf8(name).ok());
            let before = self.out.len();
            let id = name.and_then(|name| self.pool.find(name));
            if let (Some(name), true) = (name, depth + 1 < MAX_DEPTH) {
                let shown = match (Known::of(name), id) {
                    // Nothing but its type.
                    (Some(Known::Empty), _) => content.is_empty(),
                    (Some(known), _) => {
                        self.key(b"value", &mut first);
                        self.known(known, content, depth + 1)
                    }
                    (None, Some(id)) => self.members(id, content, depth + 1, false, &mut first),
                    (None, None) => false,
                };
                if shown {
                    self.put(b"}");
                    return true;
                }
                self.out.truncate(before);
                first = false;
            }
        }
        if !content.is_empty() {
            self.key(b"value", &mut first);
            text::base64(content, self.out, self.max);
        }
        self.put(b"}");
        true
    }

    /// An object whose members have values of any kind.
    fn structure(&mut self, bytes: &[u8], depth: usize) -> bool {
        self.put(b"{");
        let mut first = true;
        for (_, entry) in wire::fields(bytes).filter(|(n, _)| *n == 1) {
            let (Value::Bytes(entry), false) = (entry, self.is_full()) else { break };
            let (mut name, mut value) = (b"".as_slice(), b"".as_slice());
            for (number, part) in wire::fields(entry) {
                match (number, part) {
                    (1, Value::Bytes(v)) => name = v,
                    (2, Value::Bytes(v)) => value = v,
                    _ => {}
                }
            }
            self.key(name, &mut first);
            self.known_or_null(Known::Value, value, depth);
        }
        self.put(b"}");
        true
    }

    fn list_value(&mut self, bytes: &[u8], depth: usize) -> bool {
        self.put(b"[");
        let mut first = true;
        for (_, value) in wire::fields(bytes).filter(|(n, _)| *n == 1) {
            let (Value::Bytes(value), false) = (value, self.is_full()) else { break };
            self.comma(&mut first);
            self.known_or_null(Known::Value, value, depth);
        }
        self.put(b"]");
        true
    }

    /// A value of any kind.
    fn dynamic(&mut self, bytes: &[u8], depth: usize) -> bool {
        let Some((number, value)) = wire::fields(bytes).last() else {
            self.put(b"null");
            return true;
        };
        match (number, value) {
            (1, _) => self.put(b"null"),
            (2, Value::Fixed64(n)) => text::float(f64::from_bits(n), f64::from_bits(n), self.out),
            (3, Value::Bytes(v)) => text::string(v, self.out, self.max),
            (4, Value::Varint(n)) => self.put(if n == 0 { b"false" } else { b"true" }),
            (5, Value::Bytes(v)) => self.known_or_null(Known::Struct, v, depth),
            (6, Value::Bytes(v)) => self.known_or_null(Known::ListValue, v, depth),
            _ => return false,
        }
        true
    }

    fn known_or_null(&mut self, known: Known, bytes: &[u8], depth: usize) {
        let at = self.out.len();
        if !self.known(known, bytes, depth + 1) {
            self.out.truncate(at);
            self.put(b"null");
        }
    }
}
