//! The same traffic seen live, by `remora dissect` on a tcpdump file, and by tshark on that file.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::remora::{Remora, binary, free_port};
use remora_tests::e2e::servers::{self, Server};
use remora_tests::e2e::{objects, output, skipped, text, wait_for};
use serde_json::Value;

const FIELDS: &str = "method,url,path,status_code,request_bytes,response_bytes,response_body_size,\
    request_body_size,incomplete,dns_questions,dns_rcode,dns_question_types";

/// tcpdump that writes to a file while it lives.
struct Recorder(Child);

impl Recorder {
    fn start(file: &Path, ports: &[u16]) -> Result<Self> {
        let filter: Vec<String> = ports.iter().map(|p| format!("port {p}")).collect();
        let mut command = Command::new("tcpdump");
        command.args(["-i", "lo", "-U", "-s", "0", "-B", "65536", "-Z", "root", "-w"]).arg(file);
        let errors = file.with_extension("errors");
        command.arg(filter.join(" or ")).stderr(std::fs::File::create(&errors)?).stdin(Stdio::null());
        let recorder = Self(command.spawn()?);
        // It says so when its socket is open.
        wait_for("tcpdump records", || {
            let said = std::fs::read_to_string(&errors)?;
            Ok(if said.contains("listening on") { Ok(()) } else { Err(said) })
        })?;
        Ok(recorder)
    }

    /// Ends it; what it had captured is written by then.
    fn stop(mut self) -> Result<()> {
        output(Command::new("kill").args(["-INT", &self.0.id().to_string()]))?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn live_capture_dissect_and_tshark_agree() -> Result<()> {
    let programs = ["nginx", "node", "python3", "curl", "dig", "dnsmasq", "tcpdump", "tshark"];
    if skipped("live_capture_dissect_and_tshark_agree", &programs) {
        return Ok(());
    }
    let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
    let [nginx, node, python, dns] = ports;
    let options: Vec<String> = ports.iter().map(|p| format!("--port={p}")).collect();
    let remora = Remora::start(&options.iter().map(String::as_str).collect::<Vec<_>>())?;
    let here = ["127.0.0.1"];
    let _servers = [
        Server::nginx(None, &here, nginx)?,
        Server::node(None, &here, node)?,
        Server::python(None, &here, python)?,
        Server::dnsmasq(None, &here, dns)?,
    ];
    let file = remora.dir().join("traffic.pcap");
    let recorder = Recorder::start(&file, &ports)?;

    let script = servers::program(remora.dir(), "load.py")?;
    let [n, o, p] = [nginx, node, python].map(|p| p.to_string());
    let arguments = ["127.0.0.1", &n, &o, &p, "same", "200"];
    let made = objects(&output(Command::new("python3").arg(script).args(arguments))?)?.len();
    let questions = ["www", "alias", "text", "nobody", "mail"];
    for name in questions {
        let name = format!("{name}.e2e.example");
        output(Command::new("dig").args(["@127.0.0.1", "-p", &dns.to_string(), &name, "A", "+tries=1"]))?;
    }
    let http = remora.wait_for_calls("http && path.contains(\"/same-\")", FIELDS, made)?;
    let dns_kfl = format!("dns && dst.port == {dns}");
    let named = remora.wait_for_calls(&dns_kfl, FIELDS, questions.len())?;
    recorder.stop()?;
    ensure!(http.len() == made && named.len() == questions.len(), "{} {}", http.len(), named.len());

    let live = sorted(http.iter().chain(&named).map(describe));
    let mut command = Command::new(binary()?);
    command.arg("dissect").arg(&file).args(["-o", "ndjson", "--fields", FIELDS]);
    let from_file = objects(&output(command.env_remove("REMORA_CONFIG"))?)?;
    same("the live capture and the file", &live, &sorted(from_file.iter().map(describe)))?;

    let requests = sorted(http.iter().map(|row| format!("{} {}", text(row, "method"), text(row, "url"))));
    let answers = sorted(http.iter().map(|row| row["status_code"].to_string()));
    let decode = format!("tcp.port=={n},http");
    let decodes = [decode.as_str(), &format!("tcp.port=={o},http"), &format!("tcp.port=={p},http")];
    let as_dns = format!("udp.port=={dns},dns");
    let tshark = |filter: &str, fields: &[&str]| -> Result<Vec<String>> {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&file).args(["-n", "-Y", filter, "-T", "fields", "-E", "aggregator=|"]);
        for decode in decodes.iter().copied().chain([as_dns.as_str()]) {
            command.args(["-d", decode]);
        }
        for field in fields {
            command.args(["-e", field]);
        }
        // A segment with several messages is one line whose fields are lists.
        let lines = output(&mut command)?;
        let mut all = Vec::new();
        for line in lines.lines() {
            let columns: Vec<Vec<&str>> = line.split('\t').map(|c| c.split('|').collect()).collect();
            let messages = columns.first().map_or(0, Vec::len);
            for at in 0..messages {
                let row: Vec<&str> = columns.iter().filter_map(|c| c.get(at).copied()).collect();
                ensure!(row.len() == columns.len(), "tshark: {line}");
                all.push(row.join(" "));
            }
        }
        Ok(sorted(all))
    };
    same(
        "tshark's requests",
        &requests,
        &tshark("http.request", &["http.request.method", "http.request.uri"])?,
    )?;
    same("tshark's answers", &answers, &tshark("http.response", &["http.response.code"])?)?;
    let names = sorted(named.iter().map(|row| {
        let code = if row["dns_rcode"] == "NXDOMAIN" { 3 } else { 0 };
        format!("{} {code}", row["dns_questions"][0].as_str().unwrap_or_default())
    }));
    let tsharks = tshark("dns.flags.response == 1", &["dns.qry.name", "dns.flags.rcode"])?;
    same("tshark's DNS answers", &names, &tsharks)?;
    println!("{made} HTTP calls and {} DNS calls agree", named.len());
    remora.stop()
}

/// A call without what differs by nature: ids, times and processes.
fn describe(row: &Value) -> String {
    let fields = FIELDS.split(',').map(|field| match &row[field.trim()] {
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    });
    fields.collect::<Vec<_>>().join(" ")
}

fn sorted(all: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = all.into_iter().collect();
    all.sort_unstable();
    all
}

fn same(what: &str, ours: &[String], theirs: &[String]) -> Result<()> {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|t| those.binary_search(t).is_err()).take(5).cloned().collect()
    };
    ensure!(
        ours == theirs,
        "{what}: {} and {} differ; only the first: {:#?}; only the second: {:#?}",
        ours.len(),
        theirs.len(),
        only(ours, theirs),
        only(theirs, ours)
    );
    ours.first().context("nothing was compared")?;
    Ok(())
}
