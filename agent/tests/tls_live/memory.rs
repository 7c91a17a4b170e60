//! Programs that carry encrypted bytes to the library themselves: the library knows no socket.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::hub::{Hub, free_port, start};
use crate::programs::{
    Running, big, calls, check, curl, hooked, lacks, linked, listens, of, sha256, site, text,
};

pub(crate) const NODE_SERVER: &str = r#"
const fs = require("fs"), https = require("https");
https.createServer({ key: fs.readFileSync("key.pem"), cert: fs.readFileSync("cert.pem") }, (q, a) => {
  const body = fs.readFileSync(q.url.startsWith("/big") ? "big" : "page");
  a.writeHead(200, { "Content-Type": "text/plain", "Content-Length": body.length });
  a.end(body);
}).listen(Number(process.argv[1]), "127.0.0.1");
"#;

const ASYNCIO_SERVER: &str = r#"
import asyncio, ssl, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            body = open("big" if path.startswith("/big") else "page", "rb").read()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
    except asyncio.IncompleteReadError:
        pass
    writer.close()
async def main():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain("cert.pem", "key.pem")
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), ssl=c) as s:
        await s.serve_forever()
asyncio.run(main())
"#;

pub(crate) fn run(program: &str, args: &[&str], port: u16, dir: &Path) -> Running {
    let mut command = Command::new(program);
    command.args(args).arg(port.to_string()).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

/// Several clients at once, so that connections could be mixed up. The clients are not watched.
async fn serves(test: &str, program: &str, args: &[&str]) {
    if lacks(test, &[program, "curl", "openssl", "sha256sum"]) {
        return;
    }
    let dir = site();
    let hash = big(dir.path(), "big", 3_000_000);
    let page = sha256(&dir.path().join("page"));
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        // On a busy machine the reader comes late.
        config.tls.ring_bytes = 64 << 20;
        config.tls.call_budget = Some(8 << 20);
        // A client's own library would tell its socket.
        config.tls.only_processes = vec![program.to_owned()];
    });
    let Some(agent) = agent else { return };
    let server = run(program, args, port, dir.path());
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
    let urls: BTreeSet<&str> = rows.iter().map(|r| text(r, "url")).collect();
    assert_eq!(urls.len(), 30);
    for (client, paths) in &asked {
        for path in paths {
            let row = rows.iter().find(|r| text(r, "url") == path).unwrap();
            check(row, client, &["adjacent_io", "nested_io"]);
            let wanted = if path.starts_with("/big") { &hash } else { &page };
            assert_eq!(text(row, "response_body_sha256"), wanted, "{row:#?}");
        }
    }
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    let rows = of(&hub, port, "http");
    assert_eq!(rows.len(), 30, "each call is told once");
    linked(&hub, port, &rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node() {
    serves("node", "node", &["-e", NODE_SERVER]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_asyncio() {
    serves("python_asyncio", "python3", &["-c", ASYNCIO_SERVER]).await;
}
