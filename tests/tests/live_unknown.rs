//! Connections in a protocol of nobody's: what they began with, and how those failed that did.
#![allow(clippy::print_stdout)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Result, ensure};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{skipped, text};

const FIELDS: &str = "protocol,transport,tcp_method,tcp_payload,tcp_response_payload,tcp_error_type,\
    tcp_error_message,request_bytes,response_bytes,failed,incomplete";

#[test]
fn an_unknown_protocol_is_one_call_with_its_first_bytes() -> Result<()> {
    if skipped("an_unknown_protocol_is_one_call_with_its_first_bytes", &[]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    let talk = std::thread::spawn(move || -> Result<()> {
        let mut asked = TcpStream::connect(server)?;
        asked.write_all(b"\x01\x02~ no such protocol ~\n")?;
        let mut answer = Vec::new();
        asked.read_to_end(&mut answer)?;
        ensure!(answer == b"~~ indeed \xff", "{answer:?}");
        Ok(())
    });
    let (mut answering, _) = listener.accept()?;
    answering.read_exact(&mut [0; 23])?;
    answering.write_all(b"~~ indeed \xff")?;
    drop(answering);
    ensure!(talk.join().is_ok_and(|result| result.is_ok()), "the client had trouble");

    let kfl = format!("protocol == \"tcp\" && dst.port == {}", server.port());
    let rows = remora.wait_for_calls(&kfl, FIELDS, 1)?;
    ensure!(rows.len() == 1, "{rows:?}");
    let row = &rows[0];
    ensure!(row["transport"] == "tcp" && row["tcp_method"] == "exchange", "{row}");
    ensure!(text(row, "tcp_payload") == "\\x01\\x02~ no such protocol ~\\n", "{row}");
    ensure!(text(row, "tcp_response_payload") == "~~ indeed \\xff", "{row}");
    ensure!(row["request_bytes"] == 23 && row["response_bytes"] == 11, "{row}");
    ensure!(row["failed"] == false && row["tcp_error_type"].is_null(), "{row}");
    remora.stop()
}

#[test]
fn a_refused_connection_is_a_failed_call() -> Result<()> {
    if skipped("a_refused_connection_is_a_failed_call", &[]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let server = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    ensure!(TcpStream::connect(server).is_err(), "nobody listens there");
    let kfl = format!("tcp && dst.port == {} && tcp_error_type != \"\"", server.port());
    let rows = remora.wait_for_calls(&kfl, FIELDS, 1)?;
    ensure!(rows.len() == 1, "{rows:?}");
    let row = &rows[0];
    ensure!(row["tcp_error_type"] == "connection_refused" && row["failed"] == true, "{row}");
    ensure!(text(row, "tcp_error_message") == format!("{server} refused the connection"), "{row}");
    ensure!(row["tcp_method"] == "connect" && row["incomplete"] == "no_response", "{row}");
    remora.stop()
}
