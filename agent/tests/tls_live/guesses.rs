//! Functions that are found by a guess: right ones, of OpenSSL in a program without symbols, and wrong
//! ones, which must be found out.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::hub::{Hub, free_port, start};
use crate::programs::{
    Running, big, calls, check, checked, curl, hooked, lacks, linked, listens, of, sha256, site, text,
};

/// Answers each request with a file, in one thread for each connection.
const SERVER: &str = r#"
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <unistd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
static SSL_CTX *ctx;
static void *serve(void *arg) {
  SSL *ssl = SSL_new(ctx);
  char in[20000]; int n;
  SSL_set_fd(ssl, (int)(long)arg);
  if (SSL_accept(ssl) == 1)
    while ((n = SSL_read(ssl, in, sizeof in - 1)) > 0) {
      char head[200]; long len; char *body; FILE *f;
      in[n] = 0;
      f = fopen(strstr(in, "/big") ? "big" : "page", "rb");
      fseek(f, 0, SEEK_END); len = ftell(f); rewind(f);
      body = malloc(len); len = fread(body, 1, len, f); fclose(f);
      n = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", len);
      SSL_write(ssl, head, n); SSL_write(ssl, body, len);
      free(body);
    }
  SSL_free(ssl); close((int)(long)arg);
  return 0;
}
int main(int c, char **v) {
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(v[1])), .sin_addr = { htonl(INADDR_LOOPBACK) } };
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  signal(SIGPIPE, SIG_IGN);
  ctx = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate_chain_file(ctx, "cert.pem"); SSL_CTX_use_PrivateKey_file(ctx, "key.pem", 1);
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(s, (void *)&a, sizeof a) || listen(s, 64)) return 1;
  for (;;) { pthread_t t; pthread_create(&t, 0, serve, (void *)(long)accept(s, 0, 0)); pthread_detach(t); }
}
"#;

/// What tells errors as BoringSSL does, and is something else: it returns more than there is room for. It prints a
/// line for each turn.
const DECOY: &str = r#"
#include <stdio.h>
#include <unistd.h>
#define FILE_NAME "/src/ssl/ssl_lib.cc"
volatile int never, sum;
void ERR_put_error(int l, int z, int reason, const char *f, unsigned n) { sum += l + z + reason + f[0] + n; }
int helper(int x) { return sum += x; }
int inside(void *h) {
  if (never) ERR_put_error(16, 0, 226, FILE_NAME, 1);
  if (never > 1) ERR_put_error(16, 0, 215, FILE_NAME, 2);
  return helper(1) - helper(2);
}
int reads(void *h, void *b, int n) {
  if (never) ERR_put_error(16, 0, 66, FILE_NAME, 3);
  helper(2); helper(3); helper(4); helper(5);
  inside(h);
  return n + 1;
}
int writes(void *h, const void *b, int n) {
  if (never) ERR_put_error(16, 0, 226, FILE_NAME, 4);
  if (never > 1) ERR_put_error(16, 0, 111, FILE_NAME, 5);
  if (never > 2) ERR_put_error(16, 0, 215, FILE_NAME, 6);
  helper(6);
  return n + 1;
}
int main(void) {
  char handle[64] = "", buf[100] = "";
  for (int i = 0;; i++) { reads(handle, buf, 90); writes(handle, buf, 90); printf("%d\n", i); fflush(stdout); usleep(20000); }
}
"#;

/// Compiles and strips a program; false: that cannot be done here.
fn built(test: &str, dir: &Path, name: &str, source: &str, args: &[&str]) -> bool {
    std::fs::write(dir.join(format!("{name}.c")), source).unwrap();
    let out = Command::new("cc")
        .args([
            "-O1",
            "-w",
            "-fno-inline",
            "-fno-optimize-sibling-calls",
            "-s",
            "-o",
            name,
            &format!("{name}.c"),
        ])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    if !out.status.success() {
        eprintln!("SKIPPED: {test}: {}", String::from_utf8_lossy(&out.stderr));
    }
    out.status.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_without_symbols() {
    let test = "openssl_without_symbols";
    if lacks(test, &["cc", "curl", "openssl", "sha256sum"]) {
        return;
    }
    let dir = site();
    let libraries = ["-l:libssl.a", "-l:libcrypto.a", "-ldl", "-lpthread"];
    if !built(test, dir.path(), "remora-static", SERVER, &libraries) {
        return;
    }
    let hash = big(dir.path(), "big", 3_000_000);
    let page = sha256(&dir.path().join("page"));
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        // On a busy machine the reader comes late.
        config.tls.ring_bytes = 64 << 20;
        config.tls.call_budget = Some(8 << 20);
        config.tls.only_processes = vec!["remora-static".to_owned()];
    });
    let Some(agent) = agent else { return };
    let mut command = Command::new(dir.path().join("remora-static"));
    let server = Running(command.arg(port.to_string()).current_dir(dir.path()).spawn().unwrap());
    listens(&hub, port).await;
    hooked(&hub, &agent, server.pid()).await;
    let mut asked = Vec::new();
    for n in 0..6 {
        let path = |i| if i == 3 { format!("/big?{n}.{i}") } else { format!("/page?{n}.{i}") };
        let paths: Vec<String> = (0..5).map(path).collect();
        asked.push((curl(port, &paths), paths));
    }
    calls(&hub, port, "http", 30).await;
    checked(&hub, &agent, server.pid(), "OpenSSL").await;
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    let rows = of(&hub, port, "http");
    for (client, paths) in &asked {
        for path in paths {
            let row = rows.iter().find(|r| text(r, "url") == path).unwrap();
            check(row, client, &["nested_io", "descriptor"]);
            let wanted = if path.starts_with("/big") { &hash } else { &page };
            assert_eq!(text(row, "response_body_sha256"), wanted, "{row:#?}");
        }
    }
    assert_eq!(rows.len(), 30, "each call is told once");
    linked(&hub, port, &rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_guess_is_given_up() {
    let test = "a_wrong_guess_is_given_up";
    if lacks(test, &["cc", "openssl"]) {
        return;
    }
    let dir = site();
    if !built(test, dir.path(), "remora-decoy", DECOY, &[]) {
        return;
    }
    let hub = Hub::default();
    let Some(agent) = start(test, &[free_port()], hub.transport(), |config| {
        config.tls.only_processes = vec!["remora-decoy".to_owned()];
    }) else {
        return;
    };
    let mut command = Command::new(dir.path().join("remora-decoy"));
    let out = std::fs::File::create(dir.path().join("turns")).unwrap();
    let decoy = Running(command.stdout(Stdio::from(out)).spawn().unwrap());
    let failed = |s: &remora_agent::tls::TlsStatus| {
        s.pid == decoy.pid() && !s.hooked && s.reason.as_ref().is_some_and(|why| why.contains("trial"))
    };
    hub.until("the guess is given up", |_| agent.tls().iter().any(failed)).await;
    let turns = || std::fs::read_to_string(dir.path().join("turns")).unwrap().lines().count();
    let before = turns();
    hub.until("the program goes on", |_| turns() > before + 5).await;
    let mine = agent.tls().into_iter().find(failed).unwrap();
    assert_eq!((mine.library, mine.plain_bytes), (Some("BoringSSL"), 0));
    agent.shutdown(Duration::from_secs(30)).await;
}
