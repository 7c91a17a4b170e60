//! What tshark finds in the recorded conversations of PostgreSQL and MySQL, as
//! `corpus/oracle_sql.sh` wrote it down, is in the calls.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// The expected calls of a capture (checked by `tests/calls.rs`), by the client's port.
fn calls(name: &str) -> BTreeMap<i64, Vec<serde_json::Value>> {
    let text = std::fs::read_to_string(corpus(name).with_extension("ndjson")).unwrap();
    let mut all: BTreeMap<i64, Vec<serde_json::Value>> = BTreeMap::new();
    for line in text.lines() {
        let call: serde_json::Value = serde_json::from_str(line).unwrap();
        // Of a connection that goes on encrypted there is the handshake as well.
        if let Some(port) = call["src.port"].as_i64().filter(|_| call["protocol"] != "tlsx") {
            all.entry(port).or_default().push(call);
        }
    }
    all
}

/// tshark's lines by the client's port: true for those of the client, and the columns behind the
/// ports.
fn oracle(name: &str, server: &str) -> BTreeMap<i64, Vec<(bool, Vec<String>)>> {
    let text = std::fs::read_to_string(corpus(name).with_extension("tshark")).unwrap();
    let mut all: BTreeMap<i64, Vec<(bool, Vec<String>)>> = BTreeMap::new();
    for line in text.lines() {
        let mut columns = line.split('\t').map(str::to_owned);
        let (from, to) = (columns.next().unwrap(), columns.next().unwrap());
        let asks = to == server;
        let port = if asks { from } else { to }.parse().unwrap();
        all.entry(port).or_default().push((asks, columns.collect()));
    }
    all
}

fn items(lines: &[(bool, Vec<String>)], asks: bool, column: usize) -> Vec<&str> {
    let of_side = lines.iter().filter(|l| l.0 == asks);
    of_side
        .flat_map(|l| l.1.get(column).map_or("", String::as_str).split('|'))
        .filter(|t| !t.is_empty())
        .collect()
}

/// tshark's text output writes control characters as escapes, and backslashes sometimes.
/// Statements that hold a password differ: there it is replaced.
fn same(ours: &str, theirs: &str) -> bool {
    let plain = |text: &str| text.replace("\\t", "\t").replace("\\n", "\n").replace('\\', "");
    let (ours, theirs) = (plain(ours), plain(theirs));
    ours == theirs || ours.contains("'***'") && ours.split("'***'").all(|part| theirs.contains(part))
}

/// Every error code, and every command tag, is that of a call, in order; and so is every
/// statement that tshark names.
#[test]
fn postgresql_agrees_with_tshark() {
    let (mut statements, mut codes, mut tags) = (0, 0, 0);
    for name in ["simple", "extended", "binary", "logins", "refused"] {
        let name = format!("postgresql/{name}");
        let ours = calls(&name);
        for (port, lines) in oracle(&name, "5499") {
            let calls = &ours[&port];
            let text = |c: &serde_json::Value, key: &str| c[key].as_str().unwrap_or_default().to_owned();
            // tshark gives several statements of one frame, and the names of prepared ones.
            let queries: Vec<String> = calls.iter().map(|c| text(c, "postgresql_query")).collect();
            for query in items(&lines, true, 1) {
                assert!(queries.iter().any(|q| same(q, query)), "{name}: {query:?}: {queries:#?}");
                statements += 1;
            }
            let found: Vec<String> =
                calls.iter().map(|c| text(c, "postgresql_error_code")).filter(|c| !c.is_empty()).collect();
            // Notices have codes too.
            let expected: Vec<&str> =
                items(&lines, false, 2).into_iter().filter(|c| !c.starts_with("00")).collect();
            assert_eq!(found, expected, "{name}");
            codes += found.len();
            for tag in items(&lines, false, 3) {
                let word = tag.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
                let known = |c: &serde_json::Value| text(c, "postgresql_command") == word;
                // Of several statements in one message the first gives the command.
                assert!(calls.iter().any(known) || name.ends_with("simple"), "{name}: {tag}");
                tags += 1;
            }
        }
    }
    assert!(statements > 50 && codes > 8 && tags > 50, "{statements} {codes} {tags}");
}

/// Every command, with its statement and the code of its error, is a call, in order.
#[test]
fn mysql_agrees_with_tshark() {
    let (mut commands, mut codes) = (0, 0);
    for name in ["client", "compressed", "multi", "prepared", "logins"] {
        let name = format!("mysql/{name}");
        let ours = calls(&name);
        for (port, lines) in oracle(&name, "3399") {
            let calls: Vec<&serde_json::Value> = ours[&port]
                .iter()
                .filter(|c| !matches!(c["mysql_command"].as_str(), Some("HANDSHAKE" | "SSLREQUEST")))
                .collect();
            // COM_ numbers of the commands that were used.
            let number = |c: &serde_json::Value| match c["mysql_command"].as_str().unwrap() {
                "COM_QUIT" => "1",
                "COM_INIT_DB" => "2",
                "COM_QUERY" => "3",
                "COM_STATISTICS" => "9",
                "COM_PING" => "14",
                "COM_CHANGE_USER" => "17",
                "COM_STMT_PREPARE" => "22",
                "COM_STMT_EXECUTE" => "23",
                "COM_STMT_CLOSE" => "25",
                "COM_STMT_RESET" => "26",
                "COM_RESET_CONNECTION" => "31",
                other => panic!("{other}"),
            };
            let found: Vec<&str> = calls.iter().map(|c| number(c)).collect();
            // 102 is tshark's own number for the file of LOAD DATA.
            let expected = items(&lines, true, 0).into_iter().filter(|c| *c != "102");
            assert_eq!(found, expected.collect::<Vec<_>>(), "{name}");
            commands += found.len();
            let queries: Vec<&str> = calls
                .iter()
                .filter(|c| matches!(number(c), "3" | "22"))
                .map(|c| c["mysql_query"].as_str().unwrap())
                .collect();
            let expected = items(&lines, true, 1);
            assert_eq!(queries.len(), expected.len(), "{name}");
            for (ours, theirs) in queries.iter().zip(&expected) {
                assert!(same(ours, theirs), "{name}: {ours:?} {theirs:?}");
            }
            let found: Vec<String> = ours[&port]
                .iter()
                .filter_map(|c| c["mysql_error_code"].as_i64().map(|c| c.to_string()))
                .collect();
            // 65535 is no error: MariaDB reports progress so.
            let expected = items(&lines, false, 2).into_iter().filter(|c| *c != "65535");
            assert_eq!(found, expected.collect::<Vec<_>>(), "{name}");
            codes += found.len();
        }
    }
    assert!(commands > 60 && codes > 5, "{commands} {codes}");
}
