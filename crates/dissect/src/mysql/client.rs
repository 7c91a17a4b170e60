//! What the client sends.

use remora_model::Incomplete;

use super::connection::Mysql;
use super::exchange::{Exchange, Kind, Stage};
use super::packet::{
    self, CLIENT_CONNECT_WITH_DB, CLIENT_PLUGIN_AUTH, CLIENT_PLUGIN_AUTH_LENENC, CLIENT_PROTOCOL_41,
    CLIENT_QUERY_ATTRIBUTES, CLIENT_SECURE_CONNECTION, CLIENT_SSL, COM_CHANGE_USER, COM_FIELD_LIST,
    COM_INIT_DB, COM_QUERY, COM_STMT_BULK_EXECUTE, COM_STMT_CLOSE, COM_STMT_EXECUTE, COM_STMT_FETCH,
    COM_STMT_PREPARE, COM_STMT_RESET, COM_STMT_SEND_LONG_DATA,
};
use super::packets::{Misplaced, Packet, Place};
use super::{detect, parameters};
use crate::sql::pairing::Exchange as _;
use crate::sql::reader::Reader;
use crate::sql::tables::{first_word, hide_passwords};
use crate::{Context, Problem, Role};

/// Bytes kept of names.
const MAX_NAME: usize = 256;

/// The number by which MariaDB's clients execute the statement that was prepared last.
const LAST_PREPARED: u32 = u32::MAX;

/// Part of a flow's budget for the texts of prepared statements.
const STATEMENTS_SHARE: usize = 4;

pub(super) fn cut(name: &[u8]) -> &[u8] {
    name.get(..MAX_NAME).unwrap_or(name)
}

fn set(slot: &mut Vec<u8>, value: &[u8]) {
    slot.clear();
    slot.extend_from_slice(cut(value));
}

impl Mysql {
    /// A packet of the client begins.
    pub(super) fn client_packet(&mut self, p: Packet<'_>, cx: &mut Context<'_>) -> Result<(), Misplaced> {
        if self.manner.greeted || p.seq != 0 && detect::is_login(p.payload, p.len) && self.pairing.is_empty()
        {
            return self.login(p, cx);
        }
        if let Some(e) = self.pairing.front() {
            match e.stage {
                Stage::Login if p.seq != 0 => {
                    e.goes_on = true;
                    e.seq = p.seq.wrapping_add(1);
                    return Ok(());
                }
                Stage::File if p.seq != 0 => {
                    e.seq = p.seq.wrapping_add(1);
                    if p.len == 0 {
                        e.stage = Stage::First;
                    }
                    e.input.raw(p.payload);
                    if !p.whole {
                        e.input.cut();
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        if p.seq != 0 {
            // The rest of something that was not seen from its beginning, or an answer to what was not.
            if let Some(e) = self.pairing.back() {
                e.goes_on = true;
            }
            return if self.pairing.is_sure() { Err(Misplaced) } else { Ok(()) };
        }
        let command = *p.payload.first().ok_or(Misplaced)?;
        packet::command_name(command).ok_or(Misplaced)?;
        self.command(command, p, cx);
        Ok(())
    }

    /// The client's packet ends at `at`.
    pub(super) fn client_packet_ended(&mut self, at: usize, place: Place, cx: &mut Context<'_>) {
        if let Some(mut e) = self.one_way.take() {
            e.request = e.request.map(|seen| place.until(seen, cx, at));
            let tls = e.kind == Kind::Tls;
            e.emit(None, &self.session, cx);
            self.pairing.recycle(e);
            self.manner.tls = tls;
            return;
        }
        let Some(e) = self.pairing.back() else { return };
        // What belongs to a login after its first packet is part of the answer.
        if !e.goes_on
            && (e.stage == Stage::First || e.stage == Stage::File || e.answer.is_none())
            && let Some(seen) = e.request
        {
            e.request = Some(place.until(seen, cx, at));
        }
    }

    /// The packet that answers the server's greeting (MySQL Internals, "HandshakeResponse41").
    fn login(&mut self, p: Packet<'_>, cx: &mut Context<'_>) -> Result<(), Misplaced> {
        let mut r = Reader(p.payload);
        let low = r.u32_le().ok_or(Misplaced)?;
        let mut capabilities = u64::from(low);
        if !self.streams[Role::Server.index()].lost {
            self.pairing.begin();
        }
        let mut e = self.pairing.make();
        let modern = capabilities & CLIENT_PROTOCOL_41 != 0;
        let tls = capabilities & CLIENT_SSL != 0 && p.len <= 32;
        e.begin(if tls { Kind::Tls } else { Kind::Handshake }, p.seen, self.budget(cx));
        e.seq = p.seq.wrapping_add(1);
        e.incomplete = p.hole.then_some(Incomplete::Gap);
        e.plugin.extend_from_slice(&self.manner.plugin);
        if tls {
            self.one_way = Some(e);
            return Ok(());
        }
        if modern {
            r.take(24);
            if let Some(extended) = r.u32_le().filter(|_| capabilities & 1 == 0) {
                capabilities |= u64::from(extended) << 32;
            }
        } else {
            capabilities &= 0xffff;
            r = Reader(p.payload.get(5..).unwrap_or_default());
        }
        self.manner.greeted = false;
        // What the server has not offered is not used. Where its greeting was not seen, believe
        // the client.
        let offered = if self.manner.offered == 0 { u64::MAX } else { self.manner.offered };
        self.manner.capabilities = Some(capabilities & offered);
        self.manner.eof = Some(!self.manner.has(packet::CLIENT_DEPRECATE_EOF));
        if let Some(user) = r.c_string() {
            set(&mut self.session.user, user);
        }
        let read = if capabilities & CLIENT_PLUGIN_AUTH_LENENC != 0 {
            packet::string(&mut r).is_some()
        } else if capabilities & CLIENT_SECURE_CONNECTION != 0 {
            r.u8().and_then(|len| r.take(len.into())).is_some()
        } else {
            r.c_string().is_some() || r.0.is_empty()
        };
        if read
            && capabilities & CLIENT_CONNECT_WITH_DB != 0
            && let Some(database) = r.c_string()
        {
            set(&mut self.session.database, database);
        }
        if read
            && capabilities & CLIENT_PLUGIN_AUTH != 0
            && let Some(plugin) = r.c_string()
        {
            set(&mut e.plugin, plugin);
        }
        self.pairing.ask(|_| true, &self.session, cx);
        self.pairing.push(e, &self.session, cx);
        Ok(())
    }

    fn command(&mut self, command: u8, p: Packet<'_>, cx: &mut Context<'_>) {
        let mut e = self.pairing.make();
        e.begin(Kind::Command(command), p.seen, self.budget(cx));
        e.seq = p.seq.wrapping_add(1);
        e.incomplete = p.hole.then_some(Incomplete::Gap);
        if self.pairing.is_sure() && self.pairing.is_empty() {
            self.unsettled.settled();
        }
        let argument = p.payload.get(1..).unwrap_or_default();
        if p.hole {
            self.unseen_argument(command);
        } else {
            self.argument(&mut e, command, argument, p.whole, cx);
            if chooses_database(&e) {
                self.unsettled.database(&mut self.session);
            }
        }
        if packet::is_one_way(command) {
            self.one_way = Some(e);
        } else {
            // What waits for nothing but perhaps an EOF is answered.
            self.pairing.ask(|e| e.stage != Stage::PerhapsEof, &self.session, cx);
            self.pairing.push(e, &self.session, cx);
        }
    }

    /// What a command says is missing.
    fn unseen_argument(&mut self, command: u8) {
        match command {
            COM_QUERY | COM_INIT_DB => self.unsettled.lost(&mut self.session),
            COM_CHANGE_USER => self.forget(),
            COM_STMT_PREPARE => self.last_prepared.clear(),
            COM_STMT_EXECUTE | COM_STMT_BULK_EXECUTE | COM_STMT_SEND_LONG_DATA => self.unbind(),
            _ => {}
        }
    }

    fn argument(
        &mut self,
        e: &mut Exchange,
        command: u8,
        argument: &[u8],
        whole: bool,
        cx: &mut Context<'_>,
    ) {
        let mut r = Reader(argument);
        match command {
            COM_QUERY => {
                let known = self.manner.capabilities.is_some();
                // SQL does not begin with control characters: they are numbers of attributes.
                let looks_so = argument.first().is_some_and(|b| *b < b'\t');
                if self.manner.has(CLIENT_QUERY_ATTRIBUTES) || !known && looks_so {
                    let before = r;
                    if parameters::attributes(&mut r).is_none() {
                        r = before;
                    }
                }
                text(e, r.0, whole, cx);
            }
            COM_STMT_PREPARE => {
                text(e, argument, whole, cx);
                self.last_prepared.clear();
                self.last_prepared.extend_from_slice(&e.query);
            }
            COM_INIT_DB => set(&mut e.query, argument),
            COM_FIELD_LIST => set(&mut e.query, r.c_string().unwrap_or(argument)),
            COM_STMT_EXECUTE
            | COM_STMT_BULK_EXECUTE
            | COM_STMT_FETCH
            | COM_STMT_RESET
            | COM_STMT_CLOSE
            | COM_STMT_SEND_LONG_DATA => {
                let Some(id) = r.u32_le() else { return };
                e.statement = Some(id).filter(|id| *id != LAST_PREPARED);
                self.prepared_argument(e, command, id, r, whole, cx);
            }
            COM_CHANGE_USER => {
                e.stage = Stage::Login;
                let Some(user) = r.c_string() else { return };
                set(&mut self.session.user, user);
                let read = r.u8().and_then(|len| r.take(len.into())).is_some();
                let database = r.c_string().filter(|_| read).unwrap_or_default();
                set(&mut self.session.database, database);
                r.u16_le();
                set(&mut e.plugin, r.c_string().filter(|_| read).unwrap_or_default());
                self.unsettled.user();
            }
            _ => {}
        }
    }

    /// What follows a statement's number.
    fn prepared_argument(
        &mut self,
        e: &mut Exchange,
        command: u8,
        id: u32,
        mut r: Reader<'_>,
        whole: bool,
        cx: &mut Context<'_>,
    ) {
        let key = id.to_le_bytes();
        if id == LAST_PREPARED {
            e.query.extend_from_slice(&self.last_prepared);
        } else if let Some(p) = self.prepared.get(&key)
            && !(command == COM_STMT_CLOSE && p.may_be_closed)
        {
            // Some clients close twice, and a number that is closed has no text.
            e.query.extend_from_slice(&p.query);
            e.query_cut = p.query_cut;
            e.names.extend_from_slice(&p.names);
            e.columns.extend_from_slice(&p.columns);
        }
        let attributes = self.manner.has(CLIENT_QUERY_ATTRIBUTES);
        match command {
            COM_STMT_EXECUTE => {
                let budget = cx.limits.payload;
                let mut complete = true;
                self.prepared.update(&key, |p| {
                    complete = parameters::execute(e, p, r, attributes, budget).is_some();
                });
                e.values.cut |= !complete || !whole && !e.values.is_empty();
                e.tables.find(&e.query);
            }
            COM_STMT_SEND_LONG_DATA => {
                if let Some(parameter) = r.u16_le().filter(|n| *n < 64) {
                    self.prepared.update(&key, |p| p.sent_ahead |= 1 << parameter);
                }
            }
            COM_STMT_RESET => self.prepared.update(&key, |p| (p.sent_ahead, p.unsure) = (0, false)),
            COM_STMT_CLOSE => self.prepared.remove(&key),
            COM_STMT_FETCH => {}
            _ => e.tables.find(&e.query),
        }
    }

    /// A statement has a number now.
    pub(super) fn remember(&mut self, id: u32, parameters: u16, cx: &mut Context<'_>) {
        let Some(e) = self.pairing.front() else { return };
        let (count, bytes) = (cx.limits.pending, cx.limits.flow_bytes / STATEMENTS_SHARE);
        let forgotten = self.prepared.put(&id.to_le_bytes(), count, bytes, |p| {
            p.query.clear();
            p.query.extend_from_slice(&e.query);
            p.query_cut = e.query_cut;
            p.parameters = parameters;
            p.types.clear();
            p.sent_ahead = 0;
            p.unsure = false;
            p.may_be_closed = false;
            p.names.clear();
            p.columns.clear();
        });
        for _ in 0..forgotten {
            cx.problem(Problem::StateLimit, 0);
        }
    }
}

/// True for a command that makes another database the default one.
pub(super) fn chooses_database(e: &Exchange) -> bool {
    match e.command() {
        Some(COM_INIT_DB) => true,
        Some(COM_QUERY) => first_word(&e.query).is_some_and(|w| w.eq_ignore_ascii_case(b"USE")),
        _ => false,
    }
}

/// A statement.
fn text(e: &mut Exchange, sql: &[u8], whole: bool, cx: &Context<'_>) {
    let kept = sql.get(..cx.limits.payload).unwrap_or(sql);
    e.query.extend_from_slice(kept);
    e.query_cut = kept.len() < sql.len() || !whole;
    hide_passwords(&mut e.query);
    e.tables.find(&e.query);
}
