//! TLS and QUIC: the recorded conversations in pieces, with gaps and damaged, with keys and without.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use proptest::sample::Index;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::harness::{Harness, Recorded, Recorder, Value};
use remora_dissect::tls::{self, Secrets};
use remora_dissect::{Ending, Limits, Problem, Role};
use remora_model::{CaptureSource, FieldId, Transport, field};
use support::conversation::{Said, conversations};
use support::run_bytes;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/tlsx")
}

fn keys(name: &str) -> Secrets {
    let mut secrets = Secrets::default();
    if let Ok(text) = std::fs::read(directory().join(name).with_extension("keys")) {
        secrets.add_key_log(&text);
    }
    secrets
}

/// One connection.
struct Talk {
    name: &'static str,
    said: Vec<Said>,
    secrets: Secrets,
    /// Its calls when nothing is missing.
    all: Vec<Recorded>,
}

/// Every connection over TCP.
fn talks() -> &'static [Talk] {
    static TALKS: LazyLock<Vec<Talk>> = LazyLock::new(|| {
        let mut talks = Vec::new();
        for (name, ports) in [
            ("tls13", &[4433][..]),
            ("tls12", &[4433]),
            ("old", &[4433]),
            ("keyupdate", &[4443]),
            ("sslv2", &[4433]),
            ("resumption", &[4434]),
            ("failures", &[4434, 4435, 4436]),
            ("http", &[4443]),
        ] {
            for port in ports {
                let file = directory().join(format!("{name}.pcap"));
                for mut said in conversations(&file, *port).into_values() {
                    // What was sent again on a busy machine.
                    let mut seen = std::collections::BTreeSet::new();
                    said.retain(|s| s.bytes.len() < 8 || seen.insert(s.bytes.clone()));
                    // The capture has connections to other ports.
                    if !said.iter().any(|s| s.role == Role::Client) {
                        continue;
                    }
                    let mut talk = Talk { name, said, secrets: keys(name), all: Vec::new() };
                    talk.all = whole(&talk, Limits::default()).sink.calls;
                    talks.push(talk);
                }
            }
        }
        assert!(talks.len() > 35);
        talks
    });
    &TALKS
}

fn flow(talk: &Talk, limits: Limits) -> Harness {
    let mut h = Harness::with(&tls::ENTRY, Transport::Tcp, limits, Recorder::default());
    h.set_secrets(talk.secrets.clone());
    h
}

fn whole(talk: &Talk, limits: Limits) -> Harness {
    let mut h = flow(talk, limits);
    for s in &talk.said {
        h.at(s.at).send(s.role, &s.bytes);
    }
    h.close(Ending::Closed);
    h
}

type Essence<'a> = ([Option<i64>; 2], bool, Option<&'static str>, BTreeMap<&'a str, Value>);

/// What of a call does not depend on how bytes were split. A record counts as seen with its last
/// byte, so that times are those of the pieces.
fn essence(call: &Recorded) -> Essence<'_> {
    ([call.request_pos, call.response_pos], call.failed, call.incomplete, call.fields.clone())
}

fn text(call: &Recorded, id: FieldId) -> String {
    call.text(id)
}

#[test]
fn byte_by_byte_gives_the_same_calls() {
    for talk in talks() {
        let mut h = flow(talk, Limits::default());
        for s in &talk.said {
            h.at(s.at);
            s.bytes.chunks(1).for_each(|b| {
                h.send(s.role, b);
            });
        }
        h.close(Ending::Closed);
        assert_eq!(h.sink.calls, talk.all, "{}", talk.name);
    }
}

/// Without keys there is the handshake and nothing else, and nothing counts as lost.
#[test]
fn without_keys_the_handshake_remains() {
    for talk in talks() {
        let mut h = Harness::new(&tls::ENTRY, Transport::Tcp);
        for s in &talk.said {
            h.at(s.at).send(s.role, &s.bytes);
        }
        h.close(Ending::Closed);
        let with = talk.all.iter().find(|c| c.get(field::TLSX_CIPHER_SUITES).is_some());
        let with = with.unwrap_or_else(|| panic!("{}: {:#?} {:?}", talk.name, talk.all, talk.said));
        assert_eq!(h.sink.calls.len(), 1, "{}", talk.name);
        let without = &h.sink.calls[0];
        assert!(h.sink.problems.keys().all(|p| !p.is_loss()), "{}: {:?}", talk.name, h.sink.problems);
        for id in [
            field::TLSX_SNI,
            field::TLSX_JA3,
            field::TLSX_JA3S,
            field::TLSX_JA4,
            field::TLSX_VERSION,
            field::TLSX_CIPHER_SUITE,
            field::TLSX_CIPHER_SUITES,
            field::TLSX_RESUMED,
            field::TLSX_HELLO_RETRY,
        ] {
            assert_eq!(without.get(id), with.get(id), "{}", talk.name);
        }
        // What TLS 1.3 hides: certificates, and why a client's was refused.
        if without.int(field::TLSX_VERSION) == Some(0x0304) {
            assert!(without.get(field::TLSX_CERT_SUBJECT).is_none());
        } else {
            assert_eq!(without.get(field::TLSX_CERT_SUBJECT), with.get(field::TLSX_CERT_SUBJECT));
            assert_eq!(without.failed, with.failed);
        }
        // The rest is not wanted at all.
        assert!(with.failed || h.skipping(Role::Server) > 0, "{}", talk.name);
    }
}

/// With keys every exchange of every suite is there, HTTP included.
#[test]
fn with_keys_the_plaintext_is_read() {
    let mut http = 0;
    for talk in talks() {
        let h = whole(talk, Limits::default());
        let handshake = h.sink.calls.iter().find(|c| c.get(field::TLSX_CIPHER_SUITES).is_some()).unwrap();
        let suite = text(handshake, field::TLSX_CIPHER_SUITE_NAME);
        let unreadable = handshake.failed || suite.contains("CAMELLIA") || talk.name == "sslv2";
        let requests = h.sink.calls.iter().filter(|c| c.int(field::STATUS_CODE).is_some()).count();
        assert_eq!(requests == 0, unreadable, "{} {suite}: {:#?}", talk.name, h.sink.problems);
        http += requests;
        let lost: Vec<_> = h.sink.problems.keys().filter(|p| p.is_loss()).collect();
        let expected: &[Problem] = if suite.contains("CAMELLIA") { &[Problem::UnknownCipher] } else { &[] };
        assert!(lost.iter().all(|p| expected.contains(p)), "{} {suite}: {lost:?}", talk.name);
    }
    assert!(http > 30, "{http}");
}

/// Keys of other connections change nothing but the reason.
#[test]
fn keys_of_others_do_not_help() {
    for talk in talks().iter().filter(|t| t.name == "tls13") {
        let mut h = Harness::new(&tls::ENTRY, Transport::Tcp);
        h.set_secrets(keys("http"));
        for s in &talk.said {
            h.at(s.at).send(s.role, &s.bytes);
        }
        h.close(Ending::Closed);
        assert_eq!(h.sink.calls.len(), 1);
        assert_eq!(h.sink.problems.keys().collect::<Vec<_>>(), [&Problem::NoSecrets]);
    }
}

/// Secrets that are not those of the connection are noticed.
#[test]
fn wrong_keys_are_noticed() {
    for talk in talks().iter().filter(|t| ["tls13", "tls12"].contains(&t.name)) {
        let file = std::fs::read_to_string(directory().join(talk.name).with_extension("keys")).unwrap();
        let wrong: Vec<String> = file
            .lines()
            .map(|line| {
                let (rest, secret) = line.rsplit_once(' ').unwrap_or((line, ""));
                format!("{rest} {}\n", secret.replace('1', "2"))
            })
            .collect();
        let mut secrets = Secrets::default();
        secrets.add_key_log(wrong.concat().as_bytes());
        let mut h = Harness::new(&tls::ENTRY, Transport::Tcp);
        h.set_secrets(secrets);
        for s in &talk.said {
            h.at(s.at).send(s.role, &s.bytes);
        }
        h.close(Ending::Closed);
        assert_eq!(h.sink.calls.len(), 1, "{}", talk.name);
        assert!(h.sink.problems.contains_key(&Problem::DecryptFailed), "{}", talk.name);
    }
}

/// After a record is lost the next ones are read all the same.
#[test]
fn a_lost_record_costs_little() {
    // The connection with two requests one after another.
    let talk = talks()
        .iter()
        .find(|t| {
            t.all.iter().filter(|c| c.int(field::STATUS_CODE).is_some()).count() == 2 && t.name == "http"
        })
        .unwrap();
    let mut read = 0;
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
        read += h
            .sink
            .calls
            .iter()
            .filter(|c| c.incomplete.is_none() && c.int(field::STATUS_CODE).is_some())
            .count();
    }
    assert!(read >= talk.said.len(), "{read} of {}", talk.said.len());
}

/// The client is silent after the handshake and closes; what the server then says is over in the end.
#[test]
fn one_side_of_the_plaintext_is_enough_to_end() {
    for talk in talks() {
        let mut h = flow(talk, Limits::default());
        // Its hello and the end of its handshake.
        let mut left = 2;
        for s in &talk.said {
            h.at(s.at);
            if s.role == Role::Server || left > 0 {
                h.send(s.role, &s.bytes);
            }
            if s.role == Role::Client && left > 0 {
                left -= 1;
                if left == 0 {
                    h.end(Role::Client, Ending::Closed);
                }
            }
        }
        h.end(Role::Server, Ending::Closed);
        assert!(!h.dissector().is_busy(), "{}", talk.name);
    }
}

/// Joined before any packet: what is reported was said.
#[test]
fn a_start_in_the_middle_invents_nothing() {
    for talk in talks() {
        for first in 1..talk.said.len() {
            let mut h = flow(talk, Limits::default());
            for role in [Role::Client, Role::Server] {
                h.gap(role, 1);
            }
            for s in &talk.said[first..] {
                h.at(s.at).send(s.role, &s.bytes);
            }
            h.close(Ending::Closed);
            for call in &h.sink.calls {
                if call.int(field::STATUS_CODE).is_some() {
                    // A second hello was left, with which everything can be read.
                    assert!(talk.all.iter().any(|c| c.fields == call.fields), "{}: {call:#?}", talk.name);
                    continue;
                }
                assert!(call.incomplete.is_some(), "{} {first}: {:?}\n{call:#?}", talk.name, talk.said);
            }
            assert!(!h.dissector().is_busy());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_split_gives_the_same_calls(
        which in any::<Index>(),
        cuts in prop::collection::vec(1_usize..3_000, 1..40),
    ) {
        let talk = which.get(talks());
        let mut h = flow(talk, Limits::default());
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
        prop_assert_eq!(h.sink.calls.iter().map(essence).collect::<Vec<_>>(), talk.all.iter().map(essence).collect::<Vec<_>>());
    }

    #[test]
    fn no_damage_does_harm(
        which in any::<Index>(),
        flips in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 0..10),
        gaps in prop::collection::vec((any::<Index>(), 1_u64..2_000), 0..3),
        payload in 0_usize..400,
    ) {
        let talk = which.get(talks());
        let mut said = talk.said.clone();
        for (i, at, with) in flips {
            let i = i.index(said.len());
            let at = at.index(said[i].bytes.len());
            said[i].bytes[at] ^= with;
        }
        let limits = Limits { payload, message_bytes: 20_000, pending: 3, flow_bytes: 4_000, ..Limits::default() };
        let mut h = flow(talk, limits);
        for (i, s) in said.iter().enumerate() {
            for (at, len) in &gaps {
                if at.index(said.len()) == i {
                    h.gap(s.role, *len);
                }
            }
            for piece in s.bytes.chunks(900) {
                h.at(s.at).send(s.role, piece);
            }
            prop_assert!(h.dissector().memory() < 1 << 20, "{}", h.dissector().memory());
        }
        h.close(Ending::Lost);
        prop_assert!(!h.dissector().is_busy());
    }

    #[test]
    fn datagrams_of_quic_come_in_any_order(
        order in prop::collection::vec(any::<Index>(), 30),
        flips in prop::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 0..4),
    ) {
        let all = datagrams();
        for flow in all.values() {
            let mut flow = flow.clone();
            for (i, to) in order.iter().take(flow.len()).enumerate() {
                let to = to.index(flow.len());
                flow.swap(i, to);
            }
            for (i, at, with) in &flips {
                let i = i.index(flow.len());
                let at = at.index(flow[i].1.len());
                flow[i].1[at] ^= with;
            }
            let mut h = Harness::new(&tls::ENTRY, Transport::Udp);
            for (role, bytes) in &flow {
                h.send(*role, bytes);
                prop_assert!(h.dissector().memory() < 1 << 18);
            }
            h.close(Ending::Lost);
            prop_assert!(!h.dissector().is_busy());
            for call in &h.sink.calls {
                let name = call.text(field::TLSX_SNI);
                prop_assert!(name.is_empty() || name == "shop.example");
            }
        }
    }
}

/// The datagrams of each flow to the QUIC server, by the client's port.
fn datagrams() -> BTreeMap<u16, Vec<(Role, Vec<u8>)>> {
    let bytes = std::fs::read(directory().join("quic.pcap")).unwrap();
    let mut capture = remora_dissect::file::CaptureFile::new(&bytes[..]).unwrap();
    let mut all: BTreeMap<u16, Vec<_>> = BTreeMap::new();
    while let Some(frame) = capture.next_frame().unwrap() {
        let udp = &frame.bytes[14 + usize::from(frame.bytes[14] & 15) * 4..];
        let [from, to] = [0, 2].map(|i| u16::from_be_bytes([udp[i], udp[i + 1]]));
        let (role, client) = if to == 4445 { (Role::Client, from) } else { (Role::Server, to) };
        all.entry(client).or_default().push((role, udp[8..].to_vec()));
    }
    all
}

/// A capture with its secrets in it reads like one with a key log beside it.
#[test]
fn secrets_in_the_capture_are_used() {
    let run = |name: &str, beside: bool| {
        let bytes = std::fs::read(directory().join(name)).unwrap();
        let mut engine = Engine::new(Limits::default(), CaptureSource::File, FlowIds::new(1, 1));
        if beside {
            engine.set_secrets(Arc::new(keys(name)));
        }
        let mut recorder = Recorder::default();
        let (_, fault) = run_bytes(&bytes, &mut engine, &mut recorder);
        assert!(fault.is_none());
        recorder.calls
    };
    let inside = run("secrets_block.pcapng", false);
    assert_eq!(inside, run("http.pcap", true));
    assert!(inside.len() > run("http.pcap", false).len());
}
