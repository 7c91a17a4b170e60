//! From messages to a call.

use remora_model::{Call, Incomplete, Protocol, ValueRef, field};

use super::message::{MAX_GROUPS, Message};
use super::types::{self, Class, Version};
use super::word::Word;
use crate::{Context, Role, fields, seen::Seen};

/// A call's fields: eighteen at most.
type Fields<'a> = fields::Fields<'a, 20>;

/// What is kept of a request until its reply comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) kind: u8,
    pub(super) code: u8,
    pub(super) numbers: Option<(u16, u16)>,
    pub(super) len: usize,
    pub(super) seen: Seen,
}

/// Reports a request with its reply, or without one.
pub(super) fn exchange(
    asker: Role,
    version: Version,
    asked: &Asked,
    reply: Option<(&Message<'_>, Seen)>,
    incomplete: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let mut fields = Fields::default();
    let kind = Word::new(format_args!("type_{}", asked.kind));
    head(&mut fields, version, asked.kind, &kind, reply.map_or(asked.code, |r| r.0.code), asked.len);
    numbers(&mut fields, asked.numbers);
    // Only an extended echo has replies that say no.
    let error = reply.and_then(|(m, _)| types::code(version, m.kind, m.code)).filter(|e| !e.is_empty());
    if let Some(error) = error {
        fields.add(field::ICMP_ERROR, ValueRef::str(error));
    }
    let failed = error.is_some();
    emit(asker, Some(asked.seen), reply.map(|r| r.1), failed, incomplete, &fields, cx);
}

/// Reports a message that stands alone: a reply without its request, an error, a notice.
pub(super) fn alone(role: Role, message: &Message<'_>, seen: Seen, cx: &mut Context<'_>) {
    let version = message.version;
    let kind = Word::new(format_args!("type_{}", message.kind));
    let quoted = message.quoted();
    let words = quoted.map(|q| [Word::new(q.src), Word::new(q.dst), Word::new(q.protocol)]);
    let gateway = message.gateway().map(Word::new);
    let target = message.target().map(Word::new);
    let mut groups = [Word::EMPTY; MAX_GROUPS];
    let mut count = 0;
    for (slot, group) in groups.iter_mut().zip(message.groups()) {
        *slot = Word::new(group);
        count += 1;
    }
    let mut list = [&b""[..]; MAX_GROUPS];
    for (slot, group) in list.iter_mut().zip(&groups) {
        *slot = group.bytes();
    }

    let mut fields = Fields::default();
    head(&mut fields, version, message.kind, &kind, message.code, message.len());
    numbers(&mut fields, message.numbers());
    let failed = message.class == Class::Error;
    let code = types::code(version, message.kind, message.code).filter(|e| !e.is_empty());
    if let Some(code) = code {
        fields.add(field::ICMP_ERROR, ValueRef::str(code));
    }
    fields.int(field::ICMP_MTU, message.mtu().map(i64::from));
    fields.int(field::ICMP_POINTER, message.pointer().map(i64::from));
    for (id, word) in [(field::ICMP_GATEWAY, &gateway), (field::ICMP_TARGET, &target)] {
        if let Some(word) = word {
            fields.add(id, ValueRef::Text(word.bytes()));
        }
    }
    if count > 0 {
        fields.add(field::ICMP_GROUPS, ValueRef::List(list.get(..count).unwrap_or_default()));
    }
    if let (Some(q), Some([src, dst, protocol])) = (&quoted, &words) {
        let protocol = q.protocol_name().map_or(protocol.bytes(), str::as_bytes);
        fields.add(field::ICMP_ORIGINAL_PROTOCOL, ValueRef::Text(protocol));
        fields.add(field::ICMP_ORIGINAL_SRC_IP, ValueRef::Text(src.bytes()));
        fields.add(field::ICMP_ORIGINAL_DST_IP, ValueRef::Text(dst.bytes()));
        fields.int(field::ICMP_ORIGINAL_SRC_PORT, q.ports.map(|p| i64::from(p.0)));
        fields.int(field::ICMP_ORIGINAL_DST_PORT, q.ports.map(|p| i64::from(p.1)));
        fields.int(field::ICMP_ORIGINAL_ID, q.echo.map(|e| i64::from(e.0)));
        fields.int(field::ICMP_ORIGINAL_SEQ, q.echo.map(|e| i64::from(e.1)));
    }
    if matches!(message.class, Class::Reply(_)) {
        let asker = role.other();
        emit(asker, None, Some(seen), code.is_some(), Some(Incomplete::NoRequest), &fields, cx);
    } else {
        emit(role, Some(seen), None, failed, None, &fields, cx);
    }
}

/// What every call has. `unnamed` is the type's name if it has no other.
fn head<'a>(fields: &mut Fields<'a>, version: Version, kind: u8, unnamed: &'a Word, code: u8, len: usize) {
    let name = types::name(version, kind).map_or(unnamed.bytes(), str::as_bytes);
    fields.add(field::ICMP_TYPE, ValueRef::Text(name));
    let number = match version {
        Version::V4 => 4,
        Version::V6 => 6,
    };
    fields.add(field::ICMP_VERSION, ValueRef::Int(number));
    fields.add(field::ICMP_CODE, ValueRef::Int(i64::from(code)));
    fields.int(field::ICMP_LENGTH, i64::try_from(len).ok());
}

fn numbers(fields: &mut Fields<'_>, numbers: Option<(u16, u16)>) {
    fields.int(field::ICMP_ID, numbers.map(|n| i64::from(n.0)));
    fields.int(field::ICMP_SEQ, numbers.map(|n| i64::from(n.1)));
}

fn emit(
    asker: Role,
    asked: Option<Seen>,
    answered: Option<Seen>,
    failed: bool,
    incomplete: Option<Incomplete>,
    fields: &Fields<'_>,
    cx: &mut Context<'_>,
) {
    let (client, server) = match asker {
        Role::Client => (cx.client, cx.server),
        Role::Server => (cx.server, cx.client),
    };
    let exchange = cx.exchange(Protocol::Icmp, asked, answered);
    let call = Call { client, server, failed, incomplete, fields: fields.as_slice(), ..exchange };
    cx.emit(&call);
}
