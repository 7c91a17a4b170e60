//! One stream to the hub.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::Streaming;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::{Transport, Worker};
use crate::memory::Depot;
use crate::proto::agent_message::Kind;
use crate::proto::ingest_client::IngestClient;
use crate::proto::{self, AgentMessage, Batch, Hello, HubMessage, hub_message};
use crate::security::{Target, Token};
use crate::spool::Held;
use crate::{PROTOCOL_VERSION, SecurityError};

/// Messages between us and HTTP/2.
const OUTGOING: usize = 4;

/// Largest answer of a hub.
const MAX_ANSWER: usize = 64 << 10;

/// HTTP/2 windows for answers; they are small.
const WINDOW_BYTES: u32 = 1 << 20;

/// Why a stream ended or never came about.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The settings cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// No connection.
    #[error("cannot connect: {}", chain(.0))]
    Connect(#[from] tonic::transport::Error),
    /// The connection broke, or the hub turned us away before the first message.
    #[error("{}", status_text(.0))]
    Status(Box<Status>),
    /// The hub refused.
    #[error("the hub refused: {reason}")]
    Refused {
        /// In its words.
        reason: String,
        /// True when trying again may help.
        retry: bool,
    },
    /// The hub said something that the protocol does not allow.
    #[error("the hub does not keep to the protocol: {0}")]
    Protocol(&'static str),
    /// No answer in time.
    #[error("the hub did not answer in time")]
    Timeout,
    /// The hub ended the stream.
    #[error("the hub ended the stream")]
    Ended,
}

impl SessionError {
    /// True when only a change of settings or software can help.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Security(_) | Self::Protocol(_) => true,
            Self::Refused { retry, .. } => !retry,
            Self::Status(status) => {
                matches!(status.code(), tonic::Code::Unauthenticated | tonic::Code::PermissionDenied)
            }
            Self::Connect(_) | Self::Timeout | Self::Ended => false,
        }
    }
}

impl From<Status> for SessionError {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

fn chain(error: &tonic::transport::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn status_text(status: &Status) -> String {
    match status.code() {
        tonic::Code::Unauthenticated => format!("the hub does not let us in: {}", status.message()),
        _ => format!("connection lost: {}", status.message()),
    }
}

/// How much may be sent.
struct Flow {
    credit: u64,
    in_flight: u64,
    max_message: u64,
    /// The number sent last.
    sent: u64,
}

impl Flow {
    /// One batch may always be in flight, however small the credit.
    fn allows(&self, bytes: u64) -> bool {
        self.in_flight == 0 || self.in_flight.saturating_add(bytes) <= self.credit
    }
}

impl Worker {
    /// Serves one stream until it ends, which is always an error of some kind.
    pub(super) async fn session(&self) -> SessionError {
        match self.converse().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn converse(&self) -> Result<std::convert::Infallible, SessionError> {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let timeout = self.config.connect_timeout;
        let depot = Arc::new(Depot::default());
        let opened = tokio::time::timeout(timeout, self.open(&outgoing, queue, &depot)).await;
        let mut answers = opened.map_err(|_| SessionError::Timeout)??;
        let first = tokio::time::timeout(timeout, answers.message()).await;
        let mut flow = match first.map_err(|_| SessionError::Timeout)??.and_then(|m| m.kind) {
            Some(hub_message::Kind::Welcome(welcome)) => self.welcomed(&welcome),
            Some(hub_message::Kind::Refuse(refuse)) => return Err(refused(refuse)),
            Some(_) => return Err(SessionError::Protocol("the first answer must be Welcome")),
            None => return Err(SessionError::Ended),
        };
        let mut statuses = self.statuses.clone();
        let mut interval = tokio::time::interval(self.config.status_interval);
        let mut next = None;
        loop {
            // Registered before the look into the spool, so that nothing is missed in between.
            let changed = self.spool.changed();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if next.is_none() {
                next = self.read_after(flow.sent).await;
            }
            let sendable = next.as_ref().filter(|held| flow.allows(size(held)));
            tokio::select! {
                answer = answers.message() => match answer?.and_then(|m| m.kind) {
                    Some(kind) => self.heed(kind, &mut flow)?,
                    None => return Err(SessionError::Ended),
                },
                permit = outgoing.reserve(), if sendable.is_some() => {
                    let permit = permit.map_err(|_| SessionError::Ended)?;
                    if let Some(held) = next.take() {
                        self.send(&held, &mut flow, permit, &depot);
                    }
                }
                () = changed, if next.is_none() => {}
                _ = interval.tick() => say(&outgoing, &mut statuses).await?,
                new = statuses.changed() => {
                    new.map_err(|_| SessionError::Ended)?;
                    say(&outgoing, &mut statuses).await?;
                }
            }
        }
    }

    async fn open(
        &self,
        outgoing: &mpsc::Sender<AgentMessage>,
        queue: mpsc::Receiver<AgentMessage>,
        depot: &Arc<Depot>,
    ) -> Result<Streaming<HubMessage>, SessionError> {
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            agent_id: self.config.agent_id.clone(),
            node: self.config.node.clone(),
            run_id: self.config.run_id,
            spool_id: self.spool.id().to_string(),
            first_seq: self.spool.first_seq(),
            version: self.config.version.clone(),
        };
        let hello = AgentMessage { kind: Some(Kind::Hello(hello)) };
        outgoing.send(hello).await.map_err(|_| SessionError::Ended)?;
        let (channel, token) = self.channel(depot).await?;
        let mut request = Request::new(ReceiverStream::new(queue));
        if let Some(token) = token {
            let value = MetadataValue::try_from(format!("Bearer {}", token.as_str()));
            let mut value = value.map_err(|_| SessionError::Protocol("a token that no header can carry"))?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        let mut client = IngestClient::new(channel).max_decoding_message_size(MAX_ANSWER);
        Ok(client.stream(request).await?.into_inner())
    }

    async fn channel(&self, depot: &Arc<Depot>) -> Result<(Channel, Option<Token>), SessionError> {
        match &self.transport {
            Transport::Memory(connector) => {
                let endpoint = tuned(Endpoint::from_static("http://in-process"));
                let (connector, depot) = (connector.clone(), Arc::clone(depot));
                let connect = tower::service_fn(move |_| {
                    let (connector, depot) = (connector.clone(), Arc::clone(&depot));
                    async move { connector.connect_with(depot).await.map(TokioIo::new) }
                });
                Ok((endpoint.connect_with_connector(connect).await?, None))
            }
            Transport::Tcp { url, security } => {
                let target = Target::new(url, security)?;
                let mut endpoint = tuned(Endpoint::from(target.uri)).tcp_nodelay(true);
                endpoint = endpoint.connect_timeout(self.config.connect_timeout);
                if let Some(tls) = target.tls {
                    endpoint = endpoint.tls_config(tls)?;
                }
                Ok((endpoint.connect().await?, target.token))
            }
        }
    }

    fn welcomed(&self, welcome: &proto::Welcome) -> Flow {
        self.with_stats(|s| {
            s.connected = true;
            s.connects += 1;
            s.last_error = None;
        });
        tracing::info!(
            durable = welcome.durable_seq,
            received = welcome.received_seq,
            "connected to the hub"
        );
        self.spool.pass(welcome.received_seq);
        self.spool.acknowledge(welcome.durable_seq);
        Flow {
            credit: welcome.credit,
            in_flight: 0,
            max_message: welcome.max_message,
            sent: welcome.received_seq,
        }
    }

    fn heed(&self, kind: hub_message::Kind, flow: &mut Flow) -> Result<(), SessionError> {
        match kind {
            hub_message::Kind::Ack(ack) if ack.durable_seq > flow.sent => {
                Err(SessionError::Protocol("it acknowledges what was not sent"))
            }
            hub_message::Kind::Ack(ack) => {
                self.spool.acknowledge(ack.durable_seq);
                Ok(())
            }
            hub_message::Kind::Credit(credit) => {
                flow.in_flight = flow.in_flight.saturating_sub(credit.bytes);
                self.with_stats(|s| s.in_flight = flow.in_flight);
                Ok(())
            }
            hub_message::Kind::Refuse(refuse) => Err(refused(refuse)),
            hub_message::Kind::Welcome(_) => Err(SessionError::Protocol("a second Welcome")),
        }
    }

    fn send(&self, held: &Held, flow: &mut Flow, permit: mpsc::Permit<'_, AgentMessage>, depot: &Depot) {
        flow.sent = held.seq;
        let bytes = size(held);
        if bytes > flow.max_message {
            tracing::warn!(bytes, limit = flow.max_message, "a batch is larger than the hub reads");
            self.spool.give_up(held.seq);
            return;
        }
        let tables = match &self.transport {
            Transport::Memory(_) => {
                if !held.batch.handed.is_empty() {
                    depot.put(held.seq, held.batch.handed.clone());
                }
                held.batch.tables.clone()
            }
            Transport::Tcp { .. } => match held.batch.encoded_tables() {
                Ok(tables) => tables,
                Err(error) => {
                    tracing::error!(%error, "a batch cannot be encoded");
                    self.spool.give_up(held.seq);
                    return;
                }
            },
        };
        let batch = Batch { seq: held.seq, tables };
        permit.send(AgentMessage { kind: Some(Kind::Batch(batch)) });
        flow.in_flight += bytes;
        self.with_stats(|s| {
            s.sent_batches += 1;
            s.sent_bytes += bytes;
            s.in_flight = flow.in_flight;
        });
    }

    /// The next batch to send. Reads the disk where blocking is allowed, if it has to be read.
    async fn read_after(&self, seq: u64) -> Option<Arc<Held>> {
        if !self.spool.reads_disk(seq) {
            return self.spool.next_after(seq);
        }
        let spool = self.spool.clone();
        tokio::task::spawn_blocking(move || spool.next_after(seq)).await.ok().flatten()
    }
}

fn size(held: &Held) -> u64 {
    crate::codec::message_len(held.seq, &held.batch)
}

async fn say(
    outgoing: &mpsc::Sender<AgentMessage>,
    statuses: &mut watch::Receiver<String>,
) -> Result<(), SessionError> {
    let json = statuses.borrow_and_update().clone();
    let status = proto::Status { json };
    let message = AgentMessage { kind: Some(Kind::Status(status)) };
    outgoing.send(message).await.map_err(|_| SessionError::Ended)
}

fn refused(refuse: proto::Refuse) -> SessionError {
    SessionError::Refused { reason: refuse.reason, retry: refuse.retry }
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_keep_alive_interval(std::time::Duration::from_secs(15))
        .keep_alive_timeout(std::time::Duration::from_secs(15))
        .keep_alive_while_idle(true)
}
