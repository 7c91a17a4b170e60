//! `GET /api/v1/follow`: rows as they arrive, one JSON object per line.

use axum::body::{Body, Bytes};
use axum::extract::{Query as Params, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use remora_kfl::Target;
use remora_model::row;
use remora_store::TailBatch;
use serde::Deserialize;
use serde_json::json;

use super::App;
use super::api::ApiError;
use crate::query::redact;
use crate::query::request::TableArgument;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowRequest {
    #[serde(default, alias = "kfl")]
    filter: String,
    table: Option<TableArgument>,
    /// Leave bodies out.
    #[serde(default)]
    bodies: bool,
}

/// Serves the stream. A reader that is too slow gets a line `{"missed": n}` where rows are
/// missing, instead of holding up the hub.
pub(super) async fn serve(
    State(app): State<App>,
    Params(request): Params<FollowRequest>,
) -> Result<Response, ApiError> {
    let target = match request.table.unwrap_or_default() {
        TableArgument::Calls => Target::Calls,
        TableArgument::Flows => Target::Flows,
    };
    let tail = app.query.follow(&request.filter, target)?;
    let reveal = app.query.reveal_secrets;
    let bodies = request.bodies;
    let shutdown = app.shutdown.clone();
    let lines = stream::unfold(tail, move |mut tail| {
        let shutdown = shutdown.clone();
        async move {
            let batch = tokio::select! {
                batch = tail.next() => batch?,
                () = shutdown.cancelled() => return None,
            };
            Some((Ok::<_, std::io::Error>(render(batch, reveal, bodies)), tail))
        }
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

fn render(batch: TailBatch, reveal: bool, bodies: bool) -> Bytes {
    let mut out = Vec::new();
    match batch {
        TailBatch::Missed(n) => write_line(&mut out, &json!({ "missed": n })),
        TailBatch::Rows(rows) => {
            for i in 0..rows.num_rows() {
                let mut object = row::to_json(&rows, i);
                if !bodies {
                    for late in remora_model::field::late() {
                        object.remove(late.name);
                    }
                }
                if !reveal {
                    redact::row(&mut object);
                }
                row::describe(&mut object);
                write_line(&mut out, &serde_json::Value::Object(object));
            }
        }
    }
    out.into()
}

fn write_line(out: &mut Vec<u8>, value: &serde_json::Value) {
    // Writing JSON into memory cannot fail.
    _ = serde_json::to_writer(&mut *out, value);
    out.push(b'\n');
}
