#![allow(clippy::unwrap_used)]

use std::io::Write;

use serde_json::{Value, json};

use super::*;

/// A record of magic 2.
fn record(offset: u8, key: Option<&[u8]>, value: &[u8], headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    let varint = |n: i64, out: &mut Vec<u8>| {
        let mut n = ((n << 1) ^ (n >> 63)) as u64;
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    };
    let mut body = vec![0];
    varint(i64::from(offset) * 10, &mut body);
    varint(i64::from(offset), &mut body);
    match key {
        Some(key) => {
            varint(key.len() as i64, &mut body);
            body.extend(key);
        }
        None => varint(-1, &mut body),
    }
    varint(value.len() as i64, &mut body);
    body.extend(value);
    varint(headers.len() as i64, &mut body);
    for (name, value) in headers {
        varint(name.len() as i64, &mut body);
        body.extend(*name);
        varint(value.len() as i64, &mut body);
        body.extend(*value);
    }
    let mut out = Vec::new();
    varint(body.len() as i64, &mut out);
    out.extend(body);
    out
}

/// A batch of magic 2 around records.
fn batch(base: i64, attributes: i16, count: i32, records: &[u8]) -> Vec<u8> {
    let mut out = base.to_be_bytes().to_vec();
    out.extend(i32::try_from(records.len() + 49).unwrap().to_be_bytes());
    out.extend([0, 0, 0, 0, 2, 1, 2, 3, 4]);
    out.extend(attributes.to_be_bytes());
    out.extend((count - 1).to_be_bytes());
    out.extend(1_000_i64.to_be_bytes());
    out.extend(2_000_i64.to_be_bytes());
    out.extend(if attributes & 1 << 4 == 0 { -1_i64 } else { 4_711 }.to_be_bytes());
    out.extend(3_i16.to_be_bytes());
    out.extend(9_i32.to_be_bytes());
    out.extend(count.to_be_bytes());
    out.extend(records);
    out
}

/// A message of magic 0 or 1.
fn legacy(offset: i64, magic: u8, codec: u8, key: Option<&[u8]>, value: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 2, 3, 4, magic, codec];
    if magic == 1 {
        body.extend(1_500_i64.to_be_bytes());
    }
    match key {
        Some(key) => {
            body.extend(i32::try_from(key.len()).unwrap().to_be_bytes());
            body.extend(key);
        }
        None => body.extend([0xff; 4]),
    }
    body.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
    body.extend(value);
    let mut out = offset.to_be_bytes().to_vec();
    out.extend(i32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend(body);
    out
}

struct Shown {
    json: String,
    records: Option<i64>,
    keys: Vec<Vec<u8>>,
    codec: Option<&'static str>,
    bad: u64,
    cut: u64,
}

impl Shown {
    fn json(&self) -> Value {
        serde_json::from_str(&self.json).unwrap()
    }
}

fn show(bytes: &[u8], budget: usize, piece: usize) -> Shown {
    let (mut batches, mut out) = (Batches::default(), Content::default());
    out.begin(budget, &Limits::default());
    batches.allow(budget);
    out.json.open(b'[');
    batches.begin(u32::try_from(bytes.len()).unwrap());
    let mut at = 0;
    while at < bytes.len() {
        // As the dissector does: what is of no interest is not even shown.
        let unwanted = usize::try_from(batches.unwanted()).unwrap();
        if unwanted > 0 && piece > 1 {
            batches.pass(unwanted as u64);
            at += unwanted;
            continue;
        }
        let end = (at + piece).min(bytes.len());
        batches.piece(&bytes[at..end], &mut out);
        at = end;
    }
    out.json.close();
    Shown {
        json: String::from_utf8(out.json.text().to_vec()).unwrap(),
        records: out.records,
        keys: out.keys.iter().map(<[u8]>::to_vec).collect(),
        codec: out.codec,
        bad: out.bad,
        cut: batches.cut(),
    }
}

#[test]
fn batches_of_magic_2() {
    let records = [
        record(0, Some(b"k"), b"v", &[(b"trace", b"1"), (b"bin", b"\xff")]),
        record(1, None, "é".as_bytes(), &[]),
    ]
    .concat();
    let bytes = [
        batch(100, 0, 2, &records),
        batch(102, 1 << 3 | 1 << 4 | 1 << 5, 1, &record(0, Some(b"\0\0\0\x01"), b"", &[])),
    ]
    .concat();
    for piece in [1, 2, 5, 60, 1_000] {
        let shown = show(&bytes, 10_000, piece);
        assert_eq!(
            shown.json(),
            json!([
                {"baseOffset": 100, "records": [
                    {"offset": 100, "timestamp": 1000, "key": "k", "value": "v",
                     "headers": [{"key": "trace", "value": "1"}, {"key": "bin", "value": "data:;base64,/w=="}]},
                    {"offset": 101, "timestamp": 1010, "key": null, "value": "é"},
                ]},
                {"baseOffset": 102, "producerId": 4711, "producerEpoch": 3, "baseSequence": 9,
                 "transactional": true, "control": true, "records": [
                    {"offset": 102, "timestamp": 2000, "key": "\u{0}\u{0}\u{0}\u{1}", "value": ""},
                ]},
            ])
        );
        assert_eq!((shown.records, shown.keys.len(), shown.bad, shown.cut), (Some(3), 2, 0, 0));
    }
}

#[test]
fn compressed_batches() {
    let records = [record(0, Some(b"a"), b"1", &[]), record(1, Some(b"b"), b"2", &[])].concat();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&records).unwrap();
    for (bits, name, encoded) in [
        (1, "gzip", gzip.finish().unwrap()),
        (2, "snappy", snap::raw::Encoder::new().compress_vec(&records).unwrap()),
        (4, "zstd", zstd::encode_all(&records[..], 3).unwrap()),
    ] {
        let shown = show(&batch(5, bits, 2, &encoded), 10_000, 11);
        assert_eq!(shown.json()[0]["compression"], name);
        assert_eq!(shown.json()[0]["records"][1]["key"], "b", "{name}");
        assert_eq!((shown.codec, shown.records, shown.bad), (Some(name), Some(2), 0));
    }
    // Damaged, and a compression that nobody knows: the header stands all the same.
    for bits in [1, 2, 3, 4, 7] {
        let shown = show(&batch(5, bits, 2, b"\xff\xff\xff\xffnot compressed"), 10_000, 1_000);
        assert_eq!(shown.json()[0]["records"], json!([]));
        assert_eq!((shown.records, shown.bad), (Some(2), 18), "{bits}");
    }
}

#[test]
fn messages_of_magic_0_and_1() {
    let plain = [legacy(7, 0, 0, Some(b"k"), b"v"), legacy(8, 1, 0, None, b"w")].concat();
    let shown = show(&plain, 10_000, 3);
    assert_eq!(
        shown.json(),
        json!([{"offset": 7, "key": "k", "value": "v"}, {"offset": 8, "timestamp": 1500, "key": null, "value": "w"}])
    );
    assert_eq!((shown.records, shown.bad), (Some(2), 0));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).unwrap();
    let wrapped = legacy(8, 1, 1, None, &gzip.finish().unwrap());
    let shown = show(&wrapped, 10_000, 1_000);
    assert_eq!(shown.json()[0]["compression"], "gzip");
    assert_eq!(shown.json()[0]["records"][0], json!({"offset": 7, "key": "k", "value": "v"}));
    assert_eq!((shown.records, shown.codec, shown.bad), (Some(2), Some("gzip"), 0));
    // Compressed inside of compressed is refused.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&wrapped).unwrap();
    let shown = show(&legacy(8, 1, 1, None, &gzip.finish().unwrap()), 10_000, 1_000);
    assert!(shown.bad > 0 && shown.records.is_none());
}

#[test]
fn a_batch_that_is_not_whole_at_the_end_is_not_counted() {
    let whole = batch(0, 0, 1, &record(0, None, b"v", &[]));
    for n in 0..whole.len() {
        let shown = show(&[&whole[..], &whole[..n]].concat(), 10_000, 1_000);
        assert_eq!((shown.records, shown.bad), (Some(1), 0), "{n}");
    }
}

#[test]
fn beyond_the_limit_batches_are_counted_and_passed_over() {
    let records: Vec<u8> = (0..50).flat_map(|i| record(i, Some(b"key"), &[b'x'; 100], &[])).collect();
    let bytes: Vec<u8> = (0..20).flat_map(|i| batch(i * 50, 0, 50, &records)).collect();
    let all = show(&bytes, 1 << 20, 1_000);
    assert_eq!((all.records, all.cut), (Some(1_000), 0));
    for budget in [0, 10, 61, 1_000, 20_000] {
        let shown = show(&bytes, budget, 4_096);
        assert_eq!((shown.records, shown.bad), (Some(1_000), 0), "{budget}");
        assert!(shown.cut > 0 && shown.json.len() <= budget, "{budget}");
        // Where no records are held at all the batch says so.
        assert!(all.json.starts_with(&shown.json) || shown.json.contains("\"truncated\":true"), "{budget}");
        let slow = show(&bytes, budget, 1);
        assert_eq!((slow.json, slow.cut, slow.keys), (shown.json, shown.cut, shown.keys), "{budget}");
    }
}

#[test]
fn hostile_batches_hold_nothing() {
    let mut out = Content::default();
    out.begin(1_000, &Limits::default());
    for length in [i32::MIN, -1, 0, 10, i32::MAX] {
        for magic in [0, 1, 2, 3, 255] {
            let mut bytes = [0; 200];
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = magic;
            let mut batches = Batches::default();
            batches.allow(1_000);
            batches.begin(u32::MAX);
            batches.piece(&bytes, &mut out);
            assert!(batches.memory() < 1_024 && batches.unwanted() <= u64::from(u32::MAX));
        }
    }
    // A number of records that is not there.
    let shown = show(&batch(0, 0, i32::MAX, &record(0, None, b"v", &[])), 1_000, 1_000);
    assert_eq!(shown.json()[0]["records"].as_array().unwrap().len(), 1);
}
