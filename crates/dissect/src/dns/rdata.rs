//! Record data as text, the way `dig +nosplit` prints it, but without the final dot of names.

use std::{
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{cursor::Cursor, encoding, svcb, types};

/// Appends the data of a record of type `ty`. Data of a type without a form of its own, and data
/// that does not fit its type, is written generically: `\# length HEX` (RFC 3597, section 5). The
/// result is false in the second case.
pub(super) fn write(ty: u16, data: Cursor<'_>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut c = data;
    let known = form(ty, &mut c, out);
    if known == Some(true) && c.left() == 0 {
        return true;
    }
    out.truncate(start);
    let bytes = { data }.rest();
    drop(write!(out, "\\# {}", bytes.len()));
    if !bytes.is_empty() {
        out.push(b' ');
        encoding::hex(bytes, out);
    }
    known == Some(false)
}

/// Appends a number and the space behind it.
fn number(n: impl Into<u64>, out: &mut Vec<u8>) {
    drop(write!(out, "{} ", n.into()));
}

/// `Some(false)` where the type has no form of its own, `None` where the data does not fit it.
fn form(ty: u16, c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<bool> {
    match ty {
        types::A => {
            let octets: [u8; 4] = c.take(4)?.try_into().ok()?;
            drop(write!(out, "{}", Ipv4Addr::from(octets)));
        }
        types::AAAA => {
            let octets: [u8; 16] = c.take(16)?.try_into().ok()?;
            drop(write!(out, "{}", Ipv6Addr::from(octets)));
        }
        types::NS
        | types::MD
        | types::MF
        | types::CNAME
        | types::MB
        | types::MG
        | types::MR
        | types::PTR
        | types::DNAME
        | types::NSAP_PTR => c.name(out)?,
        types::SOA => {
            c.name(out)?;
            out.push(b' ');
            c.name(out)?;
            for _ in 0..5 {
                drop(write!(out, " {}", c.u32()?));
            }
        }
        types::MX | types::RT | types::AFSDB | types::KX | types::LP => {
            number(c.u16()?, out);
            c.name(out)?;
        }
        types::PX => {
            number(c.u16()?, out);
            names(c, out)?;
        }
        types::RP | types::MINFO | types::TALINK => names(c, out)?,
        types::TXT
        | types::SPF
        | types::HINFO
        | types::X25
        | types::ISDN
        | types::NINFO
        | types::AVC
        | types::RESINFO
        | types::WALLET => strings(c, out)?,
        types::SRV => {
            for _ in 0..3 {
                number(c.u16()?, out);
            }
            c.name(out)?;
        }
        types::NAPTR => {
            number(c.u16()?, out);
            number(c.u16()?, out);
            for _ in 0..3 {
                string(c, out)?;
                out.push(b' ');
            }
            c.name(out)?;
        }
        types::CAA => {
            number(c.u8()?, out);
            let len = usize::from(c.u8()?);
            // Letters and digits only (RFC 8659, section 4.1).
            let tag = c.take(len).filter(|t| !t.is_empty() && t.iter().all(u8::is_ascii_alphanumeric))?;
            out.extend(tag);
            out.push(b' ');
            encoding::quoted(c.rest(), out);
        }
        types::URI => {
            number(c.u16()?, out);
            number(c.u16()?, out);
            encoding::quoted(c.rest(), out);
        }
        types::DS | types::CDS | types::DLV | types::TA => {
            number(c.u16()?, out);
            number(c.u8()?, out);
            number(c.u8()?, out);
            encoding::hex(c.rest(), out);
        }
        types::DNSKEY | types::CDNSKEY | types::KEY | types::RKEY => {
            number(c.u16()?, out);
            number(c.u8()?, out);
            number(c.u8()?, out);
            encoding::base64(c.rest(), out);
        }
        types::RRSIG | types::SIG => signature(c, out)?,
        types::NSEC => {
            c.name(out)?;
            bitmap(c, out)?;
        }
        types::NSEC3 => {
            nsec3_parameters(c, out)?;
            out.push(b' ');
            let len = usize::from(c.u8()?);
            encoding::base32hex(c.take(len)?, out);
            bitmap(c, out)?;
        }
        types::NSEC3PARAM => nsec3_parameters(c, out)?,
        types::CSYNC => {
            number(c.u32()?, out);
            drop(write!(out, "{}", c.u16()?));
            bitmap(c, out)?;
        }
        types::TLSA | types::SMIMEA => {
            for _ in 0..3 {
                number(c.u8()?, out);
            }
            encoding::hex(c.rest(), out);
        }
        types::SSHFP => {
            number(c.u8()?, out);
            number(c.u8()?, out);
            encoding::hex(c.rest(), out);
        }
        types::CERT => {
            number(c.u16()?, out);
            number(c.u16()?, out);
            number(c.u8()?, out);
            encoding::base64(c.rest(), out);
        }
        types::ZONEMD => {
            number(c.u32()?, out);
            number(c.u8()?, out);
            number(c.u8()?, out);
            encoding::hex(c.rest(), out);
        }
        types::OPENPGPKEY | types::DHCID => encoding::base64(c.rest(), out),
        types::EUI48 => octets(c.take(6)?, out),
        types::EUI64 => octets(c.take(8)?, out),
        types::SVCB | types::HTTPS => svcb::write(c, out)?,
        _ => return Some(false),
    }
    Some(true)
}

fn names(c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    c.name(out)?;
    out.push(b' ');
    c.name(out)
}

fn string(c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    let len = usize::from(c.u8()?);
    encoding::quoted(c.take(len)?, out);
    Some(())
}

fn strings(c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    string(c, out)?;
    while c.left() > 0 {
        out.push(b' ');
        string(c, out)?;
    }
    Some(())
}

fn signature(c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    types::write_type(c.u16()?, out);
    out.push(b' ');
    number(c.u8()?, out);
    number(c.u8()?, out);
    number(c.u32()?, out);
    encoding::signature_time(c.u32()?, out);
    out.push(b' ');
    encoding::signature_time(c.u32()?, out);
    out.push(b' ');
    number(c.u16()?, out);
    c.name(out)?;
    out.push(b' ');
    encoding::base64(c.rest(), out);
    Some(())
}

fn nsec3_parameters(c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    number(c.u8()?, out);
    number(c.u8()?, out);
    number(c.u16()?, out);
    match usize::from(c.u8()?) {
        0 => out.push(b'-'),
        len => encoding::hex(c.take(len)?, out),
    }
    Some(())
}

/// The type bitmap of RFC 4034, section 4.1.2.
fn bitmap(c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    while c.left() > 0 {
        let window = u16::from(c.u8()?) << 8;
        let len = usize::from(c.u8()?);
        let bits = c.take(len).filter(|b| (1..=32).contains(&b.len()))?;
        for (i, byte) in (0_u16..).zip(bits) {
            for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                out.push(b' ');
                types::write_type(window | i << 3 | bit, out);
            }
        }
    }
    Some(())
}

fn octets(bytes: &[u8], out: &mut Vec<u8>) {
    for (i, b) in bytes.iter().enumerate() {
        drop(write!(out, "{}{b:02x}", if i == 0 { "" } else { "-" }));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(ty: u16, data: &[u8]) -> (String, bool) {
        let mut out = Vec::new();
        let fits = write(ty, Cursor::new(data), &mut out);
        (String::from_utf8(out).unwrap(), fits)
    }

    #[track_caller]
    fn is(ty: u16, data: &[u8], expected: &str) {
        assert_eq!(text(ty, data), (expected.into(), true));
    }

    #[test]
    fn forms() {
        is(types::A, &[192, 0, 2, 1], "192.0.2.1");
        is(types::AAAA, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "2001:db8::1");
        is(types::CNAME, b"\x01a\x00", "a");
        is(types::MX, b"\x00\x0a\x04mail\x00", "10 mail");
        is(types::MX, b"\x00\x00\x00", "0 .");
        is(types::SRV, b"\x00\x01\x00\x02\x01\xbb\x01h\x00", "1 2 443 h");
        is(types::TXT, b"\x03a\"b\x00", r#""a\"b" """#);
        is(types::CAA, b"\x80\x05issueca.example", "128 issue \"ca.example\"");
        is(types::DS, b"\x30\x39\x08\x02\xde\xad", "12345 8 2 DEAD");
        is(types::NSEC, b"\x01b\x00\x00\x01\x40\x01\x01\x40", "b A CAA");
        is(types::NSEC3, b"\x01\x00\x00\x05\x02\xab\xcd\x05fooba\x00\x01\x40", "1 0 5 ABCD CPNMUOJ1 A");
        is(types::NSEC3PARAM, b"\x01\x00\x00\x00\x00", "1 0 0 -");
        is(types::TLSA, b"\x03\x01\x01\x0f", "3 1 1 0F");
        is(
            types::NAPTR,
            b"\x00\x64\x00\x0a\x01u\x07E2U+sip\x06!a!b!i\x00",
            r#"100 10 "u" "E2U+sip" "!a!b!i" ."#,
        );
        is(types::URI, b"\x00\x0a\x00\x01http://a/", "10 1 \"http://a/\"");
        is(types::HINFO, b"\x03x86\x05Linux", r#""x86" "Linux""#);
        is(types::EUI48, &[0, 1, 2, 0xa, 0xb, 0xc], "00-01-02-0a-0b-0c");
        is(
            types::RRSIG,
            b"\x00\x01\x0d\x02\x00\x00\x01\x2c\x69\x1f\xac\x80\x00\x00\x00\x00\x30\x39\x01a\x00foo",
            "A 13 2 300 20251121000416 19700101000000 12345 a Zm9v",
        );
        is(types::DNSKEY, b"\x01\x01\x03\x0dfoo", "257 3 13 Zm9v");
        is(
            types::SOA,
            b"\x02ns\x00\x04root\x00\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05",
            "ns root 1 2 3 4 5",
        );
    }

    #[test]
    fn unknown_types_are_generic() {
        is(65_280, &[1, 0xff], "\\# 2 01FF");
        is(65_280, &[], "\\# 0");
        is(types::LOC, &[0], "\\# 1 00");
    }

    #[test]
    fn data_that_does_not_fit_is_generic_and_said_so() {
        assert_eq!(text(types::A, &[1, 2, 3]), ("\\# 3 010203".into(), false));
        assert_eq!(text(types::A, &[1, 2, 3, 4, 5]), ("\\# 5 0102030405".into(), false));
        assert_eq!(text(types::CNAME, &[5, b'a']), ("\\# 2 0561".into(), false));
        assert_eq!(text(types::CAA, b"\x00\x01 x"), ("\\# 4 00012078".into(), false));
        assert_eq!(text(types::NSEC, b"\x00\x00\x00"), ("\\# 3 000000".into(), false));
    }

    #[test]
    fn no_prefix_panics() {
        for ty in 0..300 {
            for len in 0..64 {
                let data: Vec<u8> = (0..len).collect();
                let (text, _) = text(ty, &data);
                assert!(!text.is_empty() || data.is_empty());
            }
        }
    }
}
