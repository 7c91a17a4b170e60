use super::*;

fn p(bytes: &[u8]) -> Verdict {
    probe(bytes, Transport::Tcp)
}

const CLIENT: Verdict = Verdict::Match(Role::Client);
const SERVER: Verdict = Verdict::Match(Role::Server);
const MAYBE_CLIENT: Verdict = Verdict::Likely(Role::Client);
const MAYBE_SERVER: Verdict = Verdict::Likely(Role::Server);

#[test]
fn commands() {
    assert_eq!(p(b"*1\r\n$4\r\nPING\r\n"), CLIENT);
    assert_eq!(p(b"*2\r\n$3\r\nGET\r\n"), CLIENT);
    assert_eq!(p(b"*3\r\n$3\r\nset\r\n$1\r\na\r\n$100000\r\nxxx"), MAYBE_CLIENT);
    assert_eq!(p(b"*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\nx\r\n"), CLIENT);
    assert_eq!(p(b"*2\r\n$8\r\nJSON.GET\r\n$1\r\na\r\n"), MAYBE_CLIENT);
    assert_eq!(p(b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n"), CLIENT);
    for n in 1..13 {
        assert_eq!(p(&b"*1\r\n$4\r\nPING"[..n]), Verdict::NeedMore, "{n}");
    }
}

#[test]
fn replies() {
    assert_eq!(p(b"+OK\r\n"), MAYBE_SERVER);
    assert_eq!(p(b"+PONG\r\n"), SERVER);
    assert_eq!(p(b"-NOAUTH Authentication required.\r\n"), SERVER);
    assert_eq!(p(b"-ERR unknown\r\n"), MAYBE_SERVER);
    assert_eq!(p(b":1\r\n"), MAYBE_SERVER);
    assert_eq!(p(b"$3\r\nfoo\r\n"), MAYBE_SERVER);
    assert_eq!(p(b"$100\r\n# Server\r\nredis_version:7"), SERVER);
    assert_eq!(p(b"*2\r\n$3\r\nfoo\r\n$3\r\nbar\r\n"), MAYBE_SERVER);
    assert_eq!(p(b"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n"), SERVER);
    assert_eq!(p(b"*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n"), Verdict::NeedMore);
    assert_eq!(p(b"*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"), SERVER);
    assert_eq!(p(b"*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n$1\r\na\r\n"), CLIENT);
    assert_eq!(p(b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"), SERVER);
    assert_eq!(p(b">3\r\n$7\r\nmessage\r\n"), SERVER);
    assert_eq!(p(b"+1700000000.123456 [0 127.0.0.1:5] \"GET\" \"a\"\r\n"), SERVER);
}

#[test]
fn inline_commands_need_the_other_side() {
    assert_eq!(p(b"PING\r\n"), MAYBE_CLIENT);
    assert_eq!(p(b"SET a b\r\n"), MAYBE_CLIENT);
    assert_eq!(p(b"exists k\n"), MAYBE_CLIENT);
    assert_eq!(p(b"MONITOR\r\n"), MAYBE_CLIENT);
    assert_eq!(p(b"PIN"), Verdict::NeedMore);
}

#[test]
fn other_protocols() {
    for other in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"COPY /a HTTP/1.1\r\n",
        b"get key\r\n",
        b"gets key\r\n",
        b"set key 0 0 5\r\nhello\r\n",
        b"SET key 0 {a}\r\n",
        b"incr key 1\r\n",
        b"EHLO mail.example\r\n",
        b"AUTH PLAIN abc\r\n",
        b"QUIT\r\n",
        b"USER joe\r\n",
        b"220 mail.example ESMTP\r\n",
        b"+OK Dovecot ready.\r\n",
        b"-ERR\x00\r\n",
        b"INFO {\"server_id\":\"x\"}\r\n",
        b"CONNECT {}\r\n",
        b"PING :irc.example\r\n",
        b"hello world\r\n",
        b"The quick brown fox\r\n",
        b"MONITOR + nick\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x02\x00",
        b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
        b"# comment\r\n",
        b"- item\r\n",
        b"$x\r\n",
    ] {
        assert_eq!(p(other), Verdict::No, "{:?}", String::from_utf8_lossy(other));
    }
}

#[test]
fn never_needs_more_than_it_is_given_to_see() {
    for first in 0..=255 {
        for fill in [b'a', b'1', b' ', b'\r', b'+', 0] {
            let mut bytes = vec![fill; 4096];
            bytes[0] = first;
            assert_ne!(p(&bytes), Verdict::NeedMore, "{first} {fill}");
        }
        let mut begun = b"*3\r\n$5000\r\n".to_vec();
        begun.resize(4096, first);
        assert_ne!(p(&begun), Verdict::NeedMore);
    }
}

#[test]
fn resync_finds_the_next_message() {
    let bytes = b"lue\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
    assert_eq!(resync(bytes, Role::Client), Some(5));
    assert_eq!(resync(&bytes[..8], Role::Client), None);
    assert_eq!(resync(b"lue of it\r\n$3\r\nfoo\r\n", Role::Server), Some(11));
    assert_eq!(resync(b"lue of it", Role::Server), None);
    assert_eq!(resync(b"\r\n+not a reply\r\n-ERR x\r\n", Role::Server), Some(16));
}
