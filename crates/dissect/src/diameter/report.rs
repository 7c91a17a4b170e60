//! From messages to a call.

use std::io::Write as _;

use remora_model::{Call, Incomplete, Protocol, Span, ValueRef, field};

use super::header::flag;
use super::message::Message;
use super::names;
use crate::{Context, Role, fields::Fields, seen::Seen};

/// Fields of a call at most.
const MAX_FIELDS: usize = 25;

/// Reports the call that `request` and `answer` make, sent by `asker` and by the other side.
pub(super) fn emit(
    asker: Role,
    request: Option<(&Message, Seen)>,
    answer: Option<(&Message, Seen)>,
    incomplete: Option<Incomplete>,
    scratch: &mut Vec<u8>,
    cx: &mut Context<'_>,
) {
    let (asked, answered) = (request.map(|r| r.0), answer.map(|a| a.0));
    let Some(main) = asked.or(answered) else { return };
    let outcome = answered.and_then(Message::outcome);
    scratch.clear();
    write_method(main, scratch);
    let method_end = scratch.len();
    write_summary(main, outcome, scratch);
    let (method, summary) = scratch.split_at(method_end);

    let flags = main.header.flags | answered.map_or(0, |a| a.header.flags);
    let flag_names = [
        ("request", main.header.flags & flag::REQUEST != 0),
        ("proxiable", flags & flag::PROXIABLE != 0),
        ("error", flags & flag::ERROR != 0),
        ("retransmitted", flags & flag::RETRANSMITTED != 0),
    ];
    let mut list = [&b""[..]; 4];
    let mut count = 0;
    for (slot, name) in list.iter_mut().zip(flag_names.iter().filter(|f| f.1)) {
        *slot = name.0.as_bytes();
        count += 1;
    }

    let text = |of: fn(&Message) -> Span| either(asked, answered, of);
    let command = names::command(main.header.command);
    let request_type = asked.or(answered).and_then(|m| m.request_type);
    let fields = [
        (field::DIAMETER_METHOD, Some(ValueRef::Text(method))),
        (field::DIAMETER_SUMMARY, (!summary.is_empty()).then_some(ValueRef::Text(summary))),
        (field::DIAMETER_COMMAND, command.map(|c| ValueRef::str(c.0))),
        (field::DIAMETER_COMMAND_CODE, Some(ValueRef::Int(main.header.command.into()))),
        (field::DIAMETER_APPLICATION, names::application(main.header.application).map(ValueRef::str)),
        (field::DIAMETER_APPLICATION_ID, Some(ValueRef::Int(main.header.application.into()))),
        (field::DIAMETER_FLAGS, Some(ValueRef::List(list.get(..count).unwrap_or_default()))),
        (field::DIAMETER_HOP_BY_HOP, Some(ValueRef::Int(main.header.hop_by_hop.into()))),
        (field::DIAMETER_END_TO_END, Some(ValueRef::Int(main.header.end_to_end.into()))),
        (field::DIAMETER_SESSION_ID, text(|m| m.session)),
        (field::DIAMETER_ORIGIN_HOST, text(|m| m.origin_host)),
        (field::DIAMETER_ORIGIN_REALM, text(|m| m.origin_realm)),
        (field::DIAMETER_DESTINATION_HOST, text(|m| m.destination_host)),
        (field::DIAMETER_DESTINATION_REALM, text(|m| m.destination_realm)),
        (field::DIAMETER_ANSWER_HOST, either(None, answered, |m| m.origin_host)),
        (field::DIAMETER_USER_NAME, text(|m| m.user)),
        (field::DIAMETER_SUBSCRIPTION_ID, text(|m| m.subscription)),
        (field::DIAMETER_CALLED_STATION_ID, text(|m| m.called)),
        (field::DIAMETER_SERVICE_CONTEXT_ID, text(|m| m.context)),
        (field::DIAMETER_CC_REQUEST_TYPE, request_type.and_then(|n| names::value(416, n)).map(ValueRef::str)),
        (field::DIAMETER_RESULT_CODE, outcome.map(|o| ValueRef::Int(o.0.into()))),
        (field::DIAMETER_RESULT, outcome.and_then(|o| o.1).map(ValueRef::str)),
        (field::DIAMETER_ERROR_MESSAGE, either(None, answered, |m| m.error)),
        (
            field::DIAMETER_REQUEST_BODY,
            asked.map(|m| &m.body).filter(|b| !b.is_empty()).map(|b| ValueRef::Text(b)),
        ),
        (
            field::DIAMETER_RESPONSE_BODY,
            answered.map(|m| &m.body).filter(|b| !b.is_empty()).map(|b| ValueRef::Text(b)),
        ),
    ];
    let mut present = Fields::<MAX_FIELDS>::default();
    for (id, value) in fields {
        if let Some(value) = value {
            present.add(id, value);
        }
    }

    let error = answered.is_some_and(|m| m.header.flags & flag::ERROR != 0);
    let failed = error || outcome.is_some_and(|o| !(1_000..3_000).contains(&o.0));
    let experimental = answered.is_some_and(|m| m.experimental.is_some());
    let exchange = cx.exchange(Protocol::Diameter, request.map(|r| r.1), answer.map(|a| a.1));
    let (client, server) = match asker {
        Role::Client => (cx.client, cx.server),
        Role::Server => (cx.server, cx.client),
    };
    cx.emit(&Call {
        client,
        server,
        failed,
        client_error: failed && outcome.is_some_and(|o| names::blames_client(o.0, experimental)),
        incomplete,
        fields: present.as_slice(),
        ..exchange
    });
}

/// A text of the request that is not empty, else one of the answer.
fn either<'a>(
    asked: Option<&'a Message>,
    answered: Option<&'a Message>,
    of: fn(&Message) -> Span,
) -> Option<ValueRef<'a>> {
    let texts = [asked, answered].into_iter().flatten().map(|m| m.text(of(m)));
    texts.into_iter().find(|t| !t.is_empty()).map(ValueRef::Text)
}

/// The name of the command, with what it is.
fn write_method(main: &Message, out: &mut Vec<u8>) {
    match names::command(main.header.command) {
        Some((name, _)) => out.extend(name.as_bytes()),
        None => _ = write!(out, "{}", main.header.command),
    }
    out.extend(if main.header.is_request() { &b"-Request"[..] } else { b"-Answer" });
}

/// Short name, kind of credit control, who is meant, and the result.
fn write_summary(main: &Message, outcome: Option<(u32, Option<&'static str>)>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut add = |text: &[u8]| {
        if !text.is_empty() {
            if out.len() > start {
                out.push(b' ');
            }
            out.extend_from_slice(text);
        }
    };
    if let Some((_, short)) = names::command(main.header.command) {
        add(short.as_bytes());
        out.push(if main.header.is_request() { b'R' } else { b'A' });
    }
    let mut add = |text: &[u8]| {
        if !text.is_empty() {
            if out.len() > start {
                out.push(b' ');
            }
            out.extend_from_slice(text);
        }
    };
    add(names::application(main.header.application)
        .filter(|_| main.header.application > 0)
        .unwrap_or_default()
        .as_bytes());
    add(main.request_type.and_then(|n| names::value(416, n)).unwrap_or_default().as_bytes());
    let who = [main.user, main.subscription, main.session, main.origin_host].into_iter().find(|s| s.len > 0);
    add(main.text(who.unwrap_or_default()));
    match outcome {
        Some((_, Some(name))) => add(name.as_bytes()),
        Some((code, None)) => _ = write!(out, " {code}"),
        None => {}
    }
}
