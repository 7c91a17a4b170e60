//! Long headers of QUIC (RFC 9000 section 17.2, RFC 9369 section 3.2).

use crate::tls::cursor::Cursor;

/// Bytes of the longest connection id of the versions that are known.
const MAX_ID: usize = 20;

/// A version of QUIC whose Initial packets can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// RFC 9000.
    V1,
    /// RFC 9369.
    V2,
    /// draft-ietf-quic-transport-29 to -32, spoken before there was version 1.
    Draft29,
}

impl Version {
    fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::V1,
            0x6b33_43cf => Self::V2,
            0xff00_001d..=0xff00_0020 => Self::Draft29,
            _ => return None,
        })
    }

    /// As users see it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
            Self::Draft29 => "draft-29",
        }
    }
}

/// A connection id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Id {
    bytes: [u8; MAX_ID],
    len: u8,
}

impl Id {
    fn new(bytes: &[u8]) -> Option<Self> {
        let mut id = Self { bytes: [0; MAX_ID], len: u8::try_from(bytes.len()).ok()? };
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(id)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What a packet with a long header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// Carries the beginning of the handshake.
    Initial(Sealed<'a>),
    /// 0-RTT data, or the rest of the handshake, whose keys are not known.
    Other,
    /// The server wants a proof of the client's address first.
    Retry,
    /// The server does not speak the version, but these.
    VersionNegotiation,
}

/// An Initial packet before its protection is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed<'a> {
    /// The packet up to its end.
    pub(super) packet: &'a [u8],
    /// Where its number begins.
    pub(super) number_at: usize,
}

/// A packet with a long header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Long<'a> {
    pub(super) kind: Kind<'a>,
    /// `None` for a version negotiation.
    pub(super) version: Option<Version>,
    pub(super) destination: Id,
    pub(super) source: Id,
    /// What stands behind it in its datagram.
    pub(super) rest: &'a [u8],
}

impl<'a> Long<'a> {
    /// Reads the header of the packet at the front of `bytes`. `None` when it is none of a version
    /// that is known.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut c = Cursor(bytes);
        let first = c.u8().filter(|b| b & 0x80 != 0)?;
        let number = c.u32()?;
        let destination = Id::new(c.vec8()?)?;
        let source = Id::new(c.vec8()?)?;
        if number == 0 {
            let versions = c.0.as_chunks::<4>();
            // One that it names must be known, which makes this more than a guess.
            let known = versions.0.iter().any(|v| Version::from_number(u32::from_be_bytes(*v)).is_some());
            return (known && versions.1.is_empty()).then_some(Self {
                kind: Kind::VersionNegotiation,
                version: None,
                destination,
                source,
                rest: &[],
            });
        }
        let version = Version::from_number(number)?;
        // The fixed bit (RFC 9000 section 17.2); greasing it (RFC 9287) begins after the handshake.
        if first & 0x40 == 0 {
            return None;
        }
        // Version 2 numbers the types anew.
        let kind = match (version, first >> 4 & 3) {
            (Version::V2, kind) => kind.wrapping_sub(1) & 3,
            (_, kind) => kind,
        };
        let long = |kind, rest| Some(Self { kind, version: Some(version), destination, source, rest });
        if kind == 3 {
            return long(Kind::Retry, &[][..]);
        }
        if kind == 0 {
            let token = usize::try_from(variable(&mut c)?).ok()?;
            c.take(token)?;
        }
        let len = usize::try_from(variable(&mut c)?).ok()?;
        let number_at = bytes.len() - c.0.len();
        c.take(len)?;
        let packet = bytes.get(..number_at + len)?;
        match kind {
            0 => long(Kind::Initial(Sealed { packet, number_at }), c.0),
            _ => long(Kind::Other, c.0),
        }
    }
}

/// A number of variable length (RFC 9000 section 16).
pub(super) fn variable(c: &mut Cursor<'_>) -> Option<u64> {
    let first = c.u8()?;
    let more = (1_usize << (first >> 6)) - 1;
    let rest = c.take(more)?;
    Some(rest.iter().fold(u64::from(first & 0x3f), |n, b| n << 8 | u64::from(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000, appendix A.1.
    #[test]
    fn numbers_of_variable_length() {
        for (bytes, number) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(variable(&mut Cursor(bytes)), Some(number));
            assert_eq!(variable(&mut Cursor(&bytes[..bytes.len() - 1])), None);
        }
    }
}
