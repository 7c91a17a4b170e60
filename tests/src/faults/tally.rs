//! What was made against what the hub has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, bail};

use super::answer::Row;
use super::load::{self, Made};

/// Examples shown of each kind of fault.
const EXAMPLES: usize = 8;

/// A time in which calls may be missing or broken: nobody was capturing, or with gaps.
pub type Blind = (Instant, Instant);

/// Numbers of the calls that the hub has whole.
pub fn whole(rows: &[Row]) -> BTreeSet<u64> {
    rows.iter()
        .filter(|r| r.status == Some(200) && r.incomplete.is_none())
        .filter_map(|r| load::number(&r.path))
        .collect()
}

/// Calls outside of `blind` that the hub does not have whole.
pub fn missing(made: &[Made], rows: &[Row], blind: &[Blind]) -> Vec<Made> {
    let there = whole(rows);
    let excused = |m: &Made| blind.iter().any(|(from, to)| m.start <= *to && m.end >= *from);
    made.iter().filter(|m| !there.contains(&m.number) && !excused(m)).copied().collect()
}

/// Checks that each call outside of `blind` is there once and whole, and that nothing is there
/// twice or was never made.
///
/// # Errors
/// When it is not so: numbers and examples of each kind.
pub fn exactly_once(made: &[Made], rows: &[Row], blind: &[Blind]) -> Result<()> {
    let mut text = String::new();
    let began = made.iter().map(|m| m.start).min().unwrap_or_else(Instant::now);
    let since = |at: Instant| at.saturating_duration_since(began).as_secs_f64();
    let by_number: BTreeMap<u64, &Made> = made.iter().map(|m| (m.number, m)).collect();

    let gone = missing(made, rows, blind);
    if !gone.is_empty() {
        _ = writeln!(text, "{} of {} calls missing or not whole:", gone.len(), made.len());
        for m in gone.iter().take(EXAMPLES) {
            let found: Vec<_> = rows.iter().filter(|r| load::number(&r.path) == Some(m.number)).collect();
            let (start, end) = (since(m.start), since(m.end));
            _ = writeln!(text, "  {} client {} at {start:.3}-{end:.3}: {found:?}", m.number, m.client);
        }
        for (from, to) in blind {
            _ = writeln!(text, "  (blind from {:.3} to {:.3})", since(*from), since(*to));
        }
    }
    let mut counts: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for row in rows.iter().filter(|r| !r.path.is_empty()) {
        counts.entry(&row.path).or_default().push(row.id);
    }
    let twice: Vec<_> = counts.iter().filter(|(_, ids)| ids.len() > 1).collect();
    if !twice.is_empty() {
        _ = writeln!(text, "{} calls are there more than once:", twice.len());
        for (path, ids) in twice.iter().take(EXAMPLES) {
            let at = load::number(path).and_then(|n| by_number.get(&n)).map(|m| since(m.start));
            _ = writeln!(text, "  {path} as {ids:?}, made at {at:?}");
        }
    }
    let ids: BTreeSet<i64> = rows.iter().map(|r| r.id).collect();
    if ids.len() != rows.len() {
        _ = writeln!(text, "{} rows share their ids with others", rows.len() - ids.len());
    }
    let known = |r: &&Row| load::number(&r.path).is_some_and(|n| by_number.contains_key(&n));
    let foreign: Vec<_> = rows.iter().filter(|r| !r.path.is_empty() && !known(r)).collect();
    if !foreign.is_empty() {
        _ = writeln!(text, "{} calls were never made: {:?}", foreign.len(), foreign.first());
    }
    if text.is_empty() { Ok(()) } else { bail!(text) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn made(number: u64, at: Instant) -> Made {
        Made { number, client: 0, start: at, end: at + Duration::from_millis(1) }
    }

    fn row(id: i64, number: u64) -> Row {
        Row { id, path: load::path(number, 1), status: Some(200), incomplete: None }
    }

    #[test]
    fn each_fault_is_found() {
        let t = Instant::now();
        let calls = [made(1, t), made(2, t + Duration::from_secs(1))];
        let good = [row(1, 1), row(2, 2)];
        assert!(exactly_once(&calls, &good, &[]).is_ok());
        let says = |rows: &[Row], what: &str| {
            let text = exactly_once(&calls, rows, &[]).unwrap_err().to_string();
            assert!(text.contains(what), "{text}");
        };
        says(&good[..1], "1 of 2 calls missing");
        says(&[row(1, 1), row(2, 2), row(3, 2)], "more than once");
        says(&[row(1, 1), row(1, 2)], "share their ids");
        says(&[row(1, 1), row(2, 2), row(3, 3)], "never made");
        let mut broken = good.to_vec();
        broken[0].incomplete = Some("gap".to_owned());
        says(&broken, "not whole");
        let blind = [(t + Duration::from_millis(900), t + Duration::from_secs(2))];
        assert!(exactly_once(&calls, &good[..1], &blind).is_ok());
        assert!(exactly_once(&calls, &good[1..], &blind).is_err());
    }
}
