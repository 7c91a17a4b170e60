//! SVCB and HTTPS records (RFC 9460).

use std::{
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{cursor::Cursor, encoding};

/// Appends priority, target and parameters. `None` where the data does not fit.
pub(super) fn write(c: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    drop(write!(out, "{} ", c.u16()?));
    c.name(out)?;
    while c.left() > 0 {
        let key = c.u16()?;
        let len = usize::from(c.u16()?);
        let mut value = c.part(len)?;
        out.push(b' ');
        parameter(key, &mut value, out)?;
        if value.left() > 0 {
            return None;
        }
    }
    Some(())
}

/// Name of a parameter (IANA "Service Parameter Keys"), or `keynnn`.
fn write_key(key: u16, out: &mut Vec<u8>) {
    let name = match key {
        0 => "mandatory",
        1 => "alpn",
        2 => "no-default-alpn",
        3 => "port",
        4 => "ipv4hint",
        5 => "ech",
        6 => "ipv6hint",
        7 => "dohpath",
        8 => "ohttp",
        _ => return drop(write!(out, "key{key}")),
    };
    out.extend(name.as_bytes());
}

fn parameter(key: u16, value: &mut Cursor<'_>, out: &mut Vec<u8>) -> Option<()> {
    write_key(key, out);
    if value.left() == 0 {
        return Some(());
    }
    out.push(b'=');
    match key {
        0 => list(value, out, |c, out| {
            write_key(c.u16()?, out);
            Some(())
        }),
        1 => {
            out.push(b'"');
            list(value, out, |c, out| {
                let len = usize::from(c.u8()?);
                alpn(c.take(len)?, out);
                Some(())
            })?;
            out.push(b'"');
            Some(())
        }
        3 => {
            drop(write!(out, "{}", value.u16()?));
            Some(())
        }
        4 => list(value, out, |c, out| {
            let octets: [u8; 4] = c.take(4)?.try_into().ok()?;
            drop(write!(out, "{}", Ipv4Addr::from(octets)));
            Some(())
        }),
        5 => {
            encoding::base64(value.rest(), out);
            Some(())
        }
        6 => list(value, out, |c, out| {
            let octets: [u8; 16] = c.take(16)?.try_into().ok()?;
            drop(write!(out, "{}", Ipv6Addr::from(octets)));
            Some(())
        }),
        _ => {
            encoding::quoted(value.rest(), out);
            Some(())
        }
    }
}

fn list(
    value: &mut Cursor<'_>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut Cursor<'_>, &mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    item(value, out)?;
    while value.left() > 0 {
        out.push(b',');
        item(value, out)?;
    }
    Some(())
}

/// One protocol id; the comma and the backslash are escaped twice (RFC 9460, appendix A.1).
fn alpn(id: &[u8], out: &mut Vec<u8>) {
    for &b in id {
        match b {
            b',' => out.extend(b"\\\\,"),
            b'\\' => out.extend(b"\\\\\\\\"),
            b'"' => out.extend([b'\\', b]),
            0x20..=0x7e => out.push(b),
            _ => drop(write!(out, "\\{b:03}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(data: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        write(&mut Cursor::new(data), &mut out)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn alias_and_service_forms() {
        assert_eq!(text(b"\x00\x00\x03foo\x00").unwrap(), "0 foo");
        assert_eq!(
            text(
                b"\x00\x01\x00\x00\x00\x00\x02\x00\x01\x00\x01\x00\x06\x02h2\x02h3\x00\x02\x00\x00\
                  \x00\x03\x00\x02\x01\xbb\x00\x04\x00\x08\xc0\x00\x02\x01\xc0\x00\x02\x02\
                  \x00\x05\x00\x03foo\x02\x9b\x00\x01x"
            )
            .unwrap(),
            "1 . mandatory=alpn alpn=\"h2,h3\" no-default-alpn port=443 \
             ipv4hint=192.0.2.1,192.0.2.2 ech=Zm9v key667=\"x\""
        );
        assert_eq!(text(b"\x00\x01\x00\x00\x01\x00\x06\x05a,b\\\"").unwrap(), r#"1 . alpn="a\\,b\\\\\"""#);
    }

    #[test]
    fn faults() {
        assert_eq!(text(b"\x00\x01\x00\x00\x03\x00\x03abc"), None);
        assert_eq!(text(b"\x00\x01\x00\x00\x04\x00\x05abcde"), None);
        assert_eq!(text(b"\x00\x01\x00\x00\x04\x00\x05"), None);
    }
}
