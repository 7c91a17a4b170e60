//! `GET /api/v1/pcap`: the packets behind an answer, as pcapng for Wireshark.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::App;
use super::api::{ApiError, parse};
use crate::query::QueryError;
use crate::query::request::ExportRequest;

/// Exports at the same time: each reads a disk that the capture writes to.
const AT_ONCE: usize = 4;
/// Chunks that wait for a slow reader.
const AHEAD: usize = 4;

/// Lets few exports run at a time.
#[derive(Clone)]
pub(crate) struct Exports(Arc<Semaphore>);

impl Default for Exports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// Connections of the export, or `all`.
static CONNECTIONS: HeaderName = HeaderName::from_static("remora-connections");
/// What was left out of it, and other warnings.
static NOTES: HeaderName = HeaderName::from_static("remora-notes");

pub(super) async fn serve(State(app): State<App>, RawQuery(q): RawQuery) -> Result<Response, ApiError> {
    let request: ExportRequest = parse(q)?;
    let rings = app.query.packets.rings();
    let Some((_, ring)) = rings.into_iter().next() else {
        return Err(QueryError::NotFound {
            what: "a packet ring".to_owned(),
            advice: "`remora up` keeps packets unless --raw-budget is 0; those of agents in other processes \
                     cannot be had from here yet"
                .to_owned(),
        }
        .into());
    };
    let Ok(permit) = Arc::clone(&app.exports.0).try_acquire_owned() else {
        let message = format!("{AT_ONCE} exports are running: try again when one has ended");
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message));
    };
    let selection = app.query.select_packets(&request).await?;
    let notes = selection.notes.join("; ").replace(|c: char| !(' '..='~').contains(&c), " ");
    let (sender, chunks) = mpsc::channel(AHEAD);
    tracing::info!(
        filter = request.filter.as_deref().unwrap_or_default(),
        connections = selection.connections,
        secrets = selection.options.secrets,
        "exporting packets"
    );
    tokio::task::spawn_blocking(move || send(ring.export(selection.options), &sender, permit));
    let body = Body::from_stream(stream::unfold(chunks, |mut chunks| async move {
        let chunk: Bytes = chunks.recv().await?;
        Some((Ok::<_, std::io::Error>(chunk), chunks))
    }));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-pcapng"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"remora.pcapng\""));
    let count = selection.connections.map_or_else(|| "all".to_owned(), |n| n.to_string());
    if let Ok(count) = HeaderValue::try_from(count) {
        headers.insert(CONNECTIONS.clone(), count);
    }
    if let Ok(notes) = HeaderValue::try_from(notes)
        && !notes.is_empty()
    {
        headers.insert(NOTES.clone(), notes);
    }
    Ok(response)
}

/// Reads the ring as fast as the reader takes it; a reader that goes away ends it.
fn send(mut export: remora_ring::Export, to: &mpsc::Sender<Bytes>, permit: OwnedSemaphorePermit) {
    for chunk in &mut export {
        if to.blocking_send(chunk.into()).is_err() {
            break;
        }
    }
    let report = export.report();
    tracing::debug!(?report, "exported packets");
    drop(permit);
}
