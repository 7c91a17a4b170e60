//! `remora status`: the state of capture for a person.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

use crate::cli::StatusArgs;
use crate::client::Client;
use crate::output;

pub async fn run(args: StatusArgs) -> Result<()> {
    let client = Client::new(&args.connection)?;
    let parameters =
        [("since", args.window.since.clone()), ("until", args.window.until.clone().unwrap_or_default())];
    let status = client.get("/api/v1/status", &parameters).await?;
    let text = match (args.json, args.tls) {
        (true, _) => format!("{}\n", serde_json::to_string_pretty(&status)?),
        (_, true) => tls(&status),
        _ => describe(&status),
    };
    output::text(&text)?;
    Ok(())
}

fn describe(status: &Value) -> String {
    let mut out = String::new();
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    _ = writeln!(out, "Remora {}, up {}", text("/version"), age(number("/up_seconds")));
    _ = writeln!(out, "{}", text("/summary"));
    for agent in items(status, "/agents") {
        describe_agent(&mut out, agent);
    }
    _ = writeln!(out, "\nCoverage from {} to {}", text("/window/from"), text("/window/to"));
    for node in items(status, "/coverage/nodes") {
        _ = writeln!(
            out,
            "  {}: {} packets, {}",
            node["node"].as_str().unwrap_or("?"),
            node["packets"],
            bytes(node["bytes"].as_i64().unwrap_or(0))
        );
    }
    for loss in items(status, "/coverage/lost") {
        _ = writeln!(
            out,
            "  lost on {}: {} x {}/{}",
            loss["node"].as_str().unwrap_or("?"),
            loss["count"],
            loss["stage"].as_str().unwrap_or("?"),
            loss["reason"].as_str().unwrap_or("?")
        );
    }
    _ = writeln!(out, "\nData");
    if let Some(Value::Object(tables)) = status.get("data") {
        for (name, table) in tables {
            _ = writeln!(
                out,
                "  {name}: {} rows, {} on disk, {} to {}",
                table["rows"],
                bytes(table["bytes_on_disk"].as_i64().unwrap_or(0)),
                table["oldest"].as_str().unwrap_or("?"),
                table["newest"].as_str().unwrap_or("?")
            );
        }
    }
    let condition = status.pointer("/store/condition/state").and_then(Value::as_str).unwrap_or("?");
    match status.pointer("/store/condition/reason").and_then(Value::as_str) {
        Some(reason) => _ = writeln!(out, "  store: {condition}: {reason}"),
        None => _ = writeln!(out, "  store: {condition}"),
    }
    out
}

/// Every process with TLS code: by which library, how it was found, and whether its plaintext is read.
fn tls(status: &Value) -> String {
    let mut out = String::new();
    for agent in items(status, "/agents") {
        _ = writeln!(out, "Node {}", agent["node"].as_str().unwrap_or("?"));
        let Some(own) = agent.pointer("/capture/tls") else {
            _ = writeln!(out, "  the plaintext of TLS is not read (--no-tls, or this kernel has no way)");
            continue;
        };
        _ = writeln!(
            out,
            "  {} files with TLS code, {} with probes, {} connections",
            plain(&own["files"]),
            plain(&own["files_probed"]),
            plain(&own["connections"])
        );
        for p in items(own, "/processes") {
            let library = p["library"].as_str().unwrap_or("unknown TLS code");
            let version = p["version"].as_str().map(|v| format!(" {v}")).unwrap_or_default();
            _ = write!(out, "  {} {}: {library}{version}", plain(&p["pid"]), plain(&p["process"]));
            match p["reason"].as_str() {
                Some(why) => _ = write!(out, ", not read: {}", remora_hub::query::render::visible(why)),
                None if p["hooked"].as_bool() == Some(true) => {
                    let found = p["found"].as_str().unwrap_or("?");
                    let trial = match p["checked"].as_bool() {
                        Some(true) => ", checked by its calls",
                        Some(false) => ", believed once its first calls look right",
                        None => "",
                    };
                    _ = write!(out, ", read (found by {found}{trial}), {}", size(&p["plain_bytes"]));
                    if p["opaque_bytes"].as_u64().is_some_and(|n| n > 0) {
                        _ = write!(out, ", {} not copied", size(&p["opaque_bytes"]));
                    }
                    if let Some(last) = p["last_plaintext"].as_str() {
                        _ = write!(out, ", last {last}");
                    }
                }
                None => _ = write!(out, ", not read yet"),
            }
            _ = writeln!(out, "\n      {}", plain(&p["path"]));
        }
        for limit in items(own, "/limits") {
            _ = writeln!(out, "  note: {}", plain(limit));
        }
    }
    out
}

fn size(value: &Value) -> String {
    bytes(value.as_i64().unwrap_or(0))
}

/// The same in a few lines.
fn describe_tls(out: &mut String, own: &Value) {
    let Some(Value::Array(processes)) = own.pointer("/tls/processes") else { return };
    let (groups, left_out) = remora_hub::query::tls::grouped(processes);
    for group in &groups {
        let library = group["library"].as_str().unwrap_or("unknown TLS code");
        let count = group["processes"].as_u64().unwrap_or(0);
        let times = if count > 1 { format!(" x {count}") } else { String::new() };
        _ = match group["why_not"].as_str() {
            Some(why) => writeln!(
                out,
                "  TLS of {}{times} ({library}) is not read: {}",
                plain(&group["process"]),
                remora_hub::query::render::visible(why)
            ),
            None => writeln!(
                out,
                "  TLS of {}{times} ({library}): {} in plaintext",
                plain(&group["process"]),
                size(&group["plain_bytes"])
            ),
        };
    }
    if left_out > 0 {
        _ = writeln!(out, "  and {left_out} more; see --tls");
    }
}

fn describe_agent(out: &mut String, agent: &Value) {
    let connected = agent["connected"].as_bool() == Some(true);
    let state = if connected {
        "connected".to_owned()
    } else {
        format!("gone, last heard of {} ago", age(agent["silent_ms"].as_i64().unwrap_or(0) / 1_000))
    };
    _ = writeln!(out, "\nNode {} ({state})", agent["node"].as_str().unwrap_or("?"));
    if agent["lost_batches"].as_i64().unwrap_or(0) > 0 {
        _ = writeln!(out, "  batches given up: {}", agent["lost_batches"]);
    }
    let Some(own) = agent.get("capture") else { return };
    let text = |pointer: &str| own.pointer(pointer).map(plain).unwrap_or_default();
    _ = writeln!(
        out,
        "  captures by {} at {}, kernel {}, {} rings",
        text("/capture/tier"),
        text("/capture/attached_to"),
        text("/capture/kernel"),
        text("/capture/rings")
    );
    for other in items(own, "/capture/rejected") {
        _ = writeln!(out, "  {} is not possible here: {}", plain(&other["tier"]), plain(&other["reason"]));
    }
    for limit in items(own, "/capture/limits") {
        _ = writeln!(out, "  note: {}", plain(limit));
    }
    let targets = own.get("targets").and_then(Value::as_object);
    for (name, value) in targets.into_iter().flatten() {
        _ = writeln!(out, "  {}: {}", name.replace('_', " "), plain(value));
    }
    for counter in items(own, "/counters") {
        _ = writeln!(
            out,
            "  {}/{}: {} ({})",
            plain(&counter["stage"]),
            plain(&counter["reason"]),
            counter["count"],
            bytes(counter["bytes"].as_i64().unwrap_or(0))
        );
    }
    describe_tls(out, own);
    describe_packets(out, own);
    let waiting = own.pointer("/spool/memory_batches").and_then(Value::as_i64).unwrap_or(0)
        + own.pointer("/spool/disk_batches").and_then(Value::as_i64).unwrap_or(0);
    _ = writeln!(out, "  waiting for the hub: {waiting} batches");
    for (what, pointer) in [
        ("spool", "/spool/last_disk_error"),
        ("packet ring", "/packets/last_error"),
        ("hub", "/hub/last_error"),
    ] {
        if let Some(error) = own.pointer(pointer).and_then(Value::as_str) {
            _ = writeln!(out, "  last error of the {what}: {}", remora_hub::query::render::visible(error));
        }
    }
}

fn describe_packets(out: &mut String, own: &Value) {
    let Some(packets) = own.get("packets") else { return };
    if packets["on"].as_bool() != Some(true) {
        _ = writeln!(out, "  packets are not kept: {}", plain(&packets["reason"]));
        return;
    }
    _ = write!(
        out,
        "  packets kept: {} in {} of {}",
        packets["packets"],
        size(&packets["disk_bytes"]),
        size(&packets["budget"])
    );
    if packets["from"].is_string() {
        _ = write!(out, ", {} to {}", plain(&packets["from"]), plain(&packets["to"]));
    }
    _ = writeln!(
        out,
        "{}",
        if packets["stopped"].as_bool() == Some(true) { "; the disk takes no more" } else { "" }
    );
}

fn plain(value: &Value) -> String {
    remora_hub::query::render::visible(&remora_hub::query::render::plain(value))
}

fn items<'a>(status: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    status.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn age(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 7_200 => format!("{} min", s / 60),
        s if s < 172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

fn bytes(n: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_reads_well_and_nothing_in_it_can_panic() {
        let status = json!({
            "version": "0.1.0", "up_seconds": 130, "summary": "1 agent capturing; all well",
            "agents": [{"node": "n1", "connected": true, "capture": {"capture": {"tier": "tc",
                "rejected": [{"tier": "cgroup_skb", "reason": "no cgroup v2"}], "rings": 2},
                "tls": {"files": 2, "processes": [{"pid": 7, "process": "curl", "path": "/lib/libssl.so.3", "library": "OpenSSL",
                    "hooked": true, "found": "symbols", "plain_bytes": 2048}, {"pid": 8, "process": "java", "path": "/jvm",
                    "hooked": false, "reason": "JSSE has no native code"}]},
                "counters": [{"stage": "ring", "reason": "ring_full", "count": 7, "bytes": 4096}],
                "packets": {"on": true, "packets": 12, "disk_bytes": 4096, "budget": 8192, "from": "f", "to": "t",
                    "stopped": true},
                "spool": {"memory_batches": 3}}}],
            "coverage": {"nodes": [{"node": "n1", "packets": 5, "bytes": 2048}], "lost": []},
            "window": {"from": "a", "to": "b"},
            "data": {"calls": {"rows": 1, "bytes_on_disk": 10, "oldest": "x", "newest": "y"}},
            "store": {"condition": {"state": "healthy"}}
        });
        let text = describe(&status);
        for part in [
            "up 2 min",
            "Node n1 (connected)",
            "captures by tc",
            "cgroup_skb is not possible here: no cgroup v2",
            "ring/ring_full: 7 (4.0 KiB)",
            "hub: 3 batches",
            "packets kept: 12 in 4.0 KiB of 8.0 KiB, f to t; the disk takes no more",
            "2.0 KiB",
            "store: healthy",
            "TLS of curl (OpenSSL): 2.0 KiB in plaintext",
            "TLS of java (unknown TLS code) is not read: JSSE has no native code",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let text = tls(&status);
        assert!(text.contains("7 curl: OpenSSL, read (found by symbols), 2.0 KiB"), "{text}");
        assert!(text.contains("8 java: unknown TLS code, not read: JSSE"), "{text}");
        _ = (describe(&Value::Null), tls(&Value::Null));
    }
}
