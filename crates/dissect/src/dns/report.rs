//! From messages to a call.

use remora_model::{Call, Incomplete, Protocol, ValueRef, field};

use super::{
    message::{Message, flag},
    types,
};
use crate::fields::Fields;
use crate::{Context, Role, seen::Seen};

/// Values of all lists together that fit on the stack.
const FEW: usize = 64;

/// Reports the call that `query` and `response` make, sent by `asker` and by the other side.
pub(super) fn emit(
    asker: Role,
    query: Option<(&Message, Seen)>,
    response: Option<(&Message, Seen)>,
    incomplete: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let Some(main) = response.or(query).map(|(m, _)| m) else { return };
    let asked = query.map_or(main, |(m, _)| m);
    let answer = response.map(|(m, _)| m);

    let flags = main.header.flags;
    let flag_names = [
        ("aa", flags & flag::AA != 0),
        ("tc", flags & flag::TC != 0),
        ("rd", flags & flag::RD != 0),
        ("ra", flags & flag::RA != 0),
        ("ad", flags & flag::AD != 0),
        ("cd", flags & flag::CD != 0),
        ("do", main.dnssec_ok),
    ];
    let flag_names = || flag_names.iter().filter(|f| f.1).map(|f| f.0.as_bytes());
    let questions = asked.questions().len();
    let answers = answer.map_or(0, |m| m.answers().len());
    let texts = asked
        .questions()
        .chain(asked.question_types())
        .chain(answer.into_iter().flat_map(Message::answers))
        .chain(answer.into_iter().flat_map(Message::answer_types))
        .chain(answer.into_iter().flat_map(Message::answer_ttls))
        .chain(flag_names());
    let total = 2 * questions + 3 * answers + flag_names().count();
    let mut few = [&b""[..]; FEW];
    let mut many = Vec::new();
    let all: &[&[u8]] = if total <= FEW {
        for (slot, text) in few.iter_mut().zip(texts) {
            *slot = text;
        }
        &few[..total]
    } else {
        many.extend(texts);
        &many
    };
    let (question_names, rest) = all.split_at(questions);
    let (question_types, rest) = rest.split_at(questions);
    let (answer_data, rest) = rest.split_at(answers);
    let (answer_types, rest) = rest.split_at(answers);
    let (answer_ttls, flags) = rest.split_at(answers);

    let mut fields = Fields::<16>::default();
    if questions > 0 {
        fields.add(field::DNS_QUESTIONS, ValueRef::List(question_names));
        fields.add(field::DNS_QUESTION_TYPES, ValueRef::List(question_types));
    }
    if let Some(m) = answer {
        fields.add(field::DNS_ANSWERS, ValueRef::List(answer_data));
        fields.add(field::DNS_ANSWER_TYPES, ValueRef::List(answer_types));
        fields.add(field::DNS_ANSWER_TTLS, ValueRef::List(answer_ttls));
        fields.add(field::STATUS_CODE, ValueRef::Int(i64::from(m.rcode)));
        fields.add(field::DNS_RCODE, ValueRef::Text(m.rcode_name()));
    }
    fields.add(field::DNS_ID, ValueRef::Int(i64::from(main.header.id)));
    fields.add(field::DNS_OPCODE, ValueRef::str(types::opcode_name(main.header.opcode())));
    fields.add(field::DNS_FLAGS, ValueRef::List(flags));
    fields.add(field::DNS_REQUEST, ValueRef::Bool(query.is_some()));
    fields.add(field::DNS_RESPONSE, ValueRef::Bool(answer.is_some()));
    // The response's has the prefix that the answer is good for; the query's has not.
    if let Some(subnet) = main.subnet().or(asked.subnet()) {
        fields.add(field::DNS_CLIENT_SUBNET, ValueRef::Text(subnet));
    }

    let (client, server) = match asker {
        Role::Client => (cx.client, cx.server),
        Role::Server => (cx.server, cx.client),
    };
    let (asked, answered) = (query.map(|q| q.1), response.map(|r| r.1));
    let ts = asked.or(answered).unwrap_or_default().first;
    let call = Call {
        client,
        server,
        ts,
        failed: answer.is_some_and(|m| m.rcode != 0),
        incomplete,
        fields: fields.as_slice(),
        ..cx.exchange(Protocol::Dns, asked, answered)
    };
    cx.emit(&call);
}
