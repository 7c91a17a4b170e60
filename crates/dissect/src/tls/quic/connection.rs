//! The handshake of one QUIC connection, or of several one after another between the same ends.

use remora_model::{Incomplete, Timestamp};

use super::crypto::Crypto;
use super::initial::Initial;
use super::packet::{Kind, Long, Sealed, Version};
use crate::tls::handshake::{self, Alert, Handshake, Quic as Facts};
use crate::tls::hello::{ClientHello, ServerHello};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Packets that are looked at in one datagram (RFC 9000 section 12.2 sets no bound).
const MAX_COALESCED: usize = 16;

/// What one side has said.
#[derive(Default)]
struct Side {
    crypto: Crypto,
    /// Bytes of it that were read as messages.
    read: usize,
}

/// The dissector of one flow.
pub(in crate::tls) struct Quic {
    handshake: Handshake,
    initial: Option<Initial>,
    sides: [Side; 2],
    /// The packet being opened.
    buffer: Vec<u8>,
    reported: bool,
}

impl Quic {
    pub(in crate::tls) fn new() -> Self {
        Self {
            handshake: Handshake::in_quic(),
            initial: None,
            sides: Default::default(),
            buffer: Vec::new(),
            reported: false,
        }
    }

    fn facts(&mut self) -> &mut Facts {
        self.handshake.quic.get_or_insert_default()
    }

    /// Another connection between the same ends.
    fn begin_anew(&mut self) {
        *self = Self { buffer: std::mem::take(&mut self.buffer), ..Self::new() };
    }

    fn report(&mut self, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.reported, true) {
            let missing = self.facts().missing.then_some(Incomplete::Gap);
            self.handshake.report(incomplete.or(missing), cx);
            // The keys stay, to know packets of the same connection that come again.
            self.handshake = Handshake::default();
            self.sides = Default::default();
            self.buffer = Vec::new();
        }
    }

    fn initial(
        &mut self,
        role: Role,
        version: Version,
        long: &Long<'_>,
        sealed: &Sealed<'_>,
        seen: Seen,
        cx: &mut Context<'_>,
    ) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut opened = self.initial.as_mut().and_then(|keys| keys.open(role, sealed, &mut buffer));
        if opened.is_none() && role == Role::Client {
            // The first packet, or the first one after a Retry, or of another connection.
            let mut keys = Initial::new(version, &long.destination);
            opened = keys.as_mut().and_then(|keys| keys.open(role, sealed, &mut buffer));
            if opened.is_some() {
                if self.reported {
                    self.begin_anew();
                }
                if keys.as_ref().is_some_and(Initial::goes_on) {
                    let first_seen = self.initial.is_some();
                    let facts = self.facts();
                    facts.missing |= !first_seen;
                    facts.retry |= first_seen;
                }
                self.initial = keys;
                self.sides = Default::default();
                self.facts().version = Some(version.name());
            }
        }
        if let Some(frames) = opened.and_then(|at| buffer.get(at)).filter(|_| !self.reported) {
            self.frames(role, frames, seen, cx);
        }
        self.buffer = buffer;
    }

    /// The frames of an Initial packet.
    fn frames(&mut self, role: Role, frames: &[u8], seen: Seen, cx: &mut Context<'_>) {
        let place = match role {
            Role::Client => &mut self.handshake.asked,
            Role::Server => &mut self.handshake.answered,
        };
        let side = &mut self.sides[role.index()];
        let had = side.crypto.ready().len();
        let found = side.crypto.frames(frames);
        if found.bad {
            cx.problem(Problem::Malformed, frames.len() as u64);
        }
        // Acknowledgements in front of a hello, or behind one that is complete, do not belong to it.
        if found.crypto || found.closed.is_some() || place.is_some() {
            let first = place.get_or_insert(seen);
            let before = *first;
            if side.crypto.ready().len() > had {
                *first = Seen { last: seen.last, bytes: seen.pos + seen.bytes - before.pos, ..before };
            }
        }
        self.messages(role, cx);
        if let Some(error) = found.closed.filter(|_| !self.reported) {
            match u8::try_from(error & 0xff) {
                // CRYPTO_ERROR (RFC 9001 section 4.8).
                Ok(description) if error >> 8 == 1 => {
                    self.handshake.alert =
                        Some(Alert { sender: role, description: Some(description), fatal: true });
                }
                _ => self.facts().closed = Some((role, error)),
            }
            // A client that gives up was not answered.
            let answered = self.handshake.answered.is_some();
            self.report((!answered).then_some(Incomplete::NoResponse), cx);
        }
    }

    /// Reads the messages that are whole.
    fn messages(&mut self, role: Role, cx: &mut Context<'_>) {
        loop {
            let side = &mut self.sides[role.index()];
            let ready = side.crypto.ready().get(side.read..).unwrap_or_default();
            let Some(([kind, a, b, c], rest)) = ready.split_first_chunk::<4>() else { return };
            let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            let Some(body) = rest.get(..len) else { return };
            side.read += 4 + len;
            match (role, *kind) {
                (Role::Client, handshake::CLIENT_HELLO) => match ClientHello::parse(body) {
                    Some(hello) => self.handshake.client_hello(hello),
                    None => cx.problem(Problem::Malformed, len as u64),
                },
                (Role::Server, handshake::SERVER_HELLO) => match ServerHello::parse(body) {
                    Some(hello) if hello.is_retry() => self.handshake.retried = true,
                    Some(hello) => {
                        self.handshake.server_hello(hello);
                        let unasked = self.handshake.hello.is_none();
                        return self.report(unasked.then_some(Incomplete::Gap), cx);
                    }
                    None => cx.problem(Problem::Malformed, len as u64),
                },
                _ => cx.problem(Problem::Malformed, len as u64),
            }
        }
    }

    fn give_up(&mut self, why: Incomplete, cx: &mut Context<'_>) {
        if self.handshake.hello.is_some() || self.handshake.answered.is_some() {
            self.report(Some(why), cx);
        } else if let Some(asked) = self.handshake.asked.take_if(|_| !self.reported) {
            // A hello of which a part is missing.
            cx.problem(Problem::StreamGap, u64::try_from(asked.bytes).unwrap_or(0));
        }
    }
}

impl Dissector for Quic {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let seen = Seen::within(cx, 0, bytes.len());
        let mut rest = bytes;
        for _ in 0..MAX_COALESCED {
            let Some(long) = Long::parse(rest) else { break };
            match (long.kind, long.version) {
                (Kind::Initial(sealed), Some(version)) => {
                    self.initial(role, version, &long, &sealed, seen, cx)
                }
                (Kind::Retry, _) if role == Role::Server && !self.reported => self.facts().retry = true,
                (Kind::VersionNegotiation, _) if role == Role::Server && !self.reported => {
                    self.facts().negotiation = true;
                    self.handshake.answered = Some(seen);
                    let unasked = self.handshake.asked.is_none();
                    self.report(unasked.then_some(Incomplete::NoRequest), cx);
                }
                _ => {}
            }
            rest = long.rest;
        }
        Taken::Bytes(bytes.len())
    }

    fn gap(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn skipped(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn end(&mut self, _: Role, _: &[u8], _: Ending, cx: &mut Context<'_>) {
        self.give_up(Incomplete::NoResponse, cx);
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        let wait = i64::try_from(cx.limits.response_wait.as_micros()).unwrap_or(i64::MAX);
        let last = self.handshake.asked.iter().chain(&self.handshake.answered).map(|s| s.last).max();
        if last.is_some_and(|last| now.micros_since(last) > wait) {
            self.give_up(Incomplete::NoResponse, cx);
        }
    }

    fn awaits_time(&self) -> bool {
        self.is_busy()
    }

    fn is_busy(&self) -> bool {
        !self.reported && (self.handshake.asked.is_some() || self.handshake.answered.is_some())
    }

    fn memory(&self) -> usize {
        /// The keys of both sides with their schedules.
        const KEYS: usize = 4 << 10;

        let sides: usize = self.sides.iter().map(|s| s.crypto.memory()).sum();
        let keys = if self.initial.is_some() { KEYS } else { 0 };
        size_of::<Self>() + keys + sides + self.buffer.capacity() + self.handshake.memory()
    }
}
