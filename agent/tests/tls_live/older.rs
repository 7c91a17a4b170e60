//! Connections that were there before the agent.

use std::time::Duration;

use crate::hub::{Hub, free_port, start};
use crate::programs::{Client, calls, check, hooked, lacks, listens, of, python_server, site, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_read_from_the_next_request_on() {
    let test = "idle_connections_are_read_from_the_next_request_on";
    if lacks(test, &["python3", "openssl"]) {
        return;
    }
    let dir = site();
    let (hub, port) = (Hub::default(), free_port());
    let server = python_server(dir.path(), port);
    listens(&hub, port).await;
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(port)).collect();
    for client in &mut clients {
        client.ask("get /before");
    }
    let Some(agent) = start(test, &[port], hub.transport(), |_| {}) else { return };
    hooked(&hub, &agent, server.pid()).await;
    for client in &clients {
        hooked(&hub, &agent, client.pid()).await;
    }
    for (n, client) in clients.iter_mut().enumerate() {
        for i in 0..3 {
            client.ask(&format!("get /after/{n}/{i}"));
        }
    }
    let rows = calls(&hub, port, "http", 12).await;
    for (n, client) in clients.iter().enumerate() {
        for i in 0..3 {
            let path = format!("/after/{n}/{i}");
            let row = rows
                .iter()
                .find(|r| text(r, "path") == path)
                .unwrap_or_else(|| panic!("no {path}: {rows:#?}"));
            check(row, &client.port, &["nested_io"]);
        }
    }
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    assert_eq!(of(&hub, port, "http").len(), 12);
}
