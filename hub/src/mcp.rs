//! The Model Context Protocol over Streamable HTTP at `/mcp`. The only module that knows `rmcp`.
//!
//! Clients of every era come to the same path. Those that accept an event stream get the full
//! transport with sessions where their revision has them; those that accept only JSON (curl, many
//! scripts) get one JSON reply for each request and need no session. What a client says in
//! `Accept` decides.

mod export;
mod prompts;
mod resources;
mod schema;
mod server;
mod tools;

pub(crate) use schema::of as portable_schema;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::server::Server;
use crate::query::Query;

type Service = StreamableHttpService<Server, LocalSessionManager>;

/// Largest request that is read.
const MAX_REQUEST_BYTES: usize = 1 << 20;

#[derive(Clone)]
struct Services {
    /// Sessions and event streams.
    full: Service,
    /// One JSON reply for each POST.
    plain: Service,
}

/// The router that serves `/mcp`. `shutdown` ends its sessions.
///
/// `Host` and `Origin` are checked for every route by [`crate::http`], so they are not again here.
pub fn router(query: Arc<Query>, shutdown: CancellationToken) -> Router {
    let service = |sessions: bool| {
        let query = Arc::clone(&query);
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(sessions)
            .with_json_response(!sessions)
            .with_cancellation_token(shutdown.clone())
            .with_max_request_body_bytes(MAX_REQUEST_BYTES)
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let sessions = Arc::new(LocalSessionManager::default());
        StreamableHttpService::new(move || Ok(Server::new(Arc::clone(&query))), sessions, config)
    };
    let services = Services { full: service(true), plain: service(false) };
    Router::new().route("/mcp", any(dispatch)).with_state(services)
}

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

async fn dispatch(State(services): State<Services>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let wants_stream = accepts(&parts.headers, "text/event-stream");
    if parts.method == Method::POST || parts.method == Method::DELETE {
        // rmcp insists on both types; what the client can read decides which service answers.
        parts.headers.insert(ACCEPT, BOTH);
    }
    let body = if parts.method == Method::POST {
        let Ok(bytes) = to_bytes(body, MAX_REQUEST_BYTES).await else {
            return rpc_error(StatusCode::PAYLOAD_TOO_LARGE, -32600, "the request is larger than 1 MiB");
        };
        if let Err((code, message)) = check(&bytes) {
            return rpc_error(StatusCode::BAD_REQUEST, code, &message);
        }
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Body::from(bytes)
    } else {
        body
    };
    let request = Request::from_parts(parts, body);
    let service = if wants_stream { services.full } else { services.plain };
    match service.oneshot(request).await {
        Ok(response) => response.map(Body::new).into_response(),
        Err(never) => match never {},
    }
}

fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|entry| entry.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(media_type)))
}

/// JSON-RPC errors for what is no JSON-RPC; rmcp would answer with plain text.
fn check(bytes: &[u8]) -> Result<(), (i32, String)> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|e| (-32700, format!("the request is not JSON: {e}")))?;
    let invalid = |message: &str| Err((-32600, message.to_owned()));
    match value {
        Value::Object(o) if o.get("jsonrpc") != Some(&json!("2.0")) => {
            invalid("a request is a JSON-RPC 2.0 object; \"jsonrpc\": \"2.0\" is missing")
        }
        Value::Object(o)
            if !o.contains_key("method") && !o.contains_key("result") && !o.contains_key("error") =>
        {
            invalid("a request needs a method")
        }
        Value::Object(_) => Ok(()),
        Value::Array(_) => invalid("batches are not supported; send one request at a time"),
        _ => invalid("a request is a JSON object"),
    }
}

fn rpc_error(status: StatusCode, code: i32, message: &str) -> Response {
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } });
    (status, axum::Json(body)).into_response()
}
