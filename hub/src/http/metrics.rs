//! `GET /metrics` in the text format of Prometheus (OpenMetrics).

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use remora_store::Condition;
use serde_json::Value;

use super::App;

/// Gauges of the store; its other numbers are counters.
const STORE_GAUGES: &[&str] =
    &["open_bytes", "open_rows", "segments", "segment_bytes", "segment_rows", "sources", "queries_running"];

pub(super) async fn serve(State(app): State<App>) -> Response {
    let mut registry = Registry::with_prefix("remora");
    let query = &app.query;
    gauge(&mut registry, "agents_connected", "Agents with an open stream", query.agents.connected() as i64);
    let (batches, bytes, lost) = query.agents.totals();
    counter(&mut registry, "ingest_batches", "Batches received from agents", batches);
    counter(&mut registry, "ingest_bytes", "Encoded bytes received from agents", bytes);
    counter(&mut registry, "ingest_lost_batches", "Batches that agents had to give up", lost);
    gauge(
        &mut registry,
        "named_addresses",
        "Addresses with a name from DNS answers",
        query.identity.known_addresses() as i64,
    );
    let metrics = query.store.metrics();
    let healthy = i64::from(metrics.condition == Condition::Healthy);
    gauge(&mut registry, "store_healthy", "1 when segments can be written", healthy);
    // One source for names: what the status shows is what is counted here.
    if let Ok(Value::Object(numbers)) = serde_json::to_value(&metrics) {
        for (name, value) in numbers {
            let Some(n) = value.as_u64() else { continue };
            let full = format!("store_{name}");
            let help = format!("Store: {}", name.replace('_', " "));
            if STORE_GAUGES.contains(&name.as_str()) {
                gauge(&mut registry, &full, &help, i64::try_from(n).unwrap_or(i64::MAX));
            } else {
                counter(&mut registry, &full, &help, n);
            }
        }
    }
    let up = crate::query::now().micros_since(query.started) / 1_000_000;
    registry.register_with_unit("up", "Time since the hub started", Unit::Seconds, ConstGauge::new(up));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstCounter::new(value));
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    registry.register(name, help, ConstGauge::new(value));
}
