//! One stream from one agent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::Stream;
use remora_model::TableBatch;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::registry::{Lease, Position};
use super::{Counters, IngestHandler, Inner, Refusal};
use crate::codec::{self, batch_len};
use crate::memory::{Depot, MemoryConnectInfo};
use crate::proto::agent_message::Kind;
use crate::proto::{
    Ack, AgentMessage, Batch, Credit, Encoding, Hello, HubMessage, Refuse, Welcome, hub_message,
};
use crate::security::ServerAuth;
use crate::{IncomingBatch, Limits, PROTOCOL_VERSION, Source, SpoolId};

/// Answers that may wait for the agent to read them.
const ANSWERS: usize = 64;

/// Longest name that an agent may give itself.
const NAME_LEN: usize = 256;

/// Longest status that is parsed, in bytes.
const STATUS_LEN: usize = 1 << 20;

/// Batches above this size are decoded where blocking is allowed.
const DECODE_INLINE: usize = 256 << 10;

type Answers = mpsc::Sender<Result<HubMessage, Status>>;

/// The gRPC service.
pub(super) struct Endpoint<H> {
    inner: Arc<Inner<H>>,
    auth: Option<Arc<ServerAuth>>,
    stopping: watch::Receiver<bool>,
}

impl<H> Endpoint<H> {
    pub(super) fn new(
        inner: Arc<Inner<H>>,
        auth: Option<Arc<ServerAuth>>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { inner, auth, stopping }
    }
}

#[tonic::async_trait]
impl<H: IngestHandler> crate::proto::ingest_server::Ingest for Endpoint<H> {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<HubMessage, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let counters = &self.inner.counters;
        if let Some(auth) = &self.auth
            && let Err(status) = auth.check(request.metadata())
        {
            Counters::add(&counters.refused, 1);
            return Err(status);
        }
        let Some(seat) = Seat::take(&self.inner.counters.agents, self.inner.limits.agents) else {
            Counters::add(&counters.refused, 1);
            return Err(Status::resource_exhausted("the hub serves as many agents as it may"));
        };
        let (answers, outgoing) = mpsc::channel(ANSWERS);
        let session = Session {
            inner: Arc::clone(&self.inner),
            peer: request.remote_addr(),
            depot: request.extensions().get::<MemoryConnectInfo>().map(|i| Arc::clone(&i.0)),
            answers,
            stopping: self.stopping.clone(),
        };
        // A task of its own: a batch that the handler has begun to take is not cut off half way
        // when the agent goes away.
        tokio::spawn(async move {
            session.run(request.into_inner()).await;
            seat.leave(&session.inner.counters.agents);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

/// A place among the agents served at once.
struct Seat;

impl Seat {
    fn take(taken: &AtomicU64, most: usize) -> Option<Self> {
        let step = |n| (n < most as u64).then_some(n + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok().map(|_| Self)
    }

    fn leave(self, taken: &AtomicU64) {
        taken.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Session<H> {
    inner: Arc<Inner<H>>,
    peer: Option<std::net::SocketAddr>,
    /// Where an agent of this process leaves its rows.
    depot: Option<Arc<Depot>>,
    answers: Answers,
    stopping: watch::Receiver<bool>,
}

impl<H: IngestHandler> Session<H> {
    async fn run(&self, mut incoming: Streaming<AgentMessage>) {
        let outcome = match self.hello(&mut incoming).await {
            Ok(source) => self.serve(&source, &mut incoming).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = outcome {
            Counters::add(&self.inner.counters.refused, 1);
            let refuse = Refuse { reason: refusal.reason, retry: refusal.retry };
            self.answer(hub_message::Kind::Refuse(refuse)).await;
        }
    }

    async fn answer(&self, kind: hub_message::Kind) -> bool {
        send(&self.answers, kind, &self.inner.limits).await
    }

    async fn hello(&self, incoming: &mut Streaming<AgentMessage>) -> Result<Source, Refusal> {
        let first = tokio::time::timeout(self.inner.limits.hello, incoming.message()).await;
        let Ok(Ok(Some(AgentMessage { kind: Some(Kind::Hello(hello)) }))) = first else {
            return Err(Refusal::later("the first message must be Hello, and soon"));
        };
        source(hello, self.peer)
    }

    async fn serve(&self, source: &Source, incoming: &mut Streaming<AgentMessage>) -> Result<(), Refusal> {
        let lease =
            tokio::time::timeout(self.inner.limits.idle, self.inner.registry.lease(source.spool)).await;
        let Ok(lease) = lease else {
            return Err(Refusal::later("an older stream of this spool is still being taken in"));
        };
        let Some(Lease { mut position, turn }) = lease else {
            return Err(Refusal::later("the hub remembers as many spools as it may"));
        };
        let handler = &self.inner.handler;
        let mut durable = handler.connect(source).await?;
        position.durable = *durable.borrow_and_update();
        position.received = position.received.max(position.durable);
        let welcome = Welcome {
            durable_seq: position.durable,
            received_seq: position.received,
            credit: self.inner.limits.credit,
            max_message: self.inner.limits.message as u64,
        };
        let mut why = Ok("the agent has gone");
        if self.answer(hub_message::Kind::Welcome(welcome)).await {
            let acks =
                tokio::spawn(acknowledge(durable.clone(), self.answers.clone(), self.inner.limits.clone()));
            let mut stopping = self.stopping.clone();
            why = tokio::select! {
                why = self.take_in(source, &mut position, incoming) => why,
                () = turn.is_over() => Err(Refusal::later("a newer stream carries this spool")),
                _ = stopping.wait_for(|stop| *stop) => Err(Refusal::later("the hub is stopping")),
            };
            acks.abort();
        }
        position.durable = position.durable.max(*durable.borrow_and_update());
        let text = why.as_ref().map_or_else(|refusal| refusal.reason.clone(), |gone| (*gone).to_owned());
        handler.disconnect(source, &text).await;
        why.map(|_| ())
    }

    async fn take_in(
        &self,
        source: &Source,
        position: &mut Position,
        incoming: &mut Streaming<AgentMessage>,
    ) -> Result<&'static str, Refusal> {
        loop {
            let message = match tokio::time::timeout(self.inner.limits.idle, incoming.message()).await {
                Err(_) => return Ok("the agent fell silent"),
                Ok(Ok(None)) => return Ok("the agent has ended the stream"),
                Ok(Err(status)) if status.code() == tonic::Code::OutOfRange => {
                    return Err(Refusal::never(format!("a message is too large: {}", status.message())));
                }
                Ok(Err(_)) => return Ok("the connection broke"),
                Ok(Ok(Some(message))) => message,
            };
            match message.kind {
                Some(Kind::Batch(batch)) => {
                    let bytes = batch_len(&batch);
                    self.batch(source, position, batch).await?;
                    if !self.answer(hub_message::Kind::Credit(Credit { bytes })).await {
                        return Ok("the agent has stopped listening");
                    }
                }
                Some(Kind::Status(status)) if status.json.len() <= STATUS_LEN => {
                    // A status that is no JSON costs nothing but itself.
                    if let Ok(value) = serde_json::from_str(&status.json) {
                        self.inner.handler.status(source, value).await;
                    }
                }
                Some(Kind::Status(_)) | None => {}
                Some(Kind::Hello(_)) => return Err(Refusal::later("Hello is only the first message")),
            }
        }
    }

    async fn batch(&self, source: &Source, position: &mut Position, batch: Batch) -> Result<(), Refusal> {
        let counters = &self.inner.counters;
        let handed = self.depot.as_ref().map(|d| d.take(batch.seq)).unwrap_or_default();
        if batch.seq <= position.received {
            Counters::add(&counters.duplicates, 1);
            return Ok(());
        }
        if batch.tables.len() > self.inner.limits.tables {
            return Err(Refusal::never(format!("a batch of {} tables", batch.tables.len())));
        }
        let (seq, wire_bytes) = (batch.seq, batch_len(&batch));
        let lost_before = crate::spool::holes(position.received, seq);
        let incoming = if handed.is_empty() && wire_bytes as usize > DECODE_INLINE {
            let limits = self.inner.limits.clone();
            let work = tokio::task::spawn_blocking(move || decode(&batch, handed, &limits));
            work.await.map_err(|_| Refusal::later("the hub is stopping"))?
        } else {
            decode(&batch, handed, &self.inner.limits)
        };
        let incoming = IncomingBatch { lost_before, ..incoming };
        for reason in &incoming.rejected {
            tracing::warn!(node = source.node, seq, reason, "a table from an agent cannot be read");
        }
        Counters::add(&counters.rejected_tables, incoming.rejected.len() as u64);
        Counters::add(&counters.unknown_columns, incoming.unknown_columns);
        Counters::add(&counters.lost, lost_before);
        self.inner.handler.batch(source, incoming).await?;
        position.received = seq;
        Counters::add(&counters.batches, 1);
        Counters::add(&counters.bytes, wire_bytes);
        Ok(())
    }
}

async fn send(answers: &Answers, kind: hub_message::Kind, limits: &Limits) -> bool {
    let message = Ok(HubMessage { kind: Some(kind) });
    matches!(tokio::time::timeout(limits.idle, answers.send(message)).await, Ok(Ok(())))
}

/// Passes on what becomes durable. Apart from the batches, so that a handler which waits for its
/// disk does not keep the news of that disk back.
async fn acknowledge(mut durable: watch::Receiver<u64>, answers: Answers, limits: Limits) {
    while durable.changed().await.is_ok() {
        let durable_seq = *durable.borrow_and_update();
        if !send(&answers, hub_message::Kind::Ack(Ack { durable_seq }), &limits).await {
            return;
        }
    }
}

/// `handed`: the rows of those tables that are not in the message.
fn decode(batch: &Batch, handed: Vec<TableBatch>, limits: &Limits) -> IncomingBatch {
    let mut out = IncomingBatch {
        seq: batch.seq,
        lost_before: 0,
        tables: Vec::with_capacity(batch.tables.len()),
        wire_bytes: usize::try_from(batch_len(batch)).unwrap_or(usize::MAX),
        unknown_columns: 0,
        rejected: Vec::new(),
    };
    let mut handed = handed.into_iter();
    for table in &batch.tables {
        let decoded = if table.encoding() == Encoding::Handed {
            let rows = handed.next().filter(|rows| rows.table.name() == table.table);
            let decoded = |table| codec::Decoded { table, unknown_columns: 0 };
            rows.map(decoded).ok_or(codec::DecodeError::NotHanded)
        } else {
            codec::decode(table, limits)
        };
        match decoded {
            Ok(decoded) => {
                out.unknown_columns += decoded.unknown_columns;
                out.tables.push(decoded.table);
            }
            Err(error) => out.rejected.push(error.to_string()),
        }
    }
    out
}

fn source(hello: Hello, peer: Option<std::net::SocketAddr>) -> Result<Source, Refusal> {
    if hello.protocol != PROTOCOL_VERSION {
        return Err(Refusal::never(format!(
            "the hub speaks version {PROTOCOL_VERSION} of the protocol and the agent version {}: upgrade the older one",
            hello.protocol
        )));
    }
    let names = [&hello.agent_id, &hello.node, &hello.version];
    if names.iter().any(|n| n.len() > NAME_LEN || n.chars().any(char::is_control)) {
        return Err(Refusal::never("a name in Hello is too long or has control characters"));
    }
    if hello.agent_id.is_empty() || hello.node.is_empty() {
        return Err(Refusal::never("Hello names no agent or no node"));
    }
    let spool = SpoolId::parse(&hello.spool_id);
    Ok(Source {
        spool: spool.ok_or_else(|| Refusal::never("a spool id must be 32 hexadecimal digits"))?,
        agent_id: hello.agent_id,
        node: hello.node,
        run_id: hello.run_id,
        first_seq: hello.first_seq,
        version: hello.version,
        peer,
    })
}
