//! From messages to a call.

use remora_model::{Call, Incomplete, Protocol, ValueRef, field};

use super::codes;
use super::connection::Request;
use super::message::{MAX_WARNINGS, Message};
use super::wire::{self, op};
use crate::sql::rows::MAX_VALUES;
use crate::{Context, fields::Fields};

/// Reports a request, its response, or both.
pub(super) fn emit(
    request: Option<&Request>,
    response: Option<&Message>,
    compression: &[u8],
    incomplete: Option<Incomplete>,
    cx: &mut Context<'_>,
) {
    let (asked, request) = (request, request.map(|p| &p.message));
    let mut values = [&b""[..]; MAX_VALUES];
    let values = request.map_or(&[][..], |r| r.values.fill(&mut values));
    let mut warnings = [&b""[..]; MAX_WARNINGS];
    let warnings = response.map_or(&[][..], |r| r.warnings.fill(&mut warnings));
    let some = |text: &'_ Vec<u8>| !text.is_empty();
    let mut fields = Fields::<22>::default();
    let first = request.or(response);
    let opcode = first.map_or(0, |m| m.header.opcode);
    if let Some(m) = first {
        fields.int(field::CASSANDRA_VERSION, Some(m.header.version.into()));
        fields.int(field::CASSANDRA_STREAM, Some(m.header.stream.into()));
    }
    // An answer without its request does not say what was asked.
    let named = opcode == op::EVENT || request.is_some();
    let name = wire::operation(opcode).filter(|_| named).map(|o| o.0.as_bytes());
    fields.text(field::CASSANDRA_OPCODE, name);
    fields.text(field::CASSANDRA_QUERY, request.map(|r| r.text.as_slice()).filter(|t| !t.is_empty()));
    let event = response.filter(|r| r.header.opcode == op::EVENT);
    // One whose compression was agreed on unseen has no text.
    fields.text(field::CASSANDRA_EVENT, event.map(|r| r.text.as_slice()).filter(|t| !t.is_empty()));
    let both = || request.into_iter().chain(response);
    let statement = both().map(|m| &m.statement).find(|t| some(t));
    fields.text(field::CASSANDRA_STATEMENT_ID, statement.map(Vec::as_slice));
    let own = response.into_iter().chain(request).map(|m| &m.keyspace).find(|t| some(t)).map(Vec::as_slice);
    let works = matches!(opcode, op::QUERY | op::PREPARE | op::EXECUTE | op::BATCH);
    // A statement may name another one, which its result would say.
    let told = response.is_some_and(|r| r.incomplete.is_none());
    let current = asked.map(|p| p.keyspace.as_slice()).filter(|k| works && told && !k.is_empty());
    fields.text(field::CASSANDRA_KEYSPACE, own.or(current));
    fields.text(field::CASSANDRA_TABLE, response.map(|r| r.table.as_slice()).filter(|t| !t.is_empty()));
    let level = request.and_then(|r| r.consistency).and_then(wire::consistency);
    fields.text(field::CASSANDRA_CONSISTENCY, level.map(str::as_bytes));
    fields.list(field::CASSANDRA_VALUES, values);
    let compresses = asked.is_none_or(|p| p.compresses);
    fields.text(field::CASSANDRA_COMPRESSION, Some(compression).filter(|c| compresses && !c.is_empty()));
    if let Some(r) = response {
        // Of a RESULT that cannot be read it is not known which it is.
        let answer = wire::operation(r.header.opcode).filter(|_| r.header.opcode != op::RESULT).map(|o| o.0);
        let result = r.kind.or(answer).filter(|_| event.is_none());
        fields.text(field::CASSANDRA_RESULT, result.map(str::as_bytes));
        fields.int(field::CASSANDRA_ROWS, r.row_count);
        if r.row_count.is_some() {
            fields.add(field::CASSANDRA_MORE_PAGES, ValueRef::Bool(r.more_pages));
        }
        fields.int(field::CASSANDRA_ERROR_CODE, r.error.map(i64::from));
        fields.text(field::CASSANDRA_ERROR, r.error.and_then(codes::error).map(|e| e.0.as_bytes()));
        fields.text(field::CASSANDRA_ERROR_MESSAGE, r.error.map(|_| r.reason.as_slice()));
        fields.list(field::CASSANDRA_WARNINGS, warnings);
        fields.text(field::CASSANDRA_TRACING_ID, Some(r.tracing.as_slice()).filter(|t| !t.is_empty()));
        let text = if r.row_count.is_some() { r.rows.text() } else { r.text.as_slice() };
        fields.text(field::CASSANDRA_RESPONSE_BODY, Some(text).filter(|t| !t.is_empty() && event.is_none()));
    }
    let error = response.and_then(|r| r.error);
    cx.emit(&Call {
        failed: error.is_some(),
        client_error: error.and_then(codes::error).is_some_and(|e| e.1),
        incomplete,
        fields: fields.as_slice(),
        ..cx.exchange(Protocol::Cassandra, request.map(|r| r.seen), response.map(|r| r.seen))
    });
}
