//! The REST interface under `/api/v1`: the questions of [`crate::query::request`] as GET requests.

use axum::Json;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::App;
use super::openapi;
use crate::query::request::{
    AnalyzeRequest, CallIdArgument, CallRequest, CallsRequest, CompareRequest, FieldsRequest, FlowsRequest,
    MapRequest, SqlRequest, StatsRequest, StatusRequest, ValidateRequest,
};
use crate::query::{Answer, QueryError};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/calls", get(calls))
        .route("/calls/{id}", get(call))
        .route("/stats", get(stats))
        .route("/flows", get(flows))
        .route("/map", get(service_map))
        .route("/compare", get(compare))
        .route("/analyze", get(analyze))
        .route("/sql", get(sql))
        .route("/status", get(status))
        .route("/validate", get(validate))
        .route("/fields", get(fields))
        .route("/openapi.json", get(|| async { Json(openapi::document()) }))
}

/// An error as REST shows it.
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { status, code, message }
    }
}

impl From<QueryError> for ApiError {
    fn from(e: QueryError) -> Self {
        let status = match &e {
            QueryError::Filter { .. } | QueryError::Argument { .. } => StatusCode::BAD_REQUEST,
            QueryError::NotFound { .. } => StatusCode::NOT_FOUND,
            QueryError::Store(s) if s.is_request() => StatusCode::BAD_REQUEST,
            QueryError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, code: e.code(), message: e.to_string() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        (self.status, Json(body)).into_response()
    }
}

type Answered = Result<Json<Value>, ApiError>;

/// An answer with the order of its columns, which JSON objects do not have.
fn rows(answer: &Answer) -> Json<Value> {
    let mut json = answer.to_json();
    json["columns"] = json!(answer.columns);
    Json(json)
}

async fn calls(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(rows(&app.query.calls(&parse::<CallsRequest>(q)?).await?))
}

async fn call(State(app): State<App>, Path(id): Path<String>, RawQuery(q): RawQuery) -> Answered {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        max_body_bytes: Option<u32>,
    }
    let options: Options = parse(q)?;
    let request = CallRequest { id: CallIdArgument::Text(id), max_body_bytes: options.max_body_bytes };
    Ok(Json(Value::Object(app.query.call(&request).await?)))
}

async fn stats(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(rows(&app.query.stats(&parse::<StatsRequest>(q)?).await?))
}

async fn flows(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(rows(&app.query.flows(&parse::<FlowsRequest>(q)?).await?))
}

async fn service_map(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(rows(&app.query.service_map(&parse::<MapRequest>(q)?).await?))
}

async fn compare(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(rows(&app.query.compare(&parse::<CompareRequest>(q)?).await?))
}

async fn analyze(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(rows(&app.query.analyze(&parse::<AnalyzeRequest>(q)?).await?))
}

async fn sql(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(rows(&app.query.sql(&parse::<SqlRequest>(q)?).await?))
}

async fn status(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(Json(app.query.status(&parse::<StatusRequest>(q)?).await?))
}

async fn validate(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(Json(app.query.validate(&parse::<ValidateRequest>(q)?).await?.to_json()))
}

async fn fields(State(app): State<App>, RawQuery(q): RawQuery) -> Answered {
    Ok(rows(&app.query.fields(&parse::<FieldsRequest>(q)?).await?))
}

/// For paths that do not exist.
pub(super) async fn not_found() -> ApiError {
    ApiError {
        status: StatusCode::NOT_FOUND,
        code: "not_found",
        message:
            "there is nothing here; MCP is at /mcp, the REST interface is described by /api/v1/openapi.json"
                .to_owned(),
    }
}

/// Names of parameters that are lists, written with commas.
const LISTS: &[&str] = &["fields", "group_by", "by"];
/// Names of parameters that are numbers.
const NUMBERS: &[&str] = &["limit", "max_body_bytes"];
/// Names of parameters that are true or false.
const FLAGS: &[&str] = &["headers_only", "secrets"];

/// Reads a query string into a request. Unknown and repeated parameters are errors.
pub(super) fn parse<T: DeserializeOwned>(query: Option<String>) -> Result<T, ApiError> {
    let bad =
        |message: String| ApiError { status: StatusCode::BAD_REQUEST, code: "invalid_argument", message };
    let mut object = Map::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let parsed = if LISTS.contains(&&*name) {
            value.split(',').map(|v| Value::from(v.trim())).collect()
        } else if NUMBERS.contains(&&*name) {
            let n: u32 = value.parse().map_err(|_| bad(format!("{name}: {value:?} is not a number")))?;
            n.into()
        } else if FLAGS.contains(&&*name) {
            let flag: bool =
                value.parse().map_err(|_| bad(format!("{name}: {value:?} is neither true nor false")))?;
            flag.into()
        } else {
            Value::from(value.into_owned())
        };
        if object.insert(name.clone().into_owned(), parsed).is_some() {
            return Err(bad(format!("{name} is given twice")));
        }
    }
    serde_json::from_value(Value::Object(object)).map_err(|e| bad(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(q: &str) -> Result<CallsRequest, ApiError> {
        parse(Some(q.to_owned()))
    }

    #[test]
    fn query_strings_become_requests() {
        let r = read("kfl=http%20%26%26%20status_code%20%3E%3D%20500&limit=7&fields=id,%20path").ok();
        let r = r.unwrap_or_default();
        assert_eq!(r.filter.as_deref(), Some("http && status_code >= 500"));
        assert_eq!(r.limit, Some(7));
        assert_eq!(r.fields.as_deref(), Some(&["id".to_owned(), "path".to_owned()][..]));
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused() {
        for bad in ["filer=http", "limit=many", "limit=-1", "since=1m&since=2m", "order=sideways"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
