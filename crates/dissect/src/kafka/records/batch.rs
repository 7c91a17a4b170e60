//! Batches of magic 2 (KIP-98).

use super::codec::{self, Codec};
use super::{Content, HEADER};
use crate::kafka::wire::{Reader, Stop};

/// Bits of a batch's attributes.
mod attribute {
    pub(super) const CODEC: i16 = 0b111;
    pub(super) const LOG_APPEND_TIME: i16 = 1 << 3;
    pub(super) const TRANSACTIONAL: i16 = 1 << 4;
    pub(super) const CONTROL: i16 = 1 << 5;
}

/// Headers of one record that are shown.
const MAX_HEADERS: i64 = 1_024;

struct Header {
    base_offset: i64,
    attributes: i16,
    base_time: i64,
    max_time: i64,
    producer: i64,
    epoch: i16,
    sequence: i32,
    count: i32,
}

fn header(raw: &[u8]) -> Result<Header, Stop> {
    let mut r = Reader::new(raw);
    let base_offset = r.i64()?;
    // Length, leader epoch, magic, checksum.
    r.take(4 + 4 + 1 + 4)?;
    let attributes = r.i16()?;
    // Last offset.
    r.take(4)?;
    Ok(Header {
        base_offset,
        attributes,
        base_time: r.i64()?,
        max_time: r.i64()?,
        producer: r.i64()?,
        epoch: r.i16()?,
        sequence: r.i32()?,
        count: r.i32()?,
    })
}

/// Shows the batch that begins with `raw`.
pub(super) fn show(raw: &[u8], whole: bool, plain: &mut Vec<u8>, out: &mut Content) {
    let Ok(header) = header(raw) else {
        out.bad += raw.len() as u64;
        return;
    };
    out.count(header.count.into());
    let set = |bit| header.attributes & bit != 0;
    let codec = Codec::from_bits((header.attributes & attribute::CODEC) as u8);
    out.json.open(b'{');
    out.json.name("baseOffset");
    out.json.int(header.base_offset);
    if let Some(name) = codec.map_or(Some("unknown"), Codec::name) {
        out.codec = Some(name);
        out.json.name("compression");
        out.json.string(name.as_bytes());
    }
    if header.producer >= 0 {
        for (name, n) in [
            ("producerId", header.producer),
            ("producerEpoch", header.epoch.into()),
            ("baseSequence", header.sequence.into()),
        ] {
            out.json.name(name);
            out.json.int(n);
        }
    }
    for (name, bit) in [("transactional", attribute::TRANSACTIONAL), ("control", attribute::CONTROL)] {
        if set(bit) {
            out.json.name(name);
            out.json.word("true");
        }
    }
    out.json.name("records");
    out.json.open(b'[');
    let body = raw.get(HEADER..).unwrap_or_default();
    let time = if set(attribute::LOG_APPEND_TIME) {
        Time::Fixed(header.max_time)
    } else {
        Time::From(header.base_time)
    };
    let records = match codec {
        Some(Codec::None) => Some((body, whole)),
        _ if body.is_empty() || out.json.room() == 0 => Some((&[][..], whole)),
        Some(codec) => codec::decode(codec, body, whole, plain, out).map(|whole| (plain.as_slice(), whole)),
        None => None,
    };
    match records {
        Some((bytes, whole)) => show_records(bytes, whole, &header, time, out),
        None => out.bad += body.len() as u64,
    }
    out.json.close();
    if !whole {
        out.json.name("truncated");
        out.json.word("true");
    }
    out.json.close();
}

#[derive(Clone, Copy)]
enum Time {
    /// All records have that of the log.
    Fixed(i64),
    /// Each has a distance from this one.
    From(i64),
}

fn show_records(bytes: &[u8], whole: bool, header: &Header, time: Time, out: &mut Content) {
    let mut r = Reader::new(bytes);
    for _ in 0..header.count {
        if out.json.room() == 0 || r.rest().is_empty() {
            break;
        }
        let depth = out.json.depth();
        let shown = record(&mut r, whole, header.base_offset, time, out);
        out.json.close_to(depth);
        if shown.is_err() {
            if whole {
                out.bad += bytes.len() as u64;
            }
            break;
        }
    }
}

/// One record. What lies outside of its own length is not looked at.
fn record(r: &mut Reader<'_>, whole: bool, base: i64, time: Time, out: &mut Content) -> Result<(), Stop> {
    let length = usize::try_from(r.zigzag()?).map_err(|_| Stop::Bad)?;
    let (bytes, complete) = match r.take(length) {
        Ok(bytes) => (bytes, true),
        // The last that is there of a batch that is longer.
        Err(_) if !whole => (r.take(r.rest().len())?, false),
        Err(_) => return Err(Stop::Bad),
    };
    let mut r = Reader::new(bytes);
    r.i8()?;
    let (time_delta, offset_delta) = (r.zigzag()?, r.zigzag()?);
    let key = bytes_or_null(&mut r)?;
    out.json.open(b'{');
    out.json.name("offset");
    out.json.int(base.saturating_add(offset_delta));
    out.json.name("timestamp");
    out.json.int(match time {
        Time::Fixed(time) => time,
        Time::From(time) => time.saturating_add(time_delta),
    });
    named(out, "key", key, true);
    if let Some(key) = key {
        out.keys.push(key);
    }
    let rest = r;
    match bytes_or_null(&mut r) {
        Ok(value) => {
            named(out, "value", value, true);
            show_headers(&mut r, out).or_else(|stop| if complete { Err(stop) } else { Ok(()) })?;
        }
        Err(_) if !complete => {
            // As much of the value as there is.
            let mut r = rest;
            if r.zigzag().is_ok() {
                named(out, "value", Some(r.rest()), false);
            }
        }
        Err(stop) => return Err(stop),
    }
    Ok(())
}

fn show_headers(r: &mut Reader<'_>, out: &mut Content) -> Result<(), Stop> {
    let n = r.zigzag()?;
    if n <= 0 {
        return Ok(());
    }
    out.json.name("headers");
    out.json.open(b'[');
    for _ in 0..n.min(MAX_HEADERS) {
        let key = bytes_or_null(r)?;
        let value = bytes_or_null(r)?;
        out.json.open(b'{');
        named(out, "key", key, true);
        named(out, "value", value, true);
        out.json.close();
    }
    out.json.close();
    Ok(())
}

fn bytes_or_null<'a>(r: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Stop> {
    match r.zigzag()? {
        ..0 => Ok(None),
        n => r.take(usize::try_from(n).map_err(|_| Stop::Bad)?).map(Some),
    }
}

/// A member with bytes or null.
pub(super) fn named(out: &mut Content, name: &str, value: Option<&[u8]>, whole: bool) {
    out.json.name(name);
    match value {
        Some(value) => out.json.bytes(value, whole),
        None => out.json.word("null"),
    }
}
