//! Appending blocks to a buffer.

use std::net::IpAddr;

use super::{
    Direction, INTERFACE, LINKTYPE_RAW, MAGIC, MAX_PACKET, NAMES, PACKET, SECRETS, SECTION, TLS_KEY_LOG,
    option, padded,
};

/// Longest text of an option.
const MAX_TEXT: usize = 0xFFFF;
/// Most bytes of records in one block of names.
const NAMES_BLOCK: usize = 32 << 10;
/// Longest name (RFC 1035, 2.3.4).
const MAX_NAME: usize = 255;

fn u16s(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}

fn u32s(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.resize(out.len() + padded(len) - len, 0);
}

/// A block whose body `body` appends.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    u32s(out, &[kind, 0]);
    body(out);
    // Bodies are bounded: far below 4 GiB.
    let len = u32::try_from(out.len() - start + 4).unwrap_or(u32::MAX);
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
    u32s(out, &[len]);
}

fn value(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let len = u16::try_from(value.len()).unwrap_or(0);
    u16s(out, &[code, len]);
    out.extend_from_slice(value.get(..usize::from(len)).unwrap_or_default());
    pad(out, usize::from(len));
}

fn text(out: &mut Vec<u8>, code: u16, text: &str) {
    if !text.is_empty() {
        value(out, code, prefix(text, MAX_TEXT).as_bytes());
    }
}

/// The first bytes of a text, up to the end of a character.
fn prefix(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn end_of_options(out: &mut Vec<u8>) {
    u16s(out, &[option::END, 0]);
}

/// The beginning of a section.
pub(crate) fn section(out: &mut Vec<u8>, application: &str) {
    block(out, SECTION, |out| {
        u32s(out, &[MAGIC]);
        u16s(out, &[1, 0]);
        out.extend_from_slice(&(-1_i64).to_le_bytes());
        text(out, option::SECTION_OS, "Linux");
        text(out, option::SECTION_APPLICATION, application);
        end_of_options(out);
    });
}

/// An interface; they are numbered from 0 in the order in which they stand.
pub(crate) fn interface(out: &mut Vec<u8>, name: &str, description: &str) {
    block(out, INTERFACE, |out| {
        u16s(out, &[LINKTYPE_RAW, 0]);
        u32s(out, &[MAX_PACKET]);
        text(out, option::INTERFACE_NAME, name);
        text(out, option::INTERFACE_DESCRIPTION, description);
        value(out, option::INTERFACE_RESOLUTION, &[9]);
        end_of_options(out);
    });
}

/// What stands in a packet's block beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) interface: u32,
    /// Nanoseconds since 1970; earlier is 1970.
    pub(crate) ts: i64,
    pub(crate) wire_len: u32,
    pub(crate) direction: Direction,
}

/// A packet. On the path of every packet: it allocates nothing when `out` has room.
pub(crate) fn packet(out: &mut Vec<u8>, meta: &Meta, data: &[u8], comment: &str) {
    let ts = u64::try_from(meta.ts).unwrap_or(0);
    let captured = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let comment = prefix(comment, MAX_TEXT);
    let flags = if meta.direction == Direction::Unknown { 0 } else { 8 };
    let words = if comment.is_empty() { 0 } else { 4 + padded(comment.len()) };
    let options = if flags + words == 0 { 0 } else { flags + words + 4 };
    let len = u32::try_from(32 + padded(data.len()) + options).unwrap_or(u32::MAX);
    let mut head = [0; 28];
    let fields =
        [PACKET, len, meta.interface, (ts >> 32) as u32, ts as u32, captured, meta.wire_len.max(captured)];
    for (to, field) in head.chunks_exact_mut(4).zip(fields) {
        to.copy_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(&head);
    out.extend_from_slice(data);
    pad(out, data.len());
    text(out, option::COMMENT, comment);
    if flags > 0 {
        u16s(out, &[option::PACKET_FLAGS, 4]);
        u32s(out, &[meta.direction.bits()]);
    }
    if options > 0 {
        end_of_options(out);
    }
    u32s(out, &[len]);
}

/// Lines of a TLS key log.
pub(crate) fn secrets(out: &mut Vec<u8>, lines: &str) {
    block(out, SECRETS, |out| {
        u32s(out, &[TLS_KEY_LOG, u32::try_from(lines.len()).unwrap_or(u32::MAX)]);
        out.extend_from_slice(lines.as_bytes());
        pad(out, lines.len());
    });
}

/// Names of addresses, in as many blocks as it takes.
pub(crate) fn names<'a>(out: &mut Vec<u8>, names: impl IntoIterator<Item = (IpAddr, &'a str)>) {
    let mut records = Vec::new();
    for (ip, name) in names {
        let name = prefix(name, MAX_NAME);
        // A zero would end the name, and the record.
        if name.is_empty() || name.contains('\0') {
            continue;
        }
        match ip {
            IpAddr::V4(ip) => record(&mut records, 1, &ip.octets(), name),
            IpAddr::V6(ip) => record(&mut records, 2, &ip.octets(), name),
        }
        if records.len() >= NAMES_BLOCK {
            names_block(out, &mut records);
        }
    }
    if !records.is_empty() {
        names_block(out, &mut records);
    }
}

fn record(out: &mut Vec<u8>, kind: u16, address: &[u8], name: &str) {
    let len = address.len() + name.len() + 1;
    u16s(out, &[kind, u16::try_from(len).unwrap_or(0)]);
    out.extend_from_slice(address);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out, len);
}

fn names_block(out: &mut Vec<u8>, records: &mut Vec<u8>) {
    block(out, NAMES, |out| {
        out.append(records);
        u16s(out, &[0, 0]);
    });
}
