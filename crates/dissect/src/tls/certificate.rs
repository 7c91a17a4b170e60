//! What is shown of an X.509 certificate (RFC 5280).

use super::der::{
    BOOLEAN, Der, GENERALIZED_TIME, INTEGER, OCTETS, OID, SEQUENCE, SET, UTC_TIME, constructed, dotted,
    seconds,
};
use super::fingerprint::hex;

/// Names of a subject kept.
const MAX_NAMES: usize = 256;

/// Bytes kept of a distinguished name.
const MAX_NAME: usize = 1_024;

/// Bytes kept of a serial number (RFC 5280 section 4.1.2.2 allows 20).
const MAX_SERIAL: usize = 32;

/// Parts of a distinguished name that are gone through.
const MAX_PARTS: usize = 64;

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) issuer: String,
    /// Subject alternative names: DNS names, addresses, URIs, mail addresses.
    pub(super) names: Vec<String>,
    /// Seconds since 1970.
    pub(super) not_before: Option<i64>,
    pub(super) not_after: Option<i64>,
    /// In hexadecimal, without leading zeros.
    pub(super) serial: String,
    pub(super) signature: String,
}

impl Certificate {
    /// Reads a certificate.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut tbs = Der::new(bytes).enter(SEQUENCE)?.enter(SEQUENCE)?;
        tbs.optional(constructed(0));
        let serial = tbs.expect(INTEGER)?;
        let mut found = Self { serial: serial_number(serial), ..Self::default() };
        found.signature = algorithm(tbs.enter(SEQUENCE)?.expect(OID)?);
        found.issuer = name(tbs.enter(SEQUENCE)?);
        let mut validity = tbs.enter(SEQUENCE)?;
        found.not_before = time(&mut validity);
        found.not_after = time(&mut validity);
        found.subject = name(tbs.enter(SEQUENCE)?);
        tbs.expect(SEQUENCE)?;
        tbs.optional(constructed(1));
        tbs.optional(constructed(2));
        if let Some(extensions) = tbs.optional(constructed(3)) {
            _ = found.extensions(Der::new(extensions));
        }
        Some(found)
    }

    fn extensions(&mut self, mut der: Der<'_>) -> Option<()> {
        /// `id-ce-subjectAltName`, 2.5.29.17.
        const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

        let mut extensions = der.enter(SEQUENCE)?;
        while let Some(mut extension) = extensions.enter(SEQUENCE) {
            let oid = extension.expect(OID)?;
            extension.optional(BOOLEAN);
            if oid != ALTERNATIVE_NAMES {
                continue;
            }
            let mut names = Der::new(extension.expect(OCTETS)?).enter(SEQUENCE)?;
            while let Some((tag, content)) = names.next()
                && self.names.len() < MAX_NAMES
            {
                self.names.extend(general_name(tag, content));
            }
        }
        Some(())
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        let names: usize = self.names.iter().map(|n| n.capacity() + size_of::<String>()).sum();
        self.subject.capacity()
            + self.issuer.capacity()
            + self.serial.capacity()
            + self.signature.capacity()
            + names
    }
}

/// A GeneralName of the kinds that name a host or a person (RFC 5280 section 4.2.1.6).
fn general_name(tag: u8, content: &[u8]) -> Option<String> {
    let text = || content.get(..content.len().min(MAX_NAME)).map(|t| String::from_utf8_lossy(t).into_owned());
    match (tag, content.len()) {
        (0x81 | 0x82 | 0x86, _) => text(),
        (0x87, 4) => Some(std::net::Ipv4Addr::from(*content.first_chunk::<4>()?).to_string()),
        (0x87, 16) => Some(std::net::Ipv6Addr::from(*content.first_chunk::<16>()?).to_string()),
        _ => None,
    }
}

fn serial_number(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|b| **b == 0).count().min(bytes.len().saturating_sub(1));
    let bytes = bytes.get(zeros..).unwrap_or_default();
    hex(bytes.get(..bytes.len().min(MAX_SERIAL)).unwrap_or_default())
}

fn time(der: &mut Der<'_>) -> Option<i64> {
    let (tag, content) = der.next().filter(|(tag, _)| [UTC_TIME, GENERALIZED_TIME].contains(tag))?;
    seconds(tag, content)
}

/// A distinguished name in its own order, as `C=US, O=Example, CN=example.com`.
fn name(mut rdns: Der<'_>) -> String {
    let mut text = String::new();
    let mut parts = 0;
    while let Some(mut rdn) = rdns.enter(SET) {
        let mut joined = false;
        while let Some(mut part) = rdn.enter(SEQUENCE) {
            let (Some(oid), Some((tag, value))) = (part.expect(OID), part.next()) else { break };
            parts += 1;
            if parts > MAX_PARTS || text.len() > MAX_NAME {
                return text;
            }
            if !text.is_empty() {
                text += if joined { " + " } else { ", " };
            }
            joined = true;
            match attribute(oid) {
                Some(name) => text += name,
                None => text += &dotted(oid).unwrap_or_default(),
            }
            text.push('=');
            for c in string(tag, value).chars() {
                if matches!(c, ',' | '+' | '\\') {
                    text.push('\\');
                }
                text.push(c);
            }
        }
    }
    text
}

/// The text of a string of one of the kinds that names have (X.690, X.520).
fn string(tag: u8, value: &[u8]) -> String {
    let value = value.get(..value.len().min(MAX_NAME)).unwrap_or_default();
    match tag {
        // BMPString.
        0x1e => {
            let units = value.as_chunks().0.iter().map(|b| u16::from_be_bytes(*b));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        // T61String, in practice Latin-1.
        0x14 => value.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}

/// Short names of attributes (RFC 4519 section 2, RFC 5280 appendix A).
fn attribute(oid: &[u8]) -> Option<&'static str> {
    Some(match oid {
        [0x55, 0x04, 0x03] => "CN",
        [0x55, 0x04, 0x04] => "SN",
        [0x55, 0x04, 0x05] => "serialNumber",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "ST",
        [0x55, 0x04, 0x09] => "street",
        [0x55, 0x04, 0x0a] => "O",
        [0x55, 0x04, 0x0b] => "OU",
        [0x55, 0x04, 0x0c] => "title",
        [0x55, 0x04, 0x2a] => "GN",
        [0x55, 0x04, 0x61] => "organizationIdentifier",
        // 1.2.840.113549.1.9.1
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "emailAddress",
        // 0.9.2342.19200300.100.1.1 and .25
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        _ => return None,
    })
}

/// Names of signature algorithms (RFC 3279, RFC 4055, RFC 5758, RFC 8410), others by their number.
fn algorithm(oid: &[u8]) -> String {
    /// 1.2.840.113549.1.1
    const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    /// 1.2.840.10045.4
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];

    let known = if let Some([last]) = oid.strip_prefix(PKCS1) {
        match last {
            2 => "md2WithRSAEncryption",
            4 => "md5WithRSAEncryption",
            5 => "sha1WithRSAEncryption",
            10 => "rsassaPss",
            11 => "sha256WithRSAEncryption",
            12 => "sha384WithRSAEncryption",
            13 => "sha512WithRSAEncryption",
            14 => "sha224WithRSAEncryption",
            _ => "",
        }
    } else if let Some(rest) = oid.strip_prefix(ECDSA) {
        match rest {
            [1] => "ecdsa-with-SHA1",
            [3, 1] => "ecdsa-with-SHA224",
            [3, 2] => "ecdsa-with-SHA256",
            [3, 3] => "ecdsa-with-SHA384",
            [3, 4] => "ecdsa-with-SHA512",
            _ => "",
        }
    } else {
        match oid {
            [0x2b, 0x65, 0x70] => "Ed25519",
            [0x2b, 0x65, 0x71] => "Ed448",
            _ => "",
        }
    };
    if known.is_empty() { dotted(oid).unwrap_or_default() } else { known.to_owned() }
}
