//! The field catalogue: every name that a user can filter on, group by or select.
//!
//! Names and types follow KFL2 where KFL2 has the field. A field that is *stored* is a column; a
//! *derived* one is computed from columns when a query asks for it (the store knows how, and a
//! test there checks that it knows every one). The fields of each protocol stand in a file of their
//! own.

/// The fields of a part of the catalogue, numbered from where the part before it ends.
macro_rules! fields {
    (nothing before; $($table:tt)*) => { fields! { @from 0; $($table)* } };
    (after $before:ident; $($table:tt)*) => { fields! { @from super::$before::END; $($table)* } };
    (@from $first:expr; $($id:ident $name:literal $ty:ident $scope:expr, $storage:expr, $example:literal, $meaning:literal;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Index { $($id,)* End }

        const FIRST: u16 = $first;
        /// The number of the next part's first field.
        pub(super) const END: u16 = FIRST + Index::End as u16;

        $(
            #[doc = concat!("`", $name, "`: ", $meaning)]
            #[allow(unreachable_pub, reason = "the module above hands them on")]
            pub const $id: FieldId = FieldId(FIRST + Index::$id as u16);
        )*

        pub(super) const FIELDS: &[FieldDef] = &[
            $(FieldDef {
                id: $id,
                name: $name,
                ty: $ty.ty,
                case: $ty.case,
                scope: $scope,
                storage: $storage,
                meaning: $meaning,
                example: $example,
            },)*
        ];
    };
}

pub(crate) mod amqp;
mod body;
pub(crate) mod cassandra;
mod common;
pub(crate) mod diameter;
pub(crate) mod dns;
mod flow;
pub(crate) mod gql;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod icmp;
pub(crate) mod kafka;
pub(crate) mod ldap;
pub(crate) mod memcached;
pub(crate) mod mongodb;
pub(crate) mod mqtt;
pub(crate) mod mysql;
pub(crate) mod nats;
pub(crate) mod postgresql;
pub(crate) mod radius;
pub(crate) mod redis;
pub(crate) mod sctp;
pub(crate) mod smtp;
pub(crate) mod spec;
mod sql;
pub(crate) mod tcp;
pub(crate) mod tlsx;
pub(crate) mod udp;
pub(crate) mod ws;

pub use amqp::*;
pub use body::*;
pub use cassandra::*;
pub use common::*;
pub use diameter::*;
pub use dns::*;
pub use flow::*;
pub use gql::*;
pub use grpc::*;
pub use http::*;
pub use icmp::*;
pub use kafka::*;
pub use ldap::*;
pub use memcached::*;
pub use mongodb::*;
pub use mqtt::*;
pub use mysql::*;
pub use nats::*;
pub use postgresql::*;
pub use radius::*;
pub use redis::*;
pub use sctp::*;
pub use smtp::*;
pub use sql::*;
pub use tcp::*;
pub use tlsx::*;
pub use udp::*;
pub use ws::*;

use crate::Protocol;

/// Type of a field, as filters, SQL and MCP see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// `bool`.
    Bool,
    /// `int`, 64 bits, signed.
    Int,
    /// `string`.
    Text,
    /// `list(string)`.
    List,
    /// `map(string, string)`.
    Map,
    /// `timestamp`, UTC, nanoseconds.
    Time,
}

impl FieldType {
    /// The name shown to users, as CEL writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Text => "string",
            Self::List => "list(string)",
            Self::Map => "map(string, string)",
            Self::Time => "timestamp",
        }
    }
}

/// How the texts of a field are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Case {
    /// As they come.
    Any,
    /// Always in upper case: what they are compared with may be written in any.
    Upper,
    /// Always in lower case: what they are compared with may be written in any.
    Lower,
}

/// How a derived field comes from columns. Those of a protocol are absent from other calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// In a way of its own, which the store knows.
    Own,
    /// True for calls of the protocol and of those whose parent it is.
    Flag(Protocol),
    /// Bytes of the request.
    RequestSize(Protocol),
    /// Bytes of the response.
    ResponseSize(Protocol),
    /// Bytes of both.
    TotalSize(Protocol),
    /// Whether the request was seen.
    RequestSeen(Protocol),
    /// Whether the response was seen.
    ResponseSeen(Protocol),
}

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// A column.
    Stored,
    /// A column whose few values repeat, kept as a dictionary.
    Repeating,
    /// A column of bytes that is read only when it is asked for by name: bodies. Kept as bytes
    /// because a body need not be text.
    Late,
    /// Computed from columns by the store.
    Derived(Rule),
}

impl Storage {
    /// True for a field that is a column.
    pub const fn is_column(self) -> bool {
        !matches!(self, Self::Derived(_))
    }
}

/// Which tables have the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every call.
    Call,
    /// Calls of this protocol and of those whose parent it is.
    Protocol(Protocol),
    /// Calls of these protocols.
    Several(&'static [Protocol]),
    /// Flow rows.
    Flow,
    /// Calls and flow rows.
    Both,
}

/// One entry of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldDef {
    /// Its number, which is its index in [`CATALOGUE`].
    pub id: FieldId,
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: FieldType,
    /// How its texts are written.
    pub case: Case,
    /// The rows that have it.
    pub scope: Scope,
    /// Whether it is a column.
    pub storage: Storage,
    /// What it means, in one sentence with units.
    pub meaning: &'static str,
    /// An example as it stands in a filter, quotation marks included.
    pub example: &'static str,
}

impl FieldDef {
    /// True when calls of `protocol` have this field.
    pub fn applies_to(&self, protocol: Protocol) -> bool {
        match self.scope {
            Scope::Call | Scope::Both => true,
            Scope::Protocol(p) => protocol.is(p),
            Scope::Several(all) => all.iter().any(|p| protocol.is(*p)),
            Scope::Flow => false,
        }
    }

    /// The protocol of whose calls this field is the flag.
    pub fn flag_of(&self) -> Option<Protocol> {
        match self.storage {
            Storage::Derived(Rule::Flag(protocol)) => Some(protocol),
            _ => None,
        }
    }

    /// True when calls can have this field.
    pub fn in_calls(&self) -> bool {
        !matches!(self.scope, Scope::Flow)
    }

    /// True when flow rows have this field.
    pub fn in_flows(&self) -> bool {
        matches!(self.scope, Scope::Flow | Scope::Both)
    }
}

/// Index of a field in the catalogue. Not stable between versions: files and wire use names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u16);

impl FieldId {
    /// The field's entry.
    pub fn def(self) -> &'static FieldDef {
        &CATALOGUE[usize::from(self.0)]
    }
}

/// The field with that name.
pub fn by_name(name: &str) -> Option<&'static FieldDef> {
    CATALOGUE.iter().find(|f| f.name == name)
}

/// The fields that are read only when they are asked for by name: bodies and the like.
pub fn late() -> impl Iterator<Item = &'static FieldDef> {
    CATALOGUE.iter().filter(|f| f.storage == Storage::Late)
}

/// The parts of the catalogue, in the order in which they are listed to users.
const PARTS: &[&[FieldDef]] = &[
    common::FIELDS,
    body::FIELDS,
    http::FIELDS,
    grpc::FIELDS,
    ws::FIELDS,
    gql::FIELDS,
    dns::FIELDS,
    redis::FIELDS,
    kafka::FIELDS,
    amqp::FIELDS,
    mongodb::FIELDS,
    sql::FIELDS,
    mysql::FIELDS,
    postgresql::FIELDS,
    ldap::FIELDS,
    radius::FIELDS,
    diameter::FIELDS,
    tlsx::FIELDS,
    icmp::FIELDS,
    nats::FIELDS,
    mqtt::FIELDS,
    cassandra::FIELDS,
    memcached::FIELDS,
    smtp::FIELDS,
    tcp::FIELDS,
    udp::FIELDS,
    sctp::FIELDS,
    flow::FIELDS,
];

const COUNT: usize = flow::END as usize;

const fn joined() -> [FieldDef; COUNT] {
    let mut all = [common::FIELDS[0]; COUNT];
    let (mut n, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut i = 0;
        while i < PARTS[part].len() {
            all[n] = PARTS[part][i];
            (n, i) = (n + 1, i + 1);
        }
        part += 1;
    }
    assert!(n == COUNT, "a part is missing from the list, or stands in another order");
    all
}

static ALL: [FieldDef; COUNT] = joined();

/// Every field, in the order in which they are listed to users.
pub static CATALOGUE: &[FieldDef] = &ALL;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_indexes_and_names_are_unique() {
        let mut names = std::collections::BTreeSet::new();
        for (i, f) in CATALOGUE.iter().enumerate() {
            assert_eq!(usize::from(f.id.0), i);
            assert!(names.insert(f.name), "{} twice", f.name);
            assert!(!f.meaning.ends_with('.') && !f.meaning.is_empty(), "{}", f.name);
        }
    }

    #[test]
    fn every_protocol_has_its_flag() {
        for p in Protocol::ALL {
            assert_eq!(by_name(p.name()).map(|f| f.ty), Some(FieldType::Bool));
        }
    }
}
