//! Agents that do not keep to the protocol, spoken by hand.

use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::proto::agent_message::Kind;
use crate::proto::hub_message::Kind as Answer;
use crate::proto::{AgentMessage, Batch, Hello, HubMessage, Status};
use crate::testing::{Hub, client_config, tables, until};
use crate::{
    Client, EncodeLimits, Encoder, Form, IngestServer, Limits, MemoryConnector, Spool, SpoolConfig, Transport,
};

struct Talk {
    tx: mpsc::Sender<AgentMessage>,
    rx: Streaming<HubMessage>,
}

impl Talk {
    async fn open(door: &MemoryConnector) -> Self {
        let door = door.clone();
        let connect = tower::service_fn(move |_: tonic::transport::Uri| {
            let door = door.clone();
            async move { door.connect().await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://hub").connect_with_connector(connect).await.unwrap();
        let (tx, queue) = mpsc::channel(16);
        let mut client = crate::proto::ingest_client::IngestClient::new(channel);
        let rx = client.stream(ReceiverStream::new(queue)).await.unwrap().into_inner();
        Self { tx, rx }
    }

    async fn say(&self, kind: Kind) {
        self.tx.send(AgentMessage { kind: Some(kind) }).await.unwrap();
    }

    async fn hear(&mut self) -> Option<Answer> {
        self.rx.message().await.ok().flatten().and_then(|m| m.kind)
    }

    async fn refusal(&mut self) -> String {
        loop {
            match self.hear().await {
                Some(Answer::Refuse(refuse)) => return refuse.reason,
                Some(_) => {}
                None => panic!("ended without a reason"),
            }
        }
    }
}

fn hello() -> Hello {
    Hello {
        protocol: crate::PROTOCOL_VERSION,
        agent_id: "a".to_owned(),
        node: "n".to_owned(),
        run_id: 1,
        spool_id: "0123456789abcdef0123456789abcdef".to_owned(),
        first_seq: 1,
        version: "0".to_owned(),
    }
}

fn batch(seq: u64, id: i64) -> Kind {
    let encoded = Encoder::new(EncodeLimits::default(), Form::Plain).encode(&tables(id, 1, 10)).remove(0);
    Kind::Batch(Batch { seq, tables: encoded.tables })
}

fn hub(limits: Limits) -> (IngestServer<Hub>, MemoryConnector, Hub) {
    let hub = Hub::default();
    hub.lock().eager = true;
    let server = IngestServer::new(hub.clone(), limits);
    let door = server.serve_in_process(std::future::pending());
    (server, door, hub)
}

#[tokio::test]
async fn repeated_and_stepped_back_batches_are_dropped() {
    let (server, door, hub) = hub(Limits::default());
    let mut talk = Talk::open(&door).await;
    talk.say(Kind::Hello(hello())).await;
    for (seq, id) in [(1, 1), (2, 2), (2, 99), (1, 98), (5, 3), (4, 97), (6, 4)] {
        talk.say(batch(seq, id)).await;
    }
    until("all are in", || hub.durable_ids().len() == 4).await;
    assert_eq!(hub.durable_ids(), [1, 2, 3, 4]);
    let stats = server.stats();
    assert_eq!((stats.batches, stats.duplicates, stats.lost), (4, 3, 2));
    assert!(matches!(talk.hear().await, Some(Answer::Welcome(w)) if w.durable_seq == 0));
}

#[tokio::test]
async fn the_newest_stream_of_a_spool_wins_and_hears_how_far_it_came() {
    let (_, door, hub) = hub(Limits::default());
    let mut first = Talk::open(&door).await;
    first.say(Kind::Hello(hello())).await;
    first.say(batch(1, 1)).await;
    until("it is in", || hub.durable_ids().len() == 1).await;
    let mut second = Talk::open(&door).await;
    second.say(Kind::Hello(hello())).await;
    assert!(first.refusal().await.contains("newer"));
    assert!(matches!(second.hear().await, Some(Answer::Welcome(w)) if w.received_seq == 1));
}

#[tokio::test]
async fn nonsense_is_refused_with_a_reason() {
    let (_, door, _) = hub(Limits { tables: 1, ..Limits::default() });
    let wrong = [
        (Kind::Status(Status::default()), "Hello"),
        (Kind::Hello(Hello { protocol: 99, ..hello() }), "version"),
        (Kind::Hello(Hello { spool_id: "x".to_owned(), ..hello() }), "hexadecimal"),
        (Kind::Hello(Hello { node: "n\n".to_owned(), ..hello() }), "control"),
        (Kind::Hello(Hello { agent_id: String::new(), ..hello() }), "names no agent"),
    ];
    for (message, reason) in wrong {
        let mut talk = Talk::open(&door).await;
        talk.say(message).await;
        let heard = talk.refusal().await;
        assert!(heard.contains(reason), "{heard}");
    }
    for (message, reason) in [(Kind::Hello(hello()), "only the first"), (batch(1, 1), "2 tables")] {
        let mut talk = Talk::open(&door).await;
        talk.say(Kind::Hello(hello())).await;
        talk.say(message).await;
        let heard = talk.refusal().await;
        assert!(heard.contains(reason), "{heard}");
    }
}

#[tokio::test]
async fn limits_of_the_hub_hold() {
    let (server, door, hub) = hub(Limits { agents: 1, message: 4_096, ..Limits::default() });
    let mut talk = Talk::open(&door).await;
    talk.say(Kind::Hello(hello())).await;
    assert!(matches!(talk.hear().await, Some(Answer::Welcome(w)) if w.max_message == 4_096));
    // A second agent finds no seat.
    let spool = Spool::open(&SpoolConfig::default());
    let client = Client::start(client_config(), Transport::Memory(door.clone()), spool);
    until("it is told", || client.stats().last_error.is_some_and(|e| e.contains("as many agents"))).await;
    drop(client);
    // A message beyond the limit ends the stream and harms nobody.
    let tables = vec![crate::proto::Table { ipc: vec![0; 10_000].into(), ..Default::default() }];
    talk.say(Kind::Batch(Batch { seq: 1, tables })).await;
    assert!(talk.refusal().await.contains("too large"));
    until("the seat is free", || server.stats().agents == 0).await;
    assert_eq!(hub.lock().disconnects, 1);
}

#[tokio::test]
async fn a_batch_larger_than_the_hub_reads_is_given_up_and_the_rest_arrives() {
    let (_, door, hub) = hub(Limits { message: 20_000, ..Limits::default() });
    let spool = Spool::open(&SpoolConfig::default());
    let mut encoder = Encoder::new(EncodeLimits::default(), Form::Plain);
    for (id, body) in [(1, 10), (2, 50_000), (3, 10)] {
        spool.append(&mut encoder, &tables(id, 1, body));
    }
    let client = Client::start(client_config(), Transport::Memory(door), spool.clone());
    client.set_status("{\"tier\":\"none\"}".to_owned());
    until("the others are in", || hub.durable_ids().len() == 2).await;
    assert_eq!(hub.durable_ids(), [1, 3]);
    until("the status is in", || hub.lock().statuses.iter().any(|s| s["tier"] == "none")).await;
    assert!(client.shutdown(std::time::Duration::from_secs(30)).await);
    assert_eq!((spool.stats().dropped_batches, spool.stats().dropped_rows.total()), (1, 2));
}

#[tokio::test]
async fn rows_are_handed_over_within_the_process_and_nowhere_else() {
    let (server, door, hub) = hub(Limits { credit: 10_000, ..Limits::default() });
    let spool = Spool::open(&SpoolConfig::default());
    let transport = Transport::Memory(door.clone());
    assert_eq!(transport.form(), Form::Handed);
    let mut encoder = Encoder::new(EncodeLimits::default(), transport.form());
    for id in 1..=50 {
        spool.append(&mut encoder, &tables(id, 1, 1_000));
    }
    let client = Client::start(client_config(), transport, spool.clone());
    assert!(client.shutdown(std::time::Duration::from_secs(60)).await);
    assert_eq!(hub.durable_ids(), (1..=50).collect::<Vec<_>>());
    assert!(server.stats().bytes > 50 * 1_000, "{:?}", server.stats());
    assert_eq!(server.stats().rejected_tables, 0);

    // A message that promises rows which nobody left.
    let talk = Talk::open(&door).await;
    talk.say(Kind::Hello(Hello { spool_id: "0".repeat(31) + "7", ..hello() })).await;
    let Kind::Batch(mut message) = batch(1, 99) else { unreachable!() };
    message.tables[0].set_encoding(crate::proto::Encoding::Handed);
    talk.say(Kind::Batch(message)).await;
    until("it is refused", || server.stats().rejected_tables == 1).await;
    assert!(hub.lock().rejected[0].contains("not handed over"));
}

#[tokio::test]
async fn a_table_that_cannot_be_read_costs_itself() {
    let (server, door, hub) = hub(Limits::default());
    let talk = Talk::open(&door).await;
    talk.say(Kind::Hello(hello())).await;
    let Kind::Batch(mut message) = batch(1, 1) else { unreachable!() };
    message.tables.push(crate::proto::Table { table: "secrets".to_owned(), ..Default::default() });
    talk.say(Kind::Batch(message)).await;
    until("it is in", || hub.durable_ids() == [1]).await;
    assert_eq!(server.stats().rejected_tables, 1);
    assert!(hub.lock().rejected[0].contains("secrets"));
}

#[tokio::test]
async fn a_stopping_hub_says_so_and_the_agent_comes_back() {
    let hub = Hub::default();
    hub.lock().eager = true;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = IngestServer::new(hub.clone(), Limits::default());
    let door = server.serve_in_process(async move { _ = stopped.await });
    let spool = Spool::open(&SpoolConfig::default());
    let client = Client::start(client_config(), Transport::Memory(door), spool);
    until("it is connected", || client.stats().connected).await;
    stop.send(()).unwrap();
    until("it noticed", || client.stats().last_error.is_some_and(|e| e.contains("stop"))).await;
    until("the handler was told", || hub.lock().disconnects == 1).await;
}
