//! Application protocols and transports, by the names that users filter on.

/// An application protocol that a dissector reports calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http,
    /// DNS over UDP and TCP.
    Dns,
    /// Redis (RESP2, RESP3 and inline commands).
    Redis,
}

impl Protocol {
    /// Every protocol, in the order of the catalogue.
    pub const ALL: &'static [Self] = &[Self::Http, Self::Dns, Self::Redis];

    /// The value of the field `protocol`, and the name of the KFL flag.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Dns => "dns",
            Self::Redis => "redis",
        }
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
