//! WebSocket (RFC 6455), with compressed messages (RFC 7692), after an upgrade from HTTP/1 and on
//! streams of HTTP/2 (RFC 8441).
//!
//! Each message makes a call with the names of its handshake ([`handshake`], [`report`]), whatever
//! the number of its frames ([`message`]). It has no answer, for WebSocket knows none; a ping and
//! its pong are one call, and so are the two closing frames ([`control`]).
//!
//! A connection that is joined in the middle, or lost bytes, is read from where a chain of frames
//! leaves no doubt ([`sync`]). Compressed messages refer to those before them ([`inflate`]): where
//! some were not seen, those that do are reported without their text.

mod control;
mod frame;
mod handshake;
mod inflate;
mod message;
mod report;
mod socket;
mod sync;
#[cfg(test)]
mod tests;

use remora_model::{Protocol, Transport};

pub(crate) use self::handshake::{Handshake, accepts};
pub(crate) use self::socket::Socket;
use crate::detect::Entry;
use crate::{Context, Dissector, Ending, Role, Taken};

/// Registry entry, for connections that are joined behind their handshake.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Ws,
    transports: &[Transport::Tcp],
    ports: &[],
    probe: |bytes, _| sync::probe(bytes),
    resync: |bytes, role| sync::find(bytes, Some(role)),
    start: |_, _| Box::new(Upgraded::new(Handshake::default(), [0; 2])),
};

/// The frames of a TCP connection, from where its handshake has ended or it was joined.
pub(crate) struct Upgraded {
    socket: Box<Socket>,
    /// Offset in each stream of the first byte that was not taken.
    pos: [u64; 2],
    /// What was asked not to be shown.
    skip: [Option<u64>; 2],
}

impl Upgraded {
    /// What follows a handshake, at these offsets of both streams.
    pub(crate) fn new(handshake: Handshake, pos: [u64; 2]) -> Self {
        Self { socket: Socket::new(handshake, true), pos, skip: [None; 2] }
    }

    /// What [`Dissector::data`] does, for bytes from `at` on.
    pub(crate) fn data(&mut self, role: Role, bytes: &[u8], at: usize, cx: &mut Context<'_>) -> Taken {
        let i = role.index();
        self.skip[i] = None;
        let taken = at + self.socket.read(role, bytes.get(at..).unwrap_or_default(), at, cx);
        self.pos[i] = cx.pos + taken as u64;
        let unwanted = if taken == bytes.len() { self.socket.unwanted(role, cx) } else { 0 };
        if unwanted == 0 {
            return Taken::Bytes(taken);
        }
        self.skip[i] = Some(unwanted);
        Taken::AndSkip(unwanted)
    }

    /// What [`Dissector::gap`] does.
    pub(crate) fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        // What was shown and not taken is lost with the gap.
        let pos = &mut self.pos[role.index()];
        let lost = cx.pos.saturating_add(len).saturating_sub(*pos).max(len);
        *pos = pos.saturating_add(lost);
        self.socket.pass(role, lost, lost, cx);
    }

    /// What [`Dissector::skipped`] does.
    pub(crate) fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        let i = role.index();
        if let Some(n) = self.skip[i].take() {
            self.pos[i] = self.pos[i].saturating_add(n);
            self.socket.pass(role, n, missing.min(n), cx);
        }
    }

    /// What [`Dissector::end`] does.
    pub(crate) fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let i = role.index();
        let seen = cx.pos.saturating_sub(self.pos[i]);
        if let Some(asked) = self.skip[i].take() {
            self.socket.pass(role, seen.min(asked), 0, cx);
        }
        self.socket.end(role, rest.len() as u64, how, cx);
    }

    /// What [`Dissector::is_busy`] says.
    pub(crate) fn is_busy(&self) -> bool {
        self.socket.is_busy()
    }

    /// What [`Dissector::memory`] says.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + self.socket.memory()
    }
}

impl Dissector for Upgraded {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        self.data(role, bytes, 0, cx)
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        self.gap(role, len, cx);
    }

    fn in_sync(&self, _: Role) -> bool {
        // It looks for the next frame itself, as it must behind malformed bytes.
        true
    }

    fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        self.skipped(role, missing, cx);
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        self.end(role, rest, how, cx);
    }

    fn is_busy(&self) -> bool {
        self.is_busy()
    }

    fn memory(&self) -> usize {
        self.memory()
    }
}
