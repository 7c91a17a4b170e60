//! Questions to the hub's REST interface.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Longest that the hub may think about an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Status and body of an answer.
///
/// # Errors
/// When nobody answers.
pub fn get(hub: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&hub, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the answer is neither chunked nor kept alive.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {hub}\r\n\r\n")?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8(text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("an answer without a status")?;
    Ok((status, body.to_owned()))
}

/// The JSON of an answer that must be 200.
///
/// # Errors
/// When it is not.
pub fn json(hub: SocketAddr, path: &str) -> Result<Value> {
    let (status, body) = get(hub, path)?;
    ensure!(status == 200, "{path}: {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("{path}: no JSON"))
}

/// A call as the hub has it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The hub's id of it.
    pub id: i64,
    /// The path asked for.
    pub path: String,
    /// The status of the response.
    pub status: Option<i64>,
    /// Why it is not whole.
    pub incomplete: Option<String>,
}

/// Every HTTP call of all times.
///
/// # Errors
/// When the hub does not answer as it should.
pub fn calls(hub: SocketAddr) -> Result<Vec<Row>> {
    let base = "/api/v1/calls?kfl=http&since=all&limit=1000&fields=id,path,status_code,incomplete";
    let mut rows = Vec::new();
    let mut path = base.to_owned();
    loop {
        let page = json(hub, &path)?;
        for row in page["rows"].as_array().context("an answer without rows")? {
            rows.push(Row {
                id: row["id"].as_i64().with_context(|| format!("a call without id: {row}"))?,
                path: row["path"].as_str().unwrap_or_default().to_owned(),
                status: row["status_code"].as_i64(),
                incomplete: row["incomplete"].as_str().map(str::to_owned),
            });
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("{base}&cursor={cursor}"),
            None => return Ok(rows),
        }
    }
}

/// The hub's status with the coverage of all times.
///
/// # Errors
/// When the hub does not answer as it should.
pub fn status(hub: SocketAddr) -> Result<Value> {
    json(hub, "/api/v1/status?since=all")
}

/// A counter in the account that the only agent gives of itself; 0 when it has none.
pub fn agent_counter(status: &Value, stage: &str, reason: &str) -> u64 {
    entry(&status["agents"][0]["capture"]["counters"], stage, reason)
}

/// A kind of loss in a coverage block.
pub fn lost(coverage: &Value, stage: &str, reason: &str) -> u64 {
    entry(&coverage["lost"], stage, reason)
}

fn entry(list: &Value, stage: &str, reason: &str) -> u64 {
    let found = list.as_array().into_iter().flatten().find(|e| e["stage"] == stage && e["reason"] == reason);
    found.and_then(|e| e["count"].as_u64()).unwrap_or(0)
}
