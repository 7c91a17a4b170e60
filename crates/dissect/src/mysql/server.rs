//! What the server sends.

use remora_model::Incomplete;

use super::client::{chooses_database, cut};
use super::connection::{Framing, Manner, Mysql};
use super::detect;
use super::exchange::{Exchange, Kind, Session, Stage};
use super::packet::{
    self, CLIENT_COMPRESS, CLIENT_OPTIONAL_RESULTSET_METADATA, CLIENT_ZSTD, COM_BINLOG_DUMP,
    COM_BINLOG_DUMP_GTID, COM_FIELD_LIST, COM_INIT_DB, COM_QUERY, COM_STATISTICS, COM_STMT_FETCH,
    COM_STMT_PREPARE, Done, Fault, SERVER_MORE_RESULTS_EXISTS, SERVER_STATUS_CURSOR_EXISTS,
};
use super::packets::{Misplaced, Packet, Place};
use super::results::{definition, row};
use crate::sql::pairing::Exchange as _;
use crate::sql::reader::Reader;
use crate::sql::tokens::Tokens;
use crate::{Context, Problem, seen::Seen};

/// Bytes kept of the text of an error.
const MAX_MESSAGE: usize = 4 << 10;

/// The code of an ERR packet that reports progress (MariaDB).
const PROGRESS: u16 = 0xffff;

/// What a packet of the server means for the connection.
#[derive(Default)]
struct News<'a> {
    /// A statement got a number, and has so many parameters.
    prepared: Option<(u32, u16)>,
    schema: Option<&'a [u8]>,
    /// The command was carried out.
    ok: bool,
}

impl Mysql {
    /// A packet of the server begins.
    pub(super) fn server_packet(&mut self, p: Packet<'_>, cx: &mut Context<'_>) -> Result<(), Misplaced> {
        if p.seq == 0 && self.pairing.is_empty() && !p.hole {
            match p.payload.first() {
                Some(0x0a) if detect::is_greeting(p.payload) => {
                    self.greeting(p.payload);
                    return Ok(());
                }
                Some(0xff) => return self.unasked(p, cx),
                _ => {}
            }
        }
        let plain = self.framing == Framing::Plain;
        if let Some(e) = self.pairing.front().filter(|e| e.stage == Stage::PerhapsEof)
            && !(is_late_eof(&p) && (!plain || e.seq == p.seq))
        {
            self.manner.eof = Some(false);
            self.finish(cx);
        }
        if let Some(e) = self.pairing.front() {
            let fits = !plain || e.seq == p.seq;
            let mut news = News::default();
            if fits {
                e.answer.get_or_insert(Seen { bytes: 0, ..p.seen });
                e.seq = p.seq.wrapping_add(1);
                e.answer_hole |= p.hole;
                if answered(e, &mut self.manner, &p, &mut news).is_some() {
                    self.hear(&news, cx);
                    return Ok(());
                }
            } else if is_late_eof(&p) {
                return Ok(());
            }
            if self.pairing.is_sure() {
                cx.problem(Problem::Malformed, p.len.into());
            }
            self.doubt(cx);
        } else if self.pairing.is_empty() && !self.pairing.is_unsure() {
            if is_late_eof(&p) {
                return Ok(());
            }
            if self.pairing.is_sure() {
                cx.problem(Problem::Malformed, p.len.into());
            }
            self.doubt(cx);
        }
        self.unknown(p);
        Ok(())
    }

    /// The server's packet ends at `at`.
    pub(super) fn server_packet_ended(&mut self, at: usize, place: Place, cx: &mut Context<'_>) {
        if let Some(mut e) = self.orphan.take() {
            e.answer = e.answer.map(|seen| place.until(seen, cx, at));
            if e.stage == Stage::Done {
                self.report_orphan(e, cx);
                self.rest(cx);
            } else {
                self.orphan = Some(e);
            }
            return;
        }
        let Some(e) = self.pairing.front() else { return };
        if let Some(seen) = e.answer {
            e.answer = Some(place.until(seen, cx, at));
        }
        if e.stage != Stage::Done {
            return;
        }
        let login = e.kind == Kind::Handshake && !e.failed;
        self.finish(cx);
        self.rest(cx);
        if login && (self.manner.has(CLIENT_COMPRESS) || self.manner.has(CLIENT_ZSTD)) {
            self.framing = Framing::Compressed;
        }
        self.opaque |= self.manner.replication;
    }

    /// The oldest request is answered.
    fn finish(&mut self, cx: &mut Context<'_>) {
        let Some(e) = self.pairing.front() else { return };
        if let (Some(COM_STMT_PREPARE), Some(id)) = (e.command(), e.statement) {
            self.prepared.update(&id.to_le_bytes(), |p| {
                p.names.extend_from_slice(&e.names);
                p.columns.extend_from_slice(&e.columns);
            });
        }
        self.pairing.finish(&self.session, cx);
    }

    fn rest(&mut self, cx: &mut Context<'_>) {
        if self.pairing.is_unsure() {
            self.unsettled.give_up(&mut self.session);
        }
        self.answered_at = cx.time_at(usize::MAX);
        self.pairing.rest(&self.session, cx);
    }

    /// The server's first packet (MySQL Internals, "HandshakeV10").
    fn greeting(&mut self, payload: &[u8]) {
        let mut r = Reader(payload.get(1..).unwrap_or_default());
        let version = r.c_string().unwrap_or_default();
        self.session.version.clear();
        // MariaDB puts this in front, for replicas that know no later version.
        self.session.version.extend_from_slice(cut(version.strip_prefix(b"5.5.5-").unwrap_or(version)));
        r.take(4 + 8 + 1);
        let low = r.u16_le().unwrap_or(0);
        r.take(1 + 2);
        let high = r.u16_le().unwrap_or(0);
        let salt = usize::from(r.u8().unwrap_or(0));
        r.take(6);
        let extended = r.u32_le().filter(|_| low & 1 == 0).unwrap_or(0);
        self.manner.offered = u64::from(low) | u64::from(high) << 16 | u64::from(extended) << 32;
        r.take(salt.saturating_sub(8).max(13));
        self.manner.plugin.clear();
        self.manner.plugin.extend_from_slice(cut(r.c_string().unwrap_or_default()));
        self.manner.greeted = true;
        self.pairing.begin();
    }

    /// An error that answers nothing: too many connections, a shutdown.
    fn unasked(&mut self, p: Packet<'_>, cx: &mut Context<'_>) -> Result<(), Misplaced> {
        let fault = Fault::read(Reader(p.payload.get(1..).unwrap_or_default())).ok_or(Misplaced)?;
        let mut e = self.pairing.make();
        e.answer = Some(p.seen);
        fail(&mut e, &fault);
        e.emit(None, &self.session, cx);
        self.pairing.recycle(e);
        Ok(())
    }

    /// A packet of which it is not certain what it answers.
    fn unknown(&mut self, p: Packet<'_>) {
        let in_order = self.orphan.as_ref().is_some_and(|e| e.seq == p.seq);
        if !in_order {
            if let Some(e) = self.orphan.take() {
                self.pairing.recycle(e);
            }
            // In the middle of a response that cannot be known.
            if p.seq != 1 {
                return;
            }
            let mut e = self.pairing.make();
            e.kind = Kind::Unasked;
            e.answer = Some(Seen { bytes: 0, ..p.seen });
            self.orphan = Some(e);
            self.pairing.busy();
        }
        let Some(e) = self.orphan.as_mut() else { return };
        e.seq = p.seq.wrapping_add(1);
        e.answer_hole |= p.hole;
        if answered(e, &mut self.manner, &p, &mut News::default()).is_none() {
            self.orphan = None;
        }
    }

    /// Reports an answer without its request.
    pub(super) fn report_orphan(&mut self, e: Exchange, cx: &mut Context<'_>) {
        e.emit(Some(Incomplete::NoRequest), &self.session, cx);
        self.pairing.recycle(e);
    }

    /// What follows from an answer for those to come.
    fn hear(&mut self, news: &News<'_>, cx: &mut Context<'_>) {
        if let Some((id, parameters)) = news.prepared {
            self.remember(id, parameters, cx);
        }
        let Some(e) = self.pairing.front() else { return };
        if let Some(schema) = news.schema {
            set(&mut self.session, schema);
        } else if chooses_database(e) {
            if e.failed {
                self.unsettled.refused(&mut self.session);
            } else if news.ok {
                match e.command() {
                    Some(COM_INIT_DB) => set(&mut self.session, &e.query),
                    _ => {
                        if let Some(name) = Tokens::new(&e.query).nth(1).and_then(|t| t.name()) {
                            set(&mut self.session, name);
                        }
                    }
                }
            }
        }
    }
}

fn set(session: &mut Session, schema: &[u8]) {
    session.database.clear();
    session.database.extend_from_slice(cut(schema));
}

/// The EOF behind a prepared statement's columns, where it could not be known that there is one.
fn is_late_eof(p: &Packet<'_>) -> bool {
    p.len == 5 && p.payload.first() == Some(&0xfe) && p.seq > 1
}

/// Takes a packet as part of an answer. `None` when it cannot be.
fn answered<'a>(e: &mut Exchange, manner: &mut Manner, p: &Packet<'a>, news: &mut News<'a>) -> Option<()> {
    let first = p.payload.first().copied();
    let rest = Reader(p.payload.get(1..).unwrap_or_default());
    if first == Some(0xff) {
        let fault = Fault::read(rest).unwrap_or(Fault { code: 0, state: None, text: b"" });
        if fault.code != PROGRESS {
            fail(e, &fault);
            e.stage = Stage::Done;
        }
        return Some(());
    }
    match e.stage {
        Stage::First => first_packet(e, manner, p, first?, rest, news),
        Stage::Login => {
            match first? {
                0x00 => {
                    news.ok = true;
                    e.stage = Stage::Done;
                }
                // A switch to another plugin (without a name: to that of before 4.1), or a further
                // factor.
                0xfe | 0x02 => {
                    let mut rest = rest;
                    if let Some(plugin) = rest.c_string() {
                        e.plugin.clear();
                        e.plugin.extend_from_slice(cut(plugin));
                    }
                }
                _ => {}
            }
            Some(())
        }
        Stage::Parameters(left, columns) => {
            e.stage = match left.saturating_sub(1) {
                0 => after_parameters(columns, manner),
                left => Stage::Parameters(left, columns),
            };
            Some(())
        }
        Stage::ParametersEnd(columns) => {
            let eof = p.len == 5 && first == Some(0xfe);
            manner.eof = Some(eof);
            e.stage = prepared_columns(columns);
            if eof || e.stage == Stage::Done { Some(()) } else { answered(e, manner, p, news) }
        }
        Stage::Columns(left) => {
            definition(e, p)?;
            e.stage = match left.saturating_sub(1) {
                0 if e.command() == Some(COM_STMT_PREPARE) => prepared_end(manner),
                0 => Stage::ColumnsEnd,
                left => Stage::Columns(left),
            };
            if matches!(e.stage, Stage::ColumnsEnd | Stage::PerhapsEof | Stage::Done) {
                e.names.push(b'\n');
                if e.command() != Some(COM_STMT_PREPARE) && e.kind != Kind::Unasked {
                    e.body.raw(&e.names);
                }
            }
            Some(())
        }
        Stage::ColumnsEnd => {
            if e.command() == Some(COM_STMT_PREPARE) {
                e.stage = Stage::Done;
                return Some(());
            }
            e.stage = Stage::Rows;
            if p.len == 5 && first == Some(0xfe) {
                manner.eof = Some(true);
                let status = p.payload.get(3..5).map_or(0, |s| u16::from_le_bytes([s[0], s[1]]));
                if status & SERVER_STATUS_CURSOR_EXISTS != 0 {
                    e.stage = Stage::Done;
                }
                return Some(());
            }
            answered(e, manner, p, news)
        }
        Stage::Rows => {
            if first == Some(0xfe) && p.len < packet::MAX_LEN {
                let status = if p.len == 5 {
                    p.payload.get(3..5).map_or(0, |s| u16::from_le_bytes([s[0], s[1]]))
                } else {
                    let done = Done::read(rest)?;
                    manner.eof = Some(false);
                    news.schema = done.schema;
                    done.status
                };
                ended(e, status);
            } else {
                e.rows = Some(e.rows.unwrap_or(0).saturating_add(1));
                row(e, p);
            }
            Some(())
        }
        Stage::PerhapsEof => {
            manner.eof = Some(true);
            e.stage = Stage::Done;
            is_late_eof(p).then_some(())
        }
        Stage::File => None,
        Stage::Done => is_late_eof(p).then_some(()),
    }
}

fn first_packet<'a>(
    e: &mut Exchange,
    manner: &mut Manner,
    p: &Packet<'a>,
    first: u8,
    rest: Reader<'a>,
    news: &mut News<'a>,
) -> Option<()> {
    match (e.command(), first) {
        (Some(COM_STATISTICS), _) => {
            e.body.raw(p.payload);
            e.stage = Stage::Done;
        }
        (Some(COM_BINLOG_DUMP | COM_BINLOG_DUMP_GTID), _) => {
            manner.replication = true;
            e.stage = Stage::Done;
        }
        (Some(COM_FIELD_LIST), 0xfe) if p.len <= 9 => e.stage = Stage::Done,
        (Some(COM_FIELD_LIST), _) => {
            definition(e, p)?;
            e.rows = Some(e.rows.unwrap_or(0) + 1);
        }
        (Some(COM_STMT_FETCH), _) => {
            e.stage = Stage::Rows;
            e.rows = Some(0);
            return answered(e, manner, p, news);
        }
        (Some(COM_STMT_PREPARE), 0x00) => {
            let mut r = rest;
            let (id, columns, parameters) = (r.u32_le()?, r.u16_le()?, r.u16_le()?);
            e.statement = Some(id);
            news.prepared = Some((id, parameters));
            e.stage = match parameters {
                0 => prepared_columns(columns),
                n => Stage::Parameters(n, columns),
            };
        }
        // A number of columns that may come without their definitions.
        (_, 0x00 | 0x01) if p.len > 1 && p.len <= 4 && manner.has(CLIENT_OPTIONAL_RESULTSET_METADATA) => {
            columns(e, packet::int(&mut { rest })?, first == 1);
        }
        // It may as well answer COM_STMT_PREPARE: an id, two counts, a zero, a count.
        (None, 0x00) if e.kind == Kind::Unasked && p.len == 12 && p.payload.get(9) == Some(&0) => {
            return None;
        }
        (_, 0x00) => {
            let done = Done::read(rest)?;
            e.affected = Some(e.affected.unwrap_or(0).saturating_add(done.affected));
            news.schema = done.schema;
            news.ok = true;
            ended(e, done.status);
        }
        (_, 0xfe) if p.len <= 9 => e.stage = Stage::Done,
        (Some(COM_QUERY), 0xfb) => e.stage = Stage::File,
        _ => {
            let mut r = Reader(p.payload);
            let count = packet::int(&mut r).filter(|n| *n > 0)?;
            // MariaDB says behind the number whether definitions follow.
            let follow = r.u8();
            if !r.0.is_empty() || !p.whole {
                return None;
            }
            columns(e, count, follow != Some(0));
        }
    }
    Some(())
}

/// A result set begins.
fn columns(e: &mut Exchange, count: u64, defined: bool) {
    e.column_count.get_or_insert(count);
    e.width = count;
    e.rows.get_or_insert(0);
    if defined {
        e.names.clear();
        e.columns.clear();
    }
    e.stage = if defined { Stage::Columns(count) } else { Stage::ColumnsEnd };
}

fn prepared_columns(columns: u16) -> Stage {
    if columns > 0 { Stage::Columns(columns.into()) } else { Stage::Done }
}

fn after_parameters(columns: u16, manner: &Manner) -> Stage {
    match manner.eof {
        Some(false) => prepared_columns(columns),
        None if columns == 0 => Stage::PerhapsEof,
        _ => Stage::ParametersEnd(columns),
    }
}

/// What follows the definitions of a prepared statement's columns.
fn prepared_end(manner: &Manner) -> Stage {
    match manner.eof {
        Some(true) => Stage::ColumnsEnd,
        Some(false) => Stage::Done,
        None => Stage::PerhapsEof,
    }
}

/// A result is complete.
fn ended(e: &mut Exchange, status: u16) {
    e.results += 1;
    e.stage = if status & SERVER_MORE_RESULTS_EXISTS != 0 { Stage::First } else { Stage::Done };
}

fn fail(e: &mut Exchange, fault: &Fault<'_>) {
    e.failed = true;
    e.code = fault.code;
    e.state.clear();
    e.state.extend_from_slice(fault.state.unwrap_or_default());
    e.message.clear();
    e.message.extend_from_slice(fault.text.get(..MAX_MESSAGE).unwrap_or(fault.text));
}
