#![allow(clippy::unwrap_used)]

use std::io::Write;

use super::*;
use crate::Limits;

fn text() -> Vec<u8> {
    (0..3_000).flat_map(|i| format!("record {} of the batch\n", i * 7_919 % 1_000).into_bytes()).collect()
}

fn xerial(data: &[u8], block: usize) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for piece in data.chunks(block) {
        let encoded = snap::raw::Encoder::new().compress_vec(piece).unwrap();
        out.extend(i32::try_from(encoded.len()).unwrap().to_be_bytes());
        out.extend(encoded);
    }
    out
}

fn lz4(data: &[u8], block: lz4_flex::frame::BlockSize, linked: bool, checksums: bool) -> Vec<u8> {
    use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
    let mode = if linked { BlockMode::Linked } else { BlockMode::Independent };
    let info = FrameInfo::new()
        .block_size(block)
        .block_mode(mode)
        .block_checksums(checksums)
        .content_checksum(checksums)
        .content_size(checksums.then_some(data.len() as u64));
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// The same text in every way that clients compress.
fn encodings(data: &[u8]) -> Vec<(Codec, Vec<u8>)> {
    use lz4_flex::frame::BlockSize::{Max4MB, Max64KB};
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(data).unwrap();
    vec![
        (Codec::Gzip, gzip.finish().unwrap()),
        (Codec::Snappy, snap::raw::Encoder::new().compress_vec(data).unwrap()),
        (Codec::Snappy, xerial(data, 32 << 10)),
        (Codec::Snappy, xerial(data, 100)),
        (Codec::Lz4, lz4(data, Max64KB, false, false)),
        (Codec::Lz4, lz4(data, Max64KB, true, true)),
        (Codec::Lz4, lz4(data, Max4MB, false, true)),
        (Codec::Zstd, zstd::encode_all(data, 3).unwrap()),
    ]
}

/// What decompression makes of `input`: the bytes, and whether they are whole.
fn run(codec: Codec, input: &[u8], whole: bool, limits: &Limits) -> (Vec<u8>, Option<bool>, u64) {
    let (mut plain, mut out) = (Vec::new(), Content::default());
    out.begin(limits.payload, limits);
    let result = decode(codec, input, whole, &mut plain, &mut out);
    (plain, result, out.bad)
}

#[test]
fn every_compression_is_undone() {
    let limits = Limits { payload: 1 << 20, ..Limits::default() };
    for data in [b"".as_slice(), b"a", b"abcabcabcabcabcabcabcabcabcabcabcabc", &[0; 5_000], &text()] {
        for (i, (codec, encoded)) in encodings(data).into_iter().enumerate() {
            let (plain, result, bad) = run(codec, &encoded, true, &limits);
            assert_eq!((result, bad), (Some(true), 0), "encoding {i} of {} bytes", data.len());
            assert!(plain == data, "encoding {i} of {} bytes", data.len());
        }
    }
}

#[test]
fn what_is_cut_gives_what_is_there() {
    let (data, limits) = (text(), Limits { payload: 1 << 20, ..Limits::default() });
    for (i, (codec, encoded)) in encodings(&data).into_iter().enumerate() {
        let mut longest = 0;
        for n in (1..encoded.len()).step_by(29) {
            let (plain, result, _) = run(codec, &encoded[..n], false, &limits);
            assert_eq!(result, Some(false), "encoding {i} cut at {n}");
            assert!(data.starts_with(&plain), "encoding {i} cut at {n}");
            longest = longest.max(plain.len());
        }
        // A block of zstd is decoded as a whole.
        assert!(longest > data.len() / 4 || codec == Codec::Zstd, "encoding {i}: {longest}");
        let cut = &encoded[..encoded.len() / 2];
        assert_eq!(run(codec, cut, true, &limits).1, None, "encoding {i} that should be whole");
    }
}

#[test]
fn output_is_bounded_by_payload_and_ratio() {
    let zeros = vec![0; 10 << 20];
    for (i, (codec, bomb)) in encodings(&zeros).into_iter().enumerate() {
        let (plain, result, _) = run(codec, &bomb, true, &Limits::default());
        let most = (64 << 10).min(bomb.len() * Limits::default().expansion);
        assert_eq!((plain.len(), result), (most, Some(false)), "encoding {i}");
        let limits = Limits { payload: 8 << 20, expansion: 2, ..Limits::default() };
        let (plain, result, bad) = run(codec, &bomb, true, &limits);
        assert_eq!(result, Some(false), "encoding {i}");
        assert!(
            plain.len() <= (bomb.len() * 2).max(RATIO_FLOOR) && plain.capacity() <= 4 << 20,
            "encoding {i}"
        );
        assert_eq!(bad, bomb.len() as u64, "encoding {i}");
    }
}

#[test]
fn damage_is_told_and_harmless() {
    let (data, limits) = (text(), Limits::default());
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        assert_eq!(run(codec, b"certainly not compressed", true, &limits).1, None);
    }
    // Distances before the beginning, of both; a block longer than it says.
    for (codec, input) in [
        (Codec::Snappy, &b"\x10\x00a\x09\x05"[..]),
        (Codec::Snappy, b"\x02\x10abcdef"),
        (Codec::Snappy, b"\xff\xff\xff\xff\xff\xff\x01"),
        (Codec::Lz4, b"\x04\x22\x4d\x18\x60\x40\x82\x05\0\0\0\x10a\x05\0\0\0\0\0\0"),
    ] {
        assert_eq!(run(codec, input, true, &limits).1, None, "{input:?}");
    }
    for (codec, encoded) in encodings(&data) {
        for at in (0..encoded.len()).step_by(encoded.len() / 50) {
            let mut broken = encoded.clone();
            broken[at] ^= 0x55;
            let (plain, ..) = run(codec, &broken, true, &limits);
            assert!(plain.len() <= limits.payload);
        }
    }
}

#[test]
fn wrong_header_checksums_of_old_clients_do_not_matter() {
    let mut frame = lz4(b"magic 1", lz4_flex::frame::BlockSize::Max64KB, false, false);
    frame[6] ^= 0xff;
    assert_eq!(run(Codec::Lz4, &frame, true, &Limits::default()), (b"magic 1".to_vec(), Some(true), 0));
}
