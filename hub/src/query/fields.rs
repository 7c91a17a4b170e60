//! The field catalogue as an answer.

use std::time::Duration;

use remora_model::field::{CATALOGUE, Scope};
use remora_model::{FieldDef, Protocol};
use serde_json::{Map, Value, json};

use super::request::{FieldsRequest, TableArgument};
use super::window::Window;
use super::{Answer, Query, QueryError, now, resolve};

/// How far back the values of a field are looked for.
const VALUES_WINDOW: Duration = Duration::from_secs(3600);
/// How many of them are shown.
const VALUES: usize = 50;

impl Query {
    /// The fields that filters know, or the values of one.
    ///
    /// # Errors
    /// An unknown protocol or field, or a store that cannot answer.
    pub async fn fields(&self, request: &FieldsRequest) -> Result<Answer, QueryError> {
        if let Some(name) = &request.values_of {
            return self.values_of(name).await;
        }
        let protocol = match request.protocol.as_deref() {
            None => None,
            Some(name) => {
                Some(Protocol::from_name(&name.to_ascii_lowercase()).ok_or_else(|| QueryError::Argument {
                    name: "protocol",
                    problem: format!("{name:?} is not a protocol that is dissected"),
                    advice: format!(
                        "choose one of {}",
                        Protocol::ALL.iter().map(|p| p.name()).collect::<Vec<_>>().join(", ")
                    ),
                })?)
            }
        };
        let search = request.search.as_deref().unwrap_or_default().to_ascii_lowercase();
        let rows = CATALOGUE
            .iter()
            .filter(|d| protocol.is_none_or(|p| d.applies_to(p)))
            .filter(|d| match request.table {
                None => true,
                Some(TableArgument::Calls) => d.in_calls(),
                Some(TableArgument::Flows) => d.in_flows(),
            })
            .filter(|d| {
                search.is_empty()
                    || d.name.contains(&search)
                    || d.meaning.to_ascii_lowercase().contains(&search)
            })
            .map(row)
            .collect();
        let columns = ["name", "type", "of", "meaning", "example"].map(str::to_owned).to_vec();
        Ok(Answer { columns, rows, ..Answer::default() })
    }

    async fn values_of(&self, name: &str) -> Result<Answer, QueryError> {
        let ids = resolve("values_of", &[name.to_owned()], "calls and flows", |_| true)?;
        let Some(&id) = ids.first() else {
            return Err(QueryError::Argument {
                name: "values_of",
                problem: "it is empty".to_owned(),
                advice: "name one field".to_owned(),
            });
        };
        let at = now();
        let window = Window { from: at.minus(VALUES_WINDOW), to: at.plus(Duration::from_secs(60)) };
        let values = self.store.field_values(id, window.into(), VALUES).await?;
        let rows = values
            .into_iter()
            .filter_map(|v| json!({ "value": v.value, "count": v.count }).as_object().cloned())
            .collect();
        Ok(Answer {
            window: Some(window),
            columns: vec!["value".to_owned(), "count".to_owned()],
            rows,
            coverage: Some(self.coverage(window).await?),
            ..Answer::default()
        })
    }
}

fn row(def: &FieldDef) -> Map<String, Value> {
    let several;
    let of = match def.scope {
        Scope::Call => "calls",
        Scope::Protocol(p) => p.name(),
        Scope::Several(all) => {
            several = all.iter().map(|p| p.name()).collect::<Vec<_>>().join(", ");
            several.as_str()
        }
        Scope::Flow => "flows",
        Scope::Both => "calls, flows",
    };
    let mut row = Map::new();
    for (key, value) in [
        ("name", def.name),
        ("type", def.ty.name()),
        ("of", of),
        ("meaning", def.meaning),
        ("example", def.example),
    ] {
        row.insert(key.to_owned(), value.into());
    }
    row
}
