//! An engine, a clock, and a connection between two hosts.

use std::time::Duration;

use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::{Limits, Role};
use remora_model::{CaptureSource, Timestamp};

use super::Kept;
use super::packets::{ACK, SYN, client, server, tcp};
use super::tape::{self, Event, TAPE};

/// A capture being made: an engine with what it found, and a clock.
pub struct Lab {
    pub engine: Engine,
    pub kept: Kept,
    pub now: Timestamp,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        tape::take();
        let engine = Engine::with_registry(limits, CaptureSource::File, FlowIds::new(1, 1), TAPE);
        Self { engine, kept: Kept::default(), now: Timestamp(1_000_000_000_000) }
    }

    pub fn wait(&mut self, d: Duration) {
        self.now = self.now.plus(d);
    }

    pub fn ip(&mut self, packet: &[u8]) {
        self.now = self.now.plus(Duration::from_micros(10));
        self.engine.packet(self.now, packet, u32::try_from(packet.len()).unwrap(), &mut self.kept);
    }

    pub fn c(&mut self, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        self.ip(&tcp(client(), server(), seq, ack, flags, payload));
    }

    pub fn s(&mut self, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        self.ip(&tcp(server(), client(), seq, ack, flags, payload));
    }

    /// Client's stream begins at 101, server's at 501.
    pub fn handshake(&mut self) {
        self.c(100, 0, SYN, b"");
        self.s(500, 101, SYN | ACK, b"");
        self.c(101, 501, ACK, b"");
    }

    pub fn tick(&mut self) {
        self.engine.tick(self.now, &mut self.kept);
    }

    pub fn finish(&mut self) -> Vec<Event> {
        self.engine.finish(&mut self.kept);
        let stats = self.engine.stats();
        assert_eq!((stats.flows, stats.bytes, stats.fragments), (0, 0, 0), "nothing is held in the end");
        tape::take()
    }
}

pub fn data(role: Role, bytes: &[u8]) -> Event {
    Event::Data(role, bytes.to_vec())
}
