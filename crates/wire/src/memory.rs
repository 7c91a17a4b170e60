//! Connections within one process: the same conversation over a pipe in memory, and rows handed
//! over beside it as they are.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use remora_model::TableBatch;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tonic::transport::server::Connected;

/// Bytes that one direction of a pipe holds. Batches that come back from the disk go through it.
const PIPE_BYTES: usize = 256 << 10;

/// Connections that may wait to be accepted.
const BACKLOG: usize = 16;

/// The rows of batches whose messages are under way on one connection, by number. The credit of
/// the stream bounds them.
#[derive(Debug, Default)]
pub(crate) struct Depot(Mutex<BTreeMap<u64, Vec<TableBatch>>>);

impl Depot {
    pub(crate) fn put(&self, seq: u64, rows: Vec<TableBatch>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(seq, rows);
    }

    /// The rows of a batch; none for one that was not handed over.
    pub(crate) fn take(&self, seq: u64) -> Vec<TableBatch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&seq).unwrap_or_default()
    }
}

/// One end of a connection within the process.
#[derive(Debug)]
pub struct MemoryStream {
    pipe: DuplexStream,
    depot: Arc<Depot>,
}

/// What the hub's end knows of a connection.
#[derive(Clone, Debug)]
pub struct MemoryConnectInfo(pub(crate) Arc<Depot>);

#[cfg(test)]
impl MemoryStream {
    /// What lies beside the connection.
    pub(crate) fn depot(&self) -> Arc<Depot> {
        Arc::clone(&self.depot)
    }
}

impl Connected for MemoryStream {
    type ConnectInfo = MemoryConnectInfo;

    fn connect_info(&self) -> MemoryConnectInfo {
        MemoryConnectInfo(Arc::clone(&self.depot))
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buffer)
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// Opens connections to the [`MemoryListener`] it was made with.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    pending: mpsc::Sender<MemoryStream>,
}

impl MemoryConnector {
    /// Opens a connection.
    ///
    /// # Errors
    /// `ConnectionRefused` when the listener is gone.
    pub async fn connect(&self) -> io::Result<MemoryStream> {
        self.connect_with(Arc::default()).await
    }

    /// Opens a connection beside which rows are handed over in `depot`.
    pub(crate) async fn connect_with(&self, depot: Arc<Depot>) -> io::Result<MemoryStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.pending
            .send(MemoryStream { pipe: theirs, depot: Arc::clone(&depot) })
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::ConnectionRefused, "the hub has stopped"))?;
        Ok(MemoryStream { pipe: ours, depot })
    }
}

/// Accepts the connections of its [`MemoryConnector`]s.
#[derive(Debug)]
pub struct MemoryListener {
    pending: mpsc::Receiver<MemoryStream>,
}

impl MemoryListener {
    /// The next connection; `None` when no connector is left.
    pub async fn accept(&mut self) -> Option<MemoryStream> {
        self.pending.recv().await
    }

    pub(crate) fn into_stream(self) -> impl tokio_stream::Stream<Item = io::Result<MemoryStream>> {
        use tokio_stream::StreamExt as _;
        tokio_stream::wrappers::ReceiverStream::new(self.pending).map(Ok)
    }
}

/// A connector and its listener.
pub fn pair() -> (MemoryConnector, MemoryListener) {
    let (tx, rx) = mpsc::channel(BACKLOG);
    (MemoryConnector { pending: tx }, MemoryListener { pending: rx })
}
