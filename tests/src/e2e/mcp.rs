//! Clients of the Model Context Protocol (revision 2025-06-18): by HTTP and over stdio.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::output;
use super::remora::Remora;

/// How a client reaches Remora.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Streamable HTTP, answers as plain JSON.
    Json,
    /// Streamable HTTP, answers as a stream of events.
    Events,
    /// The standard input and output of `remora mcp`.
    Stdio,
}

/// A client after its handshake. Dropping it ends the process of a stdio client.
#[derive(Debug)]
pub struct Client {
    link: Link,
    next: u64,
    /// The server's answer to `initialize`.
    pub server: Value,
}

#[derive(Debug)]
enum Link {
    Http { url: String, accept: &'static str, session: Option<String> },
    Stdio { child: Child, input: ChildStdin, output: BufReader<ChildStdout> },
}

impl Client {
    /// Connects and initializes.
    ///
    /// # Errors
    /// When the server does not answer as the protocol demands.
    pub fn connect(remora: &Remora, style: Style) -> Result<Self> {
        let url = format!("{}/mcp", remora.url());
        let link = match style {
            Style::Json => Link::Http { url, accept: "application/json", session: None },
            Style::Events => Link::Http { url, accept: "application/json, text/event-stream", session: None },
            Style::Stdio => {
                let mut command = remora.command(&["mcp"])?;
                let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
                let input = child.stdin.take().context("no input")?;
                let output = BufReader::new(child.stdout.take().context("no output")?);
                Link::Stdio { child, input, output }
            }
        };
        let mut client = Self { link, next: 0, server: Value::Null };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {},
                           "clientInfo": {"name": "remora-tests", "version": "1"}});
        client.server = client.request("initialize", &hello)?["result"].take();
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}), false)?;
        Ok(client)
    }

    /// The answer to a request, whole: it has `result` or `error`.
    ///
    /// # Errors
    /// When there is none, or it answers something else.
    pub fn request(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.next += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params});
        let answer = self.send(&message, true)?.context("no answer")?;
        ensure!(answer["id"] == self.next, "an answer to something else: {answer}");
        Ok(answer)
    }

    /// The result of a tool.
    ///
    /// # Errors
    /// When the protocol, not the tool, says that it failed.
    pub fn tool(&mut self, name: &str, arguments: &Value) -> Result<Value> {
        let mut answer = self.request("tools/call", &json!({"name": name, "arguments": arguments}))?;
        ensure!(answer["error"].is_null(), "{name}: {}", answer["error"]);
        Ok(answer["result"].take())
    }

    fn send(&mut self, message: &Value, answered: bool) -> Result<Option<Value>> {
        match &mut self.link {
            Link::Stdio { input, output, .. } => {
                writeln!(input, "{message}")?;
                input.flush()?;
                if !answered {
                    return Ok(None);
                }
                let mut line = String::new();
                output.read_line(&mut line)?;
                Ok(Some(serde_json::from_str(&line).with_context(|| format!("not a message: {line:?}"))?))
            }
            Link::Http { url, accept, session } => {
                let mut curl = Command::new("curl");
                curl.args(["--silent", "--show-error", "--include", "--max-time", "60"])
                    .args(["-H", "Content-Type: application/json", "-H", &format!("Accept: {accept}")])
                    .args(["--data-binary", &message.to_string()]);
                if let Some(id) = session {
                    curl.args(["-H", &format!("Mcp-Session-Id: {id}")]);
                    curl.args(["-H", "MCP-Protocol-Version: 2025-06-18"]);
                }
                let text = output(curl.arg(&*url))?;
                let (head, body) = text.split_once("\r\n\r\n").context("the answer's head has no end")?;
                let status = head.split(' ').nth(1).unwrap_or_default();
                let header = |name: &str| {
                    head.lines().skip(1).find_map(|l| {
                        let (key, value) = l.split_once(':')?;
                        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                    })
                };
                if let Some(id) = header("mcp-session-id") {
                    *session = Some(id);
                }
                if !answered {
                    ensure!(status == "202", "a notification: {text}");
                    return Ok(None);
                }
                ensure!(status == "200", "{text}");
                let kind = header("content-type").unwrap_or_default();
                if !kind.starts_with("text/event-stream") {
                    return Ok(Some(serde_json::from_str(body).with_context(|| text.clone())?));
                }
                ensure!(accept.contains("event-stream"), "events for a client that reads none");
                let mut data = body.lines().filter_map(|l| l.strip_prefix("data:")).map(str::trim);
                let message = data.rfind(|d| !d.is_empty()).context("no event has data")?;
                Ok(Some(serde_json::from_str(message)?))
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Link::Stdio { child, .. } = &mut self.link {
            _ = child.kill();
            _ = child.wait();
        }
    }
}
