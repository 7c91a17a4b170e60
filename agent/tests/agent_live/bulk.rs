//! Large downloads: beside small calls, and counted to the byte.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use remora_agent::kernel::Tier;
use remora_model::Table;

use crate::hub::{Hub, start};

/// Large enough to fill every budget many times over.
const BODY: u64 = 512 << 20;

fn head(len: u64) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n")
}

/// Answers `/big` with so many bytes and everything else with two.
fn serve(listener: TcpListener, body: u64) {
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
                let len = if big { body } else { 2 };
                if writer.write_all(head(len).as_bytes()).is_err() {
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
    std::thread::spawn(move || serve(listener, BODY));
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

/// Every packet of a download is counted once, whether it is copied or left out: the bytes of a side
/// are those of its stream and a header for each packet.
async fn every_byte_is_counted(test: &str, tier: Tier, body: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(listener, body));
    let hub = Hub::default();
    let agent = start(test, &[address.port()], hub.transport(), |c| {
        c.capture.include_own = true;
        c.kernel.tier = Some(tier);
        c.kernel.ring_bytes = 64 << 20;
        if tier != Tier::Cgroup {
            c.kernel.interfaces = vec!["lo".to_owned()];
        }
    });
    let Some(agent) = agent else { return };
    let got = std::thread::spawn(move || get(&mut TcpStream::connect(address).unwrap(), "/big"));
    assert_eq!(got.join().unwrap(), body);
    let port = address.port().to_string();
    let mut rows = Vec::new();
    hub.until("the flow is closed", |h| {
        rows = h.rows(Table::Flows);
        rows.retain(|r| {
            r.get("dst.port") == Some(&port) && r.get("conn_state").is_some_and(|s| s == "closed")
        });
        !rows.is_empty()
    })
    .await;
    let status = agent.status();
    agent.shutdown(Duration::from_secs(30)).await;
    // The row that came last: an acknowledgement may come after the end.
    let row = hub.rows(Table::Flows).into_iter().rfind(|r| r.get("dst.port") == Some(&port)).unwrap();
    let number = |name: &str| row.get(name).map_or(0, |n| n.parse::<u64>().unwrap());
    if status["counters"].as_array().unwrap().iter().any(|c| c["reason"] == "ring_full") {
        eprintln!("SKIPPED: {test}: the machine is too busy to take all packets");
        return;
    }
    let shunted = status["shards"].as_array().unwrap().iter().any(|s| s["shunts"] != 0);
    assert_eq!(shunted, tier != Tier::Packet, "{status:#?}");
    // IPv4, TCP and timestamps; a SYN has three more options and their padding.
    let (header, syn) = (20 + 20 + 12, 8);
    let answered = head(body).len() as u64 + body;
    let repeated = number("tcp_retransmits") > 0;
    let sent = number("dst.bytes") - header * number("dst.packets") - syn;
    assert!(sent == answered || repeated && sent > answered, "{sent} {answered}: {row:#?}");
    let asked = "GET /big HTTP/1.1\r\nHost: test\r\n\r\n".len() as u64;
    // An acknowledgement may say what came out of order: 12 to 28 bytes of options (RFC 2018).
    let more = number("src.bytes") - asked - header * number("src.packets") - syn;
    assert!(more.is_multiple_of(4) && more <= 28 * number("src.packets"), "{more}: {row:#?}");
    // At least: SYN, ACK, request, an acknowledgement, FIN; SYN, head and body, FIN.
    assert!(number("src.packets") >= 5 && number("dst.packets") >= 3, "{row:#?}");
    assert!(row.contains_key("tcp_rtt_us"), "{row:#?}");
    assert_eq!(row["close_reason"], "fin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_is_counted_at_sockets() {
    every_byte_is_counted("every_byte_is_counted_at_sockets", Tier::Cgroup, 128 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_is_counted_at_interfaces() {
    every_byte_is_counted("every_byte_is_counted_at_interfaces", Tier::Tc, 128 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_is_counted_by_packet_sockets() {
    every_byte_is_counted("every_byte_is_counted_by_packet_sockets", Tier::Packet, 8 << 20).await;
}
