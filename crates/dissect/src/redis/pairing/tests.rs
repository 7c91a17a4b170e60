#![allow(clippy::unwrap_used)]

use remora_model::{FieldId, Transport, field};

use super::*;
use crate::{
    Limits,
    harness::{Harness, Recorded, Recorder},
    redis::ENTRY,
};

fn flow() -> Harness {
    Harness::new(&ENTRY, Transport::Tcp)
}

fn limited(limits: Limits) -> Harness {
    Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default())
}

fn command(args: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for a in args {
        out.extend(format!("${}\r\n{a}\r\n", a.len()).into_bytes());
    }
    out
}

fn texts(h: &Harness, id: FieldId) -> Vec<String> {
    h.sink.calls.iter().map(|c| c.text(id)).collect()
}

fn incomplete(h: &Harness) -> Vec<Option<&'static str>> {
    h.sink.calls.iter().map(|c| c.incomplete).collect()
}

fn only(h: &Harness) -> &Recorded {
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    call
}

#[test]
fn a_command_and_its_reply() {
    let mut h = flow();
    h.at(100).client(b"*2\r\n$3\r\nGE").at(150).client(b"T\r\n$1\r\na\r\n");
    h.at(400).server(b"$3\r\nf").at(500).server(b"oo\r\n");
    let call = only(&h);
    assert_eq!((call.ts, call.elapsed_us, call.ttlb_us), (100_000, Some(250), Some(400)));
    assert_eq!((call.request_bytes, call.response_bytes), (Some(20), Some(9)));
    assert_eq!((call.request_pos, call.response_pos), (Some(0), Some(0)));
    assert_eq!(call.text(field::REDIS_TYPE), "GET");
    assert_eq!(call.text(field::REDIS_KEY), "a");
    assert_eq!(call.text(field::REDIS_COMMAND), "GET a");
    assert_eq!(call.text(field::REDIS_REPLY), "foo");
    assert_eq!(call.text(field::REDIS_REPLY_TYPE), "bulk");
    assert!(!call.failed && call.incomplete.is_none() && call.get(field::REDIS_ERROR).is_none());
    assert!(!h.dissector().is_busy());
}

#[test]
fn errors_fail_and_moved_is_one() {
    let mut h = flow();
    for error in [
        "-WRONGTYPE Operation against a key",
        "-MOVED 3999 127.0.0.1:6381",
        "-NOAUTH Authentication required.",
    ] {
        h.client(command(&["GET", "a"])).server(format!("{error}\r\n"));
    }
    assert!(h.sink.calls.iter().all(|c| c.failed));
    assert_eq!(texts(&h, field::REDIS_ERROR)[1], "MOVED 3999 127.0.0.1:6381");
    assert_eq!(texts(&h, field::REDIS_REPLY_TYPE)[1], "error");
}

#[test]
fn pipelined_and_inline_commands() {
    let mut h = flow();
    h.client(b"\r\nSET a \"b c\"\r\nGET a\n*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n");
    h.server(b"+OK\r\n$3\r\nb c\r\n+PONG\r\n");
    assert_eq!(texts(&h, field::REDIS_COMMAND), [r#"SET a "b c""#, "GET a", "PING"]);
    assert_eq!(texts(&h, field::REDIS_REPLY), ["OK", "b c", "PONG"]);
    assert_eq!(h.sink.calls[0].request_bytes, Some(13));
    assert_eq!(h.sink.calls[0].request_pos, Some(2));
}

#[test]
fn transactions_stay_paired() {
    let mut h = flow();
    for args in [&["MULTI"][..], &["INCR", "a"], &["LPUSH", "a", "b"], &["EXEC"]] {
        h.client(command(args));
    }
    h.server(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n-WRONGTYPE x\r\n");
    assert_eq!(texts(&h, field::REDIS_REPLY), ["OK", "QUEUED", "QUEUED", "[1, (error) WRONGTYPE x]"]);
    assert!(h.sink.calls[3].failed && !h.sink.calls[2].failed);
    assert_eq!(texts(&h, field::REDIS_ERROR)[3], "WRONGTYPE x");
}

#[test]
fn subscriptions_in_resp2() {
    let mut h = flow();
    h.client(command(&["SUBSCRIBE", "a", "b"]));
    h.server(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    assert!(h.sink.calls.is_empty());
    h.server(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    h.server(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    h.client(command(&["PSUBSCRIBE", "c*"]));
    h.server(b"*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$3\r\nyou\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\nc*\r\n:3\r\n");
    h.server(b"*4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$2\r\ncx\r\n$1\r\n!\r\n");
    // Without channels: as many replies as there are channels, until only the pattern is left.
    h.client(command(&["UNSUBSCRIBE"])).client(command(&["PING"]));
    h.server(b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n");
    h.server(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_eq!(
        texts(&h, field::REDIS_TYPE),
        ["SUBSCRIBE", "message", "message", "PSUBSCRIBE", "pmessage", "UNSUBSCRIBE", "PING"]
    );
    assert_eq!(texts(&h, field::REDIS_KEY), ["a", "a", "b", "c*", "cx", "", ""]);
    assert_eq!(texts(&h, field::REDIS_REPLY)[0], "[subscribe, a, 1]\n[subscribe, b, 2]");
    assert_eq!(texts(&h, field::REDIS_REPLY_TYPE)[1], "push");
    assert_eq!(incomplete(&h), [None; 7]);
    assert!(h.sink.calls[1].request_bytes.is_none() && h.sink.calls[1].response_bytes.is_some());
}

#[test]
fn a_refused_subscription_has_one_reply() {
    let mut h = flow();
    h.client(command(&["SUBSCRIBE", "a", "b"])).client(command(&["PING"]));
    h.server(b"-NOPERM no\r\n+PONG\r\n");
    assert_eq!(texts(&h, field::REDIS_REPLY), ["NOPERM no", "PONG"]);
}

#[test]
fn pushes_in_resp3_come_between_replies() {
    let mut h = flow();
    h.client(command(&["GET", "a"])).client(command(&["SUBSCRIBE", "ch"]));
    h.server(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n$1\r\nv\r\n");
    h.server(b">3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nm\r\n");
    assert_eq!(texts(&h, field::REDIS_TYPE), ["invalidate", "GET", "SUBSCRIBE", "message"]);
    assert_eq!(texts(&h, field::REDIS_KEY), ["k", "a", "ch", "ch"]);
    assert_eq!(incomplete(&h), [None; 4]);
}

#[test]
fn an_array_that_looks_like_a_message_is_a_reply_when_one_is_due() {
    let mut h = flow();
    h.client(command(&["LRANGE", "l", "0", "-1"]));
    h.server(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_eq!(texts(&h, field::REDIS_TYPE), ["LRANGE"]);
}

#[test]
fn monitor() {
    let mut h = flow();
    h.client(command(&["MONITOR"])).server(b"+OK\r\n+1700000000.1 [0 127.0.0.1:5] \"GET\" \"a\"\r\n");
    h.client(command(&["RESET"])).server(b"+1700000000.2 [0 lua] \"X\"\r\n+RESET\r\n");
    assert_eq!(texts(&h, field::REDIS_TYPE), ["MONITOR", "monitor", "monitor", "RESET"]);
    assert_eq!(texts(&h, field::REDIS_REPLY)[1], "1700000000.1 [0 127.0.0.1:5] \"GET\" \"a\"");
}

#[test]
fn commands_that_want_no_reply() {
    let mut h = flow();
    h.client(command(&["CLIENT", "REPLY", "OFF"])).client(command(&["SET", "a", "1"]));
    h.client(command(&["CLIENT", "REPLY", "ON"])).server(b"+OK\r\n");
    h.client(command(&["CLIENT", "REPLY", "SKIP"])).client(command(&["SET", "b", "1"]));
    h.client(command(&["GET", "b"])).server(b"$1\r\n1\r\n");
    assert_eq!(
        texts(&h, field::REDIS_COMMAND),
        ["CLIENT REPLY OFF", "SET a 1", "CLIENT REPLY ON", "CLIENT REPLY SKIP", "SET b 1", "GET b"]
    );
    assert_eq!(texts(&h, field::REDIS_REPLY), ["", "", "OK", "", "", "1"]);
    assert_eq!(incomplete(&h), [None; 6]);
}

#[test]
fn replication_is_opaque() {
    let mut h = flow();
    h.client(command(&["PING"])).server(b"+PONG\r\n");
    h.client(command(&["PSYNC", "?", "-1"]))
        .server(b"\n\n+FULLRESYNC abc 0\r\n$3\r\nRDB")
        .server(b"*1\r\n$4\r\nPING\r\n");
    h.client(command(&["REPLCONF", "ACK", "5"])).close(Ending::Closed);
    assert_eq!(texts(&h, field::REDIS_TYPE), ["PING", "PSYNC"]);
    assert_eq!(texts(&h, field::REDIS_REPLY)[1], "FULLRESYNC abc 0");
    assert_eq!(h.sink.problems[&Problem::Opaque].1, 7 + 14 + 34);
    let mut h = flow();
    h.client(command(&["SYNC"])).server(b"$3\r\nRDB").close(Ending::Closed);
    assert_eq!((only(&h).incomplete, h.sink.problems[&Problem::Opaque].1), (None, 7));
}

#[test]
fn commands_in_front_of_replication_are_reported() {
    let mut h = flow();
    h.client(command(&["GET", "a"]))
        .client(command(&["SYNC"]))
        .client(b"*2\r\n$3\r\nGET")
        .close(Ending::Closed);
    assert_eq!(texts(&h, field::REDIS_TYPE), ["SYNC", "GET"]);
    assert_eq!(incomplete(&h), [None, Some("no_response")]);
    assert!(!h.dissector().is_busy());
}

#[test]
fn huge_values_are_passed_over() {
    let mut h = limited(Limits { payload: 16, ..Limits::default() });
    h.client(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\n").client([b'x'; 100]);
    assert_eq!(h.skipping(Role::Client), 500_000_000 - 100);
    h.gap(Role::Client, 499_999_900).client(b"\r\n*1\r\n$4\r\nPING\r\n");
    h.server(b"+OK\r\n+PONG\r\n");
    assert_eq!(texts(&h, field::REDIS_COMMAND), ["SET k xxxxxxxxxxxx", "PING"]);
    assert_eq!(h.sink.calls[0].request_bytes, Some(20 + 12 + 500_000_000 + 2));
    assert_eq!(h.sink.problems[&Problem::PayloadLimit], (1, 500_000_000 - 12));
    // Inside an array, and the reply after it is in place.
    h.client(command(&["MGET", "a", "b"])).client(command(&["GET", "c"]));
    h.server(b"*2\r\n$1000000\r\n")
        .server([b'y'; 10])
        .server(vec![b'y'; 999_990])
        .server(b"\r\n$1\r\nz\r\n$1\r\nc\r\n");
    assert_eq!(texts(&h, field::REDIS_REPLY)[3], "c");
    assert_eq!(incomplete(&h), [None; 4]);
    assert!(h.dissector().memory() < 20_000, "{}", h.dissector().memory());
}

#[test]
fn a_gap_inside_a_value_costs_only_the_value() {
    let mut h = flow();
    h.client(command(&["GET", "a"])).client(command(&["GET", "b"]));
    h.server(b"$10\r\n012").gap(Role::Server, 5).server(b"89\r\n$1\r\nb\r\n");
    assert_eq!(incomplete(&h), [Some("gap"), None]);
    assert_eq!(texts(&h, field::REDIS_REPLY)[1], "b");
    assert_eq!(h.sink.calls[0].response_bytes, Some(17));
}

#[test]
fn a_gap_between_replies_ends_what_is_open() {
    let mut h = flow();
    h.client(command(&["GET", "a"])).client(command(&["GET", "b"]));
    h.gap(Role::Server, 50).server(b"ue\r\n");
    assert_eq!(incomplete(&h), [Some("gap"), Some("gap")]);
    // What came was not all that was asked for, as far as that is known. What follows is held back until
    // the client has waited for its replies several times.
    for key in ["c", "d", "e", "f"] {
        h.client(command(&["GET", key])).server(format!("$1\r\n{key}\r\n"));
    }
    assert!(h.sink.calls.len() == 2 && h.dissector().is_busy());
    h.client(command(&["GET", "g"]));
    assert_eq!(texts(&h, field::REDIS_REPLY)[2..], ["c", "d", "e", "f"]);
    h.server(b"$1\r\ng\r\n");
    assert_eq!(incomplete(&h)[2..], [None; 5]);
    // One that goes on asking may get earlier answers still.
    let mut h = flow();
    h.client(command(&["GET", "d"])).client(command(&["GET", "e"])).gap(Role::Server, 7);
    h.client(command(&["GET", "f"])).server(b"$1\r\nx\r\n");
    h.client(command(&["GET", "g"])).server(b"$1\r\ng\r\n").close(Ending::Closed);
    assert_eq!(texts(&h, field::REDIS_KEY), ["d", "e", "f", "g"]);
    assert_eq!(incomplete(&h), [Some("gap"), Some("gap"), Some("gap"), None]);
}

#[test]
fn what_is_inside_a_reply_is_none() {
    let mut h = flow();
    h.client(command(&["KEYS", "*"])).server(b"*4\r\n$3\r\nfoo\r\n").gap(Role::Server, 9);
    for byte in b"$3\r\nbar\r\n$3\r\nbaz\r\n" {
        h.server([*byte]);
    }
    h.client(command(&["GET", "a"])).server(b"$").server(b"1\r\nb\r\n").close(Ending::Closed);
    assert_eq!(texts(&h, field::REDIS_COMMAND), ["KEYS *", "GET a"]);
    assert_eq!(texts(&h, field::REDIS_REPLY)[1], "b");
    assert_eq!(incomplete(&h), [Some("gap"), None]);
    // What nobody has to ask for is known by its looks.
    let mut h = flow();
    h.gap(Role::Server, 9).server(b"e\r\n*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nm\r\n");
    assert_eq!(texts(&h, field::REDIS_TYPE), ["message"]);
}

#[test]
fn joined_among_commands_that_do_not_wait() {
    // Some were passed over: their replies come first.
    let mut h = flow();
    h.joined(Role::Client, 5).joined(Role::Server, 0);
    h.client(command(&["ECHO", "a"])).client(command(&["ECHO", "b"]));
    h.server(b"$1\r\n0\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_eq!(texts(&h, field::REDIS_COMMAND), ["ECHO a", "ECHO b", "", "", ""]);
    h.client(command(&["ECHO", "c"])).server(b"$1\r\nc\r\n").close(Ending::Closed);
    assert_eq!((texts(&h, field::REDIS_REPLY)[5].as_str(), incomplete(&h)[5]), ("c", None));
    // One command and its reply.
    let mut h = flow();
    h.joined(Role::Client, 0).joined(Role::Server, 0);
    h.server(b"$1\r\nx\r\n").client(command(&["ECHO", "a"])).server(b"$1\r\na\r\n");
    h.close(Ending::Closed);
    assert_eq!((only(&h).text(field::REDIS_REPLY).as_str(), only(&h).incomplete), ("a", None));
}

#[test]
fn a_reply_too_many_shows_that_the_order_was_wrong() {
    // The first is to a command that was sent before the capture began.
    let mut h = flow();
    h.joined(Role::Client, 0).joined(Role::Server, 0);
    h.client(command(&["ECHO", "b"])).server(b"$1\r\na\r\n");
    h.client(command(&["ECHO", "c"])).server(b"$1\r\nb\r\n").server(b"$1\r\nc\r\n").close(Ending::Closed);
    assert_eq!(texts(&h, field::REDIS_KEY).len(), 5);
    assert!(h.sink.calls.iter().all(|c| c.request_bytes.is_none() || c.response_bytes.is_none()));
    assert!(incomplete(&h).iter().all(Option::is_some));
}

#[test]
fn a_reply_that_a_command_cannot_have_shows_it_too() {
    let mut h = flow();
    h.joined(Role::Client, 0).joined(Role::Server, 0);
    h.client(command(&["INCR", "a"])).server(b"+OK\r\n").client(command(&["GET", "b"])).close(Ending::Closed);
    assert_eq!(incomplete(&h), [Some("gap"), Some("no_request"), Some("no_response")]);
}

#[test]
fn silence_settles_the_order() {
    let mut h = flow();
    h.joined(Role::Client, 0).joined(Role::Server, 0);
    h.at(0).client(command(&["GET", "a"])).server(b"$1\r\na\r\n");
    h.at(500_000).tick();
    assert!(h.sink.calls.is_empty());
    h.at(1_500_000).tick();
    assert_eq!((only(&h).text(field::REDIS_REPLY).as_str(), only(&h).incomplete), ("a", None));
    assert!(!h.dissector().is_busy());
}

#[test]
fn what_a_master_sends_its_replica_is_nobodys_request() {
    // Joined in the middle of a replication stream: the master's side looks like a client's.
    let mut h = flow();
    h.joined(Role::Client, 0).joined(Role::Server, 0);
    h.client(command(&["SET", "a", "1"])).client(command(&["PING"]));
    h.server(command(&["REPLCONF", "ACK", "42"])).client(command(&["PING"])).close(Ending::Lost);
    assert!(h.sink.calls.is_empty(), "{:?}", h.sink.calls);
    assert!(h.sink.problems.contains_key(&Problem::Opaque));
}

#[test]
fn answers_to_a_subscription_that_was_not_seen() {
    let mut h = flow();
    h.joined(Role::Client, 0).joined(Role::Server, 0);
    h.server(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n").close(Ending::Lost);
    let call = only(&h);
    assert_eq!((call.text(field::REDIS_TYPE).as_str(), call.incomplete), ("SUBSCRIBE", Some("no_request")));
    assert!(call.get(field::REDIS_KEY).is_none());
    assert_eq!(call.text(field::REDIS_REPLY_TYPE), "array");
}

#[test]
fn commands_that_were_lost_get_replies() {
    let mut h = flow();
    h.client(command(&["GET", "a"])).gap(Role::Client, 40).client(command(&["GET", "c"]));
    h.server(b"$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    assert_eq!(texts(&h, field::REDIS_KEY), ["c", "a", "", ""]);
    assert_eq!(texts(&h, field::REDIS_REPLY), ["", "a", "b", "c"]);
    h.client(command(&["GET", "d"])).server(b"$1\r\nd\r\n").close(Ending::Closed);
    assert_eq!((texts(&h, field::REDIS_REPLY)[4].as_str(), incomplete(&h)[4]), ("d", None));
}

#[test]
fn a_replica_is_recognised_by_what_it_says() {
    let mut h = flow();
    h.joined(Role::Client, 0).client(command(&["REPLCONF", "ACK", "42"]));
    h.server(command(&["SET", "a", "b"])).server(command(&["PING"])).close(Ending::Closed);
    assert!(h.sink.calls.is_empty());
}

#[test]
fn a_gap_in_the_commands() {
    let mut h = flow();
    h.client(b"*3\r\n$3\r\nSET\r\n$1\r\n").gap(Role::Client, 40);
    h.client(b"lue\r\n").client(command(&["GET", "c"]));
    h.server(b"+OK\r\n$1\r\nc\r\n");
    assert_eq!(texts(&h, field::REDIS_TYPE), ["GET", "SET", ""]);
    assert_eq!(texts(&h, field::REDIS_REPLY), ["", "OK", "c"]);
    assert_eq!(incomplete(&h), [Some("gap"), Some("gap"), Some("no_request")]);
}

#[test]
fn garbage_is_counted_and_left_behind() {
    let mut h = flow();
    h.client(command(&["GET", "a"])).server(b"\x00\x01garbage\r\n");
    assert_eq!(incomplete(&h), [Some("gap")]);
    for _ in 0..5 {
        h.client(command(&["GET", "b"])).server(b"$1\r\nb\r\n");
    }
    assert_eq!(texts(&h, field::REDIS_REPLY)[1..], ["b"; 5]);
    h.client(b"*1\r\n:5\r\n").client(command(&["GET", "c"])).server(b"$1\r\nc\r\n");
    assert_eq!(texts(&h, field::REDIS_REPLY)[6..], ["", "c"]);
    assert_eq!(h.sink.problems[&Problem::Malformed].0, 2);
}

#[test]
fn open_commands_are_bounded_and_order_is_kept() {
    let mut h = limited(Limits { pending: 2, ..Limits::default() });
    for key in ["a", "b", "c", "d"] {
        h.client(command(&["GET", key]));
    }
    assert_eq!(incomplete(&h), [Some("no_response"); 2]);
    h.server(b"$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n");
    h.client(command(&["GET", "e"])).server(b"$1\r\ne\r\n");
    assert_eq!(texts(&h, field::REDIS_KEY), ["c", "d", "a", "b", "e"]);
    assert_eq!(texts(&h, field::REDIS_REPLY), ["", "", "a", "b", "e"]);
    assert_eq!(h.sink.problems[&Problem::TooManyPending].0, 2);
}

#[test]
fn ends() {
    let mut h = flow();
    h.client(command(&["BLPOP", "q", "0"])).end(Role::Client, Ending::Closed);
    assert!(h.sink.calls.is_empty() && h.dissector().is_busy());
    h.end(Role::Server, Ending::Closed);
    assert_eq!(incomplete(&h), [Some("no_response")]);
    let mut h = flow();
    h.client(command(&["GET", "a"])).server(b"$10\r\nabc").close(Ending::Closed);
    assert_eq!((only(&h).incomplete, only(&h).text(field::REDIS_REPLY).as_str()), (Some("truncated"), "abc"));
    assert_eq!(only(&h).response_bytes, Some(8));
    // What the server's end says is in its own stream.
    let mut h = limited(Limits { payload: 4, ..Limits::default() });
    h.client(command(&["GET", "a"])).server(b"$1000\r\n0123456789").server([b'x'; 90]).close(Ending::Lost);
    assert_eq!((only(&h).incomplete, only(&h).response_bytes), (Some("truncated"), Some(107)));
    let mut h = flow();
    h.end(Role::Server, Ending::Closed).client(command(&["GET", "a"])).end(Role::Client, Ending::Closed);
    assert_eq!(only(&h).incomplete, Some("no_response"));
    let mut h = flow();
    h.client(b"*2\r\n$3\r\nGET\r\n$5\r\nab").close(Ending::Reset);
    assert_eq!(
        (only(&h).incomplete, only(&h).text(field::REDIS_COMMAND).as_str()),
        (Some("reset"), "GET ab")
    );
    let mut h = flow();
    h.client(command(&["SUBSCRIBE", "a", "b"]))
        .server(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
        .close(Ending::Lost);
    assert_eq!(
        (only(&h).incomplete, only(&h).text(field::REDIS_REPLY).as_str()),
        (Some("truncated"), "[subscribe, a, 1]")
    );
}

#[test]
fn a_reply_nobody_asked_for() {
    let mut h = flow();
    h.server(b"$3\r\nfoo\r\n");
    assert_eq!(incomplete(&h), [Some("no_request")]);
    h.server(b"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\nm\r\n");
    assert_eq!((texts(&h, field::REDIS_TYPE)[1].as_str(), incomplete(&h)[1]), ("message", None));
}

#[test]
fn secrets_do_not_get_out() {
    let mut h = flow();
    h.client(command(&["AUTH", "hunter2"])).server(b"+OK\r\n");
    h.client(b"AUTH joe hunter2\r\n").server(b"+OK\r\n");
    h.client(command(&["CONFIG", "GET", "*"])).server(b"*2\r\n$11\r\nrequirepass\r\n$7\r\nhunter2\r\n");
    h.client(command(&["CONFIG", "SET", "requirepass", "hunter2"])).server(b"+OK\r\n");
    h.client(command(&["ACL", "LIST"])).server(b"*1\r\n$20\r\nuser joe on >hunter2\r\n");
    h.client(b"*3\r\n$4\r\nAUTH\r\n$3\r\njoe\r\n$7\r\nhunter").close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 6);
    assert!(
        !format!(
            "{:?}",
            h.sink
                .calls
                .iter()
                .map(|c| c
                    .fields
                    .clone()
                    .into_values()
                    .map(|v| match v {
                        crate::harness::Value::Text(t) => String::from_utf8(t).unwrap(),
                        other => panic!("{other:?}"),
                    })
                    .collect::<Vec<_>>())
                .collect::<Vec<_>>()
        )
        .contains("hunter")
    );
}

#[test]
fn nothing_grows_over_many_calls() {
    let mut h = flow();
    let mut held = 0;
    for i in 0..1_000 {
        h.client(command(&["SET", "key", "value"])).server(b"+OK\r\n");
        if i == 10 {
            held = h.dissector().memory();
        }
    }
    assert_eq!((h.dissector().memory(), h.sink.calls.len()), (held, 1_000));
}
