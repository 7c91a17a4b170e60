//! The command line and MCP, asked about calls that were just made.
#![allow(clippy::print_stdout)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::mcp::{Client, Style};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::Server;
use remora_tests::e2e::{PATIENCE, objects, output, skipped, text, wait_for};
use serde_json::{Value, json};

const TOOLS: [&str; 11] = [
    "list_api_calls",
    "get_api_call",
    "get_api_stats",
    "get_service_map",
    "compare_windows",
    "analyze",
    "list_l4_flows",
    "query_sql",
    "get_status",
    "validate_filter",
    "list_fields",
];

/// Remora with a server that it has seen answer `/file/small/seen` and `/broken/seen`.
fn seen() -> Result<(Remora, Server)> {
    let remora = Remora::start(&[])?;
    let server = Server::nginx(None, &["127.0.0.1"], free_port()?)?;
    for path in ["/file/small/seen", "/broken/seen"] {
        call(&server, path)?;
    }
    remora.wait_for_calls(&format!("http && dst.port == {}", server.port), "id", 2)?;
    Ok((remora, server))
}

fn call(server: &Server, path: &str) -> Result<()> {
    let url = format!("http://127.0.0.1:{}{path}", server.port);
    output(Command::new("curl").args(["-s", "-o", "/dev/null", &url])).map(drop)
}

fn out(done: &Output) -> String {
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn err(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// The output of a `remora` that succeeds.
fn good(remora: &Remora, arguments: &[&str]) -> Result<String> {
    let done = remora.cli(arguments)?;
    ensure!(done.status.code() == Some(0), "{arguments:?}: {}: {}", done.status, err(&done));
    Ok(out(&done))
}

/// The message of one that ends with this code.
fn bad(remora: &Remora, arguments: &[&str], code: i32) -> Result<String> {
    let done = remora.cli(arguments)?;
    ensure!(done.status.code() == Some(code), "{arguments:?}: {}: {}", done.status, err(&done));
    ensure!(done.stdout.is_empty() || code == 1, "{arguments:?} fails and prints {}", out(&done));
    Ok(out(&done) + &err(&done))
}

#[test]
fn the_command_line_answers() -> Result<()> {
    if skipped("the_command_line_answers", &["nginx", "curl"]) {
        return Ok(());
    }
    let (remora, server) = seen()?;
    let kfl = format!("http && dst.port == {}", server.port);

    let table = good(&remora, &["calls", &kfl])?;
    ensure!(table.starts_with("id ") && table.contains("/broken/seen"), "{table}");
    ensure!(!table.contains('\u{1b}'), "colour without a terminal: {table}");
    let rows = objects(&good(&remora, &["calls", &kfl, "-o", "ndjson"])?)?;
    ensure!(rows.len() == 2 && rows.iter().all(|r| r["src.name"] == "curl"), "{rows:?}");
    let tsv = good(&remora, &["calls", &kfl, "-o", "tsv", "--fields", "method,path,status_code"])?;
    let lines: Vec<&str> = tsv.lines().collect();
    ensure!(
        lines == ["method\tpath\tstatus_code", "GET\t/broken/seen\t500", "GET\t/file/small/seen\t200"],
        "{tsv}"
    );
    let id = rows[0]["id"].to_string();
    let whole = good(&remora, &["call", &id])?;
    ensure!(whole.contains("/broken/seen") && whole.contains("broken"), "{whole}");

    let stats = objects(&good(&remora, &["stats", &kfl, "--by", "status_code", "-o", "ndjson"])?)?;
    ensure!(stats.len() == 2 && stats.iter().all(|r| r["count"] == 1), "{stats:?}");
    let failed = stats.iter().find(|r| r["status_code"] == 500).context("no group of 500")?;
    ensure!(failed["error_rate"].as_f64() == Some(1.0), "{failed}");

    let asked = format!("SELECT path, status_code FROM http WHERE dst.port = {} ORDER BY path", server.port);
    let tsv = good(&remora, &["sql", &asked, "-o", "tsv"])?;
    ensure!(tsv == "path\tstatus_code\n/broken/seen\t500\n/file/small/seen\t200\n", "{tsv}");
    let wrong = bad(&remora, &["sql", "SELECT pth FROM http"], 1)?;
    ensure!(wrong.contains("did you mean path?"), "{wrong}");

    let map = objects(&good(&remora, &["map", &kfl, "-o", "ndjson"])?)?;
    ensure!(map.len() == 1 && map[0]["src.name"] == "curl" && map[0]["count"] == 2, "{map:?}");
    ensure!(map[0]["failed"] == 1 && map[0]["protocol"] == "http", "{map:?}");
    let compared = remora.cli(&["compare", &kfl, "--since", "10m"])?;
    ensure!(err(&compared).contains("the baseline has no calls"), "{}", err(&compared));

    let healthy = remora.cli(&["analyze", &kfl])?;
    ensure!(
        out(&healthy).is_empty() && err(&healthy).contains("looked at 2 calls: 2 http"),
        "{}",
        err(&healthy)
    );

    let flows = wait_for("flows with bytes both ways", || {
        let kfl = format!("tcp && dst.port == {}", server.port);
        let flows = objects(&good(&remora, &["flows", &kfl, "-o", "ndjson"])?)?;
        let whole = |f: &&Value| f["src.bytes"].as_i64() > Some(0) && f["dst.bytes"].as_i64() > Some(0);
        Ok(if flows.iter().filter(whole).count() == 2 { Ok(flows) } else { Err(format!("{flows:?}")) })
    })?;
    ensure!(flows.iter().all(|f| f["conn_l7_detected"] == json!(["http"])), "{flows:?}");

    // The agent gives its first account of itself a moment after it has begun.
    wait_for("the agent's account of itself", || {
        let status = good(&remora, &["status"])?;
        Ok(if status.contains("captures by cgroup_skb") { Ok(()) } else { Err(status) })
    })?;
    let status: Value = serde_json::from_str(&good(&remora, &["status", "--json"])?)?;
    ensure!(status["agents"].as_array().is_some_and(|a| a.len() == 1), "{status}");

    ensure!(good(&remora, &["kfl", "check", "status_code >= 500"])?.contains("valid"), "kfl check");
    let fields = good(&remora, &["kfl", "fields", "status"])?;
    ensure!(fields.contains("status_code"), "{fields}");
    for (client, member) in [("claude", "mcpServers"), ("cursor", "mcpServers"), ("vscode", "servers")] {
        let config: Value = serde_json::from_str(&good(&remora, &["mcp-config", client])?)?;
        ensure!(config[member]["remora"].is_object(), "{config}");
    }
    remora.stop()
}

#[test]
fn the_command_line_says_what_is_wrong() -> Result<()> {
    if skipped("the_command_line_says_what_is_wrong", &["nginx", "curl"]) {
        return Ok(());
    }
    let (remora, server) = seen()?;
    // A wrong filter is a wrong argument, found before the hub is asked.
    for (arguments, code) in
        [(&["kfl", "check", "statu_code >= 500"][..], 2), (&["calls", "statu_code >= 500"], 2)]
    {
        let message = bad(&remora, arguments, code)?;
        ensure!(message.contains("status_code"), "no suggestion: {message}");
    }
    ensure!(bad(&remora, &["calls", "--nonsense"], 2)?.contains("--nonsense"), "an unknown option");
    let nobody = bad(&remora, &["calls", "--url", "http://127.0.0.1:1"], 1)?;
    ensure!(nobody.contains("no hub answers") && nobody.contains("remora up"), "{nobody}");
    let missing = bad(&remora, &["dissect", "/no/such/file.pcap"], 1)?;
    ensure!(missing.contains("/no/such/file.pcap"), "{missing}");

    // An empty answer is no error, and says what there is instead.
    let empty =
        remora.cli(&["calls", &format!("http && path == \"/nothing\" && dst.port == {}", server.port)])?;
    ensure!(empty.status.success(), "{}", err(&empty));
    ensure!(err(&empty).contains("nothing matches the filter"), "{}", err(&empty));
    remora.stop()
}

#[test]
fn calls_are_followed() -> Result<()> {
    if skipped("calls_are_followed", &["nginx", "curl"]) {
        return Ok(());
    }
    let (remora, server) = seen()?;
    let kfl = format!("http && path.startsWith(\"/file/small/follow\") && dst.port == {}", server.port);
    let mut command = remora.command(&["calls", "--follow", &kfl, "-o", "ndjson", "--fields", "path"])?;
    let mut follower = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let lines = BufReader::new(follower.stdout.take().context("no output")?).lines();
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(std::result::Result::ok) {
            _ = sender.send(line);
        }
    });
    let followed = (|| {
        // When it has begun to follow is not to be seen: calls are made until one shows up.
        let mut made = 0;
        wait_for("a first followed call", || {
            call(&server, &format!("/file/small/follow-{made}"))?;
            made += 1;
            let line = received.recv_timeout(Duration::from_millis(500));
            Ok(line.map(drop).map_err(|_| format!("{made} calls made")))
        })?;
        for n in 0..20 {
            call(&server, &format!("/file/small/follow-on-{n}"))?;
        }
        let mut paths = Vec::new();
        while paths.len() < 20 {
            let line = received.recv_timeout(PATIENCE).with_context(|| format!("after {paths:?}"))?;
            let path = text(&serde_json::from_str(&line)?, "path").to_owned();
            if path.contains("follow-on") {
                paths.push(path);
            }
        }
        // Each connection may belong to another shard, and what shards hand over has no common order.
        let mut expected: Vec<String> = (0..20).map(|n| format!("/file/small/follow-on-{n}")).collect();
        expected.sort();
        paths.sort();
        ensure!(paths == expected, "{paths:?}");
        Ok(())
    })();
    _ = follower.kill();
    _ = follower.wait();
    followed?;
    remora.stop()
}

#[test]
fn every_tool_answers_in_every_style() -> Result<()> {
    if skipped("every_tool_answers_in_every_style", &["nginx", "curl"]) {
        return Ok(());
    }
    let (remora, server) = seen()?;
    for style in [Style::Json, Style::Events, Style::Stdio] {
        tools_answer(&remora, &server, style).with_context(|| format!("{style:?}"))?;
    }
    remora.stop()
}

fn tools_answer(remora: &Remora, server: &Server, style: Style) -> Result<()> {
    let mut client = Client::connect(remora, style)?;
    ensure!(client.server["serverInfo"]["name"] == "remora", "{}", client.server);
    ensure!(!text(&client.server, "instructions").is_empty(), "{}", client.server);
    let list = client.request("tools/list", &json!({}))?;
    let tools = list["result"]["tools"].as_array().context("no tools")?;
    for name in TOOLS {
        let tool = tools.iter().find(|t| t["name"] == name).with_context(|| format!("no {name}"))?;
        ensure!(tool["annotations"]["readOnlyHint"] == true, "{tool}");
        ensure!(
            tool["inputSchema"]["type"] == "object" && tool["outputSchema"]["type"] == "object",
            "{tool}"
        );
    }

    let kfl = format!("http && dst.port == {}", server.port);
    let calls = good_tool(&mut client, "list_api_calls", &json!({"filter": kfl}))?;
    let rows = calls["structuredContent"]["rows"].as_array().context("no rows")?;
    ensure!(rows.len() == 2, "{calls}");
    ensure!(calls["structuredContent"]["coverage"]["nodes"].is_array(), "{calls}");
    ensure!(content(&calls).contains("/broken/seen"), "{calls}");
    // Two pages of one row are the same two rows.
    let first = good_tool(&mut client, "list_api_calls", &json!({"filter": kfl, "limit": 1}))?;
    let cursor = &first["structuredContent"]["next_cursor"];
    let second =
        good_tool(&mut client, "list_api_calls", &json!({"filter": kfl, "limit": 1, "cursor": cursor}))?;
    let paged = [&first, &second].map(|p| &p["structuredContent"]["rows"][0]["id"]);
    ensure!(paged == [&rows[0]["id"], &rows[1]["id"]], "{paged:?}");

    let whole = good_tool(&mut client, "get_api_call", &json!({"id": rows[0]["id"]}))?;
    ensure!(whole["structuredContent"]["call"]["response.body"] == "broken\n", "{whole}");
    let stats =
        good_tool(&mut client, "get_api_stats", &json!({"filter": kfl, "group_by": ["status_code"]}))?;
    let groups = stats["structuredContent"]["rows"].as_array().context("no groups")?;
    ensure!(
        groups.len() == 2 && groups.iter().all(|g| g["count"] == 1 && g["elapsed_p99"].is_number()),
        "{stats}"
    );
    let healthy = good_tool(&mut client, "analyze", &json!({"filter": kfl}))?;
    ensure!(healthy["structuredContent"]["rows"] == json!([]), "{healthy}");
    ensure!(content(&healthy).contains("no findings; looked at 2 calls"), "{healthy}");
    let flows =
        good_tool(&mut client, "list_l4_flows", &json!({"filter": format!("dst.port == {}", server.port)}))?;
    ensure!(flows["structuredContent"]["rows"].as_array().is_some_and(|r| r.len() == 2), "{flows}");
    let status = good_tool(&mut client, "get_status", &json!({}))?;
    ensure!(status["structuredContent"]["agents"].as_array().is_some_and(|a| a.len() == 1), "{status}");
    let fields = good_tool(&mut client, "list_fields", &json!({"search": "status_code"}))?;
    ensure!(content(&fields).contains("status_code"), "{fields}");
    let valid = good_tool(&mut client, "validate_filter", &json!({"filter": "status_code >= 500"}))?;
    ensure!(valid["structuredContent"]["valid"] == true, "{valid}");

    // What is wrong is said by the tool, with what was probably meant.
    let invalid = good_tool(&mut client, "validate_filter", &json!({"filter": "statu_code >= 500"}))?;
    ensure!(invalid["structuredContent"]["valid"] == false, "{invalid}");
    ensure!(content(&invalid).contains("status_code"), "{invalid}");
    for (tool, arguments) in [
        ("list_api_calls", json!({"filter": "statu_code >= 500"})),
        ("get_api_stats", json!({"group_by": ["statu_code"]})),
    ] {
        let refused = client.tool(tool, &arguments)?;
        ensure!(refused["isError"] == true && content(&refused).contains("status_code"), "{refused}");
    }
    let unknown = client.tool("get_api_call", &json!({"id": 1}))?;
    ensure!(unknown["isError"] == true, "{unknown}");
    let answer = client.tool("list_api_calls", &json!({"filter": kfl}))?;
    let nodes = &answer["structuredContent"]["coverage"]["nodes"];
    ensure!(nodes.as_array().is_some_and(|n| n.len() == 1), "{answer}");
    let nothing = good_tool(
        &mut client,
        "list_api_calls",
        &json!({"filter": format!("{kfl} && path == \"/nothing\"")}),
    )?;
    ensure!(content(&nothing).contains("nothing matches"), "no word on an empty answer: {nothing}");
    let no_tool = client.request("tools/call", &json!({"name": "no_such_tool", "arguments": {}}))?;
    ensure!(no_tool["error"].is_object() || no_tool["result"]["isError"] == true, "{no_tool}");
    Ok(())
}

fn good_tool(client: &mut Client, name: &str, arguments: &Value) -> Result<Value> {
    let result = client.tool(name, arguments)?;
    ensure!(result["isError"] != true, "{name} {arguments}: {result}");
    Ok(result)
}

fn content(result: &Value) -> &str {
    text(&result["content"][0], "text")
}

#[test]
fn trouble_is_found_with_its_evidence() -> Result<()> {
    if skipped("trouble_is_found_with_its_evidence", &["nginx", "curl"]) {
        return Ok(());
    }
    let (remora, server) = seen()?;
    let kfl = format!("http && dst.port == {}", server.port);
    for n in 0..30 {
        call(&server, &format!("/broken/{n}"))?;
        call(&server, &format!("/file/small/{n}"))?;
    }
    remora.wait_for_calls(&kfl, "id", 62)?;
    let found = objects(&good(&remora, &["analyze", &kfl, "-o", "ndjson"])?)?;
    let failing =
        found.iter().find(|f| f["kind"] == "always_failing").with_context(|| format!("{found:?}"))?;
    ensure!(failing["numbers"]["failed"] == 30 && failing["severity"] == "high", "{failing}");
    // What the finding names can be asked for.
    let id = failing["calls"][0].to_string();
    ensure!(good(&remora, &["call", &id])?.contains("/broken/"), "{failing}");
    let mut client = Client::connect(&remora, Style::Json)?;
    let next = good_tool(&mut client, text(failing, "next_tool"), &failing["next_arguments"])?;
    ensure!(next["structuredContent"]["rows"].as_array().is_some_and(|r| r.len() == 30), "{next}");
    let told = good(&remora, &["analyze", &kfl])?;
    ensure!(
        told.contains("fails always: 30 of 30 calls (100 %)") && told.contains("evidence: calls "),
        "{told}"
    );
    remora.stop()
}

#[test]
fn a_call_is_visible_at_once() -> Result<()> {
    if skipped("a_call_is_visible_at_once", &["nginx", "curl"]) {
        return Ok(());
    }
    let (remora, server) = seen()?;
    let mut client = Client::connect(&remora, Style::Json)?;
    let mut delays = Vec::new();
    for n in 0..10 {
        let path = format!("/file/small/prompt-{n}");
        call(&server, &path)?;
        let made = Instant::now();
        let kfl = format!("path == \"{path}\"");
        let visible = |rows: &Value| {
            if rows.as_array().is_some_and(|r| r.len() == 1) { Ok(()) } else { Err(rows.to_string()) }
        };
        wait_for("a call is visible through REST", || {
            Ok(visible(&remora.get("calls", &[("kfl", &kfl)])?["rows"]))
        })?;
        let rest = made.elapsed();
        wait_for("a call is visible through MCP", || {
            let answer = client.tool("list_api_calls", &json!({"filter": kfl}))?;
            Ok(visible(&answer["structuredContent"]["rows"]))
        })?;
        delays.push((rest, made.elapsed()));
    }
    let worst = delays.iter().max().context("nothing was measured")?;
    println!("visible through REST after {:?}, through MCP after {:?} (worst of ten)", worst.0, worst.1);
    remora.stop()
}
