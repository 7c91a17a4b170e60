//! Packets as they were captured, on their way to the ring on disk (`remora-ring`).

use std::path::Path;
use std::time::Instant;

use hashbrown::HashMap;
use remora_model::Timestamp;
use remora_ring::{Direction as RingDirection, Feed, InterfaceId, Packet, Ring, RingConfig, RingStats, Shed};
use serde_json::{Value, json};

use crate::config::RawOptions;
use crate::kernel::{Direction, PacketRecord};
use crate::tls::SecretSink;

/// Network namespaces whose loopback a shard tells apart.
const SCOPES: usize = 256;

/// The node's packet ring, or why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Packets {
    ring: Option<Ring>,
    secrets: bool,
    off: &'static str,
    error: Option<String>,
}

/// Keeps secrets of TLS beside the packets.
#[derive(Debug)]
pub(crate) struct KeptSecrets(Ring);

impl KeptSecrets {
    pub(crate) fn ring(&self) -> &Ring {
        &self.0
    }
}

impl SecretSink for KeptSecrets {
    fn keep(&mut self, _: Timestamp, line: &str) -> bool {
        // What there is no room for is counted by the ring.
        self.0.secret(line).is_ok()
    }
}

impl Packets {
    /// Opens the ring. The agent does without one that cannot be opened.
    pub(crate) fn open(options: &RawOptions, data_dir: Option<&Path>) -> Self {
        let off = |off| Self { ring: None, secrets: false, off, error: None };
        if options.budget == 0 {
            return off("turned off");
        }
        let dir = options.dir.clone().or_else(|| data_dir.map(|d| d.join("packets")));
        let Some(dir) = dir else { return off("there is no directory for data") };
        let config = RingConfig {
            budget: options.budget,
            max_age: options.max_age,
            snaplen: options.snaplen,
            flow_bytes: options.flow_bytes,
            queue_bytes: options.queue_bytes,
            ..RingConfig::new(dir)
        };
        match Ring::open(&config) {
            Ok(ring) => Self { ring: Some(ring), secrets: options.secrets, off: "", error: None },
            Err(error) => {
                tracing::warn!(%error, "no packets are kept");
                Self { error: Some(error.to_string()), ..off("it cannot be opened") }
            }
        }
    }

    pub(crate) fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    /// Where secrets go, if they are wanted.
    pub(crate) fn secrets(&self) -> Option<KeptSecrets> {
        self.ring.clone().filter(|_| self.secrets).map(KeptSecrets)
    }

    /// A shard's way into the ring.
    pub(crate) fn tap(&self, node: &str) -> Option<Tap> {
        self.ring.as_ref().map(|ring| Tap::new(ring, node))
    }

    pub(crate) fn stats(&self) -> RingStats {
        self.ring.as_ref().map(Ring::stats).unwrap_or_default()
    }

    /// For the agent's status.
    pub(crate) fn json(&self, stats: &RingStats) -> Value {
        if self.ring.is_none() {
            return json!({"on": false, "reason": self.off, "last_error": self.error});
        }
        let time = |ts: Option<i64>| ts.map(|ts| Timestamp(ts).to_rfc3339());
        json!({
            "on": true,
            "budget": stats.budget,
            "disk_bytes": stats.disk_bytes,
            "segments": stats.segments,
            "packets": stats.held.packets,
            "bytes": stats.held.bytes,
            "from": time(stats.span.map(|s| s.0)),
            "to": time(stats.span.map(|s| s.1)),
            "written_packets": stats.written.packets,
            "written_bytes": stats.written.bytes,
            "evicted_packets": stats.evicted.packets,
            "expired_packets": stats.expired.packets,
            "cut_packets": stats.cut.packets,
            "secrets": stats.secrets,
            "secrets_shed": stats.secrets_shed,
            "torn_segments": stats.torn,
            "reindexed_segments": stats.reindexed,
            "unreadable_segments": stats.unreadable,
            "stopped": stats.stopped,
            "disk_errors": stats.disk_errors,
            "last_error": stats.last_error,
        })
    }
}

/// What coverage tells of the ring: reason, count, bytes.
pub(crate) fn counters(stats: &RingStats) -> impl Iterator<Item = (&'static str, u64, u64)> {
    let shed = Shed::ALL.map(|why| (why.name(), stats.shed(why).packets, stats.shed(why).bytes));
    shed.into_iter()
        .chain([("snaplen", stats.cut.packets, stats.cut.bytes), ("secrets_shed", stats.secrets_shed, 0)])
}

/// A shard's way into the ring.
#[derive(Debug)]
pub struct Tap {
    ring: Ring,
    feed: Feed,
    node: String,
    /// For all traffic but that of loopback interfaces.
    interface: InterfaceId,
    loopback: HashMap<u32, InterfaceId>,
}

impl Tap {
    /// A tap of the packets of a node.
    pub fn new(ring: &Ring, node: &str) -> Self {
        let interface = ring.interface(node, "");
        Self {
            ring: ring.clone(),
            feed: ring.feed(),
            node: node.to_owned(),
            interface,
            loopback: HashMap::new(),
        }
    }

    /// Copies a packet.
    pub fn packet(&mut self, packet: &PacketRecord<'_>) {
        let interface = match packet.netns {
            0 => self.interface,
            netns => self.loopback(netns),
        };
        self.feed.packet(&Packet {
            ts: packet.time.0,
            interface,
            direction: match packet.direction {
                Direction::Ingress => RingDirection::In,
                Direction::Egress => RingDirection::Out,
            },
            wire_len: packet.wire_len,
            data: packet.data,
        });
    }

    /// Loopback has the same addresses in every network namespace: each is an interface of its own.
    fn loopback(&mut self, netns: u32) -> InterfaceId {
        if let Some(interface) = self.loopback.get(&netns) {
            return *interface;
        }
        if self.loopback.len() >= SCOPES {
            self.loopback.clear();
        }
        let name = format!("{} lo {netns:06x}", self.node);
        let interface = self.ring.interface(&name, "loopback of one network namespace");
        self.loopback.insert(netns, interface);
        interface
    }

    /// Hands over what has become old.
    pub fn turn(&mut self, now: Instant) {
        self.feed.turn(now);
    }
}
