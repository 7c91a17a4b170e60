//! Values of the binary protocol as text (MySQL Internals, "Binary Protocol Value").

use super::packet::{self, ColumnType};
use crate::sql::reader::Reader;
use crate::sql::rows::{print, print_hex};

/// `MYSQL_TYPE_NULL`.
pub(super) const NULL: u8 = 0x06;

/// Reads a value of a type and appends it. `None` when it is not all there, or the type is unknown.
pub(super) fn write(out: &mut Vec<u8>, ty: ColumnType, r: &mut Reader<'_>) -> Option<()> {
    match (ty.kind, ty.unsigned) {
        (0x01, false) => print(out, format_args!("{}", r.u8()?.cast_signed())),
        (0x01, true) => print(out, format_args!("{}", r.u8()?)),
        (0x02, false) => print(out, format_args!("{}", r.u16_le()?.cast_signed())),
        (0x02, true) | (0x0d, _) => print(out, format_args!("{}", r.u16_le()?)),
        (0x03 | 0x09, false) => print(out, format_args!("{}", r.u32_le()?.cast_signed())),
        (0x03 | 0x09, true) => print(out, format_args!("{}", r.u32_le()?)),
        (0x08, false) => print(out, format_args!("{}", r.u64_le()?.cast_signed())),
        (0x08, true) => print(out, format_args!("{}", r.u64_le()?)),
        (0x04, _) => print(out, format_args!("{}", f32::from_le_bytes(r.array()?))),
        (0x05, _) => print(out, format_args!("{}", f64::from_le_bytes(r.array()?))),
        (NULL, _) => out.extend_from_slice(b"NULL"),
        (0x07 | 0x0a | 0x0c, _) => moment(out, ty.kind, r)?,
        (0x0b, _) => duration(out, r)?,
        // DECIMAL, VARCHAR, BIT, JSON, NEWDECIMAL, ENUM, SET, the BLOBs, the strings, GEOMETRY.
        (0x00 | 0x0f | 0x10 | 0xf5..=0xff, _) => text(out, packet::string(r)?),
        _ => return None,
    }
    Some(())
}

/// Appends text as it is, and what is none in hexadecimal.
pub(super) fn text(out: &mut Vec<u8>, value: &[u8]) {
    if std::str::from_utf8(value).is_ok() && !value.contains(&0) {
        out.extend_from_slice(value);
    } else {
        print_hex(out, value);
    }
}

fn moment(out: &mut Vec<u8>, kind: u8, r: &mut Reader<'_>) -> Option<()> {
    let len = usize::from(r.u8()?);
    let mut v = Reader(r.take(len)?);
    let (year, month, day) = match len {
        0 => (0, 0, 0),
        _ => (v.u16_le()?, v.u8()?, v.u8()?),
    };
    print(out, format_args!("{year:04}-{month:02}-{day:02}"));
    if kind != 0x0a {
        let (h, m, s) = if len > 4 { (v.u8()?, v.u8()?, v.u8()?) } else { (0, 0, 0) };
        print(out, format_args!(" {h:02}:{m:02}:{s:02}"));
        if len > 7 {
            print(out, format_args!(".{:06}", v.u32_le()?));
        }
    }
    Some(())
}

fn duration(out: &mut Vec<u8>, r: &mut Reader<'_>) -> Option<()> {
    let len = usize::from(r.u8()?);
    let mut v = Reader(r.take(len)?);
    if len == 0 {
        out.extend_from_slice(b"00:00:00");
        return Some(());
    }
    let (negative, days) = (v.u8()? != 0, v.u32_le()?);
    let (h, m, s) = (v.u8()?, v.u8()?, v.u8()?);
    let sign = if negative { "-" } else { "" };
    print(out, format_args!("{sign}{:02}:{m:02}:{s:02}", u64::from(days) * 24 + u64::from(h)));
    if len > 8 {
        print(out, format_args!(".{:06}", v.u32_le()?));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(kind: u8, unsigned: bool, bytes: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        let mut r = Reader(bytes);
        write(&mut out, ColumnType { kind, unsigned }, &mut r)?;
        assert!(r.0.is_empty());
        Some(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn every_form() {
        for (kind, unsigned, bytes, expected) in [
            (0x01, false, &b"\xff"[..], "-1"),
            (0x01, true, b"\xff", "255"),
            (0x02, false, b"\xfe\xff", "-2"),
            (0x03, true, b"\xff\xff\xff\xff", "4294967295"),
            (0x08, false, &[0xff; 8], "-1"),
            (0x05, false, &1.5_f64.to_le_bytes(), "1.5"),
            (0x0a, false, b"\x04\xea\x07\x0b\x15", "2026-11-21"),
            (0x0c, false, b"\x00", "0000-00-00 00:00:00"),
            (0x0c, false, b"\x07\xea\x07\x0b\x15\x01\x02\x03", "2026-11-21 01:02:03"),
            (0x07, false, b"\x0b\xea\x07\x0b\x15\x01\x02\x03\x05\0\0\0", "2026-11-21 01:02:03.000005"),
            (0x0b, false, b"\x08\x01\x01\0\0\0\x02\x03\x04", "-26:03:04"),
            (0xfd, false, b"\x03abc", "abc"),
            (0xfc, false, b"\x02\0\xff", "\\x00ff"),
        ] {
            assert_eq!(text_of(kind, unsigned, bytes).as_deref(), Some(expected));
        }
        assert_eq!(text_of(0x03, false, b"\0\0\0"), None);
        assert_eq!(text_of(0xfd, false, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(text_of(0x42, false, b""), None);
    }
}
