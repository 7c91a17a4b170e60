//! Is this MQTT? CONNECT is; everything else has to be told by several packets that follow one
//! another.

use remora_model::Transport;

use super::packet::{self, Packet, Type};
use super::properties;
use super::publish::{self, Head};
use crate::messaging::Reader;
use crate::{Role, Verdict, seen::Seen};

/// Packets that are looked at.
const LOOK_AT: usize = 16;

/// Packets that agree, of which a stream joined in the middle is believed.
const ENOUGH: usize = 3;

/// What is known of the packets that bytes begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Chain {
    /// Whole packets.
    packets: usize,
    /// Of these, such as say something themselves.
    strong: usize,
    /// The side that sends them.
    role: Option<Role>,
    /// They are all there is.
    exact: bool,
}

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    let Some(&first) = bytes.first() else { return Verdict::NeedMore };
    let Some(kind) = Type::of(first) else { return Verdict::No };
    if kind == Type::Connect {
        return connect(bytes);
    }
    match chain(bytes) {
        Some(Chain { packets, strong, role: Some(role), .. }) if packets >= ENOUGH && strong > 0 => {
            Verdict::Match(role)
        }
        Some(Chain { packets: 1.., role: Some(role), .. }) if kind.sender() == Some(role) => {
            Verdict::Likely(role)
        }
        Some(_) if bytes.len() < 8 => Verdict::NeedMore,
        _ => Verdict::No,
    }
}

/// Where packets of `role` begin: several that follow one another, or such as are all there is.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    let fits = |at: usize, chain: Chain| {
        let known = chain.role.is_none_or(|r| r == role);
        known && chain.packets > 0 && (chain.packets >= ENOUGH && chain.strong > 0 || at == 0 && chain.exact)
    };
    (0..bytes.len()).find(|&at| bytes.get(at..).and_then(chain).is_some_and(|found| fits(at, found)))
}

/// Judges what begins like a CONNECT.
fn connect(bytes: &[u8]) -> Verdict {
    let Some(header) = packet::header(bytes) else { return Verdict::No };
    let Some((at, size)) = header else { return Verdict::NeedMore };
    let body = bytes.get(at..).unwrap_or_default();
    let mut r = Reader::new(body);
    let Some(name) = r.medium() else {
        return if body.len() < 8 { Verdict::NeedMore } else { Verdict::No };
    };
    let (Some(level), Some(flags)) = (r.u8(), r.u8()) else { return Verdict::NeedMore };
    // The name changed with version 3.1.1 (section 3.1.2.1).
    let is_known = matches!(name, b"MQIsdp" | b"MQTT") && (1..=9).contains(&(level & 0x7f));
    let will = flags & 4 != 0 || flags & 0x38 == 0;
    if is_known && flags & 1 == 0 && will && size >= 10 { Verdict::Match(Role::Client) } else { Verdict::No }
}

/// The packets that `bytes` begin with. `None`: something there is none.
fn chain(bytes: &[u8]) -> Option<Chain> {
    let mut found = Chain::default();
    let mut rest = bytes;
    while found.packets < LOOK_AT {
        let Some(&first) = rest.first() else {
            found.exact = true;
            return Some(found);
        };
        let kind = Type::of(first)?;
        if let Some(role) = kind.sender() {
            if found.role.is_some_and(|r| r != role) {
                return None;
            }
            found.role = Some(role);
        }
        let Some((at, size)) = packet::header(rest)? else { return Some(found) };
        let size = size as usize;
        let body = rest.get(at..).unwrap_or_default();
        let Some(body) = body.get(..size) else {
            return may_begin(kind, first, body, size).then_some(found);
        };
        if !fits(kind, first, body) {
            return None;
        }
        found.packets += 1;
        // An acknowledgement has as good as nothing in it.
        let strong = matches!(kind, Type::Publish | Type::Subscribe | Type::Unsubscribe | Type::Connect);
        found.strong += usize::from(strong);
        rest = rest.get(at + size..)?;
    }
    Some(found)
}

/// True when a body that is not there to its end may be that of such a packet.
fn may_begin(kind: Type, first: u8, body: &[u8], size: usize) -> bool {
    match kind {
        Type::Publish => {
            let mut p = blank(kind, first);
            publish::read(&mut p, body, size) != Head::Fault && topic_is_text(body)
        }
        Type::Connect | Type::Subscribe | Type::Unsubscribe => true,
        // Nothing else is long.
        _ => size < 1 << 10,
    }
}

fn fits(kind: Type, first: u8, body: &[u8]) -> bool {
    let mut r = Reader::new(body);
    match kind {
        Type::Publish => {
            let mut p = blank(kind, first);
            matches!(publish::read(&mut p, body, body.len()), Head::Bytes(_)) && topic_is_text(body)
        }
        Type::Pingreq | Type::Pingresp => body.is_empty(),
        Type::Connect => true,
        Type::Connack => {
            r.u8().is_some_and(|f| f <= 1) && r.u8().is_some() && (r.is_empty() || all_properties(r))
        }
        Type::Puback | Type::Pubrec | Type::Pubrel | Type::Pubcomp => {
            r.u16().is_some_and(|id| id > 0)
                && (r.is_empty() || r.u8().is_some() && (r.is_empty() || all_properties(r)))
        }
        Type::Disconnect | Type::Auth => {
            r.is_empty() || r.u8().is_some() && (r.is_empty() || all_properties(r))
        }
        Type::Suback | Type::Unsuback => r.u16().is_some_and(|id| id > 0) && body.len() < 1 << 10 && codes(r),
        Type::Subscribe | Type::Unsubscribe => version(kind, body).is_some(),
    }
}

fn codes(mut r: Reader<'_>) -> bool {
    let known = |bytes: &[u8]| bytes.iter().all(|c| matches!(c, 0..=2 | 0x11 | 0x80..=0xa2));
    known(r.rest()) || properties::block(&mut r).is_some_and(properties::are_properties) && known(r.rest())
}

fn all_properties(mut r: Reader<'_>) -> bool {
    properties::block(&mut r).is_some_and(properties::are_properties) && r.is_empty()
}

/// True when a PUBLISH is about something readable.
fn topic_is_text(body: &[u8]) -> bool {
    match Reader::new(body).medium() {
        Some(topic) => std::str::from_utf8(topic).is_ok_and(|t| !t.chars().any(char::is_control)),
        None => true,
    }
}

/// The version that a packet other than CONNECT and PUBLISH shows, where only one can be; of
/// subscriptions `None` says that they fit neither.
pub(super) fn version(kind: Type, body: &[u8]) -> Option<u8> {
    match kind {
        Type::Auth => Some(5),
        Type::Connack => Some(if body.len() == 2 { 4 } else { 5 }),
        Type::Puback | Type::Pubrec | Type::Pubrel | Type::Pubcomp => (body.len() > 2).then_some(5),
        Type::Disconnect => (!body.is_empty()).then_some(5),
        Type::Unsuback => Some(if body.len() == 2 { 4 } else { 5 }),
        Type::Subscribe | Type::Unsubscribe => {
            let mut r = Reader::new(body);
            r.u16().filter(|id| *id > 0)?;
            if filters(kind, r) {
                return Some(4);
            }
            let block = properties::block(&mut r)?;
            (properties::are_properties(block) && filters(kind, r)).then_some(5)
        }
        Type::Suback | Type::Connect | Type::Publish | Type::Pingreq | Type::Pingresp => None,
    }
}

/// True for filters to the end, at least one.
fn filters(kind: Type, mut r: Reader<'_>) -> bool {
    if r.is_empty() {
        return false;
    }
    while !r.is_empty() {
        let is_text = |t: &&[u8]| !t.is_empty() && std::str::from_utf8(t).is_ok_and(|t| !t.contains('\0'));
        if r.medium().filter(is_text).is_none() {
            return false;
        }
        // Options of MQTT 5 are in the same octet (section 3.8.3.1).
        if kind == Type::Subscribe && r.u8().is_none_or(|o| o & 3 == 3 || o & 0xc0 != 0) {
            return false;
        }
    }
    true
}

fn blank(kind: Type, first: u8) -> Packet {
    let mut p = Packet::default();
    p.begin(kind, 0, first, 0, Seen::default());
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: &[u8] = b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test";
    const SUBSCRIBE: &[u8] = b"\x82\x08\0\x01\0\x03a/#\x01";
    const PUBLISH: &[u8] = b"\x30\x07\0\x03a/bhi";

    fn judge(bytes: &[u8]) -> Verdict {
        probe(bytes, Transport::Tcp)
    }

    #[test]
    fn connect_is_certain_and_the_rest_must_agree() {
        assert_eq!(judge(CONNECT), Verdict::Match(Role::Client));
        for n in 1..10 {
            assert_eq!(judge(&CONNECT[..n]), Verdict::NeedMore, "{n}");
        }
        assert_eq!(judge(b"\x20\x02\0\0"), Verdict::Likely(Role::Server));
        assert_eq!(judge(b"\x20\x03\0\0\0"), Verdict::Likely(Role::Server));
        assert_eq!(judge(SUBSCRIBE), Verdict::Likely(Role::Client));
        assert_eq!(judge(&[PUBLISH, PUBLISH, PUBLISH].concat()), Verdict::No, "either side may say it");
        assert_eq!(judge(&[PUBLISH, PUBLISH, b"\xc0\0"].concat()), Verdict::Match(Role::Client));
        assert_eq!(judge(&[PUBLISH, b"\xd0\0", PUBLISH].concat()), Verdict::Match(Role::Server));
        assert_eq!(judge(b"0123456789"), Verdict::No);
        assert_eq!(judge(b"GET / HTTP/1.1\r\n"), Verdict::No);
        assert_eq!(judge(b"\x16\x03\x01\x02\0"), Verdict::No);
        assert_eq!(judge(&[0x30; 4096]), Verdict::No);
    }

    #[test]
    fn packets_that_follow_one_another_are_found() {
        let bytes = [b"rest of a payload", PUBLISH, PUBLISH, PUBLISH].concat();
        assert_eq!(resync(&bytes, Role::Server), Some(17));
        assert_eq!(resync(&bytes[..24], Role::Server), None);
        assert_eq!(resync(PUBLISH, Role::Server), Some(0));
        assert_eq!(resync(SUBSCRIBE, Role::Server), None);
    }

    #[test]
    fn subscriptions_show_the_version() {
        assert_eq!(version(Type::Subscribe, &SUBSCRIBE[2..]), Some(4));
        assert_eq!(version(Type::Subscribe, b"\0\x01\0\0\x03a/#\x01"), Some(5));
        assert_eq!(version(Type::Unsubscribe, b"\0\x01\0\x03a/#"), Some(4));
        assert_eq!(version(Type::Subscribe, b"\0\x01\0\x03a/"), None);
    }
}
