//! Resources: what an assistant may read without asking a question.

use rmcp::model::{Resource, ResourceTemplate};
use serde_json::{Map, Value, json};

use super::prompts::{self, Argument};
use super::tools::{self, Kind};
use crate::query::Query;
use crate::query::request::FieldsRequest;

const JSON: &str = "application/json";
const TSV: &str = "text/tab-separated-values";
const MARKDOWN: &str = "text/markdown";

/// The reference of the filter language, as it is in the repository.
const KFL: &str = include_str!("../../../docs/kfl.md");

/// Values that a completion offers at most.
const COMPLETIONS: usize = 50;

/// What is read, and its media type.
pub(super) struct Content {
    pub(super) text: String,
    pub(super) media_type: &'static str,
}

/// Why something cannot be read.
pub(super) enum Unreadable {
    /// There is no such resource.
    Unknown,
    /// It could not be made; cause and advice.
    Failed(String),
}

/// The resources with fixed addresses.
pub(super) fn list() -> Vec<Resource> {
    let of = |uri: &str, name: &str, title: &str, description: &str, media_type: &str| {
        Resource::new(uri, name).with_title(title).with_description(description).with_mime_type(media_type)
    };
    vec![
        of(
            "remora://status",
            "status",
            "Capture status",
            "What is captured, what was lost, how far back data reaches",
            JSON,
        ),
        of("remora://fields", "fields", "Fields", "Every field that filters and answers know", TSV),
        of("remora://kfl", "kfl", "KFL reference", "The filter language", MARKDOWN),
        of("remora://map", "map", "Service map", "Who called whom in the last hour", TSV),
    ]
}

/// The addresses with a part to fill in.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    let of = |uri: &str, name: &str, title: &str, description: &str, media_type: &str| {
        ResourceTemplate::new(uri, name)
            .with_title(title)
            .with_description(description)
            .with_mime_type(media_type)
    };
    vec![
        of("remora://calls/{id}", "call", "One call", "A call with every field, by its id", JSON),
        of(
            "remora://fields/{protocol}",
            "protocol_fields",
            "Fields of a protocol",
            "The fields of one protocol",
            TSV,
        ),
        of(
            "remora://values/{field}",
            "field_values",
            "Values of a field",
            "The most frequent values of a field",
            TSV,
        ),
    ]
}

/// Reads one.
pub(super) async fn read(uri: &str, query: &Query) -> Result<Content, Unreadable> {
    let path = uri.strip_prefix("remora://").ok_or(Unreadable::Unknown)?;
    let (kind, arguments, media_type) = match path.split_once('/') {
        None => match path {
            "status" => (Kind::Status, json!({}), JSON),
            "fields" => (Kind::Fields, json!({}), TSV),
            "map" => (Kind::Map, json!({ "since": "1h" }), TSV),
            "kfl" => return Ok(Content { text: KFL.to_owned(), media_type: MARKDOWN }),
            _ => return Err(Unreadable::Unknown),
        },
        Some(("calls", id)) if is_word(id) => (Kind::Call, json!({ "id": id }), JSON),
        Some(("fields", protocol)) if is_word(protocol) => {
            (Kind::Fields, json!({ "protocol": protocol }), TSV)
        }
        Some(("values", field)) if is_word(field) => (Kind::Fields, json!({ "values_of": field }), TSV),
        Some(_) => return Err(Unreadable::Unknown),
    };
    let arguments = arguments.as_object().cloned().unwrap_or_else(Map::new);
    match tools::call(kind, arguments, query).await {
        Ok(output) => Ok(Content { text: output.text, media_type }),
        Err(failure) => Err(Unreadable::Failed(failure.message)),
    }
}

/// Ids and names of fields: nothing that would have to be escaped.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Values for an argument of a template that begin with what was typed.
pub(super) async fn complete_template(uri: &str, typed: &str, query: &Query) -> Vec<String> {
    match uri {
        "remora://fields/{protocol}" => {
            let names = remora_model::Protocol::ALL.iter().map(|p| p.name());
            begin_with(names.map(str::to_owned), typed)
        }
        "remora://values/{field}" => {
            let names = remora_model::field::CATALOGUE.iter().map(|d| d.name);
            begin_with(names.map(str::to_owned), typed)
        }
        "remora://calls/{id}" => values("id", typed, query).await,
        _ => Vec::new(),
    }
}

/// The same for an argument of a prompt.
pub(super) async fn complete_prompt(prompt: &str, name: &str, typed: &str, query: &Query) -> Vec<String> {
    match prompts::argument(prompt, name) {
        Some(Argument::Since | Argument::BaselineSince) => {
            let usual = ["5m", "15m", "1h", "6h", "24h"];
            begin_with(usual.into_iter().map(str::to_owned), typed)
        }
        Some(Argument::Service) => values("dst.name", typed, query).await,
        Some(Argument::Peer) => {
            let mut found = values("dst.name", typed, query).await;
            found.extend(values("dst.ip", typed, query).await);
            found.truncate(COMPLETIONS);
            found
        }
        Some(Argument::TraceId) => values("trace_id", typed, query).await,
        None => Vec::new(),
    }
}

/// The frequent values of a field. What cannot be had is not offered.
async fn values(field: &str, typed: &str, query: &Query) -> Vec<String> {
    let request = FieldsRequest { values_of: Some(field.to_owned()), ..FieldsRequest::default() };
    let Ok(answer) = query.fields(&request).await else { return Vec::new() };
    let texts = answer.rows.into_iter().filter_map(|row| match row.get("value") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    });
    begin_with(texts, typed)
}

fn begin_with(all: impl Iterator<Item = String>, typed: &str) -> Vec<String> {
    let typed = typed.to_ascii_lowercase();
    all.filter(|value| value.to_ascii_lowercase().starts_with(&typed)).take(COMPLETIONS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_words_only() {
        assert!(is_word("request.headers") && is_word("4711"));
        for odd in ["", "a/b", "a b", "%41", "..\u{e9}", &"a".repeat(129)] {
            assert!(!is_word(odd), "{odd}");
        }
    }

    #[test]
    fn completions_begin_with_what_was_typed() {
        let all = || ["http", "HTTP2", "dns"].into_iter().map(str::to_owned);
        assert_eq!(begin_with(all(), "Ht"), ["http", "HTTP2"]);
        assert_eq!(begin_with(all(), "").len(), 3);
    }

    #[test]
    fn every_resource_has_what_clients_show() {
        for resource in list() {
            assert!(
                resource.title.is_some() && resource.description.is_some() && resource.mime_type.is_some()
            );
        }
        for template in templates() {
            assert!(
                template.title.is_some() && template.description.is_some() && template.mime_type.is_some()
            );
        }
    }
}
