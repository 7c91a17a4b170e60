//! Error bursts: a part of the window in which a service fails far more often than in the rest of it.

use serde_json::json;

use super::chance::{float, share, surprise};
use super::endpoints::ended;
use super::finding::{Finding, Severity, ids, numbers};
use super::overview::{NOT_REQUESTS, Overview};
use super::scope::{Row, Scope, all, is};
use super::words::{of, second, short};
use crate::query::QueryError;

/// Slots into which the calls of a window are counted.
const SLOTS: i64 = 30;
/// Lengths of a slot in seconds.
const LENGTHS: &[i64] = &[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400];
/// Failed calls below which nothing is a burst.
const LEAST: u64 = 5;
/// Calls outside of it by which a burst is judged.
const BASELINE: u64 = 20;
/// By how much more than the rest a slot must fail: by a factor, and by a share of all calls beside it.
const FACTOR: f64 = 3.0;
const MORE: f64 = 0.05;
/// A probability of 10^-6, as the negative logarithm: there are dozens of slots of dozens of services.
const SURE: f64 = 14.0;
/// Bursts of one service that are told.
const MOST: usize = 3;

/// Calls of a service in one slot.
#[derive(Clone, Debug, Default)]
struct Slot {
    /// Its number since the epoch.
    at: i64,
    calls: u64,
    failed: u64,
    ids: [Option<i64>; 2],
    outcomes: [String; 2],
}

/// Bursts with the number of slots that have calls.
pub(super) struct Bursts {
    pub(super) findings: Vec<Finding>,
    /// Protocol and server, and failed calls that belong to its bursts.
    pub(super) failed: Vec<(String, String, u64)>,
}

pub(super) async fn look(scope: &Scope<'_>, overview: &Overview) -> Result<Bursts, QueryError> {
    let seconds = overview.span() / 1_000_000_000;
    let length = LENGTHS.iter().find(|l| **l * SLOTS >= seconds).or(LENGTHS.last()).copied().unwrap_or(1);
    let text = format!(
        "SELECT * FROM (SELECT *, sum(bad) OVER (PARTITION BY protocol, dst_name) AS all_bad FROM ( \
         SELECT protocol, dst_name, CAST(ts AS BIGINT) / {nanos} AS slot, count(*) AS n, \
         count(*) FILTER (WHERE failed) AS bad, min(id) FILTER (WHERE failed) AS bad_first, \
         max(id) FILTER (WHERE failed) AS bad_last, min(outcome) FILTER (WHERE failed) AS bad_low, \
         max(outcome) FILTER (WHERE failed) AS bad_high \
         FROM calls WHERE protocol NOT IN ({NOT_REQUESTS}) GROUP BY protocol, dst_name, slot)) \
         WHERE all_bad >= {LEAST} ORDER BY all_bad DESC, protocol, dst_name, slot",
        nanos = length * 1_000_000_000
    );
    let found = scope.rows(text).await?;
    let mut bursts = Bursts { findings: Vec::new(), failed: Vec::new() };
    let mut rows = found.rows.as_slice();
    while let Some(first) = rows.first() {
        let key = |r: &Row| (r.text("protocol"), r.text("dst_name"));
        let end = rows.iter().position(|r| key(r) != key(first)).unwrap_or(rows.len());
        let (service, rest) = rows.split_at(end);
        rows = rest;
        let (protocol, server) = key(first);
        let slots: Vec<Slot> = service.iter().map(slot).collect();
        for (from, to) in find(&slots) {
            let (inside, outside) = sums(&slots, &[(from, to)]);
            let part = slots.get(from..to).unwrap_or_default();
            let begins = part.first().map_or(0, |s| s.at * length * 1_000_000_000);
            let ends = part.last().map_or(0, |s| (s.at + 1) * length * 1_000_000_000);
            bursts.failed.push((protocol.clone(), server.clone(), inside.1));
            bursts.findings.push(finding(scope, [&protocol, &server], part, inside, outside, [begins, ends]));
        }
    }
    Ok(bursts)
}

fn slot(r: &Row) -> Slot {
    Slot {
        at: r.int("slot").unwrap_or(0),
        calls: r.count("n"),
        failed: r.count("bad"),
        ids: [r.int("bad_first"), r.int("bad_last")],
        outcomes: [r.text("bad_low"), r.text("bad_high")],
    }
}

fn finding(
    scope: &Scope<'_>,
    [protocol, server]: [&str; 2],
    slots: &[Slot],
    (calls, failed): (u64, u64),
    (calls_before, failed_before): (u64, u64),
    [from, to]: [i64; 2],
) -> Finding {
    let outcomes = slots.iter().flat_map(|s| &s.outcomes).filter(|o| !o.is_empty());
    let low = outcomes.clone().min().cloned().unwrap_or_default();
    let high = outcomes.max().cloned().unwrap_or_default();
    let rate = share(failed, calls);
    let conditions =
        [all([is("protocol", protocol), is("dst.name", server)]), vec!["failed".to_owned()]].concat();
    Finding {
        severity: if rate >= 0.25 || failed >= 100 { Severity::High } else { Severity::Medium },
        kind: "error_burst",
        subject: server.to_owned(),
        title: format!(
            "{} ({protocol}) failed in {} from {} to {}",
            short(server),
            of(failed, calls, "call"),
            second(from),
            second(to)
        ),
        explanation: format!(
            "In the rest of the window {} failed, so chance does not explain it.{}",
            of(failed_before, calls_before, "call"),
            ended(&[low, high])
        ),
        numbers: numbers([
            ("failed", failed.into()),
            ("calls", calls.into()),
            ("failed_elsewhere", failed_before.into()),
            ("calls_elsewhere", calls_before.into()),
            ("from", second(from).into()),
            ("to", second(to).into()),
            ("error_rate", json!(rate)),
        ]),
        calls: ids([
            slots.iter().filter_map(|s| s.ids[0]).min(),
            slots.iter().filter_map(|s| s.ids[1]).max(),
        ]),
        flows: Vec::new(),
        suggestion: "Look at what failed then, and at what was deployed or restarted just before.",
        next: scope.next_between("list_api_calls", &conditions, from, to),
        weight: failed,
    }
}

/// The bursts of one service: ranges of its slots, in order of time.
fn find(slots: &[Slot]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    while found.len() < MOST {
        let taken = |i: usize, found: &[(usize, usize)]| found.iter().any(|(a, b)| (*a..*b).contains(&i));
        let seed = (0..slots.len())
            .filter(|i| !taken(*i, &found))
            .filter_map(|i| Some((i, judged(slots, &found, (i, i + 1))?)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((seed, _)) = seed else { break };
        let rate = |i: usize| slots.get(i).map_or(0.0, |s| share(s.failed, s.calls));
        let goes_on = |from: usize, to: usize, last: usize, next: usize| {
            let neighbours = match (slots.get(last), slots.get(next)) {
                (Some(a), Some(b)) => a.at.abs_diff(b.at) == 1,
                _ => false,
            };
            // A slot at its edge has calls from before or after it.
            let (_, outside) = sums(slots, &[&found[..], &[(from, to)]].concat());
            let usual = share(outside.1, outside.0);
            neighbours && !taken(next, &found) && rate(next) >= (rate(seed) / 4.0).max(usual * FACTOR + MORE)
        };
        let (mut from, mut to) = (seed, seed + 1);
        while from > 0 && goes_on(from, to, from, from - 1) {
            from -= 1;
        }
        while goes_on(from, to, to - 1, to) {
            to += 1;
        }
        found.push((from, to));
    }
    // With its neighbours it may be most of the window, and then it is no burst.
    let all = found.clone();
    found.retain(|range| {
        let others: Vec<_> = all.iter().filter(|r| *r != range).copied().collect();
        judged(slots, &others, *range).is_some()
    });
    found.sort_unstable();
    found
}

/// How surprising the failures in a range are, measured by what lies outside of it and of other bursts.
fn judged(slots: &[Slot], others: &[(usize, usize)], range: (usize, usize)) -> Option<f64> {
    let (inside, _) = sums(slots, &[range]);
    let (_, outside) = sums(slots, &[others, &[range]].concat());
    let (rate, usual) = (share(inside.1, inside.0), share(outside.1, outside.0));
    if inside.1 < LEAST || outside.0 < BASELINE || rate < usual * FACTOR + MORE {
        return None;
    }
    // As if two more calls had come, of which one failed: nothing never fails.
    let usual = (float(outside.1) + 1.0) / (float(outside.0) + 2.0);
    Some(surprise(inside.1, inside.0, usual)).filter(|s| *s >= SURE)
}

/// Calls and failed ones inside and outside of ranges.
fn sums(slots: &[Slot], ranges: &[(usize, usize)]) -> ((u64, u64), (u64, u64)) {
    let (mut inside, mut outside) = ((0, 0), (0, 0));
    for (i, s) in slots.iter().enumerate() {
        let side = if ranges.iter().any(|(a, b)| (*a..*b).contains(&i)) { &mut inside } else { &mut outside };
        side.0 += s.calls;
        side.1 += s.failed;
    }
    (inside, outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(all: &[(u64, u64)]) -> Vec<Slot> {
        (0..).zip(all).map(|(at, &(calls, failed))| Slot { at, calls, failed, ..Slot::default() }).collect()
    }

    #[test]
    fn a_burst_is_found_with_its_length() {
        let mut all = vec![(100, 1); 30];
        all[10] = (100, 40);
        all[11] = (120, 90);
        all[12] = (100, 50);
        assert_eq!(find(&slots(&all)), [(10, 13)]);
        all[25] = (40, 40);
        assert_eq!(find(&slots(&all)), [(10, 13), (25, 26)]);
    }

    #[test]
    fn nobody_cries_wolf() {
        // Three calls of which all fail.
        let mut all = vec![(100, 0); 30];
        all[7] = (3, 3);
        assert!(find(&slots(&all)).is_empty());
        // A steady rate, with the noise that it has.
        let steady: Vec<(u64, u64)> = (0..30).map(|i| (100, 3 + (i * 7) % 9)).collect();
        assert!(find(&slots(&steady)).is_empty());
        // Always failing, or nothing to compare with.
        assert!(find(&slots(&[(100, 90); 30])).is_empty());
        assert!(find(&slots(&[(100, 90)])).is_empty());
        assert!(find(&[]).is_empty());
        // Half of the window.
        let half: Vec<(u64, u64)> = (0..30).map(|i| (50, if i < 16 { 45 } else { 20 })).collect();
        assert!(find(&slots(&half)).is_empty());
    }
}
