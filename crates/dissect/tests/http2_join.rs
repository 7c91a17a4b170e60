//! HTTP/2 that is not seen from its beginning, or not whole: what is certain is shown, what is not
//! is marked, and nothing is made up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/http2.rs"]
mod wire;

use std::collections::BTreeMap;

use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::harness::{Harness, Recorded, Recorder, Value};
use remora_dissect::{Ending, Limits, Problem, Role, Verdict, http2};
use remora_model::{CaptureSource, FieldId, Timestamp, Transport, field as f};
use support::packets::{ACK, SYN, client, server, tcp};
use wire::*;

/// A piece of a conversation: who says what.
type Piece = (Role, Vec<u8>);

/// A conversation of `n` calls, each of which names itself in every message: alternately plain and
/// of gRPC, two at a time.
fn conversation(n: u32) -> Vec<Piece> {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut pieces = vec![(Role::Client, hello()), (Role::Server, settings())];
    let id = |pair: u32, i: u32| 1 + 4 * pair + 2 * i;
    let say = |id: u32| message(0, &[b"\x0a\x02", format!("{:02}", id % 100).as_bytes()].concat());
    for pair in 0..n / 2 {
        let (plain, called) = (id(pair, 0), id(pair, 1));
        let names = [plain, called].map(|id| (id.to_string(), format!("/call/{id}")));
        let fields = |i: usize| [("x-id", names[i].0.as_str()), ("user-agent", "someone")];
        let request = c.headers(plain, END_STREAM, &[get(&names[0].1).as_slice(), &fields(0)].concat());
        pieces.push((Role::Client, request));
        let request = c.headers(called, 0, &[rpc(&names[1].1).as_slice(), &fields(1)].concat());
        pieces.push((Role::Client, request));
        pieces.push((Role::Client, frame(DATA, END_STREAM, called, &say(called))));
        pieces.push((Role::Client, frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0])));
        // The server answers the second first.
        let ok = [(":status", "200"), ("content-type", "application/grpc"), fields(1)[0], ("server", "one")];
        pieces.push((Role::Server, s.headers(called, 0, &ok)));
        pieces.push((Role::Server, frame(DATA, 0, called, &say(called))));
        pieces.push((Role::Server, s.headers(called, END_STREAM, &[("grpc-status", "0")])));
        let ok = [(":status", "200"), fields(0)[0], ("server", "one")];
        pieces.push((Role::Server, s.headers(plain, 0, &ok)));
        pieces.push((Role::Server, frame(DATA, END_STREAM, plain, names[0].0.as_bytes())));
    }
    pieces
}

/// The ids that request and response say, where they are known.
fn ids(call: &Recorded) -> [Option<String>; 2] {
    [f::REQUEST_HEADERS, f::RESPONSE_HEADERS].map(|id| call.entry(id, "x-id"))
}

/// No call says what another one said: each header that is known is the one that was sent.
fn check(call: &Recorded) {
    let stream = call.int(f::HTTP2_STREAM).unwrap().to_string();
    for id in ids(call).into_iter().flatten() {
        assert_eq!(id, stream, "{call:?}");
    }
    let path = call.text(f::PATH);
    assert!(path.is_empty() || path == format!("/call/{stream}"), "{call:?}");
    if let Some(status) = call.int(f::STATUS_CODE) {
        assert_eq!(status, 200);
    }
    let known: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("user-agent", ["someone"].as_slice()),
        ("server", &["one"]),
        (":method", &["GET", "POST"]),
        ("content-type", &["application/grpc", "application/grpc+proto"]),
        ("te", &["trailers"]),
        ("grpc-status", &["0"]),
    ]);
    for side in [f::REQUEST_HEADERS, f::RESPONSE_HEADERS] {
        let Some(Value::Map(fields)) = call.get(side) else { continue };
        for (name, value) in fields {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            if let Some(values) = known.get(name.as_ref()).filter(|_| value != "?") {
                assert!(values.contains(&value.as_ref()), "{name}: {value}");
            }
        }
        let unknown = fields.iter().filter(|(n, v)| n == b"?" || v == b"?").count();
        if unknown > 0 {
            assert!(call.int(f::HTTP2_UNKNOWN_HEADERS).is_some());
        }
    }
}

fn text_of(call: &Recorded, id: FieldId) -> String {
    call.text(id)
}

/// What the engine makes of packets that carry the pieces from the `from`th on. Where these are too few
/// to be known, that is not told here.
fn captured(pieces: &[Piece], from: usize) -> Recorder {
    let limits = Limits { unknown_entries: false, ..Limits::default() };
    let mut engine = Engine::new(limits, CaptureSource::File, FlowIds::new(1, 1));
    let mut kept = Recorder::default();
    let (mut seq, mut now) = ([101_u32, 501], Timestamp(1_000_000_000_000));
    let mut send = |packet: Vec<u8>, kept: &mut Recorder| {
        now = now.plus(std::time::Duration::from_micros(10));
        engine.packet(now, &packet, u32::try_from(packet.len()).unwrap(), kept);
    };
    if from == 0 {
        send(tcp(client(), server(), 100, 0, SYN, b""), &mut kept);
        send(tcp(server(), client(), 500, 101, SYN | ACK, b""), &mut kept);
    }
    for (i, (role, bytes)) in pieces.iter().enumerate() {
        let (me, other) = (role.index(), role.other().index());
        if i >= from {
            let (a, b) = if *role == Role::Client { (client(), server()) } else { (server(), client()) };
            send(tcp(a, b, seq[me], seq[other], ACK, bytes), &mut kept);
        }
        seq[me] += bytes.len() as u32;
    }
    engine.finish(&mut kept);
    kept
}

#[test]
fn a_capture_may_begin_at_every_frame() {
    let pieces = conversation(40);
    let whole = captured(&pieces, 0);
    assert_eq!(whole.calls.len(), 40);
    assert!(
        whole.calls.iter().all(|c| c.incomplete.is_none()) && whole.problems.is_empty(),
        "{:?}",
        whole.problems
    );
    let mut named = 0;
    for from in 1..pieces.len() {
        let kept = captured(&pieces, from);
        kept.calls.iter().for_each(check);
        // Every call of which the request is there is found.
        let expected: Vec<String> = pieces[from..]
            .iter()
            .filter(|(role, bytes)| *role == Role::Client && bytes[3] == HEADERS)
            .map(|(_, bytes)| u32::from_be_bytes(bytes[5..9].try_into().unwrap()).to_string())
            .collect();
        for stream in &expected {
            let found = kept.calls.iter().filter(|c| c.int(f::HTTP2_STREAM).unwrap().to_string() == *stream);
            assert_eq!(found.count(), 1, "stream {stream} of the capture from {from}");
        }
        let streams: std::collections::BTreeSet<_> =
            kept.calls.iter().map(|c| c.int(f::HTTP2_STREAM)).collect();
        assert_eq!(streams.len(), kept.calls.len(), "a stream is one call");
        // What is literal on the wire is known from the first call on, and what is not, as well
        // once it has been sent again.
        named += kept.calls.iter().filter(|c| !text_of(c, f::PATH).is_empty()).count();
    }
    assert!(named > 1_000, "{named}");
}

#[test]
fn no_prefix_and_no_tail_of_a_capture_panics() {
    let pieces = conversation(6);
    let stream =
        |role: Role| -> Vec<u8> { pieces.iter().filter(|p| p.0 == role).flat_map(|p| p.1.clone()).collect() };
    let streams = [stream(Role::Client), stream(Role::Server)];
    for cut in 0..streams[0].len().max(streams[1].len()) {
        let at = streams.each_ref().map(|s| cut.min(s.len()));
        for tail in [false, true] {
            let mut flow = Harness::new(&http2::ENTRY, Transport::Tcp);
            for role in [Role::Client, Role::Server] {
                let (front, back) = streams[role.index()].split_at(at[role.index()]);
                flow.send(role, if tail { back } else { front });
            }
            flow.close(Ending::Lost);
            flow.sink.calls.iter().for_each(check);
            assert!(!flow.dissector().is_busy());
            (http2::ENTRY.probe)(&streams[0][at[0]..], Transport::Tcp);
        }
    }
}

#[test]
fn lost_bytes_join_nothing_that_does_not_belong_together() {
    let pieces = conversation(12);
    let total: usize = pieces.iter().map(|p| p.1.len()).sum();
    let mut complete = 0;
    for (start, len) in (0..total).step_by(3).flat_map(|s| [1, 9, 40, 300].map(|len| (s, len))) {
        for side in [Role::Client, Role::Server] {
            let mut flow = Harness::new(&http2::ENTRY, Transport::Tcp);
            let mut at = 0;
            for (role, bytes) in &pieces {
                if *role != side {
                    flow.send(*role, bytes);
                    continue;
                }
                let lost =
                    (start.max(at) - at).min(bytes.len())..(start + len).clamp(at, at + bytes.len()) - at;
                if lost.is_empty() {
                    flow.send(*role, bytes);
                } else {
                    flow.send(*role, &bytes[..lost.start])
                        .gap(*role, lost.len() as u64)
                        .send(*role, &bytes[lost.end..]);
                }
                at += bytes.len();
            }
            flow.close(Ending::Closed);
            flow.sink.calls.iter().for_each(check);
            assert!(!flow.dissector().is_busy());
            complete += flow.sink.calls.iter().filter(|c| c.incomplete.is_none()).count();
        }
    }
    // It goes on after a loss: most calls are whole all the same.
    let runs = total.div_ceil(3) * 8;
    assert!(complete > runs * 6, "{complete} whole calls in {runs} runs");
}

#[test]
fn a_table_that_was_missed_is_known_again_when_it_was_refilled() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let first = [get("/a"), vec![("x-old", "1"), ("authorization", "secret")]].concat();
    let missed = c.headers(1, END_STREAM, &first);
    let mut flow = Harness::new(&http2::ENTRY, Transport::Tcp);
    let joined = [("x-new", "2"), ("x-old", "1"), ("authorization", "secret"), ("user-agent", "u")];
    let again = c.headers(3, END_STREAM, &[get("/b"), joined.to_vec()].concat());
    flow.client(&again).server(settings()).server(s.headers(3, END_STREAM, &[(":status", "200")]));
    let call = &flow.sink.calls[0];
    assert_eq!(call.int(f::HTTP2_UNKNOWN_HEADERS), Some(3), "authority, x-old and authorization");
    assert_eq!(call.entry(f::REQUEST_HEADERS, "?"), Some("?, ?, ?".into()));
    assert_eq!((call.text(f::PATH), call.text(f::HOST)), ("/b".into(), String::new()));
    assert_eq!(call.entry(f::REQUEST_HEADERS, "x-new"), Some("2".into()));
    assert_eq!(flow.sink.problems[&Problem::UnknownHeader].0, 1);
    // What was added while it was watched is known; what came before is not.
    let fields = [get("/b"), vec![("x-new", "2"), ("user-agent", "u")]].concat();
    flow.client(c.headers(5, END_STREAM, &fields)).server(s.headers(5, END_STREAM, &[(":status", "200")]));
    assert_eq!(flow.sink.calls[1].int(f::HTTP2_UNKNOWN_HEADERS), Some(1));
    assert_eq!(flow.sink.calls[1].entry(f::REQUEST_HEADERS, "user-agent"), Some("u".into()));
    // The table is emptied and filled anew: everything is known.
    c.resize(0);
    c.resize(4_096);
    flow.client(c.headers(7, END_STREAM, &first)).server(s.headers(7, END_STREAM, &[(":status", "200")]));
    assert_eq!(flow.sink.calls[2].get(f::HTTP2_UNKNOWN_HEADERS), None);
    assert_eq!(flow.sink.calls[2].text(f::HOST), "shop.example");
    drop(missed);
}

#[test]
fn grpc_is_known_by_its_messages_where_its_content_type_is_not() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let ok = [(":status", "200"), ("content-type", "application/grpc"), ("server", "s")];
    c.headers(1, 0, &rpc("/a.B/C"));
    s.headers(1, 0, &ok);
    s.headers(1, END_STREAM, &[("grpc-status", "0")]);
    for (sent, got, grpc) in [
        (message(0, b"\x08\x01"), message(0, b"\x08\x02"), true),
        (message(0, b"\x08\x01"), b"{}".to_vec(), false),
        (b"a=b".to_vec(), b"{}".to_vec(), false),
    ] {
        let (mut c, mut s) = (c.clone(), s.clone());
        let mut flow = Harness::new(&http2::ENTRY, Transport::Tcp);
        flow.client([c.headers(3, 0, &rpc("/a.B/C")), frame(DATA, END_STREAM, 3, &sent)].concat());
        flow.server(
            [
                s.headers(3, 0, &ok),
                frame(DATA, 0, 3, &got),
                s.headers(3, END_STREAM, &[("grpc-status", "0")]),
            ]
            .concat(),
        );
        let call = &flow.sink.calls[0];
        assert_eq!(call.int(f::GRPC_REQUEST_MESSAGES).is_some(), grpc, "{call:?}");
        assert_eq!(call.incomplete, Some("gap"), "its path is not known");
    }
}

#[test]
fn a_connection_joined_in_a_large_transfer_is_read_when_the_next_request_comes() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut engine = Engine::new(Limits::default(), CaptureSource::File, FlowIds::new(1, 1));
    let (mut sink, mut now) = (Recorder::default(), 0);
    let mut at = [1_000_u32, 7_000_u32];
    let mut say = |engine: &mut Engine, role: Role, bytes: &[u8]| {
        for bytes in bytes.chunks(1_400) {
            let (i, ends) = match role {
                Role::Client => (0, (client(), server())),
                Role::Server => (1, (server(), client())),
            };
            let packet = tcp(ends.0, ends.1, at[i], at[1 - i], ACK, bytes);
            at[i] += u32::try_from(bytes.len()).unwrap();
            now += 1_000_000;
            engine.packet(Timestamp(now), &packet, u32::try_from(packet.len()).unwrap(), &mut sink);
        }
    };
    // Three megabytes of one response, and nothing of the client but room for more.
    let chunk = frame(DATA, 0, 1, &[b'x'; 16_000]);
    for i in 0..200 {
        say(&mut engine, Role::Server, if i == 0 { &chunk[5_000..] } else { &chunk });
        if i % 2 == 0 {
            say(&mut engine, Role::Client, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 62, 128]));
        }
    }
    say(&mut engine, Role::Server, &frame(DATA, END_STREAM, 1, b"end"));
    for n in 0..3 {
        let id = 3 + 2 * n;
        let path = format!("/after/{id}");
        say(&mut engine, Role::Client, &c.headers(id, END_STREAM, &get(&path)));
        let answer = [s.headers(id, 0, &[(":status", "200")]), frame(DATA, END_STREAM, id, path.as_bytes())];
        say(&mut engine, Role::Server, &answer.concat());
    }
    engine.finish(&mut sink);
    let found: Vec<_> = sink.calls.iter().map(|c| (c.text(f::PATH), c.text(f::RESPONSE_BODY))).collect();
    for id in [3, 5, 7] {
        let path = format!("/after/{id}");
        assert!(found.contains(&(path.clone(), path)), "{found:?}");
    }
}

#[test]
fn other_protocols_are_not_taken_for_it() {
    let probe = |bytes: &[u8]| (http2::ENTRY.probe)(bytes, Transport::Tcp);
    for other in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"*1\r\n$4\r\nPING\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        // A request of Kafka (ApiVersions), a response of it, a greeting of MySQL, an OP_MSG of MongoDB.
        b"\0\0\0\x14\0\x12\0\0\0\0\0\x01\0\x0aconsumer-1",
        b"\x4a\0\0\0\x0a5.7.30\0\x01\0\0\0abcdefgh\0",
        b"\x3a\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0",
    ] {
        assert!(matches!(probe(other), Verdict::No | Verdict::NeedMore), "{other:?} {:?}", probe(other));
        let long = other.iter().copied().cycle().take(4_096).collect::<Vec<_>>();
        assert_eq!(probe(&long), Verdict::No, "{other:?}");
    }
    for n in 12..=24 {
        let verdict = if n == 24 { Verdict::Match(Role::Client) } else { Verdict::Likely(Role::Client) };
        assert_eq!(probe(&PREFACE[..n]), verdict);
    }
    assert_eq!(probe(&settings()), Verdict::Likely(Role::Server));
    // A client's, if its preface was not seen: only a header block tells.
    assert_eq!(probe(&[settings(), frame(SETTINGS, 1, 0, b"")].concat()), Verdict::Likely(Role::Server));
    assert_eq!(probe(&Encoder::default().headers(1, END_STREAM, &get("/a"))), Verdict::Match(Role::Client));
    assert_eq!(probe(&vec![0; 4_096]), Verdict::No);
}
