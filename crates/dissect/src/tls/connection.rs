//! TLS over TCP: records in, a handshake and plaintext out.

mod early;
mod handshaking;

use early::Early;
use remora_model::{Incomplete, Timestamp};

use super::detect;
use super::handshake::{Alert, Handshake};
use super::hello::ClientHello;
use super::keys::{self, Protection};
use super::messages::Messages;
use super::plain::Plain;
use super::record::{self, Header};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Records of one side that may fail to open before it is given up.
const MAX_FAILURES: u8 = 8;

/// A buffer that has grown beyond this is given back.
const KEEP_CAPACITY: usize = record::MAX_FRAGMENT;

/// Bytes of the fragment of an encrypted alert in TLS 1.3: it, its type, and a tag (RFC 8446
/// section 5.2). No message of a handshake is that short.
const SEALED_ALERT: usize = 2 + 1 + 16;

/// One side.
#[derive(Default)]
struct Side {
    protection: Protection,
    messages: Messages,
    /// Where in the stream records begin is not known.
    lost: bool,
    /// It has sent something that only the end of a handshake brings.
    finished: bool,
    failures: u8,
    ended: bool,
}

/// The dissector of one connection.
pub(super) struct Tls {
    handshake: Handshake,
    sides: [Side; 2],
    early: Early,
    /// Early data that was read, and when its last record came.
    early_text: Vec<u8>,
    early_time: Timestamp,
    reported: bool,
    /// Something of the handshake is missing.
    hole: bool,
    /// The record being opened.
    buffer: Vec<u8>,
    plain: Plain,
}

impl Tls {
    pub(super) fn new() -> Self {
        Self {
            handshake: Handshake::default(),
            sides: Default::default(),
            early: Early::None,
            early_text: Vec::new(),
            early_time: Timestamp(0),
            reported: false,
            hole: false,
            buffer: Vec::new(),
            plain: Plain::default(),
        }
    }

    /// One record. It lies at `at..end` of the bytes being shown.
    fn record(
        &mut self,
        role: Role,
        header: &Header,
        fragment: &[u8],
        (at, end): (usize, usize),
        cx: &mut Context<'_>,
    ) {
        let seen = Seen::within(cx, at, end);
        if header.kind == record::ALERT && header.len == 2 && self.handshake.is_tls13() {
            // From a side that has no keys yet: under encryption it would look like data.
            return self.content(role, record::ALERT, fragment, seen, cx);
        }
        match &mut self.sides[role.index()].protection {
            Protection::Clear => self.clear_record(role, header, fragment, seen, cx),
            Protection::Open(_) => self.open_record(role, header, fragment, seen, cx),
            Protection::Sealed(why) => {
                let why = *why;
                cx.problem(why, fragment.len() as u64);
                self.sealed_record(role, header, seen, cx);
            }
        }
    }

    fn clear_record(
        &mut self,
        role: Role,
        header: &Header,
        fragment: &[u8],
        seen: Seen,
        cx: &mut Context<'_>,
    ) {
        match header.kind {
            record::HANDSHAKE | record::ALERT => self.content(role, header.kind, fragment, seen, cx),
            // In TLS 1.3 it means nothing (RFC 8446 appendix D.4).
            record::CHANGE_CIPHER_SPEC if self.handshake.is_tls13() => {}
            record::CHANGE_CIPHER_SPEC => self.change_cipher(role, cx),
            record::APPLICATION_DATA if role == Role::Client && self.handshake.server.is_none() => {
                self.early_record(header, fragment, seen, cx);
            }
            // Encrypted, in a connection whose handshake was not seen.
            record::APPLICATION_DATA => {
                let why = keys::missing(cx.within.secrets);
                self.seal(role, why, cx);
                cx.problem(why, fragment.len() as u64);
            }
            _ => {}
        }
    }

    /// From here on records of `role` are protected, up to TLS 1.2.
    fn change_cipher(&mut self, role: Role, cx: &mut Context<'_>) {
        if self.handshake.server.is_none() {
            // A client of TLS 1.3 sends it in front of early data; others never so early.
            return;
        }
        if role == Role::Server && !self.handshake.full {
            self.handshake.resumed = true;
        }
        self.sides[role.index()].messages.clear();
        self.sides[role.index()].protection = keys::tls12(role, &self.handshake, cx.within.secrets);
    }

    fn seal(&mut self, role: Role, why: Problem, cx: &mut Context<'_>) {
        self.sides[role.index()].protection = Protection::Sealed(why);
        self.plain.end(role, Ending::Lost, cx);
    }

    /// A record whose content is not known.
    fn sealed_record(&mut self, role: Role, header: &Header, seen: Seen, cx: &mut Context<'_>) {
        if self.reported {
            return;
        }
        let tls13 = self.handshake.is_tls13();
        let sealed_alert = if tls13 {
            let may_be_data = self.handshake.hello.as_ref().is_some_and(|h| h.early_data);
            role == Role::Client
                && header.kind == record::APPLICATION_DATA
                && header.len == SEALED_ALERT
                && !may_be_data
                && !self.sides[0].finished
        } else {
            header.kind == record::ALERT
        };
        if sealed_alert {
            // A client that closes in good order has finished before, which may be missing.
            let fatal = !self.sides.iter().all(|s| s.finished);
            if !fatal || !self.hole && self.handshake.hello.is_some() {
                self.handshake.alert = Some(Alert { sender: role, description: None, fatal });
            }
            // What the other side has sent before may still show to be missing: judged in the end.
            if !fatal {
                self.report(None, cx);
            }
            return;
        }
        if header.kind == record::CHANGE_CIPHER_SPEC {
            return;
        }
        self.finished(role, seen.last, cx);
    }

    /// `role` has sent its last message of the handshake.
    fn finished(&mut self, role: Role, when: Timestamp, cx: &mut Context<'_>) {
        self.sides[role.index()].finished = true;
        let tls13 = self.handshake.is_tls13();
        // In TLS 1.3 it is always the client's that completes the handshake.
        let complete = self.sides.iter().all(|s| s.finished)
            || (tls13 && role == Role::Client && self.handshake.server.is_some());
        if complete && self.handshake.done.is_none() {
            self.handshake.done = Some(when);
            // With keys it may still be seen that the server refuses the client's certificate.
            let waits = tls13 && !self.sides[Role::Server.index()].protection.is_sealed();
            if !waits {
                self.report(None, cx);
            }
        }
    }

    fn report(&mut self, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        if self.handshake.done.is_some() {
            // The end of the connection is not one of the handshake.
            self.handshake.alert = self.handshake.alert.filter(|alert| alert.fatal);
        }
        if self.hole || self.handshake.done.is_some() {
            // An alert that cannot be read is a failure only where nothing else can have come before it.
            self.handshake.alert = self.handshake.alert.filter(|alert| alert.description.is_some());
        }
        if self.hole {
            // What completed it may be among what is missing.
            self.handshake.done = None;
        }
        self.handshake.report(incomplete.or(self.hole.then_some(Incomplete::Gap)), cx);
        self.handshake.forget();
    }

    /// A record that can be opened.
    fn open_record(
        &mut self,
        role: Role,
        header: &Header,
        fragment: &[u8],
        seen: Seen,
        cx: &mut Context<'_>,
    ) {
        // Without protection even then (RFC 8446 section 5).
        if header.kind == record::CHANGE_CIPHER_SPEC {
            if !self.handshake.is_tls13() {
                self.change_cipher(role, cx);
            }
            return;
        }
        if role == Role::Client && self.early_goes_on(header, fragment, seen, cx) {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let may_be_early = role == Role::Client && self.may_be_early();
        let side = &mut self.sides[role.index()];
        let Protection::Open(opener) = &mut side.protection else { return };
        let searching = opener.is_searching();
        match opener.open(header, fragment, &mut buffer) {
            Some(opened) => {
                side.failures = 0;
                let text = buffer.get(opened.text).unwrap_or_default();
                self.content(role, opened.kind, text, seen, cx);
            }
            None if may_be_early => {
                cx.problem(keys::missing(cx.within.secrets), fragment.len() as u64);
            }
            None => {
                // What was taken for a record need not have been one.
                opener.missed(0);
                side.failures += if searching { MAX_FAILURES / 2 } else { 1 };
                cx.problem(Problem::DecryptFailed, fragment.len() as u64);
                self.plain.gap(role, fragment.len() as u64, cx);
                if self.sides[role.index()].failures >= MAX_FAILURES {
                    self.seal(role, Problem::DecryptFailed, cx);
                }
            }
        }
        if buffer.capacity() <= 2 * KEEP_CAPACITY {
            self.buffer = buffer;
        }
    }

    /// What a record says, once it is in clear.
    fn content(&mut self, role: Role, kind: u8, text: &[u8], seen: Seen, cx: &mut Context<'_>) {
        match kind {
            record::HANDSHAKE => {
                let mut messages = std::mem::take(&mut self.sides[role.index()].messages);
                let long = messages.feed(text, |kind, body| self.message(role, kind, body, seen, cx));
                self.sides[role.index()].messages = messages;
                if long > 0 {
                    cx.problem(Problem::MessageTooLarge, long as u64);
                }
                let server = &self.sides[Role::Server.index()];
                if role == Role::Server && matches!(server.protection, Protection::Clear) {
                    self.handshake.answer_reaches(seen);
                }
            }
            record::ALERT => {
                let Some(alert) = Alert::parse(role, text) else { return };
                self.handshake.alert_time = seen.last;
                if !self.reported {
                    if alert.fatal || self.handshake.done.is_none() {
                        self.handshake.alert = Some(alert);
                    }
                    // What a client complains of may still show to be missing: judged in the end.
                    let waits = role == Role::Client && self.handshake.done.is_none();
                    if alert.fatal && !waits || self.handshake.done.is_some() {
                        self.report(None, cx);
                    }
                }
                if alert.fatal || alert.description == Some(0) {
                    self.plain.end(role, Ending::Closed, cx);
                }
            }
            record::APPLICATION_DATA => {
                if self.handshake.done.is_some() && role == Role::Server {
                    self.report(None, cx);
                }
                self.plain.data(role, text, seen.last, cx);
            }
            _ => {}
        }
    }

    /// Where the next record of `role` begins. `Err`: bytes to take before more have come.
    fn resync(&mut self, role: Role, bytes: &[u8]) -> Result<usize, usize> {
        match detect::resync(bytes, role) {
            Some(at) => {
                self.sides[role.index()].lost = false;
                Ok(at)
            }
            None => Err(bytes.len().saturating_sub(detect::TAIL)),
        }
    }

    fn lose(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        let side = &mut self.sides[role.index()];
        side.lost = true;
        self.hole |= !self.reported;
        let hello = self.handshake.hello.is_some() && self.handshake.server.is_none();
        self.handshake.may_have_asked_again |= role == Role::Client && hello;
        side.messages.clear();
        match &mut side.protection {
            Protection::Open(opener) => opener.missed(len),
            // A change of keys may have been missed.
            Protection::Clear if self.handshake.server.is_some() => {
                let secrets = cx.within.secrets;
                let why = if secrets.is_empty() { Problem::Encrypted } else { Problem::DecryptFailed };
                side.protection = Protection::Sealed(why);
            }
            _ => {}
        }
        self.plain.gap(role, len, cx);
    }

    /// Nothing of what `role` sends from now on is of use.
    fn is_deaf(&self, role: Role) -> bool {
        let side = &self.sides[role.index()];
        if self.reported {
            return side.protection.is_sealed() || self.plain.is_opaque(role);
        }
        let nothing_seen = self.handshake.asked.is_none() && self.handshake.answered.is_none();
        if side.protection.is_sealed() && nothing_seen {
            return true;
        }
        // All that a server of TLS 1.3 says after its hello is sealed.
        role == Role::Server && side.protection.is_sealed() && self.handshake.is_tls13()
    }
}

impl Dissector for Tls {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.is_deaf(role) {
                if let Protection::Sealed(why) = self.sides[role.index()].protection
                    && !rest.is_empty()
                {
                    cx.problem(why, rest.len() as u64);
                }
                return Taken::AndSkip(u64::MAX);
            }
            if self.sides[role.index()].lost {
                match self.resync(role, rest) {
                    Ok(start) => {
                        at += start;
                        continue;
                    }
                    Err(n) => return Taken::Bytes(at + n),
                }
            }
            let Some(head) = rest.first_chunk::<{ record::HEADER }>() else { return Taken::Bytes(at) };
            if role == Role::Client && self.handshake.hello.is_none() && detect::v2_begins(rest) {
                if rest.len() < detect::V2_HEADER {
                    return Taken::Bytes(at);
                }
                if let Some(len) = detect::v2_hello(rest) {
                    let Some(message) = rest.get(2..len) else { return Taken::Bytes(at) };
                    match ClientHello::parse_v2(message) {
                        Some(hello) => self.client_hello(hello, Seen::within(cx, at, at + len)),
                        None => cx.problem(Problem::Malformed, len as u64),
                    }
                    at += len;
                    continue;
                }
            }
            let Some(header) = Header::parse(*head) else {
                cx.problem(Problem::Malformed, rest.len() as u64);
                self.lose(role, rest.len() as u64, cx);
                continue;
            };
            let Some(fragment) = rest.get(record::HEADER..record::HEADER + header.len) else {
                return Taken::Bytes(at);
            };
            let end = at + record::HEADER + header.len;
            self.record(role, &header, fragment, (at, end), cx);
            at = end;
        }
    }

    fn joined(&mut self, _: Role, _: u64) -> bool {
        // There may have been a hello before the one that is seen.
        self.hole = true;
        false
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        self.lose(role, len, cx);
    }

    fn skipped(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn in_sync(&self, role: Role) -> bool {
        !self.sides[role.index()].lost
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let side = &mut self.sides[role.index()];
        if !rest.is_empty() && !side.lost {
            cx.problem(Problem::Malformed, rest.len() as u64);
        }
        side.messages.clear();
        side.ended = true;
        self.plain.end(role, how, cx);
        let open = self.handshake.asked.is_some() || self.handshake.answered.is_some();
        if open && self.sides.iter().all(|s| s.ended) {
            let why = match (how, self.handshake.done, &self.handshake.server, &self.handshake.hello) {
                (_, Some(_), _, _) => None,
                _ if self.handshake.alert.is_some_and(|a| a.fatal) => None,
                (_, _, _, None) => Some(Incomplete::NoRequest),
                (Ending::Reset, ..) => Some(Incomplete::Reset),
                (_, _, None, _) => Some(Incomplete::NoResponse),
                _ => Some(Incomplete::Truncated),
            };
            self.report(why, cx);
        }
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        self.plain.tick(now, cx);
    }

    fn inside(&self) -> Option<&'static str> {
        self.plain.protocol()
    }

    fn awaits_time(&self) -> bool {
        self.plain.awaits_time()
    }

    fn is_busy(&self) -> bool {
        let open = self.handshake.asked.is_some() || self.handshake.answered.is_some();
        (open && !self.reported) || self.sides.iter().any(|s| s.messages.is_partial()) || self.plain.is_busy()
    }

    fn memory(&self) -> usize {
        let sides: usize = self.sides.iter().map(|s| s.messages.memory() + s.protection.memory()).sum();
        size_of::<Self>()
            + sides
            + self.handshake.memory()
            + self.early_text.capacity()
            + self.buffer.capacity()
            + self.plain.memory()
    }
}
