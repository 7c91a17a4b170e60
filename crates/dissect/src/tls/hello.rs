//! ClientHello and ServerHello (RFC 8446 section 4.1, RFC 5246 section 7.4.1, RFC 5246 appendix E.2).

use super::cursor::{Cursor, numbers};

/// Entries kept of one list of a hello: more than any client sends, as many as an honest record
/// of 16 KiB could carry are counted all the same.
const MAX_LIST: usize = 512;

/// Names of application protocols kept.
const MAX_ALPN: usize = 64;

/// Bytes kept of a server name (RFC 1035 allows 255).
const MAX_NAME: usize = 512;

/// `ServerHello.random` of a HelloRetryRequest (RFC 8446 section 4.1.3).
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Numbers of extensions (IANA registry "TLS ExtensionType Values").
pub(super) mod extension {
    pub(in crate::tls) const SERVER_NAME: u16 = 0;
    pub(in crate::tls) const SUPPORTED_GROUPS: u16 = 10;
    pub(in crate::tls) const POINT_FORMATS: u16 = 11;
    pub(in crate::tls) const SIGNATURE_ALGORITHMS: u16 = 13;
    pub(in crate::tls) const ALPN: u16 = 16;
    pub(in crate::tls) const ENCRYPT_THEN_MAC: u16 = 22;
    pub(in crate::tls) const SESSION_TICKET: u16 = 35;
    pub(in crate::tls) const PRE_SHARED_KEY: u16 = 41;
    pub(in crate::tls) const EARLY_DATA: u16 = 42;
    pub(in crate::tls) const SUPPORTED_VERSIONS: u16 = 43;
    pub(in crate::tls) const KEY_SHARE: u16 = 51;
    pub(in crate::tls) const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
}

/// Values that mean nothing, sent to keep servers tolerant (RFC 8701).
pub(super) const fn is_grease(id: u16) -> bool {
    id & 0x0f0f == 0x0a0a && id >> 8 == id & 0xff
}

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) random: [u8; 32],
    /// `legacy_version`.
    pub(super) version: u16,
    pub(super) session_id: Vec<u8>,
    /// In the client's order, GREASE included; so are the other lists.
    pub(super) suites: Vec<u16>,
    /// Types of the extensions.
    pub(super) extensions: Vec<u16>,
    pub(super) versions: Vec<u16>,
    pub(super) groups: Vec<u16>,
    pub(super) signatures: Vec<u16>,
    pub(super) point_formats: Vec<u8>,
    pub(super) sni: Vec<u8>,
    pub(super) alpn: Vec<Vec<u8>>,
    /// A session ticket that is not empty.
    pub(super) ticket: bool,
    pub(super) psk: bool,
    pub(super) early_data: bool,
    /// In the form of SSL 2.0, which knows no extensions.
    pub(super) v2: bool,
}

impl ClientHello {
    /// Reads the body of a ClientHello.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut c = Cursor(body);
        let mut hello = Self { version: c.u16()?, random: c.array()?, ..Self::default() };
        hello.session_id = c.vec8().filter(|id| id.len() <= 32)?.to_vec();
        hello.suites = list(c.vec16()?);
        c.vec8()?;
        // Before TLS 1.2 there may be no extensions at all.
        if !c.is_empty() {
            let mut extensions = Cursor(c.vec16()?);
            while !extensions.is_empty() {
                let (kind, data) = (extensions.u16()?, extensions.vec16()?);
                if hello.extensions.len() < MAX_LIST {
                    hello.extensions.push(kind);
                }
                // An extension that makes no sense does not spoil the rest.
                _ = hello.extension(kind, Cursor(data));
            }
        }
        Some(hello)
    }

    /// Reads a ClientHello in the form of SSL 2.0, from its type on: what clients sent that would
    /// have talked to a server of that age.
    pub(super) fn parse_v2(message: &[u8]) -> Option<Self> {
        let mut c = Cursor(message);
        if c.u8()? != 1 {
            return None;
        }
        let version = c.u16()?;
        let (suites, id, challenge) = (c.u16()?, c.u16()?, c.u16()?);
        let suites = c.take(usize::from(suites))?;
        let id = c.take(usize::from(id)).filter(|id| id.len() <= 32)?;
        let challenge = c.take(usize::from(challenge)).filter(|c| (16..=32).contains(&c.len()))?;
        let mut random = [0; 32];
        random.get_mut(32 - challenge.len()..)?.copy_from_slice(challenge);
        // Of the suites only those of SSL 3.0 and later have a number of two bytes.
        let suites = suites.as_chunks().0.iter().filter(|[kind, _, _]| *kind == 0);
        let suites = suites.map(|[_, a, b]| u16::from_be_bytes([*a, *b])).take(MAX_LIST).collect();
        Some(Self { version, random, session_id: id.to_vec(), suites, v2: true, ..Self::default() })
    }

    fn extension(&mut self, kind: u16, mut data: Cursor<'_>) -> Option<()> {
        match kind {
            extension::SERVER_NAME => {
                let mut names = Cursor(data.vec16()?);
                while let Some(kind) = names.u8() {
                    let name = names.vec16()?;
                    if kind == 0 {
                        self.sni = name.get(..name.len().min(MAX_NAME))?.to_vec();
                        break;
                    }
                }
            }
            extension::SUPPORTED_GROUPS => self.groups = list(data.vec16()?),
            extension::POINT_FORMATS => self.point_formats = data.vec8()?.to_vec(),
            extension::SIGNATURE_ALGORITHMS => self.signatures = list(data.vec16()?),
            extension::ALPN => self.alpn = alpn(data).map(<[u8]>::to_vec).take(MAX_ALPN).collect(),
            extension::SESSION_TICKET => self.ticket = !data.is_empty(),
            extension::PRE_SHARED_KEY => self.psk = true,
            extension::EARLY_DATA => self.early_data = true,
            extension::SUPPORTED_VERSIONS => self.versions = list(data.vec8()?),
            _ => {}
        }
        Some(())
    }

    /// The versions that the client offers, newest first where it lists none; without GREASE.
    pub(super) fn offered_versions(&self) -> Vec<u16> {
        if self.versions.is_empty() {
            return vec![self.version];
        }
        self.versions.iter().copied().filter(|v| !is_grease(*v)).collect()
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let numbers = self.suites.capacity()
            + self.extensions.capacity()
            + self.versions.capacity()
            + self.groups.capacity()
            + self.signatures.capacity();
        let alpn: usize = self.alpn.iter().map(|p| p.capacity() + size_of::<Vec<u8>>()).sum();
        2 * numbers + self.point_formats.capacity() + self.sni.capacity() + self.session_id.capacity() + alpn
    }
}

/// What a server has chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) random: [u8; 32],
    /// `legacy_version`.
    pub(super) version: u16,
    pub(super) session_id: Vec<u8>,
    pub(super) suite: u16,
    pub(super) extensions: Vec<u16>,
    /// The version that it has selected by an extension.
    pub(super) selected: Option<u16>,
    pub(super) alpn: Vec<u8>,
    pub(super) group: Option<u16>,
    pub(super) psk: bool,
    /// It promises a new session ticket.
    pub(super) ticket: bool,
    pub(super) encrypt_then_mac: bool,
}

impl ServerHello {
    /// Reads the body of a ServerHello.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut c = Cursor(body);
        let mut hello = Self { version: c.u16()?, random: c.array()?, ..Self::default() };
        hello.session_id = c.vec8().filter(|id| id.len() <= 32)?.to_vec();
        hello.suite = c.u16()?;
        c.u8()?;
        if !c.is_empty() {
            let mut extensions = Cursor(c.vec16()?);
            while !extensions.is_empty() {
                let (kind, mut data) = (extensions.u16()?, Cursor(extensions.vec16()?));
                if hello.extensions.len() < MAX_LIST {
                    hello.extensions.push(kind);
                }
                match kind {
                    extension::ALPN => hello.alpn = alpn(data).next().unwrap_or_default().to_vec(),
                    extension::SUPPORTED_VERSIONS => hello.selected = data.u16(),
                    extension::KEY_SHARE => hello.group = data.u16(),
                    extension::PRE_SHARED_KEY => hello.psk = true,
                    extension::SESSION_TICKET => hello.ticket = true,
                    extension::ENCRYPT_THEN_MAC => hello.encrypt_then_mac = true,
                    _ => {}
                }
            }
        }
        Some(hello)
    }

    /// The version agreed upon.
    pub(super) fn negotiated(&self) -> u16 {
        self.selected.unwrap_or(self.version)
    }

    /// It asks for another ClientHello.
    pub(super) fn is_retry(&self) -> bool {
        self.random == RETRY
    }
}

/// What is of interest in EncryptedExtensions (RFC 8446 section 4.3.1).
#[derive(Debug, Default)]
pub(super) struct EncryptedExtensions {
    pub(super) alpn: Vec<u8>,
    pub(super) early_data: bool,
}

impl EncryptedExtensions {
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut found = Self::default();
        let mut extensions = Cursor(Cursor(body).vec16()?);
        while !extensions.is_empty() {
            let (kind, data) = (extensions.u16()?, extensions.vec16()?);
            match kind {
                extension::ALPN => found.alpn = alpn(Cursor(data)).next().unwrap_or_default().to_vec(),
                extension::EARLY_DATA => found.early_data = true,
                _ => {}
            }
        }
        Some(found)
    }
}

fn list(bytes: &[u8]) -> Vec<u16> {
    numbers(bytes).take(MAX_LIST).collect()
}

/// The names in an ALPN extension (RFC 7301 section 3.1).
fn alpn(mut data: Cursor<'_>) -> impl Iterator<Item = &[u8]> {
    let mut names = Cursor(data.vec16().unwrap_or_default());
    std::iter::from_fn(move || names.vec8())
}
