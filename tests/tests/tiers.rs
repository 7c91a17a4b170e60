//! Which means of capture runs where something is missing, and what `remora status` says of it.
//!
//! Each test takes something away from Remora alone, by a mount namespace or a bounding set, so that
//! the same tests run on any host and in the guests of `cargo xtask test --layer kernels`.
#![allow(clippy::print_stdout)]

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::netns::{self, Pair};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::Server;
use remora_tests::e2e::{objects, output, skipped, text, wait_for};
use serde_json::Value;

const PROGRAMS: &[&str] = &["curl", "python3", "ip", "unshare", "setpriv"];

/// Calls that each test makes in each place.
const CALLS: usize = 20;

const FIELDS: &str = "path,status_code,incomplete,src.process,src.pid,dst.process,dst.pid,capture_source";

/// The node's `capture` object, as soon as the agent has told of itself.
fn capture(remora: &Remora) -> Result<Value> {
    wait_for("the agent's status", || {
        let mut status = remora.get("status", &[])?;
        let capture = status["agents"][0]["capture"]["capture"].take();
        Ok(if capture.is_object() { Ok(capture) } else { Err(status.to_string()) })
    })
}

/// Why the better means `tier` is not in use.
fn reason<'a>(capture: &'a Value, tier: &str) -> &'a str {
    let rejected = capture["rejected"].as_array().map_or(&[][..], Vec::as_slice);
    rejected.iter().find(|r| r["tier"] == tier).map_or("", |r| text(r, "reason"))
}

/// Makes calls from `client` to a server in `server`, and gives them as `remora calls` prints them.
fn calls(
    remora: &Remora,
    client: Option<&str>,
    server: Option<&str>,
    address: &str,
) -> Result<(Vec<Value>, u32)> {
    let python = Server::python(server, &[address], free_port()?)?;
    let authority = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    for n in 0..CALLS {
        let url = format!("http://{authority}:{}/call/{n}", python.port);
        output(netns::command(client, "curl").args(["-sg", "-o", "/dev/null", &url]))?;
    }
    let kfl = format!("http && dst.port == {}", python.port);
    remora.wait_for_calls(&kfl, "id", CALLS)?;
    let words = ["calls", &kfl, "--since", "1h", "--limit", "100", "-o", "ndjson", "--fields", FIELDS];
    let printed = remora.cli(&words)?;
    ensure!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let rows = objects(&String::from_utf8_lossy(&printed.stdout))?;
    ensure!(rows.len() == CALLS, "{} calls of {CALLS}", rows.len());
    for n in 0..CALLS {
        let path = format!("/call/{n}");
        let row = rows.iter().find(|r| text(r, "path") == path).with_context(|| format!("no {path}"))?;
        ensure!(row["status_code"] == 200 && row["incomplete"].is_null(), "{row}");
    }
    Ok((rows, python.pid()))
}

/// What `remora status` prints.
fn printed_status(remora: &Remora) -> Result<String> {
    let status = remora.cli(&["status"])?;
    ensure!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    Ok(String::from_utf8_lossy(&status.stdout).into_owned())
}

/// Every call on loopback and between namespaces has both its processes.
fn has_owners(remora: &Remora) -> Result<()> {
    let pair = Pair::new()?;
    let (client, server) = (Some(pair.client.as_str()), Some(pair.server.as_str()));
    let places = [
        (None, None, "127.0.0.1"),
        (None, None, "::1"),
        (client, server, Pair::SERVER_V4),
        (client, server, Pair::SERVER_V6),
    ];
    for (client, server, address) in places {
        let (rows, pid) = calls(remora, client, server, address).with_context(|| address.to_owned())?;
        for row in rows {
            ensure!(row["src.process"] == "curl" && row["src.pid"].is_u64(), "{row}");
            ensure!(text(&row, "dst.process").starts_with("python") && row["dst.pid"] == pid, "{row}");
            ensure!(row["capture_source"] == "ebpf", "{row}");
        }
    }
    Ok(())
}

#[test]
fn the_best_means_runs_where_nothing_is_missing() -> Result<()> {
    if skipped("the_best_means_runs_where_nothing_is_missing", PROGRAMS) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let capture = capture(&remora)?;
    ensure!(capture["tier"] == "cgroup_skb" && capture["best"] == true, "{capture}");
    ensure!(capture["rejected"] == serde_json::json!([]), "{capture}");
    ensure!(!capture["limits"].to_string().contains("socket owners"), "{capture}");
    has_owners(&remora)?;
    ensure!(printed_status(&remora)?.contains("captures by cgroup_skb"));
    remora.stop()
}

#[test]
fn the_kernels_own_btf_is_not_needed() -> Result<()> {
    if skipped("the_kernels_own_btf_is_not_needed", PROGRAMS) {
        return Ok(());
    }
    let hide = "[ ! -d /sys/kernel/btf ] || mount -t tmpfs none /sys/kernel/btf || exit; exec \"$@\"";
    let remora = Remora::start_under(&["unshare", "--mount", "sh", "-c", hide, "sh"], &[])?;
    let capture = capture(&remora)?;
    ensure!(capture["tier"] == "cgroup_skb" && capture["btf"] == false, "{capture}");
    has_owners(&remora)?;
    remora.stop()
}

#[test]
fn without_cgroup_v2_interfaces_are_captured() -> Result<()> {
    if skipped("without_cgroup_v2_interfaces_are_captured", PROGRAMS) {
        return Ok(());
    }
    let hide = "umount -a -t cgroup2 && exec \"$@\"";
    let remora = Remora::start_under(&["unshare", "--mount", "sh", "-c", hide, "sh"], &[])?;
    let capture = capture(&remora)?;
    ensure!(capture["tier"] == "tc" && capture["best"] == false, "{capture}");
    let reason = reason(&capture, "cgroup_skb");
    ensure!(reason.contains("cgroup v2") && reason.contains("not mounted"), "{capture}");
    for address in ["127.0.0.1", "::1"] {
        calls(&remora, None, None, address).with_context(|| address.to_owned())?;
    }
    let printed = printed_status(&remora)?;
    ensure!(
        printed.contains("captures by tc") && printed.contains("cgroup_skb is not possible"),
        "{printed}"
    );
    remora.stop()
}

#[test]
fn without_the_right_to_load_programs_packets_are_read_from_sockets() -> Result<()> {
    if skipped("without_the_right_to_load_programs_packets_are_read_from_sockets", PROGRAMS) {
        return Ok(());
    }
    let wrapper = ["setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"];
    // A setpriv or a kernel that does not know these capabilities cannot take them away.
    if let Err(error) = output(Command::new(wrapper[0]).args(&wrapper[1..]).arg("true")) {
        println!("SKIPPED: without_the_right_to_load_programs_packets_are_read_from_sockets: {error:#}");
        return Ok(());
    }
    let remora = Remora::start_under(&wrapper, &[])?;
    let capture = capture(&remora)?;
    ensure!(capture["tier"] == "af_packet", "{capture}");
    ensure!(["cgroup_skb", "tc"].iter().all(|tier| !reason(&capture, tier).is_empty()), "{capture}");
    for address in ["127.0.0.1", "::1"] {
        let (rows, _) = calls(&remora, None, None, address).with_context(|| address.to_owned())?;
        ensure!(rows.iter().all(|row| row["capture_source"] == "af_packet"), "{rows:?}");
    }
    remora.stop()
}
