//! The plaintext of TLS connections that a capture has from the libraries which encrypt and decrypt it.
//!
//! It belongs to the flow whose packets carry it encrypted: calls found in it have the flow's id, and
//! the flow's own dissector goes on to read the handshakes. The two arrive on different ways, in any
//! order: whichever comes first makes the flow.

use remora_model::{CaptureSource, Endpoint, Timestamp, Transport};

use super::flow::Flow;
use super::table::Key;
use super::{Engine, lend};
use crate::{Ending, Sink};

/// A piece of one direction of a connection's plaintext.
#[derive(Clone, Copy, Debug)]
pub struct Plaintext<'a> {
    /// Name of the connection where it was watched, the same in both directions.
    pub conn: u64,
    /// The end that wrote it.
    pub from: Endpoint,
    /// The end that reads it.
    pub to: Endpoint,
    /// It was watched at the end that wrote it, not at the one that read it. Of connections whose
    /// ends are both watched one is read.
    pub at_sender: bool,
    /// Offset of its first byte in the plaintext of the direction.
    pub pos: u64,
    /// How much there is of it, of which `bytes` may be but the beginning.
    pub len: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Offsets count from the first byte of the connection.
    pub fresh: bool,
    /// How the connection was found, the field `corr_method`.
    pub method: &'static str,
    /// That is a guess, which a flow of another protocol than TLS refutes.
    pub doubtful: bool,
}

impl Engine {
    /// Takes plaintext. It must come in order, but for what is missing. [`set_scope`](Self::set_scope)
    /// says which flow is meant, as for packets.
    pub fn plaintext(&mut self, ts: Timestamp, piece: &Plaintext<'_>, sink: &mut dyn Sink) {
        self.advance(ts, sink);
        let (key, dir) = Key::new(self.scope, Transport::Tcp, piece.from, piece.to);
        let slot = match self.table.find(&key) {
            Some(slot) => slot,
            None => {
                while self.table.len() >= self.limits.flows.max(1) && self.evict(sink) {}
                self.serial += 1;
                let id = self.ids.take();
                let mut flow = Flow::new(id, self.serial, Transport::Tcp, piece.from, piece.to, dir, ts);
                flow.scope = self.scope;
                self.table.insert(key, flow.queue(), flow)
            }
        };
        let source = plaintext_source(self.source);
        let Some(flow) = self.table.get_mut(slot) else { return };
        let mut lent = lend(&self.limits, source, self.registry, &self.secrets, sink);
        lent.sink.packet_of(&flow.name(), dir);
        flow.plaintext(dir, piece, ts, &mut lent);
        let queue = flow.queue();
        self.table.touch(slot, queue);
        self.after(slot, ts, sink);
    }

    /// The library has freed the connection between these ends, or its process has ended.
    pub fn plaintext_end(&mut self, ts: Timestamp, conn: u64, ends: [Endpoint; 2], sink: &mut dyn Sink) {
        let (key, _) = Key::new(self.scope, Transport::Tcp, ends[0], ends[1]);
        let Some(slot) = self.table.find(&key) else { return };
        let source = plaintext_source(self.source);
        if let Some(flow) = self.table.get_mut(slot) {
            let mut lent = lend(&self.limits, source, self.registry, &self.secrets, sink);
            flow.end_plaintext(Some(conn), Ending::Closed, &mut lent);
            self.after(slot, ts, sink);
        }
    }
}

/// Packets of a file are as good as anything else in it.
pub(super) fn plaintext_source(packets: CaptureSource) -> CaptureSource {
    match packets {
        CaptureSource::File => CaptureSource::File,
        _ => CaptureSource::EbpfTls,
    }
}
