//! The engine against connections that are joined in the middle: where it begins to read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use remora_dissect::{Problem, Role};
use support::lab::{Lab, data};
use support::packets::ACK;
use support::tape::{self, Event};

use Role::{Client, Server};

#[test]
fn a_connection_that_is_joined_in_a_long_body_is_read_behind_it() {
    let mut lab = Lab::new();
    let (mut c, mut s) = (900, 5_000);
    for turn in 0..3 {
        // Neither side shows anything for a long time; the client acknowledges with bytes of its own.
        for i in 0..400 * (turn + 1) {
            lab.s(s, c, ACK, &[b'x'; 1_000]);
            s += 1_000;
            if i % 7 == 0 {
                lab.c(c, s, ACK, b"ok");
                c += 2;
            }
        }
    }
    assert!(tape::take().is_empty());
    let held = lab.engine.stats().bytes;
    assert!(held < 16 << 10, "{held}");
    // Messages begin where a side begins to speak. The first may be passed over.
    for _ in 0..200 {
        lab.c(c, s, ACK, b">ask");
        c += 4;
        lab.s(s, c, ACK, b"<answer");
        s += 7;
        for _ in 0..3 {
            lab.s(s, c, ACK, &[b'x'; 1_000]);
            s += 1_000;
        }
    }
    let log = lab.finish();
    let asked = tape::joined(&log, Client);
    assert!(matches!(&asked[0], Event::Data(_, bytes) if bytes.starts_with(b">ask")), "{:?}", asked[0]);
    assert_eq!(lab.kept.problem_count(Problem::UnknownProtocol), 0);
}

#[test]
fn a_connection_is_joined_at_its_keep_alive() {
    for (probe, answered) in [(b"".as_slice(), true), (b"", false), (b"\0", true), (b"\0", false)] {
        let mut lab = Lab::new();
        lab.c(100, 501, ACK, probe);
        if answered {
            lab.s(501, 101, ACK, b"");
        }
        lab.c(100, 501, ACK, probe);
        lab.c(101, 501, ACK, b">ask");
        lab.s(501, 105, ACK, b"<answer");
        let log = lab.finish();
        assert_eq!(log[..2], [data(Client, b">ask"), data(Server, b"<answer")]);
        assert_eq!((lab.kept.flows[&1].missing, lab.kept.flows[&1].retransmits), (0, 0));
        assert!(lab.kept.problems.is_empty(), "{:?}", lab.kept.problems);
    }
}

#[test]
fn what_is_missing_behind_an_acknowledgement_is_a_gap() {
    let mut lab = Lab::new();
    lab.c(100, 501, ACK, b"");
    lab.c(102, 501, ACK, b">ask");
    lab.s(501, 106, ACK, b"<answer");
    lab.finish();
    assert_eq!(lab.kept.flows[&1].missing, 2);
}

#[test]
fn what_a_joined_side_waited_for_is_missed() {
    let mut lab = Lab::new();
    lab.c(100, 501, ACK, b">one");
    // The answer to it and the next question were lost.
    lab.s(508, 108, ACK, b"<answer");
    lab.c(108, 515, ACK, b">three");
    let log = lab.finish();
    assert_eq!(tape::joined(&log, Server)[..2], [Event::Gap(Server, 7), data(Server, b"<answer")]);
    assert_eq!(tape::joined(&log, Client)[1..3], [Event::Gap(Client, 4), data(Client, b">three")]);
    assert_eq!(lab.kept.flows[&1].missing, 11);
}

/// Data and gaps in the order in which they were shown, without searches.
fn shown(log: &[Event]) -> Vec<Event> {
    log.iter().filter(|e| matches!(e, Event::Data(..) | Event::Gap(..))).cloned().collect()
}

#[test]
fn at_the_end_an_answer_waits_for_the_hole_that_its_question_is_missing_in() {
    // Who asks makes no difference, nor who has more to show.
    let mut lab = Lab::new();
    lab.handshake();
    lab.s(501, 101, ACK, b"<hello");
    // The client's ">a" is missing, then the server's "<b".
    lab.s(507, 103, ACK, b"<answer");
    lab.c(103, 514, ACK, b">next");
    lab.c(108, 516, ACK, b">last");
    let log = shown(&lab.finish());
    let expected = [
        data(Server, b"<hello"),
        Event::Gap(Client, 2),
        data(Server, b"<answer"),
        data(Client, b">next"),
        Event::Gap(Server, 2),
        data(Client, b">last"),
    ];
    assert_eq!(log, expected);
}

#[test]
fn what_was_said_in_the_middle_of_a_hole_is_shown_there() {
    // Two answers are missing, and what was asked between them is not.
    let ask = |lab: &mut Lab| {
        lab.handshake();
        lab.c(101, 501, ACK, b">1");
        lab.c(103, 503, ACK, b">2");
        lab.c(105, 505, ACK, b">3");
        lab.s(505, 107, ACK, b"<3");
    };
    let expected = [
        data(Client, b">1"),
        Event::Gap(Server, 2),
        data(Client, b">2"),
        Event::Gap(Server, 2),
        data(Client, b">3"),
        data(Server, b"<3"),
    ];
    let mut lab = Lab::new();
    ask(&mut lab);
    assert_eq!(shown(&lab.finish()), expected, "at the end");
    let mut lab = Lab::new();
    ask(&mut lab);
    lab.wait(std::time::Duration::from_secs(2));
    lab.tick();
    lab.c(107, 507, ACK, b"");
    assert_eq!(shown(&lab.finish()), expected, "in time");
}
