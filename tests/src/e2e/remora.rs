//! `remora up` as a process, and the questions to it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::wait_for;

/// The product's binary, which `cargo xtask test` names in `REMORA_BIN`.
///
/// # Errors
/// When it is not named or not there.
pub fn binary() -> Result<PathBuf> {
    let path = std::env::var_os("REMORA_BIN").context("REMORA_BIN does not name the product's binary")?;
    let path = PathBuf::from(path);
    ensure!(path.is_file(), "{} is not there", path.display());
    Ok(path)
}

/// A port on which nobody listens.
///
/// # Errors
/// When the kernel has none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A running `remora up` with a data directory of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Remora {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Remora {
    /// Starts it with these further arguments and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or does not become ready; the message has its log.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_under(&[], arguments)
    }

    /// The same, started by a program that takes something from it and becomes it.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_under(wrapper: &[&str], arguments: &[&str]) -> Result<Self> {
        let dir = TempDir::with_prefix("remora-e2e-")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let log = File::create(dir.path().join("log"))?;
        let binary = binary()?;
        let words = wrapper.iter().map(AsRef::as_ref).chain([binary.as_os_str()]);
        let words: Vec<&std::ffi::OsStr> = words.collect();
        let (program, before) = words.split_first().context("a command has a word")?;
        let mut command = Command::new(program);
        command
            .args(before)
            .args(["up", "--listen", &address.to_string(), "--data-dir"])
            .arg(dir.path().join("data"))
            .args(arguments)
            .env_remove("REMORA_CONFIG")
            .env_remove("REMORA_URL")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().context("remora cannot be started")?;
        let mut remora = Self { child, address, dir };
        wait_for("remora is ready", || {
            if let Some(status) = remora.child.try_wait()? {
                return Ok(Ok(Some(status)));
            }
            let (status, body) = remora.request("/ready")?;
            Ok(if status == 200 { Ok(None) } else { Err(format!("{status}: {body}")) })
        })
        .and_then(|ended| match ended {
            None => Ok(()),
            Some(status) => bail!("it ended with {status}"),
        })
        .with_context(|| remora.log())?;
        Ok(remora)
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// A directory that lives as long as it does.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Most memory that it has had resident, in KiB (`VmHWM` in proc_pid_status(5)).
    ///
    /// # Errors
    /// When it does not run.
    pub fn peak_memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Status and body of a GET.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn request(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(super::PATIENCE))?;
        // HTTP/1.0: the answer is neither chunked nor kept alive.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let answer = String::from_utf8(bytes)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer's head has no end")?;
        let status = head.split(' ').nth(1).context("the answer has no status")?.parse()?;
        Ok((status, body.to_owned()))
    }

    /// An answer of `/api/v1/` to these parameters.
    ///
    /// # Errors
    /// When it is not 200 with JSON.
    pub fn get(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let query: Vec<String> = parameters.iter().map(|(k, v)| format!("{k}={}", escape(v))).collect();
        let path = format!("/api/v1/{what}?{}", query.join("&"));
        let (status, body) = self.request(&path)?;
        ensure!(status == 200, "{path}: {status}: {body}");
        serde_json::from_str(&body).with_context(|| path)
    }

    /// Every call that matches, the oldest first, page by page.
    ///
    /// # Errors
    /// When the hub does not answer as it should.
    pub fn calls(&self, kfl: &str, fields: &str) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut parameters = vec![
                ("kfl", kfl),
                ("fields", fields),
                ("since", "all"),
                ("limit", "1000"),
                ("order", "oldest"),
            ];
            if !cursor.is_empty() {
                parameters.push(("cursor", &cursor));
            }
            let mut page = self.get("calls", &parameters)?;
            rows.append(page["rows"].as_array_mut().context("an answer without rows")?);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return Ok(rows),
            }
        }
    }

    /// The same, as soon as there are at least `count`.
    ///
    /// # Errors
    /// When there are not within [`super::PATIENCE`]; the message has the losses.
    pub fn wait_for_calls(&self, kfl: &str, fields: &str, count: usize) -> Result<Vec<Value>> {
        let all = wait_for(&format!("{count} calls match {kfl}"), || {
            let stats = self.get("stats", &[("kfl", kfl), ("since", "all")])?;
            let seen = stats["rows"][0]["count"].as_u64().unwrap_or(0);
            Ok(if seen >= count as u64 { Ok(()) } else { Err(format!("{seen} of {count}")) })
        });
        if let Err(error) = all {
            let status = self.get("status", &[("since", "all")])?;
            bail!("{error:#}; coverage: {}", status["coverage"]);
        }
        self.calls(kfl, fields)
    }

    /// Runs another `remora` that asks this one.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn cli(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments)?.output().context("remora cannot be started")
    }

    /// The command for that.
    ///
    /// # Errors
    /// When there is no binary.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command
            .args(arguments)
            .env_remove("REMORA_CONFIG")
            .env("REMORA_URL", self.url())
            .stdin(Stdio::null())
            .process_group(0);
        Ok(command)
    }

    /// Ends it with SIGTERM.
    ///
    /// # Errors
    /// When it does not end, or not with success.
    pub fn stop(mut self) -> Result<()> {
        super::output(Command::new("kill").arg(self.child.id().to_string()))?;
        let status = wait_for("the end after SIGTERM", || {
            Ok(self.child.try_wait()?.ok_or_else(|| "still running".to_owned()))
        })?;
        ensure!(status.success(), "{status}: {}", self.log());
        Ok(())
    }
}

impl Drop for Remora {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Percent-encodes a value of a query (RFC 3986, section 2.3).
fn escape(value: &str) -> String {
    value
        .bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
            _ => format!("%{b:02X}"),
        })
        .collect()
}
