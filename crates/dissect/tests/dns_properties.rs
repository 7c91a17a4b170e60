//! DNS over TCP and UDP, made up: however the bytes are split the calls are those that the
//! generator meant, and no damage does harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use remora_dissect::harness::{Harness, Value};
use remora_dissect::{Ending, Role, dns};
use remora_model::{Transport, field};

/// A query and its response: id, host, and the last octets of the addresses.
type Exchange = (u16, String, Vec<u8>);

fn exchanges() -> impl Strategy<Value = Vec<Exchange>> {
    let one = (any::<u16>(), "[a-z]{1,20}(\\.[a-z]{1,10}){0,3}", prop::collection::vec(any::<u8>(), 0..5));
    // An id is open once only.
    prop::collection::btree_map(any::<u16>(), one, 1..8)
        .prop_map(|m| m.into_iter().map(|(id, (_, host, a))| (id, host, a)).collect())
}

fn message(id: u16, host: &str, answers: Option<&[u8]>) -> Vec<u8> {
    let mut m = id.to_be_bytes().to_vec();
    m.extend(if answers.is_some() { [0x81, 0x80] } else { [1, 0] });
    m.extend([0, 1, 0, answers.map_or(0, <[u8]>::len) as u8, 0, 0, 0, 0]);
    for label in host.split('.') {
        m.push(label.len() as u8);
        m.extend(label.bytes());
    }
    m.extend([0, 0, 1, 0, 1]);
    for last in answers.unwrap_or_default() {
        m.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, *last]);
    }
    m
}

fn framed(messages: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    messages.flat_map(|m| [(m.len() as u16).to_be_bytes().to_vec(), m].concat()).collect()
}

fn send(h: &mut Harness, role: Role, bytes: &[u8], cuts: &[usize]) {
    let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut from = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        h.send(role, &bytes[from..cut]);
        from = cut;
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let Some(Value::List(list)) = value else { return Vec::new() };
    list.iter().map(|t| String::from_utf8(t.clone()).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_split_gives_the_calls_that_were_meant(
        all in exchanges(),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        backwards in any::<bool>(),
    ) {
        let queries = framed(all.iter().map(|(id, host, _)| message(*id, host, None)));
        let mut order: Vec<&Exchange> = all.iter().collect();
        if backwards {
            order.reverse();
        }
        let responses = framed(order.iter().map(|(id, host, a)| message(*id, host, Some(a))));
        let mut h = Harness::new(&dns::ENTRY, Transport::Tcp);
        send(&mut h, Role::Client, &queries, &cuts);
        send(&mut h, Role::Server, &responses, &cuts);
        h.close(Ending::Closed);
        prop_assert!(h.sink.problems.is_empty());
        prop_assert_eq!(h.sink.calls.len(), all.len());
        for (call, (id, host, last)) in h.sink.calls.iter().zip(order) {
            prop_assert_eq!(call.int(field::DNS_ID), Some(i64::from(*id)));
            prop_assert_eq!(texts(call.get(field::DNS_QUESTIONS)), [host.clone()]);
            let expected: Vec<String> = last.iter().map(|n| format!("192.0.2.{n}")).collect();
            prop_assert_eq!(texts(call.get(field::DNS_ANSWERS)), expected);
            prop_assert_eq!(call.incomplete, None);
        }
    }

    #[test]
    fn no_damage_does_harm(
        all in exchanges(),
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..10),
        keep in any::<usize>(),
        gap in 0_u64..100,
        tcp in any::<bool>(),
    ) {
        let mut bytes = framed(all.iter().flat_map(|(id, host, a)| [message(*id, host, None), message(*id, host, Some(a))]));
        for (at, with) in flips {
            let at = at % bytes.len();
            bytes[at] ^= with;
        }
        bytes.truncate(keep % (bytes.len() + 1));
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let mut h = Harness::new(&dns::ENTRY, transport);
        for role in [Role::Client, Role::Server] {
            for piece in bytes.chunks(37) {
                h.send(role, piece);
            }
            if tcp {
                h.gap(role, gap).send(role, &bytes);
            }
        }
        h.close(Ending::Lost);
        prop_assert!(!h.dissector().is_busy());
        prop_assert!(h.dissector().memory() < 1 << 20);
    }

    #[test]
    fn arbitrary_datagrams_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut h = Harness::new(&dns::ENTRY, Transport::Udp);
        h.client(&bytes).server(&bytes).close(Ending::Lost);
        prop_assert!(h.sink.calls.len() <= 2);
        (dns::ENTRY.probe)(&bytes, Transport::Udp);
        (dns::ENTRY.probe)(&bytes, Transport::Tcp);
    }
}
