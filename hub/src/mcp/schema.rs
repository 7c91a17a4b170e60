//! JSON Schemas that every client can read.
//!
//! Some hosts refuse whole tool lists for one schema they do not know: type arrays, boolean
//! schemas, unsigned formats and references are written in simpler words here.

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde_json::Value;

/// The schema of `T` in the portable subset.
pub(crate) fn of<T: JsonSchema>() -> JsonObject {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut value = settings.into_generator().into_root_schema_for::<T>().to_value();
    portable(&mut value);
    match value {
        Value::Object(mut object) => {
            object.remove("$schema");
            object.remove("title");
            object.entry("properties").or_insert_with(|| Value::Object(JsonObject::new()));
            object
        }
        _ => JsonObject::new(),
    }
}

fn portable(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                // `["string", "null"]` says of an optional field what leaving it out of
                // `required` says already.
                types.retain(|t| t != "null");
                if types.len() == 1 {
                    let only = types.remove(0);
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|c| c.get("type") != Some(&"null".into()));
                if choices.len() == 1
                    && let Value::Object(only) = choices.remove(0)
                {
                    object.remove("anyOf");
                    for (k, v) in only {
                        object.entry(k).or_insert(v);
                    }
                }
            }
            if let Some(Value::Array(choices)) = object.get("oneOf")
                && let Some(names) = constants(choices)
            {
                object.remove("oneOf");
                object.insert("type".into(), "string".into());
                object.insert("enum".into(), names);
            }
            object.remove("format");
            object.remove("minimum");
            object.remove("default");
            for (key, v) in object.iter_mut() {
                match (key.as_str(), v) {
                    // The keys of `properties` are names of ours, not words of JSON Schema.
                    ("properties", Value::Object(fields)) => fields.values_mut().for_each(portable),
                    (_, v) => portable(v),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(portable),
        _ => {}
    }
}

/// The names of an enum that schemars wrote as one alternative for each documented variant.
fn constants(choices: &[Value]) -> Option<Value> {
    choices.iter().map(|c| c.get("const").filter(|v| v.is_string()).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::request::{
        CallRequest, CallsRequest, FieldsRequest, FlowsRequest, StatsRequest, StatusRequest,
    };

    fn check(value: &Value, path: &str) {
        match value {
            Value::Object(o) => {
                for banned in ["anyOf", "oneOf", "allOf", "$ref", "format", "$defs"] {
                    assert!(!o.contains_key(banned) || path.ends_with("properties"), "{banned} at {path}");
                }
                if let Some(t) = o.get("type") {
                    assert!(t.is_string() || path.ends_with("properties"), "type array at {path}");
                }
                for (k, v) in o {
                    check(v, &format!("{path}/{k}"));
                }
            }
            Value::Array(a) => a.iter().for_each(|v| check(v, path)),
            _ => {}
        }
    }

    #[test]
    fn every_request_has_a_portable_schema() {
        let calls = of::<CallsRequest>();
        assert!(calls["properties"].get("format").is_some(), "a property may have the name of a keyword");
        for (name, schema) in [
            ("calls", of::<CallsRequest>()),
            ("call", of::<CallRequest>()),
            ("stats", of::<StatsRequest>()),
            ("flows", of::<FlowsRequest>()),
            ("status", of::<StatusRequest>()),
            ("fields", of::<FieldsRequest>()),
        ] {
            assert_eq!(schema.get("type"), Some(&"object".into()), "{name}");
            assert_eq!(schema.get("additionalProperties"), Some(&false.into()), "{name}");
            check(&Value::Object(schema), name);
        }
    }
}
