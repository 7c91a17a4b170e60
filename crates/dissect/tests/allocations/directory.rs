//! A connection with small messages costs no allocation per call.

use remora_dissect::harness::Harness;
use remora_dissect::{Limits, diameter, ldap, radius, smtp};
use remora_model::Transport;

use crate::counting::{ALLOCATIONS, Count};

#[test]
fn ldap_does_not_allocate_once_the_buffers_are_there() {
    const SEARCH: &[u8] =
        b"\x30\x29\x02\x01\x02\x63\x24\x04\x04dc=x\x0a\x01\x02\x0a\x01\0\x02\x01\0\x02\x01\0\x01\x01\0\
        \x87\x0bobjectClass\x30\0";
    const ENTRY: &[u8] =
        b"\x30\x1a\x02\x01\x02\x64\x15\x04\x04dc=x\x30\x0d\x30\x0b\x04\x02cn\x31\x05\x04\x03abc";
    const DONE: &[u8] = b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\0\x04\0\x04\0";
    let mut flow = Harness::with(&ldap::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let answer = [ENTRY, ENTRY, DONE].concat();
    let mut round = || {
        flow.client(SEARCH).server(&answer);
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 120);
}

#[test]
fn radius_does_not_allocate_once_the_buffers_are_there() {
    let mut ask = b"\x01\x07\0\x20abcdefghijklmnop\x01\x06anna\x04\x06\xc0\0\x02\x01".to_vec();
    let answer = b"\x02\x07\0\x1cabcdefghijklmnop\x12\x08hello!";
    let mut flow = Harness::with(&radius::ENTRY, Transport::Udp, Limits::default(), Count::default());
    let mut round = || {
        ask[5] = ask[5].wrapping_add(1);
        flow.client(&ask).server(answer);
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 120);
}

#[test]
fn diameter_does_not_allocate_once_the_buffers_are_there() {
    let ask = b"\x01\0\0\x30\x80\0\x01\x18\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\x01\x08\x40\0\0\x0cgate\
        \0\0\x01\x28\x40\0\0\x0d\x73hop!\0\0\0";
    let answer = b"\x01\0\0\x2c\0\0\x01\x18\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\x01\x0c\x40\0\0\x0c\0\0\x07\xd1\
        \0\0\x01\x08\x40\0\0\x0chome";
    let mut flow = Harness::with(&diameter::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(ask).server(answer);
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 120);
}

#[test]
fn smtp_does_not_allocate_once_the_buffers_are_there() {
    let mut flow = Harness::with(&smtp::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    flow.server("220 mail ESMTP\r\n").client("EHLO me\r\n").server("250-mail\r\n250 PIPELINING\r\n");
    let mut round = || {
        flow.client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n").server("250 ok\r\n250 ok\r\n354 go\r\n");
        flow.client("Subject: hello\r\n\r\nbody\r\n.\r\n").server("250 2.0.0 queued\r\n");
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 2 + 360);
}
