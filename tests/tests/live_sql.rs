//! psql and pgbench against PostgreSQL, the mariadb client against MariaDB: every statement.
#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::netns::{self, Pair};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::{Server, postgresql_programs};
use remora_tests::e2e::{output, skipped, text};
use serde_json::{Value, json};

/// What is run in one session, one statement per line: the statement, PostgreSQL's command tag,
/// the rows of each, the code of the error and the tables.
struct Step {
    sql: &'static str,
    tag: &'static str,
    rows: Option<i64>,
    sqlstate: &'static str,
    errno: i64,
    body: &'static str,
    tables: &'static [&'static str],
}

const fn step(sql: &'static str, tag: &'static str, rows: Option<i64>) -> Step {
    Step { sql, tag, rows, sqlstate: "", errno: 0, body: "", tables: &["items"] }
}

const STEPS: &[Step] = &[
    step("CREATE TABLE items (id INT PRIMARY KEY, name VARCHAR(40))", "CREATE TABLE", None),
    step("INSERT INTO items VALUES (1, 'anvil'), (2, 'rope')", "INSERT", Some(2)),
    Step {
        body: "id\tname\n1\tanvil\n2\trope\n",
        ..step("SELECT * FROM items ORDER BY id", "SELECT", Some(2))
    },
    Step { body: "name\n", ..step("SELECT name FROM items WHERE id = 9", "SELECT", Some(0)) },
    step("UPDATE items SET name = 'tongs' WHERE id = 2", "UPDATE", Some(1)),
    Step { sqlstate: "23", errno: 1062, ..step("INSERT INTO items VALUES (1, 'again')", "INSERT", None) },
    Step {
        sqlstate: "42",
        errno: 1146,
        tables: &["nowhere"],
        ..step("SELECT * FROM nowhere", "SELECT", None)
    },
    step("DELETE FROM items WHERE id > 0", "DELETE", Some(2)),
    step("DROP TABLE items", "DROP TABLE", None),
];

fn run(mut client: Command) -> Result<()> {
    let mut session = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut input = session.stdin.take().context("no input")?;
    for step in STEPS {
        writeln!(input, "{};", step.sql)?;
    }
    drop(input);
    // Some of the statements fail, which the status of some clients says.
    session.wait().map(drop).with_context(|| format!("{client:?}"))
}

fn places(pair: &Pair) -> [(Option<&str>, Option<&str>, &'static str); 3] {
    let (client, server) = (Some(pair.client.as_str()), Some(pair.server.as_str()));
    [(None, None, "127.0.0.1"), (client, server, Pair::SERVER_V4), (client, server, Pair::SERVER_V6)]
}

/// What both protocols have to say of a step.
fn agrees(row: &Value, step: &Step, prefix: &str) -> Result<()> {
    let field = |name: &str| &row[format!("{prefix}_{name}")];
    ensure!(
        field("query").as_str().is_some_and(|q| q.trim_end_matches(';') == step.sql),
        "{}: {row}",
        step.sql
    );
    ensure!(row["failed"] == !step.sqlstate.is_empty(), "{}: {row}", step.sql);
    ensure!(*field("success") == step.sqlstate.is_empty(), "{}: {row}", step.sql);
    ensure!(field("error_message").is_null() == step.sqlstate.is_empty(), "{}: {row}", step.sql);
    ensure!(row["sql_tables"] == json!(step.tables), "{}: {row}", step.sql);
    ensure!(text(row, "response.body") == step.body, "{}: {row}", step.sql);
    ensure!(*field("database") == "shop", "{}: {row}", step.sql);
    ensure!(row["incomplete"].is_null(), "{}: {row}", step.sql);
    ensure!(row["elapsed_time"].as_i64().is_some_and(|us| us >= 0), "{}: {row}", step.sql);
    Ok(())
}

#[test]
fn every_postgresql_statement_is_seen() -> Result<()> {
    if skipped("every_postgresql_statement_is_seen", &["psql", "pgbench", "runuser", "ip"]) {
        return Ok(());
    }
    if postgresql_programs().is_none() {
        println!("SKIPPED: every_postgresql_statement_is_seen: initdb is not installed");
        return Ok(());
    }
    let pair = Pair::new()?;
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    for (client, server, address) in places(&pair) {
        let _server = Server::postgresql(server, &[address], port)?;
        postgresql_agrees(&remora, client, address, port).with_context(|| address.to_owned())?;
    }
    remora.stop()
}

fn postgresql_agrees(remora: &Remora, client: Option<&str>, address: &str, port: u16) -> Result<()> {
    let url = |user: &str| {
        format!("host={address} port={port} dbname=shop user={user} sslmode=disable gssencmode=disable")
    };
    let mut psql = netns::command(client, "psql");
    psql.args(["-X", "-q", &url("postgres")]);
    run(psql)?;
    let here = format!("postgresql && dst.ip == \"{address}\" && dst.port == {port}");
    let fields = "postgresql_command,postgresql_query,postgresql_rows,postgresql_success,postgresql_error_code,\
        postgresql_error_message,postgresql_database,postgresql_user,postgresql_application,postgresql_auth_method,\
        postgresql_parameters,postgresql_request_size,sql_tables,response.body,src.process,dst.process,elapsed_time,\
        failed,incomplete";
    let rows = remora.wait_for_calls(&here, fields, STEPS.len() + 1)?;
    ensure!(rows.len() == STEPS.len() + 1, "{} rows: {rows:?}", rows.len());
    ensure!(rows[0]["postgresql_command"] == "STARTUP", "{}", rows[0]);
    ensure!(rows[0]["postgresql_auth_method"] == "trust", "{}", rows[0]);
    for (row, step) in rows[1..].iter().zip(STEPS) {
        agrees(row, step, "postgresql")?;
        ensure!(row["postgresql_command"] == step.tag, "{}: {row}", step.sql);
        ensure!(row["postgresql_rows"].as_i64() == step.rows, "{}: {row}", step.sql);
        ensure!(text(row, "postgresql_error_code").starts_with(step.sqlstate), "{}: {row}", step.sql);
        ensure!(row["postgresql_application"] == "psql", "{}: {row}", step.sql);
        ensure!(row["src.process"] == "psql", "{}: {row}", step.sql);
    }

    // A login that is refused.
    let mut wrong = netns::command(client, "psql");
    let refused = wrong.args(["-X", &url("nobody"), "-c", "SELECT 1"]).output()?;
    ensure!(!refused.status.success(), "nobody may log in");
    let failed = remora.wait_for_calls(&format!("{here} && postgresql_user == \"nobody\""), fields, 1)?;
    ensure!(failed.len() == 1 && failed[0]["postgresql_error_code"] == "28000", "{failed:?}");

    // The extended protocol: statements are prepared once, then bound and executed; then the same
    // in pipelines of five.
    let dir = tempfile::tempdir()?;
    let single = dir.path().join("single.sql");
    std::fs::write(&single, "\\set n random(1, 1000)\nSELECT :n::int + 41;\n")?;
    let piped = dir.path().join("piped.sql");
    let body = "SELECT :n::int + 43;\n".repeat(5);
    std::fs::write(&piped, format!("\\set n random(1, 1000)\n\\startpipeline\n{body}\\endpipeline\n"))?;
    for (script, mark, transactions, statements) in [(&single, "41", "50", 50), (&piped, "43", "20", 100)] {
        let mut bench = netns::command(client, "pgbench");
        bench.args([
            "-n",
            "-M",
            "prepared",
            "-c",
            "1",
            "-t",
            transactions,
            "-h",
            address,
            "-p",
            &port.to_string(),
        ]);
        output(bench.args(["-U", "postgres", "-f"]).arg(script).arg("shop"))?;
        let kfl =
            format!("{here} && postgresql_command == \"SELECT\" && postgresql_query.contains(\"+ {mark}\")");
        let rows = remora.wait_for_calls(&kfl, fields, statements)?;
        ensure!(rows.len() == statements, "{} of {statements}", rows.len());
        for row in rows {
            let bound = row["postgresql_parameters"][0].as_str().and_then(|n| n.parse::<i64>().ok());
            let sum = bound.context("no parameter")? + mark.parse::<i64>()?;
            ensure!(text(&row, "response.body").lines().last() == Some(sum.to_string().as_str()), "{row}");
            ensure!(
                row["postgresql_rows"] == 1 && row["incomplete"].is_null() && row["failed"] == false,
                "{row}"
            );
        }
    }
    Ok(())
}

#[test]
fn every_mariadb_statement_is_seen() -> Result<()> {
    let programs = ["mariadb", "mariadbd", "mariadb-install-db", "ip"];
    if skipped("every_mariadb_statement_is_seen", &programs) {
        return Ok(());
    }
    let pair = Pair::new()?;
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    for (client, server, address) in places(&pair) {
        let _server = Server::mariadb(server, address, port)?;
        mariadb_agrees(&remora, client, address, port).with_context(|| address.to_owned())?;
    }
    remora.stop()
}

fn mariadb_agrees(remora: &Remora, client: Option<&str>, address: &str, port: u16) -> Result<()> {
    let cli = |compressed: bool| {
        let mut command = netns::command(client, "mariadb");
        command.args(["--no-defaults", "--force", "--skip-ssl", "-u", "root", "-h", address]);
        command.args(["-P", &port.to_string()]).args(compressed.then_some("--compress")).arg("shop");
        command
    };
    let here = format!("mysql && dst.ip == \"{address}\" && dst.port == {port}");
    let fields = "mysql_command,mysql_query,mysql_rows,mysql_success,mysql_error_code,mysql_sqlstate,\
        mysql_error_message,mysql_database,mysql_user,mysql_server_version,mysql_request_size,sql_tables,response.body,\
        src.process,dst.process,elapsed_time,failed,incomplete";
    for (round, compressed) in [false, true].into_iter().enumerate() {
        run(cli(compressed))?;
        let commands = (STEPS.len() + 2) * (round + 1);
        let rows = remora.wait_for_calls(&here, fields, commands)?;
        ensure!(rows.len() == commands, "{} rows: {rows:?}", rows.len());
        let rows = &rows[(STEPS.len() + 2) * round..];
        ensure!(rows[0]["mysql_command"] == "HANDSHAKE" && rows[0]["mysql_user"] == "root", "{}", rows[0]);
        ensure!(text(&rows[0], "mysql_server_version").contains("MariaDB"), "{}", rows[0]);
        ensure!(rows[STEPS.len() + 1]["mysql_command"] == "COM_QUIT", "{}", rows[STEPS.len() + 1]);
        for (row, step) in rows[1..].iter().zip(STEPS) {
            agrees(row, step, "mysql")?;
            ensure!(row["mysql_command"] == "COM_QUERY", "{}: {row}", step.sql);
            let affected = step.rows.unwrap_or(0);
            ensure!(step.errno != 0 || row["mysql_rows"] == affected, "{}: {row}", step.sql);
            ensure!(step.errno == 0 || row["mysql_error_code"] == step.errno, "{}: {row}", step.sql);
            ensure!(text(row, "mysql_sqlstate").starts_with(step.sqlstate), "{}: {row}", step.sql);
            ensure!(
                row["src.process"] == "mariadb" && row["dst.process"] == "mariadbd",
                "{}: {row}",
                step.sql
            );
        }
    }
    Ok(())
}
