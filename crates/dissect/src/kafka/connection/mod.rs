//! Requests and responses of one connection, and their pairing.

mod engine;
mod requests;
mod responses;

use std::collections::VecDeque;

use remora_model::Incomplete;

use super::header::RequestHeader;
use super::message::Message;
use super::report::{self, Asked};
use super::token::Step;
use super::topic_ids::TopicIds;
use super::walk::Walker;
use crate::{Context, Problem, Role, seen::Seen};

/// Spent requests whose buffers are kept for the next ones, and how large these may be.
const SPARE: usize = 16;
const SPARE_BYTES: usize = 8 << 10;

/// A message whose buffers have grown beyond this is given back.
const KEEP_BYTES: usize = 32 << 10;

/// Bytes shown of a request while those that wait for responses hold more than a flow may.
const LITTLE: usize = 256;

/// A request that waits for its response.
#[derive(Debug, Default)]
struct Pending {
    header: RequestHeader,
    client_id: Option<Vec<u8>>,
    message: Message,
    seen: Seen,
    incomplete: Option<Incomplete>,
    /// Its response may have been among bytes that are missing.
    doubtful: bool,
}

impl Pending {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.client_id.as_ref().map_or(0, Vec::capacity) + self.message.memory()
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            header: &self.header,
            client_id: self.client_id.as_deref(),
            message: &self.message,
            seen: self.seen,
        }
    }
}

/// A message of which the header has been read.
#[derive(Clone, Copy, Debug)]
struct Open {
    seen: Seen,
    /// Where it ends in the stream.
    end: u64,
    /// It is read; if not, the rest of it is passed over.
    reading: bool,
    /// It is no message but a token of an authentication.
    token: bool,
    incomplete: Option<Incomplete>,
}

/// Reading the messages of one side.
#[derive(Debug, Default)]
struct Side {
    open: Option<Open>,
    walker: Walker,
    message: Message,
    /// Message boundaries are lost.
    lost: bool,
}

/// The dissector of one connection.
pub(super) struct Kafka {
    sides: [Side; 2],
    /// The request being read. It moves on to `pending`.
    asking: Box<Pending>,
    /// The request that is being answered.
    answering: Option<Box<Pending>>,
    /// Correlation id of the response being read.
    correlation: i32,
    /// A response has matched a request since the server's stream was found, so that it stands at
    /// the beginning of a message.
    confirmed: bool,
    pending: VecDeque<Box<Pending>>,
    #[expect(clippy::vec_box, reason = "they move to the queue and back, and are large")]
    spare: Vec<Box<Pending>>,
    /// Memory of `pending`, and of `spare`.
    held: usize,
    spare_held: usize,
    ids: TopicIds,
    /// Tokens without a header may come (SaslHandshake version 0).
    tokens: bool,
    /// Nothing more comes from the server.
    server_ended: bool,
}

/// How far a message could be read.
enum Progress {
    /// To its end, at that offset of the bytes shown.
    Done(usize),
    /// To that offset.
    More(usize),
    /// To the end of what is shown, and that many bytes are of no interest.
    Skip(u64),
}

/// What the bytes at a boundary begin.
enum Begin {
    /// A message, whose header has that many bytes.
    Message(usize),
    More,
    /// Nothing that belongs there.
    Lost(Problem),
}

impl Kafka {
    pub(super) fn new() -> Self {
        Self {
            sides: Default::default(),
            asking: Box::default(),
            answering: None,
            correlation: 0,
            confirmed: false,
            pending: VecDeque::new(),
            spare: Vec::new(),
            held: 0,
            spare_held: 0,
            ids: TopicIds::default(),
            tokens: false,
            server_ended: false,
        }
    }

    fn side(&mut self, role: Role) -> &mut Side {
        &mut self.sides[role.index()]
    }

    fn begin(&mut self, role: Role, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Begin {
        match role {
            Role::Client => self.begin_request(at, bytes, cx),
            Role::Server => self.begin_response(at, bytes, cx),
        }
    }

    /// Opens a message that begins at `at` of the bytes shown and has `size` bytes behind its length.
    fn open(&mut self, role: Role, at: usize, size: u32, reading: bool, cx: &Context<'_>) {
        let seen = Seen::within(cx, at, at);
        let end = cx.pos.saturating_add(at as u64 + 4 + u64::from(size));
        self.side(role).open = Some(Open { seen, end, reading, token: false, incomplete: None });
    }

    /// Opens a token of an authentication.
    fn open_token(&mut self, role: Role, at: usize, size: u32, cx: &mut Context<'_>) {
        cx.problem(Problem::Opaque, u64::from(size));
        self.open(role, at, size, false, cx);
        if let Some(open) = &mut self.side(role).open {
            open.token = true;
        }
    }

    /// Reads on in the open message of `role` from `at`.
    fn proceed(&mut self, role: Role, mut at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Progress {
        let Self { sides, ids, .. } = self;
        let Side { open, walker, message, .. } = &mut sides[role.index()];
        let Some(open) = open else { return Progress::More(at) };
        loop {
            if !open.reading {
                let left = open.end.saturating_sub(cx.pos.saturating_add(at as u64));
                let here = bytes.len().saturating_sub(at);
                return match usize::try_from(left) {
                    Ok(left) if left <= here => Progress::Done(at + left),
                    _ => Progress::Skip(left - here as u64),
                };
            }
            match walker.step(bytes.get(at..).unwrap_or_default()) {
                Step::Token(n, token) => {
                    at += n;
                    message.token(token, ids);
                }
                Step::Quiet(n) => at += n,
                Step::Done => return Progress::Done(at),
                Step::Fault => {
                    let left = open.end.saturating_sub(cx.pos.saturating_add(at as u64));
                    cx.problem(Problem::Malformed, left);
                    open.reading = false;
                }
                Step::More => {
                    let blob = walker.blob_left();
                    let unwanted = if at == bytes.len() { message.unwanted(blob).min(blob) } else { 0 };
                    if unwanted == 0 {
                        return Progress::More(at);
                    }
                    walker.pass(unwanted);
                    message.pass(unwanted);
                    return Progress::Skip(unwanted);
                }
            }
        }
    }

    /// The open message of `role` ends at `at` of the bytes shown, whole or not.
    fn complete(&mut self, role: Role, at: usize, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let Some(open) = self.side(role).open.take() else { return };
        if open.token {
            return;
        }
        let seen = open.seen.until(cx, at);
        let incomplete = open.incomplete.or(incomplete);
        let message = &mut self.side(role).message;
        message.finish();
        if message.cut() + message.left_out() > 0 {
            cx.problem(Problem::PayloadLimit, message.cut());
        }
        if message.forgotten > 0 {
            cx.problem(Problem::PayloadLimit, 0);
        }
        if message.content.bad > 0 {
            cx.problem(Problem::BadEncoding, message.content.bad);
        }
        match role {
            Role::Client => self.asked(seen, incomplete, cx),
            Role::Server => self.answered(seen, incomplete, cx),
        }
        let message = &mut self.side(role).message;
        if message.memory() > KEEP_BYTES {
            *message = Message::default();
        }
    }

    /// From `at` of the bytes shown on, `role` may be anywhere in a message.
    fn lose(&mut self, role: Role, at: usize, cx: &mut Context<'_>) {
        self.complete(role, at, Some(Incomplete::Gap), cx);
        self.side(role).lost = true;
        if role == Role::Server {
            self.confirmed = false;
            self.pending.iter_mut().for_each(|p| p.doubtful = true);
        }
    }

    /// Finds the next message of `role` after its boundaries were lost. `Err`: bytes to take.
    fn resync(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Result<usize, usize> {
        let found = match role {
            Role::Client => self.find_request(bytes),
            Role::Server => self.find_response(bytes),
        };
        let (Ok(passed) | Err(passed)) = found;
        if passed > 0 {
            cx.problem(Problem::Unsynced, passed as u64);
        }
        self.side(role).lost = found.is_err();
        found
    }

    fn recycle(&mut self, p: Box<Pending>) {
        let memory = p.memory();
        if self.spare.len() < SPARE && memory <= SPARE_BYTES {
            self.spare_held += memory;
            self.spare.push(p);
        }
    }

    /// A request to fill, used before where there is one.
    fn fresh(&mut self) -> Box<Pending> {
        let p = self.spare.pop().unwrap_or_default();
        self.spare_held = self.spare_held.saturating_sub(p.memory());
        p
    }

    /// Takes a request out of the queue.
    fn take(&mut self, at: usize) -> Option<Box<Pending>> {
        let p = self.pending.remove(at)?;
        self.held = self.held.saturating_sub(p.memory());
        Some(p)
    }

    /// Reports the oldest request as one without a response.
    fn give_up(&mut self, why: Incomplete, cx: &mut Context<'_>) {
        if let Some(p) = self.take(0) {
            let why = if p.doubtful { Incomplete::Gap } else { why };
            report::emit(Some(p.asked()), None, p.incomplete.or(Some(why)), cx);
            self.recycle(p);
        }
    }
}

#[cfg(test)]
mod tests;
