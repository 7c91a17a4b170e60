//! Makes rows of what the engine finds.

use std::sync::Arc;
use std::time::Instant;

use remora_dissect::{Problem, Sink};
use remora_model::{BatchSet, Call, Endpoint, FlowRow, FlowState, Sides, Storage, Transport};

use super::{Exchange, ShardReport};
use crate::ids::CallIds;
use crate::kernel::PacketRecord;
use crate::owners::{FlowOwners, Process, Processes};

pub(super) struct RowMaker {
    pub(super) set: BatchSet,
    pub(super) ids: CallIds,
    pub(super) owners: FlowOwners,
    pub(super) processes: Processes,
    pub(super) exchange: Exchange,
    pub(super) only: Arc<[String]>,
    /// Leave bodies out: there is little room.
    pub(super) lean: bool,
    /// The time of the current batch of packets.
    pub(super) now: Instant,
    pub(super) report: ShardReport,
}

impl RowMaker {
    pub(super) fn note(&mut self, packet: &PacketRecord<'_>) {
        if let Some((transport, from, to)) = self.owners.note(packet) {
            self.exchange.settle(transport, from, to);
        }
    }

    fn processes(&mut self, transport: Transport, client: Endpoint, server: Endpoint) -> [Arc<Process>; 2] {
        let now = self.now;
        self.owners.sides(transport, client, server).map(|s| self.processes.get(s.tgid, s.cgroup_id, now))
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
pub(super) struct BatchSink<'a>(pub(super) &'a mut RowMaker);

impl Sink for BatchSink<'_> {
    fn call(&mut self, call: &Call<'_>) {
        let rows = &mut *self.0;
        let owners = rows.processes(call.transport, call.client, call.server);
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
        let rows = &mut *self.0;
        let owners = rows.processes(flow.transport, flow.client, flow.server);
        if rows.wanted(&owners) {
            let sides = Sides { src: owners[0].side(), dst: owners[1].side() };
            rows.report.flow_rows += 1;
            rows.set.flow(flow, &sides);
        }
        if flow.state == FlowState::Closed {
            rows.owners.forget(flow.transport, flow.client, flow.server);
            rows.exchange.leave(flow.transport, flow.client, flow.server);
        }
    }

    fn problem(&mut self, problem: Problem, bytes: u64) {
        if let Some((count, total)) = self.0.report.problems.get_mut(problem as usize) {
            *count += 1;
            *total += bytes;
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
