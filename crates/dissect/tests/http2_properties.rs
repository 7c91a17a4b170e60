//! HTTP/2, made up: however the streams are interleaved and the bytes are split the calls are those
//! that the generator meant, and no damage does harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/http2.rs"]
mod wire;

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use remora_dissect::harness::{Harness, Recorded, Recorder, Value};
use remora_dissect::{Ending, Limits, Role, http2};
use remora_model::{Transport, field as f};
use wire::*;

/// One message as it is to be sent.
#[derive(Clone, Debug)]
struct Spec {
    /// Fields beside the pseudo-headers.
    fields: Vec<(String, String)>,
    how: Vec<How>,
    /// Contents of the DATA frames.
    content: Vec<Vec<u8>>,
    padding: u8,
    /// Bytes of header block per frame.
    part: usize,
    trailers: bool,
}

#[derive(Clone, Debug)]
struct Exchange {
    grpc: bool,
    path: String,
    status: u16,
    request: Spec,
    response: Spec,
}

fn spec() -> impl Strategy<Value = Spec> {
    let how = prop_oneof![4 => Just(How::Indexed), 1 => Just(How::Added), 1 => Just(How::Literal), 1 => Just(How::Never)];
    let field = ("x-[a-c]{1,2}", "[ -~]{0,30}");
    (
        vec(field, 0..5),
        vec(how, 1..9),
        vec(vec(any::<u8>(), 0..60), 0..4),
        0_u8..9,
        1_usize..80,
        any::<bool>(),
    )
        .prop_map(|(fields, how, content, padding, part, trailers)| Spec {
            fields,
            how,
            content,
            padding,
            part,
            trailers,
        })
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (any::<bool>(), "/[a-z]{1,9}/[A-Z]{1,9}", 200_u16..600, spec(), spec()).prop_map(
        |(grpc, path, status, request, response)| Exchange { grpc, path, status, request, response },
    )
}

/// The content of a message: for gRPC each part is a message of its own.
fn parts(spec: &Spec, grpc: bool) -> Vec<Vec<u8>> {
    spec.content.iter().map(|c| if grpc { message(0, c) } else { c.clone() }).collect()
}

/// The frames of a message, header blocks left to `encoder` in the order in which they are sent.
enum Unit {
    Block { stream: u32, fields: Vec<(String, String)>, how: Vec<How>, part: usize, end: bool },
    Bytes(Vec<u8>),
}

fn units(spec: &Spec, stream: u32, first: Vec<(String, String)>, grpc: bool) -> Vec<Unit> {
    let parts = parts(spec, grpc);
    let block = |fields, end| Unit::Block { stream, fields, how: spec.how.clone(), part: spec.part, end };
    let fields = first.into_iter().chain(spec.fields.clone()).collect();
    let mut all = vec![block(fields, parts.is_empty() && !spec.trailers)];
    for (i, part) in parts.iter().enumerate() {
        let end = if i + 1 == parts.len() && !spec.trailers { END_STREAM } else { 0 };
        all.push(Unit::Bytes(if spec.padding > 0 {
            let payload = [&[spec.padding], part.as_slice(), &vec![0; usize::from(spec.padding)]].concat();
            frame(DATA, end | PADDED, stream, &payload)
        } else {
            frame(DATA, end, stream, part)
        }));
    }
    if spec.trailers {
        all.push(block(vec![("x-trailer".into(), stream.to_string())], true));
    }
    all
}

fn write(unit: Unit, encoder: &mut Encoder) -> Vec<u8> {
    let (stream, fields, how, part, end) = match unit {
        Unit::Bytes(bytes) => return bytes,
        Unit::Block { stream, fields, how, part, end } => (stream, fields, how, part, end),
    };
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let mut how = how.into_iter().cycle();
    let block = encoder.block(&fields, |_| how.next().unwrap());
    let mut out = Vec::new();
    let count = block.len().div_ceil(part);
    for (i, part) in block.chunks(part).enumerate() {
        let last = if i + 1 == count { END_HEADERS } else { 0 };
        let (kind, end) = if i == 0 { (HEADERS, u8::from(end)) } else { (CONTINUATION, 0) };
        out.extend(frame(kind, last | end, stream, part));
    }
    out
}

/// Both sides' bytes, the streams mixed as `mix` says. The order of the requests' first frames is
/// that of their streams.
fn conversation(all: &[Exchange], mix: &[usize], resize: usize) -> [Vec<u8>; 2] {
    let mut out = [hello(), settings()];
    for side in [0, 1] {
        let mut encoder = Encoder::default();
        let mut waiting: Vec<std::collections::VecDeque<Unit>> = all
            .iter()
            .enumerate()
            .map(|(i, x)| {
                let stream = 2 * i as u32 + 1;
                let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
                let (spec, mut first) = if side == 0 {
                    let method = if x.grpc { "POST" } else { "GET" };
                    let fields = vec![
                        pair(":method", method),
                        pair(":scheme", "http"),
                        pair(":path", &x.path),
                        pair(":authority", "a"),
                    ];
                    (&x.request, fields)
                } else {
                    (&x.response, vec![pair(":status", &x.status.to_string())])
                };
                if x.grpc {
                    first.push(pair("content-type", "application/grpc"));
                }
                units(spec, stream, first, x.grpc).into()
            })
            .collect();
        let (mut opened, mut mix, mut n) = (0, mix.iter().cycle(), 0);
        while waiting.iter().any(|w| !w.is_empty()) {
            // One of those that have begun and the next one.
            let i = mix.next().unwrap() % (opened + 1).min(all.len());
            let i = (i..all.len()).chain(0..i).find(|&i| !waiting[i].is_empty() && i <= opened);
            let Some(i) = i else {
                opened += 1;
                continue;
            };
            opened = opened.max(i + 1);
            n += 1;
            if n % 7 == 0 {
                encoder.resize(resize * (n % 3));
                out[side].extend(frame(PING, 0, 0, &[0; 8]));
            }
            let unit = waiting[i].pop_front().unwrap();
            out[side].extend(write(unit, &mut encoder));
        }
    }
    out
}

/// Shows both sides in pieces, the client first wherever the schedule does not say otherwise.
fn play(streams: &[Vec<u8>; 2], schedule: &[(bool, usize)], limits: Limits) -> Harness {
    let mut flow = Harness::with(&http2::ENTRY, Transport::Tcp, limits, Recorder::default());
    let mut at = [0_usize, 0];
    for (server, size) in schedule.iter().copied().chain([(false, usize::MAX), (true, usize::MAX)]) {
        let side = usize::from(server);
        let end = at[side].saturating_add(size).min(streams[side].len());
        flow.send(if server { Role::Server } else { Role::Client }, &streams[side][at[side]..end]);
        at[side] = end;
    }
    flow.close(Ending::Closed);
    flow
}

fn by_stream(flow: Harness) -> BTreeMap<i64, Recorded> {
    let n = flow.sink.calls.len();
    let calls: BTreeMap<_, _> =
        flow.sink.calls.into_iter().map(|c| (c.int(f::HTTP2_STREAM).unwrap(), c)).collect();
    assert_eq!(calls.len(), n, "each stream is one call");
    calls
}

fn check(call: &Recorded, x: &Exchange, stream: i64) {
    assert_eq!(call.incomplete, None);
    assert_eq!((call.text(f::URL), call.int(f::STATUS_CODE)), (x.path.clone(), Some(i64::from(x.status))));
    assert_eq!(call.text(f::METHOD), if x.grpc { "POST" } else { "GET" });
    assert_eq!(!call.text(f::GRPC_KIND).is_empty(), x.grpc);
    for (spec, size, body, headers, messages) in [
        (&x.request, f::REQUEST_BODY_SIZE, f::REQUEST_BODY, f::REQUEST_HEADERS, f::GRPC_REQUEST_MESSAGES),
        (
            &x.response,
            f::RESPONSE_BODY_SIZE,
            f::RESPONSE_BODY,
            f::RESPONSE_HEADERS,
            f::GRPC_RESPONSE_MESSAGES,
        ),
    ] {
        let content = parts(spec, x.grpc).concat();
        assert_eq!(call.int(size), Some(content.len() as i64));
        if x.grpc {
            assert_eq!(call.int(messages), Some(spec.content.len() as i64));
        } else if !content.is_empty() {
            assert_eq!(call.get(body), Some(&Value::Text(content)));
        }
        let Some(Value::Map(found)) = call.get(headers) else { panic!("no headers") };
        let found: Vec<_> = found.iter().filter(|(n, _)| n.starts_with(b"x-")).cloned().collect();
        let pairs = spec.fields.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone().into_bytes()));
        let trailer = spec.trailers.then(|| (b"x-trailer".to_vec(), stream.to_string().into_bytes()));
        assert_eq!(found, pairs.chain(trailer).collect::<Vec<_>>());
    }
}

fn schedule() -> impl Strategy<Value = Vec<(bool, usize)>> {
    let size = prop_oneof![2 => 1_usize..4, 2 => 1_usize..60, 1 => 1_usize..1_000];
    vec((any::<bool>(), size), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_order_and_any_split_give_the_calls_that_were_meant(
        all in vec(exchange(), 1..7),
        mix in vec(any::<usize>(), 1..20),
        resize in 0_usize..300,
        schedule in schedule(),
    ) {
        let streams = conversation(&all, &mix, resize);
        let flow = play(&streams, &schedule, Limits::default());
        prop_assert!(flow.sink.problems.is_empty(), "{:?}", flow.sink.problems);
        let calls = by_stream(flow);
        prop_assert_eq!(calls.len(), all.len());
        for (stream, call) in &calls {
            check(call, &all[(*stream as usize - 1) / 2], *stream);
        }
    }

    /// Also where most of the content is skipped.
    #[test]
    fn small_limits_change_only_texts(
        all in vec(exchange(), 1..5),
        mix in vec(any::<usize>(), 1..20),
        schedule in schedule(),
        payload in 0_usize..50,
    ) {
        let streams = conversation(&all, &mix, 100);
        let limits = Limits { payload, ..Limits::default() };
        let whole = play(&streams, &[], limits.clone());
        prop_assert_eq!(whole.sink.calls.len(), all.len());
        let parts = play(&streams, &schedule, limits);
        prop_assert_eq!(&parts.sink.problems, &whole.sink.problems);
        prop_assert_eq!(by_stream(parts), by_stream(whole));
    }

    #[test]
    fn no_damage_does_harm(
        all in vec(exchange(), 1..5),
        mix in vec(any::<usize>(), 1..20),
        flips in vec((any::<bool>(), any::<usize>(), any::<u8>()), 0..12),
        gaps in vec((any::<bool>(), any::<usize>(), 0_u64..2_000), 0..4),
        piece in 1_usize..200,
    ) {
        let mut streams = conversation(&all, &mix, 100);
        for (server, at, with) in flips {
            let stream = &mut streams[usize::from(server)];
            let at = at % stream.len();
            stream[at] ^= with;
        }
        let limits = Limits { pending: 3, payload: 100, header_list: 500, header_table: 200, ..Limits::default() };
        let mut flow = Harness::with(&http2::ENTRY, Transport::Tcp, limits, Recorder::default());
        for side in [0, 1] {
            let role = [Role::Client, Role::Server][side];
            for (sent, part) in streams[side].chunks(piece).enumerate() {
                for (_, _, len) in gaps.iter().filter(|g| g.0 == (side == 1) && g.1 % streams[side].len() / piece == sent) {
                    flow.gap(role, *len);
                }
                flow.send(role, part);
                prop_assert!(flow.dissector().memory() < 64 << 10);
            }
        }
        flow.close(Ending::Lost);
        prop_assert!(!flow.dissector().is_busy());
        for call in &flow.sink.calls {
            prop_assert!(call.int(f::HTTP2_STREAM).is_some());
        }
    }
}
