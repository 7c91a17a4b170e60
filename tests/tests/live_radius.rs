//! radclient against freeradius: who was let in, who was not, and what was accounted.
#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::remora::Remora;
use remora_tests::e2e::{skipped, text, wait_for};

/// freeradius with one user. Dropping it ends it.
struct Radius {
    child: Child,
    ports: [u16; 2],
}

/// Ports of UDP on which nobody listens.
fn free_ports() -> Result<[u16; 2]> {
    let bind = || std::net::UdpSocket::bind("127.0.0.1:0");
    let (one, two) = (bind()?, bind()?);
    Ok([one.local_addr()?.port(), two.local_addr()?.port()])
}

impl Radius {
    fn start(dir: &Path) -> Result<Self> {
        let ports = free_ports()?;
        let own = dir.join("freeradius");
        std::fs::create_dir(&own)?;
        let at = own.display();
        std::fs::write(
            own.join("users"),
            "anna Cleartext-Password := \"secret-of-anna\"\n\tReply-Message = \"Hello, %{User-Name}\",\n\
             \tFramed-IP-Address = 192.0.2.17\n",
        )?;
        let listen = |kind: &str, port: u16| {
            format!("listen {{\ntype = {kind}\nipaddr = 127.0.0.1\nport = {port}\n}}\n")
        };
        std::fs::write(
            own.join("radiusd.conf"),
            format!(
                "prefix = /usr\nlibdir = /usr/lib/freeradius\nrun_dir = {at}\nname = radiusd\n\
                 security {{\nallow_vulnerable_openssl = yes\n}}\n\
                 client here {{\nipaddr = 127.0.0.1\nsecret = testing123\n}}\n\
                 modules {{\npap {{\n}}\nfiles {{\nfilename = {at}/users\n}}\nalways ok {{\nrcode = ok\n}}\n}}\n\
                 server default {{\n{}{}authorize {{\nfiles\npap\n}}\n\
                 authenticate {{\nAuth-Type PAP {{\npap\n}}\n}}\naccounting {{\nok\n}}\n}}\n",
                listen("auth", ports[0]),
                listen("acct", ports[1])
            ),
        )?;
        let log = own.join("log");
        let file = std::fs::File::create(&log)?;
        let mut command = Command::new("freeradius");
        command.args(["-f", "-l", "stdout", "-D", "/usr/share/freeradius", "-n", "radiusd", "-d"]).arg(&own);
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
        let server = Self { child, ports };
        wait_for("freeradius is ready", || {
            let said = std::fs::read_to_string(&log)?;
            Ok(if said.contains("Ready to process") { Ok(()) } else { Err(said) })
        })?;
        Ok(server)
    }

    /// Sends one request, and gives what radclient prints.
    fn ask(&self, port: u16, kind: &str, attributes: &str) -> Result<String> {
        let mut command = Command::new("radclient");
        command.args(["-x", "-D", "/usr/share/freeradius", &format!("127.0.0.1:{port}"), kind, "testing123"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        writeln!(child.stdin.take().context("no input")?, "{attributes}")?;
        Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
    }
}

impl Drop for Radius {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn every_exchange_is_seen() -> Result<()> {
    if skipped("every_exchange_is_seen", &["freeradius", "radclient"]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let server = Radius::start(remora.dir())?;
    let [auth, acct] = server.ports;
    let login = |password: &str| {
        let attributes =
            format!("User-Name = \"anna\"\nUser-Password = \"{password}\"\nNAS-IP-Address = 192.0.2.1");
        server.ask(auth, "auth", &attributes)
    };
    let (granted, refused) = (login("secret-of-anna")?, login("guessed-password")?);
    ensure!(granted.contains("Access-Accept") && refused.contains("Access-Reject"), "{granted}{refused}");
    let accounted = server.ask(
        acct,
        "acct",
        "User-Name = \"anna\"\nAcct-Status-Type = Start\nAcct-Session-Id = \"s-17\"\nNAS-Identifier = \"gate\"\n\
         Called-Station-Id = \"00-11-22-33-44-55:guests\"\nCalling-Station-Id = \"66-77-88-99-aa-bb\"",
    )?;
    ensure!(accounted.contains("Accounting-Response"), "{accounted}");

    let fields = "radius_id,radius_code,radius_code_name,radius_response_code_name,radius_user_name,radius_nas_ip,\
        radius_reply_message,radius_framed_ip,radius_acct_status_type,radius_acct_session_id,radius_nas_identifier,\
        radius_called_station_id,radius_calling_station_id,radius_attributes,radius_response_attributes,\
        radius_request_length,radius_response_length,failed,incomplete,elapsed_time";
    let rows = remora.wait_for_calls(&format!("radius && dst.port == {auth}"), fields, 2)?;
    for (row, (answer, printed)) in
        rows.iter().zip([("Access-Accept", &granted), ("Access-Reject", &refused)])
    {
        ensure!(row["radius_code"] == 1 && row["radius_code_name"] == "Access-Request", "{row}");
        ensure!(row["radius_response_code_name"] == answer, "{row}");
        ensure!(row["failed"] == (answer == "Access-Reject") && row["incomplete"].is_null(), "{row}");
        ensure!(row["radius_user_name"] == "anna" && row["radius_nas_ip"] == "192.0.2.1", "{row}");
        ensure!(printed.contains(&format!("Id {} ", row["radius_id"])), "{row}: {printed}");
        ensure!(printed.contains(&format!("length {}", row["radius_request_length"])), "{row}: {printed}");
        ensure!(row["elapsed_time"].as_i64().is_some_and(|us| us >= 0), "{row}");
    }
    ensure!(rows[0]["radius_reply_message"] == "Hello, anna", "{}", rows[0]);
    ensure!(rows[0]["radius_framed_ip"] == "192.0.2.17", "{}", rows[0]);
    let rows = remora.wait_for_calls(&format!("radius && dst.port == {acct}"), fields, 1)?;
    for (name, value) in [
        ("radius_code_name", "Accounting-Request"),
        ("radius_response_code_name", "Accounting-Response"),
        ("radius_acct_status_type", "Start"),
        ("radius_acct_session_id", "s-17"),
        ("radius_nas_identifier", "gate"),
        ("radius_called_station_id", "00-11-22-33-44-55:guests"),
        ("radius_calling_station_id", "66-77-88-99-aa-bb"),
    ] {
        ensure!(text(&rows[0], name) == value, "{name}: {}", rows[0]);
    }
    let all = format!("{:?}", remora.calls("radius", fields)?);
    ensure!(!all.contains("secret-of-anna") && !all.contains("guessed-password"), "a password was kept");
    remora.stop()
}
