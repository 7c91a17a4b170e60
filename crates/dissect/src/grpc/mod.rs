//! gRPC over HTTP/2 and gRPC-Web: what makes an HTTP call one of gRPC.
//!
//! Everything here reads a finished call ([`Rpc::read`]), but for the [`Framer`], which counts
//! messages while a body passes that is not kept. Messages whose schema is known ([`schema`]) are
//! shown as JSON ([`json`]), others without names ([`protobuf`]).

mod framing;
mod json;
mod protobuf;
mod schema;
mod status;
mod web;
mod wire;

use std::cell::RefCell;

use remora_model::Endpoint;

pub(crate) use self::framing::Framer;
use self::framing::{COMPRESSED, TRAILERS};
pub(crate) use self::schema::Follower;
use self::schema::{Pool, Signature, TypeId};
pub use self::schema::{SchemaError, Schemas};
use crate::http::encoding;
use crate::http::head::UNKNOWN;
use crate::http::message::Message;
use crate::{Limits, Problem};

/// Buffers beyond this are given back after a call.
const KEEP: usize = 256 << 10;

/// How messages are put into a body, from its content type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Format {
    /// gRPC-Web: trailers come in the body.
    web: bool,
    /// gRPC-Web with the body in base64.
    base64: bool,
    /// Messages are JSON, not protobuf.
    json: bool,
}

impl Format {
    /// The format that a Content-Type header names; `None` when it is not of gRPC.
    pub(crate) fn of(content_type: &[u8]) -> Option<Self> {
        const NAME: &[u8] = b"application/grpc";
        let (name, rest) = content_type.split_at_checked(NAME.len())?;
        if !name.eq_ignore_ascii_case(NAME) {
            return None;
        }
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let rest = rest.get(..end)?.trim_ascii_end();
        let plus = memchr::memchr(b'+', rest).unwrap_or(rest.len());
        let (variant, codec) = rest.split_at(plus);
        let is = |name: &[u8]| variant.eq_ignore_ascii_case(name);
        let web = is(b"-web") || is(b"-web-text");
        let json = codec.eq_ignore_ascii_case(b"+json");
        (web || variant.is_empty()).then_some(Self { web, base64: is(b"-web-text"), json })
    }

    /// True when message framing can be followed in the bytes as they come.
    pub(crate) const fn is_framed(self) -> bool {
        !self.base64
    }
}

/// What a call says as one of gRPC.
#[derive(Debug, Default)]
pub(crate) struct Rpc<'a> {
    pub(crate) service: &'a [u8],
    pub(crate) method: &'a [u8],
    pub(crate) status: Option<i64>,
    pub(crate) status_name: Option<&'static str>,
    /// Empty where there is none, as with the next two.
    pub(crate) message: &'a [u8],
    pub(crate) encoding: &'a [u8],
    pub(crate) kind: &'static str,
    /// Messages of the request and of the response, where all were counted.
    pub(crate) messages: [Option<i64>; 2],
    /// Microseconds.
    pub(crate) timeout: Option<i64>,
    /// The messages of the request and of the response as text.
    pub(crate) bodies: [&'a [u8]; 2],
    /// Whether those are less than the whole.
    pub(crate) cut: [bool; 2],
    pub(crate) client_error: bool,
}

/// Where texts are made. Reused from call to call.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bodies: [Vec<u8>; 2],
    message: Vec<u8>,
    index: Vec<json::Place>,
    /// It has the buffers that are reused.
    kept: bool,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// An empty one, with the buffers of an earlier call if this call may need them: one over
    /// `http2`, or with a content type of gRPC-Web.
    pub(crate) fn take(http2: bool, messages: [Option<&Message>; 2]) -> Self {
        let named = |m: &Message| Format::of(m.head.at(m.head.facts.content_type)).is_some();
        if !http2 && !messages.into_iter().flatten().any(named) {
            return Self::default();
        }
        Self { kept: true, ..SCRATCH.with_borrow_mut(std::mem::take) }
    }

    /// Keeps the buffers for the next call of any flow.
    pub(crate) fn give_back(mut self) {
        if !self.kept {
            return;
        }
        for buffer in self.bodies.iter_mut().chain([&mut self.message]) {
            buffer.clear();
            buffer.shrink_to(KEEP);
        }
        self.index.clear();
        self.index.shrink_to(KEEP / size_of::<json::Place>());
        SCRATCH.set(self);
    }
}

/// One side of a call.
struct Side<'a> {
    message: Option<&'a Message>,
    format: Format,
    framer: Option<&'a Framer>,
}

impl<'a> Rpc<'a> {
    /// Reads a call to `server`; `None` when it is not one of gRPC. `framers` have followed the bodies of the
    /// request and of the response; without them the messages in the kept bodies are counted.
    pub(crate) fn read(
        request: Option<&'a Message>,
        response: Option<&'a Message>,
        framers: Option<&'a [Framer; 2]>,
        server: Endpoint,
        limits: &Limits,
        scratch: &'a mut Scratch,
        mut problem: impl FnMut(Problem, u64),
    ) -> Option<Self> {
        let format = |m: Option<&Message>| m.and_then(|m| Format::of(m.head.at(m.head.facts.content_type)));
        let formats = [format(request), format(response)];
        let any = formats[0].or(formats[1]);
        let trailer = |name: &[u8]| response.and_then(|m| m.head.last(name)).unwrap_or_default();
        let format = match any {
            Some(format) => format,
            // A call joined in its middle may have shown its trailers alone.
            None if framers.is_some() && !trailer(b"grpc-status").is_empty() => Format::default(),
            None if framers.is_some_and(|f| is_framed([request, response], f)) => Format::default(),
            None => return None,
        };
        // A response that is not of gRPC is one of whatever stands before the server.
        let foreign = response.is_some_and(|m| {
            m.head.facts.content_type.len > 0 && formats[1].is_none() && trailer(b"grpc-status").is_empty()
        });
        let mut rpc = Self::default();
        let path = request.map(|m| m.head.at(m.head.target)).unwrap_or_default();
        let path = path.split(|&b| b == b'?').next().unwrap_or_default();
        if let Some(slash) = memchr::memrchr(b'/', path) {
            rpc.service = path.get(..slash).unwrap_or_default();
            rpc.service = rpc.service.strip_prefix(b"/").unwrap_or(rpc.service);
            rpc.method = path.get(slash + 1..).unwrap_or_default();
        }
        let header =
            |m: Option<&'a Message>, name: &[u8]| m.and_then(|m| m.head.last(name)).unwrap_or_default();
        rpc.timeout = status::timeout(header(request, b"grpc-timeout"));
        rpc.encoding = [header(response, b"grpc-encoding"), header(request, b"grpc-encoding")]
            .into_iter()
            .find(|e| !e.is_empty())
            .unwrap_or_default();

        let sides = [
            Side { message: request, format: formats[0].unwrap_or(format), framer: framers.map(|f| &f[0]) },
            Side {
                message: response.filter(|_| !foreign),
                format: formats[1].unwrap_or(format),
                framer: framers.map(|f| &f[1]),
            },
        ];
        let Scratch { bodies, message, index, .. } = scratch;
        let (mut trailers, mut signature) = (Vec::new(), None);
        let (mut cut, mut messages) = ([false; 2], [None; 2]);
        let mut show = |schema: Option<(&Pool, Signature)>| {
            signature = schema.map(|(_, signature)| signature);
            for (i, side) in sides.iter().enumerate() {
                let (text, mut counted) = (&mut bodies[i], Framer::default());
                let Some(of) = side.message else { continue };
                let schema = schema.map(|(pool, signature)| (pool, signature.types[i]));
                let mut shown = Shown { text, index, schema };
                cut[i] = side.render(of, &mut shown, &mut counted, limits, &mut problem);
                let framer = side.framer.filter(|_| side.format.is_framed());
                let n = match framer {
                    Some(framer) => framer.messages(),
                    None => counted.messages().filter(|_| !of.cut),
                };
                messages[i] = n.and_then(|n| i64::try_from(n).ok());
                if i == 1 && side.format.web {
                    trailers.extend_from_slice(framer.unwrap_or(&counted).trailers());
                }
            }
        };
        let described = |pool: &Pool, signature| show(Some((pool, signature)));
        if limits.schemas.with(server, rpc.service, rpc.method, described).is_none() {
            show(None);
        }
        (rpc.cut, rpc.messages) = (cut, messages);
        let in_body = |name: &[u8]| web::trailer(&trailers, name).unwrap_or_default();
        let status = [trailer(b"grpc-status"), in_body(b"grpc-status")].into_iter().find_map(status::code);
        rpc.status = status;
        rpc.status_name = status.and_then(status::name);
        rpc.client_error = status.is_some_and(status::blames_client);
        let encoded = [trailer(b"grpc-message"), in_body(b"grpc-message")];
        if let Some(encoded) = encoded.into_iter().find(|m| !m.is_empty()) {
            status::percent_decode(encoded, message);
        }
        rpc.message = message;
        rpc.bodies = [
            &bodies[0],
            if foreign { response.map(|m| m.body.as_slice()).unwrap_or_default() } else { &bodies[1] },
        ];
        if foreign {
            rpc.cut[1] = response.is_some_and(|m| m.cut);
        }
        let several = |n: Option<i64>| n.map(|n| n > 1);
        rpc.kind = match (signature, rpc.messages.map(several)) {
            // What is declared of a method that was not seen may be otherwise.
            (None, _) if rpc.method.is_empty() => "",
            (Some(Signature { streams: [false, false], .. }), _) | (None, [Some(false), Some(false)]) => {
                "unary"
            }
            (Some(Signature { streams: [true, false], .. }), _) | (None, [Some(true), Some(false)]) => {
                "client_stream"
            }
            (Some(Signature { streams: [false, true], .. }), _) | (None, [Some(false), Some(true)]) => {
                "server_stream"
            }
            (Some(_), _) | (None, [Some(true), Some(true)]) => "bidi_stream",
            _ => "",
        };
        Some(rpc)
    }
}

/// True for a call whose content type is among the header fields that the capture does not show,
/// and whose bodies are messages to the last byte, with prefixes that no text begins with.
fn is_framed(messages: [Option<&Message>; 2], framers: &[Framer; 2]) -> bool {
    let whole = |m: &Message, framer: &Framer| {
        let unknown = m.head.fields().iter().any(|(name, _)| name == UNKNOWN);
        let unnamed = unknown && m.head.facts.content_type.len == 0;
        unnamed && m.whole && (m.body_size == 0 || framer.is_exact())
    };
    let mut sides = messages.iter().zip(framers);
    let some = framers.iter().any(Framer::is_exact);
    some && sides.all(|(m, framer)| m.is_some_and(|m| whole(m, framer)))
}

/// Where the messages of a body are shown.
struct Shown<'a> {
    text: &'a mut Vec<u8>,
    index: &'a mut Vec<json::Place>,
    /// What describes them.
    schema: Option<(&'a Pool, TypeId)>,
}

impl Shown<'_> {
    /// Appends a message up to a length of `max`; false when that is not the whole of it.
    fn message(&mut self, bytes: &[u8], cut: bool, max: usize) -> bool {
        let named =
            self.schema.and_then(|(pool, id)| json::render(pool, id, bytes, cut, self.index, self.text, max));
        named.unwrap_or_else(|| protobuf::render(bytes, cut, self.text, max))
    }
}

impl Side<'_> {
    /// Appends the messages of a body as text, one per line, and follows its framing. True when
    /// the text is less than the whole.
    fn render(
        &self,
        of: &Message,
        shown: &mut Shown<'_>,
        framer: &mut Framer,
        limits: &Limits,
        problem: &mut impl FnMut(Problem, u64),
    ) -> bool {
        let mut decoded = Vec::new();
        let body = if self.format.base64 {
            web::base64(&of.body, &mut decoded);
            decoded.as_slice()
        } else {
            of.body.as_slice()
        };
        if self.framer.is_none() || !self.format.is_framed() {
            framer.push(body);
        }
        let coding = of.head.last(b"grpc-encoding").unwrap_or_default();
        let (mut cut, mut first) = (of.cut, true);
        for message in framing::messages(body) {
            if message.flags & TRAILERS != 0 {
                continue;
            }
            if !std::mem::take(&mut first) {
                shown.text.push(b'\n');
            }
            let room = limits.payload.max(shown.text.len());
            let inflated = (message.flags & COMPRESSED != 0 && !message.bytes.is_empty())
                .then(|| encoding::undo(&[coding], message.bytes, !message.cut, limits));
            let (bytes, part) = match &inflated {
                None => (message.bytes, message.cut),
                Some(Ok(whole)) => {
                    if whole.faulty {
                        problem(Problem::BadEncoding, message.bytes.len() as u64);
                    }
                    (whole.bytes.as_slice(), whole.cut)
                }
                Some(Err(encoding::BadCoding)) => {
                    problem(Problem::BadEncoding, message.bytes.len() as u64);
                    cut = true;
                    continue;
                }
            };
            let whole = if self.format.json {
                let free = room - shown.text.len();
                shown.text.extend_from_slice(bytes.get(..free).unwrap_or(bytes));
                !part && bytes.len() <= free
            } else {
                shown.message(bytes, part, room)
            };
            if !whole {
                cut = true;
                if !part {
                    problem(Problem::PayloadLimit, bytes.len() as u64);
                    break;
                }
            }
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        let format = |web, base64, json| Some(Format { web, base64, json });
        for (content_type, expected) in [
            ("application/grpc", format(false, false, false)),
            ("Application/gRPC+proto", format(false, false, false)),
            ("application/grpc+json; charset=utf-8", format(false, false, true)),
            ("application/grpc;x=+json", format(false, false, false)),
            ("application/grpc-web+proto", format(true, false, false)),
            ("application/grpc-web-text", format(true, true, false)),
            ("application/grpcx", None),
            ("application/grpc-gateway", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(Format::of(content_type.as_bytes()), expected, "{content_type}");
        }
    }
}
