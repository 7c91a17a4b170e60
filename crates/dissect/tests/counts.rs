//! Flows whose packets the capture counts by itself, because it does not hand on all of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use remora_dissect::{Counted, CountedSide, Limits, Problem};
use remora_model::{CloseReason, FlowState, Timestamp};
use support::lab::Lab;
use support::packets::{ACK, FIN, SYN, client, server, tcp, udp};
use support::tape::{self, Manner};

/// The client has sent 50 packets, the server 900 in which there is a mebibyte; `last` is the time
/// of the newest.
fn counted(last: Timestamp) -> Counted {
    let [low, high] =
        [(50, 2_600), (900, 1 << 20)].map(|(packets, bytes)| CountedSide { packets, bytes, tcp_flags: 0x18 });
    let sent = if client() < server() { [low, high] } else { [high, low] };
    Counted { sent, last_seen: Some(last), handshake_us: Some(5), retransmits: 3, shunted: true }
}

/// A handshake without its last segment, which has no payload.
fn opened(lab: &mut Lab, tag: u32) {
    lab.engine.set_tag(tag);
    lab.c(100, 0, SYN, b"");
    lab.s(500, 101, SYN | ACK, b"");
}

fn close(lab: &mut Lab) {
    lab.c(105, 508, FIN | ACK, b"");
    lab.s(508, 106, FIN | ACK, b"");
}

#[test]
fn rows_have_the_captures_counts() {
    let mut lab = Lab::new();
    opened(&mut lab, 7);
    lab.wait(Duration::from_millis(300));
    lab.c(101, 501, ACK, b">ask");
    lab.s(501, 105, ACK, b"<answer");
    assert_eq!(lab.kept.asked, 0, "a packet asks nothing");
    lab.kept.counted.insert(7, counted(lab.now));
    close(&mut lab);
    let row = lab.kept.flows[&1].clone();
    assert_eq!((row.packets, row.bytes), ([50, 900], [2_600, 1 << 20]));
    assert_eq!((row.retransmits, row.rtt_us), (3, Some(5)));
    assert_eq!(row.flags, [0x1b, 0x1b], "what either has seen");
    assert_eq!((row.close, row.rows, lab.kept.asked), (Some(CloseReason::Fin), 2, 1));
    // The last acknowledgement comes after the row, and the engine does not get it.
    let mut more = counted(lab.now.plus(Duration::from_millis(1)));
    more.sent.iter_mut().for_each(|s| s.packets += 1);
    lab.kept.counted.insert(7, more);
    lab.wait(Duration::from_secs(20));
    lab.tick();
    let row = &lab.kept.flows[&1];
    assert_eq!((row.packets, row.rows, lab.kept.asked), ([51, 901], 3, 2));
    let [(name, why)] = lab.kept.gone[..] else { panic!("{:?}", lab.kept.gone) };
    assert_eq!((name.id.0, name.tag, why), (1, 7, CloseReason::Fin));
    assert!(lab.kept.problems.is_empty(), "{:?}", lab.kept.problems);
    lab.finish();
}

#[test]
fn without_them_the_engines_own_stand_and_that_is_counted() {
    let mut lab = Lab::new();
    opened(&mut lab, 7);
    lab.wait(Duration::from_millis(300));
    lab.c(101, 501, ACK, b">ask");
    lab.s(501, 105, ACK, b"<answer");
    close(&mut lab);
    let row = &lab.kept.flows[&1];
    assert_eq!((row.packets, row.bytes), ([3, 3], [124, 127]));
    assert_eq!(row.rtt_us, None, "the question came long after the handshake");
    assert_eq!(lab.kept.problem_count(Problem::FlowUncounted), 1);
    lab.finish();
    assert_eq!(lab.kept.problem_count(Problem::FlowUncounted), 1, "nothing came since");
}

#[test]
fn counts_never_go_back() {
    let mut lab = Lab::new();
    opened(&mut lab, 7);
    lab.c(101, 501, ACK, b">ask");
    lab.kept.counted.insert(7, counted(lab.now));
    lab.wait(Duration::from_secs(6));
    lab.s(501, 105, ACK, b"<answer");
    assert_eq!(lab.kept.flows[&1].packets, [50, 900]);
    // The capture has forgotten the flow and begins anew with the client's next packet.
    lab.engine.set_tag(8);
    lab.c(105, 508, FIN | ACK, b"");
    lab.kept.counted.insert(8, Counted::default());
    lab.s(508, 106, FIN | ACK, b"");
    let row = &lab.kept.flows[&1];
    // The answer came after the row before.
    assert_eq!((row.packets, row.rows), ([51, 902], 3));
    lab.finish();
}

#[test]
fn what_is_left_out_is_no_silence() {
    let limits = Limits { idle: Duration::from_secs(100), ..Limits::default() };
    let mut lab = Lab::with(limits);
    lab.engine.set_shunt_threshold(Some(1_000));
    tape::set_manner(Manner { skip: 100_000, ..Manner::default() });
    opened(&mut lab, 7);
    lab.c(101, 501, ACK, b">ask");
    lab.s(501, 105, ACK, b"<#");
    let shunts: Vec<_> = lab.engine.take_shunts().collect();
    assert_eq!(shunts.len(), 1);
    lab.engine.shunted(&shunts[0]);
    for _ in 0..5 {
        lab.wait(Duration::from_secs(90));
        lab.kept.counted.insert(7, counted(lab.now));
        lab.tick();
        let row = &lab.kept.flows[&1];
        assert_eq!(row.close, None);
    }
    assert!(lab.kept.gone.is_empty());
    lab.wait(Duration::from_secs(300));
    lab.tick();
    let row = &lab.kept.flows[&1];
    assert_eq!((row.state, row.close), (FlowState::Closed, Some(CloseReason::Idle)));
    assert_eq!(lab.kept.gone.len(), 1);
    lab.finish();
}

#[test]
fn datagrams_ask_only_when_some_came() {
    let mut lab = Lab::new();
    lab.engine.set_tag(7);
    lab.ip(&udp(client(), server(), b"?"));
    lab.kept.counted.insert(7, counted(lab.now));
    lab.wait(Duration::from_secs(6));
    lab.tick();
    lab.ip(&udp(server(), client(), b"!"));
    assert_eq!((lab.kept.asked, lab.kept.flows[&1].packets), (1, [50, 900]));
    lab.wait(Duration::from_secs(61));
    lab.tick();
    assert_eq!((lab.kept.asked, lab.kept.flows[&1].close), (1, Some(CloseReason::Idle)));
}

#[test]
fn the_sink_learns_whose_packet_it_is() {
    let mut lab = Lab::new();
    for scope in [1, 2] {
        lab.engine.set_scope(scope);
        lab.ip(&tcp(client(), server(), 100, 0, SYN, b""));
        lab.ip(&tcp(server(), client(), 500, 101, SYN | ACK, b""));
    }
    let [c, s] = if client() < server() { [0, 1] } else { [1, 0] };
    assert_eq!(lab.kept.packets, [(1, c), (1, s), (2, c), (2, s)]);
    lab.finish();
    let scopes: Vec<_> = lab.kept.gone.iter().map(|(name, why)| (name.id.0, name.scope, *why)).collect();
    assert_eq!(scopes, [(1, 1, CloseReason::CaptureEnd), (2, 2, CloseReason::CaptureEnd)]);
}
