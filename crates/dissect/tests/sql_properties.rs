//! PostgreSQL and MySQL as real servers and clients spoke them, split, cut, joined in the middle
//! and damaged in every way: the calls stay the same, or fewer, and no pair is ever wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use remora_dissect::detect::Entry;
use remora_dissect::harness::{Harness, Recorded, Recorder};
use remora_dissect::{Ending, Limits, Problem, Role, mysql, postgresql};
use remora_model::{FieldId, Transport, field};
use support::conversation::{Said, conversations};

struct Talk {
    name: String,
    entry: &'static Entry,
    said: Vec<Said>,
    /// The calls of the whole of it.
    all: Vec<Recorded>,
}

static ENTRIES: [Entry; 2] = [postgresql::ENTRY, mysql::ENTRY];

/// Every recorded conversation that is long enough to be worth it.
fn talks() -> &'static [Talk] {
    static TALKS: OnceLock<Vec<Talk>> = OnceLock::new();
    TALKS.get_or_init(read)
}

fn read() -> Vec<Talk> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = [
        (0, "postgresql/simple", 5499),
        (0, "postgresql/extended", 5499),
        (0, "postgresql/binary", 5499),
        (0, "postgresql/logins", 5499),
        (0, "postgresql/refused", 5499),
        (1, "mysql/client", 3399),
        (1, "mysql/compressed", 3399),
        (1, "mysql/multi", 3399),
        (1, "mysql/prepared", 3399),
        (1, "mysql/logins", 3399),
    ];
    let mut all = Vec::new();
    for (entry, name, port) in files {
        for (client, said) in conversations(&root.join(format!("{name}.pcap")), port) {
            let name = format!("{name} {client}");
            let mut talk = Talk { name, entry: &ENTRIES[entry], said, all: Vec::new() };
            talk.all = whole(&talk, Limits::default()).sink.calls;
            all.push(talk);
        }
    }
    assert!(all.len() > 12, "{}", all.len());
    all
}

fn flow(talk: &Talk, limits: Limits) -> Harness {
    Harness::with(talk.entry, Transport::Tcp, limits, Recorder::default())
}

/// The calls of a conversation as it was recorded.
fn whole(talk: &Talk, limits: Limits) -> Harness {
    let mut h = flow(talk, limits);
    for s in &talk.said {
        h.at(s.at).send(s.role, &s.bytes);
    }
    h.close(Ending::Closed);
    h
}

/// Where a call's halves lie in the streams: what makes a pair a pair.
fn places(calls: &[Recorded]) -> BTreeSet<(Option<i64>, Option<i64>)> {
    calls.iter().map(|c| (c.request_pos, c.response_pos)).collect()
}

fn texts(calls: &[Recorded], ids: &[FieldId]) -> BTreeSet<String> {
    calls.iter().flat_map(|c| ids.iter().map(|id| c.text(*id))).collect()
}

const QUERIES: [FieldId; 2] = [field::POSTGRESQL_QUERY, field::MYSQL_QUERY];

/// Nothing is there that the whole conversation does not have: no other pair, no other statement,
/// no other error.
fn nothing_is_invented(talk: &Talk, found: &[Recorded], what: &str) {
    let all = &talk.all;
    let (pairs, queries) = (places(all), texts(all, &QUERIES));
    let errors = [field::POSTGRESQL_ERROR_MESSAGE, field::MYSQL_ERROR_MESSAGE];
    let known_errors = texts(all, &errors);
    for call in found {
        let place = (call.request_pos, call.response_pos);
        let one_way = call.response_pos.is_none();
        let known = match place {
            (Some(_), Some(_)) => pairs.contains(&place),
            (Some(q), None) => pairs.iter().any(|p| p.0 == Some(q)) || call.incomplete.is_some(),
            _ => call.incomplete.is_some() || pairs.contains(&place),
        };
        assert!(known, "{}: {what}: {call:#?}", talk.name);
        assert!(one_way || call.incomplete.is_some() || place.0.is_none() || pairs.contains(&place));
        for id in QUERIES {
            let text = call.text(id);
            assert!(text.is_empty() || queries.contains(&text), "{}: {what}: {text}", talk.name);
        }
        for id in errors {
            assert!(known_errors.contains(&call.text(id)), "{}: {what}: {call:#?}", talk.name);
        }
        // Rows are counted only where the request is known: an answer that begins in the middle
        // has no such claim.
        if call.incomplete.is_none()
            && let Some(same) = all.iter().find(|c| (c.request_pos, c.response_pos) == place)
        {
            for id in [field::POSTGRESQL_ROWS, field::MYSQL_ROWS] {
                assert_eq!(call.int(id), same.int(id), "{}: {what}: {call:#?}", talk.name);
            }
            assert_eq!(
                (call.failed, call.elapsed_us, call.ttlb_us),
                (same.failed, same.elapsed_us, same.ttlb_us),
                "{}: {what}: {call:#?} {same:#?}",
                talk.name
            );
        }
    }
}

#[test]
fn byte_by_byte_gives_the_same_calls() {
    for talk in talks() {
        let expected = whole(talk, Limits::default()).sink;
        let mut h = flow(talk, Limits::default());
        for s in &talk.said {
            h.at(s.at);
            s.bytes.chunks(1).for_each(|b| {
                h.send(s.role, b);
            });
        }
        h.close(Ending::Closed);
        for (found, call) in h.sink.calls.iter().zip(&expected.calls) {
            assert_eq!(found, call, "{}", talk.name);
        }
        assert_eq!(h.sink.calls.len(), expected.calls.len(), "{}", talk.name);
        let faults = |p: &&Problem| !matches!(p, Problem::PayloadLimit | Problem::Opaque);
        assert_eq!(h.sink.problems.keys().find(faults), None, "{}", talk.name);
    }
}

#[test]
fn no_prefix_does_harm() {
    for talk in talks() {
        let total: usize = talk.said.iter().map(|s| s.bytes.len()).sum();
        let step = (total / 100).max(1);
        for end in (0..total).step_by(step) {
            let mut h = flow(talk, Limits::default());
            let mut left = end;
            for s in &talk.said {
                let n = s.bytes.len().min(left);
                h.at(s.at).send(s.role, &s.bytes[..n]);
                left -= n;
            }
            h.close(Ending::Lost);
            assert!(!h.dissector().is_busy());
            nothing_is_invented(talk, &complete(&h.sink.calls), "prefix");
        }
    }
}

fn complete(calls: &[Recorded]) -> Vec<Recorded> {
    calls.iter().filter(|c| c.incomplete.is_none()).cloned().collect()
}

/// Joined before every packet.
#[test]
fn a_start_in_the_middle_invents_nothing() {
    for talk in talks() {
        let mut found = 0;
        for first in 1..talk.said.len() {
            let mut moved = [0_i64; 2];
            for s in &talk.said[..first] {
                moved[s.role.index()] += s.bytes.len() as i64;
            }
            let mut h = flow(talk, Limits::default());
            for (role, n) in [Role::Client, Role::Server].into_iter().zip(moved) {
                h.gap(role, n as u64);
            }
            for s in &talk.said[first..] {
                h.at(s.at).send(s.role, &s.bytes);
            }
            h.close(Ending::Closed);
            nothing_is_invented(talk, &h.sink.calls, &format!("joined at {first}"));
            found += complete(&h.sink.calls).len();
        }
        let all = &talk.all;
        // About half of all calls remain on average; one or two are given up each time.
        let readable = all.len() > 8;
        assert!(!readable || found * 4 > all.len() * talk.said.len(), "{}: only {found}", talk.name);
    }
}

#[test]
fn a_packet_lost_costs_few_calls() {
    for talk in talks() {
        let all = complete(&talk.all).len();
        for lost in 0..talk.said.len() {
            let mut h = flow(talk, Limits::default());
            for (i, s) in talk.said.iter().enumerate() {
                h.at(s.at);
                if i == lost {
                    h.gap(s.role, s.bytes.len() as u64);
                } else {
                    h.send(s.role, &s.bytes);
                }
            }
            h.close(Ending::Closed);
            nothing_is_invented(talk, &h.sink.calls, &format!("packet {lost} lost"));
            let left = complete(&h.sink.calls).len();
            // A pipeline is lost as a whole. What comes before the login is not known afterwards.
            let beginning = talk.said.iter().take(lost).filter(|s| s.role == Role::Client).count() < 3;
            assert!(left + 16 >= all || beginning, "{}: {left} of {all} after packet {lost}", talk.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_split_gives_the_same_calls(
        which in any::<Index>(),
        cuts in prop::collection::vec(1_usize..400, 1..40),
        payload in prop_oneof![Just(64_usize << 10), 0_usize..300],
    ) {
        let talk = which.get(talks());
        let limits = Limits { payload, ..Limits::default() };
        let expected = whole(talk, limits.clone()).sink;
        let mut h = flow(talk, limits);
        let mut cuts = cuts.iter().cycle();
        for s in &talk.said {
            h.at(s.at);
            let mut rest = &s.bytes[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                h.send(s.role, now);
                rest = later;
            }
        }
        h.close(Ending::Closed);
        prop_assert_eq!(h.sink.calls.len(), expected.calls.len());
        for (found, call) in h.sink.calls.iter().zip(&expected.calls) {
            prop_assert_eq!(found, call, "{}", talk.name);
        }
    }

    #[test]
    fn gaps_never_join_a_request_with_another_ones_response(
        which in any::<Index>(),
        gaps in prop::collection::vec((any::<Index>(), any::<Index>(), 1_usize..3_000), 1..4),
        piece in 1_usize..2_000,
    ) {
        let talk = which.get(talks());
        let mut h = flow(talk, Limits::default());
        let mut lost: Vec<(usize, usize, usize)> = gaps
            .iter()
            .map(|(i, at, len)| {
                let i = i.index(talk.said.len());
                (i, at.index(talk.said[i].bytes.len()), *len)
            })
            .collect();
        lost.sort_unstable();
        for (i, s) in talk.said.iter().enumerate() {
            h.at(s.at);
            let mut at = 0;
            while at < s.bytes.len() {
                let hole = lost.iter().find(|(j, from, len)| *j == i && *from <= at && at < from + len);
                if let Some((_, from, len)) = hole {
                    let n = (from + len).min(s.bytes.len()) - at;
                    h.gap(s.role, n as u64);
                    at += n;
                } else {
                    let next = lost.iter().filter(|(j, from, _)| *j == i && *from > at).map(|l| l.1).min();
                    let end = (at + piece).min(next.unwrap_or(usize::MAX)).min(s.bytes.len());
                    h.send(s.role, &s.bytes[at..end]);
                    at = end;
                }
            }
        }
        h.close(Ending::Closed);
        let pairs = places(&talk.all);
        for call in &h.sink.calls {
            if call.request_pos.is_some() && call.response_pos.is_some() {
                prop_assert!(
                    pairs.contains(&(call.request_pos, call.response_pos)),
                    "{}: {:?}: {:#?}", talk.name, lost, call
                );
            }
        }
        prop_assert!(!h.dissector().is_busy());
    }

    #[test]
    fn no_damage_does_harm(
        which in any::<Index>(),
        flips in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 0..10),
        start in any::<Index>(),
        gap in 0_u64..100,
        payload in 0_usize..400,
    ) {
        let talk = which.get(talks());
        let mut said = talk.said.clone();
        for (i, at, with) in flips {
            let i = i.index(said.len());
            let at = at.index(said[i].bytes.len());
            said[i].bytes[at] ^= with;
        }
        let limits = Limits { payload, message_bytes: 2_000, pending: 3, flow_bytes: 4_000, ..Limits::default() };
        let mut h = flow(talk, limits);
        for s in &said[start.index(said.len())..] {
            for piece in s.bytes.chunks(900) {
                h.at(s.at).send(s.role, piece);
            }
            prop_assert!(h.dissector().memory() < 1 << 20, "{}", h.dissector().memory());
        }
        h.gap(Role::Client, gap).send(Role::Client, &said[0].bytes).send(Role::Server, &said[0].bytes);
        h.close(Ending::Lost);
        prop_assert!(!h.dissector().is_busy());
    }

    #[test]
    fn hostile_lengths_hold_nothing(bytes in prop::collection::vec(any::<u8>(), 0..60), kind in any::<Index>()) {
        let kind = *kind.get(b"QPBDEdTCZRSEN\x03\x16\x17");
        for entry in &ENTRIES {
            for role in [Role::Client, Role::Server] {
                for header in [&[kind, 0x3f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0, kind], &[kind, 0, 0, 0, 60]] {
                    let mut h = Harness::new(entry, Transport::Tcp);
                    for _ in 0..40 {
                        h.send(role, header).send(role, &bytes);
                    }
                    prop_assert!(h.dissector().memory() < 1 << 18);
                    h.close(Ending::Lost);
                    prop_assert!(!h.dissector().is_busy());
                }
            }
        }
    }
}
