//! The application side of a flow: detection first, then its dissector.

mod active;
mod choice;

use remora_model::Timestamp;

use super::doze::Doze;
use super::env::{Env, count};
use super::stream::Stream;
use super::unknown::FirstBytes;
use crate::detect::{self, Choice, Excluded};
use crate::dissector::Times;
use crate::{Ending, Problem, Role};
use active::{Active, Next, feed, finish, lose, skip};
use choice::{keep_first, pinned};

/// Datagrams that are looked at before a flow's protocol counts as unknown.
const DATAGRAM_TRIES: u8 = 8;

/// Changes of the protocol in one flow, after which nobody reads on.
const MAX_CHANGES: u8 = 8;

/// Where a flow stands.
enum State {
    /// Its protocol is not known yet. Counts datagrams that said nothing.
    Detecting(u8),
    /// It is being dissected.
    Active(Active),
    /// Nobody reads it: unknown protocol, or out of budget.
    Opaque,
}

/// Both directions of a flow with what reads them.
pub(crate) struct App {
    state: State,
    streams: [Stream; 2],
    /// The direction that opened the connection, where that was seen.
    opener: Option<usize>,
    doze: Doze,
    /// The protocol that was found, and the direction in which its client sends. Outlives the
    /// dissector.
    found: Option<(&'static str, usize)>,
    /// The protocol that was found inside that one, as long as there is no dissector to ask.
    inside: Option<&'static str>,
    /// Protocols that it has turned out not to be.
    excluded: Excluded,
    /// It is not what it began as: a pinned port says nothing any more.
    handed_over: bool,
    /// How often its protocol has changed.
    changes: u8,
    /// What it began with, where its protocol was not recognised.
    first: Option<Box<FirstBytes>>,
}

impl App {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Detecting(0),
            streams: Default::default(),
            opener: None,
            doze: Doze::default(),
            found: None,
            inside: None,
            excluded: Excluded::default(),
            handed_over: false,
            changes: 0,
            first: None,
        }
    }

    /// What is known of a flow whose protocol was not recognised: its first bytes, and how many there were
    /// by direction.
    pub(super) fn unknown(&self) -> Option<(Option<&FirstBytes>, [u64; 2])> {
        let sent = [0, 1].map(|dir| self.streams[dir].pos + self.streams[dir].rest().len() as u64);
        self.found.is_none().then_some((self.first.as_deref(), sent))
    }

    /// True when nobody reads it, or will.
    pub(super) fn is_opaque(&self) -> bool {
        matches!(self.state, State::Opaque)
    }

    /// The direction in which the client sends, once a protocol has said so.
    pub(super) fn client(&self) -> Option<usize> {
        self.found.map(|(_, client)| client)
    }

    /// Name of the protocol found.
    pub(crate) fn protocol(&self) -> Option<&'static str> {
        self.found.map(|(name, _)| name)
    }

    /// Name of the protocol found inside that one.
    pub(super) fn inside(&self) -> Option<&'static str> {
        match &self.state {
            State::Active(active) => active.dissector.inside(),
            _ => self.inside,
        }
    }

    pub(crate) fn set_opener(&mut self, dir: usize) {
        self.opener = Some(dir);
    }

    pub(crate) fn is_busy(&self) -> bool {
        match &self.state {
            State::Active(a) => a.dissector.is_busy() || self.streams.iter().any(|s| !s.is_empty()),
            State::Detecting(_) => self.streams.iter().any(|s| !s.is_empty()),
            State::Opaque => false,
        }
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        let dissector = match &self.state {
            State::Active(a) => a.dissector.memory(),
            _ => 0,
        };
        let first = self.first.as_ref().map_or(0, |f| f.memory());
        dissector + first + self.streams[0].memory() + self.streams[1].memory()
    }

    /// How many of the next bytes of `dir` need not be kept.
    pub(crate) fn unwanted(&self, dir: usize) -> u64 {
        match self.state {
            State::Opaque if self.first.as_ref().is_some_and(|f| f.wants(dir)) => 0,
            State::Opaque => u64::MAX,
            _ => self.streams[dir].skip,
        }
    }

    /// How many of the next bytes of `dir` a dissector has asked to skip: other than
    /// [`unwanted`](Self::unwanted), nothing for a flow that nobody reads.
    pub(super) fn skipping(&self, dir: usize) -> u64 {
        self.streams[dir].skip
    }

    /// The stream of `dir` does not begin with its first byte.
    pub(super) fn joined(&mut self, dir: usize) {
        self.streams[dir].joined = true;
    }

    /// The next bytes of a stream.
    pub(crate) fn data(&mut self, dir: usize, bytes: &[u8], ts: Timestamp, env: &mut Env<'_>) {
        let stream = &mut self.streams[dir];
        stream.arrived(ts);
        let (registry, front) = (env.registry, bytes.get(..env.limits.detect_bytes).unwrap_or(bytes));
        let certain = || detect::is_certain(registry, front);
        match &mut self.state {
            State::Opaque => {
                stream.pos += bytes.len() as u64;
                if let Some(first) = &mut self.first {
                    first.put(dir, bytes, ts);
                }
            }
            State::Detecting(_) if self.doze.passes(dir, bytes.len(), certain) => {
                stream.pos += bytes.len() as u64;
                stream.joined = true;
                if let Some(first) = &mut self.first {
                    first.put(dir, bytes, ts);
                }
            }
            State::Detecting(_) => {
                stream.push(bytes);
                self.detect(false, env);
            }
            State::Active(active) => {
                let next = feed(active, stream, dir, bytes, env);
                self.go(next, env);
            }
        }
    }

    /// Does what a dissector's look at bytes demands.
    fn go(&mut self, next: Next, env: &mut Env<'_>) {
        match next {
            Next::On => return,
            Next::Handover => {
                if let State::Active(active) = &mut self.state {
                    // The client's side first: what the server's end reports may answer it.
                    for dir in [active.client, 1 - active.client] {
                        let times = [(0, self.streams[dir].newest)];
                        let role = active.role(dir);
                        let mut cx = active.context(env, self.streams[dir].pos, Times(&times));
                        active.dissector.end(role, &[], Ending::Closed, &mut cx);
                    }
                }
                self.excluded = Excluded::default();
                self.handed_over = true;
            }
            Next::Wrong => {
                if let State::Active(active) = &self.state {
                    self.excluded.insert(env.registry, active.entry);
                }
                self.found = None;
            }
        }
        for stream in &mut self.streams {
            // What a wrong guess has taken is gone.
            stream.joined = next == Next::Wrong && (stream.joined || stream.pos > 0);
            stream.skip = 0;
            stream.lost = None;
        }
        self.doze = Doze::default();
        self.changes += 1;
        if self.changes > MAX_CHANGES {
            return self.give_up(env);
        }
        self.state = State::Detecting(0);
        self.detect(false, env);
        if self.streams.iter().all(|s| s.ended.is_some()) && matches!(self.state, State::Detecting(_)) {
            self.detect(true, env);
            if matches!(self.state, State::Detecting(_)) {
                self.give_up(env);
            }
        }
    }

    /// The next `len` bytes of a stream are missing.
    pub(crate) fn gap(&mut self, dir: usize, len: u64, env: &mut Env<'_>) {
        *env.missing = env.missing.saturating_add(count(len));
        if let State::Detecting(_) = self.state
            && let found @ Choice::Found { .. } = self.choose(true, env)
        {
            // What came before the gap was enough.
            self.apply(found, env);
        }
        let stream = &mut self.streams[dir];
        match &mut self.state {
            State::Opaque => {
                stream.pos += len;
                env.problem(Problem::StreamGap, len);
            }
            State::Detecting(_) => {
                keep_first(&mut self.first, dir, stream, env);
                stream.clear();
                stream.pos += len;
                stream.joined = true;
                env.problem(Problem::StreamGap, len);
            }
            State::Active(active) => {
                let len = len - skip(active, stream, dir, len, true, env);
                if len > 0 {
                    env.problem(Problem::StreamGap, len);
                    lose(active, stream, dir, len, env);
                }
            }
        }
    }

    /// The next `len` bytes were seen and not kept, because they were unwanted.
    pub(super) fn passed(&mut self, dir: usize, len: u64, env: &mut Env<'_>) {
        let stream = &mut self.streams[dir];
        match &mut self.state {
            State::Opaque => stream.pos += len,
            State::Detecting(_) => self.gap(dir, len, env),
            State::Active(active) => {
                let len = len - skip(active, stream, dir, len, false, env);
                if len > 0 {
                    self.gap(dir, len, env);
                }
            }
        }
    }

    /// A stream, or one side of a datagram flow, is over.
    pub(crate) fn end(&mut self, dir: usize, how: Ending, env: &mut Env<'_>) {
        if self.streams[dir].ended.is_some() {
            return;
        }
        self.streams[dir].ended = Some(how);
        let over = self.streams.iter().all(|s| s.ended.is_some());
        match &mut self.state {
            State::Active(active) => finish(active, &mut self.streams[dir], dir, how, env),
            State::Detecting(_) if over => {
                self.detect(true, env);
                if let State::Detecting(_) = self.state {
                    self.give_up(env);
                }
            }
            State::Detecting(_) | State::Opaque => {}
        }
    }

    /// One datagram.
    pub(super) fn datagram(&mut self, dir: usize, bytes: &[u8], ts: Timestamp, env: &mut Env<'_>) {
        self.streams[dir].arrived(ts);
        if let State::Detecting(tries) = &mut self.state {
            let sample = &bytes[..bytes.len().min(env.limits.detect_bytes)];
            let sent = if dir == 0 { [sample, &[]] } else { [&[], sample] };
            let found = match pinned(env, sent) {
                Some((entry, client)) => {
                    Some((entry, if client == dir { Role::Client } else { Role::Server }, true))
                }
                None => {
                    let ports = [env.ends[dir].port, env.ends[1 - dir].port];
                    detect::datagram(env.registry, self.excluded, env.transport, sample, ports)
                }
            };
            match found {
                Some((entry, role, certain)) => {
                    let client = if role == Role::Client { dir } else { 1 - dir };
                    self.start(entry, client, certain, [false; 2], env);
                }
                None => {
                    *tries += 1;
                    let undecided = *tries < DATAGRAM_TRIES;
                    if env.limits.unknown_entries {
                        self.first.get_or_insert_default().put(dir, bytes, ts);
                    }
                    self.streams[dir].pos += bytes.len() as u64;
                    if !undecided {
                        self.give_up(env);
                    }
                    return;
                }
            }
        }
        let stream = &mut self.streams[dir];
        if let State::Active(active) = &mut self.state {
            let times = [(0, stream.newest)];
            let role = active.role(dir);
            let mut cx = active.context(env, stream.pos, Times(&times));
            active.dissector.data(role, bytes, &mut cx);
            let tally = cx.tally;
            if active.judge(tally) == Next::Wrong {
                self.excluded.insert(env.registry, active.entry);
                self.found = None;
                self.changes += 1;
                self.state = if self.changes > MAX_CHANGES { State::Opaque } else { State::Detecting(0) };
            }
        }
        stream.pos += bytes.len() as u64;
    }

    /// True while [`tick`](Self::tick) may do something.
    pub(crate) fn awaits_time(&self) -> bool {
        match &self.state {
            State::Active(active) => active.dissector.awaits_time(),
            State::Detecting(_) | State::Opaque => false,
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Timestamp, env: &mut Env<'_>) {
        if let State::Active(active) = &mut self.state {
            let times = [(0, now)];
            let mut cx = active.context(env, 0, Times(&times));
            active.dissector.tick(now, &mut cx);
        }
    }

    /// Gives all memory back: the dissector reports what it has and nobody reads on. Says how
    /// much memory it was.
    pub(super) fn shed(&mut self, env: &mut Env<'_>) -> usize {
        let held = self.memory();
        for dir in [0, 1] {
            if let (State::Active(active), None) = (&mut self.state, self.streams[dir].ended) {
                finish(active, &mut self.streams[dir], dir, Ending::Lost, env);
            }
        }
        self.forget();
        held
    }

    /// Frees what a flow that is over does not need any more.
    pub(super) fn forget(&mut self) {
        self.inside = self.inside();
        self.state = State::Opaque;
        for stream in &mut self.streams {
            stream.forget();
        }
    }

    fn give_up(&mut self, env: &mut Env<'_>) {
        let seen: u64 = self.streams.iter().map(|s| s.pos + s.rest().len() as u64).sum();
        if seen > 0 {
            env.problem(Problem::UnknownProtocol, seen);
        }
        if self.found.is_none() {
            for (dir, stream) in self.streams.iter_mut().enumerate() {
                keep_first(&mut self.first, dir, stream, env);
                stream.clear();
            }
        }
        self.forget();
    }
}
