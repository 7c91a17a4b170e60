//! Secrets of connections: with them tshark decrypts what tcpdump has recorded.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::go::build;
use crate::hub::{Hub, free_port, start};
use crate::programs::{Running, has, hooked, lacks, listens, nginx, python_server, site};

/// What asks, and the name of its process.
fn clients(url: &str) -> Vec<(&'static str, Command)> {
    let command = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let node = format!("require('https').get('{url}/node', {{rejectUnauthorized: false}}, r => r.resume())");
    let quiet = ["-q", "--no-check-certificate", "-O", "/dev/null"];
    vec![
        ("curl", command("curl", &["-sk", "--http1.1", &format!("{url}/curl/13")])),
        ("curl", command("curl", &["-sk", "--http1.1", "--tls-max", "1.2", &format!("{url}/curl/12")])),
        ("wget", command("wget", &[&quiet[..], &[&format!("{url}/wget/13")]].concat())),
        (
            "wget",
            command(
                "wget",
                &[&quiet[..], &["--secure-protocol=TLSv1_2", &format!("{url}/wget/12")]].concat(),
            ),
        ),
        ("node", command("node", &["-e", &node])),
    ]
}

/// The paths that tshark sees in a capture with the secrets of a key log.
fn decrypted(capture: &Path, keys: &Path) -> BTreeSet<String> {
    let log = format!("tls.keylog_file:{}", keys.display());
    let mut tshark = Command::new("tshark");
    tshark.args(["-o", &log, "-Y", "http.request", "-T", "fields", "-e", "http.request.uri", "-r"]);
    let out = tshark.arg(capture).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The servers are not read: each secret is one of the client's library.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_of_clients_decrypt_a_capture() {
    let test = "secrets_of_clients_decrypt_a_capture";
    if lacks(test, &["nginx", "openssl", "python3", "tcpdump", "tshark"]) {
        return;
    }
    let (dir, (hub, port)) = (site(), (Hub::default(), free_port()));
    let (keys, capture) = (dir.path().join("keys"), dir.path().join("capture.pcap"));
    let go = has("go").then(|| build(dir.path(), "-s -w"));
    let agent = start(test, &[port], hub.transport(), |config| {
        config.tls.key_log = Some(keys.clone());
        let names = ["curl", "wget", "node", "remora-go-test"];
        config.tls.only_processes = names.map(str::to_owned).to_vec();
    });
    let Some(agent) = agent else { return };
    let server = python_server(dir.path(), port);
    listens(&hub, port).await;
    hooked(&hub, &agent, server.pid()).await;
    let mut tcpdump = Command::new("tcpdump");
    tcpdump.args(["-i", "lo", "--immediate-mode", "-U", "-s0", "-Z", "root", "-w"]).arg(&capture);
    tcpdump.args(["tcp", "port", &port.to_string()]).stderr(Stdio::null());
    let tcpdump = Running(tcpdump.spawn().unwrap());
    // It has written the file's header once it listens.
    hub.until("tcpdump listens", |_| capture.metadata().is_ok_and(|m| m.len() >= 24)).await;

    let mut wanted = BTreeSet::new();
    for (name, mut client) in clients(&format!("https://127.0.0.1:{port}")) {
        if has(name) {
            assert!(client.status().unwrap().success(), "{client:?}");
            let args: Vec<_> = client.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
            let args = args.join(" ");
            let path = args.rsplit(&format!(":{port}")).next().unwrap();
            wanted.insert(path.split('\'').next().unwrap().to_owned());
        } else {
            eprintln!("SKIPPED: {test}: {name} is not installed");
        }
    }
    if let Some(go) = &go {
        // It looks at a program that it has not seen before for a moment: the one that serves is there.
        let unused = free_port().to_string();
        let other =
            Running(Command::new(go).args(["serve", &unused]).current_dir(dir.path()).spawn().unwrap());
        hooked(&hub, &agent, other.pid()).await;
        let asked = Command::new(go).args(["ask", &port.to_string(), "/go"]).status().unwrap();
        assert!(asked.success());
        wanted.insert("/go".to_owned());
    }
    let mut seen = BTreeSet::new();
    hub.until("tshark decrypts it", |_| {
        seen = if keys.is_file() { decrypted(&capture, &keys) } else { BTreeSet::new() };
        eprintln!("{seen:?} of {wanted:?}");
        wanted.is_subset(&seen)
    })
    .await;
    drop(tcpdump);
    assert_eq!(seen, wanted);
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
}

/// The server's library alone, in several processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_of_a_server_decrypt_a_capture() {
    let test = "secrets_of_a_server_decrypt_a_capture";
    if lacks(test, &["nginx", "openssl", "curl", "tcpdump", "tshark"]) {
        return;
    }
    let (dir, (hub, port)) = (site(), (Hub::default(), free_port()));
    let (keys, capture) = (dir.path().join("keys"), dir.path().join("capture.pcap"));
    let agent = start(test, &[port], hub.transport(), |config| {
        config.tls.key_log = Some(keys.clone());
        config.tls.only_processes = vec!["nginx".to_owned()];
    });
    let Some(agent) = agent else { return };
    let server = nginx(dir.path(), port);
    listens(&hub, port).await;
    hooked(&hub, &agent, server.pid()).await;
    let mut tcpdump = Command::new("tcpdump");
    tcpdump.args(["-i", "lo", "--immediate-mode", "-U", "-s0", "-Z", "root", "-w"]).arg(&capture);
    tcpdump.args(["tcp", "port", &port.to_string()]).stderr(Stdio::null());
    let tcpdump = Running(tcpdump.spawn().unwrap());
    hub.until("tcpdump listens", |_| capture.metadata().is_ok_and(|m| m.len() >= 24)).await;
    let wanted: BTreeSet<String> = (0..8).map(|i| format!("/page?{i}")).collect();
    for path in &wanted {
        let url = format!("https://127.0.0.1:{port}{path}");
        let asked = Command::new("curl").args(["-sk", "--http1.1", "-o", "/dev/null", &url]).status();
        assert!(asked.unwrap().success());
    }
    let mut seen = BTreeSet::new();
    hub.until("tshark decrypts it", |_| {
        seen = if keys.is_file() { decrypted(&capture, &keys) } else { BTreeSet::new() };
        seen == wanted
    })
    .await;
    drop(tcpdump);
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
}
