//! Values in binary form as text, for the types whose form is simple. Numbers of types are those
//! of PostgreSQL's src/include/catalog/pg_type.dat; the forms are those of the types' send
//! functions.

use crate::sql::reader::Reader;
use crate::sql::rows::{print, print_date, print_hex, print_time};

/// Days and microseconds between 1970-01-01 and PostgreSQL's epoch, 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
const DAY: i64 = 86_400_000_000;

/// Sizes of values in binary form of the types that have a fixed one, or few.
const SIZES: [usize; 7] = [1, 2, 4, 6, 8, 12, 16];

/// Stands for the type of a value where it was said and not seen. 0 is what clients say of a parameter
/// whose type the server shall find.
pub(super) const UNSEEN: u32 = u32::MAX;

/// Digits of a `numeric`, in groups of four, that are printed at most.
const MAX_GROUPS: u16 = 256;

/// Appends a value as text: as it is when its format says so, decoded when its type is known,
/// else as UTF-8 or in hexadecimal.
pub(super) fn write(out: &mut Vec<u8>, oid: u32, format: i16, value: &[u8]) {
    let start = out.len();
    // Text has no byte 0: where it seems to, the Bind that asked for another format was not seen.
    if format == 0 && memchr::memchr(0, value).is_none() {
        out.extend_from_slice(value);
    } else if decode(out, oid, value).is_none() {
        out.truncate(start);
        print_hex(out, value);
    }
}

fn decode(out: &mut Vec<u8>, oid: u32, value: &[u8]) -> Option<()> {
    let mut r = Reader(value);
    match oid {
        16 => out.push(if r.u8()? == 0 { b'f' } else { b't' }),
        20 => print(out, format_args!("{}", r.i64_be()?)),
        21 => print(out, format_args!("{}", r.i16_be()?)),
        23 => print(out, format_args!("{}", r.i32_be()?)),
        26 | 2205 | 2206 => print(out, format_args!("{}", r.u32_be()?)),
        700 => print(out, format_args!("{}", f32::from_be_bytes(r.array()?))),
        701 => print(out, format_args!("{}", f64::from_be_bytes(r.array()?))),
        // char, name, text, json, xml, bpchar, varchar, unknown.
        18 | 19 | 25 | 114 | 142 | 705 | 1042 | 1043 => {
            std::str::from_utf8(value).ok()?;
            out.extend_from_slice(value);
            r.0 = b"";
        }
        1082 => print_date(out, i64::from(r.i32_be()?) + EPOCH_DAYS),
        1083 => print_time(out, r.i64_be()?),
        1114 | 1184 => {
            let micros = r.i64_be()?;
            match micros {
                i64::MAX => out.extend_from_slice(b"infinity"),
                i64::MIN => out.extend_from_slice(b"-infinity"),
                _ => {
                    print_date(out, micros.div_euclid(DAY) + EPOCH_DAYS);
                    out.push(b' ');
                    print_time(out, micros.rem_euclid(DAY));
                    if oid == 1184 {
                        out.extend_from_slice(b"+00");
                    }
                }
            }
        }
        1700 => numeric(out, &mut r)?,
        2950 => {
            for (i, byte) in r.array::<16>()?.iter().enumerate() {
                if matches!(i, 4 | 6 | 8 | 10) {
                    out.push(b'-');
                }
                print(out, format_args!("{byte:02x}"));
            }
        }
        // jsonb: a version, then text.
        3802 => {
            let text = value.strip_prefix(&[1])?;
            std::str::from_utf8(text).ok()?;
            out.extend_from_slice(text);
            r.0 = b"";
        }
        // Not described. Text that is sent as binary is text, but so may be a number, a time or an
        // address of that length.
        0 if !SIZES.contains(&value.len())
            && value.iter().all(|b| *b >= b' ')
            && std::str::from_utf8(value).is_ok() =>
        {
            out.extend_from_slice(value);
            r.0 = b"";
        }
        _ => return None,
    }
    r.0.is_empty().then_some(())
}

/// `numeric_send`: number of groups, weight of the first, sign, digits behind the point, groups.
fn numeric(out: &mut Vec<u8>, r: &mut Reader<'_>) -> Option<()> {
    let (groups, weight) = (u16::try_from(r.i16_be()?).ok()?, r.i16_be()?);
    let (sign, scale) = (r.i16_be()?.cast_unsigned(), usize::try_from(r.i16_be()?).ok()?);
    if groups > MAX_GROUPS || weight.unsigned_abs() > MAX_GROUPS || scale > 4 * usize::from(MAX_GROUPS) {
        return None;
    }
    let word: &[u8] = match sign {
        0 => b"",
        0x4000 => b"-",
        0xc000 => b"NaN",
        0xd000 => b"Infinity",
        0xf000 => b"-Infinity",
        _ => return None,
    };
    out.extend_from_slice(word);
    if word.len() > 1 {
        return Some(());
    }
    let digits = *r;
    r.take(usize::from(groups) * 2)?;
    let group = |i: i32| -> Option<i16> {
        let at = usize::try_from(i).ok().filter(|i| *i < usize::from(groups));
        let Some(at) = at else { return Some(0) };
        let pair = digits.0.get(at * 2..at * 2 + 2)?;
        let value = i16::from_be_bytes(pair.try_into().ok()?);
        (0..10_000).contains(&value).then_some(value)
    };
    let weight = i32::from(weight);
    if weight < 0 {
        out.push(b'0');
    }
    for i in 0..=weight {
        let g = group(i)?;
        if i == 0 { print(out, format_args!("{g}")) } else { print(out, format_args!("{g:04}")) }
    }
    if scale > 0 {
        out.push(b'.');
        let start = out.len();
        let mut i = weight + 1;
        while out.len() - start < scale {
            print(out, format_args!("{:04}", group(i)?));
            i += 1;
        }
        out.truncate(start + scale);
    }
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(oid: u32, value: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, oid, 1, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn types_of_fixed_size() {
        assert_eq!(text(16, b"\x01"), "t");
        assert_eq!(text(21, b"\xff\xff"), "-1");
        assert_eq!(text(23, b"\0\0\x01\0"), "256");
        assert_eq!(text(20, &i64::MIN.to_be_bytes()), i64::MIN.to_string());
        assert_eq!(text(701, &1.5_f64.to_be_bytes()), "1.5");
        assert_eq!(text(1082, &0_i32.to_be_bytes()), "2000-01-01");
        assert_eq!(text(1184, &(DAY + 1_500_000).to_be_bytes()), "2000-01-02 00:00:01.500000+00");
        assert_eq!(text(1114, &i64::MAX.to_be_bytes()), "infinity");
        assert_eq!(text(2950, &[0x11; 16]), "11111111-1111-1111-1111-111111111111");
    }

    #[test]
    fn numerics() {
        let send = |groups: &[i16], weight: i16, sign: u16, scale: i16| {
            let mut v = i16::try_from(groups.len()).unwrap().to_be_bytes().to_vec();
            v.extend(weight.to_be_bytes());
            v.extend(sign.to_be_bytes());
            v.extend(scale.to_be_bytes());
            groups.iter().for_each(|g| v.extend(g.to_be_bytes()));
            text(1700, &v)
        };
        assert_eq!(send(&[12, 3456, 7800], 1, 0, 2), "123456.78");
        assert_eq!(send(&[5], -1, 0x4000, 4), "-0.0005");
        assert_eq!(send(&[5], -2, 0, 6), "0.000000");
        assert_eq!(send(&[1], 2, 0, 0), "100000000");
        assert_eq!(send(&[], 0, 0xc000, 0), "NaN");
        assert_eq!(send(&[], 0, 0, 0), "0");
        assert_eq!(send(&[1], i16::MAX, 0, 0), "\\x00017fff000000000001");
    }

    #[test]
    fn what_does_not_fit_is_hexadecimal() {
        let mut out = Vec::new();
        write(&mut out, 0, 0, b"\0\0\x003");
        assert_eq!(out, b"\\x00000033");
        assert_eq!(text(23, b"\0\x01"), "\\x0001");
        assert_eq!(text(17, b"\0\xff"), "\\x00ff");
        assert_eq!(text(25, b"\xff"), "\\xff");
        assert_eq!(text(3802, b"\x01{}"), "{}");
        assert_eq!(text(0, b"abc"), "abc");
        assert_eq!(text(0, b"four"), "\\x666f7572");
        assert_eq!(text(0, b"\0\0\0\x05"), "\\x00000005");
        assert_eq!(text(UNSEEN, b"abc"), "\\x616263");
    }
}
