//! Protobuf messages with their schema, as JSON (the protobuf documentation, "ProtoJSON format").
//!
//! Fields come by number, under their JSON names; what is not on the wire is not shown. A field
//! that the schema does not have, or has with another type, is shown under its number: numbers as
//! they are, the rest as text without schema.

mod known;
mod text;

use std::io::Write as _;

use super::protobuf;
use super::schema::{Field, Kind, Pool, TypeId};
use super::wire::{self, MAX_DEPTH, Value};

/// Where a field of a message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    number: u32,
    at: u32,
}

/// Appends the JSON of a message of type `id` to `out`, up to a length of `max`; `cut` says that
/// the message goes on behind `bytes`. `None`, and nothing appended, when the bytes are no such
/// message; else whether the text is the whole of it. `index` is room to work in.
pub(super) fn render(
    pool: &Pool,
    id: TypeId,
    bytes: &[u8],
    cut: bool,
    index: &mut Vec<Place>,
    out: &mut Vec<u8>,
    max: usize,
) -> Option<bool> {
    let from = out.len();
    index.clear();
    let mut writer = Writer { pool, out, max, index };
    if !writer.message(id, bytes, 0, cut) {
        out.truncate(from);
        return None;
    }
    Some(protobuf::clip(out, from, max) && !cut)
}

struct Writer<'a> {
    pool: &'a Pool,
    out: &'a mut Vec<u8>,
    max: usize,
    /// The fields of the messages being written, those of inner ones behind those of outer ones.
    index: &'a mut Vec<Place>,
}

impl Writer<'_> {
    fn put(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    fn is_full(&self) -> bool {
        self.out.len() > self.max
    }

    fn comma(&mut self, first: &mut bool) {
        if !std::mem::take(first) {
            self.out.push(b',');
        }
    }

    fn key(&mut self, name: &[u8], first: &mut bool) {
        self.comma(first);
        text::string(name, self.out, self.max);
        self.out.push(b':');
    }

    /// A message of a type. False, and nothing written, when `bytes` are none or the type is not
    /// described.
    fn message(&mut self, id: TypeId, bytes: &[u8], depth: usize, cut: bool) -> bool {
        if depth >= MAX_DEPTH {
            return false;
        }
        if let Some(known) = self.pool.known(id)
            && !cut
        {
            let at = self.out.len();
            if wire::is_message(bytes) && self.known(known, bytes, depth) {
                return true;
            }
            self.out.truncate(at);
        }
        let at = self.out.len();
        self.out.push(b'{');
        let good = self.members(id, bytes, depth, cut, &mut true);
        if good {
            self.out.push(b'}');
        } else {
            self.out.truncate(at);
        }
        good
    }

    /// The members of a message's object.
    fn members(&mut self, id: TypeId, bytes: &[u8], depth: usize, cut: bool, first: &mut bool) -> bool {
        let pool = self.pool;
        let Some(message) = pool.message(id) else { return false };
        let from = self.index.len();
        if !self.list(bytes, cut) {
            self.index.truncate(from);
            return false;
        }
        let end = self.index.len();
        let (mut i, mut number) = (from, 0);
        while let Some(place) = self.index.get(i).filter(|_| i < end).copied() {
            if self.is_full() {
                break;
            }
            // The places of one field are behind each other.
            let mut after = i + 1;
            while after < end && self.index.get(after).is_some_and(|p| p.number == place.number) {
                after += 1;
            }
            debug_assert!(place.number > number);
            number = place.number;
            match pool.field(id, message, number) {
                Some(field) => self.member(field, bytes, i..after, depth, first),
                None => self.strangers(bytes, i..after, depth, first),
            }
            i = after;
        }
        self.index.truncate(from);
        true
    }

    /// Adds the places of a message's fields to the index, by number.
    fn list(&mut self, bytes: &[u8], cut: bool) -> bool {
        let (mut rest, from, mut sorted) = (bytes, self.index.len(), true);
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let whole = match wire::field(&mut rest) {
                Some((number, Value::StartGroup)) => wire::skip_group(&mut rest, number).map(|()| number),
                Some((_, Value::CutBytes(_))) if !cut => None,
                Some((_, Value::EndGroup)) | None => None,
                Some((number, _)) => Some(number),
            };
            let (Some(number), Ok(at)) = (whole, u32::try_from(at)) else {
                if cut {
                    break;
                }
                return false;
            };
            let place = Place { number: u32::try_from(number).unwrap_or(u32::MAX), at };
            sorted &= self.index.get(from..).and_then(<[_]>::last).is_none_or(|last| *last < place);
            self.index.push(place);
        }
        if !sorted && let Some(places) = self.index.get_mut(from..) {
            places.sort_unstable();
        }
        true
    }

    /// The value at a place of the index. Of a group, its inside.
    fn value_at<'b>(&self, bytes: &'b [u8], i: usize) -> Option<(Value<'b>, bool)> {
        let at = self.index.get(i)?.at as usize;
        let mut rest = bytes.get(at..)?;
        match wire::field(&mut rest)? {
            (number, Value::StartGroup) => {
                let inside = rest;
                wire::skip_group(&mut rest, number)?;
                // The tag of its end has as many bytes as that of its beginning.
                let mut tag = bytes.get(at..)?;
                let len = tag.len();
                wire::varint(&mut tag)?;
                let tag = len - tag.len();
                let len = (inside.len() - rest.len()).checked_sub(tag)?;
                Some((Value::Bytes(inside.get(..len)?), true))
            }
            (_, value) => Some((value, false)),
        }
    }

    /// A field that the schema has.
    fn member(
        &mut self,
        field: &Field,
        bytes: &[u8],
        places: std::ops::Range<usize>,
        depth: usize,
        first: &mut bool,
    ) {
        self.key(field.name.as_bytes(), first);
        let entry = self.pool.message(field.of).filter(|m| m.is_entry && field.kind == Kind::Message);
        if field.repeated
            && let Some(entry) = entry
        {
            self.put(b"{");
            let mut first = true;
            for i in places {
                if let Some((Value::Bytes(pair) | Value::CutBytes(pair), _)) = self.value_at(bytes, i)
                    && !self.is_full()
                {
                    self.pair(entry.field(1), entry.field(2), pair, depth, &mut first);
                }
            }
            return self.put(b"}");
        }
        if field.repeated {
            self.put(b"[");
            let mut first = true;
            for i in places {
                let Some((value, _)) = self.value_at(bytes, i) else { continue };
                match value {
                    Value::Bytes(packed) if is_packable(field.kind) => {
                        self.packed(field, packed, &mut first);
                    }
                    value if !self.is_full() => {
                        self.comma(&mut first);
                        self.value(field, value, depth);
                    }
                    _ => {}
                }
            }
            return self.put(b"]");
        }
        if places.len() > 1 && field.kind == Kind::Message {
            // Parts of one message.
            let mut whole = Vec::new();
            for i in places {
                if let Some((Value::Bytes(part), _)) = self.value_at(bytes, i) {
                    whole.extend_from_slice(part);
                }
            }
            return self.value(field, Value::Bytes(&whole), depth);
        }
        // The last one counts.
        if let Some((value, _)) = places.last().and_then(|i| self.value_at(bytes, i)) {
            self.value(field, value, depth);
        }
    }

    /// A field that the schema does not have.
    fn strangers(&mut self, bytes: &[u8], places: std::ops::Range<usize>, depth: usize, first: &mut bool) {
        let mut name = [0; 10];
        let mut room = name.as_mut_slice();
        let number = self.index.get(places.start).map_or(0, |p| p.number);
        _ = write!(room, "{number}");
        let len = 10 - room.len();
        self.key(name.get(..len).unwrap_or_default(), first);
        let several = places.len() > 1;
        if several {
            self.put(b"[");
        }
        let mut first = true;
        for i in places {
            if let Some((value, _)) = self.value_at(bytes, i).filter(|_| !self.is_full()) {
                self.comma(&mut first);
                self.stranger(value, depth);
            }
        }
        if several {
            self.put(b"]");
        }
    }

    /// A value of which only the wire type is known.
    fn stranger(&mut self, value: Value<'_>, depth: usize) {
        match value {
            Value::Varint(n) => _ = write!(self.out, "{n}"),
            Value::Fixed32(n) => _ = write!(self.out, "\"0x{n:08x}\""),
            Value::Fixed64(n) => _ = write!(self.out, "\"0x{n:016x}\""),
            Value::Bytes(bytes) | Value::CutBytes(bytes) => {
                if protobuf::is_text(bytes) {
                    return text::string(bytes, self.out, self.max);
                }
                if depth >= MAX_DEPTH || bytes.is_empty() || !wire::is_message(bytes) {
                    return text::base64(bytes, self.out, self.max);
                }
                let mut raw = Vec::new();
                protobuf::render(bytes, false, &mut raw, self.max.saturating_sub(self.out.len()));
                text::string(&raw, self.out, self.max);
            }
            Value::StartGroup | Value::EndGroup => self.put(b"null"),
        }
    }

    /// An entry of a map.
    fn pair(
        &mut self,
        key: Option<&Field>,
        value: Option<&Field>,
        pair: &[u8],
        depth: usize,
        first: &mut bool,
    ) {
        let (mut name, mut content) = (None, None);
        for (number, value) in wire::fields(pair) {
            match number {
                1 => name = Some(value),
                2 => content = Some(value),
                _ => {}
            }
        }
        self.comma(first);
        // Keys are strings in JSON, whatever they are on the wire.
        let at = self.out.len();
        match (key, name) {
            (Some(key), Some(name)) => self.value(key, name, depth),
            (Some(key), None) => self.default(key),
            (None, _) => {}
        }
        if self.out.get(at) != Some(&b'"') {
            self.out.insert(at, b'"');
            self.put(b"\"");
        }
        self.put(b":");
        match (value, content) {
            (Some(field), Some(content)) => self.value(field, content, depth),
            (Some(field), None) => self.default(field),
            (None, _) => self.put(b"null"),
        }
    }

    /// What a field of a map's entry stands for when it is not on the wire.
    fn default(&mut self, field: &Field) {
        match field.kind {
            Kind::String | Kind::Bytes => self.put(b"\"\""),
            Kind::Message | Kind::Group => {
                if !self.message(field.of, b"", MAX_DEPTH - 1, false) {
                    self.put(b"{}");
                }
            }
            Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => self.value(field, Value::Fixed32(0), 0),
            Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => self.value(field, Value::Fixed64(0), 0),
            _ => self.value(field, Value::Varint(0), 0),
        }
    }

    /// The values of a packed field.
    fn packed(&mut self, field: &Field, mut rest: &[u8], first: &mut bool) {
        while !rest.is_empty() && !self.is_full() {
            let value = match field.kind {
                Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => {
                    let Some((word, after)) = rest.split_first_chunk::<4>() else { return };
                    rest = after;
                    Value::Fixed32(u32::from_le_bytes(*word))
                }
                Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => {
                    let Some((word, after)) = rest.split_first_chunk::<8>() else { return };
                    rest = after;
                    Value::Fixed64(u64::from_le_bytes(*word))
                }
                _ => {
                    let Some(value) = wire::varint(&mut rest) else { return };
                    Value::Varint(value)
                }
            };
            self.comma(first);
            self.value(field, value, 0);
        }
    }

    /// One value of a field.
    fn value(&mut self, field: &Field, value: Value<'_>, depth: usize) {
        match (field.kind, value) {
            (Kind::Message | Kind::Group, Value::Bytes(bytes)) => {
                if !self.message(field.of, bytes, depth + 1, false) {
                    self.stranger(value, depth + 1);
                }
            }
            (Kind::Message | Kind::Group, Value::CutBytes(bytes)) => {
                if !self.message(field.of, bytes, depth + 1, true) {
                    self.stranger(value, depth + 1);
                }
            }
            (kind, value) => {
                if !self.scalar(kind, field.of, value) {
                    self.stranger(value, depth);
                }
            }
        }
    }

    /// A value that is no message. False, and nothing written, when its wire type is another one.
    fn scalar(&mut self, kind: Kind, of: TypeId, value: Value<'_>) -> bool {
        // Writing to a vector cannot fail. 64 bits are strings, because JSON's numbers have 53.
        let out = &mut *self.out;
        match (kind, value) {
            (Kind::Double, Value::Fixed64(n)) => {
                let value = f64::from_bits(n);
                text::float(value, value, out);
            }
            (Kind::Float, Value::Fixed32(n)) => {
                let value = f32::from_bits(n);
                text::float(f64::from(value), value, out);
            }
            (Kind::Int64, Value::Varint(n)) => _ = write!(out, "\"{}\"", n as i64),
            (Kind::Uint64, Value::Varint(n)) | (Kind::Fixed64, Value::Fixed64(n)) => {
                _ = write!(out, "\"{n}\"");
            }
            (Kind::Int32, Value::Varint(n)) => _ = write!(out, "{}", n as i32),
            (Kind::Uint32, Value::Varint(n)) => _ = write!(out, "{}", n as u32),
            (Kind::Fixed32, Value::Fixed32(n)) => _ = write!(out, "{n}"),
            (Kind::Sfixed32, Value::Fixed32(n)) => _ = write!(out, "{}", n as i32),
            (Kind::Sfixed64, Value::Fixed64(n)) => _ = write!(out, "\"{}\"", n as i64),
            (Kind::Sint32, Value::Varint(n)) => {
                let n = n as u32;
                _ = write!(out, "{}", (n >> 1) as i32 ^ -((n & 1) as i32));
            }
            (Kind::Sint64, Value::Varint(n)) => {
                _ = write!(out, "\"{}\"", (n >> 1) as i64 ^ -((n & 1) as i64));
            }
            (Kind::Bool, Value::Varint(n)) => self.put(if n == 0 { b"false" } else { b"true" }),
            (Kind::String, Value::Bytes(bytes) | Value::CutBytes(bytes)) => {
                text::string(bytes, out, self.max)
            }
            (Kind::Bytes, Value::Bytes(bytes) | Value::CutBytes(bytes)) => text::base64(bytes, out, self.max),
            (Kind::Enum, Value::Varint(n)) => self.enumerator(of, n as i32),
            _ => return false,
        }
        true
    }

    fn enumerator(&mut self, of: TypeId, value: i32) {
        let pool = self.pool;
        if pool.known(of) == Some(super::schema::Known::Null) {
            return self.put(b"null");
        }
        match pool.value(of, value) {
            Some(name) => text::string(name.as_bytes(), self.out, self.max),
            None => _ = write!(self.out, "{value}"),
        }
    }
}

/// True for kinds whose values may be packed into one.
fn is_packable(kind: Kind) -> bool {
    !matches!(kind, Kind::String | Kind::Bytes | Kind::Message | Kind::Group)
}

#[cfg(test)]
mod tests;
