//! `remora kfl`: filters explained, fields listed. Asks no hub.

use anyhow::Result;
use remora_hub::query::FilterReport;
use remora_kfl::Target;
use remora_model::field::CATALOGUE;
use serde_json::json;

use super::Usage;
use crate::cli::KflCommand;
use crate::output;

pub fn run(command: KflCommand) -> Result<()> {
    match command {
        KflCommand::Check { filter, flows, json } => {
            let target = if flows { Target::Flows } else { Target::Calls };
            let (report, _) = FilterReport::check(&filter, target);
            if json {
                output::text(&format!("{}\n", serde_json::to_string_pretty(&report.to_json())?))?;
            } else if report.valid {
                output::text(&report.text)?;
            }
            if report.valid {
                Ok(())
            } else {
                Err(Usage(format!("the filter is not valid\n{}", report.text)).into())
            }
        }
        KflCommand::Fields { search, output: format } => {
            let search = search.to_lowercase();
            let hits = CATALOGUE
                .iter()
                .filter(|d| d.name.contains(&search) || d.meaning.to_lowercase().contains(&search));
            let rows: Vec<output::Row> = hits
                .filter_map(|d| {
                    json!({ "name": d.name, "type": d.ty.name(), "example": d.example, "meaning": d.meaning })
                        .as_object()
                        .cloned()
                })
                .collect();
            if rows.is_empty() {
                anyhow::bail!("no field is called or means anything like {search:?}");
            }
            let columns = ["name", "type", "example", "meaning"].map(str::to_owned);
            output::rows(&rows, &columns, format)?;
            Ok(())
        }
    }
}
