//! Brokers.

use remora_dissect::harness::Harness;
use remora_dissect::{Limits, amqp, kafka, mqtt, nats};
use remora_model::Transport;

use crate::counting::{ALLOCATIONS, Count};

#[test]
fn kafka_does_not_allocate_once_the_buffers_are_there() {
    let request = |key: u8, version: u8, id: u8, body: &[u8]| {
        let head = [0, key, 0, version, 0, 0, 0, id, 0, 4, b't', b'e', b's', b't'];
        [&(head.len() as u32 + body.len() as u32).to_be_bytes()[..], &head, body].concat()
    };
    let response =
        |id: u8, body: &[u8]| [&(4 + body.len() as u32).to_be_bytes()[..], &[0, 0, 0, id], body].concat();
    // Produce with one batch of one record, and Heartbeat twice in one segment.
    let mut batch = [0; 61];
    batch[11] = 49 + 9;
    batch[16] = 2;
    batch[60] = 1;
    let record = [&batch[..], b"\x10\0\0\0\x02k\x02v\0"].concat();
    let mut produce = b"\xff\xff\0\x01\0\0\x03\xe8\0\0\0\x01\0\x06orders\0\0\0\x01\0\0\0\0".to_vec();
    produce.extend((record.len() as u32).to_be_bytes());
    produce.extend(&record);
    let produce = request(0, 3, 1, &produce);
    let produced = response(
        1,
        b"\0\0\0\x01\0\x06orders\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0",
    );
    let beat = |id| request(12, 0, id, b"\0\x01g\0\0\0\x01\0\x01m");
    let beats = [beat(2), beat(3)].concat();
    let mut flow = Harness::with(&kafka::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let beaten = [response(2, b"\0\0"), response(3, b"\0\0")];
    let mut round = || {
        flow.client(&produce).server(&produced);
        flow.client(&beats).server(&beaten[0]).server(&beaten[1]);
    };
    // The spare requests take turns, until the buffers of each are large enough.
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 420);
}

#[test]
fn amqp_does_not_allocate_once_the_buffers_are_there() {
    const GET: &[u8] = b"\x01\0\x01\0\0\0\x0c\0\x3c\0\x46\0\0\x04jobs\0\xce";
    const GOT: &[u8] = b"\x01\0\x01\0\0\0\x1a\0\x3c\0\x47\0\0\0\0\0\0\0\x01\0\x06orders\x01k\0\0\0\x02\xce\
        \x02\0\x01\0\0\0\x19\0\x3c\0\0\0\0\0\0\0\0\0\x02\x80\0\x0atext/plain\xce\
        \x03\0\x01\0\0\0\x02hi\xce";
    const PUBLISH: &[u8] = b"\x01\0\x01\0\0\0\x10\0\x3c\0\x28\0\0\x06orders\x01k\0\xce\
        \x02\0\x01\0\0\0\x23\0\x3c\0\0\0\0\0\0\0\0\0\x02\x20\0\0\0\0\x11\x05traceS\0\0\0\x06abc123\xce\
        \x03\0\x01\0\0\0\x02hi\xce";
    const ACK: &[u8] = b"\x01\0\x01\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0\xce";
    let mut flow = Harness::with(&amqp::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(GET).server(GOT).client(PUBLISH).client(ACK);
        flow.client(PUBLISH).client(PUBLISH);
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 700);
}

#[test]
fn mqtt_does_not_allocate_once_the_buffers_are_there() {
    const CONNECT: &[u8] = b"\x10\x11\0\x04MQTT\x05\x02\0\x3c\0\0\x04test";
    let mut flow = Harness::with(&mqtt::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    flow.client(CONNECT).server(b"\x20\x03\0\0\0");
    let mut round = || {
        flow.client(b"\x30\x0e\0\x03a/b\x06\x26\0\x01k\0\x00hi").client(b"\x32\x0a\0\x03a/b\0\x01\0hi");
        flow.server(b"\x40\x02\0\x01").client(b"\xc0\0").server(b"\xd0\0");
        flow.client(b"\x34\x0a\0\x03a/b\0\x02\0hi").server(b"\x50\x02\0\x02");
        flow.client(b"\x62\x02\0\x02").server(b"\x70\x02\0\x02");
        flow.client(b"\x82\x0c\0\x03\0\0\x06sensor\x01").server(b"\x90\x04\0\x03\0\x01");
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 701);
}

#[test]
fn nats_does_not_allocate_once_the_buffers_are_there() {
    let mut flow = Harness::with(&nats::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    flow.client(b"CONNECT {\"verbose\":false,\"name\":\"shop\"}\r\nSUB _INBOX.> 1\r\n");
    let mut round = || {
        flow.client(b"PUB orders _INBOX.1 2\r\nhi\r\n").server(b"MSG _INBOX.1 1 5\r\nhello\r\n");
        flow.client(b"HPUB news 22 24\r\nNATS/1.0\r\nBar: Baz\r\n\r\nhi\r\n")
            .server(b"MSG news 2 2\r\nhi\r\n");
        flow.server(b"MSG bills 3 _INBOX.2 2\r\nhi\r\n").client(b"PUB _INBOX.2 2\r\nhi\r\n");
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 562);
}
