//! Databases, and what asks them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::calls::{Must, Wanted};
use super::cell::{Cell, Client};
use super::clients::wait_and_ask;
use super::lab::{Lab, finished};
use crate::programs::which;

/// Clients that ask one after the other.
const CLIENTS: usize = 3;
/// Bytes of the answers.
const SIZES: [usize; 4] = [1, 50_000, 3_000_000, 1];

fn done(command: &mut Command) -> Result<(), String> {
    let out = command.output().map_err(|e| e.to_string())?;
    if out.status.success() { Ok(()) } else { Err(format!("{command:?}: {out:?}")) }
}

/// One of PostgreSQL's own programs: Debian keeps them out of the search path, in which there may be
/// scripts of the same names.
fn postgresql_program(name: &str) -> Result<PathBuf, String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let places = versions.filter_map(|v| Some(v.ok()?.path().join("bin").join(name)));
    let found = places.into_iter().find(|path| path.is_file()).or_else(|| which(name));
    found.ok_or_else(|| format!("{name} of PostgreSQL is not installed"))
}

pub(super) fn postgresql(lab: &Lab, port: u16, watched: bool) -> Result<Command, String> {
    let (dir, data) = (lab.path().join("postgresql"), lab.path().join("postgresql/data"));
    // It refuses to run as root.
    let as_postgres = |program: PathBuf| {
        let mut command = lab.command("setpriv", true);
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command.arg("-D").arg(&data);
        command
    };
    if !dir.exists() {
        std::fs::create_dir_all(&data).unwrap();
        for name in ["cert.pem", "key.pem"] {
            std::fs::copy(lab.path().join(name), dir.join(name)).unwrap();
        }
        done(Command::new("chown").args(["postgres", "-R"]).arg(&dir))?;
        done(Command::new("chmod").args(["600"]).arg(dir.join("key.pem")))?;
        // The way there is root's.
        done(Command::new("chmod").args(["711"]).arg(lab.path()))?;
        done(as_postgres(postgresql_program("initdb")?).args(["-A", "trust", "-E", "UTF8", "--locale=C"]))?;
        std::fs::write(data.join("pg_hba.conf"), "local all all trust\nhostssl all postgres all trust\n")
            .unwrap();
    }
    let server = lab.command(postgresql_program("postgres")?, watched);
    let mut command = as_postgres(PathBuf::from(server.get_program()));
    command.current_dir(&dir).args(["-p", &port.to_string(), "-h", "127.0.0.1"]);
    for setting in [
        "fsync=off".to_owned(),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", dir.join("cert.pem").display()),
        format!("ssl_key_file={}", dir.join("key.pem").display()),
        format!("unix_socket_directories={}", dir.display()),
    ] {
        command.arg("-c").arg(setting);
    }
    Ok(command)
}

/// Waits until the server takes connections: it listens before it does. Asked at its own socket, which nobody
/// captures.
pub(super) fn postgresql_is_ready(lab: &Lab, port: u16) -> Result<(), String> {
    let mut ask = Command::new(postgresql_program("pg_isready")?);
    ask.arg("-q").arg("-h").arg(lab.path().join("postgresql")).args(["-p", &port.to_string()]);
    let end = std::time::Instant::now() + super::lab::PATIENCE;
    while !ask.status().map_err(|e| format!("{ask:?}: {e}"))?.success() {
        if std::time::Instant::now() > end {
            return Err("PostgreSQL takes no connections".to_owned());
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    Ok(())
}

pub(super) fn mariadb(lab: &Lab, port: u16, watched: bool) -> Result<Command, String> {
    let dir = lab.path().join("mariadb");
    if !dir.exists() {
        let mut install = lab.command("mariadb-install-db", true);
        install.args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal"]);
        done(install.arg(format!("--datadir={}", dir.display())))?;
        let init = "CREATE USER IF NOT EXISTS root@'%';\nGRANT ALL ON *.* TO root@'%';\n";
        std::fs::write(lab.path().join("init.sql"), init).unwrap();
    }
    let mut command = lab.command("mariadbd", watched);
    command.args(["--no-defaults", "--user=root", "--skip-name-resolve", "--bind-address=127.0.0.1"]);
    command.arg(format!("--port={port}")).arg(format!("--datadir={}", dir.display()));
    for (option, name) in [
        ("socket", "mariadb.socket"),
        ("pid-file", "mariadb.pid"),
        ("init-file", "init.sql"),
        ("ssl-cert", "cert.pem"),
        ("ssl-key", "key.pem"),
    ] {
        command.arg(format!("--{option}={}", lab.path().join(name).display()));
    }
    Ok(command)
}

pub(super) fn redis(lab: &Lab, port: u16, watched: bool) -> Command {
    let mut command = lab.command("redis-server", watched);
    command.args(["--save", "", "--bind", "127.0.0.1", "--port", "0", "--tls-port", &port.to_string()]);
    command.args([
        "--tls-cert-file",
        "cert.pem",
        "--tls-key-file",
        "key.pem",
        "--tls-ca-cert-file",
        "cert.pem",
    ]);
    command.args(["--tls-auth-clients", "no"]);
    command
}

/// Asks a database, by what the cell says.
pub(super) async fn ask(lab: &Lab, cell: &Cell, port: u16, watched: bool) -> Result<Vec<Wanted>, String> {
    let (number, mut wanted) = (port.to_string(), Vec::new());
    if let Client::Psycopg(library) = cell.client {
        let mut command = lab.command(lab.python(), watched);
        command.args(["sql.py", library, &number]);
        let said = wait_and_ask(lab, cell, command, watched).await?;
        for line in said.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(port), Some(size), Some(statement)) = (words.next(), words.next(), words.next()) else {
                return Err(format!("the client says {line}"));
            };
            wanted.push(sql("postgresql_query", "response_bytes", port, size, statement));
        }
        return Ok(wanted);
    }
    for n in 0..CLIENTS {
        let said = session(lab, cell, &number, n, watched).await?;
        let port = own_port(&said).ok_or("the client does not tell its port")?;
        wanted.extend(SIZES.iter().enumerate().map(|(i, size)| match cell.client {
            Client::Redis => redis_call(n, i, *size, &port),
            Client::Mariadb => {
                sql("mysql_query", "response_bytes", &port, &size.to_string(), &statement(n, i, *size))
            }
            _ => {
                let statement = format!("{};", statement(n, i, *size));
                sql("postgresql_query", "response_bytes", &port, &size.to_string(), &statement)
            }
        }));
    }
    Ok(wanted)
}

fn statement(n: usize, i: usize, size: usize) -> String {
    format!("SELECT repeat('x', {size}) AS c{n}_{i}")
}

fn sql(query: &'static str, size: &'static str, port: &str, least: &str, statement: &str) -> Wanted {
    let also = vec![(size, Must::AtLeast(least.parse().unwrap()))];
    Wanted { by: (query, statement.to_owned()), port: port.to_owned(), also }
}

fn redis_call(n: usize, i: usize, size: usize, port: &str) -> Wanted {
    let also = vec![("response_bytes", Must::AtLeast(i64::try_from(size).unwrap()))];
    Wanted { by: ("redis_command", format!("GETRANGE key{n}.{i} 0 -1")), port: port.to_owned(), also }
}

/// Runs a client that reads statements; what it has printed.
async fn session(lab: &Lab, cell: &Cell, port: &str, n: usize, watched: bool) -> Result<String, String> {
    let mut lines = Vec::new();
    let mut command = match cell.client {
        Client::Redis => {
            lines.push("CLIENT INFO".to_owned());
            for (i, size) in SIZES.iter().enumerate() {
                lines.push(format!("SETRANGE key{n}.{i} {} x", size - 1));
                lines.push(format!("GETRANGE key{n}.{i} 0 -1"));
            }
            let mut command = lab.command("redis-cli", watched);
            command.args(["--tls", "--insecure", "-h", "127.0.0.1", "-p", port]);
            command
        }
        Client::Mariadb => {
            lines.push(
                "SELECT concat('addr=', host) FROM information_schema.processlist WHERE id = connection_id();"
                    .to_owned(),
            );
            lines.extend(SIZES.iter().enumerate().map(|(i, size)| format!("{};", statement(n, i, *size))));
            let mut command = lab.command("mariadb", watched);
            command.args(["--no-defaults", "-h", "127.0.0.1", "-P", port, "-u", "root", "--ssl", "-N", "-B"]);
            command
        }
        _ => {
            lines.push("SELECT 'addr=127.0.0.1:' || inet_client_port();".to_owned());
            lines.extend(SIZES.iter().enumerate().map(|(i, size)| format!("{};", statement(n, i, *size))));
            let mut command = lab.command(postgresql_program("psql")?, watched);
            let place = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=require");
            command.args(["-X", "-q", "-A", "-t", &place]);
            command
        }
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    finished(child).await
}

/// From `addr=127.0.0.1:PORT`.
fn own_port(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("addr=127.0.0.1:")?;
    Some(rest.chars().take_while(char::is_ascii_digit).collect())
}
