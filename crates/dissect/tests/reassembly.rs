//! Property: however a connection is cut into segments, reordered, repeated and overlapped, the
//! dissector is shown the same bytes, and no answer before its question; what was lost is a gap
//! of the right size in the right place.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use proptest::prelude::*;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::{Ending, Limits, Role};
use remora_model::{CaptureSource, CloseReason, Timestamp};
use support::Kept;
use support::packets::{ACK, FIN, SYN, client, server, tcp};
use support::tape::{self, Event, Manner, TAPE};

/// A connection as it was on the wire, and what happened to it in the capture.
#[derive(Clone, Debug)]
struct Conversation {
    /// Lengths of what the sides say in turn, the client first.
    turns: Vec<usize>,
    /// Initial sequence numbers of client and server.
    isn: [u32; 2],
    /// Sizes of segments, used in turn.
    cuts: Vec<usize>,
    /// Ranges of what was already sent that are sent again: how far back, how long.
    again: Vec<(usize, usize)>,
    /// Which packets are captured twice, and how much later the second time.
    twice: Vec<Option<usize>>,
    /// How far each packet is displaced.
    late: Vec<usize>,
    /// Which data packets are not captured.
    lost: Vec<bool>,
}

#[derive(Clone, Debug)]
struct Packet {
    role: Role,
    /// Offset in the sender's stream.
    from: usize,
    to: usize,
    /// How much of the peer's stream was received.
    ack: usize,
    fin: bool,
}

fn conversation(lossy: bool) -> impl Strategy<Value = Conversation> {
    let isn = prop_oneof![any::<u32>(), (0..3_000_u32).prop_map(|n| u32::MAX - n)];
    (
        prop::collection::vec(1..2_000_usize, 1..8),
        [isn.clone(), isn],
        prop::collection::vec(1..700_usize, 1..10),
        prop::collection::vec((0..900_usize, 1..900_usize), 0..6),
        prop::collection::vec(prop::option::weighted(0.2, 0..6_usize), 1..30),
        prop::collection::vec(prop_oneof![3 => Just(0), 1 => 0..6_usize], 1..30),
        prop::collection::vec(prop::bool::weighted(if lossy { 0.15 } else { 0.0 }), 1..30),
    )
        .prop_map(|(turns, isn, cuts, again, twice, late, lost)| Conversation {
            turns,
            isn,
            cuts,
            again,
            twice,
            late,
            lost,
        })
}

impl Conversation {
    fn role(turn: usize) -> Role {
        if turn.is_multiple_of(2) { Role::Client } else { Role::Server }
    }

    /// The bytes of a stream: its mark, then what tells every position from its neighbours.
    fn stream(&self, role: Role) -> Vec<u8> {
        let len: usize =
            self.turns.iter().enumerate().filter(|(i, _)| Self::role(*i) == role).map(|(_, n)| n).sum();
        let mark = if role == Role::Client { b'>' } else { b'<' };
        (0..len).map(|i| if i == 0 { mark } else { b'a' + u8::try_from(i * 7 % 23).unwrap() }).collect()
    }

    /// The packets in the order in which they are captured, without the handshake.
    fn captured(&self) -> Vec<Packet> {
        let (mut sent, mut cuts, mut wire) = ([0_usize; 2], self.cuts.iter().cycle(), Vec::new());
        let mut again = self.again.iter();
        for (i, &len) in self.turns.iter().enumerate() {
            let role = Self::role(i);
            let (mut from, ack) = (sent[role.index()], sent[role.other().index()]);
            let end = from + len;
            while from < end {
                let to = end.min(from + cuts.next().unwrap());
                wire.push(Packet { role, from, to, ack, fin: false });
                from = to;
            }
            sent[role.index()] = end;
            // A retransmission with seams of its own.
            if let Some(&(back, len)) = again.next() {
                let from = end - back.min(end - 1) - 1;
                wire.push(Packet { role, from, to: end.min(from + len), ack, fin: false });
            }
        }
        let mut order: Vec<(usize, Packet)> = Vec::new();
        for (i, packet) in wire.into_iter().enumerate() {
            let lost = self.lost[i % self.lost.len()];
            let late = self.late[i % self.late.len()];
            if !lost {
                order.push((i + late, packet.clone()));
                if let Some(later) = self.twice[i % self.twice.len()] {
                    order.push((i + late + later, packet));
                }
            }
        }
        order.sort_by_key(|&(at, _)| at);
        let mut captured: Vec<Packet> = order.into_iter().map(|(_, p)| p).collect();
        for role in [Role::Client, Role::Server] {
            let (all, ack) = (sent[role.index()], sent[role.other().index()]);
            captured.push(Packet { role, from: all, to: all, ack, fin: true });
        }
        captured
    }

    fn run(&self) -> (Vec<Event>, Kept) {
        tape::take();
        let mut engine =
            Engine::with_registry(Limits::default(), CaptureSource::File, FlowIds::new(1, 1), TAPE);
        let mut kept = Kept::default();
        let mut now = Timestamp(1_000_000_000);
        let mut show = |packet: &[u8]| {
            now = now.plus(Duration::from_micros(100));
            engine.packet(now, packet, u32::try_from(packet.len()).unwrap(), &mut kept);
        };
        let [c, s] = self.isn;
        show(&tcp(client(), server(), c, 0, SYN, b""));
        show(&tcp(server(), client(), s, c.wrapping_add(1), SYN | ACK, b""));
        show(&tcp(client(), server(), c.wrapping_add(1), s.wrapping_add(1), ACK, b""));
        for p in self.captured() {
            let number = |role: Role, at: usize| {
                self.isn[role.index()].wrapping_add(1).wrapping_add(u32::try_from(at).unwrap())
            };
            let (src, dst) = if p.role == Role::Client { (client(), server()) } else { (server(), client()) };
            let flags = if p.fin { FIN | ACK } else { ACK };
            let payload = &self.stream(p.role)[p.from..p.to];
            show(&tcp(src, dst, number(p.role, p.from), number(p.role.other(), p.ack), flags, payload));
        }
        engine.finish(&mut kept);
        let stats = engine.stats();
        assert_eq!((stats.flows, stats.bytes, stats.fragments), (0, 0, 0));
        (tape::take(), kept)
    }

    /// What the dissector must be shown of one side.
    fn expected(&self, role: Role) -> Vec<Event> {
        let stream = self.stream(role);
        let mut seen = vec![false; stream.len()];
        for p in self.captured().iter().filter(|p| p.role == role) {
            seen[p.from..p.to].fill(true);
        }
        let mut out: Vec<Event> = Vec::new();
        for (&byte, &seen) in stream.iter().zip(&seen) {
            match (out.last_mut(), seen) {
                (Some(Event::Data(_, all)), true) => all.push(byte),
                (Some(Event::Gap(_, n)), false) => *n += 1,
                (_, true) => out.push(Event::Data(role, vec![byte])),
                (_, false) => out.push(Event::Gap(role, 1)),
            }
        }
        out.push(Event::End(role, Ending::Closed));
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, failure_persistence: None, ..ProptestConfig::default() })]

    /// Both streams whole, in turns.
    #[test]
    fn any_cut_and_any_order_give_the_same_bytes(conversation in conversation(false)) {
        tape::set_manner(Manner::default());
        let (log, kept) = conversation.run();
        let mut turns: Vec<(Role, usize)> = Vec::new();
        for event in &log {
            match event {
                Event::Data(role, bytes) => match turns.last_mut() {
                    Some((last, n)) if last == role => *n += bytes.len(),
                    _ => turns.push((*role, bytes.len())),
                },
                Event::End(_, how) => prop_assert_eq!(*how, Ending::Closed),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        let said: Vec<(Role, usize)> =
            conversation.turns.iter().enumerate().map(|(i, &n)| (Conversation::role(i), n)).collect();
        prop_assert_eq!(turns, said, "no answer before its question");
        for role in [Role::Client, Role::Server] {
            prop_assert_eq!(tape::joined(&log, role), conversation.expected(role));
        }
        let row = &kept.flows[&1];
        prop_assert_eq!((row.missing, row.close), (0, Some(CloseReason::Fin)));
        prop_assert_eq!(kept.flows.len(), 1);
    }

    /// The same for a dissector that leaves rests, whatever its unit.
    #[test]
    fn rests_are_shown_again(conversation in conversation(false), unit in 2..400_usize) {
        tape::set_manner(Manner { unit, ..Manner::default() });
        let (log, _) = conversation.run();
        tape::set_manner(Manner::default());
        for role in [Role::Client, Role::Server] {
            prop_assert_eq!(tape::joined(&log, role), conversation.expected(role));
        }
    }

    /// What was lost is a gap in its place.
    #[test]
    fn losses_are_gaps_of_the_right_size(conversation in conversation(true)) {
        tape::set_manner(Manner::default());
        let (log, kept) = conversation.run();
        // The mark at the beginning is how the tape is recognised.
        let found = |role| matches!(conversation.expected(role).first(), Some(Event::Data(..)));
        prop_assume!(found(Role::Client) && (conversation.turns.len() < 2 || found(Role::Server)));
        let mut missing = 0;
        for role in [Role::Client, Role::Server] {
            let expected = conversation.expected(role);
            missing += expected.iter().map(|e| if let Event::Gap(_, n) = e { *n } else { 0 }).sum::<u64>();
            prop_assert_eq!(tape::joined(&log, role), expected);
        }
        prop_assert_eq!(kept.flows[&1].missing, i64::try_from(missing).unwrap());
    }
}
