//! From HTTP/1 to HTTP/2 (RFC 7540 section 3.2) or WebSocket (RFC 6455) on one connection.

use super::message::Message;
use super::{Http, State};
use crate::ws::{Handshake, Upgraded};
use crate::{Context, Role};

impl Http {
    /// True when the response `message` makes the connection go on as HTTP/2, where the request
    /// is answered on stream 1.
    pub(super) fn upgrade(&mut self, message: &Message, cx: &mut Context<'_>) -> bool {
        let h2c = message.head.last(b"upgrade").is_some_and(|v| v.eq_ignore_ascii_case(b"h2c"));
        if !h2c {
            return false;
        }
        let request = self.exchange.take_upgraded();
        if request.is_none() && self.exchange.is_busy() {
            return false;
        }
        for role in [Role::Client, Role::Server] {
            self.hand_over(role);
        }
        // A request that was not seen is answered on stream 1 as well: this response is no call.
        if let (Some(next), Some(request)) = (&mut self.next, request) {
            next.upgrade(request, cx);
        }
        true
    }

    /// What follows in both directions is WebSocket.
    pub(super) fn open_socket(&mut self, handshake: Handshake) {
        for direction in &mut self.directions {
            direction.state = State::Socket;
            direction.half = false;
        }
        let pos = [0, 1].map(|i| self.directions[i].pos);
        self.socket = Some(Box::new(Upgraded::new(handshake, pos)));
    }

    /// What follows of `role` is HTTP/2.
    pub(super) fn hand_over(&mut self, role: Role) {
        let direction = &mut self.directions[role.index()];
        if matches!(direction.state, State::Upgraded) {
            return;
        }
        direction.state = State::Upgraded;
        direction.half = false;
        let pos = direction.pos;
        self.next.get_or_insert_default().enter(role, pos);
    }
}
