//! Fragmented datagrams through the engine: order, overlap, bounds.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use remora_dissect::{Limits, Problem, Role};
use support::lab::{Lab, data};
use support::packets::{client, ip, server, udp};

use Role::Client;

/// Fragments of a datagram: offset and payload of each, the last one last in the datagram.
fn fragments(v6: bool, id: u8, parts: &[(usize, usize)], whole: &[u8]) -> Vec<Vec<u8>> {
    let fragment = |&(from, to): &(usize, usize)| {
        let place = u16::try_from(from / 8).unwrap();
        let more = to < whole.len();
        if v6 {
            let [a, b] = (place << 3 | u16::from(more)).to_be_bytes();
            let payload = [&[17, 0, a, b, 0, 0, 0, id][..], &whole[from..to]].concat();
            ip("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), 44, &payload)
        } else {
            let mut p = ip(client().ip, server().ip, 17, &whole[from..to]);
            p[5] = id;
            p[6..8].copy_from_slice(&(place | u16::from(more) << 13).to_be_bytes());
            p
        }
    };
    parts.iter().map(fragment).collect()
}

/// A UDP datagram of 48 bytes without its IP header.
fn datagram() -> Vec<u8> {
    udp(client(), server(), &[b'>'; 40])[20..].to_vec()
}

#[test]
fn fragments_in_any_order_make_a_datagram() {
    for v6 in [false, true] {
        let mut lab = Lab::new();
        for f in fragments(v6, 1, &[(32, 48), (0, 16), (0, 16), (16, 32)], &datagram()) {
            lab.ip(&f);
        }
        assert_eq!(lab.finish()[0], data(Client, &[b'>'; 40]));
        assert_eq!(lab.kept.flows[&1].packets, [3, 0], "a copy of a fragment does not count");
        assert!(lab.kept.problems.is_empty(), "{:?}", lab.kept.problems);
    }
}

#[test]
fn overlapping_fragments_spoil_the_datagram() {
    for parts in [[(0, 24), (16, 48)], [(16, 48), (0, 24)]] {
        let mut lab = Lab::new();
        for f in fragments(false, 1, &[&parts[..], &[(24, 48)]].concat(), &datagram()) {
            lab.ip(&f);
        }
        assert!(lab.finish().is_empty());
        assert_eq!(lab.kept.problem_count(Problem::FragmentOverlap), 2);
    }
}

#[test]
fn fragments_do_not_wait_for_ever_nor_without_number() {
    let mut lab = Lab::with(Limits { fragments: 4, ..Limits::default() });
    for id in 0..10 {
        lab.ip(&fragments(false, id, &[(0, 16)], &datagram())[0]);
        assert!(lab.engine.stats().fragments <= 4);
    }
    assert_eq!(lab.kept.problems[&Problem::FragmentLost], (6, 6 * 16));
    lab.wait(Duration::from_secs(61));
    lab.tick();
    assert_eq!(lab.engine.stats().fragments, 0);
    assert_eq!(lab.kept.problem_count(Problem::FragmentLost), 10);
    lab.finish();
}
