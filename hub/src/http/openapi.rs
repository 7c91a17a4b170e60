//! The description of the REST interface, made from the types that it reads.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::mcp::portable_schema;
use crate::query::request::{
    AnalyzeRequest, CallRequest, CallsRequest, CompareRequest, ExportRequest, FieldsRequest, FlowsRequest,
    MapRequest, SqlRequest, StatsRequest, StatusRequest, ValidateRequest,
};

/// OpenAPI 3.1.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    let mut add = |path: &str, summary: &str, parameters: Vec<Value>| {
        let get = json!({
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": { "description": "the answer", "content": { "application/json": { "schema": { "type": "object" } } } },
                "400": { "description": "a filter or argument is wrong; error.message says what to do" },
                "401": { "description": "the token is missing or wrong" },
                "503": { "description": "the store cannot answer now" },
            }
        });
        paths.insert(path.to_owned(), json!({ "get": get }));
    };
    add("/api/v1/calls", "a page of calls", parameters::<CallsRequest>());
    let id = json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } });
    let mut call = parameters::<CallRequest>();
    call.retain(|p| p["name"] != "id");
    call.push(id);
    add("/api/v1/calls/{id}", "one call whole", call);
    add("/api/v1/stats", "counts and percentiles", parameters::<StatsRequest>());
    add("/api/v1/flows", "a page of flows", parameters::<FlowsRequest>());
    add("/api/v1/map", "who calls whom", parameters::<MapRequest>());
    add("/api/v1/compare", "what changed between two windows", parameters::<CompareRequest>());
    add("/api/v1/analyze", "what is wrong, worst first", parameters::<AnalyzeRequest>());
    add("/api/v1/sql", "rows by read-only SQL", parameters::<SqlRequest>());
    add("/api/v1/status", "what is captured, lost and held", parameters::<StatusRequest>());
    add("/api/v1/validate", "checks a filter", parameters::<ValidateRequest>());
    add("/api/v1/fields", "the fields that filters know", parameters::<FieldsRequest>());
    add("/api/v1/pcap", "packets as pcapng", parameters::<ExportRequest>());
    let follow = ["filter", "table", "bodies"].map(|n| {
        json!({ "name": n, "in": "query", "schema": { "type": if n == "bodies" { "boolean" } else { "string" } } })
    });
    add("/api/v1/follow", "rows as they arrive, one JSON object per line", follow.to_vec());
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Remora", "version": env!("CARGO_PKG_VERSION") },
        "components": { "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } } },
        "paths": paths,
    })
}

fn parameters<T: JsonSchema>() -> Vec<Value> {
    let schema = portable_schema::<T>();
    let Some(Value::Object(properties)) = schema.get("properties") else { return Vec::new() };
    properties
        .iter()
        // The rendering is MCP's affair: REST answers JSON.
        .filter(|(name, _)| name.as_str() != "format")
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let description =
                schema.as_object_mut().and_then(|o| o.remove("description")).unwrap_or(Value::Null);
            json!({
                "name": name, "in": "query", "description": description, "schema": schema,
                "style": "form", "explode": false,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_its_parameters() {
        let d = document();
        let names = |path: &str| -> Vec<String> {
            d["paths"][path]["get"]["parameters"]
                .as_array()
                .map(|a| a.iter().filter_map(|p| p["name"].as_str().map(str::to_owned)).collect())
                .unwrap_or_default()
        };
        assert!(names("/api/v1/calls").contains(&"filter".to_owned()));
        assert!(names("/api/v1/calls/{id}").contains(&"id".to_owned()));
        assert!(names("/api/v1/stats").contains(&"group_by".to_owned()));
    }
}
