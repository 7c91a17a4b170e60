//! From a request and a response to a call.

use remora_model::field as f;
use remora_model::{Call, FieldId, Incomplete, Protocol, ValueRef};

use super::encoding::{self, Decoded};
use super::message::Message;
use super::target::{self, Target};
use super::trace;
use crate::{Context, Problem};

/// A body as it is reported.
struct Body {
    /// In place of the message's own bytes.
    decoded: Option<Vec<u8>>,
    /// Less than the whole.
    cut: bool,
}

impl Body {
    fn of(message: &Message, cx: &mut Context<'_>) -> Self {
        let kept = message.body.len() as u64;
        if message.body_size > kept && message.body.len() >= cx.limits.payload {
            cx.problem(Problem::PayloadLimit, message.body_size - kept);
        }
        let raw = Self { decoded: None, cut: message.cut };
        if !message.head.facts.encoded || message.body.is_empty() {
            return raw;
        }
        match encoding::decode(&message.head, &message.body, !message.cut, cx.limits) {
            None => raw,
            Some(Ok(Decoded { bytes, cut, faulty })) => {
                if faulty {
                    cx.problem(Problem::BadEncoding, kept);
                }
                Self { decoded: Some(bytes), cut }
            }
            Some(Err(encoding::BadCoding)) => {
                cx.problem(Problem::BadEncoding, kept);
                raw
            }
        }
    }

    fn bytes<'a>(&'a self, message: &'a Message) -> &'a [u8] {
        self.decoded.as_deref().unwrap_or(&message.body)
    }
}

/// Field values on the stack.
struct Fields<'a> {
    values: [(FieldId, ValueRef<'a>); 24],
    len: usize,
}

impl<'a> Fields<'a> {
    fn new() -> Self {
        Self { values: [(f::ID, ValueRef::Bool(false)); 24], len: 0 }
    }

    fn push(&mut self, id: FieldId, value: ValueRef<'a>) {
        if let Some(slot) = self.values.get_mut(self.len) {
            *slot = (id, value);
            self.len += 1;
        }
    }

    /// Text that is left out when there is none.
    fn text(&mut self, id: FieldId, value: &'a [u8]) {
        if !value.is_empty() {
            self.push(id, ValueRef::Text(value));
        }
    }

    fn sizes(&mut self, ids: &Side, message: &Message) {
        self.push(ids.headers_size, ValueRef::Int(int(message.head_size)));
        self.push(ids.body_size, ValueRef::Int(int(message.body_size)));
    }

    fn as_slice(&self) -> &[(FieldId, ValueRef<'a>)] {
        self.values.get(..self.len).unwrap_or_default()
    }
}

/// The ids of the fields that requests and responses both have.
struct Side {
    headers: FieldId,
    headers_size: FieldId,
    body: FieldId,
    body_size: FieldId,
    body_truncated: FieldId,
}

const REQUEST: Side = Side {
    headers: f::REQUEST_HEADERS,
    headers_size: f::REQUEST_HEADERS_SIZE,
    body: f::REQUEST_BODY,
    body_size: f::REQUEST_BODY_SIZE,
    body_truncated: f::REQUEST_BODY_TRUNCATED,
};

const RESPONSE: Side = Side {
    headers: f::RESPONSE_HEADERS,
    headers_size: f::RESPONSE_HEADERS_SIZE,
    body: f::RESPONSE_BODY,
    body_size: f::RESPONSE_BODY_SIZE,
    body_truncated: f::RESPONSE_BODY_TRUNCATED,
};

fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The media type of a Content-Type header: no parameters, lower case.
fn media_type<'a>(value: &'a [u8], lower: &'a mut [u8; 128]) -> &'a [u8] {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let media = value.get(..end).unwrap_or_default().trim_ascii();
    match lower.get_mut(..media.len()) {
        Some(room) if media.iter().any(u8::is_ascii_uppercase) => {
            room.copy_from_slice(media);
            room.make_ascii_lowercase();
            room
        }
        _ => media,
    }
}

/// Reports a call of which at least one message was seen. `why` says why it is not whole, if its
/// messages do not say it themselves.
pub(super) fn report(
    request: Option<&Message>,
    response: Option<&Message>,
    why: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let Some(leading) = request.or(response) else { return };
    let request_body = request.map(|m| Body::of(m, cx));
    let response_body = response.map(|m| Body::of(m, cx));
    let mut lower = [0; 128];

    let mut fields = Fields::new();
    if let Some(message) = request {
        let head = &message.head;
        let (method, url) = (head.at(head.method), head.at(head.target));
        let target = Target::read(method, url);
        fields.text(f::METHOD, method);
        fields.text(f::URL, url);
        fields.text(f::PATH, target.path);
        let host = if target.host.is_empty() { target::host(head.at(head.facts.host)) } else { target.host };
        fields.text(f::HOST, host);
        fields.text(f::USER_AGENT, head.at(head.facts.user_agent));
        fields.sizes(&REQUEST, message);
        fields.push(REQUEST.headers, ValueRef::Pairs(head.fields()));
    }
    if let (Some(message), Some(body)) = (request, &request_body) {
        fields.text(REQUEST.body, body.bytes(message));
        fields.push(REQUEST.body_truncated, ValueRef::Bool(body.cut));
    }
    let status = response.map_or(0, |m| m.head.status);
    if let Some(message) = response {
        fields.push(f::STATUS_CODE, ValueRef::Int(i64::from(status)));
        fields.sizes(&RESPONSE, message);
        fields.push(RESPONSE.headers, ValueRef::Pairs(message.head.fields()));
    }
    if let (Some(message), Some(body)) = (response, &response_body) {
        fields.text(RESPONSE.body, body.bytes(message));
        fields.push(RESPONSE.body_truncated, ValueRef::Bool(body.cut));
    }
    fields.text(f::HTTP_VERSION, leading.head.at(leading.head.version));
    let content_type = [response, request]
        .into_iter()
        .flatten()
        .map(|m| m.head.at(m.head.facts.content_type))
        .find(|t| !t.is_empty());
    if let Some(value) = content_type {
        fields.text(f::CONTENT_TYPE, media_type(value, &mut lower));
    }
    let (trace_id, span_id) = trace::ids(&leading.head);
    fields.text(f::TRACE_ID, trace_id);
    fields.text(f::SPAN_ID, span_id);

    let size = |m: &Message| int(m.end.saturating_sub(m.start));
    let both = request.zip(response);
    cx.emit(&Call {
        protocol: Protocol::Http,
        transport: cx.transport,
        flow: cx.flow,
        client: cx.client,
        server: cx.server,
        ts: leading.first,
        elapsed_us: both.map(|(q, r)| r.first.micros_since(q.last).max(0)),
        ttlb_us: both.filter(|(_, r)| r.whole).map(|(q, r)| r.last.micros_since(q.first).max(0)),
        request_bytes: request.map(size),
        response_bytes: response.map(size),
        request_pos: request.map(|m| int(m.start)),
        response_pos: response.map(|m| int(m.start)),
        failed: status >= 500,
        client_error: (400..500).contains(&status),
        incomplete: why
            .filter(|_| request.is_none())
            .or(request.and_then(|m| m.incomplete))
            .or(response.and_then(|m| m.incomplete))
            .or(why),
        source: cx.source,
        fields: fields.as_slice(),
    });
}
