//! A large download beside small calls.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::hub::{Hub, start};

/// Large enough to fill every budget many times over.
const BODY: u64 = 512 << 20;

/// Answers `/big` with [`BODY`] bytes and everything else with two.
fn serve(listener: TcpListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut writer = stream;
            loop {
                let mut big = false;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    big |= line.starts_with("GET /big");
                    if line == "\r\n" {
                        break;
                    }
                }
                let len = if big { BODY } else { 2 };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
                if writer.write_all(head.as_bytes()).is_err() {
                    return;
                }
                let chunk = vec![b'x'; 64 << 10];
                let mut left = len;
                while left > 0 {
                    let n = left.min(chunk.len() as u64) as usize;
                    if writer.write_all(&chunk[..n]).is_err() {
                        return;
                    }
                    left -= n as u64;
                }
            }
        });
    }
}

fn get(stream: &mut TcpStream, path: &str) -> u64 {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut reader = BufReader::with_capacity(1 << 20, stream);
    let mut len = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            len = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    std::io::copy(&mut reader.take(len), &mut std::io::sink()).unwrap()
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_download_neither_fills_memory_nor_hides_others() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(listener));
    let hub = Hub::default();
    let test = "a_large_download_neither_fills_memory_nor_hides_others";
    let agent = start(test, &[address.port()], hub.transport(), |c| c.capture.include_own = true);
    let Some(agent) = agent else { return };
    let before = memory();
    let big = std::thread::spawn(move || get(&mut TcpStream::connect(address).unwrap(), "/big"));
    let mut small = TcpStream::connect(address).unwrap();
    let mut asked = 0;
    while asked < 50 || !big.is_finished() {
        assert_eq!(get(&mut small, &format!("/small/{asked}")), 2);
        asked += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(big.join().unwrap(), BODY);
    hub.until("all calls arrive", |h| h.calls(address.port()).len() > asked).await;
    let grown = memory().saturating_sub(before);
    let calls = hub.calls(address.port());
    let big = calls.iter().find(|r| r["path"] == "/big").unwrap();
    assert_eq!(big["response_body_size"], BODY.to_string(), "{big:#?}\n{:#?}", agent.status());
    assert_eq!(big["response_body_truncated"], "true");
    assert_eq!(big.get("response.body").map(String::len), Some(64 << 10));
    let whole = calls.iter().filter(|r| r["path"].starts_with("/small/") && r.get("status_code").is_some());
    assert_eq!(whole.count(), asked, "{:#?}", agent.status());
    assert!(grown < 256 << 20, "memory grew by {grown} bytes");
    agent.shutdown(Duration::from_secs(30)).await;
}
