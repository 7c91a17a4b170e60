//! Each TLS library with real programs, at either end of a connection and at both, by each protocol.
//!
//! One agent reads all of it, since attaching and detaching take seconds. The outcome of every cell is
//! the table in `docs/tls.md`: the test fails when a cell that passes there does not, and when one is not
//! in it. `UPDATE_EXPECT=1` writes the table anew; cells whose programs are not installed keep what it
//! says. `REMORA_TLS_CELLS=words;words` runs the cells whose names
//! contain one of them alone.

mod calls;
mod cell;
mod cells;
mod clients;
mod databases;
mod lab;
mod servers;
mod table;

use std::io::Write as _;
use std::time::Duration;

use self::cell::{Cell, Outcome, Role};
use self::lab::Lab;
use self::table::Table;
use crate::hub::{Hub, Row, start};
use crate::programs::text;

/// On a machine that is busy with something else a cell may fail that passes otherwise: it may try again.
const ATTEMPTS: usize = 3;

/// Says what is not run, for the harness to count it: unlike what a test prints, it must not be taken for
/// a word about the whole test.
fn skipped(cell: &Cell, reason: &str) {
    _ = writeln!(std::io::stderr(), "SKIPPED: {}: {reason}", cell.name());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_library_at_every_end() {
    let test = "every_library_at_every_end";
    if crate::programs::lacks(test, &["curl", "node", "python3", "openssl", "sha256sum"]) {
        return;
    }
    let only = std::env::var("REMORA_TLS_CELLS").unwrap_or_default();
    let chosen = |cell: &Cell| only.split(';').any(|word| cell.name().contains(word));
    let cells: Vec<Cell> = cells::all().into_iter().filter(chosen).collect();
    let ports = lab::ports(cells.len() * ATTEMPTS);
    let hub = Hub::default();
    let agent = start(test, &ports, hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        // On a busy machine the reader comes late.
        config.tls.ring_bytes = 64 << 20;
        config.tls.queue_bytes = 256 << 20;
        config.tls.call_budget = Some(8 << 20);
        config.tls.only_processes = cells::WATCHED.iter().map(|name| (*name).to_owned()).collect();
    });
    let Some(agent) = agent else { return };
    // What else runs here and maps TLS is looked at first, one file after the other: with cold caches a compiler
    // alone takes longer than a client lives.
    let end = std::time::Instant::now() + 4 * lab::PATIENCE;
    while std::time::Instant::now() < end {
        let tls = &agent.status()["tls"];
        if tls["files"].as_u64().unwrap_or(0) > 0 && tls["files_waiting"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut lab = Lab::new(hub, agent);
    let (mut table, update) = (Table::read(), std::env::var_os("UPDATE_EXPECT").is_some());
    table.keep_only(&cells::all());
    let mut done = Vec::new();
    for (cell, ports) in cells.iter().zip(ports.chunks(ATTEMPTS)) {
        if let Some(reason) = lab.lacks(cell) {
            skipped(cell, &reason);
            continue;
        }
        let mut last = None;
        for port in ports {
            let started = std::time::Instant::now();
            let wanted = lab.run(cell, *port).await;
            let so_far = wanted.as_ref().map_err(Clone::clone).and_then(|w| lab.check(cell, *port, w));
            eprintln!("{}: {:.1} s, {so_far:?}", cell.name(), started.elapsed().as_secs_f32());
            let enough = so_far.is_ok() || !table.is_to_pass(cell);
            last = Some((cell, *port, wanted));
            if update {
                // A run that is cut off leaves what it has found.
                _ = table.put(cell, outcome(so_far));
                table.write();
            }
            if enough {
                break;
            }
        }
        done.extend(last);
    }
    let (hub, agent) = lab.into_parts();
    let mut status = agent.status();
    status["tls"]["processes"] = serde_json::Value::Null;
    eprintln!("{status:#}");
    assert!(agent.shutdown(Duration::from_secs(60)).await.delivered);
    let rows = hub.rows(remora_model::Table::Calls);
    let mut wrong = Vec::new();
    for (cell, port, wanted) in done {
        let found = wanted.and_then(|wanted| calls::check(&rows, cell, port, &wanted));
        if found.is_err() {
            shown(&rows, &hub.rows(remora_model::Table::Flows), port);
        }
        let outcome = outcome(found);
        eprintln!("{}: {outcome}", cell.name());
        wrong.extend(table.put(cell, outcome));
    }
    table.keep_only(&cells::all());
    if update {
        table.write();
    } else {
        assert!(wrong.is_empty(), "against docs/tls.md (UPDATE_EXPECT=1 writes it):\n{}", wrong.join("\n"));
    }
}

fn outcome(found: Result<(), String>) -> Outcome {
    found.map_or_else(Outcome::Not, |()| Outcome::Pass)
}

/// Prints what was told of a server's port, in short.
fn shown(calls: &[Row], flows: &[Row], port: u16) {
    const CALL: [&str; 9] = [
        "protocol",
        "url",
        "src.port",
        "flow_id",
        "incomplete",
        "request_pos",
        "response_pos",
        "ts",
        "corr_method",
    ];
    const FLOW: [&str; 8] =
        ["flow_id", "conn_state", "src.port", "first_seen", "ts", "src.bytes", "dst.bytes", "missing_bytes"];
    for (rows, names) in [(calls, &CALL[..]), (flows, &FLOW[..])] {
        for row in rows.iter().filter(|row| text(row, "dst.port") == port.to_string()) {
            eprintln!("{:?}", names.iter().map(|name| text(row, name)).collect::<Vec<_>>());
        }
    }
}

impl Lab {
    fn check(&self, cell: &Cell, port: u16, wanted: &[calls::Wanted]) -> Result<(), String> {
        calls::check(&self.rows(), cell, port, wanted)
    }

    /// What a cell's programs have said to each other, by their own account.
    async fn run(&mut self, cell: &Cell, port: u16) -> Result<Vec<calls::Wanted>, String> {
        let log = self.path().join(format!("log.{port}"));
        let watched = cell.role != Role::Client;
        let mut server = servers::start(self, cell, port, &log, watched)?;
        self.listens(&mut server, port).await?;
        if watched {
            self.is_read(&server, cell.server.library()).await?;
        }
        let wanted = clients::ask(self, cell, port, &log).await?;
        self.arrive(cell, port, &wanted).await;
        Ok(wanted)
    }
}
