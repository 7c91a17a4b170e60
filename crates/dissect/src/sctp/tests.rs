#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::chunk::{Chunks, Data, Group, kind};
use super::messages::Messages;
use crate::{Limits, Problem};

/// A fragment of message `message` on stream 0.
fn part(tsn: u32, message: u32, begins: bool, ends: bool, payload: &[u8]) -> Data<'_> {
    let group = Group { stream: 0, message, unordered: false, interleaved: false };
    Data { tsn, group, place: tsn, ppid: 0, begins, ends, payload }
}

/// What becomes of chunks, in the order in which they come.
fn taken(messages: &mut Messages, parts: &[Data<'_>]) -> Vec<Vec<u8>> {
    let limits = Limits::default();
    parts
        .iter()
        .filter_map(|p| messages.take(p, &limits, |problem, n| panic!("{problem:?} {n}")).map(<[u8]>::to_vec))
        .collect()
}

#[test]
fn fragments_in_any_order_make_one_message() {
    let parts = [
        part(u32::MAX, 7, true, false, b"one "),
        part(0, 7, false, false, b"two "),
        part(1, 7, false, true, b"three"),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut messages = Messages::default();
        messages.start(u32::MAX);
        let found = taken(&mut messages, &order.map(|i: usize| parts[i]));
        assert_eq!(found, [b"one two three"], "{order:?}");
        assert!(taken(&mut messages, &parts).is_empty(), "they came before");
        assert_eq!(messages.release(), 0);
    }
}

#[test]
fn what_comes_twice_or_late_is_one_message() {
    let mut messages = Messages::default();
    messages.start(10);
    let whole = |tsn: u32| part(tsn, tsn, true, true, b"m");
    let order = [10, 12, 14, 12, 13, 11, 10, 14, 15, 11, 13];
    assert_eq!(taken(&mut messages, &order.map(whole)).len(), 6);
}

#[test]
fn a_lost_number_does_not_hold_up_the_others() {
    let mut messages = Messages::default();
    messages.start(0);
    // Every other chunk is lost.
    let all: Vec<Data<'_>> = (0..1_000).map(|n| part(2 * n + 1, n, true, true, b"m")).collect();
    assert_eq!(taken(&mut messages, &all).len(), 1_000);
    assert!(messages.memory() < 4_096, "{}", messages.memory());
}

#[test]
fn unfinished_messages_are_bounded() {
    let limits = Limits { segments: 16, message_bytes: 1_000, flow_bytes: 4_000, ..Limits::default() };
    let mut messages = Messages::default();
    let mut problems = Vec::new();
    for n in 0..500_u32 {
        // Fragments of one message, and of many that never end.
        let message = if n < 100 { 1 } else { n };
        let p = part(n, message, n == 0 || n >= 100, false, &[7; 100]);
        assert!(messages.take(&p, &limits, |problem, _| problems.push(problem)).is_none());
        assert!(messages.memory() < 16_384, "{}", messages.memory());
    }
    assert!(problems.contains(&Problem::MessageTooLarge) && problems.contains(&Problem::FlowBudget));
}

#[test]
fn chunks_are_read_as_far_as_they_make_sense() {
    // SACK of 16 bytes, DATA of 17 with padding, then a length that cannot be.
    let mut bytes = [&[3, 0, 0, 16][..], &[0; 12]].concat();
    bytes.extend_from_slice(&[0, 3, 0, 17, 0, 0, 0, 9, 0, 1, 0, 2, 0, 0, 0, 46, b'!', 0, 0, 0]);
    bytes.extend_from_slice(&[0, 0, 0, 3, 1]);
    let mut chunks = Chunks::new(&bytes);
    assert_eq!(chunks.next().unwrap().kind, 3);
    let data = chunks.next().unwrap();
    let read = data.data().unwrap();
    assert_eq!((data.kind, data.len, read.tsn, read.ppid, read.payload), (kind::DATA, 17, 9, 46, &b"!"[..]));
    assert_eq!((read.group.stream, read.group.message, read.begins, read.ends), (1, 2, true, true));
    assert_eq!((chunks.next(), chunks.refused), (None, 5));
    // Cut by a snaplen.
    let cut = Chunks::new(&bytes[..30]).nth(1).unwrap();
    assert!(cut.is_cut() && cut.data().is_none());
}

#[test]
fn interleaved_messages_are_told_apart() {
    let i_data = |tsn: u32, message: u32, flags: u8, last: u32, payload: &[u8]| {
        let len = u16::try_from(20 + payload.len()).unwrap();
        let mut b = vec![64, flags];
        b.extend_from_slice(&len.to_be_bytes());
        b.extend_from_slice(&tsn.to_be_bytes());
        b.extend_from_slice(&[0, 5, 0, 0]);
        b.extend_from_slice(&message.to_be_bytes());
        b.extend_from_slice(&last.to_be_bytes());
        b.extend_from_slice(payload);
        b
    };
    // Two messages whose fragments take turns: the place in the message counts, not the number.
    let chunks = [
        i_data(1, 0, 2, 46, b"aaaa"),
        i_data(2, 1, 2, 46, b"bbbb"),
        i_data(3, 0, 1, 1, b"AAAA"),
        i_data(4, 1, 1, 1, b"BBBB"),
    ];
    let mut messages = Messages::default();
    let mut found = Vec::new();
    for bytes in &chunks {
        let chunk = Chunks::new(bytes).next().unwrap();
        let data = chunk.data().unwrap();
        found.extend(messages.take(&data, &Limits::default(), |_, _| {}).map(<[u8]>::to_vec));
    }
    assert_eq!(found, [b"aaaaAAAA", b"bbbbBBBB"]);
}
