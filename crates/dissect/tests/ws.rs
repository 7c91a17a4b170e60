//! WebSocket under any split, gap and mutation of its bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;
use remora_dissect::harness::{Harness, Recorded, Recorder, Value};
use remora_dissect::{Ending, Limits, Role, http, ws};
use remora_model::{Transport, field as f};

const ASK: &[u8] = b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const ACCEPT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: graphql-ws\r\n\r\n";

/// A message as it is to be sent.
#[derive(Clone, Debug)]
struct Spec {
    text: String,
    pieces: usize,
    packed: bool,
    ping: bool,
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let text = prop_oneof!["[a-z ]{0,40}", "(the same words ){0,200}"];
    let spec = (text, 1..4_usize, any::<bool>(), any::<bool>());
    vec(spec.prop_map(|(text, pieces, packed, ping)| Spec { text, pieces, packed, ping }), 0..12)
}

fn frame(role: Role, first: u8, payload: &[u8], out: &mut Vec<u8>) {
    let mask = if role == Role::Client { 0x80 } else { 0 };
    out.push(first);
    match payload.len() {
        n @ 0..126 => out.push(mask | n as u8),
        n => {
            out.push(mask | 126);
            out.extend((n as u16).to_be_bytes());
        }
    }
    let key = [1, 2, 3, 4];
    if role == Role::Client {
        out.extend(key);
        out.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    } else {
        out.extend(payload);
    }
}

/// What `role` sends.
fn wire(role: Role, specs: &[Spec]) -> Vec<u8> {
    let (mut out, mut packer) = (Vec::new(), Compress::new(Compression::best(), false));
    for spec in specs {
        let mut payload = spec.text.clone().into_bytes();
        if spec.packed {
            let mut packed = Vec::with_capacity(payload.len() + 100);
            packer.compress_vec(&payload, &mut packed, FlushCompress::Sync).unwrap();
            // A compressor that has nothing to say twice says nothing: such a message is one empty block (RFC
            // 7692, section 7.2.3.6).
            payload = packed.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap_or(&[0]).to_vec();
        }
        let size = (payload.len() / spec.pieces).max(1);
        let pieces: Vec<&[u8]> = if payload.is_empty() { vec![b""] } else { payload.chunks(size).collect() };
        for (i, piece) in pieces.iter().enumerate() {
            let first = if i == 0 { 0x01 | if spec.packed { 0x40 } else { 0 } } else { 0 };
            let fin = if i + 1 == pieces.len() { 0x80 } else { 0 };
            frame(role, fin | first, piece, &mut out);
            if spec.ping && i == 0 {
                frame(role, 0x89, b"are you there", &mut out);
            }
        }
    }
    out
}

fn texts(calls: &[Recorded], role: Role) -> Vec<String> {
    let id = if role == Role::Client { f::WS_REQUEST_PAYLOAD_DATA } else { f::WS_RESPONSE_PAYLOAD_DATA };
    let sender = if role == Role::Client { "client" } else { "server" };
    let of = |c: &&Recorded| c.text(f::WS_OPCODE) == "text" && c.text(f::WS_SENDER) == sender;
    calls.iter().filter(of).map(|c| c.text(id)).collect()
}

fn open() -> Harness {
    let mut flow = Harness::new(&http::ENTRY, Transport::Tcp);
    flow.client(ASK).server(ACCEPT);
    flow
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_do_not_depend_on_the_split(client in specs(), server in specs(), cuts in vec(1..200_usize, 1..40)) {
        let mut flow = open();
        for (role, specs) in [(Role::Client, &client), (Role::Server, &server)] {
            let bytes = wire(role, specs);
            let (mut rest, mut sizes) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
                flow.send(role, now);
                rest = later;
            }
        }
        flow.close(Ending::Closed);
        prop_assert!(flow.sink.problems.is_empty(), "{:?}", flow.sink.problems);
        for (role, specs) in [(Role::Client, &client), (Role::Server, &server)] {
            let sent: Vec<_> = specs.iter().map(|s| s.text.clone()).collect();
            prop_assert_eq!(texts(&flow.sink.calls, role), sent);
        }
        let pings = flow.sink.calls.iter().filter(|c| c.text(f::WS_OPCODE) == "ping").count();
        prop_assert_eq!(pings, client.iter().chain(&server).filter(|s| s.ping).count());
    }

    #[test]
    fn what_is_reported_after_a_gap_was_sent(specs in specs(), at in any::<prop::sample::Index>(), len in 1..300_usize) {
        let bytes = wire(Role::Server, &specs);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        let len = len.min(bytes.len() - at);
        let mut flow = open();
        flow.server(&bytes[..at]).gap(Role::Server, len as u64).server(&bytes[at + len..]).close(Ending::Closed);
        prop_assert!(!flow.dissector().is_busy());
        for call in flow.sink.calls.iter().filter(|c| c.incomplete.is_none() && c.text(f::WS_OPCODE) == "text") {
            let text = call.text(f::WS_RESPONSE_PAYLOAD_DATA);
            let unknown = text.is_empty() && call.get(f::WS_PAYLOAD_TRUNCATED) == Some(&Value::Bool(true));
            prop_assert!(unknown || specs.iter().any(|s| s.text == text), "{text}");
        }
    }

    #[test]
    fn damage_does_no_harm(
        specs in specs(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..10), joined in any::<bool>(),
        noise in vec(any::<u8>(), 0..200), cut in 1..100_usize,
    ) {
        let limits = Limits { payload: 100, message_bytes: 1_000, pending: 4, ..Limits::default() };
        let entry = if joined { &ws::ENTRY } else { &http::ENTRY };
        let mut flow = Harness::with(entry, Transport::Tcp, limits, Recorder::default());
        if !joined {
            flow.client(ASK).server(ACCEPT);
        }
        for role in [Role::Client, Role::Server] {
            let mut bytes = [wire(role, &specs), noise.clone()].concat();
            for (at, value) in &damage {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *value;
                }
            }
            for piece in bytes.chunks(cut) {
                flow.send(role, piece);
                prop_assert!(flow.dissector().memory() < 256 << 10);
            }
        }
        flow.close(Ending::Lost);
        prop_assert!(!flow.dissector().is_busy());
    }
}

/// One message or control frame: sender, opcode, frames, bytes of payload, beginning of the text,
/// close code.
type Line = (String, String, i64, i64, String, String);

/// What the committed calls of a capture say.
fn lines(calls: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for call in calls.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()) {
        let Some(opcode) = call["ws_opcode"].as_str() else { continue };
        let sender = call["ws_sender"].as_str().unwrap();
        for side in ["client", "server"] {
            let prefix = if side == "client" { "ws_request" } else { "ws_response" };
            let Some(length) = call[format!("{prefix}_payload_length")].as_i64() else { continue };
            let text = call[format!("{prefix}_payload_data")]
                .as_str()
                .filter(|_| opcode == "text")
                .unwrap_or_default();
            let opcode = if opcode == "ping" && side != sender { "pong" } else { opcode };
            let code = call["ws_close_code"].as_i64().map(|c| c.to_string()).unwrap_or_default();
            let text = text.chars().take(64).collect();
            lines.push((
                side.into(),
                opcode.into(),
                call["ws_frames"].as_i64().unwrap_or(1),
                length,
                text,
                code,
            ));
        }
    }
    lines.sort();
    lines
}

/// What `corpus/ws/oracle.py` wrote down of it.
fn oracle(text: &str) -> Vec<Line> {
    let line = |l: &str| {
        let c: Vec<&str> = l.split('\t').collect();
        let n = |i: usize| c[i].parse().unwrap();
        (c[0].into(), c[1].into(), n(2), n(3), c[4].into(), c[5].into())
    };
    let mut lines: Vec<Line> = text.lines().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn messages_agree_with_tshark() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/ws");
    for name in ["plain", "deflate", "endings"] {
        let read = |extension| std::fs::read_to_string(dir.join(name).with_extension(extension)).unwrap();
        let (mut ours, mut theirs) = (lines(&read("ndjson")), oracle(&read("tshark")));
        // tshark 4.0 has no text of a message of several frames, or the compressed bytes as one.
        for line in ours.iter_mut().chain(&mut theirs).filter(|l| l.2 > 1) {
            line.4.clear();
        }
        assert!(ours.len() > 5);
        assert_eq!(ours, theirs, "{name}");
    }
}
