//! Cassandra (CQL).

use super::spec::*;

fields! { after mqtt;
    CASSANDRA "cassandra" Bool Call, flag(Cassandra), "cassandra", "true for Cassandra requests";
    CASSANDRA_OPCODE "cassandra_opcode" UpperText Of(Cassandra), Repeating, "\"EXECUTE\"", "operation of the request: STARTUP, OPTIONS, QUERY, PREPARE, EXECUTE, BATCH, REGISTER or AUTH_RESPONSE; EVENT for what a server sends unasked";
    CASSANDRA_QUERY "cassandra_query" Text Of(Cassandra), Repeating, "cassandra_query.contains(\"FROM users\")", "text of the statement, also where a prepared one is executed whose preparation was seen; passwords replaced, up to the payload limit";
    CASSANDRA_VALUES "cassandra_values" List Of(Cassandra), Stored, "\"alice\" in cassandra_values", "values bound to the statement as text, up to 64; of types that are not known text, or hexadecimal";
    CASSANDRA_STATEMENT_ID "cassandra_statement_id" Text Of(Cassandra), Repeating, "\"5e8a4a2b1f0c9d3e7a6b5c4d3e2f1a0b\"", "id of the prepared statement in hexadecimal";
    CASSANDRA_KEYSPACE "cassandra_keyspace" Text Of(Cassandra), Repeating, "\"shop\"", "keyspace of the rows, of the request, or the one in use";
    CASSANDRA_TABLE "cassandra_table" Text Of(Cassandra), Repeating, "\"users\"", "table of the rows, or of a schema change";
    CASSANDRA_CONSISTENCY "cassandra_consistency" UpperText Of(Cassandra), Repeating, "\"QUORUM\"", "consistency level of the request";
    CASSANDRA_RESULT "cassandra_result" UpperText Of(Cassandra), Repeating, "\"ROWS\"", "what the response is: VOID, ROWS, SET_KEYSPACE, PREPARED, SCHEMA_CHANGE, ERROR, READY, AUTHENTICATE, SUPPORTED, AUTH_CHALLENGE or AUTH_SUCCESS";
    CASSANDRA_ROWS "cassandra_rows" Int Of(Cassandra), Stored, "17", "rows of the response";
    CASSANDRA_MORE_PAGES "cassandra_more_pages" Bool Of(Cassandra), Stored, "cassandra_more_pages", "true when the result goes on in another page";
    CASSANDRA_ERROR_CODE "cassandra_error_code" Int Of(Cassandra), Stored, "8704", "error code of the response";
    CASSANDRA_ERROR "cassandra_error" UpperText Of(Cassandra), Repeating, "\"UNAVAILABLE\"", "name of the error code";
    CASSANDRA_ERROR_MESSAGE "cassandra_error_message" Text Of(Cassandra), Stored, "cassandra_error_message.contains(\"unconfigured\")", "message of the error, up to 1 KiB";
    CASSANDRA_WARNINGS "cassandra_warnings" List Of(Cassandra), Stored, "size(cassandra_warnings) > 0", "warnings of the response, up to 8";
    CASSANDRA_TRACING_ID "cassandra_tracing_id" Text Of(Cassandra), Stored, "\"f0c1b2a0-0000-11ef-8000-000000000000\"", "id of the trace that the server keeps";
    CASSANDRA_EVENT "cassandra_event" Text Of(Cassandra), Stored, "cassandra_event.startsWith(\"STATUS_CHANGE DOWN\")", "event that the server sends unasked: its type, what changed, and where";
    CASSANDRA_VERSION "cassandra_version" Int Of(Cassandra), Stored, "5", "version of the protocol: 3, 4 or 5";
    CASSANDRA_STREAM "cassandra_stream" Int Of(Cassandra), Stored, "17", "number that pairs request and response on their connection";
    CASSANDRA_COMPRESSION "cassandra_compression" LowerText Of(Cassandra), Repeating, "\"lz4\"", "compression that the client has asked for: lz4 or snappy";
    CASSANDRA_RESPONSE_BODY "cassandra_response_body" Text Of(Cassandra), Late, "cassandra_response_body.contains(\"alice\")", "rows as text, column names first, tabs between columns; what a server supports, or what has changed; up to the payload limit";
    CASSANDRA_REQUEST "cassandra_request" Bool Of(Cassandra), request_seen(Cassandra), "cassandra_request", "true when the request was seen";
    CASSANDRA_RESPONSE "cassandra_response" Bool Of(Cassandra), response_seen(Cassandra), "cassandra_response", "true when the response was seen";
    CASSANDRA_REQUEST_SIZE "cassandra_request_size" Int Of(Cassandra), request_size(Cassandra), "120", "bytes of the request";
    CASSANDRA_RESPONSE_SIZE "cassandra_response_size" Int Of(Cassandra), response_size(Cassandra), "480", "bytes of the response";
    CASSANDRA_TOTAL_SIZE "cassandra_total_size" Int Of(Cassandra), total_size(Cassandra), "600", "bytes of request and response";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[CASSANDRA_OPCODE, CASSANDRA_QUERY, CASSANDRA_EVENT];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[CASSANDRA_ERROR, CASSANDRA_ERROR_MESSAGE, CASSANDRA_RESULT];
