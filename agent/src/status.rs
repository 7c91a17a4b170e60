//! The agent's account of itself, for the hub and `remora status`.

use remora_model::Table;
use remora_wire::{ClientStats, Rows};
use serde_json::{Value, json};

use crate::coverage::Totals;
use crate::kernel::{Tier, TierReport};
use crate::shard::ShardReport;

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) agent_id: String,
    pub(crate) node: String,
    pub(crate) run_id: u64,
    pub(crate) started: String,
    /// What is captured, as it was asked for.
    pub(crate) targets: Value,
}

/// Everything in one JSON object.
pub(crate) fn status(
    about: &About,
    tier: &TierReport,
    totals: &Totals,
    shards: &[ShardReport],
    hub: &ClientStats,
) -> Value {
    let counters: Vec<Value> = totals
        .counters()
        .into_iter()
        .filter(|c| c.2 > 0 || c.0 == "captured")
        .map(|(stage, reason, count, bytes)| json!({"stage": stage, "reason": reason, "count": count, "bytes": bytes}))
        .collect();
    json!({
        "agent": {
            "id": about.agent_id,
            "node": about.node,
            "version": env!("CARGO_PKG_VERSION"),
            "run_id": about.run_id,
            "started": about.started,
        },
        "capture": tier_json(tier),
        "targets": about.targets,
        "counters": counters,
        "shards": shards.iter().map(shard_json).collect::<Vec<_>>(),
        "ship": {
            "queued_bytes": totals.ship.queued_bytes,
            "dropped_rows": rows_json(&totals.ship.dropped_rows),
            "oversized_rows": rows_json(&totals.ship.oversized_rows),
        },
        "spool": {
            "appended_batches": totals.spool.appended,
            "memory_batches": totals.spool.memory_batches,
            "memory_bytes": totals.spool.memory_bytes,
            "disk_batches": totals.spool.disk_batches,
            "disk_bytes": totals.spool.disk_bytes,
            "dropped_batches": totals.spool.dropped_batches,
            "dropped_rows": rows_json(&totals.spool.dropped_rows),
            "disk_errors": totals.spool.disk_errors,
            "last_disk_error": totals.spool.last_disk_error,
        },
        "hub": {
            "connected": hub.connected,
            "connects": hub.connects,
            "failures": hub.failures,
            "last_error": hub.last_error,
            "sent_batches": hub.sent_batches,
            "sent_bytes": hub.sent_bytes,
        },
    })
}

fn tier_json(report: &TierReport) -> Value {
    let rejected: Vec<Value> =
        report.rejected.iter().map(|(tier, reason)| json!({"tier": tier.name(), "reason": reason})).collect();
    json!({
        "tier": report.tier.name(),
        "best": report.tier == Tier::Cgroup,
        "attached_to": report.attached_to,
        "rejected": rejected,
        "limits": report.limits,
        "kernel": report.kernel,
        "btf": report.btf,
        "rings": report.rings,
    })
}

fn shard_json(shard: &ShardReport) -> Value {
    json!({
        "packets": shard.engine.packets,
        "calls": shard.calls,
        "flows": shard.engine.flows,
        "reassembly_bytes": shard.engine.bytes,
        "known_owners": shard.known_owners,
        "shunts": shard.shunts,
    })
}

fn rows_json(rows: &Rows) -> Value {
    Table::ALL
        .iter()
        .map(|t| (t.name().to_owned(), json!(rows.of(*t))))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
