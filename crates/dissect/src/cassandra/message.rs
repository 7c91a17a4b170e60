//! What a call keeps of a request or response.

use remora_model::Incomplete;

use super::result::Columns;
use super::types;
use super::wire::{Body, Header, flag, op};
use crate::seen::Seen;
use crate::sql;
use crate::sql::rows::{Rows, Values, print, print_hex};

/// Bytes kept of names, addresses and messages.
const MAX_TEXT: usize = 1 << 10;

/// Warnings shown of one response.
pub(super) const MAX_WARNINGS: usize = 8;

/// Statements of a batch that are shown.
const MAX_BATCH: u16 = 64;

/// A message, read as far as it is there. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) seen: Seen,
    pub(super) incomplete: Option<Incomplete>,
    /// Text of the statement; what an event says; what a server supports.
    pub(super) text: Vec<u8>,
    /// Id of the prepared statement, in hexadecimal.
    pub(super) statement: Vec<u8>,
    /// The same as it was sent.
    pub(super) id: Vec<u8>,
    pub(super) keyspace: Vec<u8>,
    pub(super) table: Vec<u8>,
    pub(super) consistency: Option<u16>,
    pub(super) values: Values,
    pub(super) error: Option<i32>,
    /// Its message.
    pub(super) reason: Vec<u8>,
    pub(super) kind: Option<&'static str>,
    pub(super) rows: Rows,
    pub(super) row_count: Option<i64>,
    pub(super) more_pages: bool,
    pub(super) tracing: Vec<u8>,
    pub(super) warnings: Values,
    /// Compression that a client asks for.
    pub(super) compression: Vec<u8>,
    /// The columns of a prepared statement's parameters and of its result, as they were sent.
    pub(super) bound: Vec<u8>,
    pub(super) result: Vec<u8>,
    /// Bytes that were left out.
    pub(super) cut: u64,
}

impl Message {
    /// True for a statement that makes another keyspace the connection's.
    pub(super) fn chooses_keyspace(&self) -> bool {
        sql::tables::first_word(&self.text).is_some_and(|word| word.eq_ignore_ascii_case(b"USE"))
    }

    /// Begins a message of which `budget` bytes are shown.
    pub(super) fn begin(&mut self, header: Header, seen: Seen, budget: usize) {
        (self.header, self.seen, self.incomplete) = (header, seen, None);
        for text in [
            &mut self.text,
            &mut self.statement,
            &mut self.id,
            &mut self.keyspace,
            &mut self.table,
            &mut self.reason,
            &mut self.tracing,
            &mut self.compression,
            &mut self.bound,
            &mut self.result,
        ] {
            sql::reuse(text);
        }
        self.values.clear();
        self.warnings.clear();
        self.rows.begin(budget);
        (self.consistency, self.error, self.kind, self.row_count) = (None, None, None, None);
        (self.more_pages, self.cut) = (false, 0);
    }

    pub(super) fn memory(&self) -> usize {
        let texts = [
            &self.text,
            &self.statement,
            &self.id,
            &self.keyspace,
            &self.table,
            &self.reason,
            &self.tracing,
            &self.compression,
            &self.bound,
            &self.result,
        ];
        texts.iter().map(|t| t.capacity()).sum::<usize>()
            + self.values.memory()
            + self.warnings.memory()
            + self.rows.memory()
    }

    /// Reads a request's body. `columns` are those of the statement's parameters, if they are known.
    /// `None`: the body ends too early or is none.
    pub(super) fn request(&mut self, bytes: &[u8], budget: usize) -> Option<()> {
        let mut b = Body::new(bytes);
        if self.header.flags & flag::PAYLOAD != 0 {
            payload(&mut b)?;
        }
        match self.header.opcode {
            op::STARTUP => {
                for i in 0..b.short()? {
                    let (name, value) = (b.string()?, b.string()?);
                    if name == b"COMPRESSION" {
                        keep(&mut self.compression, value);
                        self.compression.make_ascii_lowercase();
                    }
                    if i > 0 {
                        self.append(b", ", budget);
                    }
                    for part in [name, b"=", value] {
                        self.append(part, budget);
                    }
                }
            }
            op::REGISTER => {
                for i in 0..b.short()? {
                    if i > 0 {
                        self.append(b", ", budget);
                    }
                    let event = b.string()?;
                    self.append(event, budget);
                }
            }
            op::QUERY => {
                let (text, whole) = b.long_string()?;
                self.statement(text, budget);
                if !whole {
                    return None;
                }
                self.parameters(&mut b, budget)?;
            }
            op::PREPARE => {
                let (text, whole) = b.long_string()?;
                self.statement(text, budget);
                if !whole {
                    return None;
                }
                if self.header.version >= 5 && b.int()? & 1 != 0 {
                    keep(&mut self.keyspace, b.string()?);
                }
            }
            op::EXECUTE => {
                self.prepared(b.string()?);
                if self.header.version >= 5 {
                    b.string()?;
                }
                self.parameters(&mut b, budget)?;
            }
            op::BATCH => self.batch(&mut b, budget)?,
            // Credentials.
            op::AUTH_RESPONSE => {}
            _ => {}
        }
        Some(())
    }

    fn statement(&mut self, text: &[u8], budget: usize) {
        self.append(text, budget);
        sql::tables::hide_passwords(&mut self.text);
    }

    fn prepared(&mut self, id: &[u8]) {
        keep(&mut self.id, id);
        self.statement.clear();
        print_id(&mut self.statement, id);
    }

    /// What stands behind a statement.
    fn parameters(&mut self, b: &mut Body<'_>, budget: usize) -> Option<()> {
        self.consistency = Some(b.short()?);
        let flags = if self.header.version >= 5 { b.int()?.cast_unsigned() } else { b.u8()?.into() };
        let set = |bit: u32| flags & bit != 0;
        if set(0x01) {
            for _ in 0..b.short()? {
                if set(0x40) {
                    b.string()?;
                }
                let value = b.value()?;
                // The types of a prepared statement were told, when it was prepared.
                let prepared = self.header.opcode == op::EXECUTE;
                self.values.push(budget, |out| match value {
                    Some(value) if prepared => print_hex(out, value),
                    value => raw(out, value),
                });
            }
        }
        if set(0x04) {
            b.int()?;
        }
        if set(0x08) {
            b.value()?;
        }
        if set(0x10) {
            b.short()?;
        }
        if set(0x20) {
            b.long()?;
        }
        if self.header.version >= 5 && set(0x80) {
            keep(&mut self.keyspace, b.string()?);
        }
        Some(())
    }

    /// Shows the values again, now that the columns of the statement's parameters are known.
    pub(super) fn typed_values(&mut self, bytes: &[u8], bound: &[u8], budget: usize) -> Option<()> {
        let mut b = Body::new(bytes);
        if self.header.flags & flag::PAYLOAD != 0 {
            payload(&mut b)?;
        }
        b.string()?;
        let v5 = self.header.version >= 5;
        if v5 {
            b.string()?;
        }
        b.short()?;
        let flags = if v5 { b.int()?.cast_unsigned() } else { b.u8()?.into() };
        if flags & 0x41 != 1 {
            return None;
        }
        let mut columns = Columns::bound(bound, self.header.version)?;
        let count = b.short()?;
        self.values.clear();
        for _ in 0..count {
            let value = b.value()?;
            let id = columns.next().map(|c| c.kind);
            self.values.push(budget, |out| match value {
                Some(value) => types::show(out, id, value),
                None => out.extend_from_slice(b"null"),
            });
        }
        Some(())
    }

    fn batch(&mut self, b: &mut Body<'_>, budget: usize) -> Option<()> {
        let word: &[u8] = match b.u8()? {
            0 => b"BEGIN BATCH",
            1 => b"BEGIN UNLOGGED BATCH",
            2 => b"BEGIN COUNTER BATCH",
            _ => return None,
        };
        self.append(word, budget);
        for i in 0..b.short()? {
            let shown = i < MAX_BATCH;
            if shown {
                self.append(b" ", budget);
            }
            match b.u8()? {
                0 => {
                    let (text, whole) = b.long_string()?;
                    if shown {
                        self.append(text, budget);
                    }
                    if !whole {
                        return None;
                    }
                }
                1 => {
                    let id = b.string()?;
                    if self.id.is_empty() {
                        self.prepared(id);
                    }
                    if shown {
                        self.append(b"<", budget);
                        print_id(&mut self.text, id.get(..16).unwrap_or(id));
                        self.append(b">", budget);
                    }
                }
                _ => return None,
            }
            if shown {
                self.append(b";", budget);
            }
            for _ in 0..b.short()? {
                let value = b.value()?;
                self.values.push(budget, |out| raw(out, value));
            }
        }
        self.append(b" APPLY BATCH", budget);
        self.consistency = Some(b.short()?);
        Some(())
    }

    /// Reads a response's body. `columns` are those of the result, if they were told before.
    pub(super) fn response(&mut self, bytes: &[u8], columns: &[u8], budget: usize) -> Option<()> {
        let mut b = Body::new(bytes);
        if self.header.flags & flag::TRACING != 0 {
            let id = b.take(16)?.first_chunk::<16>()?;
            types::uuid(&mut self.tracing, id);
        }
        if self.header.flags & flag::WARNING != 0 {
            for i in 0..b.short()? {
                let warning = b.string()?;
                if usize::from(i) < MAX_WARNINGS {
                    self.warnings.push(MAX_TEXT, |out| out.extend_from_slice(warning));
                }
            }
        }
        if self.header.flags & flag::PAYLOAD != 0 {
            payload(&mut b)?;
        }
        match self.header.opcode {
            op::ERROR => {
                self.error = Some(b.int()?);
                keep(&mut self.reason, b.string()?);
            }
            op::AUTHENTICATE => {
                let class = b.string()?;
                self.append(class, budget);
            }
            op::SUPPORTED => {
                for i in 0..b.short()? {
                    if i > 0 {
                        self.append(b", ", budget);
                    }
                    let name = b.string()?;
                    self.append(name, budget);
                    for j in 0..b.short()? {
                        self.append(if j == 0 { b"=" } else { b"|" }, budget);
                        let value = b.string()?;
                        self.append(value, budget);
                    }
                }
            }
            op::EVENT => self.event(&mut b, budget)?,
            op::RESULT => self.result(&mut b, columns, budget)?,
            // Credentials, as AUTH_SUCCESS and AUTH_CHALLENGE have them, are not looked at.
            _ => {}
        }
        Some(())
    }

    fn event(&mut self, b: &mut Body<'_>, budget: usize) -> Option<()> {
        let kind = b.string()?;
        self.append(kind, budget);
        self.append(b" ", budget);
        let change = b.string()?;
        self.append(change, budget);
        if kind == b"SCHEMA_CHANGE" {
            return self.schema_change(b, budget);
        }
        let n = b.u8()?;
        let address = b.take(n.into())?;
        let port = b.int()?;
        self.append(b" ", budget);
        types::inet(&mut self.text, address)?;
        print(&mut self.text, format_args!(":{port}"));
        Some(())
    }

    /// What a schema change is about.
    fn schema_change(&mut self, b: &mut Body<'_>, budget: usize) -> Option<()> {
        let target = b.string()?;
        let keyspace = b.string()?;
        keep(&mut self.keyspace, keyspace);
        for part in [b" ", target, b" ", keyspace] {
            self.append(part, budget);
        }
        if target != b"KEYSPACE" {
            let name = b.string()?;
            self.append(b".", budget);
            self.append(name, budget);
            if target == b"TABLE" {
                keep(&mut self.table, name);
            }
        }
        Some(())
    }

    fn result(&mut self, b: &mut Body<'_>, columns: &[u8], budget: usize) -> Option<()> {
        let kind = b.int()?;
        self.kind = Some(match kind {
            1 => "VOID",
            2 => "ROWS",
            3 => "SET_KEYSPACE",
            4 => "PREPARED",
            5 => "SCHEMA_CHANGE",
            _ => return None,
        });
        match kind {
            2 => self.rows(b, columns)?,
            3 => keep(&mut self.keyspace, b.string()?),
            4 => {
                self.prepared(b.string()?);
                if self.header.version >= 5 {
                    b.string()?;
                }
                // The columns of the parameters, then those of the result.
                let from = b.rest();
                Columns::skip(b, self.header.version, true)?;
                let bound = from.len() - b.rest().len();
                let rest = b.rest();
                Columns::skip(b, self.header.version, false)?;
                let result = rest.len() - b.rest().len();
                self.bound.extend_from_slice(from.get(..bound)?);
                self.result.extend_from_slice(rest.get(..result)?);
            }
            5 => {
                let change = b.string()?;
                self.append(change, budget);
                self.schema_change(b, budget)?;
            }
            _ => {}
        }
        Some(())
    }

    fn rows(&mut self, b: &mut Body<'_>, told: &[u8]) -> Option<()> {
        let meta = b.rest();
        let own = Columns::read(b, self.header.version)?;
        self.more_pages = own.more_pages;
        // Without columns of its own it has those that were told when the statement was prepared.
        let described = if own.described { meta } else { told };
        let mut all = Body::new(described);
        let columns =
            Columns::read(&mut all, self.header.version).filter(|c| c.described && c.count == own.count);
        let count = b.int()?;
        self.row_count = Some(count.max(0).into());
        if let Some(columns) = &columns {
            if let Some(column) = columns.clone().next() {
                keep(&mut self.keyspace, column.keyspace);
                keep(&mut self.table, column.table);
            }
            for column in columns.clone() {
                self.rows.text_value(column.name);
            }
            self.rows.end_row();
        }
        for _ in 0..count.max(0) {
            if self.rows.room() == 0 || own.count == 0 {
                self.cut += b.rest().len() as u64;
                return Some(());
            }
            let mut kinds = columns.clone();
            for _ in 0..own.count {
                let kind = kinds.as_mut().and_then(Iterator::next).map(|c| c.kind);
                match b.value()? {
                    Some(value) => self.rows.value(|out| types::show(out, kind, value)),
                    None => self.rows.null(),
                }
            }
            self.rows.end_row();
        }
        Some(())
    }

    fn append(&mut self, text: &[u8], budget: usize) {
        let room = budget.saturating_sub(self.text.len());
        let kept = text.get(..room).unwrap_or(text);
        self.text.extend_from_slice(kept);
        self.cut += (text.len() - kept.len()) as u64;
    }
}

/// A custom payload, which is passed over.
fn payload(b: &mut Body<'_>) -> Option<()> {
    for _ in 0..b.short()? {
        b.string()?;
        b.value()?;
    }
    Some(())
}

fn raw(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => types::show(out, None, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends an id in hexadecimal.
fn print_id(out: &mut Vec<u8>, id: &[u8]) {
    let start = out.len();
    print_hex(out, id);
    // Without the prefix of bytes.
    out.drain(start..start + 2);
}

pub(super) fn keep(to: &mut Vec<u8>, text: &[u8]) {
    to.clear();
    to.extend_from_slice(text.get(..MAX_TEXT).unwrap_or(text));
}
