//! The one call of a flow whose protocol was not recognised: the first bytes of both sides, how much
//! there was, and how the connection failed, if it did.

use std::fmt::Write as _;

use remora_model::{Call, Endpoint, Incomplete, Protocol, Timestamp, Transport, ValueRef, field};

use super::env::{Env, count};
use crate::fields::Fields;

/// Bytes of each side that are kept.
const FIRST: usize = 256;

/// The first bytes of both sides of a flow that nobody reads.
#[derive(Debug, Default)]
pub(super) struct FirstBytes {
    bytes: [Vec<u8>; 2],
    since: [Option<Timestamp>; 2],
}

impl FirstBytes {
    /// True while the first bytes of `dir` are not there.
    pub(super) fn wants(&self, dir: usize) -> bool {
        self.since.get(dir).is_some_and(Option::is_none)
    }

    /// Takes the first bytes of `dir`, which came at `ts`.
    pub(super) fn put(&mut self, dir: usize, bytes: &[u8], ts: Timestamp) {
        if let (Some(since @ None), Some(kept)) = (self.since.get_mut(dir), self.bytes.get_mut(dir))
            && !bytes.is_empty()
        {
            *since = Some(ts);
            kept.extend_from_slice(bytes.get(..FIRST).unwrap_or(bytes));
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.iter().map(Vec::capacity).sum::<usize>()
    }
}

/// How a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A reset answered the SYN.
    Refused,
    /// Nothing answered `syns` SYNs.
    Unanswered {
        /// SYNs sent.
        syns: u64,
    },
    /// A side reset the connection.
    Reset {
        /// The direction in which it sends.
        by: usize,
    },
    /// It ended while a side took no more data.
    Stalled {
        /// The direction in which that side sends.
        by: usize,
    },
}

impl Failure {
    fn name(self) -> &'static str {
        match self {
            Self::Refused => "connection_refused",
            Self::Unanswered { .. } => "connection_timeout",
            Self::Reset { .. } => "connection_reset",
            Self::Stalled { .. } => "zero_window",
        }
    }
}

/// What is known of a flow beside its first bytes.
pub(super) struct About {
    /// The direction in which the client sends.
    pub(super) client: usize,
    /// Bytes of payload by direction.
    pub(super) sent: [u64; 2],
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) failure: Option<Failure>,
    /// Of the first datagram: its length as its header has it, and its checksum; of SCTP the checksum alone.
    pub(super) head: Option<(u32, u32)>,
}

/// Reports the flow.
pub(super) fn report(first: Option<&FirstBytes>, about: &About, env: &mut Env<'_>) {
    let none = FirstBytes::default();
    let first = first.unwrap_or(&none);
    let (client, server) = (about.client & 1, 1 - (about.client & 1));
    let texts = [client, server].map(|dir| first.bytes.get(dir).map_or_else(String::new, |b| shown(b)));
    let payloads = [0, 1].map(|i| Some(texts[i].as_bytes()).filter(|t| !t.is_empty()));
    let sent = [client, server].map(|dir| about.sent.get(dir).copied().unwrap_or(0));
    let ends = [client, server].map(|dir| env.ends[dir]);
    let message = about.failure.map(|failure| explain(failure, about, &ends, client, sent));

    let mut fields = Fields::<8>::default();
    let protocol = match env.transport {
        Transport::Tcp => {
            fields.add(field::TCP_METHOD, ValueRef::str(method(sent)));
            fields.text(field::TCP_PAYLOAD, payloads[0]);
            fields.text(field::TCP_RESPONSE_PAYLOAD, payloads[1]);
            fields.text(field::TCP_ERROR_TYPE, about.failure.map(|f| f.name().as_bytes()));
            fields.text(field::TCP_ERROR_MESSAGE, message.as_deref().map(str::as_bytes));
            Protocol::Tcp
        }
        Transport::Udp => {
            fields.int(field::UDP_LENGTH, about.head.map(|h| i64::from(h.0)));
            fields.int(field::UDP_CHECKSUM, about.head.map(|h| i64::from(h.1)));
            fields.text(field::UDP_PAYLOAD, payloads[0]);
            fields.text(field::UDP_RESPONSE_PAYLOAD, payloads[1]);
            Protocol::Udp
        }
        Transport::Sctp => {
            fields.add(field::SCTP_CHUNK_TYPE, ValueRef::str("DATA"));
            fields.int(field::SCTP_LENGTH, about.head.map(|h| i64::from(h.0)));
            fields.int(field::SCTP_CHECKSUM, about.head.map(|h| i64::from(h.1)));
            fields.text(field::SCTP_PAYLOAD, payloads[0]);
            fields.text(field::SCTP_RESPONSE_PAYLOAD, payloads[1]);
            Protocol::Sctp
        }
        // Every message has a name there.
        Transport::Icmp => return,
    };
    // Of datagrams the first ones are a question and its answer, as far as anybody can tell.
    let both = first.since.get(client).copied().flatten().zip(first.since.get(server).copied().flatten());
    let elapsed_us = both.filter(|_| env.transport != Transport::Tcp).map(|(q, a)| a.micros_since(q));
    let call = Call {
        protocol,
        transport: env.transport,
        flow: env.flow,
        client: ends[0],
        server: ends[1],
        ts: about.first_seen,
        elapsed_us: elapsed_us.filter(|us| *us >= 0),
        ttlb_us: Some(about.last_seen.micros_since(about.first_seen).max(0)),
        request_bytes: Some(count(sent[0])),
        response_bytes: Some(count(sent[1])),
        request_pos: None,
        response_pos: None,
        failed: about.failure.is_some(),
        client_error: false,
        incomplete: match about.failure {
            Some(Failure::Refused | Failure::Unanswered { .. }) => Some(Incomplete::NoResponse),
            Some(Failure::Reset { .. }) => Some(Incomplete::Reset),
            Some(Failure::Stalled { .. }) => Some(Incomplete::Truncated),
            None => None,
        },
        tls: env.tls,
        source: env.source,
        fields: fields.as_slice(),
    };
    env.sink.call(&call);
}

/// What became of a connection, by who has sent data.
fn method(sent: [u64; 2]) -> &'static str {
    match sent {
        [0, 0] => "connect",
        [_, 0] => "send",
        [0, _] => "receive",
        _ => "exchange",
    }
}

fn explain(failure: Failure, about: &About, ends: &[Endpoint; 2], client: usize, sent: [u64; 2]) -> String {
    let who = |dir: usize| if dir == client { ends[0] } else { ends[1] };
    let place = |e: Endpoint| std::net::SocketAddr::new(e.ip, e.port);
    let server = place(ends[1]);
    let ms = about.last_seen.micros_since(about.first_seen).max(0) / 1_000;
    match failure {
        Failure::Refused => format!("{server} refused the connection"),
        Failure::Unanswered { syns } => format!("{server} did not answer {syns} SYN in {ms} ms"),
        Failure::Reset { by } => format!(
            "{} reset the connection after {} bytes from the client and {} from the server",
            place(who(by)),
            sent[0],
            sent[1]
        ),
        Failure::Stalled { by } => format!("{} took no more data", place(who(by))),
    }
}

/// Bytes as text: what is printable stays, of the rest each byte is `\xNN`, but for `\t`, `\n`, `\r` and
/// `\\`.
fn shown(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if !c.is_control() => out.push(c),
                c => {
                    let mut utf8 = [0; 4];
                    c.encode_utf8(&mut utf8).bytes().for_each(|b| hex(&mut out, b));
                }
            }
        }
        chunk.invalid().iter().for_each(|b| hex(&mut out, *b));
    }
    out
}

fn hex(out: &mut String, byte: u8) {
    // Writing to a string does not fail.
    let _ = write!(out, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_text_that_can_be_read_and_searched() {
        assert_eq!(shown(b"SSH-2.0-x\r\n\0\x1f\\\xff"), "SSH-2.0-x\\r\\n\\x00\\x1f\\\\\\xff");
        assert_eq!(shown("grün\u{85}".as_bytes()), "grün\\xc2\\x85");
    }

    #[test]
    fn the_first_bytes_are_kept_once_and_cut() {
        let mut first = FirstBytes::default();
        first.put(0, &[], Timestamp(1));
        assert!(first.wants(0));
        first.put(0, &[7; 1_000], Timestamp(2));
        first.put(0, b"more", Timestamp(3));
        assert!(!first.wants(0) && first.wants(1));
        assert_eq!(first.bytes[0], [7; FIRST]);
    }
}
