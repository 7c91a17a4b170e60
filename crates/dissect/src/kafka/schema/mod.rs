//! What each message looks like, version by version, as tables.
//!
//! The facts are those of the protocol's public message definitions, from the first version of
//! each API to those of Apache Kafka 4. A new version of an API is a number and a line for each new
//! field; a new API is a table here and a line in [`api`](super::api). [`Walker`](super::walk)
//! reads bytes by these tables.

mod cluster;
mod configs;
mod consumer;
mod data;
mod group_admin;
mod groups;
mod metadata;
mod offsets;
mod security;
mod tokens;
mod topics;
mod transactions;

pub(super) use cluster::*;
pub(super) use configs::*;
pub(super) use consumer::EMBEDDED_LATEST;
pub(super) use data::*;
pub(super) use group_admin::*;
pub(super) use groups::*;
pub(super) use metadata::*;
pub(super) use offsets::*;
pub(super) use security::*;
pub(super) use tokens::*;
pub(super) use topics::*;
pub(super) use transactions::*;

/// A field of a message, or of a part of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Its name as brokers log it; empty for the elements of an array that are no structures.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The versions that have it.
    pub(super) versions: Versions,
    /// Its number among the tagged fields, where it is one (KIP-482).
    pub(super) tag: Option<u8>,
    /// What it means to a call.
    pub(super) mark: Mark,
}

/// How a field is encoded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Boolean,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    /// Text, or null.
    String,
    /// Bytes, or null.
    Bytes,
    /// Batches of records, or null.
    Records,
    /// Bytes that are a message of their own, if they can be read as these fields.
    Embedded(&'static [Field]),
    /// Any number of structures, or of single fields without a name; or null.
    Array(&'static [Field]),
    Structure(&'static [Field]),
    /// A structure with a byte in front that is negative in its absence.
    Nullable(&'static [Field]),
}

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions {
    first: u8,
    last: u8,
}

impl Versions {
    /// True when `version` has the field.
    pub(super) fn contain(self, version: i16) -> bool {
        (i16::from(self.first)..=i16::from(self.last)).contains(&version)
    }
}

/// What a field means to a call, beyond being shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    No,
    /// Name of a topic.
    Topic,
    /// Id of a topic, beside its name or instead of it.
    TopicId,
    /// Number of a partition of the topic before it.
    Partition,
    /// Id of a group of consumers.
    Group,
    /// An error code.
    Error,
    /// Milliseconds for which the client was throttled.
    Throttle,
    /// How many acknowledgements the producer wants; with 0 there is no response.
    Acks,
    /// A transactional id.
    Transaction,
    /// Id of the group or transaction whose coordinator is looked for, and which of them it is.
    CoordinatorKey,
    CoordinatorType,
    /// What a message is about that is about no topic and no group.
    Summary,
    /// Never shown.
    Secret,
    /// A setting, and its value, which the name may tell to be secret.
    ConfigName,
    ConfigValue,
    /// What a group is for: embedded messages are those of consumers only if it says so.
    ProtocolType,
}

/// The messages of one API.
#[derive(Debug)]
pub(super) struct Body {
    /// The newest version that is described. They all begin with 0.
    pub(super) latest: i16,
    /// The first version with compact lengths and tagged fields.
    pub(super) flexible: i16,
    pub(super) request: &'static [Field],
    pub(super) response: &'static [Field],
}

/// A first flexible version that never comes.
const NEVER: i16 = i16::MAX;

/// Every version.
const ALL: Versions = Versions { first: 0, last: u8::MAX };

const fn since(first: u8) -> Versions {
    Versions { first, last: u8::MAX }
}

const fn until(last: u8) -> Versions {
    Versions { first: 0, last }
}

const fn between(first: u8, last: u8) -> Versions {
    Versions { first, last }
}

macro_rules! kinds {
    ($($name:ident $kind:ident)*) => {
        $(const fn $name(name: &'static str, versions: Versions) -> Field {
            Field { name, kind: Kind::$kind, versions, tag: None, mark: Mark::No }
        })*
    };
}

kinds! {
    boolean Boolean
    int8 Int8
    int16 Int16
    uint16 Uint16
    int32 Int32
    int64 Int64
    float64 Float64
    uuid Uuid
    string String
    bytes Bytes
    records Records
}

macro_rules! parts {
    ($($name:ident $kind:ident)*) => {
        $(const fn $name(name: &'static str, versions: Versions, fields: &'static [Field]) -> Field {
            Field { name, kind: Kind::$kind(fields), versions, tag: None, mark: Mark::No }
        })*
    };
}

parts! {
    embedded Embedded
    array Array
    structure Structure
    nullable Nullable
}

impl Field {
    /// Gives it a meaning.
    const fn is(mut self, mark: Mark) -> Self {
        self.mark = mark;
        self
    }

    /// Makes it a tagged field.
    const fn tagged(mut self, tag: u8) -> Self {
        self.tag = Some(tag);
        self
    }
}

#[cfg(test)]
mod tests;
