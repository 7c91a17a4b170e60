//! From a request and a response to a call.

use remora_model::field as f;
use remora_model::{Call, FieldId, Incomplete, Protocol, ValueRef};

use super::encoding::{self, Decoded};
use super::message::Message;
use super::target::{self, Target};
use super::trace;
use super::values::{Fields, int};
use super::web::{Room, Web};
use crate::grpc::{Framer, Rpc, Scratch};
use crate::{BodyAction, Context, Problem};

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

/// Counts what of a body was left out because of the payload limit.
fn note_limit(message: &Message, cx: &mut Context<'_>) {
    let kept = message.body.len() as u64;
    if message.action != BodyAction::Keep && message.body_size > 0 {
        cx.problem(Problem::BodyPolicy, message.body_size);
    } else if message.body_size > kept && message.body.len() >= cx.limits.payload {
        cx.problem(Problem::PayloadLimit, message.body_size - kept);
    }
}

/// What HTTP/2 adds to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra<'a> {
    /// The stream's identifier.
    pub(crate) stream: u32,
    /// The error code that ended it, by name.
    pub(crate) error: Option<&'static str>,
    /// The error says that the call failed.
    pub(crate) failed: bool,
    /// The request was promised by the server.
    pub(crate) pushed: bool,
    /// Header fields that are not known in full.
    pub(crate) unknown: u32,
    /// What followed the messages of gRPC in both bodies.
    pub(crate) framers: &'a [Framer; 2],
}

impl<'a> Fields<'a> {
    fn sizes(&mut self, ids: &Side, message: &Message) {
        self.add(ids.headers_size, ValueRef::Int(int(message.head_size)));
        self.add(ids.body_size, ValueRef::Int(int(message.body_size)));
    }

    fn http2(&mut self, extra: &Extra<'a>) {
        self.add(f::HTTP2_STREAM, ValueRef::Int(i64::from(extra.stream)));
        if let Some(error) = extra.error {
            self.add(f::HTTP2_ERROR, ValueRef::str(error));
        }
        if extra.pushed {
            self.add(f::HTTP2_PUSHED, ValueRef::Bool(true));
        }
        if extra.unknown > 0 {
            self.add(f::HTTP2_UNKNOWN_HEADERS, ValueRef::Int(i64::from(extra.unknown)));
        }
    }

    /// `there` says which of request and response were seen.
    fn grpc(&mut self, rpc: &Rpc<'a>, there: [bool; 2]) {
        self.filled(f::GRPC_SERVICE, rpc.service);
        self.filled(f::GRPC_METHOD, rpc.method);
        self.filled(f::GRPC_MESSAGE, rpc.message);
        self.filled(f::GRPC_ENCODING, rpc.encoding);
        self.filled(f::GRPC_KIND, rpc.kind.as_bytes());
        if let Some(name) = rpc.status_name {
            self.add(f::GRPC_STATUS_NAME, ValueRef::str(name));
        }
        for (id, n) in [
            (f::GRPC_STATUS, rpc.status),
            (f::GRPC_TIMEOUT, rpc.timeout),
            (f::GRPC_REQUEST_MESSAGES, rpc.messages[0]),
            (f::GRPC_RESPONSE_MESSAGES, rpc.messages[1]),
        ] {
            if let Some(n) = n {
                self.add(id, ValueRef::Int(n));
            }
        }
        for (i, side) in [REQUEST, RESPONSE].iter().enumerate().filter(|(i, _)| there[*i]) {
            self.filled(side.body, rpc.bodies[i]);
            self.add(side.body_truncated, ValueRef::Bool(rpc.cut[i]));
        }
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

/// The fields of a request's head but for the sizes.
pub(crate) fn request_line<'a>(fields: &mut Fields<'a>, message: &'a Message) {
    let head = &message.head;
    let (method, url) = (head.at(head.method), head.at(head.target));
    let target = Target::read(method, url);
    fields.filled(f::METHOD, method);
    fields.filled(f::URL, url);
    fields.filled(f::PATH, target.path);
    let host = if target.host.is_empty() { target::host(head.at(head.facts.host)) } else { target.host };
    fields.filled(f::HOST, host);
    fields.filled(f::USER_AGENT, head.at(head.facts.user_agent));
    fields.filled(f::HTTP_VERSION, head.at(head.version));
    fields.add(REQUEST.headers, ValueRef::Pairs(head.fields()));
    trace_ids(fields, message);
}

fn trace_ids<'a>(fields: &mut Fields<'a>, message: &'a Message) {
    let (trace_id, span_id) = trace::ids(&message.head);
    fields.filled(f::TRACE_ID, trace_id);
    fields.filled(f::SPAN_ID, span_id);
}

/// Reports a call of which at least one message was seen. `why` says why it is not whole, if its
/// messages do not say it themselves.
pub(crate) fn report(
    request: Option<&Message>,
    response: Option<&Message>,
    why: Option<Incomplete>,
    extra: Option<&Extra<'_>>,
    cx: &mut Context<'_>,
) {
    let Some(leading) = request.or(response) else { return };
    [request, response].into_iter().flatten().for_each(|m| note_limit(m, cx));
    let limits = cx.limits;
    let framers = extra.map(|e| e.framers);
    let mut scratch = Scratch::take(extra.is_some(), [request, response]);
    let rpc = Rpc::read(request, response, framers, cx.server, limits, &mut scratch, |p, n| cx.problem(p, n));
    let grpc = rpc.is_some();
    let request_body = request.filter(|_| !grpc).map(|m| Body::of(m, cx));
    let response_body = response.filter(|_| !grpc).map(|m| Body::of(m, cx));
    let mut lower = [0; 128];
    let web = Web::read(
        request.zip(request_body.as_ref()).map(|(m, b)| (m, b.bytes(m), b.cut)),
        response.zip(response_body.as_ref()).map(|(m, b)| (m, b.bytes(m), b.cut)),
    );

    let mut fields = Fields::default();
    if let Some(message) = request {
        request_line(&mut fields, message);
        fields.sizes(&REQUEST, message);
    } else if let Some(message) = response {
        fields.filled(f::HTTP_VERSION, message.head.at(message.head.version));
    }
    if let (Some(message), Some(body)) = (request, &request_body) {
        fields.filled(REQUEST.body, body.bytes(message));
        fields.add(REQUEST.body_truncated, ValueRef::Bool(body.cut));
    }
    let status = response.map_or(0, |m| m.head.status);
    if let Some(message) = response {
        if status != 0 {
            fields.add(f::STATUS_CODE, ValueRef::Int(i64::from(status)));
        }
        fields.sizes(&RESPONSE, message);
        fields.add(RESPONSE.headers, ValueRef::Pairs(message.head.fields()));
    }
    if let (Some(message), Some(body)) = (response, &response_body) {
        fields.filled(RESPONSE.body, body.bytes(message));
        fields.add(RESPONSE.body_truncated, ValueRef::Bool(body.cut));
    }
    let content_type = [response, request]
        .into_iter()
        .flatten()
        .map(|m| m.head.at(m.head.facts.content_type))
        .find(|t| !t.is_empty());
    if let Some(value) = content_type {
        fields.filled(f::CONTENT_TYPE, media_type(value, &mut lower));
    }
    if request.is_none() {
        trace_ids(&mut fields, leading);
    }
    if let Some(extra) = extra {
        fields.http2(extra);
    }
    if let Some(rpc) = &rpc {
        fields.grpc(rpc, [request, response].map(|m| m.is_some()));
    }
    let digests = [request, response].map(|m| m.and_then(Message::digest));
    for (id, digest) in [f::REQUEST_BODY_SHA256, f::RESPONSE_BODY_SHA256].into_iter().zip(&digests) {
        fields.filled(id, digest.as_ref().map_or(b"".as_slice(), |d| d));
    }
    let mut room = Room::default();
    web.push(response, &mut room, extra.is_some(), &mut fields);

    let size = |m: &Message| int(m.end.saturating_sub(m.start));
    let both = request.zip(response);
    let pushed = extra.is_some_and(|e| e.pushed);
    cx.emit(&Call {
        protocol: if grpc { Protocol::Grpc } else { web.protocol() },
        transport: cx.transport,
        flow: cx.flow,
        client: cx.client,
        server: cx.server,
        ts: leading.first,
        elapsed_us: both.map(|(q, r)| r.first.micros_since(q.last).max(0)),
        ttlb_us: both.filter(|(_, r)| r.whole).map(|(q, r)| r.last.micros_since(q.first).max(0)),
        request_bytes: request.map(size),
        response_bytes: response.map(size),
        request_pos: request.filter(|_| !pushed).map(|m| int(m.start)),
        response_pos: response.map(|m| int(m.start)),
        failed: status >= 500
            || extra.is_some_and(|e| e.failed)
            || web.failed()
            || rpc.as_ref().and_then(|r| r.status).is_some_and(|s| s != 0),
        client_error: (400..500).contains(&status)
            || web.client_error()
            || rpc.as_ref().is_some_and(|r| r.client_error),
        incomplete: why
            .filter(|_| request.is_none())
            .or(request.and_then(|m| m.incomplete))
            .or(response.and_then(|m| m.incomplete))
            .or(why),
        tls: cx.tls,
        source: cx.source,
        fields: fields.as_slice(),
    });
    scratch.give_back();
}
