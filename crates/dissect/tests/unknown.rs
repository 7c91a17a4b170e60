//! Flows whose protocol was not recognised: exactly one call each.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use remora_dissect::harness::Recorder;
use remora_dissect::{Engine, FlowIds, Limits};
use remora_model::{CaptureSource, Endpoint, Timestamp, field};
use support::packets::{ACK, FIN, RST, SYN, client, server, tcp, udp};

/// A capture being made.
struct Lab {
    engine: Engine,
    found: Recorder,
    now: Timestamp,
}

impl Lab {
    fn new(limits: Limits) -> Self {
        let engine = Engine::new(limits, CaptureSource::File, FlowIds::new(1, 1));
        Self { engine, found: Recorder::default(), now: Timestamp(1_000_000_000_000) }
    }

    fn ip(&mut self, packet: &[u8]) {
        self.now = self.now.plus(Duration::from_millis(1));
        self.engine.packet(self.now, packet, u32::try_from(packet.len()).unwrap(), &mut self.found);
    }

    fn c(&mut self, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        self.ip(&tcp(client(), server(), seq, ack, flags, payload));
    }

    fn s(&mut self, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        self.ip(&tcp(server(), client(), seq, ack, flags, payload));
    }

    fn handshake(&mut self) {
        self.c(100, 0, SYN, b"");
        self.s(500, 101, SYN | ACK, b"");
        self.c(101, 501, ACK, b"");
    }

    fn finish(mut self) -> Recorder {
        self.engine.finish(&mut self.found);
        let stats = self.engine.stats();
        assert_eq!((stats.flows, stats.bytes), (0, 0));
        self.found
    }
}

#[test]
fn a_connection_is_one_call_with_the_first_bytes_of_both_sides() {
    let mut lab = Lab::new(Limits::default());
    lab.handshake();
    lab.c(101, 501, ACK, b"\x01\x02~~\n");
    lab.s(501, 106, ACK, b"~~ \\ \xff");
    lab.c(106, 507, ACK, &[b'x'; 1_000]);
    lab.c(1_106, 507, FIN | ACK, b"");
    lab.s(507, 1_107, FIN | ACK, b"");
    let found = lab.finish();
    let [call] = &found.calls[..] else { panic!("{:?}", found.calls) };
    assert_eq!(call.text(field::TCP_METHOD), "exchange");
    assert_eq!(call.text(field::TCP_PAYLOAD), format!("\\x01\\x02~~\\n{}", "x".repeat(251)));
    assert_eq!(call.text(field::TCP_RESPONSE_PAYLOAD), "~~ \\\\ \\xff");
    assert_eq!((call.request_bytes, call.response_bytes), (Some(1_005), Some(6)));
    assert_eq!((call.failed, call.incomplete, call.ttlb_us), (false, None, Some(7_000)));
}

#[test]
fn a_side_that_speaks_late_is_there() {
    let mut lab = Lab::new(Limits { detect_bytes: 64, ..Limits::default() });
    lab.handshake();
    lab.c(101, 501, ACK, &[1; 500]);
    lab.s(501, 601, ACK, &[2; 3]);
    lab.s(504, 601, ACK, &[3; 3]);
    let found = lab.finish();
    let [call] = &found.calls[..] else { panic!("{:?}", found.calls) };
    assert_eq!(call.text(field::TCP_PAYLOAD).len(), 4 * 256);
    assert!(call.text(field::TCP_RESPONSE_PAYLOAD).starts_with("\\x02\\x02\\x02"));
    assert_eq!((call.request_bytes, call.response_bytes), (Some(500), Some(6)));
}

#[test]
fn failures_have_names() {
    let error = |lab: Lab| {
        let found = lab.finish();
        let [call] = &found.calls[..] else { panic!("{:?}", found.calls) };
        assert!(call.failed);
        (call.text(field::TCP_ERROR_TYPE), call.text(field::TCP_ERROR_MESSAGE), call.incomplete)
    };
    let mut lab = Lab::new(Limits::default());
    lab.c(100, 0, SYN, b"");
    lab.s(0, 101, RST | ACK, b"");
    let (kind, message, incomplete) = error(lab);
    assert_eq!((kind.as_str(), incomplete), ("connection_refused", Some("no_response")));
    assert_eq!(message, "10.0.0.2:80 refused the connection");

    let mut lab = Lab::new(Limits::default());
    lab.c(100, 0, SYN, b"");
    lab.c(100, 0, SYN, b"");
    let (kind, message, _) = error(lab);
    assert_eq!(
        (kind.as_str(), message.as_str()),
        ("connection_timeout", "10.0.0.2:80 did not answer 2 SYN in 1 ms")
    );

    let mut lab = Lab::new(Limits::default());
    lab.handshake();
    lab.c(101, 501, ACK, b"\x01\x02\x03");
    lab.s(501, 104, RST | ACK, b"");
    let (kind, message, incomplete) = error(lab);
    assert_eq!((kind.as_str(), incomplete), ("connection_reset", Some("reset")));
    let expected = "10.0.0.2:80 reset the connection after 3 bytes from the client and 0 from the server";
    assert_eq!(message, expected);

    let mut lab = Lab::new(Limits::default());
    lab.handshake();
    lab.c(101, 501, ACK, b"\x01\x02\x03");
    let mut full = tcp(server(), client(), 501, 104, ACK, b"");
    full[34..36].fill(0);
    lab.ip(&full);
    assert_eq!(error(lab).0, "zero_window");
}

#[test]
fn what_says_nothing_is_no_call() {
    // Opened and closed; opened and left; asked whether somebody listens; a SYN whose answer may have
    // come after the capture.
    for steps in 0..4 {
        let mut lab = Lab::new(Limits::default());
        if steps == 3 {
            lab.c(100, 0, SYN, b"");
            assert!(lab.finish().calls.is_empty());
            continue;
        }
        lab.handshake();
        match steps {
            0 => {
                lab.c(101, 501, FIN | ACK, b"");
                lab.s(501, 102, FIN | ACK, b"");
            }
            1 => lab.c(101, 501, RST | ACK, b""),
            _ => {}
        }
        assert!(lab.finish().calls.is_empty(), "{steps}");
    }
    // Recognised, and reset.
    let mut lab = Lab::new(Limits::default());
    lab.handshake();
    lab.c(101, 501, ACK, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    lab.s(501, 128, RST | ACK, b"");
    let found = lab.finish();
    assert_eq!(found.calls.len(), 1);
    assert!(found.calls[0].get(field::TCP_METHOD).is_none());
}

#[test]
fn datagrams_are_one_call() {
    let to = Endpoint { port: 9_999, ..server() };
    let mut lab = Lab::new(Limits::default());
    for n in 0..20 {
        lab.ip(&udp(client(), to, &[0, n, 7]));
        lab.ip(&udp(to, client(), &[0xff, n]));
    }
    let found = lab.finish();
    let [call] = &found.calls[..] else { panic!("{:?}", found.calls) };
    assert_eq!(call.text(field::UDP_PAYLOAD), "\\x00\\x00\\x07");
    assert_eq!(call.text(field::UDP_RESPONSE_PAYLOAD), "\\xff\\x00");
    assert_eq!((call.int(field::UDP_LENGTH), call.int(field::UDP_CHECKSUM)), (Some(11), Some(0)));
    assert_eq!((call.request_bytes, call.response_bytes, call.elapsed_us), (Some(60), Some(40), Some(1_000)));
}

#[test]
fn a_flow_that_goes_on_is_told_once() {
    let to = Endpoint { port: 9_999, ..server() };
    let mut lab = Lab::new(Limits::default());
    for _ in 0..60 {
        lab.now = lab.now.plus(Duration::from_secs(1));
        lab.ip(&udp(client(), to, b"\x00\x01"));
    }
    assert_eq!(lab.found.calls.len(), 1, "while it goes on");
    assert_eq!(lab.finish().calls.len(), 1);
}

#[test]
fn a_setting_turns_it_off() {
    let mut lab = Lab::new(Limits { unknown_entries: false, ..Limits::default() });
    lab.handshake();
    lab.c(101, 501, ACK, b"\x01\x02\x03");
    lab.ip(&udp(client(), Endpoint { port: 9_999, ..server() }, b"\x00\x01"));
    lab.c(104, 501, RST, b"");
    assert!(lab.finish().calls.is_empty());
}
