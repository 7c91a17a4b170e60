//! Operations over WebSocket: the subprotocols `graphql-transport-ws` (GraphQL over WebSocket
//! Protocol) and `graphql-ws` (that of subscriptions-transport-ws), which differ in names alone.

use super::Gql;
use crate::json::Value;
use crate::seen::Seen;
use crate::texts::{SHORT, Texts};
use crate::{Limits, Role};

/// Operations of one connection that are followed at once.
const OPEN: usize = 64;

/// One operation.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    id: Vec<u8>,
    pub(crate) asked: Seen,
    pub(crate) answered: Option<Seen>,
    /// The message that began it, and the messages that answered it, one per line, up to the
    /// payload limit.
    pub(crate) request: Vec<u8>,
    pub(crate) response: Vec<u8>,
    pub(crate) cut: [bool; 2],
    /// Results that were sent.
    pub(crate) results: i64,
    pub(crate) gql: Gql,
    pub(crate) texts: Texts,
}

/// The operations of a connection that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Operations(Vec<Operation>);

/// A message, as far as it is kept.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) role: Role,
    pub(crate) text: &'a [u8],
    /// `text` is less than the whole.
    pub(crate) cut: bool,
    pub(crate) seen: Seen,
}

/// What came of a message.
pub(crate) enum Outcome {
    Nothing,
    /// The operation is complete.
    Complete(Box<Operation>),
    /// There is no room for another one.
    TooMany,
}

impl Operations {
    /// True for a subprotocol that carries GraphQL.
    pub(crate) fn are_spoken(subprotocol: &[u8]) -> bool {
        matches!(subprotocol, b"graphql-transport-ws" | b"graphql-ws")
    }

    /// Reads a message.
    pub(crate) fn message(&mut self, said: Said<'_>, limits: &Limits) -> Outcome {
        let Some(value) = Value::of(said.text).filter(|v| v.is_object()) else { return Outcome::Nothing };
        let (mut kind, mut id, mut payload) = (b"".as_slice(), None, None);
        for (key, value) in value.members() {
            match key {
                b"type" => kind = value.string().unwrap_or_default(),
                b"id" => id = Some(value),
                b"payload" => payload = Some(value),
                _ => {}
            }
        }
        let Some(id) = id else { return Outcome::Nothing };
        let id = id.raw().get(..SHORT).unwrap_or(id.raw());
        match (said.role, kind) {
            (Role::Client, b"subscribe" | b"start") => self.begin(id, payload, said, limits),
            (Role::Client, b"complete" | b"stop") => self.end(id, None, limits),
            (Role::Server, b"next" | b"data") => {
                if let Some(i) = self.position(id)
                    && let Some(operation) = self.0.get_mut(i)
                {
                    operation.results = operation.results.saturating_add(1);
                    operation.answer(said, limits);
                    if let Some(payload) = payload {
                        operation.gql.result(payload, &mut operation.texts);
                    }
                }
                Outcome::Nothing
            }
            (Role::Server, b"error") => {
                if let Some(operation) = self.position(id).and_then(|i| self.0.get_mut(i)) {
                    operation.gql.failed = true;
                    let payload = payload.unwrap_or(value);
                    operation.gql.errors(payload, &mut operation.texts);
                    if let Some(message) = payload.get("message") {
                        let span = operation.texts.value(message, SHORT);
                        operation.gql.errors.push(span, &operation.texts);
                    }
                }
                self.end(id, Some(said), limits)
            }
            (Role::Server, b"complete") => self.end(id, Some(said), limits),
            _ => Outcome::Nothing,
        }
    }

    fn position(&self, id: &[u8]) -> Option<usize> {
        self.0.iter().position(|o| o.id == id)
    }

    fn begin(&mut self, id: &[u8], payload: Option<Value<'_>>, said: Said<'_>, limits: &Limits) -> Outcome {
        if self.0.len() >= OPEN.min(limits.pending.max(1)) {
            return Outcome::TooMany;
        }
        let mut operation = Operation { id: id.to_vec(), asked: said.seen, ..Operation::default() };
        operation.request.extend_from_slice(said.text);
        operation.cut[0] = said.cut;
        if let Some(payload) = payload {
            operation.gql.parameters(payload, said.cut, &mut operation.texts);
        }
        self.0.push(operation);
        Outcome::Nothing
    }

    fn end(&mut self, id: &[u8], said: Option<Said<'_>>, limits: &Limits) -> Outcome {
        let Some(i) = self.position(id) else { return Outcome::Nothing };
        let mut operation = self.0.swap_remove(i);
        if let Some(said) = said {
            operation.answer(said, limits);
        }
        Outcome::Complete(Box::new(operation))
    }

    /// One that will not be completed any more.
    pub(crate) fn pop(&mut self) -> Option<Operation> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// True while one is open.
    pub(crate) fn is_busy(&self) -> bool {
        !self.0.is_empty()
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        let one =
            |o: &Operation| o.id.capacity() + o.request.capacity() + o.response.capacity() + o.texts.memory();
        self.0.capacity() * size_of::<Operation>() + self.0.iter().map(one).sum::<usize>()
    }
}

impl Operation {
    /// A message answers it.
    fn answer(&mut self, said: Said<'_>, limits: &Limits) {
        self.answered = Some(match self.answered {
            None => said.seen,
            Some(seen) => {
                Seen { last: said.seen.last, bytes: seen.bytes.saturating_add(said.seen.bytes), ..seen }
            }
        });
        if self.cut[1] {
            return;
        }
        if !self.response.is_empty() {
            self.response.push(b'\n');
        }
        let room = limits.payload.saturating_sub(self.response.len());
        self.response.extend_from_slice(said.text.get(..room).unwrap_or(said.text));
        self.cut[1] = said.cut || said.text.len() > room;
    }
}
