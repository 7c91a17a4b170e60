//! What the server sends.

use remora_model::Incomplete;

use super::client::cut;
use super::connection::{Encryption, Postgresql};
use super::exchange::{Exchange, Expected, Kind};
use super::message::{self, HEADER};
use super::values;
use crate::sql::pairing::Exchange as _;
use crate::sql::reader::Reader;
use crate::{Context, Problem, seen::Seen};

/// Columns of a result whose types are kept, and bytes of their names.
const MAX_COLUMNS: usize = 256;
const MAX_NAMES: usize = 4 << 10;

/// Bytes kept of the text of an error or notice.
const MAX_MESSAGE: usize = 4 << 10;

/// The parts of an ErrorResponse or NoticeResponse that are kept (PostgreSQL documentation,
/// "Error and Notice Message Fields").
#[derive(Default)]
struct Report<'a> {
    fatal: bool,
    code: &'a [u8],
    message: &'a [u8],
}

impl<'a> Report<'a> {
    fn read(body: &'a [u8]) -> Self {
        let mut report = Self::default();
        let mut r = Reader(body);
        while let Some(field) = r.u8().filter(|f| *f != 0) {
            let text = r.c_string();
            let value = text.unwrap_or(r.0);
            match field {
                b'V' | b'S' => report.fatal |= matches!(value, b"FATAL" | b"PANIC"),
                b'C' => report.code = value.get(..5).unwrap_or(value),
                b'M' => report.message = value.get(..MAX_MESSAGE).unwrap_or(value),
                _ => {}
            }
            if text.is_none() {
                break;
            }
        }
        report
    }
}

impl Postgresql {
    /// A message begins at `at` of the bytes being shown; `body` is what is looked at of it.
    pub(super) fn server_message(
        &mut self,
        kind: u8,
        at: usize,
        body: &[u8],
        whole: bool,
        cx: &mut Context<'_>,
    ) {
        match kind {
            b'N' => return self.notice(body),
            b'A' => return self.notification(at, body, whole, cx),
            b'S' => return self.parameter(body),
            _ => {}
        }
        while self.pairing.front().is_some_and(|e| e.kind == Kind::CopyEnd) {
            self.pairing.drop_front();
        }
        if !self.fits(kind, at, body, whole, cx) {
            if self.pairing.is_sure() && !self.pairing.is_empty() {
                cx.problem(Problem::Malformed, (HEADER + body.len()) as u64);
            }
            self.doubt(Incomplete::Gap, cx);
        }
        if self.pairing.is_unsure() {
            self.pairing.busy();
            self.orphan_message(kind, at, body, whole, cx);
        }
    }

    /// It ends at `at`.
    pub(super) fn server_message_ended(&mut self, kind: u8, at: usize, cx: &mut Context<'_>) {
        if matches!(kind, b'N' | b'A' | b'S') {
            return;
        }
        let Some(e) = self.pairing.front() else { return self.orphan_message_ended(kind, at, cx) };
        if kind != b'D'
            && (kind != b'Z' || e.kind != Kind::Extended)
            && let Some(seen) = e.answer.as_mut()
        {
            *seen = seen.until(cx, at);
        }
        let fatal = kind == b'E' && e.failed && e.answer_fatal;
        if e.is_answered() && !self.skipping
            || fatal
            || kind == b'E' && matches!(e.kind, Kind::Startup | Kind::Ssl | Kind::Gss)
        {
            self.pairing.finish(&self.session, cx);
        } else if kind == b'Z' {
            self.complete(cx);
        }
        if kind == b'W' {
            // Both sides stream from here on, for as long as the connection lives.
            self.pairing.finish(&self.session, cx);
            self.encryption = Encryption::Opaque;
        }
    }

    /// Takes a message as part of the answer to the oldest request. False when it cannot be.
    fn fits(&mut self, kind: u8, at: usize, body: &[u8], whole: bool, cx: &mut Context<'_>) -> bool {
        if self.pairing.is_unsure() {
            return true;
        }
        let (skipping, hole, began) = (self.skipping, self.hole.is_some(), self.began(at, cx));
        let Some(e) = self.pairing.front() else {
            // Sent unasked: the server ends the connection. Anything else answers something.
            let report = Report::read(body);
            if kind != b'E' || !report.fatal {
                return false;
            }
            self.unasked(at, &report, body.len(), cx);
            return true;
        };
        if skipping {
            if kind == b'E' {
                answered(e, kind, body, whole);
            }
            return matches!(kind, b'Z' | b'E');
        }
        if kind == b'Z' {
            return match e.kind {
                Kind::Query | Kind::Function | Kind::Startup | Kind::Sync => {
                    e.answer.get_or_insert(began);
                    true
                }
                _ => false,
            };
        }
        let left = Expected { execute: false, ..e.expected };
        let executing = e.kind == Kind::Query
            || e.kind == Kind::Extended && e.expected.execute && left == Expected::default();
        let extended = e.kind == Kind::Extended;
        let fits = match kind {
            b'E' => true,
            b'R' | b'K' | b'v' => e.kind == Kind::Startup,
            b'1' => extended && e.expected.parse > 0,
            b'2' => extended && e.expected.bind > 0,
            b'3' => extended && e.expected.close > 0,
            b't' | b'n' => extended && e.expected.describe > 0,
            b'T' => extended && e.expected.describe > 0 || e.kind == Kind::Query,
            b'D' | b'C' | b'I' | b's' | b'G' | b'H' | b'W' | b'd' | b'c' => executing,
            b'V' => e.kind == Kind::Function,
            _ => false,
        };
        if !fits {
            return false;
        }
        e.answer.get_or_insert(began);
        e.answer_hole |= hole;
        answered(e, kind, body, whole);
        match kind {
            b'E' if extended => {
                // Everything up to the next Sync is passed over.
                self.skipping = true;
            }
            b't' if e.describes_statement => self.statements.update(&e.described, |s| {
                let mut r = Reader(body);
                let count = r.i16_be().map_or(0, |n| usize::from(n.cast_unsigned()).min(MAX_COLUMNS));
                s.types.clear();
                s.types.extend((0..count).map_while(|_| r.u32_be()));
            }),
            b'T' if extended && e.describes_statement => {
                self.statements.update(&e.described, |s| s.columns.copy(&e.columns));
            }
            b'G' if extended => {
                // What the client sends before it ends the COPY is ignored, Sync included.
                self.pairing.drop_behind(|e| e.kind == Kind::CopyEnd, |e| e.kind == Kind::Sync);
            }
            _ => {}
        }
        true
    }

    /// ReadyForQuery, in certainty: the oldest request is answered, and everything that was passed
    /// over after an error.
    fn complete(&mut self, cx: &mut Context<'_>) {
        if self.skipping {
            while let Some(e) = self.pairing.front() {
                let sync = e.kind == Kind::Sync;
                e.aborted = !sync && !e.failed;
                self.pairing.finish(&self.session, cx);
                if sync {
                    break;
                }
            }
            self.skipping = false;
        } else {
            self.pairing.finish(&self.session, cx);
        }
        self.ready(cx);
    }

    pub(super) fn ready(&mut self, cx: &mut Context<'_>) {
        self.answered_at = cx.time_at(usize::MAX);
        self.pairing.rest(&self.session, cx);
    }

    /// Nothing more comes from the server.
    pub(super) fn give_up(&mut self, at: usize, partial: Incomplete, why: Incomplete, cx: &mut Context<'_>) {
        self.forget_orphan();
        let begun = self.pairing.front().and_then(|e| e.answer.as_mut());
        let partial = begun.map(|seen| {
            *seen = seen.until(cx, at);
            partial
        });
        self.pairing.end(partial, why, &self.session, cx);
    }

    fn unasked(&mut self, at: usize, report: &Report<'_>, len: usize, cx: &mut Context<'_>) {
        let mut e = self.pairing.make();
        e.begin(Kind::Notification, 0);
        e.answer = Some(Seen::within(cx, at, at + HEADER + len));
        fail(&mut e, report);
        e.emit(None, &self.session, cx);
        self.pairing.recycle(e);
    }

    fn notice(&mut self, body: &[u8]) {
        let certain = self.pairing.front().is_some();
        let e = if certain { self.pairing.front() } else { None };
        if let Some(e) = e.filter(|e| e.notice.is_empty()) {
            e.notice.extend_from_slice(Report::read(body).message);
        }
    }

    fn notification(&mut self, at: usize, body: &[u8], whole: bool, cx: &mut Context<'_>) {
        let mut r = Reader(body);
        let (Some(_), Some(channel)) = (r.i32_be(), r.c_string()) else { return };
        let payload = r.c_string().unwrap_or(r.0);
        let mut e = self.pairing.make();
        e.begin(Kind::Notification, cx.limits.payload);
        e.answer = Some(Seen::within(cx, at, at + HEADER + body.len()));
        e.channel.extend_from_slice(cut(channel));
        e.body.raw(payload);
        if !whole {
            e.body.cut();
        }
        e.emit(None, &self.session, cx);
        self.pairing.recycle(e);
    }

    fn parameter(&mut self, body: &[u8]) {
        let mut r = Reader(body);
        if self.hole.is_some() {
            self.session.application.clear();
        } else if let (Some(b"application_name"), Some(value)) = (r.c_string(), r.c_string()) {
            self.session.application.clear();
            self.session.application.extend_from_slice(cut(value));
        }
    }
}

/// What a message says of the answer.
pub(super) fn answered(e: &mut Exchange, kind: u8, body: &[u8], whole: bool) {
    let mut r = Reader(body);
    match kind {
        b'1' => e.expected.parse = e.expected.parse.saturating_sub(1),
        b'2' => e.expected.bind = e.expected.bind.saturating_sub(1),
        b'3' => e.expected.close = e.expected.close.saturating_sub(1),
        b'n' => e.expected.describe = e.expected.describe.saturating_sub(1),
        b'T' => {
            e.expected.describe = e.expected.describe.saturating_sub(1);
            describe_columns(e, r);
        }
        b'D' => row(e, r, whole),
        b'C' => {
            complete_tag(e, body.strip_suffix(&[0]).unwrap_or(body));
            e.expected.execute = false;
        }
        b's' => {
            e.rows = Some(e.rows.unwrap_or(0).saturating_add(e.counted));
            e.counted = 0;
            e.expected.execute = false;
        }
        b'I' => e.expected.execute = false,
        b'd' => {
            e.body.raw(body);
            if !whole {
                e.body.cut();
            }
        }
        b'G' => e.copies = true,
        b'V' => {
            let len = r.i32_be().and_then(|n| usize::try_from(n).ok());
            match len {
                Some(_) => e.body.value(|out| values::write(out, 0, 1, r.0)),
                None => e.body.null(),
            }
        }
        b'R' => authentication(e, r),
        b'E' => {
            fail(e, &Report::read(body));
            e.expected = Expected::default();
        }
        _ => {}
    }
}

fn fail(e: &mut Exchange, report: &Report<'_>) {
    e.failed = true;
    e.answer_fatal = report.fatal;
    e.code.clear();
    e.code.extend_from_slice(report.code);
    e.message.clear();
    e.message.extend_from_slice(report.message);
}

/// RowDescription: of the rows that follow, or of those that an Execute will give.
fn describe_columns(e: &mut Exchange, mut r: Reader<'_>) {
    e.columns.clear();
    let count = r.i16_be().map_or(0, i16::cast_unsigned);
    for i in 0..usize::from(count).min(MAX_COLUMNS) {
        let Some((name, oid, format)) = message::column(&mut r) else { break };
        if i > 0 {
            e.columns.names.push(b'\t');
        }
        if e.columns.names.len() + name.len() <= MAX_NAMES {
            e.columns.names.extend_from_slice(name);
        }
        e.columns.types.push((oid, format));
    }
    e.columns.names.push(b'\n');
    e.counted = 0;
    if e.kind == Kind::Query {
        e.body.raw(&e.columns.names);
    }
}

fn row(e: &mut Exchange, mut r: Reader<'_>, whole: bool) {
    let extended = e.kind == Kind::Extended;
    let columns = if extended && e.columns.types.is_empty() { &e.portal.columns } else { &e.columns };
    let known = !extended || e.portal.has_formats;
    if e.counted == 0 && extended && known {
        e.body.raw(&columns.names);
    }
    e.counted = e.counted.saturating_add(1);
    if !known {
        return;
    }
    let count = r.i16_be().map_or(0, i16::cast_unsigned);
    if e.body.room() == 0 {
        if count > 0 {
            e.body.cut();
        }
        return;
    }
    for i in 0..usize::from(count) {
        let (oid, format) = columns.types.get(i).copied().unwrap_or((values::UNSEEN, 0));
        let format = if extended { e.portal.format(i) } else { format };
        let Some(len) = r.i32_be() else { break };
        let Ok(len) = usize::try_from(len) else {
            e.body.null();
            continue;
        };
        let value = r.0.get(..len).unwrap_or(r.0);
        r.0 = r.0.get(len..).unwrap_or_default();
        if format == 0 {
            e.body.text_value(value);
        } else {
            e.body.value(|out| values::write(out, oid, format, value));
        }
        if e.body.room() == 0 {
            break;
        }
    }
    if whole {
        e.body.end_row();
    } else {
        e.body.cut();
    }
}

/// CommandComplete: words, then for some of them numbers, of which the last counts rows.
fn complete_tag(e: &mut Exchange, tag: &[u8]) {
    let words = tag.iter().position(u8::is_ascii_digit).map_or(tag, |at| &tag[..at]).trim_ascii_end();
    if e.tag.is_empty() {
        e.tag.extend_from_slice(words);
    }
    let number =
        tag.rsplit(|b| *b == b' ').next().and_then(|n| std::str::from_utf8(n).ok()?.parse::<i64>().ok());
    if let Some(n) = number {
        e.rows = Some(e.rows.unwrap_or(0).saturating_add(n));
    }
    e.counted = 0;
}

/// The kinds of `AuthenticationRequest` (PostgreSQL documentation, "Message Formats").
fn authentication(e: &mut Exchange, mut r: Reader<'_>) {
    let method = match r.u32_be() {
        Some(2) => "kerberos5",
        Some(3) => "password",
        Some(5) => "md5",
        Some(6) => "scm",
        Some(7) => "gss",
        Some(9) => "sspi",
        Some(10) if r.0.starts_with(b"SCRAM-SHA-256") => "scram-sha-256",
        Some(10) => "sasl",
        Some(0) if e.auth.is_none() => "trust",
        _ => return,
    };
    e.auth = Some(method);
}
