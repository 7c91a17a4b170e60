//! The columns of results and of the parameters of prepared statements (section 4.2.5).

use super::types;
use super::wire::Body;

/// Columns of a table or statement at most.
const MAX_COLUMNS: usize = 4 << 10;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column<'a> {
    pub(super) keyspace: &'a [u8],
    pub(super) table: &'a [u8],
    pub(super) name: &'a [u8],
    /// The number of its type.
    pub(super) kind: u16,
}

/// Columns, read one after the other from where they were sent.
#[derive(Clone, Debug)]
pub(super) struct Columns<'a> {
    body: Body<'a>,
    /// Keyspace and table, where they are the same for all.
    global: Option<(&'a [u8], &'a [u8])>,
    left: usize,
    pub(super) count: usize,
    /// They are described, and not only counted.
    pub(super) described: bool,
    pub(super) more_pages: bool,
}

impl<'a> Columns<'a> {
    /// Reads what stands in front of the columns of a result, and passes over the columns.
    pub(super) fn read(body: &mut Body<'a>, version: u8) -> Option<Self> {
        let columns = Self::head(body, version, false)?;
        let mut all = columns.clone();
        while all.next().is_some() {}
        if columns.described && all.left > 0 {
            return None;
        }
        if columns.described {
            *body = all.body;
        }
        Some(columns)
    }

    /// The columns of a prepared statement's parameters.
    pub(super) fn bound(bytes: &'a [u8], version: u8) -> Option<Self> {
        Self::head(&mut Body::new(bytes), version, true)
    }

    /// Passes over columns: those of parameters, or those of a result.
    pub(super) fn skip(body: &mut Body<'a>, version: u8, bound: bool) -> Option<()> {
        let mut all = Self::head(body, version, bound)?;
        let described = all.described;
        while all.next().is_some() {}
        if described && all.left > 0 {
            return None;
        }
        *body = all.body;
        Some(())
    }

    fn head(body: &mut Body<'a>, version: u8, bound: bool) -> Option<Self> {
        let flags = body.int()?;
        let count = usize::try_from(body.int()?).ok().filter(|&n| n <= MAX_COLUMNS)?;
        let set = |bit| flags & bit != 0;
        if bound {
            // Indexes of the partition key's parameters.
            if version >= 4 {
                let n = usize::try_from(body.int()?).ok().filter(|&n| n <= MAX_COLUMNS)?;
                body.take(2 * n)?;
            }
        } else {
            if set(2) {
                body.value()?;
            }
            if version >= 5 && set(8) {
                body.string()?;
            }
        }
        let described = bound || !set(4);
        let global = if described && set(1) { Some((body.string()?, body.string()?)) } else { None };
        let left = if described { count } else { 0 };
        Some(Self { body: *body, global, left, count, described, more_pages: !bound && set(2) })
    }
}

impl<'a> Iterator for Columns<'a> {
    type Item = Column<'a>;

    fn next(&mut self) -> Option<Column<'a>> {
        if self.left == 0 {
            return None;
        }
        let mut body = self.body;
        let (keyspace, table) = match self.global {
            Some(both) => both,
            None => (body.string()?, body.string()?),
        };
        let name = body.string()?;
        let kind = types::option(&mut body, 0)?;
        self.body = body;
        self.left -= 1;
        Some(Column { keyspace, table, name, kind })
    }
}
