//! The way of a packet into the engine: out of its frame and its tunnels, fragments put together, to its
//! flow.

use remora_model::{CaptureSource, CloseReason, Endpoint, Timestamp};

use super::flow::{Fate, Flow, Lent};
use super::fragments::Outcome;
use super::shunt::{self, Shunt};
use super::table::Key;
use super::{Datagram, Engine, lend};
use crate::packet::{self, IpView, LinkType};
use crate::{Problem, Sink};

impl Engine {
    /// Takes a frame of a capture file or a packet socket. `wire_len` is its length before a
    /// snaplen cut it.
    pub fn frame(&mut self, ts: Timestamp, link: LinkType, bytes: &[u8], wire_len: u32, sink: &mut dyn Sink) {
        self.packets += 1;
        self.advance(ts, sink);
        self.read(ts, (link, bytes, wire_len), false, sink);
    }

    /// Reads a frame. One that came in a fragmented tunnel may not be a fragment itself: datagrams in
    /// datagrams would have no end.
    fn read(
        &mut self,
        ts: Timestamp,
        (link, bytes, wire_len): (LinkType, &[u8], u32),
        from_fragments: bool,
        sink: &mut dyn Sink,
    ) {
        match packet::parse_inside(link, bytes, wire_len, self.tunnels()) {
            Ok((view, around)) => {
                if around > 0 {
                    sink.problem(Problem::Tunnelled, u64::from(around));
                }
                match view.transport {
                    Some(transport) => {
                        let ip = &view.ip;
                        self.transport(ts, (ip.src, ip.dst), &transport, 1, u64::from(ip.wire_len), sink);
                    }
                    None if from_fragments => {
                        sink.problem(Problem::FragmentLost, u64::from(view.ip.payload_len));
                    }
                    None => self.fragment(ts, &view.ip, sink),
                }
            }
            Err(problem) => sink.problem(problem, u64::from(wire_len)),
        }
    }

    /// How many tunnels are opened around one packet. What is captured live passes outside of them as
    /// well, and would be counted twice.
    fn tunnels(&self) -> usize {
        if self.source == CaptureSource::File { self.limits.tunnels } else { 0 }
    }

    /// Takes an IPv4 or IPv6 packet (which one, its first nibble says). `wire_len` is its length
    /// before a snaplen cut it; it stands in for the length in the header of a GSO super-packet.
    pub fn packet(&mut self, ts: Timestamp, ip: &[u8], wire_len: u32, sink: &mut dyn Sink) {
        self.frame(ts, LinkType::RAW, ip, wire_len, sink);
    }

    /// Takes an IP fragment like [`packet`](Self::packet), but gives the datagram back once it is
    /// whole, for the engine that has its flow. Packets that are no fragments give `None`.
    pub fn defragment(
        &mut self,
        ts: Timestamp,
        ip: &[u8],
        wire_len: u32,
        sink: &mut dyn Sink,
    ) -> Option<Box<Datagram>> {
        self.packets += 1;
        self.advance(ts, sink);
        match packet::parse(LinkType::RAW, ip, wire_len) {
            Ok(view) => self.collect(ts, &view.ip, sink),
            Err(problem) => {
                sink.problem(problem, u64::from(wire_len));
                None
            }
        }
    }

    /// Takes a datagram that some engine has put together.
    pub fn datagram(&mut self, ts: Timestamp, whole: &Datagram, sink: &mut dyn Sink) {
        self.scope = whole.scope;
        // Fragments have no ports, so that the capture counts them apart from the flow.
        self.tag = 0;
        let len = u32::try_from(whole.payload.len()).unwrap_or(u32::MAX);
        if self.tunnels() > 0
            && let Some(inner) = packet::inside(whole.protocol, &whole.payload, len)
            && !inner.doubtful
        {
            sink.problem(Problem::Tunnelled, u64::from(len.saturating_sub(inner.wire_len)));
            return self.read(ts, (inner.link, inner.frame, inner.wire_len), true, sink);
        }
        match packet::parse_transport(whole.protocol, &whole.payload, len) {
            Ok(transport) => {
                let ends = (whole.src, whole.dst);
                self.transport(ts, ends, &transport, whole.packets, whole.ip_bytes, sink);
            }
            Err(problem) => sink.problem(problem, u64::from(len)),
        }
    }

    fn fragment(&mut self, ts: Timestamp, ip: &IpView<'_>, sink: &mut dyn Sink) {
        if let Some(whole) = self.collect(ts, ip, sink) {
            self.datagram(ts, &whole, sink);
        }
    }

    /// Keeps a fragment; the datagram that it makes whole.
    fn collect(&mut self, ts: Timestamp, ip: &IpView<'_>, sink: &mut dyn Sink) -> Option<Box<Datagram>> {
        let at = ip.fragment?;
        let bounds = (self.limits.fragments, self.limits.total_bytes / 8);
        let outcome = self.fragments.add(self.scope, ip, at, ts, bounds, |bytes| {
            sink.problem(Problem::FragmentLost, bytes);
        });
        match outcome {
            Outcome::Kept => {}
            Outcome::Overlap => sink.problem(Problem::FragmentOverlap, u64::from(ip.payload_len)),
            Outcome::Refused => sink.problem(Problem::FragmentLost, u64::from(ip.payload_len)),
            Outcome::Whole(whole) => return Some(whole),
        }
        None
    }

    /// Takes a whole segment or datagram that came in `packets` IP packets of `ip_bytes` together.
    fn transport(
        &mut self,
        ts: Timestamp,
        (src, dst): (std::net::IpAddr, std::net::IpAddr),
        transport: &packet::Transport<'_>,
        packets: u32,
        ip_bytes: u64,
        sink: &mut dyn Sink,
    ) {
        let (kind, src_port, dst_port) = transport.ports();
        let (src, dst) = (Endpoint { ip: src, port: src_port }, Endpoint { ip: dst, port: dst_port });
        let (key, dir) = Key::new(self.scope, kind, src, dst);
        let mut slot = self.table.find(&key);
        if let (Some(old), packet::Transport::Tcp(segment)) = (slot, transport)
            && self.table.get(old).is_some_and(|f| matches!(f.judge(dir, segment), Fate::Reopens))
        {
            self.close(old, CloseReason::Reused, sink);
            slot = None;
        }
        if let (Some(old), packet::Transport::Sctp(packet)) = (slot, transport)
            && self.table.get(old).is_some_and(|f| f.is_reopened(packet))
        {
            self.close(old, CloseReason::Reused, sink);
            slot = None;
        }
        let slot = match slot {
            Some(slot) => slot,
            None => {
                while self.table.len() >= self.limits.flows.max(1) && self.evict(sink) {}
                self.serial += 1;
                let mut flow = Flow::new(self.ids.take(), self.serial, kind, src, dst, dir, ts);
                flow.scope = self.scope;
                self.table.insert(key, flow.queue(), flow)
            }
        };
        let Some(flow) = self.table.get_mut(slot) else { return };
        let mut lent = lend(&self.limits, self.source, self.registry, &self.secrets, sink);
        flow.count(dir, packets, ip_bytes, self.tag, ts);
        lent.sink.packet_of(&flow.name(), dir);
        match transport {
            packet::Transport::Tcp(segment) => flow.segment(dir, segment, ts, &mut lent),
            packet::Transport::Udp(datagram) => {
                cut(datagram.payload_len, datagram.payload, &mut lent);
                let head = (datagram.payload_len.saturating_add(8), u32::from(datagram.checksum));
                flow.datagram(dir, datagram.payload, head, ts, &mut lent);
            }
            packet::Transport::Icmp(icmp) => {
                cut(icmp.len, icmp.message, &mut lent);
                flow.datagram(dir, icmp.message, (icmp.len, 0), ts, &mut lent);
            }
            packet::Transport::Sctp(packet) => {
                cut(packet.chunks_len, packet.chunks, &mut lent);
                flow.packet(dir, packet, ts, &mut lent);
            }
        }
        if let Some(min) = self.shunt_threshold
            && let Some(until) = flow.offer_shunt(dir, min)
        {
            if self.shunts.len() >= shunt::MAX_PENDING {
                self.shunts.pop_front();
            }
            self.shunts.push_back(Shunt { flow: flow.id, from: src, to: dst, until: until.0 });
        }
        let queue = flow.queue();
        self.table.touch(slot, queue);
        self.after(slot, ts, sink);
    }
}

/// Counts what a snaplen has cut off a datagram.
fn cut(len: u32, captured: &[u8], lent: &mut Lent<'_>) {
    let cut = u64::from(len).saturating_sub(captured.len() as u64);
    if cut > 0 {
        lent.sink.problem(Problem::ShortPacket, cut);
    }
}
