//! Slow endpoints: such as are slow for most who ask, by what others need, and such as are for some.

use super::endpoints::Endpoint;
use super::finding::{Finding, Severity, ids, numbers};
use super::overview::MESSAGES;
use super::scope::Scope;
use super::words::time;

/// Calls with a latency from which an endpoint is judged by its median, and by its tail.
const ENOUGH: u64 = 10;
const ENOUGH_FOR_TAIL: u64 = 50;
/// Medians in microseconds from which people notice, and which is slow even without others.
const SLOW: i64 = 500_000;
const SLOW_ALONE: i64 = 2_000_000;
/// How much slower than the middle one of the other endpoints.
const FACTOR: i64 = 5;
/// Other endpoints that make a comparison.
const OTHERS: usize = 3;
/// 95th percentile that is a tail: in microseconds, and times the median.
const TAIL: i64 = 200_000;
const TAIL_FACTOR: i64 = 8;
/// What waits for something to happen is not slow.
const WAITING: &[&str] =
    &["FETCH", "JOIN_GROUP", "SYNC_GROUP", "BLPOP", "BRPOP", "BLMOVE", "BLMPOP", "BZPOP", "XREAD", "WAIT"];

pub(super) fn look(scope: &Scope<'_>, endpoints: &[Endpoint]) -> Vec<Finding> {
    endpoints.iter().filter_map(|e| judge(scope, e, endpoints)).collect()
}

fn waits(e: &Endpoint) -> bool {
    let messages = MESSAGES.split(", ").any(|p| p.trim_matches('\'') == e.protocol);
    let waiting = matches!(e.protocol.as_str(), "kafka" | "redis");
    messages || waiting && WAITING.iter().any(|w| e.endpoint.starts_with(w))
}

fn judge(scope: &Scope<'_>, e: &Endpoint, all: &[Endpoint]) -> Option<Finding> {
    if waits(e) || e.timed < ENOUGH {
        return None;
    }
    let usual = usual(e, all);
    let slow = match usual {
        Some(usual) => e.p50 >= SLOW && e.p50 >= usual.saturating_mul(FACTOR),
        None => e.p50 >= SLOW_ALONE,
    };
    let tail = e.timed >= ENOUGH_FOR_TAIL && e.p95 >= TAIL && e.p95 >= e.p50.saturating_mul(TAIL_FACTOR);
    let (kind, title, explanation) = if slow {
        let than = match usual {
            Some(usual) => {
                format!("The middle one of the other {} endpoints needs {}.", e.protocol, time(usual))
            }
            None => "There are no other endpoints to compare it with.".to_owned(),
        };
        let title =
            format!("{} is slow: half of its {} calls take more than {}", e.name(), e.timed, time(e.p50));
        ("slow", title, format!("{than} 95th percentile {}, longest {}.", time(e.p95), time(e.slowest)))
    } else if tail {
        let title = format!(
            "{} is slow for some: 5 % of its {} calls take more than {}",
            e.name(),
            e.timed,
            time(e.p95)
        );
        let why = "Half are answered within";
        (
            "slow_tail",
            title,
            format!(
                "{why} {}, the longest took {}. Something makes a part of them wait: a lock, a pool, a cold cache, a retry behind it.",
                time(e.p50),
                time(e.slowest)
            ),
        )
    } else {
        return None;
    };
    let hurts = e.p50 >= SLOW_ALONE || e.p95 >= 2 * SLOW_ALONE;
    let border = if slow { e.p50 } else { e.p95 };
    let conditions = [e.conditions(), vec![format!("elapsed_time >= {border}")]].concat();
    Some(Finding {
        severity: if hurts { Severity::Medium } else { Severity::Low },
        kind,
        subject: e.server.clone(),
        title,
        explanation,
        numbers: numbers([
            ("calls", e.timed.into()),
            ("elapsed_p50", e.p50.into()),
            ("elapsed_p95", e.p95.into()),
            ("elapsed_max", e.slowest.into()),
            ("others_p50", usual.into()),
        ]),
        calls: ids([e.slowest_id]),
        flows: Vec::new(),
        suggestion: "See whether what the server itself calls is slow then (calls with its name as src.name).",
        next: scope.next("list_api_calls", &conditions),
        weight: u64::try_from(e.p95).unwrap_or(0).saturating_mul(e.timed) / 1_000_000,
    })
}

/// The median of the medians of the other endpoints of the protocol.
fn usual(e: &Endpoint, all: &[Endpoint]) -> Option<i64> {
    let other = |o: &&Endpoint| {
        o.protocol == e.protocol
            && (o.server != e.server || o.endpoint != e.endpoint)
            && o.timed > 0
            && !waits(o)
    };
    let mut medians: Vec<i64> = all.iter().filter(other).map(|o| o.p50).collect();
    medians.sort_unstable();
    if medians.len() < OTHERS { None } else { medians.get(medians.len() / 2).copied() }
}
