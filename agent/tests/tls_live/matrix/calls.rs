//! What programs say of their calls, against what the agent tells.

use std::collections::BTreeSet;

use super::cell::{Cell, Protocol};
use crate::hub::Row;
use crate::programs::text;

/// A call of which a program has told.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The field by which it is found, and its value.
    pub(super) by: (&'static str, String),
    /// The client's port.
    pub(super) port: String,
    /// Other fields, and what they must be.
    pub(super) also: Vec<(&'static str, Must)>,
}

#[derive(Clone, Debug)]
pub(super) enum Must {
    Be(String),
    AtLeast(i64),
}

impl Must {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Be(wanted) => wanted == value,
            Self::AtLeast(least) => value.parse().is_ok_and(|value: i64| value >= *least),
        }
    }
}

fn protocol(cell: &Cell) -> &'static str {
    match cell.protocol {
        Protocol::Http1 | Protocol::Http2 => "http",
        Protocol::Grpc => "grpc",
        Protocol::Postgresql => "postgresql",
        Protocol::Mysql => "mysql",
        Protocol::Redis => "redis",
    }
}

/// The calls of a cell among `rows`.
pub(super) fn of<'a>(rows: &'a [Row], cell: &Cell, port: u16) -> Vec<&'a Row> {
    let (port, protocol) = (port.to_string(), protocol(cell));
    rows.iter().filter(|r| text(r, "dst.port") == port && text(r, "protocol") == protocol).collect()
}

/// Each call is told once, with its ends and all of its body. The error is short; what it is about is
/// printed.
pub(super) fn check(rows: &[Row], cell: &Cell, port: u16, wanted: &[Wanted]) -> Result<(), String> {
    let found = of(rows, cell, port);
    if found.is_empty() {
        let other: BTreeSet<&str> = rows
            .iter()
            .filter(|r| text(r, "dst.port") == port.to_string())
            .map(|r| text(r, "protocol"))
            .collect();
        eprintln!("{}: {other:?}", cell.name());
        return Err("no call is told".to_owned());
    }
    let mut flows = BTreeSet::new();
    for one in wanted {
        let (field, value) = &one.by;
        let same: Vec<_> = found.iter().filter(|row| text(row, field) == value).collect();
        let row = match same[..] {
            [row] => row,
            [] => {
                eprintln!("{}: no {field} {value} in {found:#?}", cell.name());
                return Err("a call is missing".to_owned());
            }
            _ => {
                eprintln!("{}: {same:#?}", cell.name());
                return Err("a call is told twice".to_owned());
            }
        };
        flows.insert(text(row, "flow_id"));
        let be = |value: &str| Must::Be(value.to_owned());
        let mut musts = vec![
            ("tls", be("true")),
            ("capture_source", be("ebpf_tls")),
            ("src.ip", be("127.0.0.1")),
            ("src.port", be(&one.port)),
            ("dst.ip", be("127.0.0.1")),
            ("incomplete", be("(null)")),
        ];
        match cell.protocol {
            Protocol::Http1 => musts.push(("http_version", be("HTTP/1.1"))),
            Protocol::Http2 => musts.push(("http_version", be("HTTP/2"))),
            _ => {}
        }
        for (field, must) in musts.iter().chain(&one.also) {
            let value = text(row, field);
            if !must.holds(value) {
                eprintln!("{}: {field} is {value}, not {must:?}: {row:#?}", cell.name());
                return Err(format!("wrong: {field}"));
            }
        }
        if matches!(text(row, "corr_method"), "(null)" | "unknown") {
            eprintln!("{}: {row:#?}", cell.name());
            return Err("the connection is not found".to_owned());
        }
    }
    let is_exact = matches!(cell.protocol, Protocol::Http1 | Protocol::Http2 | Protocol::Grpc);
    if is_exact && found.len() != wanted.len() {
        eprintln!("{}: {} calls, not {}: {found:#?}", cell.name(), found.len(), wanted.len());
        return Err("calls are told that were not made".to_owned());
    }
    shaken(rows, cell, port, &flows)
}

/// The handshake of each connection is one entry.
fn shaken(rows: &[Row], cell: &Cell, port: u16, flows: &BTreeSet<&str>) -> Result<(), String> {
    let port = port.to_string();
    let shakes = rows.iter().filter(|r| text(r, "dst.port") == port && text(r, "protocol") == "tlsx");
    let shakes: Vec<&str> = shakes.map(|row| text(row, "flow_id")).collect();
    for flow in flows {
        let n = shakes.iter().filter(|f| *f == flow).count();
        if n != 1 {
            eprintln!("{}: flow {flow} of {flows:?} in {shakes:?}", cell.name());
            return Err(format!("{n} handshakes are told of a connection"));
        }
    }
    Ok(())
}
