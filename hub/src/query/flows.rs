//! Lists of flows.

use remora_kfl::Target;
use remora_model::{FieldId, field};
use remora_store::FlowsQuery;

use super::request::FlowsRequest;
use super::window::Window;
use super::{Answer, Query, QueryError, compile, cursor, json_rows, limit, names, resolve};

/// The columns that a list of flows shows when the request does not say.
const FIELDS: &[FieldId] = &[
    field::TS,
    field::FLOW_ID,
    field::TRANSPORT,
    field::SRC_NAME,
    field::SRC_IP,
    field::SRC_PORT,
    field::DST_NAME,
    field::DST_IP,
    field::DST_PORT,
    field::CONN_STATE,
    field::CLOSE_REASON,
    field::CONN_L7_DETECTED,
    field::SRC_PACKETS,
    field::SRC_BYTES,
    field::DST_PACKETS,
    field::DST_BYTES,
    field::TCP_RTT_US,
    field::TCP_RETRANSMITS,
];

impl Query {
    /// A page of flows, newest first.
    ///
    /// # Errors
    /// An argument or filter that is wrong, or a store that cannot answer.
    pub async fn flows(&self, request: &FlowsRequest) -> Result<Answer, QueryError> {
        let (cursor, as_of) = cursor(request.cursor.as_deref())?;
        let window = Window::parse(request.since.as_deref(), request.until.as_deref(), as_of)?;
        let filter = compile(request.filter.as_deref().unwrap_or_default(), Target::Flows, as_of)?;
        let fields = match &request.fields {
            Some(names) if !names.is_empty() => resolve("fields", names, "flows", |d| d.in_flows())?,
            _ => FIELDS.to_vec(),
        };
        let query = FlowsQuery {
            filter,
            window: window.into(),
            as_of,
            limit: limit(request.limit)?,
            cursor,
            fields: Some(fields.clone()),
        };
        let page = self.store.flows(&query).await?;
        Ok(Answer {
            window: Some(window),
            filter: query.filter.normalised.clone(),
            columns: names(&fields),
            rows: json_rows(&page.rows, self.reveal_secrets),
            next_cursor: page.next.map(|c| c.to_string()),
            coverage: Some(self.coverage(window).await?),
            notes: query.filter.warnings.iter().map(ToString::to_string).collect(),
        })
    }
}
