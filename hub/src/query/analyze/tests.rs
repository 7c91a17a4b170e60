//! Healthy traffic gives no findings; with one kind of trouble planted in it, exactly that is found, with
//! numbers that a count of what was planted gives too, and with a next call that shows the evidence.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod healthy;
mod plant;
mod requests;
mod whole;
mod wire;

use serde_json::{Map, Value};

use self::plant::Plant;

/// The finding of the only kind that there is.
async fn only(plant: Plant, kind: &str) -> Map<String, Value> {
    let rows = plant.analyzed("").await.rows;
    let kinds: Vec<&str> = rows.iter().filter_map(|r| r["kind"].as_str()).collect();
    assert_eq!(kinds, [kind], "{rows:#?}");
    rows.into_iter().next().unwrap()
}

/// A number of a finding.
fn number(finding: &Map<String, Value>, name: &str) -> i64 {
    finding["numbers"][name].as_i64().unwrap_or_else(|| panic!("no {name} in {finding:#?}"))
}

fn count<T>(of: impl IntoIterator<Item = T>) -> i64 {
    i64::try_from(of.into_iter().count()).unwrap()
}

fn title(finding: &Map<String, Value>) -> &str {
    finding["title"].as_str().unwrap()
}
