//! A command with its answer, and the call that is made of them.

use remora_model::{Incomplete, Protocol, ValueRef, field};

use super::packet::{ColumnType, command_name};
use crate::sql::pairing;
use crate::sql::report::{Candidates, Report, left_out, list, some};
use crate::sql::reuse;
use crate::sql::rows::{MAX_VALUES, Rows, Values};
use crate::sql::statements::Held;
use crate::sql::tables::{MAX_TABLES, Tables};
use crate::{Context, Problem, seen::Seen};

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of the commands.
    Command(u8),
    /// A login.
    Handshake,
    /// The client begins TLS.
    Tls,
    /// Nothing: the server says that it cannot go on.
    #[default]
    Unasked,
}

/// What the server sends next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// OK, ERR, the number of columns, a request for a file.
    #[default]
    First,
    /// Definitions of so many parameters, then so many columns, of a prepared statement.
    Parameters(u16, u16),
    /// Perhaps an EOF behind parameters; then definitions of so many columns.
    ParametersEnd(u16),
    /// Definitions of columns.
    Columns(u64),
    /// Perhaps an EOF behind them.
    ColumnsEnd,
    /// Nothing but perhaps an EOF: the login that would tell was not seen. What the server sends next
    /// tells.
    PerhapsEof,
    Rows,
    /// The client sends a file.
    File,
    /// Both sides prove who they are.
    Login,
    /// Nothing more.
    Done,
}

/// A prepared statement.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) query: Vec<u8>,
    pub(super) query_cut: bool,
    pub(super) parameters: u16,
    /// As bound last.
    pub(super) types: Vec<ColumnType>,
    /// Parameters whose values were sent ahead, as bits.
    pub(super) sent_ahead: u64,
    /// Bytes of the client are missing since the last execution: values may have been sent ahead.
    pub(super) unsure: bool,
    /// Bytes of the client are missing since it was prepared: it may have been closed in them.
    pub(super) may_be_closed: bool,
    pub(super) names: Vec<u8>,
    pub(super) columns: Vec<ColumnType>,
}

impl Held for Prepared {
    fn memory(&self) -> usize {
        self.query.capacity()
            + self.names.capacity()
            + (self.types.capacity() + self.columns.capacity()) * size_of::<ColumnType>()
    }
}

/// What every call of a connection shows.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) user: Vec<u8>,
    pub(super) database: Vec<u8>,
    pub(super) version: Vec<u8>,
}

/// A request with its response.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) kind: Kind,
    pub(super) request: Option<Seen>,
    pub(super) query: Vec<u8>,
    pub(super) query_cut: bool,
    pub(super) statement: Option<u32>,
    pub(super) values: Values,
    /// The file that the client sends.
    pub(super) input: Rows,
    pub(super) plugin: Vec<u8>,
    pub(super) tables: Tables,
    /// Why the request is not whole.
    pub(super) incomplete: Option<Incomplete>,
    /// Sequence number of the server's next packet.
    pub(super) seq: u8,
    /// The client goes on in answer to the server: what it sends is no part of the request.
    pub(super) goes_on: bool,

    pub(super) stage: Stage,
    pub(super) answer: Option<Seen>,
    pub(super) results: u32,
    pub(super) rows: Option<u64>,
    pub(super) affected: Option<u64>,
    pub(super) column_count: Option<u64>,
    /// Columns of the result that is being sent.
    pub(super) width: u64,
    pub(super) names: Vec<u8>,
    pub(super) columns: Vec<ColumnType>,
    pub(super) body: Rows,
    pub(super) failed: bool,
    pub(super) code: u16,
    pub(super) state: Vec<u8>,
    pub(super) message: Vec<u8>,
    /// Bytes of the answer are missing.
    pub(super) answer_hole: bool,
}

impl Exchange {
    /// Makes it one of that kind; `budget` bytes are kept of each direction.
    pub(super) fn begin(&mut self, kind: Kind, seen: Seen, budget: usize) {
        self.kind = kind;
        self.request = Some(seen);
        self.stage = if kind == Kind::Handshake { Stage::Login } else { Stage::First };
        self.input.begin(budget);
        self.body.begin(budget);
    }

    /// The command, if it is one.
    pub(super) fn command(&self) -> Option<u8> {
        if let Kind::Command(c) = self.kind { Some(c) } else { None }
    }
}

impl pairing::Exchange for Exchange {
    type Session = Session;

    fn clear(&mut self) {
        self.kind = Kind::Unasked;
        self.request = None;
        reuse(&mut self.query);
        self.query_cut = false;
        self.statement = None;
        self.values.clear();
        self.input.begin(0);
        reuse(&mut self.plugin);
        self.tables.clear();
        self.incomplete = None;
        self.goes_on = false;
        self.stage = Stage::First;
        self.forget_answer();
    }

    fn forget_answer(&mut self) {
        self.answer = None;
        self.results = 0;
        self.rows = None;
        self.affected = None;
        self.column_count = None;
        self.width = 0;
        reuse(&mut self.names);
        self.columns.clear();
        self.body.begin(0);
        self.failed = false;
        self.code = 0;
        reuse(&mut self.state);
        reuse(&mut self.message);
        self.answer_hole = false;
    }

    fn emit(&self, why: Option<Incomplete>, session: &Session, cx: &mut Context<'_>) {
        let hole = self.answer_hole.then_some(Incomplete::Gap);
        let why = self.incomplete.or(hole).or(why);
        let asked_cut = self.input.is_cut() || self.query_cut || self.values.cut;
        if asked_cut {
            cx.problem(
                Problem::PayloadLimit,
                left_out(self.request, self.input.text().len() + self.query.len()),
            );
        }
        if self.body.is_cut() {
            cx.problem(Problem::PayloadLimit, left_out(self.answer, self.body.text().len()));
        }
        let command = match self.kind {
            Kind::Command(c) => command_name(c).unwrap_or("COM_UNKNOWN"),
            Kind::Handshake => "HANDSHAKE",
            Kind::Tls => "SSLREQUEST",
            Kind::Unasked if self.failed => "ERROR",
            Kind::Unasked => "",
        };
        let mut values = [&b""[..]; MAX_VALUES];
        let values = self.values.fill(&mut values);
        let mut tables = [&b""[..]; MAX_TABLES];
        let tables = self.tables.fill(&mut tables);
        let body = self.answer.map_or(&b""[..], |_| self.body.text());
        let success = self.answer.map(|_| ValueRef::Bool(!self.failed && why.is_none()));
        let greeting = matches!(self.kind, Kind::Handshake | Kind::Tls);

        fn int(n: u64) -> ValueRef<'static> {
            ValueRef::Int(i64::try_from(n).unwrap_or(i64::MAX))
        }
        let candidates: Candidates<'_> = [
            (field::MYSQL_COMMAND, some(command.as_bytes())),
            (field::MYSQL_QUERY, some(&self.query)),
            (field::MYSQL_PARAMETERS, list(values)),
            (field::MYSQL_DATABASE, some(&session.database)),
            (field::MYSQL_USER, some(&session.user)),
            (field::MYSQL_STATEMENT_ID, self.statement.map(|n| ValueRef::Int(n.into()))),
            (field::MYSQL_ROWS, self.rows.or(self.affected).map(int)),
            (field::MYSQL_COLUMNS, self.column_count.map(int)),
            (field::MYSQL_SUCCESS, success),
            (field::MYSQL_ERROR_CODE, self.failed.then(|| ValueRef::Int(self.code.into()))),
            (field::MYSQL_SQLSTATE, some(&self.state)),
            (field::MYSQL_ERROR_MESSAGE, some(&self.message)),
            (field::MYSQL_AUTH_PLUGIN, some(&self.plugin)),
            (field::MYSQL_SERVER_VERSION, some(&session.version).filter(|_| greeting)),
            (field::SQL_TABLES, list(tables)),
            (field::REQUEST_BODY, some(self.input.text())),
            (field::RESPONSE_BODY, some(body)),
            (field::REQUEST_BODY_TRUNCATED, asked_cut.then_some(ValueRef::Bool(true))),
            (field::RESPONSE_BODY_TRUNCATED, self.body.is_cut().then_some(ValueRef::Bool(true))),
        ];
        let report = Report {
            protocol: Protocol::Mysql,
            request: self.request,
            answer: self.answer,
            failed: self.failed,
            state: &self.state,
            why,
        };
        report.emit(&candidates, cx);
    }

    fn memory(&self) -> usize {
        self.query.capacity()
            + self.values.memory()
            + self.input.memory()
            + self.plugin.capacity()
            + self.tables.memory()
            + self.names.capacity()
            + self.columns.capacity() * size_of::<ColumnType>()
            + self.body.memory()
            + self.state.capacity()
            + self.message.capacity()
    }
}
