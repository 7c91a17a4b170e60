#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

/// Gives a reader's bytes out in small pieces.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let n = to.len().min(self.0.len()).min(7);
        to[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

type Owned = (i64, u32, u32, Vec<u8>);

fn read(bytes: &[u8]) -> (Vec<Owned>, Option<FileError>) {
    let mut file = match CaptureFile::new(Trickle(bytes)) {
        Ok(file) => file,
        Err(e) => return (Vec::new(), Some(e)),
    };
    let mut frames = Vec::new();
    loop {
        match file.next_frame() {
            Ok(Some(f)) => frames.push((f.ts.0, f.link.0, f.wire_len, f.bytes.to_vec())),
            Ok(None) => return (frames, None),
            Err(e) => {
                assert!(matches!(file.next_frame(), Ok(None)), "an error is final");
                return (frames, Some(e));
            }
        }
    }
}

/// Numbers in either byte order.
struct Writer(bool, Vec<u8>);

impl Writer {
    fn u16(&mut self, n: u16) -> &mut Self {
        self.1.extend_from_slice(&if self.0 { n.to_be_bytes() } else { n.to_le_bytes() });
        self
    }
    fn u32(&mut self, n: u32) -> &mut Self {
        self.1.extend_from_slice(&if self.0 { n.to_be_bytes() } else { n.to_le_bytes() });
        self
    }
    fn block(&mut self, kind: u32, body: &[u8]) -> &mut Self {
        let len = u32::try_from(body.len().next_multiple_of(4) + 12).unwrap();
        self.u32(kind).u32(len);
        self.1.extend_from_slice(body);
        self.1.resize(self.1.len().next_multiple_of(4), 0);
        self.u32(len)
    }
}

fn body(big: bool, fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer(big, Vec::new());
    fill(&mut w);
    w.1
}

fn pcap(big: bool, magic: u32) -> Vec<u8> {
    body(big, |w| {
        w.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(96).u32(113);
        w.u32(10).u32(5).u32(3).u32(70);
        w.1.extend_from_slice(b"abc");
        w.u32(11).u32(0).u32(0).u32(0);
    })
}

fn section(w: &mut Writer) {
    let big = w.0;
    w.block(
        0x0a0d_0d0a,
        &body(big, |w| {
            w.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX);
        }),
    );
}

fn interface(w: &mut Writer, link: u16, resolution: Option<u8>) {
    let big = w.0;
    w.block(
        1,
        &body(big, |w| {
            w.u16(link).u16(0).u32(64);
            if let Some(r) = resolution {
                w.u16(9).u16(1);
                w.1.extend_from_slice(&[r, 0, 0, 0]);
                w.u16(0).u16(0);
            }
        }),
    );
}

fn packet(w: &mut Writer, interface: u32, time: u64, wire_len: u32, bytes: &[u8]) {
    let big = w.0;
    w.block(
        6,
        &body(big, |w| {
            w.u32(interface).u32((time >> 32) as u32).u32(time as u32);
            w.u32(u32::try_from(bytes.len()).unwrap()).u32(wire_len);
            w.1.extend_from_slice(bytes);
        }),
    );
}

#[test]
fn pcap_in_both_byte_orders_and_both_resolutions() {
    for big in [false, true] {
        for (magic, unit) in [(0xa1b2_c3d4, 1_000), (0xa1b2_3c4d, 1)] {
            let (frames, fault) = read(&pcap(big, magic));
            assert!(fault.is_none());
            let first = (10_000_000_000 + 5 * unit, 113, 70, b"abc".to_vec());
            assert_eq!(frames, [first, (11_000_000_000, 113, 0, vec![])]);
        }
    }
}

#[test]
fn pcapng_with_interfaces_sections_and_resolutions() {
    let mut file = Vec::new();
    for big in [false, true] {
        file.extend(body(big, |w| {
            section(w);
            interface(w, 1, None);
            interface(w, 276, Some(9));
            interface(w, 101, Some(0x80 | 10));
            w.block(0xbad, b"whatever the future brings");
            packet(w, 0, 3_000_001, 9, b"micro");
            packet(w, 1, 3_000_000_001, 4, b"nano");
            packet(w, 2, 3 * 1_024 + 512, 3, b"bin");
            let simple = body(big, |w| {
                w.u32(100);
                w.1.extend_from_slice(&[7; 64]);
            });
            w.block(3, &simple);
        }));
    }
    let (frames, fault) = read(&file);
    assert!(fault.is_none(), "{fault:?}");
    let section = [
        (3_000_001_000, 1, 9, b"micro".to_vec()),
        (3_000_000_001, 276, 4, b"nano".to_vec()),
        (3_500_000_000, 101, 3, b"bin".to_vec()),
        (3_500_000_000, 1, 100, vec![7; 64]),
    ];
    assert_eq!(frames, [section.clone(), section].concat());
}

#[test]
fn every_cut_gives_the_frames_before_it_and_one_error() {
    let ng = body(false, |w| {
        section(w);
        interface(w, 1, None);
        packet(w, 0, 1, 3, b"one");
        packet(w, 0, 2, 3, b"two");
    });
    for whole in [pcap(false, 0xa1b2_c3d4), ng] {
        let (all, _) = read(&whole);
        for n in 0..whole.len() {
            let (frames, fault) = read(&whole[..n]);
            assert_eq!(frames, all[..frames.len()]);
            if frames.len() < all.len() && n > 0 {
                let at_seam = fault.is_none();
                assert!(
                    at_seam
                        || matches!(fault, Some(FileError::Truncated { .. } | FileError::UnknownFormat(_)))
                );
            }
        }
    }
}

#[test]
fn lengths_in_the_file_allocate_nothing() {
    let huge = body(false, |w| {
        w.u32(0xa1b2_c3d4).u16(2).u16(4).u32(0).u32(0).u32(96).u32(1);
        w.u32(10).u32(5).u32(u32::MAX).u32(u32::MAX);
    });
    assert!(matches!(read(&huge).1, Some(FileError::Corrupt { offset: 24, .. })));
    let promised = body(false, |w| {
        w.u32(0xa1b2_c3d4).u16(2).u16(4).u32(0).u32(0).u32(96).u32(1);
        w.u32(10).u32(5).u32(15 << 20).u32(0);
    });
    assert!(matches!(read(&promised).1, Some(FileError::Truncated { offset: 24 })));
}

#[test]
fn impossible_blocks_are_named() {
    let lengths = body(false, |w| {
        section(w);
        w.u32(6).u32(13).u32(0);
    });
    let (_, fault) = read(&lengths);
    assert_eq!(
        fault.unwrap().to_string(),
        "the file is corrupt at byte 28: a block with an impossible length"
    );
    let stranger = body(false, |w| {
        section(w);
        packet(w, 4, 1, 3, b"one");
    });
    assert!(read(&stranger).1.unwrap().to_string().contains("interface"));
    assert!(matches!(read(b"PK\x03\x04").1, Some(FileError::UnknownFormat(_))));
    assert!(matches!(read(b"").1, Some(FileError::UnknownFormat(_))));
}
