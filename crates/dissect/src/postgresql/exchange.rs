//! A statement with its answer, and the call that is made of them.

use remora_model::{Incomplete, Protocol, ValueRef, field};

use crate::sql::pairing;
use crate::sql::report::{Candidates, Report, left_out, list, some};
use crate::sql::reuse;
use crate::sql::rows::{MAX_VALUES, Rows, Values};
use crate::sql::statements::Held;
use crate::sql::tables::{MAX_TABLES, Tables, first_word};
use crate::{Context, Problem, seen::Seen};

/// What is said of statements behind an error, as libpq's PGRES_PIPELINE_ABORTED does.
const ABORTED: &[u8] = b"not executed: an earlier statement of the pipeline failed";

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// A simple query.
    #[default]
    Query,
    /// Messages of the extended protocol, up to an Execute if there is one.
    Extended,
    /// Ends a pipeline. Reported only when it fails.
    Sync,
    /// The client ends a COPY. Not answered by itself.
    CopyEnd,
    Function,
    Startup,
    Ssl,
    Gss,
    Cancel,
    /// Sent by the server unasked.
    Notification,
}

/// Columns of a result: names as a line of text, and types.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) names: Vec<u8>,
    /// The type and format of each.
    pub(super) types: Vec<(u32, i16)>,
}

impl Columns {
    pub(super) fn clear(&mut self) {
        reuse(&mut self.names);
        self.types.clear();
    }

    pub(super) fn copy(&mut self, other: &Self) {
        self.clear();
        self.names.extend_from_slice(&other.names);
        self.types.extend_from_slice(&other.types);
    }

    fn memory(&self) -> usize {
        self.names.capacity() + self.types.capacity() * size_of::<(u32, i16)>()
    }
}

/// A prepared statement.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) query: Vec<u8>,
    pub(super) query_cut: bool,
    /// Types of its parameters.
    pub(super) types: Vec<u32>,
    /// Bytes of the server are missing since: it may have been described in them.
    pub(super) unsure: bool,
    pub(super) columns: Columns,
}

impl Held for Statement {
    fn memory(&self) -> usize {
        self.query.capacity() + self.types.capacity() * size_of::<u32>() + self.columns.memory()
    }
}

/// A statement with values for its parameters.
#[derive(Debug, Default)]
pub(super) struct Portal {
    pub(super) statement: Vec<u8>,
    pub(super) query: Vec<u8>,
    pub(super) query_cut: bool,
    pub(super) values: Values,
    /// Formats of result columns, as Bind sends them: none, one for all, or one for each.
    pub(super) formats: Vec<i16>,
    /// They are known.
    pub(super) has_formats: bool,
    pub(super) columns: Columns,
}

impl Portal {
    pub(super) fn clear(&mut self) {
        reuse(&mut self.statement);
        reuse(&mut self.query);
        self.query_cut = false;
        self.values.clear();
        self.formats.clear();
        self.has_formats = false;
        self.columns.clear();
    }

    pub(super) fn copy(&mut self, other: &Self) {
        self.clear();
        self.has_formats = other.has_formats;
        self.statement.extend_from_slice(&other.statement);
        self.query.extend_from_slice(&other.query);
        self.query_cut = other.query_cut;
        self.values.copy(&other.values);
        self.formats.extend_from_slice(&other.formats);
        self.columns.copy(&other.columns);
    }

    /// How the server was asked to send column `i`.
    pub(super) fn format(&self, i: usize) -> i16 {
        match self.formats.as_slice() {
            [] => 0,
            [all] => *all,
            each => each.get(i).copied().unwrap_or(0),
        }
    }
}

impl Held for Portal {
    fn memory(&self) -> usize {
        self.statement.capacity()
            + self.query.capacity()
            + self.values.memory()
            + self.formats.capacity() * size_of::<i16>()
            + self.columns.memory()
    }
}

/// What every call of a connection shows.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) user: Vec<u8>,
    pub(super) database: Vec<u8>,
    pub(super) application: Vec<u8>,
}

/// Answers that are still to come for the messages of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) parse: u32,
    pub(super) bind: u32,
    pub(super) describe: u32,
    pub(super) close: u32,
    pub(super) execute: bool,
}

/// A request with its response.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) kind: Kind,
    pub(super) request: Option<Seen>,
    /// Messages may still be added to it.
    pub(super) open: bool,
    pub(super) asked: Expected,
    pub(super) expected: Expected,
    pub(super) portal: Portal,
    /// The statement that a Describe is about, and whether there is one.
    pub(super) described: Vec<u8>,
    pub(super) describes_statement: bool,
    /// Data that the client copies in.
    pub(super) input: Rows,
    /// The server has asked for it.
    pub(super) copies: bool,
    /// Why the request is not whole.
    pub(super) incomplete: Option<Incomplete>,

    pub(super) answer: Option<Seen>,
    pub(super) tag: Vec<u8>,
    pub(super) rows: Option<i64>,
    /// Rows of the result that is being sent.
    pub(super) counted: i64,
    pub(super) body: Rows,
    pub(super) columns: Columns,
    pub(super) failed: bool,
    pub(super) code: Vec<u8>,
    pub(super) message: Vec<u8>,
    pub(super) notice: Vec<u8>,
    pub(super) channel: Vec<u8>,
    pub(super) auth: Option<&'static str>,
    pub(super) aborted: bool,
    /// The error ends the connection.
    pub(super) answer_fatal: bool,
    /// Bytes of the answer are missing.
    pub(super) answer_hole: bool,
    pub(super) tables: Tables,
}

impl Exchange {
    /// Makes it one of that kind; `budget` bytes are kept of each direction.
    pub(super) fn begin(&mut self, kind: Kind, budget: usize) {
        self.kind = kind;
        self.input.begin(budget);
        self.body.begin(budget);
    }

    /// True when nothing more is to come for it.
    pub(super) fn is_answered(&self) -> bool {
        !self.open && self.kind == Kind::Extended && self.expected == Expected::default()
    }

    fn command(&self) -> Option<&[u8]> {
        Some(match self.kind {
            Kind::Query => return self.tag_or_word(),
            // What is missing of it may have been an Execute.
            Kind::Extended if self.open => return None,
            Kind::Extended => match self.asked {
                Expected { execute: true, .. } => return self.tag_or_word(),
                Expected { parse: 1.., .. } => b"PARSE",
                Expected { bind: 1.., .. } => b"BIND",
                Expected { describe: 1.., .. } => b"DESCRIBE",
                _ => b"CLOSE",
            },
            Kind::Sync => b"SYNC",
            Kind::CopyEnd => return None,
            Kind::Function => b"FUNCTIONCALL",
            Kind::Startup => b"STARTUP",
            Kind::Ssl => b"SSLREQUEST",
            Kind::Gss => b"GSSENCREQUEST",
            Kind::Cancel => b"CANCELREQUEST",
            Kind::Notification if self.failed => b"ERROR",
            Kind::Notification => b"NOTIFICATION",
        })
    }

    fn tag_or_word(&self) -> Option<&[u8]> {
        if self.tag.is_empty() { first_word(&self.portal.query) } else { Some(&self.tag) }
    }
}

impl pairing::Exchange for Exchange {
    type Session = Session;

    fn clear(&mut self) {
        self.request = None;
        self.open = false;
        self.asked = Expected::default();
        self.expected = Expected::default();
        self.portal.clear();
        reuse(&mut self.described);
        self.describes_statement = false;
        self.input.begin(0);
        self.incomplete = None;
        self.tables.clear();
        self.forget_answer();
    }

    fn forget_answer(&mut self) {
        self.answer = None;
        reuse(&mut self.tag);
        self.rows = None;
        self.counted = 0;
        self.copies = false;
        self.body.begin(0);
        self.columns.clear();
        self.failed = false;
        reuse(&mut self.code);
        reuse(&mut self.message);
        reuse(&mut self.notice);
        reuse(&mut self.channel);
        self.auth = None;
        self.aborted = false;
        self.answer_fatal = false;
        self.answer_hole = false;
    }

    fn emit(&self, why: Option<Incomplete>, session: &Session, cx: &mut Context<'_>) {
        let reported = match self.kind {
            Kind::CopyEnd => false,
            Kind::Sync => self.failed,
            _ => true,
        };
        if !reported {
            return;
        }
        let hole = self.answer_hole.then_some(Incomplete::Gap);
        let why = self.incomplete.or(hole).or(why).filter(|_| !self.aborted);
        let failed = self.failed || self.aborted;
        let told = self.answer.is_some() || failed;
        let success = told.then_some(ValueRef::Bool(!failed && why.is_none()));
        let message = if self.aborted { ABORTED } else { &self.message };

        let asked_cut = self.input.is_cut() || self.portal.query_cut || self.portal.values.cut;
        if asked_cut {
            cx.problem(
                Problem::PayloadLimit,
                left_out(self.request, self.input.text().len() + self.portal.query.len()),
            );
        }
        if self.body.is_cut() {
            cx.problem(Problem::PayloadLimit, left_out(self.answer, self.body.text().len()));
        }

        let mut upper = [0; 64];
        let command = self.command().map(|c| {
            let upper = &mut upper[..c.len().min(64)];
            upper.copy_from_slice(&c[..upper.len()]);
            upper.make_ascii_uppercase();
            &*upper
        });
        let mut values = [&b""[..]; MAX_VALUES];
        let values = self.portal.values.fill(&mut values);
        let mut tables = [&b""[..]; MAX_TABLES];
        let tables = self.tables.fill(&mut tables);
        let filled = |b: &'_ [u8]| !b.is_empty();
        let body = self.answer.map(|_| self.body.text()).filter(|b| filled(b));
        let input = Some(self.input.text()).filter(|b| filled(b));

        let candidates: Candidates<'_> = [
            (field::POSTGRESQL_COMMAND, command.and_then(some)),
            (field::POSTGRESQL_QUERY, some(&self.portal.query)),
            (field::POSTGRESQL_PARAMETERS, list(values)),
            (field::POSTGRESQL_STATEMENT, some(&self.portal.statement)),
            (field::POSTGRESQL_DATABASE, some(&session.database)),
            (field::POSTGRESQL_USER, some(&session.user)),
            (field::POSTGRESQL_APPLICATION, some(&session.application)),
            (field::POSTGRESQL_AUTH_METHOD, self.auth.map(ValueRef::str)),
            (field::POSTGRESQL_ROWS, self.rows.map(ValueRef::Int)),
            (field::POSTGRESQL_SUCCESS, success),
            (field::POSTGRESQL_ERROR_CODE, some(&self.code)),
            (field::POSTGRESQL_ERROR_MESSAGE, some(message)),
            (field::POSTGRESQL_NOTICE, some(&self.notice)),
            (field::POSTGRESQL_CHANNEL, some(&self.channel)),
            (field::SQL_TABLES, list(tables)),
            (field::REQUEST_BODY, input.map(ValueRef::Text)),
            (field::RESPONSE_BODY, body.map(ValueRef::Text)),
            (field::REQUEST_BODY_TRUNCATED, asked_cut.then_some(ValueRef::Bool(true))),
            (field::RESPONSE_BODY_TRUNCATED, self.body.is_cut().then_some(ValueRef::Bool(true))),
        ];
        let report = Report {
            protocol: Protocol::Postgresql,
            request: self.request,
            answer: self.answer,
            failed,
            state: &self.code,
            why,
        };
        report.emit(&candidates, cx);
    }

    fn memory(&self) -> usize {
        self.portal.memory()
            + self.described.capacity()
            + self.input.memory()
            + self.tag.capacity()
            + self.body.memory()
            + self.columns.memory()
            + self.code.capacity()
            + self.message.capacity()
            + self.notice.capacity()
            + self.channel.capacity()
            + self.tables.memory()
    }
}
