//! HPACK (RFC 7541), read passively: what refers to entries that were not seen is marked unknown,
//! and never guessed.

mod fixed;
mod huffman;
mod table;

use self::table::{Part, Table};

/// A field of a header block. `None` stands for what the capture does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) name: Part<'a>,
    pub(super) value: Part<'a>,
}

/// A header block that does not follow the RFC. What follows in the connection may refer to
/// entries that it should have added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadBlock;

/// Reads the header blocks of one direction.
#[derive(Debug)]
pub(super) struct Decoder {
    table: Table,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// Where the name of a literal comes from.
#[derive(Clone, Copy)]
enum Name {
    Index(usize),
    Literal,
}

impl Decoder {
    /// Of a connection that is seen from its beginning.
    pub(super) const fn new() -> Self {
        Self { table: Table::new(), name: Vec::new(), value: Vec::new() }
    }

    /// Header blocks were missed.
    pub(super) fn forget(&mut self) {
        self.table.forget();
    }

    /// Bytes of memory behind it.
    pub(super) fn memory(&self) -> usize {
        self.table.memory() + self.name.capacity() + self.value.capacity()
    }

    /// Reads a whole header block and hands over its fields in order. `limit` bounds the bytes
    /// that the table may keep. After a fault the table is unknown.
    pub(super) fn decode(
        &mut self,
        block: &[u8],
        limit: usize,
        mut each: impl FnMut(Field<'_>),
    ) -> Result<(), BadBlock> {
        let mut rest = block;
        while let Some(&first) = rest.first() {
            if self.representation(first, &mut rest, limit, &mut each).is_err() {
                self.forget();
                return Err(BadBlock);
            }
        }
        Ok(())
    }

    /// One representation (RFC 7541 section 6), of which `first` is the first byte.
    fn representation(
        &mut self,
        first: u8,
        rest: &mut &[u8],
        limit: usize,
        each: &mut impl FnMut(Field<'_>),
    ) -> Result<(), BadBlock> {
        if first & 0x80 != 0 {
            let (name, value) = self.table.get(integer(rest, 7)?).map_err(|_| BadBlock)?;
            each(Field { name, value });
            return Ok(());
        }
        if first & 0xe0 == 0x20 {
            let size = integer(rest, 5)?;
            self.table.resize(size);
            return Ok(());
        }
        let indexed = first & 0x40 != 0;
        let name = match integer(rest, if indexed { 6 } else { 4 })? {
            0 => {
                string(rest, &mut self.name)?;
                Name::Literal
            }
            index => Name::Index(index),
        };
        string(rest, &mut self.value)?;
        let name = match name {
            Name::Literal => Some(self.name.as_slice()),
            Name::Index(index) => match self.table.get(index).map_err(|_| BadBlock)?.0 {
                Some(name) if indexed => {
                    // The entry that the name comes from may have to make room for this one.
                    self.name.clear();
                    self.name.extend_from_slice(name);
                    Some(self.name.as_slice())
                }
                name => name,
            },
        };
        each(Field { name, value: Some(&self.value) });
        if indexed {
            let known = name.is_some();
            self.table.insert(known.then_some(&self.name), Some(&self.value), limit);
        }
        Ok(())
    }
}

/// An integer with a prefix of `bits` bits (RFC 7541 section 5.1). Above 2^28 there is nothing
/// that it could mean here.
fn integer(rest: &mut &[u8], bits: u32) -> Result<usize, BadBlock> {
    let (&first, mut bytes) = rest.split_first().ok_or(BadBlock)?;
    let mask = (1_usize << bits) - 1;
    let mut value = usize::from(first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (&byte, after) = bytes.split_first().ok_or(BadBlock)?;
            bytes = after;
            if shift > 21 {
                return Err(BadBlock);
            }
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = bytes;
    Ok(value)
}

/// A string (RFC 7541 section 5.2), decoded into `out`.
fn string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), BadBlock> {
    out.clear();
    let huffman = rest.first().is_some_and(|b| b & 0x80 != 0);
    let len = integer(rest, 7)?;
    let (bytes, after) = rest.split_at_checked(len).ok_or(BadBlock)?;
    *rest = after;
    if huffman {
        return huffman::decode(bytes, out).map_err(|_| BadBlock);
    }
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests;
