//! SCTP's part of a flow.

use remora_model::{CloseReason, Timestamp};

use super::{Env, Feed, Flow, Lent};
use crate::packet::SctpPacket;
use crate::sctp::chunk::{Chunk, Chunks, kind};
use crate::sctp::control::{Control, Effect};
use crate::sctp::messages::Messages;
use crate::{Ending, Problem, Role, dissector::Times};

/// An association.
#[derive(Default)]
pub(super) struct Sctp {
    sides: [Messages; 2],
    control: Control,
}

impl Sctp {
    /// Gives memory back.
    pub(super) fn release(&mut self) {
        for side in &mut self.sides {
            side.release();
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.sides[0].memory() + self.sides[1].memory()
    }
}

impl Flow {
    /// True when a packet opens another association between the ends of this one, which is over.
    pub(in crate::engine) fn is_reopened(&self, packet: &SctpPacket<'_>) -> bool {
        let opens = Chunks::new(packet.chunks).next().is_some_and(|c| c.kind == kind::INIT);
        opens && self.closed.is_some()
    }

    /// One packet.
    pub(in crate::engine) fn packet(
        &mut self,
        dir: usize,
        packet: &SctpPacket<'_>,
        ts: Timestamp,
        lent: &mut Lent<'_>,
    ) {
        let mut chunks = Chunks::new(packet.chunks);
        for chunk in &mut chunks {
            // What comes late for an association that is over is counted only.
            if self.closed.is_some() {
                break;
            }
            match chunk.kind {
                kind::DATA | kind::I_DATA => self.message(dir, packet, &chunk, ts, lent),
                _ => self.control(dir, packet, &chunk, ts, lent),
            }
        }
        if chunks.refused > 0 {
            lent.sink.problem(Problem::Malformed, chunks.refused as u64);
        }
        self.orient();
    }

    fn message(
        &mut self,
        dir: usize,
        packet: &SctpPacket<'_>,
        chunk: &Chunk<'_>,
        ts: Timestamp,
        lent: &mut Lent<'_>,
    ) {
        let Some(sctp) = self.sctp.as_deref_mut() else { return };
        let Some(data) = chunk.data().filter(|_| !chunk.is_cut()) else { return };
        self.has_payload = true;
        sctp.control.went_on();
        self.head.get_or_insert((u32::from(chunk.len), packet.checksum));
        let Some(side) = sctp.sides.get_mut(dir) else { return };
        let whole = side.take(&data, lent.limits, |problem, bytes| lent.sink.problem(problem, bytes));
        if let Some(whole) = whole {
            let mut feed = feed!(self, lent, dir);
            feed.app.datagram(dir, whole, ts, &mut feed.env);
        }
    }

    fn control(
        &mut self,
        dir: usize,
        packet: &SctpPacket<'_>,
        chunk: &Chunk<'_>,
        ts: Timestamp,
        lent: &mut Lent<'_>,
    ) {
        let client = match chunk.kind {
            kind::INIT => Some(dir),
            kind::INIT_ACK => Some(1 - dir),
            _ => None,
        };
        if let Some(client) = client {
            if !self.opened {
                self.opened = true;
                self.client = client;
                self.app.set_opener(client);
            }
            // Tag, window, streams of both directions, first number (RFC 9260, sections 3.3.2, 3.3.3).
            let first = chunk.value.get(12..).and_then(|b| b.first_chunk()).map(|b| u32::from_be_bytes(*b));
            if let (Some(tsn), Some(sctp)) = (first, self.sctp.as_deref_mut()) {
                sctp.sides[dir].start(tsn);
            }
        }
        let role = if dir == self.client { Role::Client } else { Role::Server };
        let Some(sctp) = self.sctp.as_deref_mut() else { return };
        let mut feed = feed!(self, lent, dir);
        let times = [(0, ts)];
        let mut cx = feed.env.context(self.client, 0, Times(&times));
        match sctp.control.take(role, packet, chunk, ts, &mut cx) {
            Effect::None => {}
            Effect::Shut => self.end(Ending::Closed, CloseReason::Fin, lent),
            Effect::Aborted => self.end(Ending::Reset, CloseReason::Reset, lent),
        }
    }

    /// Reports what an association still waits for, and counts what it has not got whole.
    pub(super) fn end_association(&mut self, lent: &mut Lent<'_>) {
        let Some(sctp) = self.sctp.as_deref_mut() else { return };
        let unfinished: usize = sctp.sides.iter_mut().map(Messages::release).sum();
        if unfinished > 0 {
            lent.sink.problem(Problem::StreamGap, unfinished as u64);
        }
        let mut feed = feed!(self, lent, 0);
        let times = [(0, self.last_seen)];
        let mut cx = feed.env.context(self.client, 0, Times(&times));
        sctp.control.end(&mut cx);
    }
}
