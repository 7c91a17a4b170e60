//! HTTP under any split, interleaving, gap and mutation of its bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use remora_dissect::harness::{Harness, Recorded, Recorder, Value};
use remora_dissect::{Ending, Limits, Problem, Role, http};
use remora_model::{Transport, field as f};

/// How a body is sent.
#[derive(Clone, Debug)]
enum Framing {
    None,
    Length,
    Chunked { sizes: Vec<usize>, trailer: bool },
    UntilClose,
}

/// One request with its response, as they are to be made.
#[derive(Clone, Debug)]
struct Spec {
    method: &'static str,
    path: String,
    line_end: &'static str,
    request: (Framing, Vec<u8>),
    response: (Framing, Vec<u8>),
    status: u16,
    interim: u8,
    gzip: bool,
    blank: bool,
}

/// One request with its response, as bytes and as what they mean.
struct Made {
    client: Vec<u8>,
    /// Blank lines before the request.
    lead: usize,
    server: Vec<u8>,
    /// Interim responses before the final one.
    interim: usize,
    spec: Spec,
    request_wire: Vec<u8>,
    response_wire: Vec<u8>,
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(data).unwrap();
    e.finish().unwrap()
}

fn framing(body: Vec<u8>, until_close: bool) -> impl Strategy<Value = (Framing, Vec<u8>)> {
    let chunked = (vec(1_usize..40, 1..6), any::<bool>())
        .prop_map(|(sizes, trailer)| Framing::Chunked { sizes, trailer });
    let framing = if until_close {
        prop_oneof![Just(Framing::Length), chunked, Just(Framing::UntilClose)].boxed()
    } else {
        prop_oneof![Just(Framing::None), Just(Framing::Length), chunked].boxed()
    };
    framing.prop_map(move |f| if matches!(f, Framing::None) { (f, Vec::new()) } else { (f, body.clone()) })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..120),
        Just(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec()),
        "[a-z \r\n]{0,300}".prop_map(String::into_bytes),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    let method = prop_oneof![Just("GET"), Just("POST"), Just("HEAD"), Just("PUT"), Just("X-OWN")];
    let status =
        prop_oneof![4 => Just(200_u16), 1 => Just(204), 1 => Just(304), 1 => Just(404), 1 => Just(500)];
    let line_end = prop_oneof![3 => Just("\r\n"), 1 => Just("\n")];
    (
        method,
        "/[a-z0-9/?=&]{0,12}",
        line_end,
        body().prop_flat_map(|b| framing(b, false)),
        body().prop_flat_map(|b| framing(b, true)),
        status,
        0_u8..3,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(method, path, line_end, request, response, status, interim, gzip, blank)| Spec {
            method,
            path,
            line_end,
            request,
            response,
            status,
            interim,
            gzip,
            blank,
        })
}

/// Appends a message: `start`, framing headers, body. Gives the body as transferred.
fn write_message(
    out: &mut Vec<u8>,
    start: &str,
    eol: &str,
    framing: &Framing,
    body: &[u8],
    gz: bool,
) -> Vec<u8> {
    out.extend(format!("{start}{eol}").bytes());
    let wire = if gz { gzip(body) } else { body.to_vec() };
    if gz {
        out.extend(format!("Content-Encoding: gzip{eol}").bytes());
    }
    match framing {
        Framing::None | Framing::UntilClose => out.extend(eol.bytes()),
        Framing::Length => out.extend(format!("Content-Length: {}{eol}{eol}", wire.len()).bytes()),
        Framing::Chunked { .. } => out.extend(format!("Transfer-Encoding: chunked{eol}{eol}").bytes()),
    }
    let Framing::Chunked { sizes, trailer } = framing else {
        out.extend(&wire);
        return wire;
    };
    let (mut rest, mut sizes) = (wire.as_slice(), sizes.iter().cycle());
    while !rest.is_empty() {
        let n = (*sizes.next().unwrap()).min(rest.len());
        out.extend(format!("{n:x};x=y{eol}").bytes());
        out.extend(&rest[..n]);
        out.extend(eol.bytes());
        rest = &rest[n..];
    }
    let trailer = if *trailer { format!("X-Trailer: yes{eol}") } else { String::new() };
    out.extend(format!("0{eol}{trailer}{eol}").bytes());
    wire
}

fn make(mut spec: Spec, i: usize, last: bool) -> Made {
    if !last && matches!(spec.response.0, Framing::UntilClose) {
        spec.response.0 = Framing::Length;
    }
    let eol = spec.line_end;
    let mut made = Made {
        client: Vec::new(),
        lead: 0,
        server: Vec::new(),
        interim: 0,
        request_wire: Vec::new(),
        response_wire: Vec::new(),
        spec: spec.clone(),
    };
    if spec.blank {
        made.client.extend(b"\r\n");
        made.lead = 2;
    }
    let start = format!("{} {} HTTP/1.1{eol}X-Id: {i}", spec.method, spec.path);
    made.request_wire = write_message(&mut made.client, &start, eol, &spec.request.0, &spec.request.1, false);
    for _ in 0..spec.interim {
        made.server.extend(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    }
    made.interim = made.server.len();
    let start = format!("HTTP/1.1 {} Reason{eol}X-Id: {i}", spec.status);
    let mut response = Vec::new();
    made.response_wire =
        write_message(&mut response, &start, eol, &spec.response.0, &spec.response.1, spec.gzip);
    if spec.method == "HEAD" || matches!(spec.status, 204 | 304) {
        let head = [b"\n\n".as_slice(), b"\n\r\n"]
            .iter()
            .filter_map(|end| memchr::memmem::find(&response, end).map(|i| i + end.len()))
            .min()
            .unwrap();
        response.truncate(head);
        made.response_wire.clear();
        made.spec.response.1.clear();
    }
    made.server.extend(response);
    made
}

fn conversation(specs: Vec<Spec>) -> Vec<Made> {
    let n = specs.len();
    specs.into_iter().enumerate().map(|(i, s)| make(s, i, i + 1 == n)).collect()
}

/// Where each piece of a side's stream begins, and when it was sent.
#[derive(Default)]
struct Sent(Vec<(usize, i64)>);

impl Sent {
    fn time_at(&self, offset: usize) -> i64 {
        self.0[self.0.partition_point(|&(from, _)| from <= offset) - 1].1
    }
}

/// Sends a conversation in pieces: each step of `schedule` is a side and a size. A response is
/// sent only when its request has been. Whatever the schedule leaves follows at the end.
fn play(flow: &mut Harness, made: &[Made], schedule: &[(bool, usize)]) -> [Sent; 2] {
    let streams = [Role::Client, Role::Server].map(|role| {
        made.iter()
            .flat_map(|m| if role == Role::Client { m.client.clone() } else { m.server.clone() })
            .collect::<Vec<u8>>()
    });
    let (mut at, mut now, mut sent) = ([0, 0], 0, [Sent::default(), Sent::default()]);
    let rest = std::iter::repeat_n([(false, usize::MAX), (true, usize::MAX)], made.len() + 1).flatten();
    for (server, size) in schedule.iter().copied().chain(rest) {
        let side = usize::from(server);
        let end = if server {
            let mut asked = 0;
            let answerable = made.iter().take_while(|m| {
                asked += m.client.len();
                asked <= at[0]
            });
            answerable.map(|m| m.server.len()).sum()
        } else {
            streams[0].len()
        };
        let next = at[side].saturating_add(size).min(end);
        if next <= at[side] {
            continue;
        }
        now += 10;
        sent[side].0.push((at[side], now));
        let role = if server { Role::Server } else { Role::Client };
        flow.at(now).send(role, &streams[side][at[side]..next]);
        at[side] = next;
    }
    now += 10;
    flow.at(now).close(Ending::Closed);
    sent
}

fn new_flow(limits: Limits) -> Harness {
    Harness::with(&http::ENTRY, Transport::Tcp, limits, Recorder::default())
}

fn text(call: &Recorded, id: remora_model::FieldId) -> Vec<u8> {
    match call.get(id) {
        Some(Value::Text(t)) => t.clone(),
        _ => Vec::new(),
    }
}

fn check(flow: &Harness, made: &[Made], sent: &[Sent; 2], payload: usize) {
    assert_eq!(flow.sink.calls.len(), made.len());
    let (mut client, mut server) = (0, 0);
    for (i, (call, m)) in flow.sink.calls.iter().zip(made).enumerate() {
        let spec = &m.spec;
        assert_eq!(call.incomplete, None, "call {i}");
        assert_eq!(call.text(f::METHOD), spec.method);
        assert_eq!(call.text(f::URL), spec.path);
        assert_eq!(call.int(f::STATUS_CODE), Some(i64::from(spec.status)));
        for (id, trailer) in [(f::REQUEST_HEADERS, &spec.request.0), (f::RESPONSE_HEADERS, &spec.response.0)]
        {
            assert_eq!(call.entry(id, "x-id"), Some(i.to_string()));
            let has_body =
                id == f::REQUEST_HEADERS || !(spec.method == "HEAD" || [204, 304].contains(&spec.status));
            let expected = matches!(trailer, Framing::Chunked { trailer: true, .. }) && has_body;
            assert_eq!(call.entry(id, "x-trailer").is_some(), expected);
        }
        assert_eq!(call.int(f::REQUEST_BODY_SIZE), Some(m.request_wire.len() as i64));
        assert_eq!(call.int(f::RESPONSE_BODY_SIZE), Some(m.response_wire.len() as i64));
        let kept = m.request_wire.len().min(payload);
        assert_eq!(text(call, f::REQUEST_BODY), &m.request_wire[..kept]);
        assert_eq!(call.is(f::REQUEST_BODY_TRUNCATED), kept < m.request_wire.len());
        let response = text(call, f::RESPONSE_BODY);
        if m.response_wire.len() <= payload && spec.response.1.len() <= payload {
            assert_eq!(response, spec.response.1, "{call:?}");
            assert!(!call.is(f::RESPONSE_BODY_TRUNCATED));
        } else {
            assert!(response.len() <= payload && call.is(f::RESPONSE_BODY_TRUNCATED));
            let raw = m.response_wire.starts_with(&response);
            assert!(spec.response.1.starts_with(&response) || raw);
        }
        let (request, response) = (client + m.lead, server + m.interim);
        client += m.client.len();
        server += m.server.len();
        assert_eq!((call.request_pos, call.response_pos), (Some(request as i64), Some(response as i64)));
        assert_eq!(call.request_bytes, Some((client - request) as i64));
        assert_eq!(call.response_bytes, Some((server - response) as i64));
        let (asked, answered) = (sent[0].time_at(client - 1), sent[1].time_at(response));
        assert_eq!(call.ts, sent[0].time_at(request) * 1_000);
        assert_eq!(call.elapsed_us, Some((answered - asked).max(0)));
        assert_eq!(call.ttlb_us, Some(sent[1].time_at(server - 1) - sent[0].time_at(request)));
    }
}

fn schedule() -> impl Strategy<Value = Vec<(bool, usize)>> {
    let size = prop_oneof![2 => 1_usize..4, 2 => 1_usize..60, 1 => 1_usize..1_000];
    vec((any::<bool>(), size), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_calls_that_were_made(
        specs in vec(spec(), 1..8),
        schedule in schedule(),
        payload in prop_oneof![Just(64 << 10), 0_usize..200],
    ) {
        let made = conversation(specs);
        let mut flow = new_flow(Limits { payload, ..Limits::default() });
        let sent = play(&mut flow, &made, &schedule);
        check(&flow, &made, &sent, payload);
        let faults = flow.sink.problems.keys().filter(|p| **p != Problem::PayloadLimit).count();
        prop_assert!(faults == 0 || payload < 200, "{:?}", flow.sink.problems);
    }

    #[test]
    fn byte_by_byte_gives_the_same(specs in vec(spec(), 1..4)) {
        let made = conversation(specs);
        let mut flow = new_flow(Limits::default());
        let bytes: usize = made.iter().map(|m| m.client.len() + m.server.len()).sum();
        let schedule: Vec<_> = (0..2 * bytes).map(|i| (i >= bytes, 1)).collect();
        let sent = play(&mut flow, &made, &schedule);
        check(&flow, &made, &sent, 64 << 10);
    }

    /// Every message says to which exchange it belongs, so that no pair can be wrong unseen.
    #[test]
    fn gaps_never_join_a_request_with_another_ones_response(
        specs in vec(spec(), 2..8),
        gap in (any::<bool>(), any::<Index>(), 1_usize..400),
        piece in 1_usize..200,
    ) {
        let made = conversation(specs);
        let (server_side, start, len) = gap;
        let total: usize = made.iter().map(|m| if server_side { m.server.len() } else { m.client.len() }).sum();
        let from = start.index(total);
        let lost = from..(from + len).min(total);
        let mut flow = new_flow(Limits::default());
        let (mut at, mut now) = ([0, 0], 0);
        for m in &made {
            for (side, bytes) in [(0, &m.client), (1, &m.server)] {
                let role = if side == 1 { Role::Server } else { Role::Client };
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    now += 10;
                    flow.at(now);
                    let here = at[side];
                    let affected = usize::from(server_side) == side;
                    let n = if affected && lost.contains(&here) {
                        let n = (lost.end - here).min(rest.len());
                        flow.gap(role, n as u64);
                        n
                    } else {
                        let mut n = piece.min(rest.len());
                        if affected && here < lost.start {
                            n = n.min(lost.start - here);
                        }
                        flow.send(role, &rest[..n]);
                        n
                    };
                    at[side] += n;
                    rest = &rest[n..];
                }
            }
        }
        flow.close(Ending::Closed);
        for call in &flow.sink.calls {
            let ids = [f::REQUEST_HEADERS, f::RESPONSE_HEADERS].map(|id| call.entry(id, "x-id"));
            if let [Some(request), Some(response)] = ids {
                prop_assert_eq!(request, response, "{:?}", call);
            }
        }
        // The next message is found: only the exchanges that lost bytes are not whole. A method
        // that is not known, or a body that holds messages, may mislead the search.
        let misleading = |s: &Spec| {
            let bodies = [&s.request.1, &s.response.1];
            s.method == "X-OWN" || bodies.iter().any(|b| memchr::memmem::find(b, b"HTTP/1.").is_some())
        };
        if !made.iter().any(|m| misleading(&m.spec)) {
            let mut end = 0;
            let hit = made.iter().filter(|m| {
                let start = end;
                end += if server_side { m.server.len() } else { m.client.len() };
                start < lost.end && lost.start < end
            });
            let hit = hit.count();
            let whole = flow.sink.calls.iter().filter(|c| c.incomplete.is_none()).count();
            prop_assert!(whole + hit >= made.len(), "{whole} whole and {hit} hit of {}", made.len());
        }
    }

    #[test]
    fn mutations_and_gaps_do_no_harm(
        specs in vec(spec(), 1..4),
        mutations in vec((any::<bool>(), any::<Index>(), any::<u8>()), 0..6),
        events in vec((any::<bool>(), 0_u8..20, 1_u64..300), 0..40),
        how in prop_oneof![Just(Ending::Closed), Just(Ending::Reset), Just(Ending::Lost)],
        payload in 0_usize..300,
    ) {
        let made = conversation(specs);
        let mut streams = [Vec::new(), Vec::new()];
        for m in &made {
            streams[0].extend(&m.client);
            streams[1].extend(&m.server);
        }
        for (side, at, byte) in mutations {
            let stream = &mut streams[usize::from(side)];
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let limits = Limits { payload, message_bytes: 500, pending: 3, ..Limits::default() };
        let mut flow = new_flow(limits);
        let mut at = [0, 0];
        for (i, (side, kind, len)) in events.into_iter().enumerate() {
            let role = if side { Role::Server } else { Role::Client };
            let side = usize::from(side);
            let next = (at[side] + len as usize).min(streams[side].len());
            flow.at(i as i64);
            if kind == 0 {
                flow.gap(role, len);
            } else {
                flow.send(role, &streams[side][at[side]..next]);
            }
            at[side] = next;
            prop_assert!(flow.dissector().memory() < 64 << 10);
        }
        flow.close(how);
        prop_assert!(!flow.dissector().is_busy());
    }
}
