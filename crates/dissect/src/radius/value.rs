//! Values of attributes as text.

use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::names;

/// Types of values (RFC 8044, section 3, and those of RFC 2868 that carry a tag).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// 1, 2 or 4 bytes; with a name where there is one.
    Int,
    Int64,
    Ipv4,
    Ipv6,
    Prefix4,
    Prefix6,
    InterfaceId,
    /// Seconds since 1970.
    Date,
    Octets,
    TaggedText,
    TaggedInt,
    /// Never shown.
    Secret,
    /// A message of EAP, of which only the kind is shown.
    Eap,
    /// Attributes of a vendor.
    Vendor,
}

/// What stands in the place of a secret.
const HIDDEN: &[u8] = b"***";

/// Appends a value. What is not as its type demands is shown in hexadecimal digits.
pub(super) fn write(attribute: Option<u8>, kind: Kind, value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    if written(attribute, kind, value, out).is_none() {
        out.truncate(start);
        hex(value, out);
    }
}

/// True when a value has a length that its type allows.
pub(super) fn fits(kind: Kind, len: usize) -> bool {
    match kind {
        Kind::Int | Kind::TaggedInt | Kind::Ipv4 | Kind::Date => len == 4,
        Kind::Ipv6 => len == 16,
        Kind::Int64 | Kind::InterfaceId => len == 8,
        Kind::Prefix6 => (2..=18).contains(&len),
        Kind::Prefix4 => len == 6,
        Kind::Vendor => len > 4,
        _ => true,
    }
}

fn written(attribute: Option<u8>, kind: Kind, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match kind {
        Kind::Text => text(value, out),
        Kind::Int if matches!(value.len(), 1 | 2 | 4) => int(attribute, number(value), out),
        Kind::TaggedInt if value.len() == 4 => int(attribute, number(value.get(1..)?), out),
        Kind::Int64 => drop(write!(out, "{}", u64::from_be_bytes(value.try_into().ok()?))),
        Kind::Ipv4 => drop(write!(out, "{}", Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))),
        Kind::Ipv6 => drop(write!(out, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?))),
        Kind::Prefix4 => {
            let [_, len, address @ ..] = <[u8; 6]>::try_from(value).ok()?;
            _ = write!(out, "{}/{}", Ipv4Addr::from(address), len & 0x3f);
        }
        Kind::Prefix6 => {
            let (len, prefix) = (value.get(1)?, value.get(2..18).or(value.get(2..))?);
            let mut address = [0; 16];
            address.iter_mut().zip(prefix).for_each(|(to, from)| *to = *from);
            _ = write!(out, "{}/{len}", Ipv6Addr::from(address));
        }
        Kind::InterfaceId => {
            for (i, pair) in <[u8; 8]>::try_from(value).ok()?.chunks(2).enumerate() {
                _ = write!(out, "{}{:x}", if i > 0 { ":" } else { "" }, number(pair));
            }
        }
        Kind::Date if value.len() == 4 => {
            let seconds = i64::from(number(value));
            crate::sql::rows::print_date(out, seconds / 86_400);
            let (h, m, s) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
            _ = write!(out, "T{h:02}:{m:02}:{s:02}Z");
        }
        Kind::TaggedText => {
            // A first byte above 0x1f is no tag but text (RFC 2868, section 3.3).
            let untagged = if value.first()? <= &0x1f { value.get(1..)? } else { value };
            text(untagged, out);
        }
        Kind::Secret => out.extend(HIDDEN),
        Kind::Eap => return eap(value, out),
        _ => return None,
    }
    Some(())
}

/// At most 4 bytes as a number.
fn number(value: &[u8]) -> u32 {
    value.iter().fold(0, |n, &b| n << 8 | u32::from(b))
}

fn int(attribute: Option<u8>, n: u32, out: &mut Vec<u8>) {
    match attribute.and_then(|a| names::name(a, n)) {
        Some(name) => out.extend(name.as_bytes()),
        None => drop(write!(out, "{n}")),
    }
}

/// Text as it is, but for what no text has: then it is shown in hexadecimal digits.
fn text(value: &[u8], out: &mut Vec<u8>) {
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if std::str::from_utf8(value).is_ok_and(|t| !t.contains(odd)) {
        // `key=value` pairs of vendors may have secrets.
        let secret = memchr::memchr(b'=', value)
            .filter(|at| value.get(..*at).is_some_and(names_a_secret))
            .map_or(value.len(), |at| at + 1);
        out.extend(value.get(..secret).unwrap_or(value));
        if secret < value.len() {
            out.extend(HIDDEN);
        }
    } else {
        hex(value, out);
    }
}

/// True for what stands in front of a secret.
fn names_a_secret(key: &[u8]) -> bool {
    [&b"password"[..], b"passwd", b"secret", b"psk", b"-key"]
        .iter()
        .any(|word| key.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word)))
}

/// Appends hexadecimal digits.
pub(super) fn hex(value: &[u8], out: &mut Vec<u8>) {
    let digit = |n: u8| b"0123456789abcdef".get(usize::from(n & 15)).copied().unwrap_or(b'0');
    out.extend(value.iter().flat_map(|b| [digit(b >> 4), digit(*b)]));
}

/// What a message of EAP is: its code, and the method (RFC 3748, sections 4 and 5).
pub(super) fn eap_name(value: &[u8]) -> Option<(&'static str, Option<&'static str>)> {
    let code = match value.first()? {
        1 => "Request",
        2 => "Response",
        3 => "Success",
        4 => "Failure",
        _ => return None,
    };
    let method = value.get(4).filter(|_| value.len() > 4 && value.first() < Some(&3));
    let method = method.map(|method| match method {
        1 => "Identity",
        2 => "Notification",
        3 => "Nak",
        4 => "MD5-Challenge",
        5 => "OTP",
        6 => "GTC",
        13 => "TLS",
        17 => "LEAP",
        18 => "SIM",
        21 => "TTLS",
        23 => "AKA",
        25 => "PEAP",
        26 => "MSCHAPv2",
        29 => "EAP-MSCHAPv2",
        43 => "FAST",
        46 => "PAX",
        47 => "PSK",
        48 => "SAKE",
        49 => "IKEv2",
        50 => "AKA'",
        51 => "GPSK",
        52 => "pwd",
        53 => "EKE",
        55 => "TEAP",
        254 => "Expanded",
        _ => "unknown",
    });
    Some((code, method))
}

fn eap(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // Later pieces of a long message have no header.
    let known = eap_name(value)
        .filter(|_| value.get(2..4).is_some_and(|len| number(len) as usize >= value.len().min(4)));
    if let Some((code, method)) = known {
        out.extend(code.as_bytes());
        if let Some(method) = method {
            out.push(b' ');
            out.extend(method.as_bytes());
        }
        return Some(());
    }
    out.extend(HIDDEN);
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(attribute: Option<u8>, kind: Kind, value: &[u8]) -> String {
        let mut out = Vec::new();
        write(attribute, kind, value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind() {
        assert_eq!(shown(None, Kind::Text, "Müller".as_bytes()), "Müller");
        assert_eq!(shown(None, Kind::Text, &[0, 1, 0xfe]), "0001fe");
        assert_eq!(shown(Some(40), Kind::Int, &[0, 0, 0, 3]), "Interim-Update");
        assert_eq!(shown(Some(40), Kind::Int, &[0, 0, 1, 3]), "259");
        assert_eq!(shown(None, Kind::Int, &[1, 2, 3]), "010203");
        assert_eq!(shown(None, Kind::Int64, &[0, 0, 0, 0, 0, 0, 1, 0]), "256");
        assert_eq!(shown(None, Kind::Ipv4, &[192, 0, 2, 1]), "192.0.2.1");
        assert_eq!(shown(None, Kind::Ipv4, &[192, 0, 2]), "c00002");
        assert_eq!(shown(None, Kind::Prefix4, &[0, 24, 192, 0, 2, 0]), "192.0.2.0/24");
        assert_eq!(shown(None, Kind::Prefix6, &[0, 32, 0x20, 1, 0xd, 0xb8]), "2001:db8::/32");
        assert_eq!(shown(None, Kind::Prefix6, &[0; 30]), "::/0");
        assert_eq!(shown(None, Kind::InterfaceId, &[0, 1, 0, 0, 0xab, 0xcd, 0, 2]), "1:0:abcd:2");
        assert_eq!(shown(None, Kind::Date, &0x6571_0000_u32.to_be_bytes()), "2023-12-06T23:13:04Z");
        assert_eq!(shown(None, Kind::TaggedText, b"\x0142"), "42");
        assert_eq!(shown(None, Kind::TaggedText, b"42"), "42");
        assert_eq!(shown(Some(64), Kind::TaggedInt, &[1, 0, 0, 13]), "VLAN");
        assert_eq!(shown(None, Kind::Secret, b"geheim"), "***");
        assert_eq!(shown(None, Kind::Eap, &[2, 1, 0, 9, 1, b'a', b'n', b'n', b'a']), "Response Identity");
        assert_eq!(shown(None, Kind::Eap, &[3, 1, 0, 4]), "Success");
        assert_eq!(shown(None, Kind::Eap, b"\xffrest"), "***");
        assert_eq!(shown(None, Kind::Octets, &[1, 0xff]), "01ff");
    }

    #[test]
    fn secrets_in_pairs() {
        assert_eq!(shown(None, Kind::Text, b"tunnel-password=geheim"), "tunnel-password=***");
        assert_eq!(shown(None, Kind::Text, b"shell:priv-lvl=15"), "shell:priv-lvl=15");
    }
}
