//! The plaintext of a flow that carries TLS, as the libraries at its ends show it.

use remora_model::{Call, CloseReason, FlowRow, Timestamp, ValueRef, field};

use super::super::app::App;
use super::super::env::{Env, Within};
use super::super::plaintext::{Plaintext, plaintext_source};
use super::{Flow, Lent};
use crate::{Ending, Problem, Sink};

/// A connection that is over waits this long for plaintext that is still under way, if nobody says
/// that there is none.
const LATE: u64 = 5_000_000_000;

/// What is read instead of the encrypted bytes.
pub(super) struct Plain {
    app: Box<App>,
    conn: u64,
    /// The direction in which the end sends where it was watched.
    local: usize,
    /// Where each direction goes on.
    next: [u64; 2],
    method: &'static str,
    ended: bool,
    /// Nobody has said that it is over: it was only silent for too long.
    given_up: bool,
}

impl Plain {
    fn new(piece: &Plaintext<'_>, dir: usize, opener: Option<usize>, given_up: bool) -> Self {
        let mut app = Box::new(App::new());
        if let Some(opener) = opener {
            app.set_opener(opener);
        }
        let mut next = [0; 2];
        if !piece.fresh || given_up {
            next[dir] = piece.pos;
            app.joined(0);
            app.joined(1);
        }
        let local = if piece.at_sender { dir } else { 1 - dir };
        Self { app, conn: piece.conn, local, next, method: piece.method, ended: false, given_up: false }
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + size_of::<App>() + self.app.memory()
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.ended
    }

    /// True while time may bring something, such as the end, where the connection is `closed`.
    pub(super) fn awaits_time(&self, closed: bool) -> bool {
        !self.ended && (closed || self.app.awaits_time())
    }

    pub(super) fn protocol(&self) -> Option<&'static str> {
        self.app.protocol()
    }

    pub(super) fn client(&self) -> Option<usize> {
        self.app.client()
    }
}

/// Adds to calls how the connection was found.
struct Marked<'a> {
    sink: &'a mut dyn Sink,
    method: &'static str,
}

/// Fields of a call that are marked without an allocation.
const FIELDS: usize = 64;

impl Sink for Marked<'_> {
    fn call(&mut self, call: &Call<'_>) {
        let mark = (field::CORR_METHOD, ValueRef::str(self.method));
        let mut few = [mark; FIELDS];
        match few.get_mut(..call.fields.len()) {
            Some(room) if call.fields.len() < FIELDS => {
                room.copy_from_slice(call.fields);
                let fields = few.get(..=call.fields.len()).unwrap_or_default();
                self.sink.call(&Call { fields, ..*call });
            }
            _ => {
                let fields: Vec<_> = call.fields.iter().copied().chain([mark]).collect();
                self.sink.call(&Call { fields: &fields, ..*call });
            }
        }
    }

    fn flow(&mut self, flow: &FlowRow<'_>) {
        self.sink.flow(flow);
    }

    fn problem(&mut self, problem: Problem, bytes: u64) {
        self.sink.problem(problem, bytes);
    }
}

/// Lends a flow's plaintext what it needs: `env` for `plain`, while `body` runs.
macro_rules! with_env {
    ($flow:ident, $lent:ident, |$plain:ident, $env:ident| $body:expr) => {
        if let Some($plain) = &mut $flow.plain {
            let mut marked = Marked { sink: &mut *$lent.sink, method: $plain.method };
            let mut missing = 0;
            let mut env = Env {
                flow: $flow.id,
                transport: $flow.transport,
                ends: $flow.ends,
                source: plaintext_source($lent.source),
                limits: $lent.limits,
                tls: true,
                registry: $lent.registry,
                within: Within { depth: $lent.within.depth.saturating_add(1), ..$lent.within },
                sink: &mut marked,
                missing: &mut missing,
            };
            let $env = &mut env;
            $body
        }
    };
}

impl Flow {
    /// Takes a piece of plaintext of direction `dir`.
    pub(in crate::engine) fn plaintext(
        &mut self,
        dir: usize,
        piece: &Plaintext<'_>,
        ts: Timestamp,
        lent: &mut Lent<'_>,
    ) {
        self.last_seen = self.last_seen.max(ts);
        let is_tls = self.app.protocol().is_none_or(|name| name == "tlsx");
        // Secrets have been there first.
        if self.app.inside().is_some() || (piece.doubtful && !is_tls) {
            return lent.sink.problem(Problem::PlaintextTwice, piece.len);
        }
        let local = if piece.at_sender { dir } else { 1 - dir };
        if self.plain.as_ref().is_some_and(|plain| plain.local != local) {
            return lent.sink.problem(Problem::PlaintextTwice, piece.len);
        }
        let mut given_up = false;
        if self.plain.as_ref().is_some_and(|plain| plain.conn != piece.conn || plain.given_up) {
            self.end_plaintext(None, Ending::Lost, lent);
            given_up = self.plain.take().is_some_and(|plain| plain.conn == piece.conn);
        }
        let opener = self.opened.then_some(self.client);
        let plain = self.plain.get_or_insert_with(|| Box::new(Plain::new(piece, dir, opener, given_up)));
        if plain.ended {
            return lent.sink.problem(Problem::PlaintextTwice, piece.len);
        }
        let next = std::mem::replace(&mut plain.next[dir], piece.pos.saturating_add(piece.len));
        plain.method = piece.method;
        self.changed = true;
        with_env!(self, lent, |plain, env| {
            let missing = piece.pos.saturating_sub(next);
            if missing > 0 {
                plain.app.gap(dir, missing, env);
            }
            let known = usize::try_from(next.saturating_sub(piece.pos)).unwrap_or(usize::MAX);
            let bytes = piece.bytes.get(known..).unwrap_or_default();
            if !bytes.is_empty() {
                plain.app.data(dir, bytes, ts, env);
            }
            let cut = piece.len.saturating_sub(piece.bytes.len() as u64);
            if cut > 0 {
                plain.app.gap(dir, cut, env);
            }
        });
        self.orient();
    }

    /// Nothing more comes of the plaintext; of that of `conn`, where one is named.
    pub(in crate::engine) fn end_plaintext(&mut self, conn: Option<u64>, how: Ending, lent: &mut Lent<'_>) {
        let client = self.client;
        with_env!(self, lent, |plain, env| {
            if !plain.ended && conn.is_none_or(|conn| conn == plain.conn) {
                plain.ended = true;
                for dir in [client, 1 - client] {
                    plain.app.end(dir, how, env);
                }
                plain.app.forget();
            }
        });
        self.orient();
    }

    /// Time has passed.
    pub(super) fn tick_plaintext(&mut self, now: Timestamp, lent: &mut Lent<'_>) {
        match self.closed {
            Some(why) if now.0.abs_diff(self.last_seen.0) >= LATE => {
                self.end_plaintext(None, ending(why), lent);
                if let Some(plain) = &mut self.plain {
                    plain.given_up = true;
                }
            }
            _ => with_env!(self, lent, |plain, env| plain.app.tick(now, env)),
        }
    }

    /// Gives the plaintext's memory back.
    pub(super) fn shed_plaintext(&mut self, lent: &mut Lent<'_>) {
        with_env!(self, lent, |plain, env| {
            plain.app.shed(env);
            plain.ended = true;
        });
    }
}

/// How the plaintext ends with the connection.
pub(in crate::engine) fn ending(why: CloseReason) -> Ending {
    match why {
        CloseReason::Fin => Ending::Closed,
        CloseReason::Reset => Ending::Reset,
        _ => Ending::Lost,
    }
}
