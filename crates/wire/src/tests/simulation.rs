//! Agents and hubs that die, connections that break, spools that tear. `SEED=n` replays a run.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::testing::{Hub, Rng, client_config, tables, until};
use crate::{
    Client, EncodeLimits, Encoder, Form, IngestServer, Limits, MemoryConnector, Spool, SpoolConfig,
    Transport, memory,
};

/// A hub process: a runtime of its own, so that it can be killed.
struct Process {
    hub: Hub,
    runtime: tokio::runtime::Runtime,
    door: MemoryConnector,
}

impl Process {
    fn start(hub: Hub, limits: &Limits) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = IngestServer::new(hub.clone(), limits.clone());
        let guard = runtime.enter();
        let door = server.serve_in_process(std::future::pending());
        drop(guard);
        Self { hub, runtime, door }
    }

    fn kill(self) -> Hub {
        let next = self.hub.kill();
        self.runtime.shutdown_background();
        next
    }
}

/// Connects agents to whatever hub there is, and cuts connections after a number of bytes.
struct Network {
    door: Arc<Mutex<MemoryConnector>>,
    cut: tokio::sync::broadcast::Sender<()>,
    connector: MemoryConnector,
}

impl Network {
    fn start(door: MemoryConnector, seed: u64) -> Self {
        let (connector, mut listener) = memory::pair();
        let door = Arc::new(Mutex::new(door));
        let (cut, _) = tokio::sync::broadcast::channel(4);
        let (to, cuts) = (Arc::clone(&door), cut.clone());
        tokio::spawn(async move {
            let mut rng = Rng(seed);
            while let Some(mut near) = listener.accept().await {
                let door = to.lock().unwrap().clone();
                let lifetime = 1_000 + rng.below(200_000);
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    // Rows lie beside both halves of the way.
                    let Ok(far) = door.connect_with(near.depot()).await else { return };
                    // The limit cuts a message in two wherever it happens to fall.
                    let (far_read, mut far_write) = tokio::io::split(far);
                    let (near_read, mut near_write) = tokio::io::split(&mut near);
                    use tokio::io::AsyncReadExt as _;
                    let mut up = near_read.take(lifetime);
                    let mut down = far_read.take(lifetime);
                    tokio::select! {
                        _ = tokio::io::copy(&mut up, &mut far_write) => {}
                        _ = tokio::io::copy(&mut down, &mut near_write) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        Self { door, cut, connector }
    }
}

struct Agent {
    spool: Spool,
    client: Client,
}

impl Agent {
    fn start(dir: &Path, network: &Network) -> Self {
        // Little memory, so that the disk has its part in everything.
        let config = SpoolConfig { dir: Some(dir.to_owned()), memory_bytes: 8 << 10, disk_bytes: 64 << 20 };
        let spool = Spool::open(&config);
        assert_eq!(spool.stats().last_disk_error, None);
        let transport = Transport::Memory(network.connector.clone());
        Self { client: Client::start(client_config(), transport, spool.clone()), spool }
    }

    async fn stop(self, patience: Duration) {
        self.client.shutdown(patience).await;
        drop(self.client);
        self.spool.close();
        gone(self.spool).await;
    }

    /// Dies without a word.
    async fn kill(self) {
        drop(self.client);
        gone(self.spool).await;
    }
}

/// The directory is free again once the last handle is; a read of the disk may still hold one.
async fn gone(spool: Spool) {
    until("the spool is let go", || spool.is_last_handle()).await;
}

fn tear(dir: &Path, rng: &mut Rng) {
    let segments = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut segments: Vec<_> = segments.filter(|p| p.extension().is_some_and(|e| e == "seg")).collect();
    segments.sort();
    if let Some(last) = segments.last() {
        let file = std::fs::OpenOptions::new().write(true).open(last).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(len - rng.below(400).min(len)).unwrap();
    }
}

async fn run(seed: u64) {
    let mut rng = Rng(seed);
    let limits = Limits { credit: 3_000, ..Limits::default() };
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(Hub::default(), &limits);
    let network = Network::start(process.door.clone(), rng.next());
    let mut agent = Agent::start(dir.path(), &network);
    let form = [Form::Handed, Form::Plain, Form::Compressed][rng.below(3) as usize];
    let mut encoder = Encoder::new(EncodeLimits::default(), form);
    let mut next_id = 1;
    let mut may_be_lost = HashSet::new();
    for _ in 0..80 {
        match rng.below(20) {
            0..9 => {
                for _ in 0..=rng.below(12) {
                    let n = 1 + rng.below(3) as i64;
                    agent.spool.append(&mut encoder, &tables(next_id, n, rng.below(600) as usize));
                    next_id += n;
                }
            }
            9..12 => process.hub.flush(),
            12 | 13 => _ = network.cut.send(()),
            14 => {
                let next = process.kill();
                process = Process::start(next, &limits);
                *network.door.lock().unwrap() = process.door.clone();
            }
            15 => {
                agent.stop(Duration::from_millis(rng.below(5))).await;
                agent = Agent::start(dir.path(), &network);
            }
            16 => {
                agent.kill().await;
                if rng.below(2) == 0 {
                    tear(dir.path(), &mut rng);
                }
                // What was not acknowledged may have died with it.
                let safe: HashSet<i64> = process.hub.durable_ids().into_iter().collect();
                may_be_lost.extend((1..next_id).filter(|id| !safe.contains(id)));
                agent = Agent::start(dir.path(), &network);
            }
            17 => process.hub.lock().full ^= true,
            _ => {
                let before = agent.client.stats().sent_batches;
                for _ in 0..20 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    if agent.client.stats().sent_batches > before + 3 {
                        break;
                    }
                }
            }
        }
    }
    process.hub.lock().full = false;
    until("everything is acknowledged", || {
        process.hub.flush();
        agent.spool.is_empty()
    })
    .await;
    let stats = agent.spool.stats();
    assert_eq!(stats.dropped_batches, 0, "{stats:?}");
    agent.stop(Duration::ZERO).await;
    let ids = process.hub.durable_ids();
    let unique: HashSet<i64> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "an id arrived twice");
    let missing: Vec<i64> =
        (1..next_id).filter(|id| !unique.contains(id) && !may_be_lost.contains(id)).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    process.runtime.shutdown_background();
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_arrives_twice() {
    let seeds: Vec<u64> = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => {
            let mut bytes = [0; 8];
            crate::source::random(&mut bytes);
            let first = u64::from_le_bytes(bytes) >> 16;
            (first..first + 10).collect()
        }
    };
    for seed in seeds {
        eprintln!("SEED={seed}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(seed));
        runtime.shutdown_background();
    }
}
