//! Values bound to prepared statements, and attributes of queries (MySQL Internals,
//! "COM_STMT_EXECUTE" and "COM_QUERY").

use super::exchange::{Exchange, Prepared};
use super::packet::{self, ColumnType};
use super::values;
use crate::sql::reader::Reader;
use crate::sql::rows::MAX_VALUES;

/// `PARAMETER_COUNT_AVAILABLE` of enum_cursor_type: the number of parameters is sent.
const PARAMETER_COUNT_AVAILABLE: u8 = 8;

/// What stands for a value that was sent ahead by `COM_STMT_SEND_LONG_DATA`.
const SENT_AHEAD: &[u8] = b"(long data)";

/// Reads the values of an execution behind the statement's number. `attributes`: the client may
/// send names. `None` when they are not all there.
pub(super) fn execute(
    e: &mut Exchange,
    p: &mut Prepared,
    mut r: Reader<'_>,
    attributes: bool,
    budget: usize,
) -> Option<()> {
    let flags = r.u8()?;
    r.u32_le()?;
    let mut count = u64::from(p.parameters);
    if attributes && (count > 0 || flags & PARAMETER_COUNT_AVAILABLE != 0) {
        count = packet::int(&mut r)?;
    }
    let count = usize::try_from(count).ok().filter(|n| *n <= usize::from(u16::MAX))?;
    if count == 0 {
        return Some(());
    }
    let nulls = r.take(count.div_ceil(8))?;
    if r.u8()? == 1 {
        p.types.clear();
        for i in 0..count {
            let ty = ColumnType { kind: r.u8()?, unsigned: r.u8()? & 0x80 != 0 };
            if attributes {
                packet::string(&mut r)?;
            }
            if i < MAX_VALUES {
                p.types.push(ty);
            }
        }
    }
    let sent_ahead = std::mem::take(&mut p.sent_ahead);
    if std::mem::take(&mut p.unsure) {
        // Which values are here is not known.
        return Some(());
    }
    for i in 0..count {
        let bit = |bits: &[u8]| bits.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1);
        let Some(ty) = p.types.get(i) else {
            e.values.cut = true;
            return Some(());
        };
        let mut complete = Some(());
        if i < 64 && sent_ahead >> i & 1 == 1 {
            e.values.push(budget, |out| out.extend_from_slice(SENT_AHEAD));
        } else if bit(nulls) {
            e.values.push(budget, |out| out.extend_from_slice(b"NULL"));
        } else {
            e.values.push(budget, |out| complete = values::write(out, *ty, &mut r));
            if e.values.cut {
                return Some(());
            }
        }
        complete?;
    }
    Some(())
}

/// Passes over the attributes in front of a query.
pub(super) fn attributes(r: &mut Reader<'_>) -> Option<()> {
    let count = usize::try_from(packet::int(r)?).ok().filter(|n| *n <= usize::from(u16::MAX))?;
    packet::int(r)?;
    if count == 0 {
        return Some(());
    }
    let nulls = r.take(count.div_ceil(8))?;
    (r.u8()? == 1).then_some(())?;
    // Types lie in front of values: read them twice rather than keep them.
    let mut types = *r;
    for _ in 0..count {
        r.take(2)?;
        packet::string(r)?;
    }
    let mut ignored = Vec::new();
    for i in 0..count {
        let ty = ColumnType { kind: types.u8()?, unsigned: types.u8()? & 0x80 != 0 };
        packet::string(&mut types)?;
        if nulls.get(i / 8).is_none_or(|b| b >> (i % 8) & 1 == 0) {
            values::write(&mut ignored, ty, r)?;
            ignored.clear();
        }
    }
    Some(())
}
