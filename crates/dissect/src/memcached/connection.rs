//! Both sides of one connection.

use remora_model::Incomplete;

use super::answer::Answer;
use super::detect;
use super::exchange::Exchange;
use crate::sql::pairing::{Exchange as _, Pairing};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Bytes at the end of unusable data in which the beginning of a message may lie.
const TAIL: usize = 512;

/// Bytes kept of a value while what waits for answers holds more than a flow may.
const LITTLE: usize = 128;

/// A value that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    /// Bytes that are still to come.
    pub(super) left: u64,
    /// Bytes of the line end behind it.
    pub(super) tail: u64,
}

/// Reading the messages of one side.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// The message that is half read, where it began.
    pub(super) open: Option<Seen>,
    pub(super) value: Option<Value>,
    /// Bytes of an unfinished line that are known to hold no end.
    pub(super) scanned: usize,
    /// Bytes of the open message are missing.
    pub(super) hole: bool,
    /// Message boundaries are lost.
    pub(super) lost: bool,
}

/// How far a side could be read.
pub(super) enum Progress {
    /// To that offset, where a message ends or its value begins.
    To(usize),
    /// To that offset; more bytes are needed.
    More(usize),
    /// To the end of what is shown, and that many bytes are of no interest.
    Skip(u64),
    /// At that offset stands nothing that belongs there.
    Fault(usize),
}

/// The dissector of one connection.
pub(super) struct Memcached {
    pub(super) sides: [Side; 2],
    /// The request being read.
    pub(super) asking: Exchange,
    /// The answer being read, and whether more lines of it follow.
    pub(super) answer: Answer,
    pub(super) block: bool,
    /// How the value being read is shown.
    pub(super) shown: super::responses::Shown,
    pub(super) pairing: Pairing<Exchange>,
    /// The server has been heard.
    pub(super) heard: bool,
    /// The client has authenticated itself, or need not: the server has done what it asked for. False
    /// when it was told to.
    pub(super) authenticated: Option<bool>,
    /// What the server sends from here on is a log.
    pub(super) opaque: bool,
    server_ended: bool,
}

impl Memcached {
    pub(super) fn new() -> Self {
        Self {
            sides: Default::default(),
            asking: Exchange::default(),
            answer: Answer::default(),
            block: false,
            shown: super::responses::Shown::default(),
            pairing: Pairing::new(),
            heard: false,
            authenticated: None,
            opaque: false,
            server_ended: false,
        }
    }

    pub(super) fn side(&mut self, role: Role) -> &mut Side {
        &mut self.sides[role.index()]
    }

    /// How much is kept of a value.
    pub(super) fn budget(&self, cx: &Context<'_>) -> usize {
        let full = self.pairing.memory() > cx.limits.flow_bytes;
        if full { LITTLE.min(cx.limits.payload) } else { cx.limits.payload }
    }

    /// From `at` of the bytes shown on, `role` may be anywhere in a message.
    fn lose(&mut self, role: Role, at: usize, cx: &mut Context<'_>) {
        let open = self.side(role).open.take();
        if role == Role::Client
            && let Some(seen) = open
        {
            self.asking.request = Some(seen.until(cx, at));
            self.asking.emit(Some(Incomplete::Gap), &(), cx);
            self.asking.clear();
        }
        self.block = self.block && role == Role::Client;
        *self.side(role) = Side { lost: true, ..Side::default() };
        self.pairing.doubt(Incomplete::Gap, &(), cx);
    }

    /// Finds the next message of `role` after its boundaries were lost. `Err`: bytes to take.
    fn resync(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Result<usize, usize> {
        let found = detect::resync(bytes, role).ok_or(bytes.len().saturating_sub(TAIL));
        let (Ok(passed) | Err(passed)) = found;
        if passed > 0 {
            cx.problem(Problem::Unsynced, passed as u64);
        }
        self.side(role).lost = found.is_err();
        found
    }

    fn step(&mut self, role: Role, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Progress {
        if let Some(value) = self.side(role).value {
            return self.value(role, value, at, bytes, cx);
        }
        if at >= bytes.len() {
            return Progress::More(at);
        }
        match role {
            Role::Client => self.request(at, bytes, cx),
            Role::Server => self.response(at, bytes, cx),
        }
    }

    /// Reads on in a value.
    fn value(
        &mut self,
        role: Role,
        mut value: Value,
        at: usize,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Progress {
        let rest = bytes.get(at..).unwrap_or_default();
        let n = rest.len().min(usize::try_from(value.left).unwrap_or(usize::MAX));
        let piece = rest.get(..n).unwrap_or_default();
        let wanted = match role {
            Role::Client => self.value_sent(piece, cx),
            Role::Server => self.value_returned(piece),
        };
        value.left -= n as u64;
        let at = at + n;
        self.side(role).value = Some(value);
        if value.left > 0 {
            if wanted {
                return Progress::More(at);
            }
            let n = value.left;
            match role {
                Role::Client => self.asking.asked.cut += n,
                Role::Server => self.answer.pass(n),
            }
            self.side(role).value = Some(Value { left: 0, ..value });
            return Progress::Skip(n);
        }
        let end = at + value.tail as usize;
        if end > bytes.len() {
            return Progress::More(at);
        }
        self.side(role).value = None;
        match role {
            Role::Client => self.asked(end, cx),
            Role::Server => self.value_ends(end, cx),
        }
        Progress::To(end)
    }
}

impl Dissector for Memcached {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.opaque && role == Role::Server {
                let rest = bytes.len().saturating_sub(at);
                if rest > 0 {
                    cx.problem(Problem::Opaque, rest as u64);
                }
                return Taken::Bytes(bytes.len());
            }
            if self.side(role).lost {
                match self.resync(role, bytes.get(at..).unwrap_or_default(), cx) {
                    Ok(start) => at += start,
                    Err(taken) => return Taken::Bytes(at + taken),
                }
            }
            match self.step(role, at, bytes, cx) {
                Progress::To(end) => at = end,
                Progress::More(at) => return Taken::Bytes(at),
                Progress::Skip(n) => return Taken::AndSkip(n),
                Progress::Fault(place) => {
                    cx.problem(Problem::Malformed, 1);
                    self.lose(role, place, cx);
                    at = place + 1;
                }
            }
        }
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        let side = self.side(role);
        // After a gap the engine passes over more bytes, which is reported as another one.
        if side.lost {
            return;
        }
        match &mut side.value {
            // Inside a value only its content is lost.
            Some(value) if value.left >= len => {
                value.left -= len;
                side.hole = true;
                match role {
                    Role::Client => self.asking.asked.cut += len,
                    Role::Server => self.answer.pass(len),
                }
            }
            _ => self.lose(role, 0, cx),
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.sides[role.index()].lost
    }

    fn skipped(&mut self, role: Role, missing: u64, _: &mut Context<'_>) {
        self.side(role).hole |= missing > 0;
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        let side = std::mem::take(self.side(role));
        if !rest.is_empty() && side.open.is_none() {
            let problem = if side.lost { Problem::Unsynced } else { Problem::Malformed };
            cx.problem(problem, rest.len() as u64);
        }
        let mut half = None;
        match (role, side.open) {
            (Role::Client, Some(seen)) => {
                self.asking.request = Some(seen.until(cx, rest.len()));
                self.asking.emit(Some(partial), &(), cx);
                self.asking.clear();
            }
            (Role::Server, Some(seen)) => {
                self.answer.finish();
                if let Some(front) = self.pairing.front() {
                    std::mem::swap(&mut front.answer, &mut self.answer);
                    front.answered = Some(seen.until(cx, rest.len()));
                    half = Some(partial);
                }
            }
            _ => {}
        }
        self.server_ended |= role == Role::Server;
        if self.server_ended {
            if how == Ending::Closed && half.is_none() {
                self.pass_quiet(usize::MAX, cx);
            }
            self.pairing.end(half, why, &(), cx);
        }
    }

    fn is_busy(&self) -> bool {
        self.pairing.is_busy() || self.sides.iter().any(|s| s.open.is_some())
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.pairing.memory() + self.asking.memory() + self.answer.memory()
    }
}
