//! The engine against connections made by hand: what dissectors are shown, and how flows end.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use remora_dissect::{Ending, Limits, Problem, Role};
use remora_model::{CloseReason, Endpoint, FlowState};
use support::lab::{Lab, data};
use support::packets::{ACK, FIN, RST, SYN, client, server, tcp, udp};
use support::tape::{self, Event, Manner};

use Role::{Client, Server};

#[test]
fn a_whole_connection() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">ask");
    lab.s(501, 105, ACK, b"<answer");
    lab.c(105, 508, FIN | ACK, b"");
    lab.s(508, 106, FIN | ACK, b"");
    lab.c(106, 509, ACK, b"");
    let log = tape::take();
    let ends = [Event::End(Client, Ending::Closed), Event::End(Server, Ending::Closed)];
    assert_eq!(log, [&[data(Client, b">ask"), data(Server, b"<answer")], &ends[..]].concat());
    assert!(lab.finish().is_empty());
    let row = &lab.kept.flows[&1];
    assert_eq!((row.client, row.server), (client(), server()));
    assert_eq!((row.state, row.close), (FlowState::Closed, Some(CloseReason::Fin)));
    assert_eq!((row.packets, row.bytes), ([5, 3], [204, 127]));
    assert_eq!((row.retransmits, row.missing, row.rtt_us), (0, 0, Some(20)));
    assert_eq!(row.l7, ["http"]);
    assert_eq!(row.rows, 3, "when it opened, when it closed, and with the last ACK");
    assert!(lab.kept.problems.is_empty(), "{:?}", lab.kept.problems);
}

#[test]
fn an_answer_never_comes_before_its_question() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.s(501, 105, ACK, b"<answer");
    lab.c(101, 501, ACK, b">ask");
    assert_eq!(lab.finish()[..2], [data(Client, b">ask"), data(Server, b"<answer")]);
    assert_eq!(lab.kept.flows[&1].missing, 0);
}

#[test]
fn a_question_that_was_lost_is_a_gap_before_its_answer() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">one");
    lab.s(501, 205, ACK, b"<answer");
    assert_eq!(tape::take(), [data(Client, b">one")]);
    lab.wait(Duration::from_millis(200));
    lab.tick();
    assert_eq!(tape::take(), [Event::Gap(Client, 100), data(Server, b"<answer")]);
    assert_eq!(lab.kept.problems[&Problem::StreamGap], (1, 100));
    lab.finish();
}

#[test]
fn a_hole_that_nobody_acknowledged_waits_longer() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">one");
    lab.c(115, 501, ACK, b"three");
    lab.wait(Duration::from_millis(500));
    lab.tick();
    assert_eq!(tape::take(), [data(Client, b">one")]);
    lab.wait(Duration::from_millis(600));
    lab.tick();
    assert_eq!(tape::take(), [Event::Gap(Client, 10), data(Client, b"three")]);
    lab.finish();
}

#[test]
fn an_answer_waits_for_its_question_behind_many_holes() {
    let mut lab = Lab::new();
    lab.handshake();
    // Every other question was lost, and all answers but the last.
    for i in 1..=20 {
        lab.c(101 + 20 * i, 501, ACK, b">question");
    }
    lab.s(701, 510, ACK, b"<answer");
    let mut log = tape::take();
    for _ in 0..40 {
        lab.wait(Duration::from_millis(130));
        lab.tick();
        log.extend(tape::take());
    }
    let asked = log.iter().filter(|e| **e == data(Client, b">question")).count();
    assert_eq!((asked, log.last()), (20, Some(&data(Server, b"<answer"))), "{log:?}");
    lab.finish();
}

#[test]
fn the_first_copy_of_overlapping_bytes_counts() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(104, 501, ACK, b"DEF");
    lab.c(102, 501, ACK, b"bcdefg");
    lab.c(101, 501, ACK, b">XX");
    let log = lab.finish();
    assert_eq!(tape::joined(&log, Client)[0], data(Client, b">bcDEFg"));
    assert_eq!(lab.kept.flows[&1].retransmits, 2);
}

#[test]
fn sequence_numbers_wrap() {
    let mut lab = Lab::new();
    lab.c(u32::MAX - 2, 0, SYN, b"");
    lab.s(u32::MAX, u32::MAX - 1, SYN | ACK, b"");
    lab.c(2, 0, ACK, b"efgh");
    lab.c(u32::MAX - 1, 0, ACK, b">bcd");
    lab.s(0, 6, ACK, b"<");
    lab.s(1, 6, FIN | ACK, b"");
    lab.c(6, 2, FIN | ACK, b"");
    let log = lab.finish();
    assert_eq!(tape::joined(&log, Client), [data(Client, b">bcdefgh"), Event::End(Client, Ending::Closed)]);
    assert_eq!(lab.kept.flows[&1].close, Some(CloseReason::Fin));
}

#[test]
fn keep_alives_and_window_probes_are_no_retransmissions() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">ab");
    lab.c(103, 501, ACK, b"");
    lab.c(103, 501, ACK, b"b");
    // A probe of a closed window carries the next byte; it is new.
    lab.c(104, 501, ACK, b"c");
    let log = lab.finish();
    assert_eq!(tape::joined(&log, Client)[0], data(Client, b">abc"));
    assert_eq!(lab.kept.flows[&1].retransmits, 0);
}

#[test]
fn data_may_ride_on_the_syn() {
    let mut lab = Lab::new();
    lab.c(100, 0, SYN, b">fast");
    lab.s(500, 106, SYN | ACK, b"<reply");
    let log = lab.finish();
    assert_eq!(log[..2], [data(Client, b">fast"), data(Server, b"<reply")]);
}

#[test]
fn a_simultaneous_open_is_one_connection() {
    let mut lab = Lab::new();
    lab.c(100, 0, SYN, b"");
    lab.s(500, 0, SYN, b"");
    lab.c(100, 501, SYN | ACK, b"");
    lab.s(500, 101, SYN | ACK, b"");
    lab.c(101, 501, ACK, b">a");
    lab.s(501, 103, ACK, b"<b");
    let log = lab.finish();
    assert_eq!(log[..2], [data(Client, b">a"), data(Server, b"<b")]);
    assert_eq!(lab.kept.flows.len(), 1);
}

#[test]
fn a_reset_ends_both_directions_after_what_waits() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">a");
    lab.c(105, 501, ACK, b"z");
    lab.s(501, 101, RST, b"");
    let reset = |r| Event::End(r, Ending::Reset);
    let log = tape::take();
    let expected = [data(Client, b">a"), Event::Gap(Client, 2), data(Client, b"z"), reset(Client)];
    assert_eq!(tape::joined(&log, Client), expected);
    assert_eq!(tape::joined(&log, Server), [reset(Server)]);
    lab.finish();
    assert_eq!(lab.kept.flows[&1].close, Some(CloseReason::Reset));
}

#[test]
fn a_forged_reset_far_from_the_stream_is_ignored() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">a");
    lab.s(501 + (1 << 28), 0, RST, b"");
    lab.c(103, 501, ACK, b"b");
    assert_eq!(tape::joined(&lab.finish(), Client)[0], data(Client, b">ab"));
}

#[test]
fn bytes_behind_the_fin_do_not_belong_to_the_stream() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, FIN | ACK, b">a");
    lab.c(104, 501, ACK, b"late");
    let log = lab.finish();
    assert_eq!(tape::joined(&log, Client), [data(Client, b">a"), Event::End(Client, Ending::Closed)]);
    assert_eq!(lab.kept.problems[&Problem::BadPacket], (1, 4));
}

#[test]
fn a_new_syn_between_the_same_ends_is_another_flow() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">a");
    lab.c(9_000, 0, SYN, b"");
    lab.s(7_000, 9_001, SYN | ACK, b"");
    lab.c(9_001, 7_001, ACK, b">b");
    lab.finish();
    assert_eq!(lab.kept.flows[&1].close, Some(CloseReason::Reused));
    assert_eq!(lab.kept.flows[&2].packets, [2, 1]);
}

#[test]
fn a_repeated_syn_is_the_same_flow() {
    let mut lab = Lab::new();
    lab.c(100, 0, SYN, b"");
    lab.c(100, 0, SYN, b"");
    lab.s(500, 101, SYN | ACK, b"");
    lab.c(101, 501, ACK, b">a");
    lab.finish();
    assert_eq!((lab.kept.flows.len(), lab.kept.flows[&1].retransmits), (1, 1));
}

#[test]
fn a_connection_is_joined_at_the_next_message() {
    let mut lab = Lab::new();
    lab.s(5_000, 900, ACK, b"tail of an answer");
    lab.c(900, 5_017, ACK, b"tail of a question>ask");
    lab.s(5_017, 922, ACK, b"<answer");
    let log = lab.finish();
    assert_eq!(tape::joined(&log, Client)[0], data(Client, b">ask"));
    assert!(tape::joined(&log, Server).contains(&data(Server, b"<answer")), "{log:?}");
    let row = &lab.kept.flows[&1];
    assert_eq!((row.client, row.state), (client(), FlowState::Closed));
    assert_eq!(row.missing, 0);
}

#[test]
fn after_a_gap_the_next_message_is_looked_for() {
    tape::set_manner(Manner { in_sync: false, ..Manner::default() });
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">one");
    lab.c(115, 501, ACK, b"rest");
    lab.c(119, 501, ACK, b"more>two");
    let log = lab.finish();
    let expected = [data(Client, b">one"), Event::Gap(Client, 18), data(Client, b">two")];
    assert_eq!(tape::joined(&log, Client)[..3], expected);
    assert_eq!(lab.kept.problems[&Problem::Unsynced], (1, 8));
    assert_eq!(lab.kept.flows[&1].missing, 10);
}

#[test]
fn skipped_bytes_are_counted_off_whether_they_come_or_not() {
    tape::set_manner(Manner { skip: 10, ..Manner::default() });
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">#");
    lab.c(103, 501, ACK, b"abcd");
    // 107..110 are missing, 110..115 comes with two bytes behind the skip.
    lab.c(110, 501, ACK, b"klmno");
    let log = lab.finish();
    let expected = [data(Client, b">#"), Event::Skipped(Client, 3), data(Client, b"no")];
    assert_eq!(tape::joined(&log, Client)[..3], expected);
    assert_eq!(lab.kept.flows[&1].missing, 3);
    assert_eq!(lab.kept.problem_count(Problem::StreamGap), 0, "nobody missed them");
}

#[test]
fn skipping_for_ever_holds_nothing() {
    tape::set_manner(Manner { skip: u64::MAX, ..Manner::default() });
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">#");
    let before = lab.engine.stats().bytes;
    for i in 0..500 {
        lab.c(200 + i * 2_000, 501, ACK, &[b'x'; 1_000]);
    }
    // Places of pieces, not their bytes.
    assert!(lab.engine.stats().bytes < before + 500 * 100, "{:?}", lab.engine.stats());
    let log = lab.finish();
    assert_eq!(tape::joined(&log, Client), [data(Client, b">#"), Event::End(Client, Ending::Lost)]);
}

#[test]
fn shunted_bytes_are_neither_missing_nor_waited_for() {
    tape::set_manner(Manner { skip: 100_000, ..Manner::default() });
    let mut lab = Lab::new();
    lab.engine.set_shunt_threshold(Some(50_000));
    lab.handshake();
    lab.c(101, 501, ACK, b">");
    lab.s(501, 102, ACK, b"<#");
    let shunts: Vec<_> = lab.engine.take_shunts().collect();
    assert_eq!(shunts.len(), 1);
    assert_eq!((shunts[0].from, shunts[0].to, shunts[0].until), (server(), client(), 100_503));
    lab.engine.shunted(&shunts[0]);
    tape::take();
    // The client's acknowledgements move the stream along, then its end arrives.
    lab.c(102, 40_503, ACK, b"");
    lab.s(100_503, 102, ACK, b"<next");
    assert_eq!(tape::take(), [Event::Skipped(Server, 0), data(Server, b"<next")]);
    assert_eq!(lab.engine.take_shunts().count(), 0);
    lab.finish();
    assert_eq!(lab.kept.flows[&1].missing, 0);
}

#[test]
fn without_the_captures_word_unseen_bytes_are_missing() {
    tape::set_manner(Manner { skip: 100_000, ..Manner::default() });
    let mut lab = Lab::new();
    lab.engine.set_shunt_threshold(Some(50_000));
    lab.handshake();
    lab.c(101, 501, ACK, b">");
    lab.s(501, 102, ACK, b"<#");
    lab.s(100_503, 102, ACK, b"<next");
    let log = lab.finish();
    assert!(log.contains(&Event::Skipped(Server, 100_000)), "{log:?}");
    assert_eq!(lab.kept.flows[&1].missing, 100_000);
}

#[test]
fn a_connection_whose_first_bytes_are_lost_is_joined_later() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(201, 501, ACK, b"tail>ask");
    lab.s(501, 209, ACK, b"<answer");
    let log = lab.finish();
    assert_eq!(tape::joined(&log, Client)[0], data(Client, b">ask"));
    assert_eq!(tape::joined(&log, Server)[0], data(Server, b"<answer"));
    assert_eq!(lab.kept.flows[&1].missing, 100);
}

#[test]
fn a_snaplen_leaves_gaps_of_the_right_size() {
    let mut lab = Lab::new();
    lab.handshake();
    let whole = tcp(client(), server(), 101, 501, ACK, b">0123456789");
    let cut = whole.len() - 6;
    lab.engine.packet(lab.now, &whole[..cut], u32::try_from(whole.len()).unwrap(), &mut lab.kept);
    lab.c(112, 501, ACK, b"next");
    let log = lab.finish();
    let expected = [data(Client, b">0123"), Event::Gap(Client, 6), data(Client, b"next")];
    assert_eq!(tape::joined(&log, Client)[..3], expected);
}

#[test]
fn a_message_too_large_to_wait_for_is_given_up() {
    tape::set_manner(Manner { unit: 1_000_000, ..Manner::default() });
    let mut lab = Lab::with(Limits { message_bytes: 5_000, ..Limits::default() });
    lab.handshake();
    let mut seq = 101;
    for payload in [vec![b'>'; 4_000], vec![b'x'; 4_000]] {
        lab.c(seq, 501, ACK, &payload);
        seq += 4_000;
    }
    assert_eq!(tape::take(), [Event::Gap(Client, 8_000)]);
    assert_eq!(lab.kept.problems[&Problem::MessageTooLarge], (1, 8_000));
    lab.finish();
}

#[test]
fn out_of_order_data_is_bounded() {
    let mut lab = Lab::with(Limits { flow_bytes: 10_000, segments: 8, ..Limits::default() });
    lab.handshake();
    lab.c(101, 501, ACK, b">");
    for i in 0..100 {
        lab.c(200 + i * 200, 501, ACK, &[b'x'; 100]);
        assert!(lab.engine.stats().bytes < 12_000);
    }
    assert!(lab.kept.problem_count(Problem::FlowBudget) > 80);
    lab.finish();
    assert_eq!(lab.kept.flows[&1].missing, 98 + 99 * 100);
}

#[test]
fn the_total_is_bounded_by_shedding() {
    let limits = Limits { total_bytes: 100_000, ..Limits::default() };
    let mut lab = Lab::with(limits);
    for port in 0..50 {
        let from = Endpoint { port: 20_000 + port, ..client() };
        lab.ip(&tcp(from, server(), 100, 0, SYN, b""));
        lab.ip(&tcp(from, server(), 101, 1, ACK, b">"));
        lab.ip(&tcp(from, server(), 200, 1, ACK, &[b'x'; 5_000]));
        assert!(lab.engine.stats().bytes <= 100_000);
    }
    assert!(lab.kept.problem_count(Problem::TotalBudget) >= 25);
    lab.finish();
    assert_eq!(lab.kept.flows.len(), 50, "the counters go on");
}

#[test]
fn a_full_table_sheds_what_is_worth_least() {
    let mut lab = Lab::with(Limits { flows: 4, ..Limits::default() });
    lab.handshake();
    lab.c(101, 501, ACK, b">live");
    for port in 0..20 {
        lab.ip(&tcp(Endpoint { port: 20_000 + port, ..client() }, server(), 100, 0, SYN, b""));
        assert!(lab.engine.stats().flows <= 4);
    }
    lab.c(106, 501, ACK, b"ly");
    assert_eq!(lab.kept.problem_count(Problem::FlowEvicted), 17);
    let log = lab.finish();
    assert_eq!(tape::joined(&log, Client)[0], data(Client, b">lively"));
}

#[test]
fn silence_ends_a_flow() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b">a");
    lab.wait(Duration::from_secs(299));
    lab.tick();
    assert_eq!(lab.engine.stats().flows, 1);
    lab.wait(Duration::from_secs(2));
    lab.tick();
    assert_eq!(lab.engine.stats().flows, 0);
    assert_eq!(lab.kept.flows[&1].close, Some(CloseReason::Idle));
    assert!(tape::take().contains(&Event::End(Client, Ending::Lost)));
}

#[test]
fn a_changing_flow_writes_a_row_per_interval() {
    let mut lab = Lab::new();
    lab.handshake();
    for i in 0..100 {
        lab.c(101 + i, 501, ACK, b">");
        lab.wait(Duration::from_millis(200));
    }
    let rows = lab.kept.flows[&1].rows;
    assert!((4..=5).contains(&rows), "one at the start and one every 5 s of 20, not {rows}");
    lab.finish();
}

#[test]
fn datagrams_are_shown_whole_with_the_role_of_their_sender() {
    let mut lab = Lab::new();
    let (a, b) = (Endpoint { port: 5_353, ..client() }, Endpoint { port: 53, ..server() });
    lab.ip(&udp(a, b, b">q"));
    lab.ip(&udp(b, a, b"<r"));
    lab.ip(&udp(a, b, b"another"));
    let log = lab.finish();
    assert_eq!(log[..3], [data(Client, b">q"), data(Server, b"<r"), data(Client, b"another")]);
    assert_eq!(lab.kept.flows[&1].packets, [2, 1]);
}

#[test]
fn an_unknown_protocol_keeps_only_counters() {
    let mut lab = Lab::new();
    lab.handshake();
    lab.c(101, 501, ACK, b"unknown");
    lab.s(501, 108, ACK, &[b'x'; 1_400]);
    lab.c(300, 501, ACK, &[b'x'; 1_400]);
    // Those, and what it began with.
    assert!(lab.engine.stats().bytes < 900);
    assert!(lab.finish().is_empty());
    assert_eq!(lab.kept.problem_count(Problem::UnknownProtocol), 1);
    assert_eq!(lab.kept.flows[&1].missing, 192);
}

#[test]
fn an_engine_can_move_to_a_thread() {
    fn send<T: Send>(_: &T) {}
    send(&Lab::new().engine);
}
