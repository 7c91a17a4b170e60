//! Endpoints that fail, always or much of the time, and such as reject their clients.

use serde_json::json;

use super::bursts::Bursts;
use super::chance::{at_least, float, share};
use super::endpoints::{Endpoint, ended};
use super::finding::{Finding, Severity, ids, numbers};
use super::scope::Scope;
use super::words::{many, of};

/// Failed calls from which an endpoint is told, and the share that is beyond doubt.
const LEAST: u64 = 5;
const SHARE: f64 = 0.03;
/// The same for calls that were rejected: some always are.
const REJECTED_LEAST: u64 = 20;
const REJECTED_SHARE: f64 = 0.5;
/// From which share on it fails always.
const ALWAYS: f64 = 0.99;

pub(super) fn look(scope: &Scope<'_>, endpoints: &[Endpoint], bursts: &Bursts) -> Vec<Finding> {
    let failing = endpoints.iter().filter(|e| fails(e, endpoints, bursts)).map(|e| failing(scope, e));
    failing.chain(endpoints.iter().filter(|e| rejects(e)).map(|e| rejecting(scope, e))).collect()
}

fn fails(e: &Endpoint, endpoints: &[Endpoint], bursts: &Bursts) -> bool {
    if e.failed < LEAST || at_least(e.failed, e.calls) < SHARE {
        return false;
    }
    // What failed in a burst was told there.
    let same = |protocol: &str, server: &str| protocol == e.protocol && server == e.server;
    let in_bursts: u64 = bursts.failed.iter().filter(|(p, s, _)| same(p, s)).map(|(.., n)| n).sum();
    let failed: u64 = endpoints.iter().filter(|o| same(&o.protocol, &o.server)).map(|o| o.failed).sum();
    share(e.failed, e.calls) >= 0.9 || float(in_bursts) < float(failed) / 2.0
}

fn rejects(e: &Endpoint) -> bool {
    e.rejected >= REJECTED_LEAST && at_least(e.rejected, e.calls) >= REJECTED_SHARE
}

fn failing(scope: &Scope<'_>, e: &Endpoint) -> Finding {
    let rate = share(e.failed, e.calls);
    let always = rate >= ALWAYS;
    let severity = match rate {
        r if r >= 0.5 && e.failed >= 20 => Severity::High,
        r if r >= 0.1 => Severity::Medium,
        _ => Severity::Low,
    };
    let what = if always { "fails always" } else { "fails often" };
    Finding {
        severity,
        kind: if always { "always_failing" } else { "failing" },
        subject: e.server.clone(),
        title: format!("{} {what}: {}", e.name(), of(e.failed, e.calls, "call")),
        explanation: format!(
            "Asked by {}. It fails through the whole window, not in a burst.{}",
            many(e.clients, "client"),
            ended(&e.failed_as)
        ),
        numbers: numbers([
            ("failed", e.failed.into()),
            ("calls", e.calls.into()),
            ("error_rate", json!(rate)),
            ("clients", e.clients.into()),
        ]),
        calls: ids(e.failed_ids),
        flows: Vec::new(),
        suggestion: "Read the answer of one of these calls, and whether other endpoints of the server are well.",
        next: scope.next("list_api_calls", &[e.conditions(), vec!["failed".to_owned()]].concat()),
        weight: e.failed,
    }
}

fn rejecting(scope: &Scope<'_>, e: &Endpoint) -> Finding {
    Finding {
        severity: Severity::Low,
        kind: "rejected",
        subject: e.server.clone(),
        title: format!("{} rejects its clients: {}", e.name(), of(e.rejected, e.calls, "call")),
        explanation: format!(
            "The server blames the requests of {}: something wrong is asked again and again.{}",
            many(e.clients, "client"),
            ended(&e.rejected_as)
        ),
        numbers: numbers([
            ("rejected", e.rejected.into()),
            ("calls", e.calls.into()),
            ("clients", e.clients.into()),
        ]),
        calls: ids(e.rejected_ids),
        flows: Vec::new(),
        suggestion: "Look at credentials, permissions and addresses that the clients use.",
        next: scope.next("list_api_calls", &[e.conditions(), vec!["client_error".to_owned()]].concat()),
        weight: e.rejected,
    }
}
