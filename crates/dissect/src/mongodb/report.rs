//! From messages to a call.

use remora_model::{Call, FieldId, Incomplete, Protocol, ValueRef, field};

use super::connection::Request;
use super::message::Message;
use super::wire::flag;
use super::{codes, wire};
use crate::{Context, fields::Fields, seen::Seen};

/// A reply as a call shows it.
#[derive(Clone, Copy)]
pub(super) struct Answered<'a> {
    pub(super) opcode: i32,
    pub(super) compressor: Option<u8>,
    pub(super) message: &'a Message,
    pub(super) seen: Seen,
}

/// Reports a request, its reply, or both. `first` is false for a further part of an exhaust stream,
/// which has no request of its own.
pub(super) fn emit<'a>(
    request: Option<&'a Request>,
    first: bool,
    reply: Option<Answered<'a>>,
    incomplete: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let asked = request.map(|r| &r.message);
    let answer = reply.map(|r| r.message);
    let own = request.filter(|_| first);
    let text = |of: fn(&Message) -> &[u8]| {
        asked.into_iter().chain(answer).map(of).find(|t| !t.is_empty()).map(ValueRef::Text)
    };
    let success = answer.and_then(Message::success);
    let error = answer.filter(|_| success == Some(false)).and_then(Message::error);
    let code = error.and_then(|e| e.code);
    let code_name = error.and_then(|e| match (e.name.as_slice(), e.code) {
        (b"", Some(code)) => codes::name(code).map(ValueRef::str),
        (b"", None) => None,
        (name, _) => Some(ValueRef::Text(name)),
    });
    // OP_MSG is answered by its like; what an OP_REPLY answers, it does not say.
    let like = reply.map(|r| r.opcode).filter(|opcode| *opcode != wire::op::REPLY);
    let opcode = request.map(|r| r.opcode).or(like);
    let compressor = request.and_then(|r| r.compressor).or(reply.and_then(|r| r.compressor));
    let flags = own.map_or(0, |r| r.message.flags) | answer.map_or(0, |m| m.flags);
    let cursor = answer.and_then(|m| m.cursor).filter(|&id| id != 0).or(asked.and_then(|m| m.cursor));
    let documents = answer.and_then(|m| m.documents).or(own.and_then(|r| r.message.documents));
    let mut fields = Fields::<16>::default();
    let mut add = |id: FieldId, value: Option<ValueRef<'a>>| {
        if let Some(value) = value {
            fields.add(id, value);
        }
    };
    add(field::MONGODB_COMMAND, text(|m| &m.command));
    add(field::MONGODB_DATABASE, text(|m| &m.database));
    add(field::MONGODB_COLLECTION, text(|m| &m.collection));
    add(field::MONGODB_OPCODE, opcode.and_then(wire::opcode_name).map(ValueRef::str));
    add(field::MONGODB_SUCCESS, success.map(ValueRef::Bool));
    add(field::MONGODB_ERROR_CODE, code.map(ValueRef::Int));
    add(field::MONGODB_ERROR_CODE_NAME, code_name);
    let error_text = error.map(|e| e.text.as_slice()).filter(|t| !t.is_empty());
    add(field::MONGODB_ERROR_MESSAGE, error_text.map(ValueRef::Text));
    add(field::MONGODB_REQUEST_ID, request.map(|r| ValueRef::Int(r.number.into())));
    add(field::MONGODB_CURSOR_ID, cursor.map(ValueRef::Int));
    add(field::MONGODB_DOCUMENTS, documents.map(ValueRef::Int));
    add(field::MONGODB_AFFECTED, answer.and_then(|m| m.affected).map(ValueRef::Int));
    add(field::MONGODB_COMPRESSION, compressor.and_then(wire::compressor_name).map(ValueRef::str));
    let body = |m: Option<&'a Message>| m.map(|m| m.json.text()).filter(|t| t.len() > 2).map(ValueRef::Text);
    add(field::MONGODB_REQUEST_BODY, body(own.map(|r| &r.message)));
    add(field::MONGODB_RESPONSE_BODY, body(answer));
    let names = flag_names(if opcode == Some(wire::op::MSG) { flags } else { 0 });
    fields.list(field::MONGODB_FLAGS, names);
    let failed = success == Some(false);
    cx.emit(&Call {
        failed,
        client_error: failed && code.is_some_and(codes::blames_client),
        incomplete,
        fields: fields.as_slice(),
        ..cx.exchange(Protocol::Mongodb, own.map(|r| r.seen), reply.map(|r| r.seen))
    });
}

/// The names of OP_MSG's flags, by its lowest two bits and the one above the lower half.
fn flag_names(flags: u32) -> &'static [&'static [u8]] {
    const CHECKSUM: &[u8] = b"checksumPresent";
    const MORE: &[u8] = b"moreToCome";
    const EXHAUST: &[u8] = b"exhaustAllowed";
    let set = |bit| flags & bit != 0;
    match (set(flag::CHECKSUM_PRESENT), set(flag::MORE_TO_COME), set(flag::EXHAUST_ALLOWED)) {
        (false, false, false) => &[],
        (true, false, false) => &[CHECKSUM],
        (false, true, false) => &[MORE],
        (false, false, true) => &[EXHAUST],
        (true, true, false) => &[CHECKSUM, MORE],
        (true, false, true) => &[CHECKSUM, EXHAUST],
        (false, true, true) => &[MORE, EXHAUST],
        (true, true, true) => &[CHECKSUM, MORE, EXHAUST],
    }
}
