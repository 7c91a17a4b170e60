//! Go's own TLS, built by the Go that is installed: with symbols and stripped.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::hub::{Hub, free_port, start};
use crate::programs::{
    Running, big, calls, check, curl, hooked, lacks, linked, listens, of, sha256, site, text,
};

/// Serves files, and asks another server where it is told to.
const PROGRAM: &str = r#"package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
)

func main() {
	if os.Args[1] == "serve" {
		s := &http.Server{Addr: "127.0.0.1:" + os.Args[2], Handler: http.FileServer(http.Dir("."))}
		s.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		panic(s.ListenAndServeTLS("cert.pem", "key.pem"))
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for _, path := range os.Args[3:] {
		r, err := c.Get("https://127.0.0.1:" + os.Args[2] + path)
		if err != nil {
			panic(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(err)
		}
		r.Body.Close()
	}
}
"#;

/// Builds the program in `dir`.
pub(crate) fn build(dir: &Path, flags: &str) -> PathBuf {
    build_of(dir, flags, PROGRAM)
}

fn build_of(dir: &Path, flags: &str, program: &str) -> PathBuf {
    std::fs::write(dir.join("main.go"), program).unwrap();
    let built = Command::new("go")
        .args(["build", "-ldflags", flags, "-o", "remora-go-test", "main.go"])
        .env("GOFLAGS", "-mod=mod")
        .env("GO111MODULE", "off")
        .env("GOTOOLCHAIN", "local")
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    dir.join("remora-go-test")
}

async fn serves(test: &str, flags: &str) {
    if lacks(test, &["go", "curl", "openssl", "sha256sum"]) {
        return;
    }
    let dir = site();
    let program = build(dir.path(), flags);
    let hash = big(dir.path(), "big", 3_000_000);
    let page = sha256(&dir.path().join("page"));
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        // On a busy machine the reader comes late.
        config.tls.ring_bytes = 64 << 20;
        config.tls.call_budget = Some(8 << 20);
        config.tls.only_processes = vec!["remora-go-test".to_owned()];
    });
    let Some(agent) = agent else { return };
    let mut command = Command::new(&program);
    command.args(["serve", &port.to_string()]).current_dir(dir.path());
    let server = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    listens(&hub, port).await;
    hooked(&hub, &agent, server.pid()).await;
    let clients: Vec<_> = (0..6)
        .map(|n| {
            std::thread::spawn(move || {
                let path = |i| if i == 3 { format!("/big?{n}.{i}") } else { format!("/page?{n}.{i}") };
                let paths: Vec<String> = (0..5).map(path).collect();
                (curl(port, &paths), paths)
            })
        })
        .collect();
    let asked: Vec<_> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    let rows = calls(&hub, port, "http", 30).await;
    for (client, paths) in &asked {
        for path in paths {
            let row = rows.iter().find(|r| text(r, "url") == path).unwrap();
            check(row, client, &["structure"]);
            let wanted = if path.starts_with("/big") { &hash } else { &page };
            assert_eq!(text(row, "response_body_sha256"), wanted, "{row:#?}");
        }
    }
    // The same program as client: both ends are watched.
    let paths: Vec<String> = (0..5).map(|i| format!("/page?client.{i}")).collect();
    let done = Command::new(&program).args(["ask", &port.to_string()]).args(&paths).status().unwrap();
    assert!(done.success());
    calls(&hub, port, "http", 35).await;
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    let rows = of(&hub, port, "http");
    let urls: BTreeSet<&str> = rows.iter().map(|r| text(r, "url")).collect();
    assert_eq!((rows.len(), urls.len()), (35, 35), "each call is told once");
    linked(&hub, port, &rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_with_symbols() {
    serves("go_with_symbols", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_stripped() {
    serves("go_stripped", "-s -w").await;
}

/// Answers each connection once. The answer's write returns when the client has had it, has closed the
/// connection, and the server has closed it as well: so it may go where the goroutine that writes is held
/// up for a moment.
const LATE: &str = r#"package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
)

type held struct {
	net.Conn
	answered bool
	gate     chan bool
}

func (h *held) Write(b []byte) (int, error) {
	n, err := h.Conn.Write(b)
	if h.answered {
		<-h.gate
	}
	return n, err
}

func main() {
	cert, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		panic(err)
	}
	page, _ := os.ReadFile("page")
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[2])
	if err != nil {
		panic(err)
	}
	for {
		raw, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		below := &held{Conn: raw, gate: make(chan bool)}
		conn := tls.Server(below, &tls.Config{Certificates: []tls.Certificate{cert}, DynamicRecordSizingDisabled: true})
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			raw.Close()
			continue
		}
		below.answered = true
		done := make(chan bool)
		go func() {
			head := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
			conn.Write(append([]byte(head), page[:4000]...))
			done <- true
		}()
		// The client's end.
		io.Copy(io.Discard, raw)
		conn.Close()
		close(below.gate)
		<-done
	}
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_closes_while_it_writes() {
    let test = "go_closes_while_it_writes";
    if lacks(test, &["go", "openssl", "sha256sum"]) {
        return;
    }
    let dir = site();
    let program = build_of(dir.path(), "", LATE);
    let page = std::fs::read(dir.path().join("page")).unwrap();
    std::fs::write(dir.path().join("part"), &page[..4_000]).unwrap();
    let part = sha256(&dir.path().join("part"));
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        config.tls.only_processes = vec!["remora-go-test".to_owned()];
    });
    let Some(agent) = agent else { return };
    let mut command = Command::new(&program);
    command.args(["serve", &port.to_string()]).current_dir(dir.path());
    let server = Running(command.stdout(Stdio::null()).spawn().unwrap());
    listens(&hub, port).await;
    hooked(&hub, &agent, server.pid()).await;
    for i in 0..5 {
        // Ends when it has read 4000 bytes of the body.
        let mut ask = Command::new("openssl");
        let to = format!("127.0.0.1:{port}");
        ask.args(["s_client", "-quiet", "-connect", &to]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut ask = Running(ask.stderr(Stdio::null()).spawn().unwrap());
        let (mut to, mut from) = (ask.0.stdin.take().unwrap(), ask.0.stdout.take().unwrap());
        write!(to, "GET /late/{i} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let (mut got, mut room) = (Vec::new(), [0; 4_096]);
        while got.iter().filter(|b| **b == b'\n').count() < 4 || !got.ends_with(&page[3_900..4_000]) {
            let n = from.read(&mut room).unwrap();
            assert_ne!(n, 0, "{}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&room[..n]);
        }
    }
    let rows = calls(&hub, port, "http", 5).await;
    for row in &rows {
        assert_eq!(row.get("incomplete"), None, "{row:#?}");
        assert_eq!(text(row, "response_body_sha256"), part, "{row:#?}");
    }
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    assert_eq!(of(&hub, port, "http").len(), 5, "each call is told once");
}
