//! Application protocols and transports, by the names that users filter on.

use crate::{FieldId, field};

/// Each protocol: its documentation, its variant, its name, its parent, and the module of
/// [`field`] that has its fields.
macro_rules! protocols {
    ($($(#[$doc:meta])* $id:ident $name:literal $parent:expr, $fields:ident;)*) => {
        /// An application protocol that a dissector reports calls for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Protocol {
            $($(#[$doc])* $id,)*
        }

        impl Protocol {
            /// Every protocol, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$id,)*];

            /// The value of the field `protocol`, and the name of the KFL flag.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$id => $name,)* }
            }

            /// The protocol whose calls these are as well: a gRPC call is an HTTP call, has the
            /// fields of one, and the flag `http` holds for it.
            pub const fn parent(self) -> Option<Self> {
                match self { $(Self::$id => $parent,)* }
            }

            /// The fields that say what a call asked.
            pub const fn summary(self) -> &'static [FieldId] {
                match self { $(Self::$id => field::$fields::ASKED,)* }
            }

            /// The fields that say how a call ended, the first that has a value.
            pub const fn outcome(self) -> &'static [FieldId] {
                match self { $(Self::$id => field::$fields::ENDED,)* }
            }
        }
    };
}

protocols! {
    /// HTTP/1.0, HTTP/1.1 and HTTP/2.
    Http "http" None, http;
    /// gRPC over HTTP/2, and gRPC-Web.
    Grpc "grpc" Some(Self::Http), grpc;
    /// WebSocket.
    Ws "ws" Some(Self::Http), ws;
    /// GraphQL over HTTP and WebSocket.
    Gql "gql" Some(Self::Http), gql;
    /// DNS over UDP and TCP.
    Dns "dns" None, dns;
    /// Redis (RESP2, RESP3 and inline commands).
    Redis "redis" None, redis;
    /// Kafka.
    Kafka "kafka" None, kafka;
    /// AMQP 0-9-1.
    Amqp "amqp" None, amqp;
    /// MongoDB.
    Mongodb "mongodb" None, mongodb;
    /// MySQL and MariaDB.
    Mysql "mysql" None, mysql;
    /// PostgreSQL.
    Postgresql "postgresql" None, postgresql;
    /// LDAP, and CLDAP over UDP.
    Ldap "ldap" None, ldap;
    /// RADIUS.
    Radius "radius" None, radius;
    /// Diameter.
    Diameter "diameter" None, diameter;
    /// TLS handshakes.
    Tlsx "tlsx" None, tlsx;
    /// ICMP and ICMPv6.
    Icmp "icmp" None, icmp;
    /// NATS.
    Nats "nats" None, nats;
    /// MQTT 3.1, 3.1.1 and 5.
    Mqtt "mqtt" None, mqtt;
    /// Cassandra's native protocol (CQL).
    Cassandra "cassandra" None, cassandra;
    /// Memcached (text, meta and binary).
    Memcached "memcached" None, memcached;
    /// SMTP.
    Smtp "smtp" None, smtp;
    /// A TCP connection whose protocol is unknown.
    Tcp "tcp" None, tcp;
    /// UDP datagrams whose protocol is unknown.
    Udp "udp" None, udp;
    /// SCTP.
    Sctp "sctp" None, sctp;
}

impl Protocol {
    /// True for `other` itself and for what it is the parent of: what the flag of `other` says.
    pub fn is(self, other: Self) -> bool {
        self == other || self.parent() == Some(other)
    }

    /// The protocol with that name (lower case).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.name() == name)
    }
}

/// What carried the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6, which have no ports.
    Icmp,
    /// SCTP.
    Sctp,
}

impl Transport {
    /// Every transport.
    pub const ALL: &'static [Self] = &[Self::Tcp, Self::Udp, Self::Icmp, Self::Sctp];

    /// The value of the field `transport`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Sctp => "sctp",
        }
    }

    /// The IP protocol number (IANA) under which it is carried between addresses of the version of `ip`:
    /// ICMP has one for each.
    pub const fn ip_protocol(self, ip: std::net::IpAddr) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp if ip.is_ipv6() => 58,
            Self::Icmp => 1,
            Self::Sctp => 132,
        }
    }
}
