//! Why there are no rows: no traffic, none that matches, or none that was seen.

use remora_kfl::Filter;
use remora_model::{FieldType, Storage, field};
use remora_store::{Rank, StatsQuery};
use serde_json::Value;

use super::render::{plain, visible};
use super::window::Window;
use super::{Query, QueryError, compile, now};

/// Values of a field that are shown as the nearest ones that exist.
const VALUES: usize = 5;

impl Query {
    /// Sentences that explain an answer without rows and say what to try next.
    pub(super) async fn explain_empty(
        &self,
        filter: &Filter,
        window: Window,
    ) -> Result<Vec<String>, QueryError> {
        let everything = StatsQuery {
            filter: compile("", filter.target, now())?,
            window: window.into(),
            group_by: vec![field::PROTOCOL],
            limit: 16,
            rank: Rank::Count,
            bucket: None,
        };
        let stats = self.store.stats(&everything).await?;
        let by_protocol: Vec<String> = super::json_rows(&stats.rows, true)
            .iter()
            .filter_map(|r| Some(format!("{} {}", r.get("count")?, r.get("protocol")?.as_str()?)))
            .collect();
        let mut notes = Vec::new();
        if by_protocol.is_empty() {
            notes.push("no calls of any kind were captured in this window".to_owned());
            notes.push(
                match self.store.boundaries().iter().find(|b| b.table == remora_model::Table::Calls) {
                    Some(b) => format!(
                        "calls are held from {} to {}: ask for a window that overlaps",
                        b.oldest.to_rfc3339(),
                        b.newest.to_rfc3339()
                    ),
                    None => {
                        "no calls have been captured yet: get_status tells what is being captured".to_owned()
                    }
                },
            );
            return Ok(notes);
        }
        notes.push(format!(
            "nothing matches the filter, but the window has calls: {}",
            by_protocol.join(", ")
        ));
        // The values that exist, for the first field on which the filter may have missed them.
        let candidate = filter.fields.iter().map(|f| f.def()).find(|d| {
            d.ty == FieldType::Text
                && matches!(d.storage, Storage::Stored | Storage::Repeating)
                && d.id != field::PROTOCOL
        });
        if let Some(def) = candidate {
            let values = self.store.field_values(def.id, window.into(), VALUES).await?;
            let shown: Vec<String> = values.iter().map(|v| quote(&v.value)).collect();
            if shown.is_empty() {
                notes.push(format!("no call in the window has {}", def.name));
            } else {
                notes.push(format!("values of {} in the window: {}", def.name, shown.join(", ")));
            }
        }
        Ok(notes)
    }
}

fn quote(value: &Value) -> String {
    let text: String = plain(value).chars().take(80).collect();
    format!("\"{}\"", visible(&text))
}
