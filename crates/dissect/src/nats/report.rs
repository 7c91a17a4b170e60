//! From messages to a call.

use remora_model::{Call, Incomplete, Protocol, field};

use super::jetstream::{self, Part};
use super::line::Op;
use super::message::Message;
use crate::Context;
use crate::fields::Fields;
use crate::messaging::{Asker, call, pairs};

/// What the connection knows beside what was said.
pub(super) struct Known<'a> {
    /// Queue group of the subscription.
    pub(super) queue: Option<&'a [u8]>,
    pub(super) user: &'a [u8],
    pub(super) client: &'a [u8],
}

/// Reports what the client said, what the server said, or both.
pub(super) fn emit(
    asker: Asker,
    client: Option<&Message>,
    server: Option<&Message>,
    known: Known<'_>,
    incomplete: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let (first, second) = match asker {
        Asker::Client => (client, server),
        Asker::Server => (server, client),
    };
    let vague = second.filter(|m| m.vague);
    let (is_seen, answer) = (first.is_some(), second.filter(|m| !m.vague));
    // What was not seen says nothing.
    let blank = Message::default();
    let asked = first.unwrap_or(&blank);
    let error = [Some(asked).filter(|_| is_seen), answer].into_iter().flatten().find(|m| m.op == Op::Err);
    let error = error.and_then(|m| m.shown(m.text));
    let acknowledged = vague.and_then(|m| {
        [m.reply, m.subject].into_iter().find_map(|text| m.shown(text).and_then(jetstream::ack))
    });
    let part = part(asker, asked, answer).or(acknowledged);
    // A request to the API, and publishing into a stream, may be answered with an error.
    let refused = answer
        .filter(|a| asker == Asker::Client && a.payload.starts_with(b"{") && may_be_refused(asked, a))
        .and_then(|a| jetstream::error(&a.payload));
    let headed = answer.filter(|a| a.status.is_some()).or(Some(asked).filter(|a| a.status.is_some()));
    let status = headed.and_then(|m| m.status).or(refused.map(|r| r.0));
    let status_text = headed.and_then(|m| m.shown(m.status_text)).or(refused.map(|r| r.1));
    let denied = error.and_then(|e| quoted(e));
    let filled = |t: &&[u8]| !t.is_empty();

    let mut fields = Fields::<24>::default();
    let op = match (first, answer) {
        (Some(asked), _) => Some(asked.op),
        // Nothing else is answered so.
        (None, Some(a)) => match a.op {
            Op::Pong => Some(Op::Ping),
            // It need not answer anything.
            Op::Err => Some(Op::Err),
            _ => None,
        },
        (None, None) => None,
    };
    // An error need not answer anything.
    let answered = answer.filter(|a| is_seen || a.op != Op::Err);
    fields.text(field::NATS_OPERATION, op.map(|op| op.name().as_bytes()));
    fields.text(field::NATS_RESPONSE_OPERATION, answered.map(|m| m.op.name().as_bytes()));
    fields.text(field::NATS_SUBJECT, asked.shown(asked.subject).or(denied));
    fields.text(field::NATS_REPLY_TO, asked.shown(asked.reply));
    fields.text(field::NATS_QUEUE, asked.shown(asked.queue).or(known.queue));
    fields.text(field::NATS_SID, asked.shown(asked.sid));
    fields.int(field::NATS_MAX_MESSAGES, asked.max.and_then(|n| i64::try_from(n).ok()));
    let options = first.filter(|m| m.op != Op::Err).and_then(|m| m.shown(m.text));
    fields.text(field::NATS_OPTIONS, options);
    fields.text(field::NATS_CLIENT_NAME, Some(known.client).filter(filled));
    fields.text(field::NATS_USER, Some(known.user).filter(filled));
    pairs(&mut fields, field::NATS_HEADERS, &asked.arena, &asked.headers);
    fields.int(field::NATS_PAYLOAD_SIZE, asked.size.and_then(|n| i64::try_from(n).ok()));
    fields.text(field::NATS_PAYLOAD, Some(&asked.payload[..]).filter(filled));
    if let Some(a) = answer {
        pairs(&mut fields, field::NATS_RESPONSE_HEADERS, &a.arena, &a.headers);
        fields.int(field::NATS_RESPONSE_PAYLOAD_SIZE, a.size.and_then(|n| i64::try_from(n).ok()));
        fields.text(field::NATS_RESPONSE_PAYLOAD, Some(&a.payload[..]).filter(filled));
    }
    fields.int(field::NATS_STATUS, status);
    // 503 has no text of its own.
    let no_responders = Some(&b"No Responders"[..]).filter(|_| status == Some(503));
    fields.text(field::NATS_ERROR, error.or(status_text).or(no_responders));
    fields.text(field::NATS_JETSTREAM, part.filter(|_| vague.is_none()).map(|p| p.name));
    fields.text(field::NATS_STREAM, part.and_then(|p| p.stream));
    fields.text(field::NATS_CONSUMER, part.and_then(|p| p.consumer));

    let acknowledges = |m: &Message| m.shown(m.subject).and_then(jetstream::ack).is_some();
    let nak = client
        .filter(|m| acknowledges(m))
        .is_some_and(|m| m.payload.starts_with(b"-NAK") || m.payload.starts_with(b"+TERM"));
    // A fetch that finds less than it asked for ends with one of these two.
    let bad_status = status.is_some_and(|s| s >= 400 && (!matches!(s, 404 | 408) || refused.is_some()));
    let call = Call {
        failed: error.is_some() || bad_status || nak,
        client_error: error.is_some_and(is_clients_fault)
            || bad_status && status.is_some_and(|s| (400..500).contains(&s)),
        incomplete,
        fields: fields.as_slice(),
        ..call(Protocol::Nats, asker, client.map(|m| m.seen), server.map(|m| m.seen), cx)
    };
    cx.emit(&call);
}

/// What the call is to JetStream.
fn part<'a>(asker: Asker, asked: &'a Message, answer: Option<&'a Message>) -> Option<Part<'a>> {
    let subject = asked.shown(asked.subject)?;
    let reply = asked.shown(asked.reply).and_then(jetstream::ack);
    let of_answer =
        || answer.filter(|_| asker == Asker::Client).and_then(|a| jetstream::published(&a.payload));
    jetstream::api(subject)
        .or_else(|| jetstream::ack(subject))
        .or_else(|| reply.map(|p| Part { name: b"DELIVER", ..p }))
        .or_else(of_answer)
}

fn may_be_refused(asked: &Message, answer: &Message) -> bool {
    asked.shown(asked.subject).and_then(jetstream::api).is_some()
        || answer.payload.starts_with(b"{\"error\":{\"code\":")
}

/// The subject that an error names.
fn quoted(error: &[u8]) -> Option<&[u8]> {
    let from = memchr::memchr(b'"', error)? + 1;
    let len = memchr::memchr(b'"', error.get(from..)?)?;
    error.get(from..from + len)
}

/// True for the errors that blame the client.
fn is_clients_fault(error: &[u8]) -> bool {
    const ITS: [&[u8]; 9] = [
        b"Unknown Protocol Operation",
        b"Attempted To Connect To Route Port",
        b"Authorization",
        b"Authentication",
        b"User Authentication",
        b"Invalid",
        b"Maximum",
        b"Parser Error",
        b"Permissions Violation",
    ];
    ITS.iter().any(|t| error.get(..t.len()).is_some_and(|e| e.eq_ignore_ascii_case(t)))
}
