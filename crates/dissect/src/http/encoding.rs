//! Content and transfer codings: gzip, deflate, br and zstd, undone within bounds.

use std::io::{ErrorKind, Read};

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::facts::list;
use super::head::Head;
use crate::Limits;

/// Codings undone on one body. More are applied by nobody but an attacker.
const MAX_LAYERS: usize = 4;

/// Bodies that decode to this much or less are not held to the ratio bound.
const RATIO_FLOOR: usize = 16 << 10;

/// Largest window of a zstd body, as a power of two: what RFC 9659 allows.
const ZSTD_WINDOW_LOG: u32 = 23;

/// A body after decoding.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// What could be decoded within the bounds.
    pub(crate) bytes: Vec<u8>,
    /// There is more, or there would be if the encoded body were whole.
    pub(crate) cut: bool,
    /// The ratio bound was hit, or the body ends in the middle although all of it was seen.
    pub(crate) faulty: bool,
}

/// A coding is broken or not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadCoding;

/// How decoding one layer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// At the end of the encoded data.
    End,
    /// The encoded data is not whole.
    Early,
    /// The output is as large as it may be.
    Full,
}

/// Undoes the codings that `head` names on `body`. `whole` says that nothing of the encoded body
/// is missing. `None` when there is nothing to undo.
pub(crate) fn decode(
    head: &Head,
    body: &[u8],
    whole: bool,
    limits: &Limits,
) -> Option<Result<Decoded, BadCoding>> {
    let mut layers: [&[u8]; MAX_LAYERS] = [b""; MAX_LAYERS];
    let mut n = 0;
    // A content coding is applied before a transfer coding, and each list is in the order of
    // application (RFC 9110 section 8.4, RFC 9112 section 6.1).
    for name in [b"content-encoding".as_slice(), b"transfer-encoding"] {
        let codings =
            head.fields().iter().filter(|(field, _)| *field == name).flat_map(|(_, value)| list(value));
        for coding in codings {
            if coding.eq_ignore_ascii_case(b"identity") || coding.eq_ignore_ascii_case(b"chunked") {
                continue;
            }
            let Some(layer) = layers.get_mut(n) else { return Some(Err(BadCoding)) };
            *layer = coding;
            n += 1;
        }
    }
    let layers = layers.get(..n).filter(|l| !l.is_empty())?;
    Some(undo(layers, body, whole, limits))
}

pub(crate) fn undo(
    layers: &[&[u8]],
    body: &[u8],
    whole: bool,
    limits: &Limits,
) -> Result<Decoded, BadCoding> {
    let ratio = body.len().saturating_mul(limits.expansion).max(RATIO_FLOOR);
    let max = limits.payload.min(ratio);
    let mut decoded = Decoded { cut: !whole, ..Decoded::default() };
    let mut input: Vec<u8> = Vec::new();
    for (i, layer) in layers.iter().rev().enumerate() {
        let mut out = Vec::new();
        let stop = undo_one(layer, if i == 0 { body } else { &input }, &mut out, max)?;
        match stop {
            Stop::End => {}
            Stop::Early => {
                decoded.faulty |= !decoded.cut;
                decoded.cut = true;
            }
            Stop::Full => {
                decoded.faulty |= max < limits.payload;
                decoded.cut = true;
            }
        }
        input = out;
    }
    decoded.bytes = input;
    Ok(decoded)
}

fn undo_one(coding: &[u8], input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<Stop, BadCoding> {
    let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
    if is("gzip") || is("x-gzip") {
        gunzip(input, out, max)
    } else if is("deflate") {
        // By RFC 9110 this is zlib; some send raw deflate.
        if has_zlib_header(input) {
            let zlib = drain(&mut ZlibDecoder::new(input), out, max);
            if zlib.is_ok() {
                return zlib;
            }
            out.clear();
        }
        drain(&mut DeflateDecoder::new(input), out, max)
    } else if is("br") {
        unbrotli(input, out, max)
    } else if is("zstd") {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(|_| BadCoding)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| BadCoding)?;
        drain(&mut decoder, out, max)
    } else {
        Err(BadCoding)
    }
}

/// RFC 1950 section 2.2: method 8, and a check value.
fn has_zlib_header(input: &[u8]) -> bool {
    match input {
        [cmf, flg, ..] => cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)) % 31 == 0,
        _ => false,
    }
}

/// Reads what the decoder gives, up to `max` bytes.
fn drain(decoder: &mut impl Read, out: &mut Vec<u8>, max: usize) -> Result<Stop, BadCoding> {
    let mut piece = [0; 4 << 10];
    loop {
        // One byte beyond the bound tells whether there is more.
        let room = (max - out.len() + 1).min(piece.len());
        match decoder.read(&mut piece[..room]) {
            Ok(0) => return Ok(Stop::End),
            Ok(n) => out.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(Stop::Early),
            Err(_) => return Err(BadCoding),
        }
        if out.len() > max {
            out.truncate(max);
            return Ok(Stop::Full);
        }
    }
}

/// One or more gzip members (RFC 1952 section 2.2); what follows them and is none is ignored.
fn gunzip(mut input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<Stop, BadCoding> {
    loop {
        let mut decoder = GzDecoder::new(input);
        let stop = drain(&mut decoder, out, max)?;
        input = decoder.into_inner();
        if stop != Stop::End || !input.starts_with(&[0x1f, 0x8b]) {
            return Ok(stop);
        }
    }
}

fn unbrotli(input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<Stop, BadCoding> {
    let alloc = StandardAlloc::default;
    // Strict: without the "large window" extension, with which a body could ask for 1 GiB.
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut available_in, mut input_at, mut total) = (input.len(), 0, 0);
    let mut piece = [0; 4 << 10];
    loop {
        let (mut available_out, mut at) = ((max - out.len() + 1).min(piece.len()), 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut input_at,
            input,
            &mut available_out,
            &mut at,
            &mut piece,
            &mut total,
            &mut state,
        );
        out.extend_from_slice(piece.get(..at).unwrap_or_default());
        if out.len() > max {
            out.truncate(max);
            return Ok(Stop::Full);
        }
        match result {
            BrotliResult::ResultSuccess => return Ok(Stop::End),
            BrotliResult::NeedsMoreInput => return Ok(Stop::Early),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultFailure => return Err(BadCoding),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn encode(coding: &str, data: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match coding {
            "gzip" | "x-gzip" => {
                let mut e = GzEncoder::new(Vec::new(), level);
                e.write_all(data).unwrap();
                e.finish().unwrap()
            }
            "deflate" => {
                let mut e = ZlibEncoder::new(Vec::new(), level);
                e.write_all(data).unwrap();
                e.finish().unwrap()
            }
            "raw" => {
                let mut e = DeflateEncoder::new(Vec::new(), level);
                e.write_all(data).unwrap();
                e.finish().unwrap()
            }
            "br" => {
                let mut out = Vec::new();
                brotli::BrotliCompress(&mut &*data, &mut out, &Default::default()).unwrap();
                out
            }
            "zstd" => zstd::encode_all(data, 3).unwrap(),
            other => panic!("{other}"),
        }
    }

    fn text() -> Vec<u8> {
        (0..2_000).flat_map(|i| format!("line {} of the body\n", i * 7_919 % 1_000).into_bytes()).collect()
    }

    fn run(layers: &[&str], body: &[u8], limits: &Limits) -> Result<Decoded, BadCoding> {
        let layers: Vec<&[u8]> = layers.iter().map(|l| l.as_bytes()).collect();
        undo(&layers, body, true, limits)
    }

    #[test]
    fn every_coding_is_undone() {
        let limits = Limits::default();
        for (name, how) in [
            ("gzip", "gzip"),
            ("X-GZIP", "x-gzip"),
            ("deflate", "deflate"),
            ("deflate", "raw"),
            ("br", "br"),
            ("zstd", "zstd"),
        ] {
            for data in [b"".as_slice(), b"a", &text()] {
                let decoded = run(&[name], &encode(how, data), &limits).unwrap();
                assert_eq!(decoded, Decoded { bytes: data.to_vec(), cut: false, faulty: false }, "{how}");
            }
        }
        let both = encode("br", &encode("gzip", b"twice"));
        assert_eq!(run(&["gzip", "br"], &both, &limits).unwrap().bytes, b"twice");
        let members = [encode("gzip", b"one "), encode("gzip", b"two"), b"rest".to_vec()].concat();
        assert_eq!(run(&["gzip"], &members, &limits).unwrap().bytes, b"one two");
    }

    #[test]
    fn what_is_cut_decodes_as_far_as_it_goes() {
        let (data, limits) = (text(), Limits::default());
        for how in ["gzip", "deflate", "br", "zstd"] {
            let encoded = encode(how, &data);
            let mut longest = 0;
            for n in 1..encoded.len() {
                let decoded = undo(&[how.as_bytes()], &encoded[..n], false, &limits).unwrap();
                assert!(decoded.cut && !decoded.faulty, "{how} cut at {n}");
                assert!(data.starts_with(&decoded.bytes), "{how} cut at {n}");
                longest = longest.max(decoded.bytes.len());
            }
            // The whole text is one block of zstd.
            assert!(longest > 0 || how == "zstd", "{how}");
        }
    }

    #[test]
    fn broken_and_unknown_codings_are_refused() {
        let limits = Limits::default();
        for name in ["gzip", "br", "zstd", "compress", "aws-chunked"] {
            assert_eq!(run(&[name], b"certainly not encoded", &limits), Err(BadCoding), "{name}");
        }
        let mut encoded = encode("gzip", &text());
        let middle = encoded.len() / 2;
        encoded[middle..middle + 8].fill(0xff);
        assert_eq!(run(&["gzip"], &encoded, &limits), Err(BadCoding));
    }

    #[test]
    fn output_is_bounded_by_payload_and_ratio() {
        let zeros = vec![0; 10 << 20];
        for how in ["gzip", "deflate", "br", "zstd"] {
            let bomb = encode(how, &zeros);
            let decoded = run(&[how], &bomb, &Limits::default()).unwrap();
            assert!(decoded.cut && decoded.bytes.len() <= 64 << 10, "{how}");
            let limits = Limits { payload: 1 << 20, expansion: 2, ..Limits::default() };
            let decoded = run(&[how], &bomb, &limits).unwrap();
            assert!(decoded.cut && decoded.faulty, "{how}");
            assert!(decoded.bytes.len() <= (bomb.len() * 2).max(RATIO_FLOOR), "{how}");
        }
    }

    #[test]
    fn windows_are_bounded() {
        // A zstd frame header that asks for a window of 2^31 bytes, and a brotli stream header of
        // the "large window" extension.
        let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
        assert_eq!(run(&["zstd"], &zstd, &Limits::default()), Err(BadCoding));
        assert_eq!(run(&["br"], &[0x11, 0x1e, 0x00, 0x00], &Limits::default()), Err(BadCoding));
    }
}
