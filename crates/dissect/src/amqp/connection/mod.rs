//! Frames of one connection: methods are read whole, bodies as they come.

mod channels;
mod turns;

use remora_model::Incomplete;

use self::channels::Channels;
use super::detect::{self, AROUND, BODY, CONTENT, END, Frame, HEADER, HEARTBEAT, METHOD, PROTOCOL_LEN};
use super::message::Message;
use super::{content, method};
use crate::messaging::{Held as _, Queue, Reader};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Bytes shown of a message while those that wait hold more than a flow may.
const LITTLE: usize = 256;

/// Bytes at the end of unusable data in which the beginning of a method may lie.
const TAIL: usize = 4 << 10;

/// What stands for a method where a protocol header is.
const PROTOCOL_HEADER: &str = "protocol-header";

/// A frame of a body that is being passed.
#[derive(Clone, Copy, Debug)]
struct BodyFrame {
    channel: u16,
    /// Bytes of its payload that have not passed yet.
    left: u64,
    seen: Seen,
}

/// Reading one side.
#[derive(Debug, Default)]
struct Side {
    /// Frame boundaries are lost.
    lost: bool,
    body: Option<BodyFrame>,
    /// Methods whose contents have not arrived to their ends, one per channel.
    #[expect(clippy::vec_box, reason = "they move on to the queue, and are large")]
    open: Vec<Box<Message>>,
}

/// The dissector of one connection.
#[derive(Default)]
pub(super) struct Amqp {
    sides: [Side; 2],
    queue: Queue<Message>,
    channels: Channels,
    user: Vec<u8>,
    virtual_host: Vec<u8>,
    /// Where summaries are put together.
    summary: Vec<u8>,
    /// The connection was seen from its beginning, and all that the client has said since.
    from_start: bool,
    /// Nothing more comes from the client, and from the server.
    ended: [bool; 2],
}

/// How far a side could be read.
enum Step {
    /// So many bytes.
    Done(usize),
    /// More have to arrive.
    More,
    /// So many, which are all there are, and that many that follow are of no interest.
    Skip(u64),
    /// Nothing that belongs there.
    Fault,
}

impl Amqp {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn side(&mut self, role: Role) -> &mut Side {
        &mut self.sides[role.index()]
    }

    /// Reads a frame, or some of a body, at `at` of the bytes shown.
    fn step(&mut self, role: Role, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Step {
        let rest = bytes.get(at..).unwrap_or_default();
        if self.side(role).body.is_some() {
            return self.body(role, at, rest, cx);
        }
        if rest.first() == detect::PROTOCOL.first() {
            return self.protocol_header(role, at, rest, cx);
        }
        let Some(frame) = Frame::read(rest) else { return Step::More };
        if !frame.is_plausible() {
            return Step::Fault;
        }
        if frame.kind == BODY {
            let (seen, left) = (Seen::within(cx, at, at), u64::from(frame.size));
            self.side(role).body = Some(BodyFrame { channel: frame.channel, left, seen });
            return Step::Done(HEADER);
        }
        let whole = frame.size as usize + AROUND;
        let (Some(payload), Some(end)) = (rest.get(HEADER..whole - 1), rest.get(whole - 1)) else {
            return Step::More;
        };
        if *end != END {
            return Step::Fault;
        }
        let seen = Seen::within(cx, at, at + whole);
        let read = match frame.kind {
            METHOD => self.method(role, frame.channel, payload, seen, cx),
            CONTENT => self.content(role, frame.channel, payload, seen, cx),
            HEARTBEAT => {
                let mut m = self.queue.fresh();
                m.begin("heartbeat", 0, 0, seen);
                self.alone(role, m, None, cx);
                Some(())
            }
            _ => None,
        };
        if read.is_none() {
            // The frame is whole, so that what follows it can be read.
            cx.problem(Problem::Malformed, whole as u64);
        }
        Step::Done(whole)
    }

    fn protocol_header(&mut self, role: Role, at: usize, rest: &[u8], cx: &mut Context<'_>) -> Step {
        if rest.len() < PROTOCOL_LEN && detect::PROTOCOL.starts_with(&rest[..rest.len().min(4)]) {
            return Step::More;
        }
        if !rest.starts_with(detect::PROTOCOL) {
            return Step::Fault;
        }
        let mut m = self.queue.fresh();
        m.begin(PROTOCOL_HEADER, 0, LITTLE, Seen::within(cx, at, at + PROTOCOL_LEN));
        if role == Role::Client {
            self.begins();
        }
        self.said(role, m, cx);
        Step::Done(PROTOCOL_LEN)
    }

    /// This is the beginning of the connection.
    fn begins(&mut self) {
        self.from_start = true;
        self.channels.begin();
    }

    /// Bytes of texts, and of a body, that are kept of the next message.
    fn budget(&self, cx: &Context<'_>) -> usize {
        let open: usize = self.sides.iter().flat_map(|s| &s.open).map(|m| m.memory()).sum();
        if self.queue.held() + open > cx.limits.flow_bytes {
            cx.limits.payload.min(LITTLE)
        } else {
            cx.limits.payload
        }
    }

    fn method(
        &mut self,
        role: Role,
        channel: u16,
        payload: &[u8],
        seen: Seen,
        cx: &mut Context<'_>,
    ) -> Option<()> {
        let mut r = Reader::new(payload);
        let method = method::find(r.u16()?, r.u16()?)?;
        let mut m = self.queue.fresh();
        m.begin(method.name, channel, self.budget(cx), seen);
        if !method.is_from(role) || m.read(method, r.rest()).is_none() {
            self.queue.recycle(m);
            return None;
        }
        if m.is(method::START) {
            self.begins();
        }
        // A method in the middle of a content ends it.
        self.drop_open(role, channel, cx);
        if !method.has_content {
            self.said(role, m, cx);
        } else if self.side(role).open.len() < cx.limits.pending.max(1) {
            self.side(role).open.push(m);
        } else {
            cx.problem(Problem::TooManyPending, 0);
            self.alone(role, m, Some(Incomplete::Truncated), cx);
        }
        Some(())
    }

    fn content(
        &mut self,
        role: Role,
        channel: u16,
        payload: &[u8],
        seen: Seen,
        cx: &mut Context<'_>,
    ) -> Option<()> {
        let open = &mut self.sides[role.index()].open;
        let Some(i) = open.iter().position(|m| m.channel == channel) else {
            // Its method was among bytes that are missing.
            cx.problem(Problem::Unsynced, seen.bytes.unsigned_abs());
            return Some(());
        };
        let m = &mut open[i];
        m.frame(seen);
        content::read(payload, m)?;
        if m.content.left == 0 {
            let m = open.swap_remove(i);
            self.said(role, m, cx);
        }
        Some(())
    }

    /// Passes some of a body's frame.
    fn body(&mut self, role: Role, at: usize, rest: &[u8], cx: &mut Context<'_>) -> Step {
        let Side { body, open, .. } = &mut self.sides[role.index()];
        let Some(frame) = body else { return Step::Fault };
        let i = open.iter().position(|m| m.channel == frame.channel && m.content.begun);
        let here = usize::try_from(frame.left).unwrap_or(usize::MAX).min(rest.len());
        let mut m = i.and_then(|i| open.get_mut(i));
        if here > 0 {
            frame.left -= here as u64;
            if let Some(c) = m.as_mut().map(|m| &mut m.content) {
                c.left = c.left.saturating_sub(here as u64);
                let piece = rest.get(..here.min(c.budget.saturating_sub(c.body.len()))).unwrap_or_default();
                c.body.extend_from_slice(piece);
                c.cut += (here - piece.len()) as u64;
            }
        }
        if here == rest.len() && frame.left > 0 {
            // More of it comes, which may be more than is kept.
            let unwanted = m.as_ref().is_none_or(|m| m.content.body.len() >= m.content.budget);
            if unwanted {
                let left = std::mem::take(&mut frame.left);
                if let Some(c) = m.map(|m| &mut m.content) {
                    c.left = c.left.saturating_sub(left);
                    c.cut += left;
                }
                return Step::Skip(left);
            }
            return if here == 0 { Step::More } else { Step::Done(here) };
        }
        match rest.get(here) {
            None if here == 0 => return Step::More,
            None => return Step::Done(here),
            Some(&END) => {}
            Some(_) => return Step::Fault,
        }
        let seen = frame.seen.until(cx, at + here + 1);
        *body = None;
        match (m, i) {
            (Some(m), Some(i)) => {
                m.frame(seen);
                if m.content.left == 0 {
                    let m = open.swap_remove(i);
                    self.said(role, m, cx);
                }
            }
            _ => cx.problem(Problem::Unsynced, seen.bytes.unsigned_abs()),
        }
        Step::Done(here + 1)
    }

    /// Reports a content that will not come to its end.
    fn drop_open(&mut self, role: Role, channel: u16, cx: &mut Context<'_>) {
        let open = &mut self.side(role).open;
        if let Some(i) = open.iter().position(|m| m.channel == channel) {
            let m = open.swap_remove(i);
            cx.problem(Problem::Malformed, 0);
            self.cut(role, m, Incomplete::Truncated, cx);
        }
    }

    /// What was seen of a content whose end does not come.
    fn cut(&mut self, role: Role, mut m: Box<Message>, why: Incomplete, cx: &mut Context<'_>) {
        m.incomplete = m.incomplete.or(Some(why));
        self.said(role, m, cx);
    }

    /// Reports all contents of `role` that have not come to their ends.
    fn drop_all(&mut self, role: Role, why: Incomplete, cx: &mut Context<'_>) {
        self.side(role).body = None;
        while let Some(m) = self.side(role).open.pop() {
            self.cut(role, m, why, cx);
        }
    }

    /// `role` may be anywhere in a frame.
    fn lose(&mut self, role: Role, cx: &mut Context<'_>) {
        self.drop_all(role, Incomplete::Gap, cx);
        self.side(role).lost = true;
        if role == Role::Client {
            self.from_start = false;
            self.channels.lose_count();
        }
        // What this side has answered in between is not known.
        let by_server = role == Role::Client;
        for q in self.queue.iter_mut() {
            *(if q.by_server == by_server { &mut q.doubtful } else { &mut q.followed }) = true;
        }
    }
}

impl Dissector for Amqp {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.side(role).lost {
                let rest = bytes.get(at..).unwrap_or_default();
                let found = detect::resync(rest, role);
                let passed = found.unwrap_or_else(|| rest.len().saturating_sub(TAIL));
                if passed > 0 {
                    cx.problem(Problem::Unsynced, passed as u64);
                }
                at += passed;
                if found.is_none() {
                    return Taken::Bytes(at);
                }
                self.side(role).lost = false;
            }
            if at >= bytes.len() {
                return Taken::Bytes(at);
            }
            match self.step(role, at, bytes, cx) {
                Step::Done(n) => at += n,
                Step::More => return Taken::Bytes(at),
                Step::Skip(n) => return Taken::AndSkip(n),
                Step::Fault => {
                    cx.problem(Problem::Malformed, 1);
                    self.lose(role, cx);
                    at += 1;
                }
            }
        }
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        let Side { body, open, .. } = self.side(role);
        match body {
            // Only some of a body is lost.
            Some(frame) if len <= frame.left => {
                frame.left -= len;
                if let Some(m) = open.iter_mut().find(|m| m.channel == frame.channel) {
                    m.content.left = m.content.left.saturating_sub(len);
                    m.incomplete = Some(Incomplete::Gap);
                }
            }
            _ => self.lose(role, cx),
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.sides[role.index()].lost
    }

    fn skipped(&mut self, role: Role, missing: u64, _: &mut Context<'_>) {
        let Side { body, open, .. } = self.side(role);
        if missing > 0
            && let Some(frame) = body
            && let Some(m) = open.iter_mut().find(|m| m.channel == frame.channel)
        {
            m.incomplete = Some(Incomplete::Gap);
        }
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        if !rest.is_empty() && !self.side(role).lost && self.side(role).body.is_none() {
            cx.problem(Problem::Malformed, rest.len() as u64);
        }
        self.drop_all(role, partial, cx);
        self.ended[role.index()] = true;
        // What waits for the server waits in vain after its end; the rest may still come.
        let [client_ended, server_ended] = self.ended;
        let over = |q: &Message| if q.by_server { client_ended && server_ended } else { server_ended };
        while let Some(i) = self.queue.find(over) {
            self.give_up(i, why, cx);
        }
    }

    fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.sides.iter().any(|s| s.body.is_some() || !s.open.is_empty())
    }

    fn memory(&self) -> usize {
        let open: usize = self.sides.iter().flat_map(|s| &s.open).map(|m| m.memory()).sum();
        size_of::<Self>()
            + open
            + self.queue.memory()
            + self.channels.memory()
            + self.user.capacity()
            + self.virtual_host.capacity()
            + self.summary.capacity()
    }
}
