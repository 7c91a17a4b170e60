//! Connections that do not end as they should, and a gibibyte through one of them.
#![allow(clippy::print_stdout)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::Server;
use remora_tests::e2e::{output, skipped, text, wait_for};
use serde_json::Value;

const FIELDS: &str = "method,path,status_code,response_body_size,response_body_truncated,response_bytes,\
    incomplete,elapsed_time,ttlb,response.body,failed";

/// Bound on the resident memory of the whole process in KiB, far above what it needs (streams may
/// take 128 MiB) and far below the body that passes through.
const MEMORY_KIB: u64 = 600 << 10;

fn port(server: &Server) -> String {
    format!("--port={}", server.port)
}

/// The only call of a path.
fn only(remora: &Remora, path: &str) -> Result<Value> {
    let rows = remora.wait_for_calls(&format!("http && path == \"{path}\""), FIELDS, 1)?;
    ensure!(rows.len() == 1, "{path}: {rows:?}");
    rows.into_iter().next().context("no call")
}

/// Sends a request and gives the connection with what came back until `enough`.
fn ask(server: &Server, path: &str, enough: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
    stream.set_read_timeout(Some(remora_tests::e2e::PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: odd\r\n\r\n")?;
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    while !enough.is_empty() && !String::from_utf8_lossy(&got).contains(enough) {
        let read = stream.read(&mut piece)?;
        ensure!(read > 0, "{path}: the server closed");
        got.extend_from_slice(&piece[..read]);
    }
    Ok(stream)
}

/// A linger of no time: closing then resets (socket(7), SO_LINGER).
fn reset(stream: TcpStream) -> Result<()> {
    use std::os::fd::AsRawFd as _;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    set_linger(stream.as_raw_fd(), &linger)?;
    drop(stream);
    Ok(())
}

#[expect(unsafe_code, reason = "the standard library cannot set SO_LINGER")]
fn set_linger(fd: std::os::fd::RawFd, linger: &libc::linger) -> Result<()> {
    // SAFETY: the pointer and the length are those of a live `linger`; the call keeps neither.
    let done = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            std::ptr::from_ref(linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    ensure!(done == 0, "SO_LINGER: {}", std::io::Error::last_os_error());
    Ok(())
}

#[test]
fn connections_that_end_early_say_what_is_missing() -> Result<()> {
    if skipped("connections_that_end_early_say_what_is_missing", &["node"]) {
        return Ok(());
    }
    let server = Server::node(None, &["127.0.0.1"], free_port()?)?;
    let remora = Remora::start(&[&port(&server)])?;

    // A client that goes away in the middle of a download, politely and not.
    drop(ask(&server, "/endless/closed", "the beginning")?);
    reset(ask(&server, "/endless/reset", "the beginning")?)?;
    // A server that resets in the middle of its answer.
    let mut stream = ask(&server, "/reset/by-server", "half of it")?;
    let ended = stream.read(&mut [0; 64]);
    ensure!(ended.is_err(), "the server did not reset: {ended:?}");
    // A client that gives up waiting, politely and not.
    drop(ask(&server, "/never/closed", "")?);
    reset(ask(&server, "/never/reset", "")?)?;

    for (path, reasons, status, size) in [
        // Both sides' FIN or the server's RST to late bytes may be what is seen first.
        ("/endless/closed", &["truncated", "reset"][..], 200, 13),
        ("/endless/reset", &["reset"], 200, 13),
        ("/reset/by-server", &["reset"], 200, 10),
    ] {
        let row = only(&remora, path)?;
        ensure!(reasons.contains(&text(&row, "incomplete")), "{path}: {row}");
        ensure!(row["status_code"] == status && row["response_body_size"] == size, "{path}: {row}");
    }
    for (path, reasons) in
        [("/never/closed", &["no_response"][..]), ("/never/reset", &["no_response", "reset"])]
    {
        let row = only(&remora, path)?;
        ensure!(reasons.contains(&text(&row, "incomplete")) && row["status_code"].is_null(), "{path}: {row}");
    }
    remora.stop()
}

#[test]
fn slow_and_half_closed_connections_give_whole_calls() -> Result<()> {
    if skipped("slow_and_half_closed_connections_give_whole_calls", &["node", "curl"]) {
        return Ok(());
    }
    let server = Server::node(None, &["127.0.0.1"], free_port()?)?;
    let remora = Remora::start(&[&port(&server)])?;

    let url = format!("http://127.0.0.1:{}/drip/slow", server.port);
    output(Command::new("curl").args(["-s", "-o", "/dev/null", &url]))?;
    let row = only(&remora, "/drip/slow")?;
    ensure!(row["incomplete"].is_null() && row["response_body_size"] == 20, "{row}");
    // Twenty timers of 50 ms lie between the first byte and the last; each may be a little early.
    let (first, last) = (row["elapsed_time"].as_i64(), row["ttlb"].as_i64());
    ensure!(last > Some(900_000) && first < last, "{row}");

    // A request in pieces, each in a segment of its own.
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
    stream.set_nodelay(true)?;
    for piece in ["GE", "T /echo/pie", "ces HTTP/1.1\r\nHo", "st: odd\r\nConnection: close\r", "\n\r", "\n"] {
        stream.write_all(piece.as_bytes())?;
    }
    stream.read_to_end(&mut Vec::new())?;
    let row = only(&remora, "/echo/pieces")?;
    ensure!(row["incomplete"].is_null() && row["status_code"] == 201, "{row}");

    // A connection that stays open with half a request, and another that has been answered: what
    // others do is seen meanwhile, and the answered one's call too.
    let mut half = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
    half.write_all(b"GET /echo/half-open HTTP/1.1\r\nHost: odd\r\n")?;
    let open = ask(&server, "/echo/answered", "201")?;
    let row = only(&remora, "/echo/answered")?;
    ensure!(row["incomplete"].is_null() && row["status_code"] == 201, "{row}");
    drop(open);
    // The other half comes, and the call is whole.
    half.write_all(b"Connection: close\r\n\r\n")?;
    half.read_to_end(&mut Vec::new())?;
    let row = only(&remora, "/echo/half-open")?;
    ensure!(row["incomplete"].is_null() && row["status_code"] == 201, "{row}");
    remora.stop()
}

#[test]
fn a_gibibyte_fills_no_memory_and_hides_no_calls() -> Result<()> {
    if skipped("a_gibibyte_fills_no_memory_and_hides_no_calls", &["nginx", "curl"]) {
        return Ok(());
    }
    let server = Server::nginx(None, &["127.0.0.1"], free_port()?)?;
    let remora = Remora::start(&[&port(&server)])?;
    let base = format!("http://127.0.0.1:{}", server.port);
    let mut download = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "--limit-rate", "200M", &format!("{base}/file/huge/all")])
        .stdin(Stdio::null())
        .spawn()?;
    let mut others = 0;
    let done = loop {
        let url = format!("{base}/file/small/other-{others}");
        output(Command::new("curl").args(["-s", "-o", "/dev/null", &url]))?;
        others += 1;
        if let Some(status) = download.try_wait()? {
            break status;
        }
    };
    ensure!(done.success(), "curl: {done}");
    // A download that is given up halfway.
    let mut aborted = ask(&server, "/file/huge/aborted", "200 OK")?;
    let mut left = 8 << 20;
    let mut piece = vec![0; 1 << 16];
    while left > 0 {
        left -= aborted.read(&mut piece)?.min(left);
    }
    drop(aborted);

    let row = only(&remora, "/file/huge/all").with_context(|| format!("{others} other calls"))?;
    ensure!(row["incomplete"].is_null() && row["response_body_size"] == 1_u64 << 30, "{}", brief(row));
    ensure!(row["response_body_truncated"] == true, "{}", brief(row));
    ensure!(row["response_bytes"].as_u64() > Some(1 << 30), "{}", brief(row));
    let row = only(&remora, "/file/huge/aborted")?;
    ensure!(["truncated", "reset"].contains(&text(&row, "incomplete")), "{}", brief(row));
    ensure!(row["response_body_size"].as_u64() >= Some(8 << 20), "{}", brief(row));
    let kfl = format!("http && path.startsWith(\"/file/small/other-\") && dst.port == {}", server.port);
    let seen = remora.wait_for_calls(&kfl, "path,incomplete", others)?;
    ensure!(
        seen.len() == others && seen.iter().all(|r| r["incomplete"].is_null()),
        "{} of {others}",
        seen.len()
    );
    let peak = remora.peak_memory()?;
    println!("{others} other calls meanwhile; at most {} MiB resident", peak >> 10);
    ensure!(peak < MEMORY_KIB, "{peak} KiB resident");

    // The bytes that were left out in the kernel are counted.
    let kfl = format!("tcp && dst.port == {} && conn_state == \"closed\"", server.port);
    let large = format!("{kfl} && dst.bytes > {}", 1_u64 << 30);
    let fields = "src.process,dst.process,dst.bytes,src.packets,tcp_rtt_us,missing_bytes";
    let flow = wait_for("the flow of the large download", || {
        let flows = remora.get("flows", &[("kfl", &large), ("since", "all"), ("fields", fields)])?;
        Ok(flows["rows"].as_array().and_then(|rows| rows.first().cloned()).ok_or_else(|| flows.to_string()))
    })?;
    ensure!(flow["dst.bytes"].as_u64() < Some((1 << 30) + (1 << 26)), "{flow}");
    ensure!(flow["src.process"] == "curl" && flow["missing_bytes"] == 0, "{flow}");
    ensure!(flow["src.packets"].as_u64() > Some(3) && flow["tcp_rtt_us"].as_u64().is_some(), "{flow}");

    // The flow that carried it is known, and what was found in it.
    let flow = |row: &Value| row["src.process"] == "curl" && row["conn_l7_detected"][0] == "http";
    wait_for("closed flows of every download", || {
        let fields = "src.process,conn_l7_detected";
        let flows =
            remora.get("flows", &[("kfl", &kfl), ("since", "all"), ("limit", "1000"), ("fields", fields)])?;
        let closed = flows["rows"].as_array().map_or(0, |rows| rows.iter().filter(|r| flow(r)).count());
        Ok(if closed > others.min(900) { Ok(()) } else { Err(format!("{closed} flows, {others} calls")) })
    })?;
    remora.stop()
}

/// A call without its body.
fn brief(mut row: Value) -> Value {
    row["response.body"] = Value::Null;
    row
}
