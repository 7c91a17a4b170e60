//! What protocols that carry SQL have in common.

use super::spec::*;

/// Protocols that carry SQL.
const WITH_SQL: &[Protocol] = &[Mysql, Postgresql];

fields! { after mongodb;
    SQL_TABLES "sql_tables" List Several(WITH_SQL), Stored, "\"orders\" in sql_tables", "tables that the statement names, as it spells them, without quotation marks; at most 16";
}
