//! Everything on the hub's listen address: MCP, the REST interface of the command line, health
//! and metrics.

mod api;
mod follow;
mod guard;
mod metrics;
mod openapi;
mod pcap;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

pub use guard::Guard;

use crate::query::Query;

/// Longest that a request may take that is not a stream. Queries have a deadline of their own that
/// is shorter; this one is for what hangs otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// State of the routes.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) query: Arc<Query>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) exports: pcap::Exports,
}

/// The router of a hub.
pub fn router(query: Arc<Query>, guard: Guard, shutdown: CancellationToken) -> Router {
    let app =
        App { query: Arc::clone(&query), shutdown: shutdown.clone(), exports: pcap::Exports::default() };
    let plain = Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics::serve))
        .nest("/api/v1", api::router())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIMEOUT));
    let streams =
        Router::new().route("/api/v1/follow", get(follow::serve)).route("/api/v1/pcap", get(pcap::serve));
    plain
        .merge(streams)
        .with_state(app)
        .merge(crate::mcp::router(query, shutdown))
        .fallback(api::not_found)
        .layer(axum::middleware::from_fn_with_state(guard, guard::check))
}

/// Ready means that the store takes rows and answers, and that an agent of the same process captures:
/// a hub whose seals fail keeps serving what it has, but should not get new agents.
async fn ready(axum::extract::State(app): axum::extract::State<App>) -> (StatusCode, String) {
    match app.query.readiness() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}
