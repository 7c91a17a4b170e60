//! The agents that the hub knows, and what they say of themselves.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use remora_model::Timestamp;
use remora_wire::Source;
use serde_json::{Value, json};

use crate::query::now;

/// Agents remembered; the one that was silent longest is forgotten when there are more.
const MAX_AGENTS: usize = 4_096;
/// Largest status text that is kept.
const MAX_STATUS_BYTES: usize = 256 << 10;

struct Agent {
    node: String,
    version: String,
    peer: Option<String>,
    streams: u32,
    since: Timestamp,
    heard: Timestamp,
    status: Value,
    /// Rows that say what it captures are in the store.
    covered: bool,
    batches: u64,
    bytes: u64,
    lost_batches: u64,
    unknown_columns: u64,
    rejected_tables: u64,
    last_problem: Option<String>,
}

impl Agent {
    fn has_reported(&self) -> bool {
        self.covered && !self.status.is_null()
    }
}

/// The agents, by id.
#[derive(Default)]
pub struct Agents {
    known: Mutex<BTreeMap<String, Agent>>,
}

impl Agents {
    fn update(&self, source: &Source, f: impl FnOnce(&mut Agent)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = now();
        if !known.contains_key(&source.agent_id) && known.len() >= MAX_AGENTS {
            let silent = known.iter().filter(|(_, a)| a.streams == 0).min_by_key(|(_, a)| a.heard);
            if let Some(id) = silent.map(|(id, _)| id.clone()) {
                known.remove(&id);
            }
        }
        let agent = known.entry(source.agent_id.clone()).or_insert_with(|| Agent {
            node: source.node.clone(),
            version: source.version.clone(),
            peer: None,
            streams: 0,
            since: at,
            heard: at,
            status: Value::Null,
            covered: false,
            batches: 0,
            bytes: 0,
            lost_batches: 0,
            unknown_columns: 0,
            rejected_tables: 0,
            last_problem: None,
        });
        agent.heard = at;
        f(agent);
    }

    pub(super) fn connected_now(&self, source: &Source) {
        self.update(source, |a| {
            a.node.clone_from(&source.node);
            a.version.clone_from(&source.version);
            a.peer = source.peer.map(|p| p.to_string());
            a.streams += 1;
            a.since = now();
        });
    }

    pub(super) fn disconnected(&self, source: &Source, why: &str) {
        self.update(source, |a| {
            a.streams = a.streams.saturating_sub(1);
            a.last_problem = Some(why.to_owned());
        });
    }

    pub(super) fn count(
        &self,
        source: &Source,
        bytes: usize,
        lost: u64,
        unknown_columns: u64,
        rejected: &[String],
    ) {
        self.update(source, |a| {
            a.batches += 1;
            a.bytes += bytes as u64;
            a.lost_batches += lost;
            a.unknown_columns += unknown_columns;
            a.rejected_tables += rejected.len() as u64;
            if let Some(why) = rejected.first() {
                a.last_problem = Some(why.clone());
            }
        });
    }

    pub(super) fn status(&self, source: &Source, status: Value) {
        // The text of a status is bounded by the wire; what is kept here is bounded again, because
        // it stays.
        let status = if status.to_string().len() > MAX_STATUS_BYTES { Value::Null } else { status };
        self.update(source, |a| a.status = status);
    }

    pub(super) fn covered(&self, source: &Source) {
        self.update(source, |a| a.covered = true);
    }

    /// True once an agent has said how it captures, and what it has captured is in the store.
    pub fn have_reported(&self) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values().any(Agent::has_reported)
    }

    /// The nodes whose agents are connected and capture: name, connected since, heard last.
    pub fn watching(&self) -> Vec<(String, Timestamp, Timestamp)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let watching = known.values().filter(|a| a.streams > 0 && a.has_reported());
        watching.map(|a| (a.node.clone(), a.since, a.heard)).collect()
    }

    /// Agents with an open stream.
    pub fn connected(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).values().filter(|a| a.streams > 0).count()
    }

    /// Sums over all agents: batches, bytes, lost batches.
    pub fn totals(&self) -> (u64, u64, u64) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().fold((0, 0, 0), |(n, b, l), a| (n + a.batches, b + a.bytes, l + a.lost_batches))
    }

    /// Every agent as JSON.
    pub fn describe(&self, at: Timestamp) -> Value {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .map(|(id, a)| {
                let mut v = json!({
                    "agent": id,
                    "node": a.node,
                    "version": a.version,
                    "connected": a.streams > 0,
                    "since": a.since.to_rfc3339(),
                    "silent_ms": at.micros_since(a.heard) / 1_000,
                    "batches": a.batches,
                    "bytes": a.bytes,
                    "lost_batches": a.lost_batches,
                    "unknown_columns": a.unknown_columns,
                    "rejected_tables": a.rejected_tables,
                });
                if let Value::Object(o) = &mut v {
                    if let Some(p) = &a.peer {
                        o.insert("peer".into(), p.clone().into());
                    }
                    if let Some(p) = &a.last_problem {
                        o.insert("last_problem".into(), p.clone().into());
                    }
                    if !a.status.is_null() {
                        o.insert("capture".into(), a.status.clone());
                    }
                }
                v
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use remora_wire::SpoolId;

    #[test]
    fn an_agent_has_reported_when_its_status_and_its_coverage_are_there() {
        let source = Source {
            agent_id: "a".to_owned(),
            node: "n".to_owned(),
            version: String::new(),
            run_id: 1,
            first_seq: 1,
            spool: SpoolId::random(),
            peer: None,
        };
        let agents = Agents::default();
        agents.connected_now(&source);
        assert!(!agents.have_reported());
        agents.status(&source, json!({"capture": {}}));
        assert!(!agents.have_reported() && agents.watching().is_empty());
        agents.covered(&source);
        assert!(agents.have_reported());
        let nodes: Vec<String> = agents.watching().into_iter().map(|w| w.0).collect();
        assert_eq!(nodes, ["n"]);
        agents.disconnected(&source, "gone");
        assert!(agents.have_reported() && agents.watching().is_empty());
    }
}
