//! What must hold for every conversation.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use remora_dissect::detect::Entry;
use remora_dissect::file::CaptureFile;
use remora_dissect::harness::{Harness, Recorded, Recorder};
use remora_dissect::{Ending, Engine, FlowIds, Limits, Problem, Role, diameter, ldap, radius, smtp};
use remora_model::{CaptureSource, Transport};

use crate::support::conversation::{Said, conversations};

/// What depends on what was said before, and is left out after a gap.
const CONTEXT: [&str; 5] = ["ldap_user", "smtp_client_name", "smtp_from", "smtp_to", "smtp_summary"];

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// The captures of streams, with the port of the server.
fn streams() -> Vec<(&'static Entry, &'static str, u16)> {
    vec![
        (&ldap::ENTRY, "ldap/operations.pcap", 3890),
        (&ldap::ENTRY, "ldap/async.pcap", 3890),
        (&diameter::ENTRY, "diameter/applications.pcap", 3868),
        (&diameter::ENTRY, "diameter/daemons.pcap", 3868),
        (&smtp::ENTRY, "smtp/mails.pcap", 2525),
        (&smtp::ENTRY, "smtp/session.pcap", 2525),
        (&smtp::ENTRY, "smtp/session.pcap", 2424),
    ]
}

fn talks() -> Vec<(&'static Entry, Vec<Said>)> {
    let all = streams().into_iter();
    all.flat_map(|(entry, name, port)| {
        // Of a file with two servers the helper makes monologues of what the other one heard.
        let both =
            |talk: &Vec<Said>| [Role::Client, Role::Server].iter().all(|r| talk.iter().any(|s| s.role == *r));
        conversations(&corpus(name), port).into_values().filter(both).map(move |said| (entry, said))
    })
    .collect()
}

fn whole(entry: &Entry, talk: &[Said]) -> Harness {
    let mut h = Harness::new(entry, Transport::Tcp);
    for said in talk {
        h.at(said.at).send(said.role, &said.bytes);
    }
    h.close(Ending::Closed);
    h
}

/// A call without what depends on what was said before.
fn bare(call: &Recorded) -> Recorded {
    let mut call = call.clone();
    CONTEXT.iter().for_each(|name| drop(call.fields.remove(name)));
    call
}

#[test]
fn recorded_conversations_have_no_problems() {
    for (entry, talk) in talks() {
        let h = whole(entry, &talk);
        let odd: Vec<_> = h.sink.problems.keys().filter(|p| **p != Problem::PayloadLimit).collect();
        assert!(odd.is_empty() && !h.sink.calls.is_empty(), "{:?}: {odd:?}", entry.protocol);
        assert!(!h.dissector().is_busy());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_split_gives_the_same_calls(seed in any::<u64>(), most in 1_usize..200) {
        let all = talks();
        let (entry, talk) = &all[seed as usize % all.len()];
        let mut h = Harness::new(entry, Transport::Tcp);
        let mut state = seed | 1;
        for said in talk {
            let mut rest = said.bytes.as_slice();
            while !rest.is_empty() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let most = if said.bytes.len() > 4_096 { most * 64 } else { most };
                let n = ((state >> 33) as usize % most + 1).min(rest.len());
                h.at(said.at).send(said.role, &rest[..n]);
                rest = &rest[n..];
            }
        }
        h.close(Ending::Closed);
        let expected = whole(entry, talk);
        prop_assert_eq!(&h.sink.calls, &expected.sink.calls);
        prop_assert_eq!(&h.sink.problems, &expected.sink.problems);
    }

    /// Where bytes are missing, a call that claims to be whole is one that was meant.
    #[test]
    fn gaps_join_nothing(seed in any::<usize>(), at in any::<usize>(), from in any::<usize>(), len in 1_usize..300) {
        let all = talks();
        let (entry, talk) = &all[seed % all.len()];
        let at = at % talk.len();
        let mut h = Harness::new(entry, Transport::Tcp);
        for (i, said) in talk.iter().enumerate() {
            h.at(said.at);
            if i == at {
                let from = from % said.bytes.len();
                let to = (from + len).min(said.bytes.len());
                h.send(said.role, &said.bytes[..from]);
                h.gap(said.role, (to - from) as u64);
                h.send(said.role, &said.bytes[to..]);
            } else {
                h.send(said.role, &said.bytes);
            }
            if h.handed_over() {
                break;
            }
        }
        h.close(Ending::Closed);
        let expected: Vec<Recorded> = whole(entry, talk).sink.calls.iter().map(bare).collect();
        for call in h.sink.calls.iter().filter(|c| c.incomplete.is_none()) {
            prop_assert!(expected.contains(&bare(call)), "{:?}: {:?}", entry.protocol, call);
        }
    }

    #[test]
    fn damage_does_no_harm(seed in any::<usize>(), hits in prop::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..6)) {
        let all = talks();
        let (entry, talk) = &all[seed % all.len()];
        let mut talk = talk.clone();
        for (said, at, byte) in hits {
            let said = said % talk.len();
            let bytes = &mut talk[said].bytes;
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let limits = Limits { pending: 8, payload: 2_000, ..Limits::default() };
        let mut h = Harness::with(entry, Transport::Tcp, limits, Recorder::default());
        for said in &talk {
            h.send(said.role, &said.bytes);
            if h.handed_over() {
                return Ok(());
            }
            prop_assert!(h.dissector().memory() < 1 << 20);
        }
        h.close(Ending::Lost);
        prop_assert!(!h.dissector().is_busy());
    }

    #[test]
    fn damaged_packets_of_radius_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), code in 1_u8..60) {
        let mut bytes = bytes;
        if bytes.len() > 4 {
            bytes[0] = code;
            let len = (bytes.len() as u16).to_be_bytes();
            bytes[2..4].copy_from_slice(&len);
        }
        let mut h = Harness::new(&radius::ENTRY, Transport::Udp);
        (radius::ENTRY.probe)(&bytes, Transport::Udp);
        h.client(&bytes).server(&bytes).end(Role::Client, Ending::Lost);
        prop_assert!(!h.dissector().is_busy());
    }
}

/// Started at any packet of a capture, calls that claim to be whole are those of the capture.
#[test]
fn joined_anywhere_nothing_is_invented() {
    let mut names: Vec<&str> = streams().iter().map(|s| s.1).collect();
    names.extend([
        "radius/access.pcap",
        "radius/accounting.pcap",
        "ldap/starttls.pcap",
        "smtp/starttls.pcap",
    ]);
    names.dedup();
    for name in names {
        let bytes = std::fs::read(corpus(name)).unwrap();
        let run = |skip: usize| {
            let limits = Limits { unknown_entries: false, ..Limits::default() };
            let mut engine = Engine::new(limits, CaptureSource::File, FlowIds::new(1, 1));
            let mut sink = Recorder::default();
            let mut file = CaptureFile::new(&bytes[..]).unwrap();
            let mut at = 0;
            while let Some(f) = file.next_frame().unwrap() {
                if at >= skip {
                    engine.frame(f.ts, f.link, f.bytes, f.wire_len, &mut sink);
                }
                at += 1;
            }
            engine.finish(&mut sink);
            (sink.calls, at)
        };
        let content = |call: &Recorded| (call.ts, bare(call).fields);
        let (all, frames) = run(0);
        let all: Vec<_> = all.iter().map(content).collect();
        for skip in (1..frames).step_by(if frames > 150 { 7 } else { 1 }) {
            for call in run(skip).0.iter().filter(|c| c.incomplete.is_none()) {
                assert!(all.contains(&content(call)), "{name} from {skip}: {call:?}");
            }
        }
    }
}
