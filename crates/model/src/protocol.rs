//! Application protocols and transports, by the names that users filter on.

/// An application protocol that a dissector reports calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// HTTP/1.0, HTTP/1.1 and HTTP/2.
    Http,
    /// DNS over UDP and TCP.
    Dns,
    /// Redis (RESP2, RESP3 and inline commands).
    Redis,
    /// gRPC over HTTP/2, and gRPC-Web.
    Grpc,
    /// Kafka.
    Kafka,
    /// MySQL and MariaDB.
    Mysql,
    /// PostgreSQL.
    Postgresql,
}

impl Protocol {
    /// Every protocol, in the order of the catalogue.
    pub const ALL: &'static [Self] =
        &[Self::Http, Self::Dns, Self::Redis, Self::Grpc, Self::Kafka, Self::Mysql, Self::Postgresql];

    /// The value of the field `protocol`, and the name of the KFL flag.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Dns => "dns",
            Self::Redis => "redis",
            Self::Grpc => "grpc",
            Self::Kafka => "kafka",
            Self::Mysql => "mysql",
            Self::Postgresql => "postgresql",
        }
    }

    /// The protocol whose calls these are as well: a gRPC call is an HTTP call, has the fields of
    /// one, and the flag `http` holds for it.
    pub const fn parent(self) -> Option<Self> {
        match self {
            Self::Grpc => Some(Self::Http),
            _ => None,
        }
    }

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
}

impl Transport {
    /// The value of the field `transport`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}
