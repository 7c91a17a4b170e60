//! WebSocket.

use super::http::URL;
use super::spec::*;

/// Protocols that speak over sockets.
const WITH_SOCKETS: &[Protocol] = &[Ws, Gql];

fields! { after grpc;
    WS "ws" Bool Call, flag(Ws), "ws", "true for WebSocket messages";
    WS_OPCODE "ws_opcode" LowerText Of(Ws), Repeating, "\"text\"", "text, binary, close, ping or pong; a ping with its pong is one call, and so are the two closing frames";
    WS_SENDER "ws_sender" LowerText Of(Ws), Repeating, "\"server\"", "who sent it, client or server; of a ping or a close who sent the first frame";
    WS_REQUEST "ws_request" Bool Of(Ws), request_seen(Ws), "ws_request", "true when the client sent it, or a part of it";
    WS_RESPONSE "ws_response" Bool Of(Ws), response_seen(Ws), "ws_response", "true when the server sent it, or a part of it";
    WS_REQUEST_PAYLOAD_DATA "ws_request_payload_data" Text Of(Ws), Late, "ws_request_payload_data.contains(\"error\")", "payload that the client sent, unmasked and decompressed, up to the payload limit";
    WS_RESPONSE_PAYLOAD_DATA "ws_response_payload_data" Text Of(Ws), Late, "ws_response_payload_data.contains(\"error\")", "payload that the server sent, decompressed, up to the payload limit";
    WS_REQUEST_PAYLOAD_LENGTH "ws_request_payload_length" Int Of(Ws), Stored, "512", "bytes of payload that the client sent, of all frames of the message, before decompression";
    WS_RESPONSE_PAYLOAD_LENGTH "ws_response_payload_length" Int Of(Ws), Stored, "512", "bytes of payload that the server sent, of all frames of the message, before decompression";
    WS_PAYLOAD_TRUNCATED "ws_payload_truncated" Bool Of(Ws), Stored, "ws_payload_truncated", "true when less than the whole payload of the message is kept";
    WS_FRAMES "ws_frames" Int Of(Ws), Stored, "1", "frames of the message";
    WS_COMPRESSED "ws_compressed" Bool Of(Ws), Stored, "ws_compressed", "true when the message was compressed (permessage-deflate)";
    WS_SUBPROTOCOL "ws_subprotocol" Text Several(WITH_SOCKETS), Repeating, "\"graphql-transport-ws\"", "subprotocol that the server chose in the handshake";
    WS_CLOSE_CODE "ws_close_code" Int Of(Ws), Stored, "1001", "status code of the first closing frame";
    WS_CLOSE_REASON "ws_close_reason" Text Of(Ws), Stored, "\"going away\"", "reason in the first closing frame";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[WS_SENDER, WS_OPCODE, URL];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[WS_CLOSE_CODE];
