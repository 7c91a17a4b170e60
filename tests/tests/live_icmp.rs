//! ping and refused datagrams: every echo, and every error with what caused it.
#![allow(clippy::print_stdout)]

use std::net::UdpSocket;

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::netns::{self, Pair};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{output, skipped};

/// Echoes that are sent to each address.
const COUNT: usize = 3;

#[test]
fn every_echo_is_seen() -> Result<()> {
    if skipped("every_echo_is_seen", &["ping", "ip"]) {
        return Ok(());
    }
    let pair = Pair::new()?;
    let remora = Remora::start(&[])?;
    let places = [
        (None, "127.0.0.1", 4),
        (None, "::1", 6),
        (Some(pair.client.as_str()), Pair::SERVER_V4, 4),
        (Some(pair.client.as_str()), Pair::SERVER_V6, 6),
    ];
    for (client, address, version) in places {
        let mut ping = netns::command(client, "ping");
        ping.args(["-n", "-i", "0.2", "-W", "20", "-c", &COUNT.to_string(), address]);
        let said = output(&mut ping)?;
        let answered: Vec<i64> = said
            .split("icmp_seq=")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
            .collect();
        ensure!(answered.len() == COUNT, "{said}");
        echoes_agree(&remora, address, version, &answered).with_context(|| address.to_owned())?;
    }
    remora.stop()
}

fn echoes_agree(remora: &Remora, address: &str, version: i64, answered: &[i64]) -> Result<()> {
    let kfl = format!("icmp && dst.ip == \"{address}\" && icmp_type == \"echo_request\"");
    let fields = "transport,icmp_version,icmp_code,icmp_id,icmp_seq,icmp_length,elapsed_time,request_bytes,\
        response_bytes,src.port,dst.port,src.process,failed,incomplete";
    let rows = remora.wait_for_calls(&kfl, fields, answered.len())?;
    ensure!(rows.len() == answered.len(), "{} rows: {rows:?}", rows.len());
    for (row, seq) in rows.iter().zip(answered) {
        ensure!(row["icmp_seq"] == *seq && row["icmp_id"] == rows[0]["icmp_id"], "{row}");
        ensure!(row["transport"] == "icmp" && row["icmp_version"] == version, "{row}");
        ensure!(row["src.port"] == 0 && row["dst.port"] == 0, "{row}");
        // Eight bytes of header, and the 56 that ping sends unasked.
        ensure!(row["icmp_length"] == 64 && row["icmp_code"] == 0, "{row}");
        ensure!(row["request_bytes"] == 64 && row["response_bytes"] == 64, "{row}");
        ensure!(row["elapsed_time"].as_i64().is_some_and(|us| us >= 0), "{row}");
        ensure!(row["failed"] == false && row["incomplete"].is_null(), "{row}");
        ensure!(row["src.process"] == "ping", "{row}");
    }
    Ok(())
}

#[test]
fn an_error_names_the_datagram_that_caused_it() -> Result<()> {
    if skipped("an_error_names_the_datagram_that_caused_it", &["python3", "ip"]) {
        return Ok(());
    }
    let pair = Pair::new()?;
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let places = [
        (None, "127.0.0.1", "127.0.0.1"),
        (None, "::1", "::1"),
        (Some(pair.client.as_str()), "192.0.2.1", Pair::SERVER_V4),
        (Some(pair.client.as_str()), "2001:db8:77::1", Pair::SERVER_V6),
    ];
    for (client, from, to) in places {
        let local = refused(client, to, port)?;
        let kfl = format!(
            "icmp && icmp_error == \"port_unreachable\" && dst.ip == \"{from}\" && icmp_original_src_port == {local}"
        );
        let fields = "src.ip,icmp_type,icmp_version,icmp_original_protocol,icmp_original_src_ip,\
            icmp_original_dst_ip,icmp_original_dst_port,failed,incomplete";
        let rows = remora.wait_for_calls(&kfl, fields, 1)?;
        ensure!(rows.len() == 1, "{rows:?}");
        let row = &rows[0];
        ensure!(row["src.ip"] == to && row["icmp_type"] == "destination_unreachable", "{row}");
        ensure!(row["icmp_original_protocol"] == "udp" && row["icmp_original_dst_port"] == port, "{row}");
        ensure!(row["icmp_original_src_ip"] == from && row["icmp_original_dst_ip"] == to, "{row}");
        ensure!(row["failed"] == true && row["incomplete"].is_null(), "{row}");
    }
    remora.stop()
}

/// Sends a datagram to a port where nobody listens, learns that, and says from which port it went.
fn refused(space: Option<&str>, to: &str, port: u16) -> Result<u16> {
    if space.is_none() {
        let any = if to.contains(':') { "[::1]:0" } else { "127.0.0.1:0" };
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(std::time::Duration::from_secs(20)))?;
        socket.connect((to, port))?;
        socket.send(b"is anybody there?")?;
        let answer = socket.recv(&mut [0; 16]);
        let refused = answer.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused);
        ensure!(refused, "nobody should listen on port {port}");
        return Ok(socket.local_addr()?.port());
    }
    let mut python = netns::command(space, "python3");
    python.args(["-c", REFUSED, to, &port.to_string()]);
    let said = output(&mut python)?;
    said.trim().parse().with_context(|| format!("no port: {said}"))
}

const REFUSED: &str = "
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(20)
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b'is anybody there?')
try:
    s.recv(16)
except ConnectionRefusedError:
    print(s.getsockname()[1])
";
