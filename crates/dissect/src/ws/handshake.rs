//! What the handshake says of a connection, which goes into every call of it.

use super::inflate::Agreed;
use crate::gql::Operations;
use crate::http::message::Message;

/// What is known of the handshake.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    /// The request, where it was seen.
    pub(super) request: Option<Box<Message>>,
    /// The subprotocol that the server chose; empty for none.
    pub(super) subprotocol: Vec<u8>,
    pub(super) agreed: Agreed,
    /// Where the subprotocol is one of GraphQL: what was asked and is not complete.
    pub(super) operations: Option<Box<Operations>>,
}

impl Handshake {
    /// The handshake that `response` ends.
    pub(crate) fn new(request: Option<&Message>, response: &Message) -> Self {
        let values = |name: &'static [u8]| {
            response.head.fields().iter().filter(move |(n, _)| *n == name).map(|(_, value)| value)
        };
        let subprotocol = values(b"sec-websocket-protocol").last().unwrap_or_default();
        Self {
            request: request.map(|m| Box::new(m.head_only())),
            subprotocol: subprotocol.to_vec(),
            agreed: Agreed::read(values(b"sec-websocket-extensions")),
            operations: Operations::are_spoken(subprotocol).then(Box::default),
        }
    }

    /// True while an operation of GraphQL is open.
    pub(super) fn is_busy(&self) -> bool {
        self.operations.as_ref().is_some_and(|o| o.is_busy())
    }

    /// Bytes of memory behind it.
    pub(super) fn memory(&self) -> usize {
        let operations = self.operations.as_ref().map_or(0, |o| size_of::<Operations>() + o.memory());
        self.request.as_ref().map_or(0, |m| m.memory()) + self.subprotocol.capacity() + operations
    }
}

/// True for a 101 that makes the connection go on as WebSocket (RFC 6455 section 4.2.2).
pub(crate) fn accepts(response: &Message) -> bool {
    response.head.last(b"upgrade").is_some_and(|v| v.eq_ignore_ascii_case(b"websocket"))
}
