//! gRPC.

use super::spec::*;
use super::{HOST, METHOD, STATUS_CODE, URL};

fields! { after http;
    GRPC "grpc" Bool Call, flag(Grpc), "grpc", "true for gRPC and gRPC-Web calls";
    GRPC_SERVICE "grpc_service" Text Of(Grpc), Repeating, "\"helloworld.Greeter\"", "service with its package, from the path";
    GRPC_METHOD "grpc_method" Text Of(Grpc), Repeating, "\"SayHello\"", "method, the last part of the path";
    GRPC_STATUS "grpc_status" Int Of(Grpc), Stored, "5", "status code from the grpc-status trailer";
    GRPC_STATUS_NAME "grpc_status_name" UpperText Of(Grpc), Repeating, "\"NOT_FOUND\"", "status code by name";
    GRPC_MESSAGE "grpc_message" Text Of(Grpc), Stored, "\"no such user\"", "error text from the grpc-message trailer, percent-decoded";
    GRPC_KIND "grpc_kind" LowerText Of(Grpc), Repeating, "\"unary\"", "unary, client_stream, server_stream or bidi_stream: as declared where the schema is known, else by the number of messages sent; absent where not all were seen";
    GRPC_REQUEST_MESSAGES "grpc_request_messages" Int Of(Grpc), Stored, "1", "messages that the client sent";
    GRPC_RESPONSE_MESSAGES "grpc_response_messages" Int Of(Grpc), Stored, "1", "messages that the server sent";
    GRPC_ENCODING "grpc_encoding" LowerText Of(Grpc), Repeating, "\"gzip\"", "message compression of the response, else of the request, from grpc-encoding";
    GRPC_TIMEOUT "grpc_timeout" Int Of(Grpc), Stored, "1000000", "microseconds that the client allows for the call, from grpc-timeout";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[METHOD, HOST, URL];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[GRPC_STATUS_NAME, STATUS_CODE];
