#![allow(clippy::unwrap_used)]
use super::read::{Block, Head, PacketBlock};
use super::*;

/// Takes a buffer of blocks apart.
fn blocks(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (kind, len) = (word(0), word(4) as usize);
        assert!(len.is_multiple_of(4));
        assert_eq!(word(len - 4) as usize, len);
        out.push((kind, &bytes[..len]));
        bytes = &bytes[len..];
    }
    out
}

#[test]
fn what_is_written_is_read() {
    let mut out = Vec::new();
    write::section(&mut out, "Remora");
    write::interface(&mut out, "node", "");
    write::interface(&mut out, "", "what it is");
    let meta =
        write::Meta { interface: 1, ts: 1_700_000_000_123_456_789, wire_len: 9, direction: Direction::Out };
    write::packet(&mut out, &meta, b"hello", "");
    write::packet(&mut out, &write::Meta { direction: Direction::Unknown, ..meta }, b"", "a comment");
    write::secrets(&mut out, "A B C\n");
    let read: Vec<_> = blocks(&out).iter().map(|(_, b)| Block::parse(b).unwrap()).collect();
    let interface = |name: &str, description: &str| Block::Interface {
        name: name.to_owned(),
        description: description.to_owned(),
    };
    let packet = |data, direction| {
        Block::Packet(PacketBlock { interface: 1, ts: meta.ts, wire_len: 9, direction, data })
    };
    assert_eq!(
        read,
        [
            Block::Section,
            interface("node", ""),
            interface("", "what it is"),
            packet(b"hello", Direction::Out),
            packet(b"", Direction::Unknown),
            Block::Secrets("A B C\n"),
        ]
    );
}

#[test]
fn a_packet_takes_no_more_than_it_is_said_to() {
    for len in 0..9 {
        let mut out = Vec::new();
        let meta = write::Meta { interface: 0, ts: 0, wire_len: 0, direction: Direction::In };
        write::packet(&mut out, &meta, &[7; 8][..len.min(8)], "");
        assert!(out.len() <= len.min(8) + PACKET_OVERHEAD);
    }
}

/// No prefix of a block passes for one, and no damage makes it panic.
#[test]
fn parts_of_blocks_are_none() {
    let mut out = Vec::new();
    let meta = write::Meta { interface: 0, ts: 5, wire_len: 9, direction: Direction::In };
    write::packet(&mut out, &meta, b"hello", "");
    for cut in 0..out.len() {
        assert_eq!(Block::parse(&out[..cut]), None);
        let mut damaged = out.clone();
        damaged[cut] ^= 0xFF;
        _ = Block::parse(&damaged);
    }
    assert_eq!(Head::parse(&[6, 0, 0, 0, 13, 0, 0, 0]), None);
    assert_eq!(Head::parse(&[9, 0, 0, 0, 12, 0, 0, 0]), None);
    assert_eq!(Head::parse(&[6, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFC]), None);
}

#[test]
fn names_are_spread_over_blocks() {
    let name = "n".repeat(300);
    let many = (0..1_000_u32).map(|n| (std::net::IpAddr::V4(n.into()), name.as_str()));
    let mut out = Vec::new();
    write::names(&mut out, many.chain([("::1".parse().unwrap(), "six"), ("::2".parse().unwrap(), "a\0b")]));
    let blocks = blocks(&out);
    assert!(blocks.len() > 5 && blocks.iter().all(|(kind, b)| *kind == NAMES && b.len() < 34 << 10));
}

#[test]
fn long_comments_are_cut_between_characters() {
    let mut out = Vec::new();
    let meta = write::Meta { interface: 0, ts: 5, wire_len: 9, direction: Direction::In };
    write::packet(&mut out, &meta, b"hello", &"ä".repeat(40_000));
    assert!(matches!(Block::parse(&out), Some(Block::Packet(p)) if p.direction == Direction::In));
}
