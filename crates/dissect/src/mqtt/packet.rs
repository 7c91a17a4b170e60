//! Control packets as a call shows them (MQTT 3.1.1 and 5, section 3).

use remora_model::{Incomplete, Span};

use super::properties;
use crate::messaging::{Arena, Held, MAX_PAIRS, Pair, Reader};
use crate::{Role, seen::Seen};

/// Type of a packet (section 2.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Type {
    #[default]
    Connect = 1,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Pingreq,
    Pingresp,
    Disconnect,
    Auth,
}

impl Type {
    /// The type in the first byte of a packet, if the flags beside it are those of the type.
    pub(super) fn of(first: u8) -> Option<Self> {
        let (kind, flags) = (first >> 4, first & 15);
        let found = match kind {
            1 => Self::Connect,
            2 => Self::Connack,
            // There is no QoS 3.
            3 => return (flags & 6 != 6).then_some(Self::Publish),
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        };
        let expected = match found {
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => 2,
            _ => 0,
        };
        // MQTT 3.1 gives PUBREL, SUBSCRIBE and UNSUBSCRIBE a DUP flag.
        (flags == expected || expected == 2 && flags == 10).then_some(found)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// What is acknowledged by it, where that is one thing.
    pub(super) fn acknowledges(self) -> Option<Self> {
        match self {
            Self::Connack => Some(Self::Connect),
            Self::Puback | Self::Pubrec => Some(Self::Publish),
            Self::Suback => Some(Self::Subscribe),
            Self::Unsuback => Some(Self::Unsubscribe),
            Self::Pingresp => Some(Self::Pingreq),
            _ => None,
        }
    }

    /// The side that sends it; `None` where both do.
    pub(super) fn sender(self) -> Option<Role> {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::Pingreq => Some(Role::Client),
            Self::Connack | Self::Suback | Self::Unsuback | Self::Pingresp => Some(Role::Server),
            _ => None,
        }
    }
}

/// Bytes of the first byte and the length behind it, and that length. `Some(None)`: more bytes are
/// needed; `None`: it is no length.
pub(super) fn header(bytes: &[u8]) -> Option<Option<(usize, u32)>> {
    let lengths = bytes.get(1..).unwrap_or_default();
    let mut r = Reader::new(lengths);
    match properties::varint(&mut r) {
        Some(n) => Some(Some((bytes.len() - r.rest().len(), n))),
        None if lengths.len() < 4 => Some(None),
        None => None,
    }
}

/// A packet that was read, or is being read.
#[derive(Debug, Default)]
pub(super) struct Packet {
    pub(super) kind: Type,
    /// Protocol level: 3, 4 or 5; 0 where it is not known.
    pub(super) version: u8,
    pub(super) arena: Arena,
    pub(super) id: Option<u16>,
    pub(super) qos: Option<u8>,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) topic: Option<Span>,
    pub(super) client_id: Option<Span>,
    pub(super) user: Option<Span>,
    pub(super) will_topic: Option<Span>,
    /// Filters of a subscription.
    pub(super) filters: Vec<Span>,
    /// Reason codes.
    pub(super) codes: Vec<u8>,
    pub(super) reason_string: Option<Span>,
    pub(super) properties: Vec<Pair>,
    pub(super) topic_alias: Option<u16>,
    pub(super) keep_alive: Option<u16>,
    pub(super) clean: Option<bool>,
    pub(super) session_present: Option<bool>,
    pub(super) payload: Vec<u8>,
    /// Bytes of the payload.
    pub(super) size: Option<u64>,
    /// Bytes of the payload that may be kept, and that were left out.
    pub(super) budget: usize,
    pub(super) cut: u64,
    /// Entries of lists that were left out.
    pub(super) left_out: u64,
    pub(super) seen: Seen,
    /// It was not seen itself, and stands for what its acknowledgement is for.
    pub(super) unseen: bool,
    /// The PUBREL of a PUBLISH was seen.
    pub(super) released: bool,
    /// What has come of its acknowledgement, where that has several parts.
    pub(super) answer: Option<Seen>,
    pub(super) incomplete: Option<Incomplete>,
    /// Its acknowledgement may have been among bytes that are missing.
    pub(super) doubtful: bool,
    /// Others with its identifier may have been among bytes that are missing.
    pub(super) followed: bool,
    /// The server said it and waits for the client.
    pub(super) by_server: bool,
}

impl Held for Packet {
    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.arena.memory()
            + self.filters.capacity() * size_of::<Span>()
            + self.codes.capacity()
            + self.properties.capacity() * size_of::<Pair>()
            + self.payload.capacity()
    }
}

impl Packet {
    /// Empties it, keeping its buffers. `budget`: bytes of texts and of the payload that are kept,
    /// each.
    pub(super) fn begin(&mut self, kind: Type, version: u8, first: u8, budget: usize, seen: Seen) {
        let mut arena = std::mem::take(&mut self.arena);
        let mut filters = std::mem::take(&mut self.filters);
        let mut codes = std::mem::take(&mut self.codes);
        let mut properties = std::mem::take(&mut self.properties);
        let mut payload = std::mem::take(&mut self.payload);
        arena.begin(budget);
        filters.clear();
        codes.clear();
        properties.clear();
        payload.clear();
        let is_publish = kind == Type::Publish;
        *self = Self {
            kind,
            version,
            arena,
            filters,
            codes,
            properties,
            payload,
            qos: is_publish.then_some(first >> 1 & 3),
            retain: is_publish && first & 1 == 1,
            dup: first & 8 == 8,
            budget,
            seen,
            ..Self::default()
        };
    }

    /// Reads the body of a packet other than PUBLISH. `None`: it does not fit.
    pub(super) fn read(&mut self, body: &[u8]) -> Option<()> {
        let mut r = Reader::new(body);
        match self.kind {
            Type::Connect => self.connect(&mut r)?,
            Type::Connack => {
                self.session_present = Some(r.u8()? & 1 == 1);
                self.codes.push(r.u8()?);
                self.some_properties(&mut r)?;
            }
            Type::Subscribe | Type::Unsubscribe => {
                self.id = Some(r.u16()?);
                self.some_properties(&mut r)?;
                while !r.is_empty() {
                    let filter = r.medium()?;
                    if self.kind == Type::Subscribe {
                        let qos = r.u8()? & 3;
                        self.qos = Some(self.qos.map_or(qos, |q| q.max(qos)));
                    }
                    if self.filters.len() < MAX_PAIRS {
                        let filter = self.arena.add(filter);
                        self.filters.push(filter);
                    } else {
                        self.left_out += 1;
                    }
                }
            }
            Type::Suback | Type::Unsuback => {
                self.id = Some(r.u16()?);
                if self.version == 0 {
                    return Some(());
                }
                self.some_properties(&mut r)?;
                let kept = r.rest().len().min(MAX_PAIRS);
                self.codes.extend_from_slice(r.take(kept)?);
                self.left_out += r.rest().len() as u64;
                return Some(());
            }
            Type::Puback | Type::Pubrec | Type::Pubrel | Type::Pubcomp => {
                self.id = Some(r.u16()?);
                self.code_and_properties(&mut r)?;
            }
            Type::Disconnect | Type::Auth => self.code_and_properties(&mut r)?,
            Type::Pingreq | Type::Pingresp | Type::Publish => {}
        }
        r.is_empty().then_some(())
    }

    /// A reason code and properties, both of which may be absent (MQTT 5).
    fn code_and_properties(&mut self, r: &mut Reader<'_>) -> Option<()> {
        if !r.is_empty() {
            self.codes.push(r.u8()?);
        } else if self.version == 5 {
            self.codes.push(0);
        }
        if r.is_empty() { Some(()) } else { self.some_properties(r) }
    }

    fn some_properties(&mut self, r: &mut Reader<'_>) -> Option<()> {
        if self.version != 5 {
            return Some(());
        }
        let block = properties::block(r)?;
        self.take_properties(block)
    }

    /// Reads a block of properties.
    pub(super) fn take_properties(&mut self, block: &[u8]) -> Option<()> {
        let meant = properties::read(block, &mut self.arena, &mut self.properties)?;
        self.topic_alias = meant.topic_alias.or(self.topic_alias);
        self.reason_string = meant.reason_string.or(self.reason_string);
        self.left_out += meant.left_out;
        Some(())
    }

    fn connect(&mut self, r: &mut Reader<'_>) -> Option<()> {
        let _name = r.medium()?;
        // The highest bit marks a bridge, by a custom of brokers.
        self.version = r.u8()? & 0x7f;
        let flags = r.u8()?;
        self.clean = Some(flags & 2 != 0);
        self.keep_alive = Some(r.u16()?);
        if !matches!(self.version, 3..=5) {
            // What follows in a version that does not exist is not known.
            r.take(r.rest().len())?;
            return Some(());
        }
        self.some_properties(r)?;
        self.client_id = Some(self.arena.add(r.medium()?));
        if flags & 4 != 0 {
            self.some_properties(r)?;
            self.will_topic = Some(self.arena.add(r.medium()?));
            self.qos = Some(flags >> 3 & 3);
            self.retain = flags & 0x20 != 0;
            let payload = r.medium()?;
            self.size = Some(payload.len() as u64);
            self.keep(payload);
        }
        if flags & 0x80 != 0 {
            self.user = Some(self.arena.add(r.medium()?));
        }
        if flags & 0x40 != 0 {
            // The password.
            r.medium()?;
        }
        Some(())
    }

    /// Keeps some of the payload.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let room = self.budget.saturating_sub(self.payload.len());
        let kept = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.payload.extend_from_slice(kept);
        self.cut += (bytes.len() - kept.len()) as u64;
    }

    /// The text of one of its spans, unless it is empty.
    pub(super) fn shown(&self, span: Option<Span>) -> Option<&[u8]> {
        self.arena.get(span?)
    }

    /// The first code that refuses, else the first.
    pub(super) fn code(&self) -> Option<u8> {
        let refusal = |c: u8| c >= 0x80 || self.kind == Type::Connack && c > 0;
        self.codes.iter().copied().find(|&c| refusal(c)).or(self.codes.first().copied())
    }
}
