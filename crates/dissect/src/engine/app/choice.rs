//! Which protocol a flow speaks: when to look, and what to do with the answer.

use remora_model::{Protocol, Transport};

use super::super::env::Env;
use super::super::stream::Stream;
use super::super::unknown::FirstBytes;
use super::active::{Active, Next, finish, show};
use super::{App, State};
use crate::Problem;
use crate::detect::{self, Choice, Entry, Sample, Verdict};
use crate::dissector::Tally;

/// Times that bytes may not fit a protocol, before a call was found, until the guess counts as
/// wrong: at once where there was a doubt.
const FAULTS_IN_DOUBT: u32 = 1;
const FAULTS_WHEN_CERTAIN: u32 = 3;

impl App {
    /// Looks at what has arrived. `last`: nothing more will come to decide by.
    pub(super) fn detect(&mut self, last: bool, env: &mut Env<'_>) {
        let choice = self.choose(last, env);
        self.apply(choice, env);
    }

    pub(super) fn choose(&self, last: bool, env: &Env<'_>) -> Choice {
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

    pub(super) fn apply(&mut self, choice: Choice, env: &mut Env<'_>) {
        match choice {
            Choice::Wait => self.pass_over(false, env),
            Choice::Unknown => self.give_up(env),
            Choice::PassOver => self.pass_over(true, env),
            Choice::Found { entry, client, at, certain } => {
                let joined = [0, 1].map(|dir| self.streams[dir].joined);
                if let Some((dir, offset)) = at {
                    self.streams[dir].joined = false;
                    let passed = self.streams[dir].pos + offset as u64;
                    if passed > 0 {
                        env.problem(Problem::Unsynced, passed);
                    }
                    self.streams[dir].take(offset);
                }
                self.start(entry, client, certain, joined, env);
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

    /// Begins to dissect, with what has arrived so far. `joined`: these streams do not begin with
    /// their first byte.
    pub(super) fn start(
        &mut self,
        entry: &'static Entry,
        client: usize,
        certain: bool,
        joined: [bool; 2],
        env: &mut Env<'_>,
    ) {
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
        let searches =
            [0, 1].map(|dir| joined[dir] && active.dissector.joined(active.role(dir), self.streams[dir].pos));
        let mut next = Next::On;
        if env.transport == Transport::Tcp {
            // In the order in which they began to speak.
            let [a, b] = [&self.streams[client], &self.streams[1 - client]];
            let first = if b.is_empty() || a.oldest() <= b.oldest() { client } else { 1 - client };
            for dir in [first, 1 - first] {
                let stream = &mut self.streams[dir];
                if stream.joined && !searches[dir] {
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
pub(super) fn keep_first(first: &mut Option<Box<FirstBytes>>, dir: usize, stream: &Stream, env: &Env<'_>) {
    if env.limits.unknown_entries && env.transport == Transport::Tcp {
        first.get_or_insert_default().put(dir, stream.rest(), stream.oldest());
    }
}

/// The protocol that a setting gives to one of the flow's ports, and the direction in which its
/// client sends. Of several dissectors of it, as HTTP has for its versions, the first that does not
/// rule the bytes out.
pub(super) fn pinned(env: &Env<'_>, sent: [&[u8]; 2]) -> Option<(&'static Entry, usize)> {
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
