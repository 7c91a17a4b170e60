//! Two freeDiameter daemons, which greet, watch and leave each other, as their own logs have it.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::netns::{self, Pair};
use remora_tests::e2e::remora::Remora;
use remora_tests::e2e::{output, skipped, text, wait_for};

/// One daemon. Dropping it kills it.
struct Peer(Child);

impl Peer {
    /// Starts the one called `name` with the address `own`, which connects to the other at `other`.
    fn start(dir: &Path, space: &str, [name, own]: [&str; 2], [peer, other]: [&str; 2]) -> Result<Self> {
        let at = dir.display();
        let config = dir.join(format!("{name}.conf"));
        // Seconds between watchdogs: six are the least it takes.
        std::fs::write(
            &config,
            format!(
                "Identity = \"{name}.shop.example\";\nRealm = \"shop.example\";\nPort = 3868;\nSecPort = 0;\nNo_SCTP;\n\
                 ListenOn = \"{own}\";\nTLS_Cred = \"{at}/{name}.pem\", \"{at}/{name}.key\";\nTLS_CA = \"{at}/ca.pem\";\n\
                 TwTimer = 6;\n\
                 ConnectPeer = \"{peer}.shop.example\" {{ ConnectTo = \"{other}\"; No_TLS; Port = 3868; }};\n"
            ),
        )?;
        let log = std::fs::File::create(dir.join(format!("{name}.log")))?;
        let mut command = netns::command(Some(space), "freeDiameterd");
        command.arg("-c").arg(config).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn()?))
    }

    /// Lets it say good-bye, and waits for its end.
    fn leave(mut self) -> Result<()> {
        output(Command::new("kill").args(["-INT", &self.0.id().to_string()]))?;
        wait_for("the daemon ends", || Ok(self.0.try_wait()?.ok_or_else(|| "it runs".to_owned())))?;
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// An authority, and a certificate by it for each daemon: they ask for some even without TLS.
fn certificates(dir: &Path) -> Result<()> {
    let openssl = |words: &str| {
        let mut command = Command::new("openssl");
        output(command.current_dir(dir).args(words.split(' '))).context("openssl").map(drop)
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem")?;
    for peer in ["one", "two"] {
        openssl(&format!(
            "req -newkey rsa:2048 -nodes -subj /CN={peer}.shop.example -keyout {peer}.key -out {peer}.csr"
        ))?;
        openssl(&format!(
            "x509 -req -in {peer}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {peer}.pem"
        ))?;
    }
    Ok(())
}

#[test]
fn what_two_peers_say_is_seen() -> Result<()> {
    if skipped("what_two_peers_say_is_seen", &["freeDiameterd", "openssl", "ip"]) {
        return Ok(());
    }
    let pair = Pair::new()?;
    let remora = Remora::start(&[])?;
    let dir = remora.dir();
    certificates(dir)?;
    let (one, two) = (["one", "192.0.2.1"], ["two", "192.0.2.2"]);
    let waiting = Peer::start(dir, &pair.server, two, one)?;
    let asking = Peer::start(dir, &pair.client, one, two)?;

    let fields = "diameter_command,diameter_command_code,diameter_method,diameter_result_code,diameter_result,\
        diameter_application,diameter_hop_by_hop,diameter_end_to_end,diameter_origin_host,diameter_origin_realm,\
        diameter_answer_host,src.ip,dst.ip,failed,incomplete,elapsed_time,src.process,dst.process";
    let told = |command: &str| {
        remora.wait_for_calls(&format!("diameter && diameter_command == \"{command}\""), fields, 1)
    };
    let greeting = told("Capabilities-Exchange")?;
    let watchdog = told("Device-Watchdog")?;
    // Who leaves says why, and is answered.
    asking.leave()?;
    let parting = told("Disconnect-Peer")?;
    waiting.leave()?;
    for (rows, code) in [(&greeting, 257), (&watchdog, 280), (&parting, 282)] {
        let row = &rows[0];
        ensure!(row["diameter_command_code"] == code && row["diameter_application"] == "Common", "{row}");
        ensure!(row["diameter_result_code"] == 2001 && row["diameter_result"] == "DIAMETER_SUCCESS", "{row}");
        ensure!(row["failed"] == false && row["incomplete"].is_null(), "{row}");
        ensure!(row["diameter_origin_realm"] == "shop.example", "{row}");
        // Either may ask; the names are those of the addresses.
        let names = [("192.0.2.1", "one.shop.example"), ("192.0.2.2", "two.shop.example")];
        for (address, host) in [("src.ip", "diameter_origin_host"), ("dst.ip", "diameter_answer_host")] {
            ensure!(names.contains(&(text(row, address), text(row, host))), "{row}");
        }
        ensure!(row["src.process"] == "freeDiameterd" && row["dst.process"] == "freeDiameterd", "{row}");
    }
    ensure!(parting[0]["diameter_origin_host"] == "one.shop.example", "{}", parting[0]);
    // Their own account of it.
    for (name, peer) in [("one", "two"), ("two", "one")] {
        let log = std::fs::read_to_string(dir.join(format!("{name}.log")))?;
        ensure!(log.contains(&format!("{peer}.shop.example")) && log.contains("STATE_OPEN"), "{log}");
    }
    drop(pair);
    remora.stop()
}
