//! What the bodies of a call say beyond HTTP: GraphQL, JSON-RPC, server-sent events.

use remora_model::{Protocol, field as f};

use super::message::Message;
use super::sse::{self, Counter};
use super::values::Fields;
use crate::gql::{self, Bodies, Gql};
use crate::jsonrpc::JsonRpc;
use crate::texts::{LISTED, Texts};

/// What was found. Nothing in most calls, and then nothing was allocated.
#[derive(Debug, Default)]
pub(super) struct Web {
    gql: Option<Gql>,
    rpc: Option<JsonRpc>,
    events: Option<Box<Counter>>,
    texts: Texts,
}

/// Where lists are shown.
#[derive(Debug, Default)]
pub(super) struct Room<'a> {
    gql: gql::Room<'a>,
    types: [&'a [u8]; LISTED],
}

/// True for a content type whose body may be JSON, or name a GraphQL document: `json` or `graphql`
/// stands in it, or it is one of forms and uploads.
fn may_speak(content_type: &[u8]) -> bool {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    let media = content_type.get(..end).unwrap_or_default();
    let has = |word: &[u8]| media.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    match media.first().map(u8::to_ascii_lowercase) {
        Some(b'a') => has(b"json") || has(b"graphql") || has(b"x-www-form-urlencoded"),
        Some(b'm') => has(b"multipart/form-data"),
        _ => false,
    }
}

/// A message, its body as it is shown, and whether that is less than the whole.
type Shown<'a> = (&'a Message, &'a [u8], bool);

impl Web {
    /// Looks at the bodies of a call.
    pub(super) fn read(request: Option<Shown<'_>>, response: Option<Shown<'_>>) -> Self {
        let mut web = Self::default();
        let [asked_in, answered_in] = [request, response]
            .map(|m| m.map(|(m, ..)| m.head.at(m.head.facts.content_type)).unwrap_or_default());
        let events = sse::is_stream(answered_in);
        if events
            && let Some((message, body, cut)) = response
            && message.events.is_none()
        {
            // It was compressed, and can be looked at only now.
            let mut counter = Box::<Counter>::default();
            counter.push(body);
            if cut {
                counter.lose();
            }
            web.events = Some(counter);
        }
        let target = request.map(|(m, ..)| m.head.at(m.head.target)).unwrap_or_default();
        let asked = request.map_or(b"".as_slice(), |(_, body, _)| body);
        let answer = response.map_or(b"".as_slice(), |(_, body, _)| body);
        let speaks = if asked.is_empty() {
            memchr::memchr(b'?', target).is_some() && request.is_some()
                || request.is_none() && may_speak(answered_in)
        } else {
            may_speak(asked_in)
        };
        if !speaks {
            return web;
        }
        if asked.is_empty() && request.is_none() {
            web.rpc = JsonRpc::exchange(None, Some(answer), events, &mut web.texts);
            return web;
        }
        let bodies = Bodies {
            target,
            request_type: asked_in,
            request: asked,
            cut: request.is_some_and(|(.., cut)| cut),
            response: answer,
            events,
        };
        web.gql = Gql::exchange(&bodies, &mut web.texts);
        if web.gql.is_none() && !asked.is_empty() {
            web.rpc = JsonRpc::exchange(Some(asked), Some(answer), events, &mut web.texts);
        }
        web
    }

    /// Adds the fields of what was found.
    pub(super) fn push<'a>(
        &'a self,
        response: Option<&'a Message>,
        room: &'a mut Room<'a>,
        http2: bool,
        fields: &mut Fields<'a>,
    ) {
        let Room { gql, types } = room;
        if let Some(found) = &self.gql {
            found.push(&self.texts, gql, http2, fields);
        }
        if let Some(rpc) = &self.rpc {
            rpc.push(&self.texts, fields);
        }
        let counter = self.events.as_deref().or(response.and_then(|m| m.events.as_deref()));
        if let Some(counter) = counter {
            counter.push_fields(fields);
            fields.list(f::SSE_TYPES, counter.types(types));
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        if self.gql.is_some() { Protocol::Gql } else { Protocol::Http }
    }

    pub(super) fn failed(&self) -> bool {
        self.gql.is_some_and(|g| g.failed) || self.rpc.is_some_and(|r| r.failed)
    }

    pub(super) fn client_error(&self) -> bool {
        self.gql.is_some_and(|g| g.client_error) || self.rpc.is_some_and(|r| r.client_error)
    }
}
