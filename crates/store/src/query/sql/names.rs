//! Names of columns and views, and what to say when there is none of a name.

use std::collections::HashMap;
use std::sync::LazyLock;

use datafusion::common::SchemaError;
use remora_model::FieldDef;
use remora_model::field::CATALOGUE;

use super::{views, workloads};

/// The name of a field in SQL, where a dot separates a table from its column.
pub(super) fn sql_name(field: &FieldDef) -> String {
    field.name.replace('.', "_")
}

/// The column that a name written with dots, or in capitals, stands for.
pub(super) fn column(name: &str) -> Option<String> {
    static COLUMNS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
        let both = |d: &FieldDef| [(d.name.to_owned(), sql_name(d)), (sql_name(d), sql_name(d))];
        CATALOGUE.iter().flat_map(both).collect()
    });
    COLUMNS.get(name).or_else(|| COLUMNS.get(&name.to_ascii_lowercase())).cloned()
}

fn all_names() -> Vec<&'static str> {
    views::all().iter().map(|v| v.name).chain([workloads::NAME]).collect()
}

/// Which views there are.
pub(super) fn views_advice() -> String {
    format!("the views are {}", all_names().join(", "))
}

/// What is wrong with a name, and what may have been meant.
pub(super) fn explain(e: &SchemaError) -> (String, Option<String>) {
    match e {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let valid: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
            let advice = nearest(&field.name, &valid).map(|near| format!("did you mean {near}?"));
            (format!("there is no column {}", field.name), advice)
        }
        SchemaError::AmbiguousReference { field } => (
            format!("{} is in several of the tables", field.name),
            Some("write the table before it, for example calls.ts".to_owned()),
        ),
        e => (e.to_string(), None),
    }
}

/// The same for what the planner says in words.
pub(super) fn explain_plan(text: &str) -> (String, Option<String>) {
    // `table 'datafusion.public.x' not found`
    if let Some(name) = text.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        let name = name.rsplit('.').next().unwrap_or(name);
        let advice = match nearest(name, &all_names()) {
            Some(near) => format!("did you mean {near}?"),
            None => views_advice(),
        };
        return (format!("there is no table {name}"), Some(advice));
    }
    let text = text.split("\nCandidate functions").next().unwrap_or(text);
    let advice = text.contains("function").then(|| "functions are those of DataFusion's SQL, for example count, sum, avg, approx_percentile_cont, date_bin, regexp_like".to_owned());
    (text.trim().to_owned(), advice)
}

fn nearest<'a>(name: &str, all: &[&'a str]) -> Option<&'a str> {
    let scored = all.iter().map(|known| (strsim::jaro_winkler(name, known), *known));
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.75).map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_fields_have_one_name_in_sql() {
        let mut seen = HashSet::new();
        for field in CATALOGUE {
            assert!(seen.insert(sql_name(field)), "{}", field.name);
        }
    }
}
