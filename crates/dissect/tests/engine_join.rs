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
