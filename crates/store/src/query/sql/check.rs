//! From a text to one statement that only reads, with the names of columns as the views have them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Query, SelectItem, SetExpr, Statement, TableFactor, Value,
    VisitMut as _, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::{functions, names, views};
use crate::{Error, Result};

/// Longest statement in bytes.
pub const MAX_TEXT: usize = 16 << 10;

/// Deepest nesting of expressions: planning recurses over it.
pub(super) const MAX_DEPTH: usize = 200;

/// A statement that may be planned.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) parsed: Statement,
    /// The views that it names.
    pub(super) tables: BTreeSet<String>,
    /// The names that can be columns of them; `None` where it may want all.
    pub(super) columns: Option<BTreeSet<String>>,
}

/// Parses and checks.
pub(super) fn statement(text: &str) -> Result<Checked> {
    if text.len() > MAX_TEXT {
        return refuse(
            format!("the statement has {} bytes, and {MAX_TEXT} are the most", text.len()),
            "shorten it",
        );
    }
    let mut all = Parser::parse_sql(&GenericDialect {}, text).map_err(|e| Error::Sql {
        problem: e.to_string().trim_start_matches("sql parser error: ").to_owned(),
        advice: "write one SELECT; names with dots are written src_ip or \"src.ip\"".to_owned(),
    })?;
    let Some(mut parsed) = all.pop() else {
        return refuse(
            "the statement is empty",
            "write one SELECT, for example SELECT path, count(*) FROM http GROUP BY path",
        );
    };
    if !all.is_empty() {
        return refuse("there are several statements", "send them one by one");
    }
    if !matches!(parsed, Statement::Query(_)) {
        return refuse("only SELECT is allowed: this is read-only", "write one SELECT");
    }
    let mut names = Names::default();
    if let ControlFlow::Break(problem) = parsed.visit(&mut names) {
        return Err(problem);
    }
    let local = |table: &String| names.local.contains(table);
    let tables: BTreeSet<String> = names.tables.into_iter().filter(|t| !local(t)).collect();
    // What all columns have in common cannot be told from some of them.
    let natural = parsed.to_string().to_ascii_uppercase().contains("NATURAL");
    let columns = (!names.all && !natural).then_some(names.columns);
    Ok(Checked { parsed, tables, columns })
}

/// Whether a query selects all columns of a relation that is neither one of `local` nor in brackets.
fn wants_all(body: &SetExpr, local: &BTreeSet<String>) -> bool {
    match body {
        SetExpr::Select(select) => {
            let star =
                |i: &SelectItem| matches!(i, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            let of_view = |relation: &TableFactor| match relation {
                TableFactor::Derived { .. } => false,
                TableFactor::Table { name, .. } => single(name).is_none_or(|name| !local.contains(&name)),
                _ => true,
            };
            let relations = select
                .from
                .iter()
                .flat_map(|f| std::iter::once(&f.relation).chain(f.joins.iter().map(|j| &j.relation)));
            select.projection.iter().any(star) && relations.into_iter().any(of_view)
        }
        SetExpr::SetOperation { left, right, .. } => wants_all(left, local) || wants_all(right, local),
        // It is visited by itself.
        SetExpr::Query(_) | SetExpr::Values(_) => false,
        _ => true,
    }
}

fn refuse<T>(problem: impl Into<String>, advice: &str) -> Result<T> {
    Err(Error::Sql { problem: problem.into(), advice: advice.to_owned() })
}

/// Walks over a statement: counts depth, collects tables, and writes columns as the views have them.
#[derive(Default)]
struct Names {
    depth: usize,
    tables: BTreeSet<String>,
    /// Names that `WITH` gives.
    local: BTreeSet<String>,
    /// Names in the place of columns.
    columns: BTreeSet<String>,
    /// All columns of a view are wanted.
    all: bool,
}

impl VisitorMut for Names {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        for table in query.with.iter().flat_map(|w| &w.cte_tables) {
            self.local.insert(table.alias.name.value.to_ascii_lowercase());
        }
        if let SetExpr::Select(select) = query.body.as_mut() {
            // A view has hundreds of columns, and bodies among them: all stands for those that are
            // worth it.
            if let [SelectItem::Wildcard(_)] = select.projection.as_slice()
                && let [from] = select.from.as_slice()
                && from.joins.is_empty()
                && let TableFactor::Table { name, args: None, .. } = &from.relation
                && let Some(columns) = single(name).and_then(|name| views::default_columns(&name))
            {
                select.projection = columns
                    .into_iter()
                    .map(|c| SelectItem::UnnamedExpr(Expr::Identifier(Ident::new(c))))
                    .collect();
            }
        }
        self.all |= wants_all(&query.body, &self.local);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<Error> {
        let problem = match table {
            TableFactor::Table { args: Some(_), name, .. } => format!("{name}(…) is a function, not a view"),
            TableFactor::Function { name, .. } => format!("{name}(…) is a function, not a view"),
            TableFactor::TableFunction { .. } => "functions are not views".to_owned(),
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Break(Error::Sql { problem, advice: names::views_advice() })
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Error> {
        match single(relation) {
            Some(name) => {
                self.tables.insert(name);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(Error::Sql {
                problem: format!("there is no table {relation}"),
                advice: names::views_advice(),
            }),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return ControlFlow::Break(Error::Sql {
                problem: format!("expressions are nested deeper than {MAX_DEPTH}"),
                advice: "write a list with IN instead of many ORs".to_owned(),
            });
        }
        match expr {
            Expr::Identifier(ident) => {
                if let Some(name) = names::column(&ident.value) {
                    *ident = Ident::new(name);
                }
            }
            Expr::CompoundIdentifier(parts) => {
                let dotted = |parts: &[Ident]| {
                    let words: Vec<&str> = parts.iter().map(|p| p.value.as_str()).collect();
                    names::column(&words.join("."))
                };
                if let Some(name) = dotted(parts) {
                    *expr = Expr::Identifier(Ident::new(name));
                } else if let [table, rest @ ..] = parts.as_slice()
                    && let Some(name) = dotted(rest)
                {
                    *expr = Expr::CompoundIdentifier(vec![table.clone(), Ident::new(name)]);
                }
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                if let Some((name, taken)) = field_access(root, access_chain) {
                    **root = name;
                    access_chain.drain(..taken);
                }
            }
            Expr::BinaryOp { op: BinaryOperator::StringConcat, left, right } => {
                let sides = [left, right]
                    .map(|side| std::mem::replace(side.as_mut(), Expr::Value(Value::Null.into())));
                *expr = call(functions::JOIN, sides);
            }
            _ => {}
        }
        match expr {
            Expr::Identifier(ident) => _ = self.columns.insert(ident.value.to_ascii_lowercase()),
            Expr::CompoundIdentifier(parts) => {
                self.columns.extend(parts.iter().map(|p| p.value.to_ascii_lowercase()));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<Error> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }
}

/// The column that a path with brackets behind it begins with (`h.request.headers['host']`), and how
/// many steps of the path its name takes.
fn field_access(root: &Expr, chain: &[AccessExpr]) -> Option<(Expr, usize)> {
    let Expr::Identifier(first) = root else { return None };
    let mut parts = vec![first.clone()];
    parts.extend(chain.iter().map_while(|step| match step {
        AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident.clone()),
        _ => None,
    }));
    let dotted = |parts: &[Ident]| {
        let words: Vec<&str> = parts.iter().map(|p| p.value.as_str()).collect();
        names::column(&words.join("."))
    };
    if let Some(name) = dotted(&parts) {
        return Some((Expr::Identifier(Ident::new(name)), parts.len() - 1));
    }
    let name = dotted(parts.get(1..)?)?;
    let table = parts.first()?.clone();
    Some((Expr::CompoundIdentifier(vec![table, Ident::new(name)]), parts.len() - 1))
}

/// A function of two arguments.
fn call(name: &str, args: [Expr; 2]) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The name of a relation without a catalogue or schema before it, in small letters.
fn single(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(|i| i.value.to_ascii_lowercase()),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        statement(text).unwrap_err().to_string()
    }

    #[test]
    fn only_one_select_is_allowed() {
        assert!(problem("DROP TABLE calls").contains("only SELECT"));
        assert!(problem("INSERT INTO calls VALUES (1)").contains("only SELECT"));
        assert!(problem("COPY calls TO '/tmp/x'").contains("only SELECT"));
        assert!(problem("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'").contains("SELECT"));
        assert!(problem("SELECT 1; SELECT 2").contains("several"));
        assert!(problem("").contains("empty"));
        assert!(problem("SELECT path FROM http GROUP").contains("Expected"));
        assert!(problem("SET x = 1").contains("only SELECT"));
        assert!(problem("EXPLAIN SELECT 1").contains("only SELECT"));
    }

    #[test]
    fn functions_and_foreign_tables_are_not_read() {
        assert!(problem("SELECT * FROM generate_series(1, 1000000000)").contains("function"));
        assert!(problem("SELECT * FROM information_schema.tables").contains("no table"));
        let read = statement("SELECT * FROM '/etc/passwd'").unwrap();
        assert_eq!(read.tables.into_iter().collect::<Vec<_>>(), ["/etc/passwd"], "which no view is called");
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert!(problem(&format!("SELECT {}1", "1+".repeat(1_000))).contains("deeper"));
        assert!(
            problem(&format!("SELECT {}1{}", "(".repeat(1_000), ")".repeat(1_000))).contains("recursion")
        );
        assert!(problem(&format!("SELECT '{}'", "x".repeat(MAX_TEXT))).contains("bytes"));
        // As long as it may be.
        assert!(problem(&format!("SELECT {}1", "1+".repeat(MAX_TEXT / 2 - 10))).contains("deeper"));
    }

    #[test]
    fn columns_have_the_names_of_the_views() {
        for text in [
            "SELECT src.ip FROM calls",
            "SELECT \"src.ip\" FROM calls",
            "SELECT src_ip FROM calls",
            "SELECT SRC.IP FROM calls",
        ] {
            assert_eq!(statement(text).unwrap().parsed.to_string(), "SELECT src_ip FROM calls", "{text}");
        }
        let read =
            statement("SELECT c.src.ip, c.path FROM calls AS c JOIN http ON http.src.ip = c.src.ip").unwrap();
        assert_eq!(
            read.parsed.to_string(),
            "SELECT c.src_ip, c.path FROM calls AS c JOIN http ON http.src_ip = c.src_ip"
        );
        assert_eq!(read.tables.into_iter().collect::<Vec<_>>(), ["calls", "http"]);
    }

    #[test]
    fn the_columns_are_known_that_can_be_meant() {
        let columns =
            |text: &str| statement(text).unwrap().columns.map(|c| c.into_iter().collect::<Vec<_>>());
        let some = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(columns("SELECT SRC.IP, count(*) FROM calls GROUP BY 1"), some(&["src_ip"]));
        assert_eq!(columns("SELECT c.request.headers['host'] FROM calls c"), some(&["c", "request_headers"]));
        assert_eq!(columns("WITH x AS (SELECT id FROM dns) SELECT * FROM x"), some(&["id"]));
        assert_eq!(columns("SELECT *, 1 AS one FROM (SELECT id FROM dns)"), some(&["id"]));
        for text in [
            "SELECT *, 1 AS one FROM calls",
            "SELECT h.* FROM http h JOIN (SELECT 1) ON true",
            "SELECT id FROM http UNION ALL SELECT * FROM dns",
            "SELECT id FROM http NATURAL JOIN dns",
        ] {
            assert_eq!(columns(text), None, "{text}");
        }
    }

    #[test]
    fn all_stands_for_what_is_worth_it() {
        let read = statement("WITH x AS (SELECT * FROM dns) SELECT * FROM x").unwrap();
        let text = read.parsed.to_string();
        assert!(text.contains("dns_question_types") || text.contains("summary"), "{text}");
        assert!(text.ends_with("SELECT * FROM x"), "{text}");
        assert_eq!(read.tables.into_iter().collect::<Vec<_>>(), ["dns"]);
    }
}
