//! The clients of the matrix.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::calls::{Must, Wanted};
use super::cell::{Cell, Client, Role};
use super::databases;
use super::lab::{Lab, PATIENCE, finished};
use super::servers::{certificates, version};
use crate::programs::sha256;

/// Clients that ask at the same time.
const CLIENTS: usize = 4;

/// Asks the server of a cell; what was asked and answered, by the programs' own account.
pub(super) async fn ask(lab: &Lab, cell: &Cell, port: u16, log: &Path) -> Result<Vec<Wanted>, String> {
    let number = port.to_string();
    let watched = cell.role != Role::Server;
    let command = match cell.client {
        Client::Curl => return curl(lab, cell, port, watched).await,
        Client::Psql | Client::Psycopg(_) | Client::Mariadb | Client::Redis => {
            return databases::ask(lab, cell, port, watched).await;
        }
        Client::GnutlsCli | Client::Tstclnt => {
            raw(lab, cell, port, watched).await?;
            return logged(log);
        }
        Client::Wget => {
            let mut command = lab.command("wget", watched);
            command.args(["-q", "--no-check-certificate", "-O", "/dev/null"]);
            command.args(paths(0, true).iter().map(|path| format!("https://127.0.0.1:{port}{path}")));
            finished(piped(command)?).await?;
            let mut post = lab.command("wget", watched);
            post.args(["-q", "--no-check-certificate", "-O", "/dev/null", "--post-file", "big"]);
            post.args(["--header", "Content-Type: text/plain", &format!("https://127.0.0.1:{port}/post?w")]);
            finished(piped(post)?).await?;
            return logged(log);
        }
        Client::Node => words(lab.command("node", watched), &["client.js", &number, version(cell)]),
        Client::Python(library) => {
            words(lab.command(lab.python(), watched), &["client.py", library, &number, version(cell)])
        }
        Client::Go(form) => words(lab.command(lab.go(form), watched), &["ask", &number, version(cell)]),
        Client::Grpc => words(lab.command(lab.python(), watched), &["rpc.py", "ask", &number]),
    };
    wait_and_ask(lab, cell, command, watched).await?;
    logged(log)
}

fn words(mut command: Command, words: &[&str]) -> Command {
    command.args(words);
    command
}

fn piped(mut command: Command) -> Result<Child, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|e| format!("{command:?}: {e}"))
}

/// Runs a client that begins when it is told to.
pub(super) async fn wait_and_ask(
    lab: &Lab,
    cell: &Cell,
    command: Command,
    watched: bool,
) -> Result<String, String> {
    let mut child = piped(command)?;
    let mut input = child.stdin.take().unwrap();
    if let Some(library) = cell.client.library().filter(|_| watched) {
        let is_read = lab.process_is_read(child.id(), library).await;
        if is_read.is_err() {
            _ = child.kill();
            _ = child.wait();
            is_read?;
        }
    }
    writeln!(input, "go").unwrap();
    let said = finished(child).await;
    drop(input);
    said
}

/// What a client gets on one connection.
fn paths(n: usize, large: bool) -> Vec<String> {
    let path = |i| if i == 2 && large { format!("/big?{n}.{i}") } else { format!("/page?{n}.{i}") };
    (0..5).map(path).collect()
}

/// Several of curl at once; where the server takes bodies, each sends some as well.
async fn curl(lab: &Lab, cell: &Cell, port: u16, watched: bool) -> Result<Vec<Wanted>, String> {
    let mut asked = Vec::new();
    for n in 0..CLIENTS {
        let mut turns = vec![(paths(n, cell.server.serves_files()), None)];
        if cell.server.takes_bodies() {
            turns.push((vec![format!("/post?{n}.0"), format!("/post?{n}.1")], Some("page")));
            turns.push((vec![format!("/post?{n}.2"), format!("/post?{n}.3")], Some("big")));
        }
        for (turn, (paths, body)) in turns.into_iter().enumerate() {
            let mut command = lab.command("curl", watched);
            command.args(["-skS", "--max-time", "60", "-w", "%{local_port} %{http_version}\\n"]);
            command.arg(if version(cell) == "h2" { "--http2" } else { "--http1.1" });
            if let Some(body) = body {
                command.args(["--data-binary", &format!("@{body}"), "-H", "Content-Type: text/plain"]);
            }
            let file = |i| lab.path().join(format!("got.{port}.{n}.{turn}.{i}"));
            for (i, path) in paths.iter().enumerate() {
                command.arg("-o").arg(file(i)).arg(format!("https://127.0.0.1:{port}{path}"));
            }
            let files: Vec<_> = (0..paths.len()).map(file).collect();
            asked.push((piped(command)?, paths, files, body));
        }
    }
    let mut wanted = Vec::new();
    for (child, paths, files, body) in asked {
        let said = finished(child).await?;
        for ((line, path), file) in said.lines().zip(paths).zip(files) {
            let (port, version) = line.split_once(' ').unwrap_or_default();
            if (version == "2") != (self::version(cell) == "h2") {
                return Err(format!("the server speaks HTTP/{version}"));
            }
            let mut also = vec![("response_body_sha256", Must::Be(sha256(&file)))];
            if let Some(body) = body {
                also.push(("request_body_sha256", Must::Be(sha256(&lab.path().join(body)))));
            }
            wanted.push(Wanted { by: ("url", path), port: port.to_owned(), also });
        }
    }
    Ok(wanted)
}

/// Programs that carry what they are given: requests in a row, on one connection each.
async fn raw(lab: &Lab, cell: &Cell, port: u16, watched: bool) -> Result<(), String> {
    // gnutls-cli takes seconds for a large answer.
    for n in 0..2 {
        let command = if cell.client == Client::GnutlsCli {
            let port = port.to_string();
            words(lab.command("gnutls-cli", watched), &["--insecure", "-p", &port, "127.0.0.1"])
        } else {
            let (store, port) = (certificates(lab)?, port.to_string());
            let line = ["-h", "127.0.0.1", "-p", &port, "-d", &store, "-o", "-V", "tls1.2:"];
            words(lab.command("tstclnt", watched), &line)
        };
        let mut child = piped(command)?;
        let mut input = child.stdin.take().unwrap();
        let paths = paths(n, true);
        for (i, path) in paths.iter().enumerate() {
            let last = if i + 1 == paths.len() { "Connection: close\r\n" } else { "" };
            write!(input, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n").unwrap();
        }
        input.flush().unwrap();
        if cell.client == Client::Tstclnt {
            // It does not end when the server does.
            let sizes = paths.iter().map(|path| {
                std::fs::metadata(lab.path().join(path[1..].split('?').next().unwrap())).unwrap().len()
            });
            received(child, sizes.sum(), b"line 1999 of a page\n").await?;
        } else {
            finished(child).await?;
        }
        // Its end would be the client's.
        drop(input);
    }
    Ok(())
}

/// Waits until a client has printed more than `least` bytes and then `end`, and ends it.
async fn received(mut child: Child, least: u64, end: &'static [u8]) -> Result<(), String> {
    let mut output = child.stdout.take().unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let (mut got, mut room) = (Vec::new(), vec![0; 1 << 16]);
        while (got.len() as u64) < least || !got.ends_with(end) {
            match output.read(&mut room) {
                Ok(n) if n > 0 => got.extend_from_slice(&room[..n]),
                _ => return Err(format!("the client ends after {} bytes", got.len())),
            }
        }
        Ok(())
    });
    let read = tokio::time::timeout(PATIENCE, read).await;
    _ = child.kill();
    _ = child.wait();
    read.map_err(|_| "the client takes too long".to_owned())?.unwrap()
}

/// What a server of this test's own has written down.
fn logged(log: &Path) -> Result<Vec<Wanted>, String> {
    let lines = std::fs::read_to_string(log).map_err(|_| "the server was asked nothing".to_owned())?;
    let wanted = lines.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| line[name].as_str().unwrap().to_owned();
        let hash = |column, name: &str| (column, Must::Be(field(name)));
        let mut also = Vec::new();
        if line["sent"] != "" {
            also.push(hash("response_body_sha256", "sent"));
        }
        if line["received"] != "" {
            also.push(hash("request_body_sha256", "received"));
        }
        Wanted { by: ("url", field("url")), port: field("port"), also }
    });
    Ok(wanted.collect())
}
