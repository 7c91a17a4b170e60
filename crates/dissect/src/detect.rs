//! Which protocol is this? Decided by content, from both directions; ports are hints at most.

use remora_model::{Protocol, Transport};

use crate::{Dissector, Limits, Role};

/// What a protocol says of the first bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Certainly this protocol, and the sender has this role.
    Match(Role),
    /// Could be; more bytes, or the other direction, will tell. Carries the role that the sender
    /// would have.
    Likely(Role),
    /// Too few bytes to say anything.
    NeedMore,
    /// Certainly not.
    No,
}

/// A protocol's entry in the registry.
pub struct Entry {
    /// The protocol.
    pub protocol: Protocol,
    /// The transports it is looked for on.
    pub transports: &'static [Transport],
    /// Judges the first bytes (for datagrams: one whole datagram) of one direction. Sees at most
    /// [`Limits::detect_bytes`]. Must not say `NeedMore` to that many bytes.
    pub probe: fn(bytes: &[u8], transport: Transport) -> Verdict,
    /// Finds where in `bytes` a message of `role` may begin, to join after a gap or in the middle
    /// of a connection. `None`: not in these bytes.
    pub resync: fn(bytes: &[u8], role: Role) -> Option<usize>,
    /// Makes a dissector for one flow.
    pub start: fn(limits: &Limits, transport: Transport) -> Box<dyn Dissector>,
}

/// Every protocol that is dissected, in order of preference where two claim the same bytes.
pub static REGISTRY: &[Entry] = &[
    crate::http::ENTRY,
    crate::dns::ENTRY,
    crate::redis::ENTRY,
    crate::http2::ENTRY,
    crate::mysql::ENTRY,
    crate::postgresql::ENTRY,
    crate::kafka::ENTRY,
];

/// What has arrived of one direction of a stream.
pub(crate) struct Sample<'a> {
    /// Its first bytes, at most [`Limits::detect_bytes`].
    pub(crate) bytes: &'a [u8],
    /// They do not begin where the stream begins.
    pub(crate) joined: bool,
    /// As many as detection may look at.
    pub(crate) full: bool,
}

/// The outcome of looking at both directions of a stream.
pub(crate) enum Choice {
    /// More bytes will tell.
    Wait,
    /// A joined stream shows nothing yet; old bytes may be forgotten.
    PassOver,
    /// No protocol claims it.
    Unknown,
    /// It is this one.
    Found {
        /// The protocol.
        entry: &'static Entry,
        /// The direction in which the client sends.
        client: usize,
        /// The direction that decided, if it was one that was joined in the middle, and where in
        /// its sample the first message begins.
        at: Option<(usize, usize)>,
    },
}

/// Judges a stream by the first bytes of both directions.
///
/// 1. The first entry of which a direction says [`Verdict::Match`] is it, whatever the other
///    direction looks like.
/// 2. Else the first entry of which both directions say [`Verdict::Likely`] with opposite roles.
/// 3. When nothing more can be looked at (`last`, or a direction is full): the first entry that
///    one direction, seen from its start, finds likely and the other does not rule out.
///
/// A `Likely` counts as `No` when its role contradicts who opened the connection (`opener`, where
/// the SYN was seen); a `Match` is believed even then. In a direction that was joined in the
/// middle `No` proves nothing: there [`Entry::resync`] looks for the beginning of a message,
/// which must then match.
pub(crate) fn stream(
    registry: &'static [Entry],
    samples: &[Sample<'_>; 2],
    opener: Option<usize>,
    last: bool,
) -> Choice {
    let fits = |e: &&'static Entry| e.transports.contains(&Transport::Tcp);
    let client = |dir: usize, role: Role| if role == Role::Client { dir } else { 1 - dir };
    let decide = last || samples.iter().any(|s| s.full);
    let (mut both, mut one, mut open) = (None, None, false);
    for entry in registry.iter().filter(fits) {
        let mut verdicts = [Verdict::NeedMore; 2];
        for (dir, sample) in samples.iter().enumerate().filter(|(_, s)| !s.bytes.is_empty()) {
            verdicts[dir] = match (entry.probe)(sample.bytes, Transport::Tcp) {
                Verdict::Match(role) => {
                    let at = sample.joined.then_some((dir, 0));
                    return Choice::Found { entry, client: client(dir, role), at };
                }
                Verdict::Likely(role) if opener.is_some_and(|o| o != client(dir, role)) => Verdict::No,
                Verdict::No if sample.joined => Verdict::NeedMore,
                verdict => verdict,
            };
        }
        match verdicts {
            [Verdict::Likely(a), Verdict::Likely(b)] if a != b => {
                both.get_or_insert((entry, client(0, a)));
            }
            [Verdict::No, _] | [_, Verdict::No] | [Verdict::Likely(_), Verdict::Likely(_)] => continue,
            [Verdict::Likely(role), _] if !samples[0].joined => {
                one.get_or_insert((entry, client(0, role)));
            }
            [_, Verdict::Likely(role)] if !samples[1].joined => {
                one.get_or_insert((entry, client(1, role)));
            }
            _ => {}
        }
        open = true;
    }
    if let Some((entry, client)) = both.or(one.filter(|_| decide)) {
        return Choice::Found { entry, client, at: None };
    }
    let joined = samples.iter().any(|s| s.joined && !s.bytes.is_empty());
    if joined && let Some(found) = join(registry, samples) {
        return found;
    }
    match (open, joined) {
        (false, _) => Choice::Unknown,
        (true, true) if decide => Choice::PassOver,
        (true, false) if decide => Choice::Unknown,
        _ => Choice::Wait,
    }
}

/// Looks for the beginning of a message in directions that were joined in the middle.
fn join(registry: &'static [Entry], samples: &[Sample<'_>; 2]) -> Option<Choice> {
    for entry in registry.iter().filter(|e| e.transports.contains(&Transport::Tcp)) {
        for (dir, sample) in samples.iter().enumerate().filter(|(_, s)| s.joined) {
            for role in [Role::Client, Role::Server] {
                let Some(at) = (entry.resync)(sample.bytes, role) else { continue };
                let Some(rest) = sample.bytes.get(at..) else { continue };
                if (entry.probe)(rest, Transport::Tcp) == Verdict::Match(role) {
                    let client = if role == Role::Client { dir } else { 1 - dir };
                    return Some(Choice::Found { entry, client, at: Some((dir, at)) });
                }
            }
        }
    }
    None
}

/// Judges one datagram: the first entry that is certain, else the first that finds it likely.
pub(crate) fn datagram(registry: &'static [Entry], bytes: &[u8]) -> Option<(&'static Entry, Role)> {
    let mut likely = None;
    for entry in registry.iter().filter(|e| e.transports.contains(&Transport::Udp)) {
        match (entry.probe)(bytes, Transport::Udp) {
            Verdict::Match(role) => return Some((entry, role)),
            Verdict::Likely(role) => {
                likely.get_or_insert((entry, role));
            }
            Verdict::NeedMore | Verdict::No => {}
        }
    }
    likely
}
