//! Which tables a statement names, its first word, and the passwords in it.

use super::tokens::{Kind, Token, Tokens};

/// Bytes of a statement in which tables are looked for.
const LOOKED_AT: usize = 8 << 10;

/// Tables kept of one statement.
pub(crate) const MAX_TABLES: usize = 16;

/// Names of common table expressions kept, to leave them out.
const MAX_LOCAL: usize = 8;

/// What stands in a statement for a password.
const HIDDEN: &[u8] = b"'***'";

/// First words of statements that may set a password.
const MAY_SET_PASSWORDS: [&str; 6] = ["CREATE", "ALTER", "SET", "GRANT", "CHANGE", "START"];

/// The first word of a statement, as it is written.
pub(crate) fn first_word(sql: &[u8]) -> Option<&[u8]> {
    let mut tokens = Tokens::new(sql.get(..LOOKED_AT).unwrap_or(sql));
    tokens.find(|t| !t.is_char(b'(')).filter(|t| t.kind == Kind::Word).map(|t| t.text)
}

/// Replaces the passwords in a statement that sets one. True when there were any.
pub(crate) fn hide_passwords(sql: &mut Vec<u8>) -> bool {
    if !first_word(sql)
        .is_some_and(|w| MAY_SET_PASSWORDS.iter().any(|m| w.eq_ignore_ascii_case(m.as_bytes())))
    {
        return false;
    }
    let mut found: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut secret = false;
    for token in Tokens::new(sql) {
        match token.kind {
            Kind::Word => secret |= sets_password(&token),
            Kind::Other => secret &= !matches!(token.text, b"," | b";" | b")"),
            Kind::String | Kind::Quoted if secret => {
                let out = found.get_or_insert_default();
                out.extend_from_slice(sql.get(copied..token.start).unwrap_or_default());
                out.extend_from_slice(HIDDEN);
                copied = token.start + token.text.len();
            }
            Kind::String | Kind::Quoted => {}
        }
    }
    let Some(mut out) = found else { return false };
    out.extend_from_slice(sql.get(copied..).unwrap_or_default());
    *sql = out;
    true
}

/// A word after which strings are secrets: `PASSWORD`, `MASTER_PASSWORD`, `IDENTIFIED [WITH x] BY`,
/// and the connection string of a subscription.
fn sets_password(token: &Token<'_>) -> bool {
    let text = token.text;
    let tail = text.len().checked_sub(b"PASSWORD".len()).and_then(|at| text.get(at..));
    tail.is_some_and(|t| t.eq_ignore_ascii_case(b"PASSWORD"))
        || token.is_one_of(&["IDENTIFIED", "CONNECTION"])
}

/// Tables that a statement names.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    text: Vec<u8>,
    ends: [u16; MAX_TABLES],
    len: usize,
}

/// What may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Nothing,
    /// A table, then perhaps a comma and another one.
    Tables,
    /// A table, which a list of columns may follow.
    Target,
}

impl Tables {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        super::reuse(&mut self.text);
        self.len = 0;
    }

    /// Finds the tables of a statement.
    pub(crate) fn find(&mut self, sql: &[u8]) {
        self.clear();
        let mut tokens = Tokens::new(sql.get(..LOOKED_AT).unwrap_or(sql)).peekable();
        let mut local: [&[u8]; MAX_LOCAL] = [b""; MAX_LOCAL];
        let mut locals = 0;
        let mut verb: Option<Token<'_>> = None;
        // Depth of parentheses, the levels that hold a query of their own (only there FROM is
        // followed by tables, and not as in `extract(year FROM t)`), and those inside a FROM.
        let (mut depth, mut queries, mut lists) = (0_u32, 0_u64, 0_u64);
        let mut expect = Expect::Nothing;
        let mut last: Option<Token<'_>> = None;
        while let Some(token) = tokens.next() {
            let level = 1_u64 << depth.min(63);
            if token.is_char(b'(') {
                depth += 1;
                let level = 1_u64 << depth.min(63);
                queries &= !level;
                // `FROM (a, b)` is a list too.
                lists = if expect == Expect::Tables { lists | level } else { lists & !level };
                expect = if expect == Expect::Tables { expect } else { Expect::Nothing };
            } else if token.is_char(b')') {
                depth = depth.saturating_sub(1);
                expect = Expect::Nothing;
            } else if token.is_char(b';') {
                (verb, depth, queries, lists, expect) = (None, 0, 0, 0, Expect::Nothing);
                last = Some(token);
                continue;
            } else if token.is_char(b',') {
                expect = if lists & level != 0 { Expect::Tables } else { Expect::Nothing };
            } else if token.kind == Kind::Word && is_keyword(&token) {
                let first = verb.is_none();
                verb.get_or_insert(token);
                if token.is_one_of(&["SELECT", "DELETE"]) {
                    queries |= level;
                }
                let showing =
                    verb.is_some_and(|v| v.is_one_of(&["SHOW", "GRANT", "REVOKE", "SET", "PREPARE"]));
                let from =
                    token.is("FROM") && queries & level != 0 && !last.is_some_and(|l| l.is("DISTINCT"));
                let target = token.is_one_of(&["INTO", "TABLE", "TABLES"])
                    || first
                        && token.is_one_of(&["UPDATE", "COPY", "TRUNCATE", "DESCRIBE", "DESC", "REPLACE"]);
                let stays =
                    token.is_one_of(&["ONLY", "LATERAL", "IF", "NOT", "EXISTS", "LOW_PRIORITY", "IGNORE"]);
                if token.is("AS")
                    && verb.is_some_and(|v| v.is("WITH"))
                    && let Some(slot) = local.get_mut(locals)
                    && tokens.peek().is_some_and(|t| t.is_char(b'(') || t.is_one_of(&["MATERIALIZED", "NOT"]))
                    && let Some(name) = last.and_then(|l| l.name())
                {
                    *slot = name;
                    locals += 1;
                }
                if ends_list(&token) {
                    lists &= !level;
                }
                expect = match expect {
                    _ if showing => Expect::Nothing,
                    _ if from || token.is("JOIN") => Expect::Tables,
                    _ if target => Expect::Target,
                    Expect::Tables | Expect::Target if stays => expect,
                    _ => Expect::Nothing,
                };
                if expect == Expect::Tables {
                    lists |= level;
                }
            } else if matches!(expect, Expect::Tables | Expect::Target) && token.name().is_some() {
                let start = self.text.len();
                self.text.extend_from_slice(token.name().unwrap_or_default());
                while tokens.peek().is_some_and(|t| t.is_char(b'.')) {
                    tokens.next();
                    let Some(name) = tokens.peek().and_then(Token::name) else { break };
                    self.text.push(b'.');
                    self.text.extend_from_slice(name);
                    tokens.next();
                }
                let call = expect == Expect::Tables && tokens.peek().is_some_and(|t| t.is_char(b'('));
                let name = self.text.get(start..).unwrap_or_default();
                if call || local.iter().take(locals).any(|l| l.eq_ignore_ascii_case(name)) {
                    self.text.truncate(start);
                } else {
                    self.keep(start);
                }
                expect = Expect::Nothing;
            } else {
                expect = Expect::Nothing;
            }
            verb.get_or_insert(token);
            last = Some(token);
        }
    }

    /// Keeps the name that begins at `start`, once.
    fn keep(&mut self, start: usize) {
        let (mut from, mut known) = (0, false);
        for end in self.ends.iter().take(self.len).map(|e| usize::from(*e)) {
            known |= self.text.get(from..end) == self.text.get(start..);
            from = end;
        }
        match (known, self.ends.get_mut(self.len), u16::try_from(self.text.len())) {
            (false, Some(slot), Ok(end)) => {
                *slot = end;
                self.len += 1;
            }
            _ => self.text.truncate(start),
        }
    }

    /// The names, into `slots`.
    pub(crate) fn fill<'a, 'b>(&'a self, slots: &'b mut [&'a [u8]; MAX_TABLES]) -> &'b [&'a [u8]] {
        let mut from = 0;
        for (slot, end) in slots.iter_mut().zip(self.ends.iter().take(self.len)) {
            *slot = self.text.get(from..usize::from(*end)).unwrap_or_default();
            from = usize::from(*end);
        }
        slots.get(..self.len).unwrap_or_default()
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.text.capacity()
    }
}

/// Words behind which a comma is not followed by another table.
fn ends_list(token: &Token<'_>) -> bool {
    const WORDS: [&str; 16] = [
        "SELECT",
        "WHERE",
        "SET",
        "VALUES",
        "GROUP",
        "ORDER",
        "HAVING",
        "LIMIT",
        "UNION",
        "FOR",
        "RETURNING",
        "EXCEPT",
        "INTERSECT",
        "WINDOW",
        "FETCH",
        "OFFSET",
    ];
    token.is_one_of(&WORDS)
}

/// Words that matter to the search or end a list of tables. Any other word is a name.
fn is_keyword(token: &Token<'_>) -> bool {
    const WORDS: [&str; 54] = [
        "SELECT",
        "DELETE",
        "FROM",
        "JOIN",
        "INTO",
        "TABLE",
        "TABLES",
        "UPDATE",
        "COPY",
        "TRUNCATE",
        "DESCRIBE",
        "DESC",
        "REPLACE",
        "INSERT",
        "WITH",
        "AS",
        "ONLY",
        "LATERAL",
        "IF",
        "NOT",
        "EXISTS",
        "LOW_PRIORITY",
        "IGNORE",
        "WHERE",
        "SET",
        "VALUES",
        "GROUP",
        "ORDER",
        "HAVING",
        "LIMIT",
        "UNION",
        "ON",
        "USING",
        "INNER",
        "LEFT",
        "RIGHT",
        "FULL",
        "CROSS",
        "NATURAL",
        "OUTER",
        "FOR",
        "RETURNING",
        "OUTFILE",
        "DUMPFILE",
        "SHOW",
        "GRANT",
        "REVOKE",
        "PREPARE",
        "DISTINCT",
        "EXCEPT",
        "INTERSECT",
        "WINDOW",
        "FETCH",
        "OFFSET",
    ];
    token.is_one_of(&WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(sql: &str) -> Vec<String> {
        let mut t = Tables::default();
        t.find(sql.as_bytes());
        t.fill(&mut [b""; MAX_TABLES]).iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect()
    }

    #[test]
    fn tables_of_common_statements() {
        for (sql, expected) in [
            ("SELECT 1", ""),
            ("select * from users where id = 1", "users"),
            (
                "SELECT * FROM a, b AS x, c y JOIN d ON a.id = d.id LEFT OUTER JOIN s.e USING (id), f",
                "a b c d s.e f",
            ),
            ("SELECT * FROM \"Odd name\", `x`.`y`", "Odd name,x.y"),
            ("INSERT INTO orders(id, note) VALUES (1, 'FROM nowhere')", "orders"),
            ("INSERT IGNORE INTO a SELECT * FROM b ON DUPLICATE KEY UPDATE n = 1", "a b"),
            ("UPDATE ONLY t SET a = 1 FROM u WHERE t.id = u.id", "t"),
            ("DELETE FROM logs WHERE at < now()", "logs"),
            ("SELECT extract(year FROM born), trim(both from n) FROM people FOR UPDATE", "people"),
            ("SELECT * FROM generate_series(1, 3) g, t", "t"),
            ("SELECT * FROM (SELECT * FROM inside) x JOIN outside ON true", "inside outside"),
            (
                "WITH r AS (SELECT * FROM base), q AS MATERIALIZED (SELECT 1 FROM r) SELECT * FROM r, q, t",
                "base t",
            ),
            ("CREATE TABLE IF NOT EXISTS n (id int)", "n"),
            ("CREATE TABLE items (id serial, price numeric(8,2), made date)", "items"),
            ("DROP TABLE x", "x"),
            ("SELECT * FROM (a, b) JOIN (c) ON a.x IN (1, 2), d ORDER BY 1, e", "a b c d"),
            ("TRUNCATE TABLE x", "x"),
            ("COPY big (a, b) FROM STDIN", "big"),
            ("SELECT a IS DISTINCT FROM b FROM t", "t"),
            ("SELECT 1 INTO OUTFILE '/tmp/x'", ""),
            ("SELECT a INTO @v FROM t", "t"),
            ("BEGIN; SELECT * FROM one; UPDATE two SET a = 1", "one two"),
            ("SHOW TABLES FROM db", ""),
            ("SELECT * FROM t t1, t t2", "t"),
            ("", ""),
            ("SELECT * FROM", ""),
            ("/* trace */ SELECT * FROM -- c\n t", "t"),
        ] {
            let expected: Vec<&str> = expected
                .split(if expected.contains(',') { ',' } else { ' ' })
                .filter(|t| !t.is_empty())
                .collect();
            assert_eq!(tables(sql), expected, "{sql}");
        }
    }

    #[test]
    fn many_tables_and_deep_parentheses_are_bounded() {
        let list: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
        assert_eq!(tables(&format!("SELECT * FROM {}", list.join(","))).len(), MAX_TABLES);
        assert_eq!(tables(&"(SELECT * FROM ".repeat(500)), [""; 0]);
    }

    #[test]
    fn passwords_are_hidden() {
        for (sql, expected) in [
            (
                "ALTER USER ada WITH PASSWORD 'se''cret' VALID UNTIL 'x'",
                "ALTER USER ada WITH PASSWORD '***' VALID UNTIL '***'",
            ),
            (
                "create user 'a'@'%' identified by 'pw', b identified with x as \"h\"",
                "create user 'a'@'%' identified by '***', b identified with x as '***'",
            ),
            (
                "SET PASSWORD FOR 'a'@'%' = PASSWORD('x'); SELECT 'y'",
                "SET PASSWORD FOR '***'@'***' = PASSWORD('***'); SELECT 'y'",
            ),
            (
                "CHANGE MASTER TO MASTER_USER='u', MASTER_PASSWORD='p'",
                "CHANGE MASTER TO MASTER_USER='u', MASTER_PASSWORD='***'",
            ),
            ("ALTER ROLE x PASSWORD 'cut", "ALTER ROLE x PASSWORD '***'"),
        ] {
            let mut text = sql.as_bytes().to_vec();
            assert!(hide_passwords(&mut text));
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
        let mut text = b"SELECT password FROM u WHERE n = 'x'".to_vec();
        assert!(!hide_passwords(&mut text));
        assert_eq!(first_word(b" /* c */ (select 1)"), Some(&b"select"[..]));
        assert_eq!(first_word(b"'x'"), None);
    }
}
