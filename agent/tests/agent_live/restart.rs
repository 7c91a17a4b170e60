//! An agent that ends while there is no hub, and its successor.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use remora_agent::Transport;

use crate::hub::{Hub, start};

fn serve(listener: TcpListener) {
    for mut stream in listener.incoming().flatten() {
        let mut request = [0; 1_024];
        while stream.read(&mut request).is_ok_and(|n| n > 0) {
            _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_hub_took_is_delivered_by_the_next_run() {
    let test = "what_no_hub_took_is_delivered_by_the_next_run";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(listener));
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_owned();
    let nowhere = Transport::Memory(remora_wire::memory::pair().0);
    let agent = start(test, &[address.port()], nowhere, |c| {
        c.capture.include_own = true;
        c.data_dir = Some(data.clone());
    });
    let Some(agent) = agent else { return };
    let mut client = TcpStream::connect(address).unwrap();
    for i in 0..30 {
        // In one piece, since the server answers each piece.
        client.write_all(format!("GET /{i} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
        assert!(client.read(&mut [0; 1_024]).unwrap() > 0);
    }
    let hub = Hub::default();
    hub.until("the calls are in the spool", |_| {
        agent.status()["shards"].as_array().unwrap().iter().filter_map(|s| s["calls"].as_u64()).sum::<u64>()
            == 30
    })
    .await;
    let summary = agent.shutdown(Duration::ZERO).await;
    assert!(!summary.delivered && summary.left_in_spool > 0, "{summary:?}");

    let agent = start(test, &[address.port()], hub.transport(), |c| c.data_dir = Some(data)).unwrap();
    hub.until("all calls arrive", |h| h.calls(address.port()).len() == 30).await;
    let paths: std::collections::BTreeSet<String> =
        hub.calls(address.port()).into_iter().map(|r| r["path"].clone()).collect();
    assert_eq!(paths.len(), 30);
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
}
