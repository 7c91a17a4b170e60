use super::*;

const TCP: Transport = Transport::Tcp;
/// ApiVersions version 3, as librdkafka sends it first.
const HELLO: &[u8] = b"\0\0\0\x1c\0\x12\0\x03\0\0\0\x01\0\x04shop\0\x08librdka\x042.0\0";
/// Its response in version 0, with one API.
const WELCOME: &[u8] = b"\0\0\0\x10\0\0\0\x01\0\0\0\0\0\x01\0\0\0\0\0\x0d";

#[test]
fn a_whole_request_is_certain_and_a_response_likely() {
    assert_eq!(probe(HELLO, TCP), Verdict::Match(Role::Client));
    assert_eq!(probe(WELCOME, TCP), Verdict::Likely(Role::Server));
    // Without a client id it takes the other side, or a longer one.
    let anonymous = b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff";
    assert_eq!(probe(anonymous, TCP), Verdict::Likely(Role::Client));
}

#[test]
fn what_has_begun_is_waited_for() {
    for n in 0..HELLO.len() {
        let verdict = probe(&HELLO[..n], TCP);
        assert!(matches!(verdict, Verdict::NeedMore | Verdict::Likely(_)), "{n}: {verdict:?}");
    }
    for n in 0..WELCOME.len() {
        let verdict = probe(&WELCOME[..n], TCP);
        assert!(verdict != Verdict::No && verdict != Verdict::Match(Role::Client), "{n}: {verdict:?}");
    }
}

#[test]
fn other_protocols_are_not_claimed() {
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        // TLS, MySQL, PostgreSQL (start and SSL request), MongoDB, Cassandra, ZooKeeper, OpenWire.
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"\x4a\0\0\0\x0a8.0.32\0\x0b\0\0\0",
        b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0shop\0\0",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\x3f\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0",
        b"\x04\0\0\0\x05\0\0\0\0",
        b"\0\0\0\x2c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\x01\x27\x01ActiveMQ\0\0\0\x0b\x01\0\0\x01\x15",
        // A request with more or fewer bytes than its table wants, and with an unknown API.
        b"\0\0\0\x0b\0\x12\0\0\0\0\0\x01\xff\xff\0",
        b"\0\0\0\x0c\0\x0c\0\0\0\0\0\x01\0\0\0\x01",
        b"\0\0\0\x0a\x01\x12\0\0\0\0\0\x01\xff\xff",
        // Acknowledgements that nobody asks for, records that are none.
        b"\0\0\0\x1d\0\0\0\0\0\0\0\x01\0\x01a\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\x3f\0\0\0\0\0\0\0\x01\0\x01a\0\x01\0\0\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\x19\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x09\0\0\0\0\x09",
    ] {
        let verdict = probe(bytes, TCP);
        assert!(
            !matches!(verdict, Verdict::Match(_) | Verdict::Likely(Role::Client)),
            "{verdict:?}: {}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn a_request_is_found_behind_the_rest_of_another() {
    let bytes = [b"the rest of something\0\0\0\0\0", HELLO].concat();
    assert_eq!(resync(&bytes, Role::Client), Some(26));
    assert_eq!(resync(&bytes[..bytes.len() - 1], Role::Client), None);
    assert_eq!(resync(b"", Role::Client), None);
    assert_eq!((resync(b"", Role::Server), resync(b"x", Role::Server)), (None, Some(0)));
}
