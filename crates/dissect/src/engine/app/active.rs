//! A dissector at work: it is shown what arrives, told what is missing, and judged by what comes of it.

use super::super::env::Env;
use super::super::stream::Stream;
use crate::detect::Entry;
use crate::dissector::{Tally, Times};
use crate::{Context, Dissector, Ending, Problem, Role, Taken};

/// The dissector of a flow.
pub(super) struct Active {
    pub(super) entry: &'static Entry,
    pub(super) dissector: Box<dyn Dissector>,
    /// The direction in which the client sends.
    pub(super) client: usize,
    /// What has come of it so far.
    pub(super) tally: Tally,
    /// Faults that are too many before the first call.
    pub(super) too_many: u32,
}

/// What becomes of a flow after its dissector has looked at bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It reads on.
    On,
    /// What follows is another protocol.
    Handover,
    /// It was the wrong one.
    Wrong,
}

impl Active {
    pub(super) fn role(&self, dir: usize) -> Role {
        if dir == self.client { Role::Client } else { Role::Server }
    }

    pub(super) fn context<'a>(&self, env: &'a mut Env<'_>, pos: u64, times: Times<'a>) -> Context<'a> {
        env.context(self.client, pos, times)
    }

    /// Adds what has come of the bytes just shown, and says whether the guess was right.
    pub(super) fn judge(&mut self, tally: Tally) -> Next {
        self.tally.calls = self.tally.calls.saturating_add(tally.calls);
        self.tally.faults = self.tally.faults.saturating_add(tally.faults);
        let wrong = self.tally.calls == 0 && self.tally.faults >= self.too_many;
        if wrong { Next::Wrong } else { Next::On }
    }
}

/// The next bytes for a dissector.
pub(super) fn feed(
    active: &mut Active,
    stream: &mut Stream,
    dir: usize,
    bytes: &[u8],
    env: &mut Env<'_>,
) -> Next {
    let skipped = skip(active, stream, dir, bytes.len() as u64, false, env);
    let bytes = &bytes[usize::try_from(skipped).unwrap_or(bytes.len())..];
    if bytes.is_empty() {
        return Next::On;
    }
    if stream.lost.is_some() || !stream.is_empty() {
        stream.push(bytes);
        return show(active, stream, dir, env);
    }
    // The fast path: nothing waits, so the packet's own bytes are shown.
    let times = [(0, stream.newest)];
    let role = active.role(dir);
    let mut cx = active.context(env, stream.pos, Times(&times));
    let taken = active.dissector.data(role, bytes, &mut cx);
    let tally = cx.tally;
    if active.judge(tally) == Next::Wrong {
        stream.push(bytes);
        return Next::Wrong;
    }
    match taken {
        Taken::Bytes(n) => {
            let n = n.min(bytes.len());
            stream.pos += n as u64;
            if n < bytes.len() {
                stream.push(&bytes[n..]);
                bound(active, stream, dir, env);
            }
        }
        Taken::AndSkip(n) => {
            stream.pos += bytes.len() as u64;
            begin_skip(active, stream, dir, n, env);
        }
        Taken::Handover(n) => {
            let n = n.min(bytes.len());
            stream.pos += n as u64;
            stream.push(&bytes[n..]);
            return Next::Handover;
        }
    }
    Next::On
}

/// Shows a dissector what waits.
pub(super) fn show(active: &mut Active, stream: &mut Stream, dir: usize, env: &mut Env<'_>) -> Next {
    if stream.lost.is_some() && !resync(active, stream, dir, env) {
        return Next::On;
    }
    let role = active.role(dir);
    let mut cx = active.context(env, stream.pos, stream.times());
    let taken = active.dissector.data(role, stream.rest(), &mut cx);
    let tally = cx.tally;
    if active.judge(tally) == Next::Wrong {
        return Next::Wrong;
    }
    match taken {
        Taken::Bytes(n) => {
            stream.take(n);
            bound(active, stream, dir, env);
        }
        Taken::AndSkip(n) => {
            stream.clear();
            begin_skip(active, stream, dir, n, env);
        }
        Taken::Handover(n) => {
            stream.take(n);
            return Next::Handover;
        }
    }
    Next::On
}

/// Gives up on a message that is too large to wait for.
pub(super) fn bound(active: &mut Active, stream: &mut Stream, dir: usize, env: &mut Env<'_>) {
    if stream.rest().len() > env.limits.message_bytes {
        let len = stream.rest().len() as u64;
        env.problem(Problem::MessageTooLarge, len);
        let role = active.role(dir);
        let mut cx = active.context(env, stream.pos, stream.times());
        active.dissector.gap(role, len, &mut cx);
        stream.clear();
        stream.lost = (!active.dissector.in_sync(role)).then_some(0);
    }
}

pub(super) fn begin_skip(active: &mut Active, stream: &mut Stream, dir: usize, n: u64, env: &mut Env<'_>) {
    stream.skip = n;
    stream.skip_missing = 0;
    if n == 0 {
        skip_done(active, stream, dir, env);
    }
}

/// Counts off bytes that a dissector does not want. Says how many of the `len` they were.
pub(super) fn skip(
    active: &mut Active,
    stream: &mut Stream,
    dir: usize,
    len: u64,
    missing: bool,
    env: &mut Env<'_>,
) -> u64 {
    if stream.skip == 0 {
        return 0;
    }
    let n = stream.count_off(len, missing);
    if stream.skip == 0 {
        skip_done(active, stream, dir, env);
    }
    n
}

pub(super) fn skip_done(active: &mut Active, stream: &mut Stream, dir: usize, env: &mut Env<'_>) {
    let times = [(0, stream.newest)];
    let role = active.role(dir);
    let mut cx = active.context(env, stream.pos, Times(&times));
    active.dissector.skipped(role, stream.skip_missing, &mut cx);
}

/// Tells a dissector of `len` missing bytes.
pub(super) fn lose(active: &mut Active, stream: &mut Stream, dir: usize, len: u64, env: &mut Env<'_>) {
    // Bytes passed over while searching were never shown: they are part of what is missing.
    let searched = stream.lost.map_or(0, |n| n + stream.rest().len() as u64);
    if searched > 0 {
        env.problem(Problem::Unsynced, searched);
    }
    let role = active.role(dir);
    let times = [(0, stream.newest)];
    let pos = stream.pos + stream.rest().len() as u64;
    let mut cx = active.context(env, pos.saturating_sub(searched), Times(&times));
    active.dissector.gap(role, searched + len, &mut cx);
    stream.clear();
    stream.pos += len;
    stream.lost = (!active.dissector.in_sync(role)).then_some(0);
}

/// Looks for the beginning of a message. True when the waiting bytes now begin with one.
pub(super) fn resync(active: &mut Active, stream: &mut Stream, dir: usize, env: &mut Env<'_>) -> bool {
    let Some(lost) = stream.lost else { return true };
    let role = active.role(dir);
    if let Some(at) = (active.entry.resync)(stream.rest(), role).filter(|&at| at < stream.rest().len()) {
        let passed = lost + at as u64;
        stream.take(at);
        stream.lost = None;
        if passed > 0 {
            env.problem(Problem::Unsynced, passed);
            let mut cx = active.context(env, stream.pos - passed, stream.times());
            active.dissector.gap(role, passed, &mut cx);
        }
        return true;
    }
    // A message may begin in the last bytes: keep as many as detection would look at.
    let keep = env.limits.detect_bytes.max(1);
    if stream.rest().len() >= 2 * keep {
        let n = stream.rest().len() - keep;
        stream.take(n);
        stream.lost = Some(lost + n as u64);
    }
    false
}

/// Ends one direction for a dissector.
pub(super) fn finish(active: &mut Active, stream: &mut Stream, dir: usize, how: Ending, env: &mut Env<'_>) {
    let role = active.role(dir);
    if let Some(lost) = stream.lost.take() {
        let passed = lost + stream.clear();
        if passed > 0 {
            env.problem(Problem::Unsynced, passed);
            let times = [(0, stream.newest)];
            let mut cx = active.context(env, stream.pos - passed, Times(&times));
            active.dissector.gap(role, passed, &mut cx);
        }
    }
    let times = [(0, stream.newest)];
    let times = if stream.is_empty() { Times(&times) } else { stream.times() };
    let mut cx = active.context(env, stream.pos, times);
    active.dissector.end(role, stream.rest(), how, &mut cx);
    stream.clear();
}
