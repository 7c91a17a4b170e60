//! Messages of magic 0 and 1, which are batches when they are compressed.

use super::batch::named;
use super::codec::{self, Codec};
use super::{Content, PREFIX};
use crate::kafka::wire::{Reader, Stop};

/// Bits of the attributes that tell the compression.
const CODEC: i8 = 0b11;

/// Shows the message that begins with `raw`, or those in it.
pub(super) fn show(raw: &[u8], whole: bool, plain: &mut Vec<u8>, out: &mut Content) {
    out.json.open(b'{');
    if message(raw, whole, Some(plain), out).is_err() && whole {
        out.bad += raw.len() as u64;
    }
    out.json.close();
}

/// The members of one message. `plain` is where those inside it are decompressed; `None` inside.
fn message(raw: &[u8], whole: bool, plain: Option<&mut Vec<u8>>, out: &mut Content) -> Result<(), Stop> {
    let mut r = Reader::new(raw);
    let offset = r.i64()?;
    r.take(4 + 4)?;
    let magic = r.i8()?;
    let attributes = r.i8()?;
    let time = if magic == 1 { Some(r.i64()?) } else { None };
    let codec = Codec::from_bits((attributes & CODEC) as u8).unwrap_or(Codec::None);
    let (key_whole, key) = bytes_or_null(&mut r, whole)?;
    out.json.name("offset");
    out.json.int(offset);
    if let Some(time) = time {
        out.json.name("timestamp");
        out.json.int(time);
    }
    let Some(name) = codec.name() else {
        out.count(1);
        named(out, "key", key, key_whole);
        if let Some(key) = key.filter(|_| key_whole) {
            out.keys.push(key);
        }
        if key_whole {
            let (value_whole, value) = bytes_or_null(&mut r, whole)?;
            named(out, "value", value, value_whole);
        }
        return Ok(());
    };
    // Nobody compresses what is compressed.
    let plain = plain.ok_or(Stop::Bad)?;
    out.codec = Some(name);
    out.json.name("compression");
    out.json.string(name.as_bytes());
    let (value_whole, value) = bytes_or_null(&mut r, whole)?;
    let value = value.ok_or(Stop::Bad)?;
    let whole = codec::decode(codec, value, value_whole, plain, out).ok_or(Stop::Bad)?;
    out.json.name("records");
    out.json.open(b'[');
    let shown = inner(plain, whole, out);
    out.json.close();
    shown
}

/// The messages inside one.
fn inner(plain: &[u8], whole: bool, out: &mut Content) -> Result<(), Stop> {
    let mut r = Reader::new(plain);
    while !r.rest().is_empty() {
        let rest = r.rest();
        let mut head = Reader::new(rest);
        let size = head.take(8).and_then(|_| head.i32());
        let end = match size.map(usize::try_from) {
            Ok(Ok(size)) if size + 12 > PREFIX => size + 12,
            Ok(_) => return Err(Stop::Bad),
            Err(stop) => return if whole { Err(stop) } else { Ok(()) },
        };
        let (one, complete) = match r.take(end) {
            Ok(one) => (one, true),
            Err(stop) if whole => return Err(stop),
            Err(_) => (r.take(rest.len())?, false),
        };
        if !complete && one.len() <= PREFIX + 16 {
            return Ok(());
        }
        out.json.open(b'{');
        let shown = message(one, complete, None, out);
        out.json.close();
        if complete {
            shown?;
        }
    }
    Ok(())
}

/// Bytes or null, and whether they are whole.
fn bytes_or_null<'a>(r: &mut Reader<'a>, whole: bool) -> Result<(bool, Option<&'a [u8]>), Stop> {
    let Some(n) = r.length(false)? else { return Ok((true, None)) };
    match r.take(n as usize) {
        Ok(bytes) => Ok((true, Some(bytes))),
        Err(_) if !whole => Ok((false, Some(r.take(r.rest().len())?))),
        Err(stop) => Err(stop),
    }
}
