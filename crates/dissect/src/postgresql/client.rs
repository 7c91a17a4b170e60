//! What the client sends.

use remora_model::Incomplete;

use super::connection::{Encryption, Postgresql};
use super::exchange::{Exchange, Kind, Portal, Session};
use super::message::{CANCEL, GSS, HEADER, SSL};
use super::values;
use crate::sql::pairing::Exchange as _;
use crate::sql::reader::Reader;
use crate::sql::tables::hide_passwords;
use crate::{Context, Problem, Role, seen::Seen};

/// Bytes kept of names and of other texts that the client chooses.
const MAX_NAME: usize = 256;

/// Types of parameters kept for one statement.
const MAX_TYPES: usize = crate::sql::rows::MAX_VALUES;

/// Part of a flow's budget for the texts of prepared statements, and as much for portals.
const STATEMENTS_SHARE: usize = 4;

/// A startup packet without its length. False when it is none.
pub(super) fn startup(c: &mut Postgresql, packet: &[u8], seen: Seen, cx: &mut Context<'_>) -> bool {
    let mut r = Reader(packet);
    let Some(code) = r.u32_be() else { return false };
    let kind = match code {
        SSL => Kind::Ssl,
        GSS => Kind::Gss,
        CANCEL => Kind::Cancel,
        _ if code >> 16 == 3 => Kind::Startup,
        _ => return false,
    };
    c.encryption = Encryption::None;
    if kind == Kind::Startup {
        parameters(&mut c.session, r);
    }
    if !c.sides[Role::Server.index()].lost {
        c.pairing.begin();
    }
    let mut e = c.pairing.make();
    e.begin(kind, c.budget(cx));
    e.request = Some(seen);
    if kind == Kind::Cancel {
        // The server closes the connection without a word.
        e.emit(None, &c.session, cx);
        c.pairing.recycle(e);
    } else {
        c.pairing.ask(ends_cycle, &c.session, cx);
        c.pairing.push(e, &c.session, cx);
    }
    true
}

fn parameters(session: &mut Session, mut r: Reader<'_>) {
    while let Some(name) = r.c_string().filter(|n| !n.is_empty()) {
        let Some(value) = r.c_string() else { return };
        let slot = match name {
            b"user" => &mut session.user,
            b"database" => &mut session.database,
            b"application_name" => &mut session.application,
            _ => continue,
        };
        slot.clear();
        slot.extend_from_slice(cut(value));
    }
    if session.database.is_empty() {
        // The documentation of StartupMessage: it defaults to the user name.
        session.database.extend_from_slice(&session.user);
    }
}

pub(super) fn cut(name: &[u8]) -> &[u8] {
    name.get(..MAX_NAME).unwrap_or(name)
}

/// What the server answers with ReadyForQuery: a client that does not pipeline waits for it.
fn ends_cycle(e: &Exchange) -> bool {
    !matches!(e.kind, Kind::Extended | Kind::CopyEnd)
}

fn is_copy(e: &Exchange) -> bool {
    e.portal.query.trim_ascii_start().get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"COPY"))
}

impl Postgresql {
    /// A message begins at `at` of the bytes being shown; `body` is what is looked at of it.
    pub(super) fn client_message(
        &mut self,
        kind: u8,
        at: usize,
        body: &[u8],
        whole: bool,
        cx: &mut Context<'_>,
    ) {
        let seen = self.hole.unwrap_or_else(|| Seen::within(cx, at, at + HEADER + body.len()));
        let hole = self.hole.map(|_| Incomplete::Gap);
        let mut r = Reader(body);
        match kind {
            b'Q' => {
                self.close_group(cx);
                let text = r.c_string().unwrap_or(body);
                self.push(Kind::Query, seen, hole, cx);
                if let Some(e) = self.pairing.back() {
                    let kept = text.get(..cx.limits.payload).unwrap_or(text);
                    e.portal.query.extend_from_slice(kept);
                    e.portal.query_cut = kept.len() < text.len() || !whole;
                    hide_passwords(&mut e.portal.query);
                    e.tables.find(&e.portal.query);
                }
            }
            b'F' => {
                self.close_group(cx);
                self.push(Kind::Function, seen, hole, cx);
                if let Some(e) = self.pairing.back() {
                    function(&mut e.portal, r, cx.limits.payload);
                }
            }
            b'P' | b'B' | b'D' | b'C' | b'E' => {
                if !self.pairing.back().is_some_and(|e| e.open) {
                    self.push(Kind::Extended, seen, hole, cx);
                }
                if let Some(e) = self.pairing.back() {
                    e.open = true;
                    e.incomplete = e.incomplete.or(hole);
                }
                if hole.is_some() {
                    // It may have been about the statement or the portal without a name.
                    self.statements.remove(b"");
                    self.portals.clear();
                }
                match kind {
                    b'P' => self.parse(r, whole, cx),
                    b'B' => self.bind(r, whole, cx),
                    b'D' => self.describe(r),
                    b'C' => self.close(r),
                    _ => self.execute(r),
                }
            }
            b'S' => {
                self.close_group(cx);
                self.push(Kind::Sync, seen, None, cx);
            }
            b'H' => self.close_group(cx),
            b'd' => {
                // Else the server's answer to something in front of it is missing.
                if let Some(e) = self.copied_to() {
                    e.input.raw(body);
                    if !whole {
                        e.input.cut();
                    }
                    e.incomplete = e.incomplete.or(hole);
                }
            }
            b'c' | b'f' => {
                if let Some(e) = self.copied_to() {
                    e.copies = false;
                    if let Some(request) = e.request.as_mut() {
                        *request = request.until(cx, at + HEADER + body.len());
                    }
                }
                self.push(Kind::CopyEnd, seen, None, cx);
            }
            // Passwords and tokens; the end.
            _ => {}
        }
    }

    /// It ends at `at`.
    pub(super) fn client_message_ended(&mut self, kind: u8, at: usize, cx: &mut Context<'_>) {
        let e = match kind {
            b'Q' | b'F' | b'P' | b'B' | b'D' | b'C' | b'E' => self.pairing.back(),
            b'd' => self.copied_to(),
            _ => None,
        };
        if let Some(seen) = e.and_then(|e| e.request.as_mut()) {
            *seen = seen.until(cx, at);
        }
    }

    /// What CopyData belongs to: the server has asked for it, or is about to. At a join, and where its
    /// answers come late, all that the client has said may be shown before: then it is of what was asked
    /// last.
    fn copied_to(&mut self) -> Option<&mut Exchange> {
        if self.pairing.front()?.copies {
            return self.pairing.front();
        }
        self.pairing.back().filter(|e| is_copy(e))
    }

    /// The client's stream ends in the middle of a message.
    pub(super) fn client_cut_off(&mut self, why: Incomplete) {
        if let Some(e) = self.pairing.back() {
            e.incomplete = e.incomplete.or(Some(why));
        }
    }

    fn push(&mut self, kind: Kind, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        if kind == Kind::Query && !self.sides[Role::Server.index()].heard && self.pairing.is_empty() {
            // In the simple protocol nobody sends a query before the last one is answered.
            self.pairing.assume_idle();
        }
        if kind != Kind::CopyEnd {
            self.pairing.ask(ends_cycle, &self.session, cx);
        }
        let budget = self.budget(cx);
        let mut e = self.pairing.make();
        e.begin(kind, budget);
        e.request = Some(seen);
        e.incomplete = incomplete;
        self.pairing.push(e, &self.session, cx);
    }

    /// Nothing more is added to the messages of the extended protocol that came last.
    pub(super) fn close_group(&mut self, cx: &mut Context<'_>) {
        let Some(e) = self.pairing.back().filter(|e| e.open) else { return };
        e.open = false;
        if !e.asked.execute
            && e.asked.bind > 0
            && !e.describes_statement
            && let Some(portal) = self.portals.get(&e.described)
        {
            e.portal.copy(portal);
        }
        e.tables.find(&e.portal.query);
        if self.pairing.front().is_some_and(|e| e.is_answered()) && !self.skipping {
            self.pairing.finish(&self.session, cx);
        }
    }

    fn parse(&mut self, mut r: Reader<'_>, whole: bool, cx: &mut Context<'_>) {
        let Some(e) = self.pairing.back() else { return };
        e.asked.parse += 1;
        e.expected.parse += 1;
        let Some(name) = r.c_string() else { return };
        let (text, rest) = match r.c_string() {
            Some(text) => (text, r),
            None => (r.0, Reader(b"")),
        };
        let kept = text.get(..cx.limits.payload).unwrap_or(text);
        e.portal.clear();
        e.portal.statement.extend_from_slice(cut(name));
        e.portal.query.extend_from_slice(kept);
        e.portal.query_cut = kept.len() < text.len() || !whole;
        hide_passwords(&mut e.portal.query);
        let mut r = rest;
        let forgotten = self.statements.put(cut(name), cx.limits.pending, share(cx), |s| {
            crate::sql::reuse(&mut s.query);
            s.query.extend_from_slice(&e.portal.query);
            s.query_cut = e.portal.query_cut;
            s.unsure = false;
            s.columns.clear();
            s.types.clear();
            let count = r.i16_be().map_or(0, |n| usize::from(n.cast_unsigned()).min(MAX_TYPES));
            s.types.extend((0..count).map_while(|_| r.u32_be()));
        });
        forgot(forgotten, cx);
    }

    fn bind(&mut self, mut r: Reader<'_>, whole: bool, cx: &mut Context<'_>) {
        let Some(e) = self.pairing.back() else { return };
        e.asked.bind += 1;
        e.expected.bind += 1;
        let (Some(name), Some(statement)) = (r.c_string(), r.c_string()) else { return };
        if !e.describes_statement {
            crate::sql::reuse(&mut e.described);
            e.described.extend_from_slice(cut(name));
        }
        let known = self.statements.get(cut(statement));
        let unsaid = known.filter(|s| !s.unsure).map_or(values::UNSEEN, |_| 0);
        let budget = cx.limits.payload;
        let forgotten = self.portals.put(cut(name), cx.limits.pending, share(cx), |p| {
            p.clear();
            p.statement.extend_from_slice(cut(statement));
            if let Some(s) = known {
                p.query.extend_from_slice(&s.query);
                p.query_cut = s.query_cut;
                p.columns.copy(&s.columns);
            }
            let types = known.map_or(&[][..], |s| &s.types);
            let all_read = bound_values(p, types, unsaid, &mut r, budget).is_some();
            p.values.cut |= !all_read || !whole;
            let count = r.i16_be().filter(|_| all_read).map_or(0, i16::cast_unsigned);
            p.formats.extend((0..count).map_while(|_| r.i16_be()));
            p.has_formats = all_read && whole;
        });
        forgot(forgotten, cx);
    }

    fn describe(&mut self, mut r: Reader<'_>) {
        let Some(e) = self.pairing.back() else { return };
        e.asked.describe += 1;
        e.expected.describe += 1;
        if let (Some(b'S'), Some(name)) = (r.u8(), r.c_string()) {
            crate::sql::reuse(&mut e.described);
            e.described.extend_from_slice(cut(name));
            e.describes_statement = true;
            if e.portal.query.is_empty()
                && let Some(s) = self.statements.get(cut(name))
            {
                e.portal.statement.extend_from_slice(cut(name));
                e.portal.query.extend_from_slice(&s.query);
                e.portal.query_cut = s.query_cut;
            }
        }
    }

    fn close(&mut self, mut r: Reader<'_>) {
        let Some(e) = self.pairing.back() else { return };
        e.asked.close += 1;
        e.expected.close += 1;
        match (r.u8(), r.c_string()) {
            (Some(b'S'), Some(name)) => {
                if e.asked.parse == 0
                    && e.portal.query.is_empty()
                    && let Some(s) = self.statements.get(cut(name))
                {
                    e.portal.statement.extend_from_slice(cut(name));
                    e.portal.query.extend_from_slice(&s.query);
                }
                self.statements.remove(cut(name));
            }
            (Some(b'P'), Some(name)) => self.portals.remove(cut(name)),
            _ => {}
        }
    }

    fn execute(&mut self, mut r: Reader<'_>) {
        let Some(e) = self.pairing.back() else { return };
        e.open = false;
        e.asked.execute = true;
        e.expected.execute = true;
        e.portal.clear();
        if let Some(name) = r.c_string()
            && let Some(portal) = self.portals.get(cut(name))
        {
            e.portal.copy(portal);
        }
        e.tables.find(&e.portal.query);
    }
}

fn share(cx: &Context<'_>) -> usize {
    cx.limits.flow_bytes / STATEMENTS_SHARE
}

fn forgot(statements: u64, cx: &mut Context<'_>) {
    for _ in 0..statements {
        cx.problem(Problem::StateLimit, 0);
    }
}

/// The formats and values of Bind; those without a type have that of `unsaid`. `None` when they are
/// not all there.
fn bound_values(p: &mut Portal, types: &[u32], unsaid: u32, r: &mut Reader<'_>, budget: usize) -> Option<()> {
    let count = usize::from(r.i16_be()?.cast_unsigned());
    let formats = r.take(count * 2)?;
    let format = |i: usize| match count {
        0 => 0,
        1 => formats.last().copied().unwrap_or(0).into(),
        _ => formats.get(i * 2 + 1).copied().unwrap_or(0).into(),
    };
    for i in 0..usize::from(r.i16_be()?.cast_unsigned()) {
        match usize::try_from(r.i32_be()?) {
            Err(_) => p.values.push(budget, |out| out.extend_from_slice(b"NULL")),
            Ok(len) => {
                let value = r.take(len)?;
                let oid = types.get(i).copied().unwrap_or(unsaid);
                p.values.push(budget, |out| values::write(out, oid, format(i), value));
            }
        }
    }
    Some(())
}

/// A function call: the function's number stands for the statement's name.
fn function(p: &mut Portal, mut r: Reader<'_>, budget: usize) {
    let Some(oid) = r.u32_be() else { return };
    crate::sql::rows::print(&mut p.statement, format_args!("{oid}"));
    p.values.cut = bound_values(p, &[], 0, &mut r, budget).is_none();
}
