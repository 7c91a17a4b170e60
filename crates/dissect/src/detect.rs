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
    /// Ports on which it is usually served, which decide where two protocols are equally likely.
    pub ports: &'static [u16],
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
    crate::tls::ENTRY,
    crate::dns::ENTRY,
    crate::redis::ENTRY,
    crate::http2::ENTRY,
    crate::mysql::ENTRY,
    crate::postgresql::ENTRY,
    crate::kafka::ENTRY,
    crate::amqp::ENTRY,
    crate::mqtt::ENTRY,
    crate::nats::ENTRY,
    crate::ws::ENTRY,
    crate::mongodb::ENTRY,
    crate::memcached::ENTRY,
    crate::cassandra::ENTRY,
    crate::icmp::ENTRY,
    crate::ldap::ENTRY,
    crate::radius::ENTRY,
    crate::diameter::ENTRY,
    crate::smtp::ENTRY,
];

/// What has arrived of one direction of a stream.
pub(crate) struct Sample<'a> {
    /// Its first bytes, at most [`Limits::detect_bytes`].
    pub(crate) bytes: &'a [u8],
    /// They do not begin where the stream begins.
    pub(crate) joined: bool,
    /// As many as detection may look at.
    pub(crate) full: bool,
    /// The port of its sender.
    pub(crate) port: u16,
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
        /// The bytes left no doubt.
        certain: bool,
    },
}

/// Protocols that a flow has turned out not to speak, by their place in the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excluded(u64);

impl Excluded {
    /// Leaves `entry` out from now on.
    pub(crate) fn insert(&mut self, registry: &[Entry], entry: &Entry) {
        if let Some(i) = registry.iter().position(|e| std::ptr::eq(e, entry)) {
            self.0 |= 1_u64.checked_shl(u32::try_from(i).unwrap_or(u32::MAX)).unwrap_or(0);
        }
    }

    /// The entries for `transport` that are left.
    fn left(self, registry: &'static [Entry], transport: Transport) -> impl Iterator<Item = &'static Entry> {
        let left = move |i: usize| i >= 64 || self.0 >> i & 1 == 0;
        registry
            .iter()
            .enumerate()
            .filter(move |(i, e)| left(*i) && e.transports.contains(&transport))
            .map(|(_, e)| e)
    }
}

/// The best candidate so far: the first one, unless a later one is served on that port.
struct Best<T>(Option<(T, bool)>);

impl<T> Best<T> {
    fn offer(&mut self, candidate: T, entry: &Entry, port: u16) {
        let hinted = entry.ports.contains(&port);
        if self.0.as_ref().is_none_or(|(_, before)| hinted && !before) {
            self.0 = Some((candidate, hinted));
        }
    }

    fn take(self) -> Option<T> {
        self.0.map(|(candidate, _)| candidate)
    }
}

/// Judges a stream by the first bytes of both directions.
///
/// 1. The first entry of which a direction says [`Verdict::Match`] is it, whatever the other
///    direction looks like.
/// 2. Else the first entry of which both directions say [`Verdict::Likely`] with opposite roles.
/// 3. When nothing more can be looked at (`last`, or a direction is full): the first entry that
///    one direction, seen from its start, finds likely and the other does not rule out.
///
/// Of several at the same step one that is served on the server's port ([`Entry::ports`]) comes
/// first.
///
/// A `Likely` counts as `No` when its role contradicts who opened the connection (`opener`, where
/// the SYN was seen); a `Match` is believed even then. In a direction that was joined in the
/// middle `No` proves nothing: there [`Entry::resync`] looks for the beginning of a message,
/// which must then match.
pub(crate) fn stream(
    registry: &'static [Entry],
    excluded: Excluded,
    samples: &[Sample<'_>; 2],
    opener: Option<usize>,
    last: bool,
) -> Choice {
    let client = |dir: usize, role: Role| if role == Role::Client { dir } else { 1 - dir };
    let port = |client: usize| samples[1 - client].port;
    let decide = last || samples.iter().any(|s| s.full);
    let (mut sure, mut both, mut one, mut open) = (Best(None), Best(None), Best(None), false);
    for entry in excluded.left(registry, Transport::Tcp) {
        let mut verdicts = [Verdict::NeedMore; 2];
        for (dir, sample) in samples.iter().enumerate().filter(|(_, s)| !s.bytes.is_empty()) {
            verdicts[dir] = match (entry.probe)(sample.bytes, Transport::Tcp) {
                Verdict::Match(role) => {
                    let at = sample.joined.then_some((dir, 0));
                    let client = client(dir, role);
                    sure.offer(Choice::Found { entry, client, at, certain: true }, entry, port(client));
                    continue;
                }
                Verdict::Likely(role) if opener.is_some_and(|o| o != client(dir, role)) => Verdict::No,
                Verdict::No if sample.joined => Verdict::NeedMore,
                verdict => verdict,
            };
        }
        let found = |client: usize| Choice::Found { entry, client, at: None, certain: false };
        match verdicts {
            [Verdict::Likely(a), Verdict::Likely(b)] if a != b => {
                both.offer(found(client(0, a)), entry, port(client(0, a)));
            }
            [Verdict::No, _] | [_, Verdict::No] | [Verdict::Likely(_), Verdict::Likely(_)] => continue,
            [Verdict::Likely(role), _] if !samples[0].joined => {
                one.offer(found(client(0, role)), entry, port(client(0, role)));
            }
            [_, Verdict::Likely(role)] if !samples[1].joined => {
                one.offer(found(client(1, role)), entry, port(client(1, role)));
            }
            _ => {}
        }
        open = true;
    }
    let best = sure.take().or_else(|| both.take()).or_else(|| one.take().filter(|_| decide));
    if let Some(found) = best {
        return found;
    }
    let joined = samples.iter().any(|s| s.joined && !s.bytes.is_empty());
    if joined && let Some(found) = join(registry, excluded, samples) {
        return found;
    }
    match (open, joined) {
        (false, _) => Choice::Unknown,
        (true, true) if decide => Choice::PassOver,
        (true, false) if decide => Choice::Unknown,
        _ => Choice::Wait,
    }
}

/// True when some protocol claims these bytes of a stream without doubt.
pub(crate) fn is_certain(registry: &'static [Entry], bytes: &[u8]) -> bool {
    let tcp = registry.iter().filter(|e| e.transports.contains(&Transport::Tcp));
    tcp.map(|e| (e.probe)(bytes, Transport::Tcp)).any(|verdict| matches!(verdict, Verdict::Match(_)))
}

/// Looks for the beginning of a message in directions that were joined in the middle.
fn join(registry: &'static [Entry], excluded: Excluded, samples: &[Sample<'_>; 2]) -> Option<Choice> {
    let mut best = Best(None);
    for entry in excluded.left(registry, Transport::Tcp) {
        for (dir, sample) in samples.iter().enumerate().filter(|(_, s)| s.joined) {
            for role in [Role::Client, Role::Server] {
                let Some(at) = (entry.resync)(sample.bytes, role) else { continue };
                let Some(rest) = sample.bytes.get(at..) else { continue };
                if (entry.probe)(rest, Transport::Tcp) == Verdict::Match(role) {
                    let client = if role == Role::Client { dir } else { 1 - dir };
                    let found = Choice::Found { entry, client, at: Some((dir, at)), certain: true };
                    best.offer(found, entry, samples[1 - client].port);
                }
            }
        }
    }
    best.take()
}

/// Judges one datagram, or one message of a transport that keeps their bounds: the first entry that
/// is certain, else the first that finds it likely; of equals the one that is served on the server's
/// port. `ports` are the sender's and the receiver's. Says whether there was a doubt.
pub(crate) fn datagram(
    registry: &'static [Entry],
    excluded: Excluded,
    transport: Transport,
    bytes: &[u8],
    ports: [u16; 2],
) -> Option<(&'static Entry, Role, bool)> {
    let (mut sure, mut likely) = (Best(None), Best(None));
    let server = |role: Role| if role == Role::Client { ports[1] } else { ports[0] };
    for entry in excluded.left(registry, transport) {
        match (entry.probe)(bytes, transport) {
            Verdict::Match(role) => sure.offer((entry, role, true), entry, server(role)),
            Verdict::Likely(role) => likely.offer((entry, role, false), entry, server(role)),
            Verdict::NeedMore | Verdict::No => {}
        }
    }
    sure.take().or_else(|| likely.take())
}
