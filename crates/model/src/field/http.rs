//! HTTP/1.x and HTTP/2, and what is spoken over it.

use super::spec::*;

/// DNS response codes are filtered as `status_code` in KFL2.
const HTTP_AND_DNS: &[Protocol] = &[Http, Dns];

fields! { after body;
    HTTP "http" Bool Call, flag(Http), "http", "true for HTTP calls, gRPC included";
    STATUS_CODE "status_code" Int Several(HTTP_AND_DNS), Stored, "500", "HTTP status, or the DNS response code";
    METHOD "method" Text Of(Http), Repeating, "\"GET\"", "HTTP method";
    URL "url" Text Of(Http), Stored, "\"/api/users?id=123\"", "request target as sent";
    PATH "path" Text Of(Http), Stored, "\"/api/users\"", "path of the request target, without the query";
    HTTP_VERSION "http_version" Text Of(Http), Repeating, "\"HTTP/1.1\"", "HTTP version of the request, else of the response";
    HOST "host" Text Of(Http), Repeating, "\"shop.example\"", "host asked for: from the target or :authority, else from the Host header";
    QUERY_STRING "query_string" Map Of(Http), Derived, "query_string[\"id\"] == \"123\"", "parameters of the query, decoded";
    REQUEST_HEADERS "request.headers" Map Of(Http), Stored, "request.headers[\"x-id\"] == \"7\"", "request headers; names in lower case, repeated ones joined by a comma and a space; with HTTP/2 pseudo-headers";
    RESPONSE_HEADERS "response.headers" Map Of(Http), Stored, "\"etag\" in response.headers", "response headers; names in lower case, repeated ones joined by a comma and a space; with HTTP/2 pseudo-headers";
    REQUEST_COOKIES "request.cookies" Map Of(Http), Derived, "request.cookies[\"session\"] != \"\"", "cookies that the client sent";
    RESPONSE_COOKIES "response.cookies" Map Of(Http), Derived, "\"token\" in response.cookies", "cookies that the server set";
    REQUEST_HEADERS_SIZE "request_headers_size" Int Of(Http), Stored, "300", "bytes of the request line and headers; of HTTP/2 the compressed header blocks";
    REQUEST_BODY_SIZE "request_body_size" Int Of(Http), Stored, "1024", "bytes of the request body as transferred, without chunks or frames, before decoding";
    RESPONSE_HEADERS_SIZE "response_headers_size" Int Of(Http), Stored, "200", "bytes of the status line and headers; of HTTP/2 the compressed header blocks";
    RESPONSE_BODY_SIZE "response_body_size" Int Of(Http), Stored, "1024", "bytes of the response body as transferred, without chunks or frames, before decoding";
    CONTENT_TYPE "content_type" Text Of(Http), Repeating, "\"application/json\"", "media type of the response, else of the request, without parameters";
    USER_AGENT "user_agent" Text Of(Http), Repeating, "\"curl/8.5.0\"", "User-Agent header";
    TRACE_ID "trace_id" Text Of(Http), Stored, "\"4bf92f3577b34da6a3ce929d0e0e4736\"", "trace id from the traceparent, b3 or x-b3-traceid header";
    SPAN_ID "span_id" Text Of(Http), Stored, "\"00f067aa0ba902b7\"", "span id from the traceparent, b3 or x-b3-spanid header";
    REQUEST_BODY_SHA256 "request_body_sha256" LowerText Of(Http), Stored, "\"2cf24dba5fb0a30e...\"", "SHA-256 of the request body as transferred, before decoding, where the settings ask for it by content type";
    RESPONSE_BODY_SHA256 "response_body_sha256" LowerText Of(Http), Stored, "\"2cf24dba5fb0a30e...\"", "SHA-256 of the response body as transferred, before decoding, where the settings ask for it by content type";
    JSONRPC_METHOD "jsonrpc_method" Text Of(Http), Repeating, "\"tools/call\"", "method of a JSON-RPC 2.0 request in the body or in a WebSocket message, MCP included; those of a batch joined by a comma and a space";
    JSONRPC_ID "jsonrpc_id" Text Of(Http), Stored, "\"7\"", "id of the JSON-RPC request, else of the response; absent for notifications and batches";
    JSONRPC_TARGET "jsonrpc_target" Text Of(Http), Repeating, "\"list_api_calls\"", "tool, prompt or resource that an MCP request is about";
    JSONRPC_ERROR_CODE "jsonrpc_error_code" Int Of(Http), Stored, "-32601", "code of the first JSON-RPC error in the response";
    JSONRPC_ERROR "jsonrpc_error" Text Of(Http), Stored, "\"Method not found\"", "message of the first JSON-RPC error in the response, or the text of an MCP tool's result that says it is an error";
    JSONRPC_BATCH "jsonrpc_batch" Int Of(Http), Stored, "3", "messages of a JSON-RPC batch, absent where there was one without a batch";
    SSE_EVENTS "sse_events" Int Of(Http), Stored, "12", "events of a text/event-stream response; absent where bytes of it were not seen";
    SSE_TYPES "sse_types" List Of(Http), Stored, "\"update\" in sse_types", "names of those events, message where they have none, up to 16";
    SSE_LAST_ID "sse_last_id" Text Of(Http), Stored, "\"42\"", "id of the last event that had one";
    HTTP2_STREAM "http2_stream" Int Of(Http), Stored, "1", "HTTP/2 stream identifier";
    HTTP2_ERROR "http2_error" UpperText Of(Http), Repeating, "\"CANCEL\"", "error code of the RST_STREAM or GOAWAY frame that ended the call";
    HTTP2_PUSHED "http2_pushed" Bool Of(Http), Stored, "http2_pushed", "true when the server pushed the response unasked";
    HTTP2_UNKNOWN_HEADERS "http2_unknown_headers" Int Of(Http), Stored, "3", "header fields with a ? in place of the name or value, because the capture does not show where they were defined";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[METHOD, HOST, URL];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[STATUS_CODE];
