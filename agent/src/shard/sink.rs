//! Makes rows of what the engine finds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use remora_dissect::{Counted, CountedSide, FlowName, Problem, Sink};
use remora_model::{BatchSet, Call, CloseReason, Endpoint, FlowId, FlowRow, Sides, Storage};

use super::{Exchange, ShardReport};
use crate::ids::CallIds;
use crate::kernel::{FlowEntry, FlowTable, PacketRecord};
use crate::owners::{FlowOwners, Process, Processes};

pub(super) struct RowMaker {
    pub(super) set: BatchSet,
    pub(super) ids: CallIds,
    pub(super) owners: FlowOwners,
    pub(super) processes: Processes,
    pub(super) exchange: Exchange,
    /// What the kernel counts, where it does.
    pub(super) table: Option<FlowTable>,
    pub(super) only: Arc<[String]>,
    /// Leave bodies out: there is little room.
    pub(super) lean: bool,
    /// The time of the current batch of packets.
    pub(super) now: Instant,
    pub(super) report: ShardReport,
}

impl RowMaker {
    fn processes(&mut self, flow: FlowId, client: Endpoint) -> [Arc<Process>; 2] {
        let now = self.now;
        self.owners.sides(flow, client).map(|s| self.processes.get(s.tgid, s.cgroup_id, now))
    }

    fn wanted(&mut self, sides: &[Arc<Process>; 2]) -> bool {
        let wanted = self.only.is_empty()
            || sides
                .iter()
                .any(|p| !p.name.is_empty() && self.only.iter().any(|name| is_named(&p.name, name)));
        self.report.filtered += u64::from(!wanted);
        wanted
    }
}

/// The kernel keeps the first 15 bytes of a name; a longer one in a filter means those.
fn is_named(comm: &str, name: &str) -> bool {
    comm == name || (comm.len() == 15 && name.len() > 15 && name.as_bytes().starts_with(comm.as_bytes()))
}

/// The engine's view of a [`RowMaker`].
pub(super) struct BatchSink<'a> {
    pub(super) rows: &'a mut RowMaker,
    /// The packet that the engine is given, if it is given one.
    pub(super) packet: Option<&'a PacketRecord<'a>>,
}

impl<'a> BatchSink<'a> {
    /// For what comes of time, not of a packet.
    pub(super) fn new(rows: &'a mut RowMaker) -> Self {
        Self { rows, packet: None }
    }
}

/// IP protocol number.
fn protocol(flow: &FlowName) -> u8 {
    flow.transport.ip_protocol(flow.ends[0].ip)
}

fn sockets(flow: &FlowName) -> [SocketAddr; 2] {
    flow.ends.map(|e| SocketAddr::new(e.ip, e.port))
}

/// The kernel's counts, in the order of the engine.
fn counted(entry: &FlowEntry, first: SocketAddr) -> Counted {
    let [a, b] = &entry.sides;
    let sides = if a.addr == first { [a, b] } else { [b, a] };
    Counted {
        sent: sides.map(|s| CountedSide { packets: s.packets, bytes: s.bytes, tcp_flags: s.tcp_flags }),
        last_seen: sides.iter().filter_map(|s| s.last_seen).max(),
        handshake_us: entry.handshake_rtt.map(|t| i64::try_from(t.as_micros()).unwrap_or(i64::MAX)),
        retransmits: sides.iter().map(|s| u64::from(s.retransmits)).sum(),
        shunted: sides.iter().any(|s| s.shunted_bytes > 0),
    }
}

impl Sink for BatchSink<'_> {
    fn call(&mut self, call: &Call<'_>) {
        let rows = &mut *self.rows;
        let owners = rows.processes(call.flow, call.client);
        if !rows.wanted(&owners) {
            return;
        }
        let sides = Sides { src: owners[0].side(), dst: owners[1].side() };
        let id = rows.ids.take();
        rows.report.calls += 1;
        if rows.lean && call.fields.iter().any(is_body) {
            let lean: Vec<_> = call.fields.iter().filter(|f| !is_body(f)).copied().collect();
            rows.report.lean_calls += 1;
            rows.set.call(id, &Call { fields: &lean, ..*call }, &sides);
        } else {
            rows.set.call(id, call, &sides);
        }
    }

    fn flow(&mut self, flow: &FlowRow<'_>) {
        let rows = &mut *self.rows;
        let owners = rows.processes(flow.flow, flow.client);
        if rows.wanted(&owners) {
            let sides = Sides { src: owners[0].side(), dst: owners[1].side() };
            rows.report.flow_rows += 1;
            rows.set.flow(flow, &sides);
        }
    }

    fn problem(&mut self, problem: Problem, bytes: u64) {
        if let Some((count, total)) = self.rows.report.problems.get_mut(problem as usize) {
            *count += 1;
            *total += bytes;
        }
    }

    fn packet_of(&mut self, flow: &FlowName, sender: usize) {
        if let Some(packet) = self.packet
            && self.rows.owners.note(flow, sender, packet)
        {
            self.rows.exchange.settle(flow.transport, flow.ends[0], flow.ends[1]);
        }
    }

    fn counted(&mut self, flow: &FlowName) -> Option<Counted> {
        let ends = sockets(flow);
        match self.rows.table.as_mut()?.get(protocol(flow), flow.scope, ends) {
            // Another id means another entry: of a later connection, or begun anew.
            Ok(entry) => entry.filter(|e| e.id == flow.tag).map(|e| counted(&e, ends[0])),
            Err(error) => {
                tracing::debug!(%error, "a flow's counts cannot be read");
                None
            }
        }
    }

    fn gone(&mut self, flow: &FlowName, why: CloseReason) {
        self.rows.owners.forget(flow.id);
        self.rows.exchange.leave(flow.transport, flow.ends[0], flow.ends[1]);
        // A connection that goes on must not bring along what the rows of this flow have counted.
        // The entries of those that ended are left to the table: it drops them for newer ones.
        if matches!(why, CloseReason::Idle | CloseReason::Evicted)
            && flow.tag != 0
            && let Some(table) = &mut self.rows.table
            && let Err(error) = table.remove(protocol(flow), flow.scope, sockets(flow), flow.tag)
        {
            tracing::debug!(%error, "a flow's counts cannot be removed");
        }
    }
}

fn is_body(field: &(remora_model::FieldId, remora_model::ValueRef<'_>)) -> bool {
    field.0.def().storage == Storage::Late
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_far_as_the_kernel_keeps_them() {
        assert!(is_named("nginx", "nginx"));
        assert!(is_named("averyveryverylo", "averyveryverylongname"));
        assert!(!is_named("averyverylo", "averyverylongname"));
        assert!(!is_named("nginx", "ngin"));
    }
}
