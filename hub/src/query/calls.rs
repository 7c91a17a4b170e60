//! Lists of calls, and single calls.

use remora_kfl::{Filter, Target};
use remora_model::{FieldId, Protocol, field};
use remora_store::{CallsQuery, Error as StoreError, Order as StoreOrder};
use serde_json::{Map, Value};

use super::request::{CallRequest, CallsRequest, Order};
use super::window::Window;
use super::{Answer, Query, QueryError, compile, cursor, json_rows, limit, names, redact, resolve};

/// Bytes of each body that a single call shows when the request does not say.
const BODY_BYTES: u32 = 8 << 10;

impl Query {
    /// A page of calls.
    ///
    /// # Errors
    /// An argument or filter that is wrong, or a store that cannot answer.
    pub async fn calls(&self, request: &CallsRequest) -> Result<Answer, QueryError> {
        let (cursor, as_of) = cursor(request.cursor.as_deref())?;
        let window = Window::parse(request.since.as_deref(), request.until.as_deref(), as_of)?;
        let filter = compile(request.filter.as_deref().unwrap_or_default(), Target::Calls, as_of)?;
        let fields = match &request.fields {
            Some(names) if !names.is_empty() => resolve("fields", names, "calls", |d| d.in_calls())?,
            _ => default_fields(&filter),
        };
        let query = CallsQuery {
            filter,
            window: window.into(),
            as_of,
            limit: limit(request.limit)?,
            cursor,
            fields: Some(fields.clone()),
            order: match request.order.unwrap_or_default() {
                Order::Newest => StoreOrder::Newest,
                Order::Oldest => StoreOrder::Oldest,
            },
        };
        let page = self.store.calls(&query).await?;
        let mut answer = Answer {
            window: Some(window),
            filter: query.filter.normalised.clone(),
            columns: names(&fields),
            rows: json_rows(&page.rows, self.reveal_secrets),
            next_cursor: page.next.map(|c| c.to_string()),
            coverage: Some(self.coverage(window).await?),
            notes: query.filter.warnings.iter().map(ToString::to_string).collect(),
        };
        if answer.rows.is_empty() && query.cursor.is_none() {
            let why = self.explain_empty(&query.filter, window).await?;
            answer.notes.extend(why);
        }
        Ok(answer)
    }

    /// One call with every field.
    ///
    /// # Errors
    /// When the id is none, or names no call that is still held.
    pub async fn call(&self, request: &CallRequest) -> Result<Map<String, Value>, QueryError> {
        let id = request.id.number().ok_or_else(|| QueryError::Argument {
            name: "id",
            problem: "it is not a number".to_owned(),
            advice: "use the id that list_api_calls shows".to_owned(),
        })?;
        let batch = match self.store.call(id).await {
            Ok(batch) => batch,
            Err(e @ (StoreError::NoSuchCall(_) | StoreError::Deleted { .. })) => {
                return Err(QueryError::NotFound {
                    what: format!("call {id}"),
                    advice: format!("{e}; list_api_calls shows ids that exist"),
                });
            }
            Err(e) => return Err(e.into()),
        };
        let mut row = remora_model::row::to_json(&batch, 0);
        if !self.reveal_secrets {
            redact::row(&mut row);
        }
        let cap = request.max_body_bytes.unwrap_or(BODY_BYTES) as usize;
        for late in field::late() {
            shorten(&mut row, late.name, cap);
        }
        Ok(row)
    }
}

/// Cuts a text to `cap` bytes and says so beside it.
fn shorten(row: &mut Map<String, Value>, name: &str, cap: usize) {
    let Some(Value::String(text)) = row.get_mut(name) else { return };
    if text.len() <= cap {
        return;
    }
    let whole = text.len();
    let mut end = cap;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    let note = format!("{end} of {whole} bytes shown; raise max_body_bytes for more");
    row.insert(format!("{name}.note"), note.into());
}

/// The columns that identify a call: of one protocol its own, of several a line that all have.
fn default_fields(filter: &Filter) -> Vec<FieldId> {
    let mut fields = vec![field::ID, field::TS];
    let set = filter.protocols.as_ref();
    let only = Protocol::ALL.iter().find(|p| set.is_some_and(|set| set.len() == 1 && set.contains(p)));
    if only.is_none() {
        fields.push(field::PROTOCOL);
    }
    fields.extend([field::SRC_NAME, field::DST_NAME, field::DST_PORT]);
    match only {
        Some(p) => fields.extend(p.summary().iter().chain(p.outcome())),
        None => fields.extend([field::SUMMARY, field::OUTCOME]),
    }
    fields.extend([field::ELAPSED_TIME, field::INCOMPLETE]);
    fields
}
