//! Messages that begin with their own length: cutting a byte stream into them, over gaps as well.

use remora_model::Incomplete;

use crate::{Context, Ending, Problem, Role, Taken, seen::Seen};

/// Bytes at the end of unusable data in which the beginning of a message may lie.
const TAIL: usize = 128;

/// Bytes that a message whose texts fill the payload limit needs beside them.
const FRAMING: usize = 8 << 10;

/// What the front of a stream at a message boundary is.
pub(crate) enum Front<H> {
    /// Too few bytes to know the length.
    More,
    /// Not the beginning of a message.
    Bad,
    /// A message of that many bytes, and what it is, where that can be seen already.
    Message(u64, Option<H>),
}

/// What follows a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another one.
    On,
    /// Another protocol, in both directions.
    Handover,
}

/// How far the stream of one side has been read.
#[derive(Debug)]
pub(crate) struct Side<H> {
    lost: bool,
    open: Option<Open<H>>,
    /// Stream offset where a message ends of which a part is missing.
    pass: u64,
}

/// A message that is not whole yet.
#[derive(Clone, Copy, Debug)]
struct Open<H> {
    seen: Seen,
    end: u64,
    head: Option<H>,
}

impl<H> Default for Side<H> {
    fn default() -> Self {
        Self { lost: false, open: None, pass: 0 }
    }
}

impl<H> Side<H> {
    /// True in the middle of a message.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// True while it is known where messages begin.
    pub(crate) fn in_sync(&self) -> bool {
        !self.lost
    }
}

/// A protocol of such messages.
pub(crate) trait Framed {
    /// What the first bytes of a message tell of it.
    type Head: Copy;

    /// The state of one side.
    fn side(&mut self, role: Role) -> &mut Side<Self::Head>;

    /// Judges the bytes at a message boundary.
    fn front(bytes: &[u8]) -> Front<Self::Head>;

    /// Where in `bytes` a message of `role` certainly begins.
    fn find(&self, role: Role, bytes: &[u8]) -> Option<usize>;

    /// True when what follows in the stream of `role` must wait for the other side.
    fn holds(&self, _role: Role) -> bool {
        false
    }

    /// True when `bytes`, at a message boundary, begin what the protocol hides from here on.
    fn is_opaque(&self, _role: Role, _bytes: &[u8]) -> bool {
        false
    }

    /// Takes a message. Where it is `cut` the bytes are its beginning, and all that will be shown.
    fn message(&mut self, role: Role, bytes: &[u8], cut: bool, seen: Seen, cx: &mut Context<'_>) -> Next;

    /// Takes what is known of a message of which a part is missing.
    fn hole(&mut self, role: Role, head: Self::Head, seen: Seen, why: Incomplete, cx: &mut Context<'_>);

    /// Messages of `role` are missing, nobody knows which. Said again while more of them are.
    fn lost(&mut self, role: Role);
}

/// Bytes shown of a message that is too large to wait for: enough to fill the payload limit.
fn enough(cx: &Context<'_>) -> usize {
    cx.limits.payload.saturating_add(FRAMING).min(cx.limits.message_bytes / 2)
}

/// Reads what one side has sent.
pub(crate) fn data<F: Framed>(f: &mut F, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let side = f.side(role);
        side.open = None;
        let pass = side.pass.saturating_sub(cx.pos.saturating_add(at as u64));
        if pass > 0 {
            match usize::try_from(pass) {
                Ok(n) if n <= rest.len() => at += n,
                _ => return Taken::AndSkip(pass - rest.len() as u64),
            }
            continue;
        }
        if side.lost {
            let Some(n) = f.find(role, rest) else {
                let passed = rest.len().saturating_sub(TAIL);
                if passed > 0 {
                    cx.problem(Problem::Unsynced, passed as u64);
                }
                return Taken::Bytes(at + passed);
            };
            if n > 0 {
                cx.problem(Problem::Unsynced, n as u64);
                f.lost(role);
            }
            f.side(role).lost = false;
            at += n;
            continue;
        }
        if rest.is_empty() || f.holds(role) {
            return Taken::Bytes(at);
        }
        if f.is_opaque(role, rest) {
            cx.problem(Problem::Opaque, rest.len() as u64);
            return Taken::AndSkip(u64::MAX);
        }
        let (len, head) = match F::front(rest) {
            Front::More => return Taken::Bytes(at),
            Front::Bad => {
                cx.problem(Problem::Malformed, 1);
                f.side(role).lost = true;
                f.lost(role);
                at += 1;
                continue;
            }
            Front::Message(len, head) => (len, head),
        };
        let end = at.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
        if let Some(message) = bytes.get(at..end) {
            let seen = Seen::within(cx, at, end);
            at = end;
            match f.message(role, message, false, seen, cx) {
                Next::On => continue,
                Next::Handover => return Taken::Handover(at),
            }
        }
        let enough = enough(cx);
        if end - at > cx.limits.message_bytes / 2
            && let Some(beginning) = rest.get(..enough)
        {
            let mut seen = Seen::within(cx, at, at + enough);
            seen.bytes = i64::try_from(len).unwrap_or(i64::MAX);
            cx.problem(Problem::PayloadLimit, len - enough as u64);
            f.message(role, beginning, true, seen, cx);
            return Taken::AndSkip(len - rest.len() as u64);
        }
        let end = cx.pos.saturating_add(at as u64).saturating_add(len);
        f.side(role).open = Some(Open { seen: Seen::within(cx, at, at), end, head });
        return Taken::Bytes(at);
    }
}

/// Bytes are missing.
pub(crate) fn gap<F: Framed>(f: &mut F, role: Role, len: u64, cx: &mut Context<'_>) {
    let after = cx.pos.saturating_add(len);
    let side = f.side(role);
    let open = side.open.take();
    if side.lost {
        return f.lost(role);
    }
    if after <= side.pass {
        return;
    }
    side.pass = 0;
    match open {
        Some(open) if after <= open.end => {
            side.pass = open.end;
            if let Some(head) = open.head {
                let seen = Seen { last: cx.time_at(0).max(open.seen.first), ..open.seen };
                let bytes = i64::try_from(open.end).unwrap_or(i64::MAX).saturating_sub(seen.pos);
                f.hole(role, head, Seen { bytes, ..seen }, Incomplete::Gap, cx);
            } else {
                f.lost(role);
            }
        }
        open => {
            side.lost = true;
            if let Some(Open { seen, head: Some(head), .. }) = open {
                f.hole(role, head, seen, Incomplete::Gap, cx);
            }
            f.lost(role);
        }
    }
}

/// Nothing more comes from one side, which has sent `rest` of a message.
pub(crate) fn end<F: Framed>(f: &mut F, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
    let why = match how {
        Ending::Closed | Ending::Lost => Incomplete::Truncated,
        Ending::Reset => Incomplete::Reset,
    };
    let side = f.side(role);
    let lost = side.lost;
    match side.open.take() {
        Some(Open { seen, head: Some(head), .. }) => {
            f.hole(role, head, seen.until(cx, rest.len()), why, cx);
        }
        _ if rest.is_empty() => {}
        _ if lost => cx.problem(Problem::Unsynced, rest.len() as u64),
        _ if f.holds(role) => cx.problem(Problem::Opaque, rest.len() as u64),
        _ => cx.problem(Problem::Malformed, rest.len() as u64),
    }
}
