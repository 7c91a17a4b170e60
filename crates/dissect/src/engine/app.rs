//! The application side of a flow: detection first, then its dissector.

use remora_model::{Protocol, Timestamp, Transport};

use super::doze::Doze;
use super::env::{Env, count};
use super::stream::Stream;
use super::unknown::FirstBytes;
use crate::detect::{self, Choice, Entry, Excluded, Sample, Verdict};
use crate::dissector::{Tally, Times};
use crate::{Context, Dissector, Ending, Problem, Role, Taken};

/// Datagrams that are looked at before a flow's protocol counts as unknown.
const DATAGRAM_TRIES: u8 = 8;

/// Times that bytes may not fit a protocol, before a call was found, until the guess counts as
/// wrong: at once where there was a doubt.
const FAULTS_IN_DOUBT: u32 = 1;
const FAULTS_WHEN_CERTAIN: u32 = 3;

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

struct Active {
    entry: &'static Entry,
    dissector: Box<dyn Dissector>,
    /// The direction in which the client sends.
    client: usize,
    /// What has come of it so far.
    tally: Tally,
    /// Faults that are too many before the first call.
    too_many: u32,
}

/// What becomes of a flow after its dissector has looked at bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It reads on.
    On,
    /// What follows is another protocol.
    Handover,
    /// It was the wrong one.
    Wrong,
}

impl Active {
    fn role(&self, dir: usize) -> Role {
        if dir == self.client { Role::Client } else { Role::Server }
    }

    fn context<'a>(&self, env: &'a mut Env<'_>, pos: u64, times: Times<'a>) -> Context<'a> {
        env.context(self.client, pos, times)
    }

    /// Adds what has come of the bytes just shown, and says whether the guess was right.
    fn judge(&mut self, tally: Tally) -> Next {
        self.tally.calls = self.tally.calls.saturating_add(tally.calls);
        self.tally.faults = self.tally.faults.saturating_add(tally.faults);
        let wrong = self.tally.calls == 0 && self.tally.faults >= self.too_many;
        if wrong { Next::Wrong } else { Next::On }
    }
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
                    self.start(entry, client, certain, env);
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

    /// Looks at what has arrived. `last`: nothing more will come to decide by.
    fn detect(&mut self, last: bool, env: &mut Env<'_>) {
        let choice = self.choose(last, env);
        self.apply(choice, env);
    }

    fn choose(&self, last: bool, env: &Env<'_>) -> Choice {
        let sent = [self.streams[0].rest(), self.streams[1].rest()];
        if let Some((entry, client)) = pinned(env, sent).filter(|_| !self.handed_over) {
            return Choice::Found { entry, client, at: None, certain: true };
        }
        let limit = env.limits.detect_bytes.max(1);
        let samples = [0, 1].map(|dir| {
            let s = &self.streams[dir];
            Sample {
                bytes: &s.rest()[..s.rest().len().min(limit)],
                joined: s.joined,
                full: s.rest().len() >= limit,
                port: env.ends[dir].port,
            }
        });
        detect::stream(env.registry, self.excluded, &samples, self.opener, last)
    }

    fn apply(&mut self, choice: Choice, env: &mut Env<'_>) {
        match choice {
            Choice::Wait => self.pass_over(false, env),
            Choice::Unknown => self.give_up(env),
            Choice::PassOver => self.pass_over(true, env),
            Choice::Found { entry, client, at, certain } => {
                if let Some((dir, offset)) = at {
                    self.streams[dir].joined = false;
                    let passed = self.streams[dir].pos + offset as u64;
                    if passed > 0 {
                        env.problem(Problem::Unsynced, passed);
                    }
                    self.streams[dir].take(offset);
                }
                self.start(entry, client, certain, env);
            }
        }
    }

    /// Nothing was found yet in a connection joined in the middle: makes room for what follows.
    /// `full`: no more can be looked at together.
    fn pass_over(&mut self, full: bool, env: &Env<'_>) {
        let limit = env.limits.detect_bytes.max(1);
        if !self.streams.iter().any(|s| s.joined) {
            return;
        }
        let seen = self.streams.iter().map(|s| s.pos).max().unwrap_or(0);
        let tired = self.doze.tires(seen, limit, full);
        for (dir, s) in self.streams.iter_mut().enumerate() {
            if tired && !s.is_empty() {
                keep_first(&mut self.first, dir, s, env);
                s.clear();
                s.joined = true;
            } else if s.joined && s.rest().len() >= limit {
                keep_first(&mut self.first, dir, s, env);
                s.take(limit / 2);
            }
        }
    }

    /// Begins to dissect, with what has arrived so far.
    fn start(&mut self, entry: &'static Entry, client: usize, certain: bool, env: &mut Env<'_>) {
        let dissector = (entry.start)(env.limits, env.transport);
        self.found = Some((entry.protocol.name(), client));
        self.first = None;
        let is_pinned = |port| env.limits.pins.iter().any(|(pinned, _)| *pinned == port);
        let too_many = match certain {
            _ if env.ends.iter().any(|end| is_pinned(end.port)) => u32::MAX,
            true => FAULTS_WHEN_CERTAIN,
            false => FAULTS_IN_DOUBT,
        };
        let mut active = Active { entry, dissector, client, tally: Tally::default(), too_many };
        let mut next = Next::On;
        if env.transport == Transport::Tcp {
            // In the order in which they began to speak.
            let [a, b] = [&self.streams[client], &self.streams[1 - client]];
            let first = if b.is_empty() || a.oldest() <= b.oldest() { client } else { 1 - client };
            for dir in [first, 1 - first] {
                let stream = &mut self.streams[dir];
                if stream.joined {
                    stream.lost = Some(0);
                }
                if !stream.is_empty() {
                    next = show(&mut active, stream, dir, env);
                }
                if next != Next::On {
                    break;
                }
                if let Some(how) = stream.ended {
                    finish(&mut active, stream, dir, how, env);
                }
            }
        }
        self.state = State::Active(active);
        self.go(next, env);
    }
}

/// Keeps the first bytes of a stream, of which those are left that wait.
fn keep_first(first: &mut Option<Box<FirstBytes>>, dir: usize, stream: &Stream, env: &Env<'_>) {
    if env.limits.unknown_entries && env.transport == Transport::Tcp {
        first.get_or_insert_default().put(dir, stream.rest(), stream.oldest());
    }
}

/// The protocol that a setting gives to one of the flow's ports, and the direction in which its
/// client sends. Of several dissectors of it, as HTTP has for its versions, the first that does not
/// rule the bytes out.
fn pinned(env: &Env<'_>, sent: [&[u8]; 2]) -> Option<(&'static Entry, usize)> {
    // A port that is pinned to TLS says nothing about what is inside.
    let mut pins = env.limits.pins.iter().filter(|(_, protocol)| !env.tls || *protocol != Protocol::Tlsx);
    pins.find_map(|(port, protocol)| {
        let server = env.ends.iter().position(|end| end.port == *port)?;
        let fits = |e: &&Entry| protocol.is(e.protocol) && e.transports.contains(&env.transport);
        let may = |e: &&Entry| {
            let said = sent.iter().filter(|bytes| !bytes.is_empty());
            said.copied().all(|bytes| (e.probe)(bytes, env.transport) != Verdict::No)
        };
        let entries = || env.registry.iter().filter(fits);
        Some((entries().find(may).or_else(|| entries().next())?, 1 - server))
    })
}

/// The next bytes for a dissector.
fn feed(active: &mut Active, stream: &mut Stream, dir: usize, bytes: &[u8], env: &mut Env<'_>) -> Next {
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
fn show(active: &mut Active, stream: &mut Stream, dir: usize, env: &mut Env<'_>) -> Next {
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
fn bound(active: &mut Active, stream: &mut Stream, dir: usize, env: &mut Env<'_>) {
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

fn begin_skip(active: &mut Active, stream: &mut Stream, dir: usize, n: u64, env: &mut Env<'_>) {
    stream.skip = n;
    stream.skip_missing = 0;
    if n == 0 {
        skip_done(active, stream, dir, env);
    }
}

/// Counts off bytes that a dissector does not want. Says how many of the `len` they were.
fn skip(
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

fn skip_done(active: &mut Active, stream: &mut Stream, dir: usize, env: &mut Env<'_>) {
    let times = [(0, stream.newest)];
    let role = active.role(dir);
    let mut cx = active.context(env, stream.pos, Times(&times));
    active.dissector.skipped(role, stream.skip_missing, &mut cx);
}

/// Tells a dissector of `len` missing bytes.
fn lose(active: &mut Active, stream: &mut Stream, dir: usize, len: u64, env: &mut Env<'_>) {
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
fn resync(active: &mut Active, stream: &mut Stream, dir: usize, env: &mut Env<'_>) -> bool {
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
fn finish(active: &mut Active, stream: &mut Stream, dir: usize, how: Ending, env: &mut Env<'_>) {
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
