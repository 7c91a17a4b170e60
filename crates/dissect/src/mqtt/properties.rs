//! Properties of MQTT 5 (section 2.2.2).

use remora_model::Span;

use crate::messaging::{Arena, MAX_PAIRS, Pair, Reader};

/// How the value of a property is written (table 2-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Byte,
    Two,
    Four,
    Varint,
    Text,
    Bytes,
    Pair,
}

const TOPIC_ALIAS: u32 = 0x23;
const AUTHENTICATION_DATA: u32 = 0x16;
const REASON_STRING: u32 = 0x1f;
const RESPONSE_TOPIC: u32 = 0x08;
const CORRELATION_DATA: u32 = 0x09;

/// Name and kind of the property with that identifier.
fn find(id: u32) -> Option<(&'static str, Kind)> {
    Some(match id {
        0x01 => ("payload_format_indicator", Kind::Byte),
        0x02 => ("message_expiry_interval", Kind::Four),
        0x03 => ("content_type", Kind::Text),
        RESPONSE_TOPIC => ("response_topic", Kind::Text),
        CORRELATION_DATA => ("correlation_data", Kind::Bytes),
        0x0b => ("subscription_identifier", Kind::Varint),
        0x11 => ("session_expiry_interval", Kind::Four),
        0x12 => ("assigned_client_identifier", Kind::Text),
        0x13 => ("server_keep_alive", Kind::Two),
        0x15 => ("authentication_method", Kind::Text),
        AUTHENTICATION_DATA => ("authentication_data", Kind::Bytes),
        0x17 => ("request_problem_information", Kind::Byte),
        0x18 => ("will_delay_interval", Kind::Four),
        0x19 => ("request_response_information", Kind::Byte),
        0x1a => ("response_information", Kind::Text),
        0x1c => ("server_reference", Kind::Text),
        REASON_STRING => ("reason_string", Kind::Text),
        0x21 => ("receive_maximum", Kind::Two),
        0x22 => ("topic_alias_maximum", Kind::Two),
        TOPIC_ALIAS => ("topic_alias", Kind::Two),
        0x24 => ("maximum_qos", Kind::Byte),
        0x25 => ("retain_available", Kind::Byte),
        0x26 => ("user_property", Kind::Pair),
        0x27 => ("maximum_packet_size", Kind::Four),
        0x28 => ("wildcard_subscription_available", Kind::Byte),
        0x29 => ("subscription_identifier_available", Kind::Byte),
        0x2a => ("shared_subscription_available", Kind::Byte),
        _ => return None,
    })
}

/// A number in groups of seven bits, the lowest first (section 1.5.5). `None`: there are not enough
/// bytes, or too many groups.
pub(super) fn varint(r: &mut Reader<'_>) -> Option<u32> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = r.u8()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// What properties mean beside being shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meant {
    pub(super) topic_alias: Option<u16>,
    pub(super) reason_string: Option<Span>,
    /// Properties there was no room for.
    pub(super) left_out: u64,
}

/// The bytes of a block of properties behind its length.
pub(super) fn block<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let n = varint(r)?;
    r.take(usize::try_from(n).ok()?)
}

/// Reads a block into pairs of text: user properties under their own names. `None`: it is none.
pub(super) fn read(bytes: &[u8], arena: &mut Arena, pairs: &mut Vec<Pair>) -> Option<Meant> {
    let mut meant = Meant::default();
    let mut r = Reader::new(bytes);
    while !r.is_empty() {
        let id = varint(&mut r)?;
        let (name, kind) = find(id)?;
        let number = match kind {
            Kind::Byte => Some(u32::from(r.u8()?)),
            Kind::Two => Some(u32::from(r.u16()?)),
            Kind::Four => Some(r.u32()?),
            Kind::Varint => Some(varint(&mut r)?),
            Kind::Text | Kind::Bytes | Kind::Pair => None,
        };
        let key = if kind == Kind::Pair { r.medium()? } else { name.as_bytes() };
        let text = if number.is_none() { r.medium()? } else { b"" };
        if id == TOPIC_ALIAS {
            meant.topic_alias = number.and_then(|n| u16::try_from(n).ok());
        }
        if pairs.len() >= MAX_PAIRS {
            meant.left_out += 1;
            continue;
        }
        let key = arena.add(key);
        let mark = arena.mark();
        match number {
            Some(n) => arena.push_int(i64::from(n)),
            None if id == AUTHENTICATION_DATA => arena.push(b"***"),
            None => arena.push(text),
        }
        let value = arena.since(mark);
        if id == REASON_STRING {
            meant.reason_string = Some(value);
        }
        pairs.push([key, value]);
    }
    Some(meant)
}

/// True when the bytes are a block of properties.
pub(super) fn are_properties(bytes: &[u8]) -> bool {
    let mut r = Reader::new(bytes);
    while !r.is_empty() {
        let there = varint(&mut r).and_then(find).and_then(|(_, kind)| match kind {
            Kind::Byte => r.u8().map(drop),
            Kind::Two => r.u16().map(drop),
            Kind::Four => r.u32().map(drop),
            Kind::Varint => varint(&mut r).map(drop),
            Kind::Text => r.medium().filter(|t| std::str::from_utf8(t).is_ok()).map(drop),
            Kind::Bytes => r.medium().map(drop),
            Kind::Pair => r.medium().and(r.medium()).map(drop),
        });
        if there.is_none() {
            return false;
        }
    }
    true
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read() {
        let bytes =
            b"\x01\x01\x02\0\0\0\x3c\x03\0\x04text\x0b\x80\x01\x23\0\x07\x26\0\x01k\0\x01v\x16\0\x06secret";
        let (mut arena, mut pairs) = (Arena::default(), Vec::new());
        arena.begin(1000);
        let meant = read(bytes, &mut arena, &mut pairs).unwrap();
        assert_eq!(meant.topic_alias, Some(7));
        let text = |s: Span| std::str::from_utf8(s.of(arena.text())).unwrap();
        let shown: Vec<_> = pairs.iter().map(|[k, v]| (text(*k), text(*v))).collect();
        assert_eq!(
            shown,
            [
                ("payload_format_indicator", "1"),
                ("message_expiry_interval", "60"),
                ("content_type", "text"),
                ("subscription_identifier", "128"),
                ("topic_alias", "7"),
                ("k", "v"),
                ("authentication_data", "***"),
            ]
        );
        assert!(are_properties(bytes) && are_properties(b""));
        for wrong in [&b"\x01"[..], b"\x7f\0", b"\x03\0\x09short", b"\xff\xff\xff\xff\x01"] {
            assert!(!are_properties(wrong));
            assert_eq!(read(wrong, &mut arena, &mut Vec::new()), None);
        }
    }
}
