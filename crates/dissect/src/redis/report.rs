//! From commands and replies to a call.

use remora_model::{Call, FieldId, Incomplete, Protocol, ValueRef, field};

use super::error;
use super::request::Shown;
use crate::{Context, seen::Seen};

/// What a call shows of a reply or push.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) seen: Seen,
    pub(super) text: &'a [u8],
    pub(super) type_name: Option<&'static str>,
    pub(super) error: Option<&'a [u8]>,
}

/// What stands for the command where there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Push<'a> {
    pub(super) kind: &'a [u8],
    pub(super) key: Option<&'a [u8]>,
}

/// Reports a command, its reply, or both.
pub(super) fn emit(
    request: Option<(&Shown, Seen)>,
    push: Option<Push<'_>>,
    answer: Option<Answer<'_>>,
    incomplete: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let texts: [(FieldId, Option<&[u8]>); 6] = [
        (field::REDIS_TYPE, request.map(|r| r.0.kind()).or(push.map(|p| p.kind))),
        (field::REDIS_KEY, request.and_then(|r| r.0.key()).or(push.and_then(|p| p.key))),
        (field::REDIS_COMMAND, request.map(|r| r.0.command())),
        (field::REDIS_REPLY, answer.map(|a| a.text)),
        (field::REDIS_REPLY_TYPE, answer.and_then(|a| a.type_name).map(str::as_bytes)),
        (field::REDIS_ERROR, answer.and_then(|a| a.error)),
    ];
    let mut fields = [(field::REDIS_TYPE, ValueRef::Text(b"")); 6];
    let mut len = 0;
    for (slot, (id, text)) in fields.iter_mut().zip(texts.iter().filter_map(|(id, t)| Some((*id, (*t)?)))) {
        *slot = (id, ValueRef::Text(text));
        len += 1;
    }

    let call = Call {
        failed: answer.is_some_and(|a| a.error.is_some()),
        client_error: answer.and_then(|a| a.error).is_some_and(error::blames_client),
        incomplete,
        fields: fields.get(..len).unwrap_or_default(),
        ..cx.exchange(Protocol::Redis, request.map(|r| r.1), answer.map(|a| a.seen))
    };
    cx.emit(&call);
}
