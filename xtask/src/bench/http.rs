//! The few requests that a benchmark makes of Remora's REST interface and of its own server.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Questions over a store full of calls take a while on a machine that is at its limit.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Most bytes of an answer that are read.
const LIMIT: u64 = 16 << 20;

/// `GET http://127.0.0.1:PORT/PATH?QUERY`: the body of an answer with status 200.
pub(super) fn get(port: u16, path: &str, query: &[(&str, &str)]) -> Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the answer ends with the connection and is never in chunks.
    write!(stream, "GET {} HTTP/1.0\r\nHost: {address}\r\n\r\n", target(path, query))?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer).context("an answer that is not UTF-8")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer that breaks off in its head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("GET {path}: status {status}: {}", body.trim());
    }
    Ok(body.to_owned())
}

/// The same, as JSON.
pub(super) fn get_json(port: u16, path: &str, query: &[(&str, &str)]) -> Result<Value> {
    let body = get(port, path, query)?;
    serde_json::from_str(&body).with_context(|| format!("GET {path}: not JSON"))
}

fn target(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// Percent-encoding of everything but unreserved characters (RFC 3986, section 2.3).
fn escaped(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") });
    each.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;

    fn answering(answer: &'static str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        port
    }

    #[test]
    fn bodies_come_back_and_errors_say_why() {
        let port = answering("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"a\":1}");
        assert_eq!(get_json(port, "/x", &[]).unwrap()["a"], 1);
        let error = get(answering("HTTP/1.1 400 Bad\r\n\r\nno such field\n"), "/x", &[]).unwrap_err();
        assert_eq!(error.to_string(), "GET /x: status 400: no such field");
    }

    #[test]
    fn queries_are_encoded() {
        let target = target("/api", &[("filter", "a == \"é\""), ("limit", "5")]);
        assert_eq!(target, "/api?filter=a%20%3D%3D%20%22%C3%A9%22&limit=5");
    }
}
