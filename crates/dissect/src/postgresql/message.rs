//! The framing of messages: one byte of type, four of length (which counts itself), the body.

use crate::Role;
use crate::sql::reader::Reader;

/// Bytes in front of a body.
pub(super) const HEADER: usize = 5;

/// Longest message: what PostgreSQL's `MaxAllocSize` allows (src/include/utils/memutils.h).
const MAX_LONG: u32 = 0x3fff_ffff;

/// Longest message of the types that carry no data of users: 30000 as in libpq
/// (src/interfaces/libpq/fe-protocol3.c, `VALID_LONG_MESSAGE_TYPE`), and 64 KiB for passwords and
/// tokens (`PG_MAX_AUTH_TOKEN_LENGTH`).
const MAX_SHORT: u32 = 65_535;

/// Longest startup packet (`MAX_STARTUP_PACKET_LENGTH` in src/include/libpq/pqcomm.h).
pub(super) const MAX_STARTUP: u32 = 10_000;

/// Codes that stand where a startup packet has its version (src/include/libpq/pqcomm.h).
pub(super) const CANCEL: u32 = 80_877_102;
/// See [`CANCEL`].
pub(super) const SSL: u32 = 80_877_103;
/// See [`CANCEL`].
pub(super) const GSS: u32 = 80_877_104;

/// A message's type and the length of its body. `Err`: no such message.
pub(super) fn header(role: Role, bytes: &[u8; HEADER]) -> Result<(u8, u32), ()> {
    let [kind, len @ ..] = *bytes;
    let len = u32::from_be_bytes(len).checked_sub(4).ok_or(())?;
    let (min, max) = match role {
        Role::Client => match kind {
            b'Q' => (1, MAX_LONG),
            b'P' => (4, MAX_LONG),
            b'B' => (8, MAX_LONG),
            b'F' => (10, MAX_LONG),
            b'd' => (0, MAX_LONG),
            b'S' | b'H' | b'X' | b'c' => (0, 0),
            b'C' | b'D' => (2, MAX_SHORT),
            b'E' => (5, MAX_SHORT),
            b'f' => (1, MAX_SHORT),
            b'p' => (0, MAX_SHORT),
            _ => return Err(()),
        },
        Role::Server => match kind {
            b'T' | b'D' | b't' => (2, MAX_LONG),
            b'd' | b'N' => (0, MAX_LONG),
            b'E' => (1, MAX_LONG),
            b'V' => (4, MAX_LONG),
            b'A' => (6, MAX_LONG),
            b'1' | b'2' | b'3' | b'n' | b's' | b'I' | b'c' => (0, 0),
            b'Z' => (1, 1),
            b'C' => (1, MAX_SHORT),
            b'S' => (2, MAX_SHORT),
            b'R' => (4, MAX_SHORT),
            b'K' => (8, 260),
            b'v' => (8, MAX_SHORT),
            b'G' | b'H' | b'W' => (3, MAX_SHORT),
            _ => return Err(()),
        },
    };
    if (min..=max).contains(&len) { Ok((kind, len)) } else { Err(()) }
}

/// True when the whole body of a message is built as its type demands.
pub(super) fn is_well_formed(role: Role, kind: u8, body: &[u8]) -> bool {
    well_formed(role, kind, Reader(body)).is_some_and(|rest| rest.0.is_empty())
}

fn well_formed(role: Role, kind: u8, mut r: Reader<'_>) -> Option<Reader<'_>> {
    match (role, kind) {
        (Role::Client, b'Q') => text(r.c_string()?)?,
        (Role::Client, b'P') => {
            text(r.c_string()?)?;
            text(r.c_string()?)?;
            let types = u16::try_from(r.i16_be()?).ok()?;
            r.take(usize::from(types) * 4)?;
        }
        (Role::Client, b'B') => {
            text(r.c_string()?)?;
            text(r.c_string()?)?;
            formats(&mut r)?;
            values(&mut r)?;
            formats(&mut r)?;
        }
        (Role::Client, b'D' | b'C') => {
            matches!(r.u8()?, b'S' | b'P').then_some(())?;
            text(r.c_string()?)?;
        }
        (Role::Client, b'E') => {
            text(r.c_string()?)?;
            r.i32_be().filter(|n| *n >= 0)?;
        }
        (Role::Client, b'f') | (Role::Server, b'C') => text(r.c_string()?)?,
        (Role::Server, b'T') => {
            for _ in 0..u16::try_from(r.i16_be()?).ok()? {
                column(&mut r)?;
            }
        }
        (Role::Server, b'D') => values(&mut r)?,
        (Role::Server, b'Z') => matches!(r.u8()?, b'I' | b'T' | b'E').then_some(())?,
        (Role::Server, b'E' | b'N') => {
            let mut fields = 0;
            while r.u8()? != 0 {
                text(r.c_string()?)?;
                fields += 1;
            }
            (fields >= 3).then_some(())?;
        }
        (Role::Server, b'S') => {
            text(r.c_string()?).filter(|()| true)?;
            text(r.c_string()?)?;
        }
        (Role::Server, b't') => {
            let types = u16::try_from(r.i16_be()?).ok()?;
            r.take(usize::from(types) * 4)?;
        }
        (Role::Server, b'A') => {
            r.i32_be()?;
            text(r.c_string()?)?;
            text(r.c_string()?)?;
        }
        (Role::Server, b'R') => {
            (r.u32_be()? <= 16).then_some(())?;
            r.0 = b"";
        }
        _ => r.0 = b"",
    }
    Some(r)
}

/// A column of a RowDescription: its name, the type's OID and the format of its values.
pub(super) fn column<'a>(r: &mut Reader<'a>) -> Option<(&'a [u8], u32, i16)> {
    let name = r.c_string()?;
    r.take(6)?;
    let oid = r.u32_be()?;
    r.take(6)?;
    let format = r.i16_be().filter(|f| matches!(f, 0 | 1))?;
    Some((name, oid, format))
}

fn text(bytes: &[u8]) -> Option<()> {
    let control = |b: &u8| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    (!bytes.iter().any(control)).then_some(())
}

fn formats(r: &mut Reader<'_>) -> Option<()> {
    for _ in 0..u16::try_from(r.i16_be()?).ok()? {
        matches!(r.i16_be()?, 0 | 1).then_some(())?;
    }
    Some(())
}

fn values(r: &mut Reader<'_>) -> Option<()> {
    for _ in 0..u16::try_from(r.i16_be()?).ok()? {
        if let Ok(len) = usize::try_from(r.i32_be().filter(|len| *len >= -1)?) {
            r.take(len)?;
        }
    }
    Some(())
}
