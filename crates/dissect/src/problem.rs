//! Everything that can keep bytes from becoming a call, by name.

/// Why something was not understood or not kept. Counted, and shown by `remora status`, in
/// coverage blocks and by `remora dissect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Problem {
    /// A frame of a link type that is not read.
    UnknownLink,
    /// A frame or header shorter than its protocol demands, or cut by the snaplen.
    ShortPacket,
    /// Header fields that contradict each other.
    BadPacket,
    /// A frame that carries no IP, such as ARP. Not a fault.
    NotIp,
    /// An IP protocol other than TCP, UDP, ICMP and SCTP. Not a fault.
    OtherTransport,
    /// A packet inside a tunnel, which was read instead of the tunnel's own packet; the bytes are those of
    /// the headers around it. Not a fault.
    Tunnelled,
    /// An IP fragment that could not be kept until its datagram was whole.
    FragmentLost,
    /// A datagram whose IP fragments overlap: dropped whole, as RFC 5722 demands.
    FragmentOverlap,
    /// Bytes missing from a TCP stream.
    StreamGap,
    /// Bytes passed over in search of the beginning of a message, after a gap or in a connection
    /// that was joined in the middle.
    Unsynced,
    /// Out-of-order data beyond the flow's budget.
    FlowBudget,
    /// Data beyond the total budget.
    TotalBudget,
    /// A flow pushed out of the full flow table.
    FlowEvicted,
    /// A row of a flow whose counts the capture no longer had: packets that the engine did not get
    /// since the row before (acknowledgements, bodies left out) are missing from its counts.
    FlowUncounted,
    /// A flow whose protocol was not recognised.
    UnknownProtocol,
    /// Bytes that do not fit the protocol found in the flow.
    Malformed,
    /// A message larger than what may be held while it is incomplete.
    MessageTooLarge,
    /// More open requests in one flow than may be held.
    TooManyPending,
    /// Something that later messages may refer to, such as the text of a prepared statement, was
    /// forgotten because no more could be held.
    StateLimit,
    /// A body or text cut at the payload limit. Not a fault.
    PayloadLimit,
    /// A body that was hashed or dropped because the settings say so. Not a fault.
    BodyPolicy,
    /// A body whose content coding is broken, unknown, or expands beyond the ratio bound.
    BadEncoding,
    /// Header fields that refer to an HPACK table of which a part was not seen or not kept.
    UnknownHeader,
    /// Bytes that the protocol itself hands to something else, such as a replication stream. Not a
    /// fault.
    Opaque,
    /// TLS records that cannot be read because no secrets were given. Not a fault.
    Encrypted,
    /// TLS records of a connection for which the secrets that were given have none.
    NoSecrets,
    /// TLS records under a cipher that is not read.
    UnknownCipher,
    /// TLS records that do not open with the secrets that there are.
    DecryptFailed,
    /// Plaintext of a connection that was read elsewhere already: at its other end, or from its packets.
    /// Not a fault.
    PlaintextTwice,
}

impl Problem {
    /// Every problem.
    pub const ALL: &'static [Self] = &[
        Self::UnknownLink,
        Self::ShortPacket,
        Self::BadPacket,
        Self::NotIp,
        Self::OtherTransport,
        Self::Tunnelled,
        Self::FragmentLost,
        Self::FragmentOverlap,
        Self::StreamGap,
        Self::Unsynced,
        Self::FlowBudget,
        Self::TotalBudget,
        Self::FlowEvicted,
        Self::FlowUncounted,
        Self::UnknownProtocol,
        Self::Malformed,
        Self::MessageTooLarge,
        Self::TooManyPending,
        Self::StateLimit,
        Self::PayloadLimit,
        Self::BodyPolicy,
        Self::BadEncoding,
        Self::UnknownHeader,
        Self::Opaque,
        Self::Encrypted,
        Self::NoSecrets,
        Self::UnknownCipher,
        Self::DecryptFailed,
        Self::PlaintextTwice,
    ];

    /// Stage and reason under which it is counted (see `CoverageRow`).
    pub const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::UnknownLink => ("packet", "unknown_link"),
            Self::ShortPacket => ("packet", "short"),
            Self::BadPacket => ("packet", "bad"),
            Self::NotIp => ("packet", "not_ip"),
            Self::OtherTransport => ("packet", "other_transport"),
            Self::Tunnelled => ("packet", "tunnelled"),
            Self::FragmentLost => ("packet", "fragment_lost"),
            Self::FragmentOverlap => ("packet", "fragment_overlap"),
            Self::StreamGap => ("reassembly", "gap"),
            Self::Unsynced => ("dissect", "unsynced"),
            Self::FlowBudget => ("reassembly", "flow_budget"),
            Self::TotalBudget => ("reassembly", "total_budget"),
            Self::FlowEvicted => ("flow", "evicted"),
            Self::FlowUncounted => ("flow", "uncounted"),
            Self::UnknownProtocol => ("dissect", "unknown_protocol"),
            Self::Malformed => ("dissect", "malformed"),
            Self::MessageTooLarge => ("dissect", "message_too_large"),
            Self::TooManyPending => ("dissect", "too_many_pending"),
            Self::StateLimit => ("dissect", "state_limit"),
            Self::PayloadLimit => ("dissect", "payload_limit"),
            Self::BodyPolicy => ("dissect", "body_policy"),
            Self::BadEncoding => ("dissect", "bad_encoding"),
            Self::UnknownHeader => ("dissect", "unknown_header"),
            Self::Opaque => ("dissect", "opaque"),
            Self::Encrypted => ("tls", "encrypted"),
            Self::NoSecrets => ("tls", "no_secrets"),
            Self::UnknownCipher => ("tls", "unknown_cipher"),
            Self::DecryptFailed => ("tls", "decrypt_failed"),
            Self::PlaintextTwice => ("tls", "plaintext_twice"),
        }
    }

    /// True when something was lost or wrong, false when it is only worth knowing.
    pub const fn is_loss(self) -> bool {
        !matches!(
            self,
            Self::NotIp
                | Self::OtherTransport
                | Self::Tunnelled
                | Self::UnknownProtocol
                | Self::PayloadLimit
                | Self::BodyPolicy
                | Self::Opaque
                | Self::Encrypted
                | Self::PlaintextTwice
        )
    }
}
