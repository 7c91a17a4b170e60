#![allow(clippy::unwrap_used)]

use remora_model::{Transport, field};

use super::{ENTRY, detect};
use crate::harness::Harness;
use crate::{Ending, Role, Verdict};

fn harness() -> Harness {
    Harness::new(&ENTRY, Transport::Tcp)
}

fn seen(h: &Harness) -> Vec<(String, String, Option<&'static str>)> {
    let calls = h.sink.calls.iter();
    calls.map(|c| (c.text(field::MEMCACHED_QUERY), c.text(field::MEMCACHED_STATUS), c.incomplete)).collect()
}

fn call(query: &str, status: &str, why: Option<&'static str>) -> (String, String, Option<&'static str>) {
    (query.to_owned(), status.to_owned(), why)
}

#[test]
fn quiet_commands_are_known_by_what_comes_later() {
    let mut h = harness();
    h.client("mg a v q k\r\nmg b v q k\r\nmn\r\n").server("VA 1 kb\r\nx\r\nMN\r\n").close(Ending::Closed);
    assert_eq!(
        seen(&h),
        [call("mg a v q k", "", None), call("mg b v q k", "VA", None), call("mn", "MN", None)]
    );
    assert_eq!(h.sink.calls[0].int(field::MEMCACHED_MISSES), Some(1));
}

#[test]
fn what_could_answer_several_is_not_paired() {
    let mut h = harness();
    h.client("mg a v q\r\nmg b v q\r\nmn\r\n").server("VA 1\r\nx\r\nMN\r\n").close(Ending::Closed);
    let calls = seen(&h);
    assert!(calls.contains(&call("", "VA", Some("no_request"))), "{calls:?}");
    assert!(calls.iter().all(|c| c.0.is_empty() || c.1.is_empty() || c.1 == "MN"), "{calls:?}");
}

#[test]
fn after_a_gap_pairs_have_to_prove_themselves() {
    let mut h = harness();
    h.client("get a\r\n").server("END\r\n").client("get b\r\n").gap(Role::Server, 5);
    h.client("get c\r\n").server("VALUE c 0 1\r\nx\r\nEND\r\n").client("get d\r\n").server("END\r\n");
    h.client("get e\r\n").server("END\r\n").close(Ending::Closed);
    let calls = seen(&h);
    assert_eq!(calls[0], call("get a", "END", None));
    assert!(calls.contains(&call("get b", "", Some("gap"))), "{calls:?}");
    assert!(calls.contains(&call("get e", "END", None)), "{calls:?}");
}

#[test]
fn errors_and_outcomes() {
    let mut h = harness();
    h.client("get a\r\n").server("SERVER_ERROR out of memory\r\n");
    h.client("add a 0 0 1\r\nx\r\n").server("NOT_STORED\r\n");
    h.client("incr a 1\r\n").server("CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
    h.close(Ending::Closed);
    let of: Vec<_> = h.sink.calls.iter().map(|c| (c.failed, c.client_error)).collect();
    assert_eq!(of, [(true, false), (false, false), (true, true)]);
    assert_eq!(h.sink.calls[0].text(field::MEMCACHED_ERROR), "SERVER_ERROR out of memory");
}

#[test]
fn a_log_is_opaque() {
    let mut h = harness();
    h.client("watch fetchers\r\n").server("OK\r\nts=1.2 gid=1 type=item_get key=a\r\n").server("more\r\n");
    h.close(Ending::Closed);
    assert_eq!(seen(&h), [call("watch fetchers", "OK", None)]);
}

#[test]
fn detection() {
    let probe = |t: &[u8]| detect::probe(t, Transport::Tcp);
    assert_eq!(probe(b"set k 0 0 3\r\nabc\r\n"), Verdict::Match(Role::Client));
    assert_eq!(probe(b"set k 0 0 3\r\nabcd\r\n"), Verdict::No);
    assert_eq!(probe(b"get k\r\n"), Verdict::Likely(Role::Client));
    assert_eq!(probe(b"get"), Verdict::NeedMore);
    assert_eq!(probe(b"VALUE k 0 3\r\n"), Verdict::Match(Role::Server));
    assert_eq!(probe(b"END\r\n"), Verdict::Likely(Role::Server));
    assert_eq!(probe(b"GET / HTTP/1.1\r\n"), Verdict::No);
    assert_eq!(probe(b"220 mail.example\r\n"), Verdict::No);
    let header = b"\x80\x00\0\x03\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0abc";
    assert_eq!(probe(header), Verdict::Match(Role::Client));
    assert_eq!(detect::resync(b"xyz\r\nVALUE k 0 1\r\nx\r\n", Role::Server), Some(5));
    assert_eq!(detect::resync(&[b"abc", &header[..]].concat(), Role::Client), Some(3));
}
