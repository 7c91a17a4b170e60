//! Result sets: definitions of columns, and rows as text and in binary form.

use super::exchange::{Exchange, Kind};
use super::packet::{self, COM_PROCESS_INFO, COM_QUERY, ColumnType};
use super::packets::Packet;
use super::values;
use crate::sql::reader::Reader;

/// Columns of a result whose types are kept, and bytes of their names.
const MAX_COLUMNS: usize = 256;
const MAX_NAMES: usize = 4 << 10;

/// The definition of a column.
pub(super) fn definition(e: &mut Exchange, p: &Packet<'_>) -> Option<()> {
    if p.hole {
        return Some(());
    }
    let (name, ty) = packet::column(Reader(p.payload))?;
    if !e.columns.is_empty() {
        e.names.push(b'\t');
    }
    if e.columns.len() < MAX_COLUMNS && e.names.len() + name.len() <= MAX_NAMES {
        e.names.extend_from_slice(name);
    }
    if e.columns.len() < MAX_COLUMNS {
        e.columns.push(ty);
    }
    Some(())
}

/// A row, as far as there is room for it.
pub(super) fn row(e: &mut Exchange, p: &Packet<'_>) {
    if e.kind == Kind::Unasked {
        return;
    }
    if e.body.room() == 0 {
        e.body.cut();
        return;
    }
    let read = match e.command() {
        Some(COM_QUERY | COM_PROCESS_INFO) => text_row(e, p.payload),
        _ => binary_row(e, p.payload),
    };
    if read.is_none() || !p.whole {
        e.body.cut();
    } else {
        e.body.end_row();
    }
}

fn text_row(e: &mut Exchange, payload: &[u8]) -> Option<()> {
    let mut r = Reader(payload);
    while !r.0.is_empty() && e.body.room() > 0 {
        if r.0.first() == Some(&0xfb) {
            r.take(1);
            e.body.null();
            continue;
        }
        let len = usize::try_from(packet::int(&mut r)?).ok()?;
        let value = r.0.get(..len).unwrap_or(r.0);
        if std::str::from_utf8(value).is_ok() {
            e.body.text_value(value);
        } else {
            e.body.value(|out| values::text(out, value));
        }
        r.take(len)?;
    }
    r.0.is_empty().then_some(())
}

fn binary_row(e: &mut Exchange, payload: &[u8]) -> Option<()> {
    let mut r = Reader(payload);
    let known = !e.columns.is_empty() && (e.width == e.columns.len() as u64 || e.width == 0);
    (r.u8()? == 0 && known).then_some(())?;
    // Two bits are reserved in front.
    let nulls = r.take((e.columns.len() + 2).div_ceil(8))?;
    for i in 0..e.columns.len() {
        let ty: ColumnType = *e.columns.get(i)?;
        let bit = i + 2;
        if nulls.get(bit / 8).is_some_and(|b| b >> (bit % 8) & 1 == 1) {
            e.body.null();
            continue;
        }
        let mut read = None;
        e.body.value(|out| read = values::write(out, ty, &mut r));
        read?;
    }
    Some(())
}
