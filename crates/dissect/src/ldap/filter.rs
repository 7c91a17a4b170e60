//! Search filters as text (RFC 4515).

use super::ber::{Bad, Element, OCTETS, Reader};
use super::names::{self, HIDDEN};
use crate::kept::Kept;

/// Filters inside filters. Servers refuse fewer.
const MAX_DEPTH: usize = 64;

/// Appends a filter to the text that began last. Values of secret attributes are left out.
pub(super) fn write(filter: &Element<'_>, out: &mut Kept, limit: usize) -> Result<(), Bad> {
    nested(filter, out, limit, MAX_DEPTH)
}

fn nested(filter: &Element<'_>, out: &mut Kept, limit: usize, depth: usize) -> Result<(), Bad> {
    let depth = depth.checked_sub(1).ok_or(Bad)?;
    let put = |text: &[u8], out: &mut Kept| out.add(text, limit);
    put(b"(", out);
    match filter.tag {
        0xa0..=0xa2 => {
            put([&b"&"[..], b"|", b"!"].get(usize::from(filter.tag & 3)).copied().unwrap_or_default(), out);
            let mut inside = filter.inside();
            while let Some(each) = inside.next()? {
                nested(&each, out, limit, depth)?;
            }
        }
        0xa3 | 0xa5 | 0xa6 | 0xa8 => {
            let sign: &[u8] = match filter.tag {
                0xa3 => b"=",
                0xa5 => b">=",
                0xa6 => b"<=",
                _ => b"~=",
            };
            let mut inside = filter.inside();
            let attribute = inside.expect(OCTETS)?.value;
            put(attribute, out);
            put(sign, out);
            value(attribute, inside.expect(OCTETS)?.value, out, limit);
        }
        0xa4 => substrings(&mut filter.inside(), out, limit)?,
        0x87 => {
            put(filter.value, out);
            put(b"=*", out);
        }
        0xa9 => extensible(&mut filter.inside(), out, limit)?,
        _ => return Err(Bad),
    }
    put(b")", out);
    Ok(())
}

fn substrings(inside: &mut Reader<'_>, out: &mut Kept, limit: usize) -> Result<(), Bad> {
    let attribute = inside.expect(OCTETS)?.value;
    out.add(attribute, limit);
    out.add(b"=", limit);
    let mut parts = inside.expect(super::ber::SEQUENCE)?.inside();
    let mut last = 0;
    while let Some(part) = parts.next()? {
        // initial, any, final: a star between two, and in front of all but an initial.
        if part.tag != 0x80 {
            out.add(b"*", limit);
        }
        value(attribute, part.value, out, limit);
        last = part.tag;
        if !matches!(last, 0x80..=0x82) {
            return Err(Bad);
        }
    }
    if last != 0x82 {
        out.add(b"*", limit);
    }
    Ok(())
}

fn extensible(inside: &mut Reader<'_>, out: &mut Kept, limit: usize) -> Result<(), Bad> {
    let (mut rule, mut attribute, mut assertion, mut dn) = (None, None, &b""[..], false);
    while let Some(part) = inside.next()? {
        match part.tag {
            0x81 => rule = Some(part.value),
            0x82 => attribute = Some(part.value),
            0x83 => assertion = part.value,
            0x84 => dn = part.value.iter().any(|&b| b != 0),
            _ => return Err(Bad),
        }
    }
    out.add(attribute.unwrap_or_default(), limit);
    if dn {
        out.add(b":dn", limit);
    }
    if let Some(rule) = rule {
        out.add(b":", limit);
        out.add(rule, limit);
    }
    out.add(b":=", limit);
    value(attribute.unwrap_or_default(), assertion, out, limit);
    Ok(())
}

/// Appends a value with the escapes of RFC 4515, section 3.
fn value(attribute: &[u8], value: &[u8], out: &mut Kept, limit: usize) {
    if names::is_secret(attribute) {
        out.add(HIDDEN, limit);
        return;
    }
    for chunk in value.utf8_chunks() {
        let mut plain = chunk.valid().as_bytes();
        while let Some(at) = plain.iter().position(|b| matches!(b, b'*' | b'(' | b')' | b'\\' | 0)) {
            let (front, rest) = plain.split_at(at);
            out.add(front, limit);
            escape(rest.first().copied().unwrap_or(0), out, limit);
            plain = rest.get(1..).unwrap_or_default();
        }
        out.add(plain, limit);
        chunk.invalid().iter().for_each(|&b| escape(b, out, limit));
    }
}

fn escape(byte: u8, out: &mut Kept, limit: usize) {
    let digit = |n: u8| b"0123456789abcdef".get(usize::from(n & 15)).copied().unwrap_or(b'0');
    out.add(&[b'\\', digit(byte >> 4), digit(byte)], limit);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, value.len() as u8][..], value].concat()
    }

    fn ava(tag: u8, attribute: &str, value: &[u8]) -> Vec<u8> {
        tlv(tag, &[tlv(4, attribute.as_bytes()), tlv(4, value)].concat())
    }

    fn text(filter: &[u8]) -> Result<String, Bad> {
        let mut out = Kept::default();
        write(&Reader::new(filter, false).next()?.unwrap(), &mut out, 1_000)?;
        Ok(String::from_utf8(out.get(out.since(0)).to_vec()).unwrap())
    }

    #[test]
    fn every_kind() {
        let present = tlv(0x87, b"objectClass");
        let equal = ava(0xa3, "cn", "Mü*(l)\\er\0\u{e9}".as_bytes());
        let both = tlv(0xa0, &[present.clone(), tlv(0xa2, &equal)].concat());
        assert_eq!(text(&both).unwrap(), r"(&(objectClass=*)(!(cn=Mü\2a\28l\29\5cer\00é)))");
        assert_eq!(text(&tlv(0xa1, &[])).unwrap(), "(|)");
        assert_eq!(text(&ava(0xa5, "n", b"1")).unwrap(), "(n>=1)");
        assert_eq!(text(&ava(0xa6, "n", b"1")).unwrap(), "(n<=1)");
        assert_eq!(text(&ava(0xa8, "n", &[0xff, b'1'])).unwrap(), r"(n~=\ff1)");
        assert_eq!(text(&ava(0xa3, "userPassword;x", b"geheim")).unwrap(), "(userPassword;x=***)");
        let parts = |parts: &[(u8, &[u8])]| {
            let parts: Vec<u8> = parts.iter().flat_map(|(tag, value)| tlv(*tag, value)).collect();
            text(&tlv(0xa4, &[tlv(4, b"cn"), tlv(0x30, &parts)].concat())).unwrap()
        };
        assert_eq!(parts(&[(0x80, b"a"), (0x81, b"b"), (0x82, b"c")]), "(cn=a*b*c)");
        assert_eq!(parts(&[(0x81, b"b")]), "(cn=*b*)");
        assert_eq!(parts(&[(0x80, b"b")]), "(cn=b*)");
        assert_eq!(parts(&[(0x82, b"b")]), "(cn=*b)");
        let rule = [tlv(0x81, b"2.5.13.5"), tlv(0x82, b"cn"), tlv(0x83, b"F"), tlv(0x84, &[0xff])].concat();
        assert_eq!(text(&tlv(0xa9, &rule)).unwrap(), "(cn:dn:2.5.13.5:=F)");
    }

    #[test]
    fn depth_is_bounded() {
        let mut filter = tlv(0x87, b"x");
        for _ in 0..40 {
            filter = tlv(0xa2, &filter);
        }
        assert!(text(&filter).is_ok());
        let deep = |n: usize| {
            let mut filter = tlv(0x87, b"x");
            for _ in 0..n {
                let len = u32::try_from(filter.len()).unwrap().to_be_bytes();
                filter = [&[0xa2, 0x84][..], &len, &filter].concat();
            }
            text(&filter)
        };
        assert!(deep(63).is_ok() && deep(64) == Err(Bad) && deep(100_000) == Err(Bad));
    }
}
