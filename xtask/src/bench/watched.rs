//! Remora under measurement: started beside a load, and asked what it has stored of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::http::get_json;
use super::process::{Background, free_port};
use crate::run::Run;

/// Time for a program to be ready, and for Remora to see the first call.
pub(super) const START: Duration = Duration::from_secs(60);

/// Time for the rows of a turn to reach the store once the load has ended.
const DRAIN: Duration = Duration::from_secs(20);

/// Between two looks at a number that should stop changing.
const LOOK: Duration = Duration::from_millis(500);

/// Looks that must agree; longer than Remora holds rows back.
const LOOKS: u32 = 4;

/// A running `remora up` with a data directory of its own.
pub(super) struct Watched {
    process: Background,
    api: u16,
    data: PathBuf,
}

impl Watched {
    /// Starts Remora with `options`, and waits until it has stored a call to `probe_port` that `probe`
    /// makes, or the handshake before it.
    pub(super) fn start(
        remora: &Path,
        options: &[&str],
        dir: &Path,
        probe_port: u16,
        probe: impl Fn() -> bool,
    ) -> Result<Self> {
        let (api, data) = (free_port()?, dir.join("data"));
        let run = Run::new(remora).arg("up").arg("--listen").arg(format!("127.0.0.1:{api}"));
        let run = run.arg("--data-dir").arg(&data).args(options.iter().copied());
        let mut process = Background::start(&run, "remora", dir)?;
        let seen = || stored(api, "(http || tlsx)", probe_port).is_ok_and(|kinds| !kinds.is_empty());
        process.wait_until(START, |_| probe() && seen())?;
        Ok(Self { process, api, data })
    }

    /// Seconds of CPU that it has used.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        self.process.cpu_seconds()
    }

    /// See [`Background::peak_memory`].
    pub(super) fn peak_memory(&self) -> Result<f64> {
        self.process.peak_memory()
    }

    /// The calls to a port, by outcome, once no more arrive.
    pub(super) fn drained(&self, port: u16) -> Result<Vec<Kind>> {
        let began = Instant::now();
        let (mut last, mut same) = (stored(self.api, "http", port)?, 1);
        while same < LOOKS {
            if began.elapsed() > DRAIN {
                bail!("rows still arrive {DRAIN:?} after the load has ended");
            }
            std::thread::sleep(LOOK);
            let now = stored(self.api, "http", port)?;
            same = if now == last { same + 1 } else { 1 };
            last = now;
        }
        Ok(last)
    }

    /// What it says it has lost, as `stage/reason`.
    pub(super) fn losses(&self) -> Result<Vec<(String, i64)>> {
        Ok(losses(&get_json(self.api, "/api/v1/status", &[("since", "all")])?))
    }

    /// Stops it, and removes what it has stored.
    pub(super) fn stop(self) -> Result<()> {
        self.process.stop()?;
        let data = &self.data;
        std::fs::remove_dir_all(data).with_context(|| format!("cannot remove {}", data.display()))
    }
}

/// Stored calls of one outcome.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    status: Option<i64>,
    incomplete: Option<String>,
    pub(super) count: u64,
}

impl Kind {
    pub(super) fn is_whole(&self) -> bool {
        self.status == Some(200) && self.incomplete.is_none()
    }

    pub(super) fn text(&self) -> String {
        let status = self.status.map_or("no status".to_owned(), |status| format!("status {status}"));
        format!("{status}, {}", self.incomplete.as_deref().unwrap_or("complete"))
    }
}

/// Stored calls to a port that are `what`, by outcome.
fn stored(api: u16, what: &str, port: u16) -> Result<Vec<Kind>> {
    let filter = format!("{what} && dst.port == {port}");
    let query = [
        ("filter", filter.as_str()),
        ("since", "all"),
        ("group_by", "status_code,incomplete"),
        ("limit", "100"),
    ];
    kinds(&get_json(api, "/api/v1/stats", &query)?)
}

fn kinds(answer: &Value) -> Result<Vec<Kind>> {
    let rows = answer["rows"].as_array().context("an answer without rows")?;
    let kind = |row: &Value| {
        Some(Kind {
            status: row["status_code"].as_i64(),
            incomplete: row["incomplete"].as_str().map(str::to_owned),
            count: row["count"].as_u64()?,
        })
    };
    let kinds: Option<Vec<Kind>> = rows.iter().map(kind).collect();
    // Without groups there is still a row that says 0.
    Ok(kinds.context("a row without a count")?.into_iter().filter(|kind| kind.count > 0).collect())
}

/// What Remora says it has lost, as `stage/reason`.
fn losses(status: &Value) -> Vec<(String, i64)> {
    let lost = status["coverage"]["lost"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let each = lost.iter().map(|l| {
        (format!("{}/{}", text(&l["stage"]), text(&l["reason"])), l["count"].as_i64().unwrap_or_default())
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_calls_are_told_from_others() {
        let answer = json!({"rows": [
            {"status_code": 200, "count": 90},
            {"status_code": 200, "incomplete": "gap", "count": 6},
            {"incomplete": "no_response", "count": 4},
            {"count": 0},
        ]});
        let kinds = kinds(&answer).unwrap();
        let whole: u64 = kinds.iter().filter(|kind| kind.is_whole()).map(|kind| kind.count).sum();
        assert_eq!((whole, kinds.len()), (90, 3));
        assert_eq!(kinds[2].text(), "no status, no_response");
        assert!(super::kinds(&json!({"rows": [{"status_code": 200}]})).is_err());
    }

    #[test]
    fn losses_are_named_by_place_and_reason() {
        let status = json!({"coverage": {"lost": [{"stage": "ring", "reason": "ring_full", "count": 7}]}});
        assert_eq!(losses(&status), [("ring/ring_full".to_owned(), 7)]);
        assert!(losses(&json!({})).is_empty());
    }
}
