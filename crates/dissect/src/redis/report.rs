//! From commands and replies to a call.

use remora_model::{Call, FieldId, Incomplete, Protocol, ValueRef, field};

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

    let (asked, answered) = (request.map(|r| r.1), answer.map(|a| a.seen));
    let both = asked.zip(answered);
    let call = Call {
        protocol: Protocol::Redis,
        transport: cx.transport,
        flow: cx.flow,
        client: cx.client,
        server: cx.server,
        ts: asked.or(answered).unwrap_or_default().first,
        elapsed_us: both.map(|(q, a)| a.first.micros_since(q.last).max(0)),
        ttlb_us: both.map(|(q, a)| a.last.micros_since(q.first).max(0)),
        request_bytes: asked.map(|s| s.bytes),
        response_bytes: answered.map(|s| s.bytes),
        request_pos: asked.map(|s| s.pos),
        response_pos: answered.map(|s| s.pos),
        failed: answer.is_some_and(|a| a.error.is_some()),
        client_error: false,
        incomplete,
        source: cx.source,
        fields: fields.get(..len).unwrap_or_default(),
    };
    cx.emit(&call);
}
