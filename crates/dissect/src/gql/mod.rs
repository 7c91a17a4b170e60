//! GraphQL: what makes a call over HTTP one of GraphQL, and operations over WebSocket.
//!
//! Over HTTP everything reads the bodies of a finished call ([`Gql::exchange`]): requests as the
//! GraphQL-over-HTTP specification has them (GET, POST of JSON or of a document), batches,
//! persisted queries, and uploads (the GraphQL multipart request specification). Over WebSocket
//! ([`Operations`]) an operation is the call from its start to its completion.

mod document;
mod form;
mod operations;

use remora_model::{Span, ValueRef, field as f};

pub(crate) use self::operations::{Operation, Operations, Outcome, Said};
use crate::http::sse;
use crate::http::values::Fields;
use crate::json::Value;
use crate::texts::{LISTED, Listed, SHORT, Texts};

/// Operations of a batch that are looked at.
const BATCH: usize = 64;
/// Errors that are looked at.
const ERRORS: usize = 64;

/// What a call says as one of GraphQL.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gql {
    kind: &'static str,
    name: Span,
    document: Span,
    variables: Span,
    /// The hash that stands for a persisted document.
    hash: Span,
    fields: Listed,
    batch: Option<i64>,
    errors: Listed,
    codes: Listed,
    pub(crate) failed: bool,
    pub(crate) client_error: bool,
}

/// The bodies of a call over HTTP, decoded, and what is said of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bodies<'a> {
    pub(crate) target: &'a [u8],
    pub(crate) request_type: &'a [u8],
    pub(crate) request: &'a [u8],
    /// The request's body is not whole.
    pub(crate) cut: bool,
    pub(crate) response: &'a [u8],
    /// The response is a stream of events.
    pub(crate) events: bool,
}

/// True for a Content-Type of that media type.
fn is_type(value: &[u8], media: &[u8]) -> bool {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    value.get(..end).unwrap_or_default().trim_ascii().eq_ignore_ascii_case(media)
}

fn has(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some()
}

impl Gql {
    /// Reads a call over HTTP; `None` when it is not one of GraphQL.
    pub(crate) fn exchange(bodies: &Bodies<'_>, texts: &mut Texts) -> Option<Self> {
        let mut gql = Self::default();
        if !gql.request(bodies, texts) {
            return None;
        }
        if bodies.events {
            sse::events(bodies.response, |event| gql.answer(event.data, texts));
        } else {
            gql.answer(bodies.response, texts);
        }
        Some(gql)
    }

    fn request(&mut self, bodies: &Bodies<'_>, texts: &mut Texts) -> bool {
        let Bodies { target, request_type, request, cut, .. } = *bodies;
        if request.is_empty() {
            return self.form(form::query(target), texts);
        }
        // Most bodies are something else, and that is soon seen.
        if is_type(request_type, b"application/graphql") {
            let document = texts.bytes(request, usize::MAX);
            return self.operation(document, cut, texts);
        }
        if is_type(request_type, b"multipart/form-data") {
            return form::operations(request).is_some_and(|json| self.json(json, cut, texts));
        }
        if is_type(request_type, b"application/x-www-form-urlencoded") {
            return self.form(request, texts);
        }
        self.json(request, cut, texts)
    }

    /// A request as JSON: one operation or several.
    fn json(&mut self, text: &[u8], cut: bool, texts: &mut Texts) -> bool {
        let begins = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
        if !begins || !(has(text, b"\"query\"") || has(text, b"\"persistedQuery\"")) {
            return false;
        }
        let Some(value) = Value::of(text) else { return false };
        if value.is_object() {
            return self.parameters(value, cut, texts);
        }
        let mut n = 0;
        for item in value.items().take(BATCH) {
            // The first operation gives the names; the others are counted.
            let mut other = Self::default();
            let of = if n == 0 { &mut *self } else { &mut other };
            if !of.parameters(item, cut, texts) {
                break;
            }
            n += 1;
            let fields = other.fields;
            fields.each(|span| {
                self.fields.push(span, texts);
            });
        }
        self.batch = Some(n);
        n > 0
    }

    /// The parameters of one operation.
    fn parameters(&mut self, value: Value<'_>, cut: bool, texts: &mut Texts) -> bool {
        let (mut document, mut any) = (Span::default(), false);
        for (key, value) in value.members() {
            match key {
                b"query" if value.string().is_some() => document = texts.value(value, usize::MAX),
                b"operationName" if value.string().is_some() => self.name = texts.value(value, SHORT),
                b"variables" if value.is_object() => self.variables = texts.value(value, usize::MAX),
                b"extensions" => {
                    if let Some(hash) = value.get("persistedQuery").and_then(|p| p.get("sha256Hash")) {
                        self.hash = texts.value(hash, SHORT);
                        any = true;
                    }
                }
                _ => {}
            }
        }
        if document.len == 0 { any } else { self.operation(document, cut, texts) }
    }

    /// The parameters in a query or a form.
    fn form(&mut self, text: &[u8], texts: &mut Texts) -> bool {
        if !(text.starts_with(b"query=") || has(text, b"&query=") || has(text, b"persistedQuery")) {
            return false;
        }
        let (mut document, mut any) = (Span::default(), false);
        form::pairs(text, |key, value| match key {
            b"query" => document = form::decode(value, texts),
            b"operationName" => self.name = form::decode(value, texts),
            b"variables" => self.variables = form::decode(value, texts),
            b"extensions" => {
                let extensions = form::decode(value, texts);
                let json = texts.at(extensions).to_vec();
                let hash =
                    Value::of(&json).and_then(|e| e.get("persistedQuery")).and_then(|p| p.get("sha256Hash"));
                if let Some(hash) = hash {
                    self.hash = texts.value(hash, SHORT);
                    any = true;
                }
            }
            _ => {}
        });
        if document.len == 0 { any } else { self.operation(document, false, texts) }
    }

    /// Reads the document. False when it is none.
    fn operation(&mut self, document: Span, cut: bool, texts: &mut Texts) -> bool {
        let Some(operation) = document::read(texts.at(document), texts.at(self.name), cut) else {
            return false;
        };
        // The names lie in the document.
        let within = |part: &[u8]| {
            let offset = (part.as_ptr() as usize).saturating_sub(texts.at(document).as_ptr() as usize);
            Span { start: document.start + offset as u32, len: part.len() as u32 }
        };
        let name = within(operation.name);
        let mut spans = [Span::default(); document::FIELDS];
        for (slot, field) in spans.iter_mut().zip(operation.fields.iter().take(operation.len)) {
            *slot = within(field);
        }
        let (kind, len) = (operation.kind, operation.len);
        self.kind = kind;
        self.document = document;
        if self.name.len == 0 && name.len > 0 {
            self.name = name;
        }
        for span in spans.iter().take(len) {
            self.fields.push(*span, texts);
        }
        true
    }

    /// Reads a result, or several.
    fn answer(&mut self, text: &[u8], texts: &mut Texts) {
        if !has(text, b"\"errors\"") {
            return;
        }
        let Some(value) = Value::of(text) else { return };
        for result in value.items().take(BATCH).chain(value.is_object().then_some(value)) {
            self.result(result, texts);
        }
    }

    fn result(&mut self, result: Value<'_>, texts: &mut Texts) {
        if let Some(errors) = result.get("errors") {
            self.errors(errors, texts);
        }
    }

    /// Errors (GraphQL specification section 7.1.2, "Errors").
    fn errors(&mut self, errors: Value<'_>, texts: &mut Texts) {
        for error in errors.items().take(ERRORS) {
            self.failed = true;
            if let Some(message) = error.get("message") {
                let span = texts.value(message, SHORT);
                self.errors.push(span, texts);
            }
            if let Some(code) = error.get("extensions").and_then(|e| e.get("code")) {
                let span = texts.value(code, SHORT);
                self.client_error |= blames_client(texts.at(span));
                self.codes.push(span, texts);
            }
        }
    }

    /// Adds its fields.
    pub(crate) fn push<'a>(
        &self,
        texts: &'a Texts,
        room: &'a mut Room<'a>,
        http2: bool,
        fields: &mut Fields<'a>,
    ) {
        fields.add(f::GQLV1, ValueRef::Bool(!http2));
        fields.add(f::GQLV2, ValueRef::Bool(http2));
        fields.filled(f::GQL_OPERATION_TYPE, self.kind.as_bytes());
        fields.filled(f::GQL_OPERATION, texts.at(self.name));
        fields.filled(f::GQL_QUERY, texts.at(self.document));
        fields.filled(f::GQL_VARIABLES, texts.at(self.variables));
        fields.filled(f::GQL_HASH, texts.at(self.hash));
        fields.int(f::GQL_BATCH, self.batch);
        let Room { fields: names, errors, codes } = room;
        fields.list(f::GQL_FIELDS, self.fields.show(texts, names));
        fields.list(f::GQL_ERRORS, self.errors.show(texts, errors));
        fields.list(f::GQL_ERROR_CODES, self.codes.show(texts, codes));
    }
}

/// Where the lists of a call are shown.
#[derive(Debug, Default)]
pub(crate) struct Room<'a> {
    fields: [&'a [u8]; LISTED],
    errors: [&'a [u8]; LISTED],
    codes: [&'a [u8]; LISTED],
}

/// Codes by which the usual servers say that the request was wrong.
fn blames_client(code: &[u8]) -> bool {
    const CODES: &[&[u8]] = &[
        b"GRAPHQL_PARSE_FAILED",
        b"GRAPHQL_VALIDATION_FAILED",
        b"BAD_USER_INPUT",
        b"BAD_REQUEST",
        b"UNAUTHENTICATED",
        b"FORBIDDEN",
        b"PERSISTED_QUERY_NOT_FOUND",
        b"PERSISTED_QUERY_NOT_SUPPORTED",
        b"OPERATION_RESOLUTION_FAILURE",
    ];
    CODES.contains(&code)
}

#[cfg(test)]
mod tests;
