//! What hosts say to each other below applications.

use remora_dissect::harness::Harness;
use remora_dissect::{Ending, Limits, Problem, Sink, dns, icmp, tls};
use remora_model::{Call, FlowRow, Transport};

use crate::counting::{ALLOCATIONS, Count};

#[test]
fn dns_does_not_allocate_once_the_buffers_are_there() {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01";
    let mut response = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x03www\x07example\0\0\x01\0\x01".to_vec();
    response.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x10");
    response.extend(b"\xc0\x29\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
    let mut flow = Harness::with(&dns::ENTRY, Transport::Udp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(query).server(&response);
    };
    (0..10).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 110);
}

#[test]
fn icmp_does_not_allocate_once_the_buffers_are_there() {
    let echo = |kind: u8, seq: u8| [kind, 0, 0, 0, 0, 7, 0, seq, 1, 2, 3, 4];
    // Port unreachable, with the datagram that caused it.
    let mut error =
        vec![3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 1, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    error.extend_from_slice(&[0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
    let mut flow = Harness::with(&icmp::ENTRY, Transport::Icmp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(echo(8, 1)).client(echo(8, 2)).server(echo(0, 2)).server(echo(0, 1)).server(&error);
    };
    (0..10).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 330);
}

/// Counts calls; that nothing can be read is told.
#[derive(Default)]
struct Handshakes(u64);

impl Sink for Handshakes {
    fn call(&mut self, _: &Call<'_>) {
        self.0 += 1;
    }
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, problem: Problem, _: u64) {
        assert!(!problem.is_loss(), "{problem:?}");
    }
}

/// Behind a handshake without keys nothing is looked at.
#[test]
fn tls_does_not_allocate_for_what_it_cannot_read() {
    let hello = |kind: u8, body: &[u8]| {
        let rest = [&[3, 3][..], &[7; 32], body].concat();
        let length = rest.len() as u8;
        [&[22, 3, 1, 0, length + 4, kind, 0, 0, length][..], &rest].concat()
    };
    let mut flow = Harness::with(&tls::ENTRY, Transport::Tcp, Limits::default(), Handshakes::default());
    flow.client(hello(1, b"\0\0\x02\x13\x01\x01\0"));
    flow.server(hello(2, b"\0\x13\x01\0\0\x06\0\x2b\0\x02\x03\x04"));
    let record = [&b"\x17\x03\x03\x02\0"[..], &[0xa5; 512]].concat();
    let mut round = || {
        flow.client(&record).server(&record);
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    flow.close(Ending::Closed);
    assert_eq!(flow.sink.0, 1);
}
