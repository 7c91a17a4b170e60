//! From packets to a call.

use remora_model::{Call, FieldId, Incomplete, Protocol, ValueRef, field};

use super::packet::Packet;
use super::{codes, value};
use crate::{Context, Role, fields::Fields, seen::Seen};

/// Fields with an attribute of their own, which the request has, or else the answer.
const OWN: [(FieldId, u8); 13] = [
    (field::RADIUS_USER_NAME, 1),
    (field::RADIUS_NAS_IP, 4),
    (field::RADIUS_NAS_IDENTIFIER, 32),
    (field::RADIUS_NAS_PORT_TYPE, 61),
    (field::RADIUS_SERVICE_TYPE, 6),
    (field::RADIUS_CALLED_STATION_ID, 30),
    (field::RADIUS_CALLING_STATION_ID, 31),
    (field::RADIUS_FRAMED_IP, 8),
    (field::RADIUS_ACCT_STATUS_TYPE, 40),
    (field::RADIUS_ACCT_SESSION_ID, 44),
    (field::RADIUS_TERMINATE_CAUSE, 49),
    (field::RADIUS_ERROR_CAUSE, 101),
    (field::RADIUS_FILTER_ID, 11),
];

/// NAS-IPv6-Address, where there is none of IPv4.
const NAS_IPV6: u8 = 95;

/// Fields of a call at most.
const MAX_FIELDS: usize = OWN.len() + 11;

/// Reports the call that `request` and `answer` make, sent by `asker` and by the other side.
pub(super) fn emit(
    asker: Role,
    request: Option<(&Packet, Seen)>,
    answer: Option<(&Packet, Seen)>,
    incomplete: Option<Incomplete>,
    scratch: &mut Vec<u8>,
    cx: &mut Context<'_>,
) {
    let (asked, answered) = (request.map(|r| r.0), answer.map(|a| a.0));
    let Some(main) = asked.or(answered) else { return };
    scratch.clear();
    // The request's authenticator is what an access request is known by; an answer has its own.
    if let Some(p) = asked {
        value::hex(&p.header.authenticator, scratch);
    }
    let hex = scratch.len();
    write_summary(main, asked, answered, scratch);
    let (authenticator, summary) = scratch.split_at(hex);

    let mut list = Fields::<MAX_FIELDS>::default();
    list.add(field::RADIUS_ID, ValueRef::Int(main.header.id.into()));
    list.add(field::RADIUS_CODE, ValueRef::Int(main.header.code.into()));
    list.text(field::RADIUS_CODE_NAME, codes::name(main.header.code).map(str::as_bytes));
    list.text(field::RADIUS_REQUEST_AUTHENTICATOR, some(authenticator));
    list.text(field::RADIUS_SUMMARY, some(summary));
    if let Some(p) = answered {
        list.add(field::RADIUS_RESPONSE_CODE, ValueRef::Int(p.header.code.into()));
        list.text(field::RADIUS_RESPONSE_CODE_NAME, codes::name(p.header.code).map(str::as_bytes));
        list.text(field::RADIUS_REPLY_MESSAGE, some(&p.reply));
        pairs(field::RADIUS_RESPONSE_ATTRIBUTES, p, &mut list);
    }
    if let Some(p) = asked {
        pairs(field::RADIUS_ATTRIBUTES, p, &mut list);
    }
    let get = |number: u8| asked.and_then(|p| p.get(number)).or_else(|| answered.and_then(|p| p.get(number)));
    for (id, number) in OWN {
        let other = if id == field::RADIUS_NAS_IP { get(NAS_IPV6) } else { None };
        list.text(id, get(number).or(other).filter(|t| !t.is_empty()));
    }
    let eap = asked.and_then(|p| p.eap).or_else(|| answered.and_then(|p| p.eap));
    list.text(field::RADIUS_EAP_METHOD, eap.and_then(|e| e.1).map(str::as_bytes));

    let failed = answered.is_some_and(|p| codes::is_failure(p.header.code));
    let exchange = cx.exchange(Protocol::Radius, request.map(|r| r.1), answer.map(|a| a.1));
    let (client, server) = match asker {
        Role::Client => (cx.client, cx.server),
        Role::Server => (cx.server, cx.client),
    };
    cx.emit(&Call {
        client,
        server,
        failed,
        client_error: failed,
        incomplete,
        fields: list.as_slice(),
        ..exchange
    });
}

fn pairs<'a>(id: FieldId, p: &'a Packet, list: &mut Fields<'a, MAX_FIELDS>) {
    let pairs = p.pairs();
    if !pairs.spans.is_empty() {
        list.add(id, ValueRef::Pairs(pairs));
    }
}

/// A text that is not empty.
fn some(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text)
}

/// Who, and what became of it.
fn write_summary(main: &Packet, asked: Option<&Packet>, answered: Option<&Packet>, out: &mut Vec<u8>) {
    let start = out.len();
    let answer = answered.filter(|_| asked.is_some()).and_then(|p| codes::name(p.header.code));
    let parts = [
        // User-Name, else the session; Acct-Status-Type.
        main.get(1).or_else(|| main.get(44)),
        main.get(40),
        answer.map(str::as_bytes),
    ];
    for part in parts.into_iter().flatten() {
        if out.len() > start {
            out.push(b' ');
        }
        out.extend_from_slice(part);
    }
}
