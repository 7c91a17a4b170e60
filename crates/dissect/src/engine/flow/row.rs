//! What is said of a flow: its name, and its rows with the counts of the capture.

use remora_model::{FlowRow, FlowState, Timestamp, Transport};

use super::super::env::count;
use super::{Flow, Lent};
use crate::{FlowName, Problem};

impl Flow {
    /// Which flow it is, for the sink.
    pub(in crate::engine) fn name(&self) -> FlowName {
        FlowName {
            id: self.id,
            transport: self.transport,
            ends: self.ends,
            scope: self.scope,
            tag: self.counts.tag(),
        }
    }

    /// Asks the capture what it has counted, if it may know more.
    pub(in crate::engine) fn consult(&mut self, lent: &mut Lent<'_>) {
        // Of datagrams nothing is left out.
        let knows_more = self.transport == Transport::Tcp || self.counts.unasked();
        if self.counts.tag() == 0 || !knows_more {
            return;
        }
        let counted = lent.sink.counted(&self.name());
        if let Some(counted) = &counted {
            self.changed |= self.counts.merge(counted);
            self.counted_seen = counted.last_seen.unwrap_or(self.counted_seen);
            if let Some(tcp) = self.tcp.as_deref_mut() {
                tcp.handshake_us = counted.handshake_us.or(tcp.handshake_us);
                if counted.shunted {
                    tcp.retransmits = tcp.retransmits.max(counted.retransmits);
                }
            }
        } else if self.counts.unasked() {
            lent.sink.problem(Problem::FlowUncounted, 0);
        }
        self.counts.asked();
    }

    /// Nanoseconds without a packet.
    pub(in crate::engine) fn silence(&self, now: Timestamp) -> u64 {
        now.0.abs_diff(self.last_seen.0).min(now.0.abs_diff(self.counted_seen.0))
    }

    /// True while a part of a stream may be left out that has not passed yet.
    fn is_shunted(&self) -> bool {
        self.closed.is_none()
            && self.tcp.as_deref().is_some_and(|tcp| {
                tcp.offered.iter().zip(&tcp.sides).any(|(offered, side)| {
                    offered.zip(side.next()).is_some_and(|(until, next)| until.ahead_of(next) > 0)
                })
            })
    }

    /// When the newest row was written, if it may not say everything.
    pub(in crate::engine) fn owes_row(&self) -> Option<Timestamp> {
        self.row.filter(|_| self.changed || self.is_shunted()).map(|(written, _)| written)
    }

    /// Writes a row where one is due: the first, the last, or the next of a changing flow.
    /// The counts of a row are those since the flow began: the newest row has them all.
    pub(in crate::engine) fn report(&mut self, now: Timestamp, force: bool, lent: &mut Lent<'_>) {
        if let Some((row, _)) = self.row {
            let interval = u64::try_from(lent.limits.flow_interval.as_nanos()).unwrap_or(u64::MAX);
            let closes = self.closed.is_some() && !self.row_closed;
            if !force && !closes && now.0.abs_diff(row.0) < interval {
                return;
            }
            // What is left out of a stream changes nothing here.
            if self.changed || force || self.is_shunted() {
                self.consult(lent);
            }
            if !self.changed {
                return;
            }
        } else if self.closed.is_some() {
            self.consult(lent);
        }
        // The newest row is the one with the latest time: no two of a flow have the same.
        let seen = self.last_seen.max(self.counted_seen);
        let seen = self.row.map_or(seen, |(_, before)| seen.max(Timestamp(before.0.saturating_add(1))));
        self.row = Some((now, seen));
        self.row_closed = self.closed.is_some();
        self.changed = false;
        let (client, server) = (self.client, 1 - self.client);
        let inside = self.plain.as_ref().and_then(|plain| plain.protocol());
        let carrier = self.app.protocol().or(self.plain.as_ref().map(|_| "tlsx"));
        let names = [carrier, inside.or(self.app.inside())];
        let protocols = names.map(Option::unwrap_or_default);
        let found = names.iter().take_while(|name| name.is_some()).count();
        let tcp = self.tcp.as_deref();
        let (asks, answers) = (self.counts.sent[client], self.counts.sent[server]);
        lent.sink.flow(&FlowRow {
            flow: self.id,
            transport: self.transport,
            client: self.ends[client],
            server: self.ends[server],
            first_seen: self.first_seen,
            last_seen: seen,
            state: match (self.closed, self.transport) {
                (Some(_), _) => FlowState::Closed,
                (None, Transport::Tcp) if self.opened && !self.has_payload => FlowState::Open,
                _ => FlowState::InProgress,
            },
            close_reason: self.closed,
            client_packets: count(asks.packets),
            client_bytes: count(asks.bytes),
            server_packets: count(answers.packets),
            server_bytes: count(answers.bytes),
            handshake_rtt_us: tcp.and_then(|t| t.handshake_us),
            retransmits: count(tcp.map_or(0, |t| t.retransmits)),
            client_tcp_flags: i64::from(asks.tcp_flags),
            server_tcp_flags: i64::from(answers.tcp_flags),
            missing_bytes: self.missing,
            l7: protocols.get(..found).unwrap_or_default(),
            source: lent.source,
        });
        self.tell_unknown_so_far(lent);
    }
}
