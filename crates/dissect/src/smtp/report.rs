//! From a command and its reply to a call.

use remora_model::{Call, Incomplete, Protocol, ValueRef, field};

use super::command::{self, Verb};
use super::connection::Envelope;
use super::exchange::{Content, Exchange};
use crate::{Context, fields::Fields};

/// Values of all lists together that fit on the stack.
const FEW: usize = 32;

/// Fields of a call at most.
const MAX_FIELDS: usize = 18;

/// Reports a call. `name` is what the client calls itself.
pub(super) fn emit(
    e: &Exchange,
    envelope: &Envelope,
    name: &[u8],
    incomplete: Option<Incomplete>,
    summary: &mut Vec<u8>,
    cx: &mut Context<'_>,
) {
    let content = e.content != Content::None;
    let address = command::address(&e.argument);
    let from = match e.verb {
        Verb::Mail => Some(address),
        Verb::Rcpt | Verb::Data | Verb::Bdat if envelope.known => Some(envelope.from.as_slice()),
        _ => None,
    };
    let mut few = [&b""[..]; FEW];
    let mut many = Vec::new();
    let extensions = if e.verb == Verb::Ehlo || e.verb == Verb::Lhlo {
        // Behind the line with the server's name.
        e.text().split(|b| *b == b'\n').skip(1).filter(|l| !l.is_empty()).count()
    } else {
        0
    };
    let to = match e.verb {
        Verb::Rcpt => 1,
        Verb::Data | Verb::Bdat => envelope.recipients,
        _ => 0,
    };
    let recipients = envelope.to.iter().take(envelope.recipients).map(Vec::as_slice);
    let lines = e.text().split(|b| *b == b'\n').skip(1).filter(|l| !l.is_empty()).take(extensions);
    let one = (e.verb == Verb::Rcpt).then_some(address);
    let listed = one.into_iter().chain(recipients.take(if one.is_some() { 0 } else { to })).chain(lines);
    let total = to + extensions;
    let all: &[&[u8]] = if total <= FEW {
        for (slot, text) in few.iter_mut().zip(listed) {
            *slot = text;
        }
        few.get(..total).unwrap_or_default()
    } else {
        many.extend(listed);
        &many
    };
    let (to, extensions) = all.split_at(to.min(all.len()));

    write_summary(e, envelope, summary);
    let command = if e.greeting { Some("GREETING") } else { e.asked.map(|_| e.verb.name()) };
    let subject = e.mail.value(e.mail.subject);
    let mechanism = e.argument.split(|b| *b == b' ').next().filter(|_| e.verb == Verb::Auth);
    let fields = [
        (field::SMTP_COMMAND, command.map(ValueRef::str)),
        (field::SMTP_ARGUMENT, some(&e.argument)),
        (field::SMTP_SUMMARY, some(summary)),
        (field::SMTP_STATUS_CODE, e.code.map(|c| ValueRef::Int(c.into()))),
        (field::SMTP_ENHANCED_STATUS, some(&e.status)),
        (field::SMTP_REPLY, some(e.text())),
        (field::SMTP_CLIENT_NAME, some(name)),
        (field::SMTP_EXTENSIONS, list(extensions)),
        (field::SMTP_AUTH_MECHANISM, mechanism.and_then(some)),
        (field::SMTP_FROM, from.map(ValueRef::Text)),
        (field::SMTP_TO, list(to)),
        (field::SMTP_HEADER_FROM, some(e.mail.value(e.mail.from))),
        (field::SMTP_HEADER_TO, some(e.mail.value(e.mail.to))),
        (field::SMTP_SUBJECT, some(subject)),
        (field::SMTP_MESSAGE_ID, some(e.mail.value(e.mail.id))),
        (
            field::SMTP_MESSAGE_SIZE,
            (content && !e.torn).then(|| ValueRef::Int(i64::try_from(e.mail.size).unwrap_or(i64::MAX))),
        ),
        (field::SMTP_MESSAGE, some(e.mail.text())),
    ];
    let mut present = Fields::<MAX_FIELDS>::default();
    for (id, value) in fields {
        if let Some(value) = value {
            present.add(id, value);
        }
    }
    cx.emit(&Call {
        failed: e.code.is_some_and(|c| c >= 400),
        // The sender must not ask the same again (RFC 5321, section 4.2.1).
        client_error: e.code.is_some_and(|c| c >= 500),
        incomplete,
        fields: present.as_slice(),
        ..cx.exchange(Protocol::Smtp, e.asked, e.answered)
    });
}

/// What was asked; of a message who wrote to whom about what.
fn write_summary(e: &Exchange, envelope: &Envelope, out: &mut Vec<u8>) {
    out.clear();
    if e.asked.is_none() {
        let first = e.text().split(|b| *b == b'\n').next().unwrap_or_default();
        out.extend_from_slice(first);
        return;
    }
    out.extend_from_slice(e.verb.name().as_bytes());
    let mut add = |text: &[u8]| {
        if !text.is_empty() {
            out.push(b' ');
            out.extend_from_slice(text);
        }
    };
    if e.content == Content::None {
        add(&e.argument);
        return;
    }
    add(&envelope.from);
    for to in envelope.to.iter().take(envelope.recipients.min(4)) {
        add(to);
    }
    add(e.mail.value(e.mail.subject));
}

fn some(text: &[u8]) -> Option<ValueRef<'_>> {
    (!text.is_empty()).then_some(ValueRef::Text(text))
}

fn list<'a>(list: &'a [&'a [u8]]) -> Option<ValueRef<'a>> {
    (!list.is_empty()).then_some(ValueRef::List(list))
}
