//! Redis, made up: however the bytes are split the calls are those that the generator meant, and
//! no damage does harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Ending, Limits, Role, redis};
use remora_model::{Transport, field};

/// A reply on the wire, its text and its type.
type Reply = (Vec<u8>, String, &'static str);

fn reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        "[a-z]{1,8}".prop_map(|t| (format!("+{t}\r\n").into_bytes(), t, "simple")),
        any::<i32>().prop_map(|n| (format!(":{n}\r\n").into_bytes(), n.to_string(), "int")),
        "[a-z0-9]{1,300}".prop_map(|t| (format!("${}\r\n{t}\r\n", t.len()).into_bytes(), t, "bulk")),
        Just((b"$-1\r\n".to_vec(), "(nil)".to_owned(), "null")),
        Just((b"#t\r\n".to_vec(), "(true)".to_owned(), "bool")),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        (prop::collection::vec(inner, 0..5), any::<bool>()).prop_map(|(items, set)| {
            let mut wire = format!("{}{}\r\n", if set { '~' } else { '*' }, items.len()).into_bytes();
            items.iter().for_each(|i| wire.extend(&i.0));
            let list = items.iter().map(|i| i.1.as_str()).collect::<Vec<_>>().join(", ");
            if set { (wire, format!("{{{list}}}"), "set") } else { (wire, format!("[{list}]"), "array") }
        })
    })
}

fn command() -> impl Strategy<Value = (Vec<u8>, String, String)> {
    let verb = prop::sample::select(vec!["GET", "SET", "hget", "DEL", "INCR"]);
    (verb, "[a-z:]{1,40}", prop::collection::vec("[a-z]{1,50}", 0..3), any::<bool>()).prop_map(
        |(verb, key, rest, inline)| {
            let args: Vec<&str> = [verb, &key].into_iter().chain(rest.iter().map(String::as_str)).collect();
            let text = args.join(" ");
            let wire = if inline {
                format!("{text}\r\n")
            } else {
                let strings: String = args.iter().map(|a| format!("${}\r\n{a}\r\n", a.len())).collect();
                format!("*{}\r\n{strings}", args.len())
            };
            (wire.into_bytes(), key, text)
        },
    )
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_split_gives_the_calls_that_were_meant(
        all in prop::collection::vec((command(), reply()), 1..8),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let requests: Vec<u8> = all.iter().flat_map(|a| a.0.0.clone()).collect();
        let replies: Vec<u8> = all.iter().flat_map(|a| a.1.0.clone()).collect();
        let mut h = Harness::new(&redis::ENTRY, Transport::Tcp);
        send(&mut h, Role::Client, &requests, &cuts);
        send(&mut h, Role::Server, &replies, &cuts);
        h.close(Ending::Closed);
        prop_assert!(h.sink.problems.is_empty());
        prop_assert_eq!(h.sink.calls.len(), all.len());
        let (mut request_pos, mut response_pos) = (0, 0);
        for (call, ((sent, key, text), (got, reply, kind))) in h.sink.calls.iter().zip(&all) {
            prop_assert_eq!(&call.text(field::REDIS_COMMAND), text);
            prop_assert_eq!(&call.text(field::REDIS_KEY), key);
            prop_assert_eq!(&call.text(field::REDIS_REPLY), reply);
            prop_assert_eq!(&call.text(field::REDIS_REPLY_TYPE), kind);
            prop_assert_eq!((call.request_bytes, call.response_bytes), (Some(sent.len() as i64), Some(got.len() as i64)));
            prop_assert_eq!((call.request_pos, call.response_pos), (Some(request_pos), Some(response_pos)));
            request_pos += sent.len() as i64;
            response_pos += got.len() as i64;
        }
    }

    /// The calls are the same with a payload limit so small that most bytes are passed over.
    #[test]
    fn small_limits_change_only_texts(
        all in prop::collection::vec((command(), reply()), 1..8),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        payload in 0_usize..40,
    ) {
        let requests: Vec<u8> = all.iter().flat_map(|a| a.0.0.clone()).collect();
        let replies: Vec<u8> = all.iter().flat_map(|a| a.1.0.clone()).collect();
        let limits = Limits { payload, ..Limits::default() };
        let run = |cuts: &[usize]| {
            let mut h = Harness::with(&redis::ENTRY, Transport::Tcp, limits.clone(), Recorder::default());
            send(&mut h, Role::Client, &requests, cuts);
            send(&mut h, Role::Server, &replies, cuts);
            h.close(Ending::Closed);
            (h.sink.calls, h.sink.problems)
        };
        let whole = run(&[]);
        prop_assert_eq!(whole.0.len(), all.len());
        prop_assert_eq!(run(&cuts), whole);
    }

    #[test]
    fn no_damage_does_harm(
        all in prop::collection::vec((command(), reply()), 1..8),
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..10),
        keep in any::<usize>(),
        gap in 0_u64..100,
    ) {
        for (role, mut bytes) in [
            (Role::Client, all.iter().flat_map(|a| a.0.0.clone()).collect::<Vec<u8>>()),
            (Role::Server, all.iter().flat_map(|a| a.1.0.clone()).collect()),
        ] {
            for (at, with) in &flips {
                let at = at % bytes.len();
                bytes[at] ^= with;
            }
            bytes.truncate(keep % (bytes.len() + 1));
            let mut h = Harness::new(&redis::ENTRY, Transport::Tcp);
            for piece in bytes.chunks(23) {
                h.send(role, piece);
            }
            h.gap(role, gap).send(role, &bytes).send(role.other(), &bytes).close(Ending::Lost);
            prop_assert!(!h.dissector().is_busy());
            prop_assert!(h.dissector().memory() < 1 << 20);
        }
    }

    #[test]
    fn hostile_lengths_hold_nothing(n in any::<u64>(), kind in prop::sample::select(b"*$%~>|=!;".to_vec())) {
        let header = format!("{}{n}\r\n", kind as char);
        for role in [Role::Client, Role::Server] {
            let mut h = Harness::new(&redis::ENTRY, Transport::Tcp);
            for _ in 0..40 {
                h.send(role, header.as_bytes());
            }
            h.close(Ending::Lost);
            prop_assert!(h.dissector().memory() < 1 << 17);
        }
    }
}
