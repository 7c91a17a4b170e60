//! Connections within one process: the same HTTP/2 bytes over a pipe in memory.

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Bytes that one direction of a pipe holds.
const PIPE_BYTES: usize = 256 << 10;

/// Connections that may wait to be accepted.
const BACKLOG: usize = 16;

/// Opens connections to the [`MemoryListener`] it was made with.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    pending: mpsc::Sender<DuplexStream>,
}

impl MemoryConnector {
    /// Opens a connection.
    ///
    /// # Errors
    /// `ConnectionRefused` when the listener is gone.
    pub async fn connect(&self) -> std::io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.pending
            .send(theirs)
            .await
            .map_err(|_| std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "the hub has stopped"))?;
        Ok(ours)
    }
}

/// Accepts the connections of its [`MemoryConnector`]s.
#[derive(Debug)]
pub struct MemoryListener {
    pending: mpsc::Receiver<DuplexStream>,
}

impl MemoryListener {
    /// The next connection; `None` when no connector is left.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.pending.recv().await
    }

    pub(crate) fn into_stream(self) -> impl tokio_stream::Stream<Item = std::io::Result<DuplexStream>> {
        use tokio_stream::StreamExt as _;
        tokio_stream::wrappers::ReceiverStream::new(self.pending).map(Ok)
    }
}

/// A connector and its listener.
pub fn pair() -> (MemoryConnector, MemoryListener) {
    let (tx, rx) = mpsc::channel(BACKLOG);
    (MemoryConnector { pending: tx }, MemoryListener { pending: rx })
}
