//! `remora mcp`: MCP on stdin and stdout, carried to a hub by HTTP.
//!
//! Each message is one POST that asks for a JSON reply, which needs no session, so that a hub that
//! restarts or a port-forward that drops costs the requests of that moment and nothing else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::cli::McpArgs;
use crate::client::Client;

/// Longest message that is taken from the assistant.
const MAX_LINE: u64 = 4 << 20;
/// Requests carried at once; more wait.
const CONCURRENT: usize = 16;
/// How long the hub may be away before a request fails: a restart takes about that long.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(250);

pub async fn bridge(args: McpArgs) -> Result<()> {
    let client = Arc::new(Client::new(&args.connection)?);
    let (replies, mut to_print) = mpsc::channel::<Value>(64);
    let printer = tokio::spawn(async move {
        let mut stdout = tokio::io::stdout();
        while let Some(reply) = to_print.recv().await {
            let mut line = reply.to_string();
            line.push('\n');
            if stdout.write_all(line.as_bytes()).await.is_err() || stdout.flush().await.is_err() {
                return;
            }
        }
    });
    let running = Arc::new(Semaphore::new(CONCURRENT));
    let mut tasks = JoinSet::new();
    // Notifications keep their order; requests may overtake each other, as JSON-RPC allows.
    let order = Arc::new(Mutex::new(()));
    let mut stdin = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = (&mut stdin).take(MAX_LINE).read_until(b'\n', &mut line).await?;
        if n == 0 {
            break;
        }
        if line.len() as u64 >= MAX_LINE && line.last() != Some(&b'\n') {
            skip_line(&mut stdin).await?;
            send(&replies, error(&Value::Null, -32600, "the message is longer than 4 MiB")).await;
            continue;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let message: Value = match serde_json::from_slice(text) {
            Ok(m) => m,
            Err(e) => {
                send(&replies, error(&Value::Null, -32700, &format!("the message is not JSON: {e}"))).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&running).acquire_owned().await else { break };
        let (client, replies, order) = (Arc::clone(&client), replies.clone(), Arc::clone(&order));
        tasks.spawn(async move {
            let _permit = permit;
            let id = message.get("id").cloned();
            let _in_order = if id.is_none() { Some(order.lock().await) } else { None };
            if let Some(reply) = carry(&client, &message, id).await {
                send(&replies, reply).await;
            }
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
    drop(replies);
    printer.await?;
    Ok(())
}

async fn send(replies: &mpsc::Sender<Value>, reply: Value) {
    // Nobody reads any more: the assistant has gone, and so will we.
    _ = replies.send(reply).await;
}

/// Throws away the rest of a line that is too long.
async fn skip_line(input: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(());
        }
        let (used, done) = match buffer.iter().position(|b| *b == b'\n') {
            Some(i) => (i + 1, true),
            None => (buffer.len(), false),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

/// Carries one message; the reply, if the message asks for one.
async fn carry(client: &Client, message: &Value, id: Option<Value>) -> Option<Value> {
    let outcome = post(client, message).await;
    let id = id?;
    Some(match outcome {
        Ok(Some(reply)) => reply,
        Ok(None) => error(&id, -32603, "the hub accepted the request and sent no reply"),
        Err(why) => error(&id, -32603, &why),
    })
}

async fn post(client: &Client, message: &Value) -> Result<Option<Value>, String> {
    let url = client.url("/mcp").map_err(|e| e.to_string())?;
    let (http, token) = client.parts();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let response = loop {
        let mut request = http
            .post(url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        // The headers that newer revisions want beside the body.
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        let version = text("/params/_meta/io.modelcontextprotocol~1protocolVersion");
        if let (Some(method), Some(version)) = (text("/method"), version) {
            request = request.header("MCP-Protocol-Version", version).header("Mcp-Method", method);
            if let Some(name) = text("/params/name").or_else(|| text("/params/uri")) {
                request = request.header("Mcp-Name", name);
            }
        }
        match request.body(message.to_string()).send().await {
            Ok(response) => break response,
            Err(e) if e.is_connect() && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(RETRY).await
            }
            Err(e) => return Err(client.explain(&e).to_string()),
        }
    };
    let status = response.status();
    let body = response.bytes().await.map_err(|e| client.explain(&e).to_string())?;
    if body.is_empty() {
        return if status.is_success() { Ok(None) } else { Err(format!("the hub answered {status}")) };
    }
    let value: Value =
        serde_json::from_slice(&body).map_err(|_| format!("the hub answered {status} and no JSON"))?;
    if value.get("jsonrpc").is_some() {
        return Ok(Some(value));
    }
    let message = value.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason given");
    Err(format!("the hub answered {status}: {message}"))
}

fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}
