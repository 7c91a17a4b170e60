//! NATS.

use super::spec::*;

fields! { after icmp;
    NATS "nats" Bool Call, flag(Nats), "nats", "true for NATS messages";
    NATS_OPERATION "nats_operation" UpperText Of(Nats), Repeating, "\"PUB\"", "operation that the call begins with: INFO, CONNECT, PUB, HPUB, SUB, UNSUB, MSG, HMSG, PING, PONG, +OK or -ERR";
    NATS_RESPONSE_OPERATION "nats_response_operation" UpperText Of(Nats), Repeating, "\"MSG\"", "operation that answered it";
    NATS_SUBJECT "nats_subject" Text Of(Nats), Stored, "nats_subject.startsWith(\"orders.\")", "subject of a message or a subscription; of an error the one that it names";
    NATS_REPLY_TO "nats_reply_to" Text Of(Nats), Stored, "nats_reply_to != \"\"", "subject that replies go to";
    NATS_QUEUE "nats_queue" Text Of(Nats), Repeating, "\"workers\"", "queue group of a subscription, or of that which a message came by";
    NATS_SID "nats_sid" Text Of(Nats), Repeating, "\"1\"", "id of the subscription on its connection";
    NATS_MAX_MESSAGES "nats_max_messages" Int Of(Nats), Stored, "1", "messages after which an UNSUB ends a subscription";
    NATS_OPTIONS "nats_options" Text Of(Nats), Stored, "nats_options.contains(\"tls_required\")", "options of INFO and CONNECT as JSON, secrets replaced";
    NATS_CLIENT_NAME "nats_client_name" Text Of(Nats), Repeating, "\"billing\"", "name that the client gave itself, where it is known";
    NATS_USER "nats_user" Text Of(Nats), Repeating, "\"ada\"", "user of the connection, where it is known";
    NATS_HEADERS "nats_headers" Map Of(Nats), Stored, "nats_headers[\"traceparent\"] != \"\"", "headers of the message";
    NATS_PAYLOAD_SIZE "nats_payload_size" Int Of(Nats), Stored, "nats_payload_size > 1024", "bytes of the message's payload";
    NATS_PAYLOAD "nats_payload" Text Of(Nats), Late, "nats_payload.contains(\"shoes\")", "payload of the message, up to the payload limit";
    NATS_RESPONSE_HEADERS "nats_response_headers" Map Of(Nats), Stored, "nats_response_headers[\"Description\"] != \"\"", "headers of the reply";
    NATS_RESPONSE_PAYLOAD_SIZE "nats_response_payload_size" Int Of(Nats), Stored, "nats_response_payload_size > 1024", "bytes of the reply's payload";
    NATS_RESPONSE_PAYLOAD "nats_response_payload" Text Of(Nats), Late, "nats_response_payload.contains(\"stream\")", "payload of the reply, up to the payload limit";
    NATS_STATUS "nats_status" Int Of(Nats), Stored, "503", "status in the headers of a message, 503 where nobody answers; else the code of JetStream's error";
    NATS_ERROR "nats_error" Text Of(Nats), Stored, "nats_error.startsWith(\"Permissions Violation\")", "text of -ERR, of a status or of JetStream's error";
    NATS_JETSTREAM "nats_jetstream" UpperText Of(Nats), Repeating, "\"CONSUMER.MSG.NEXT\"", "JetStream's API without $JS.API., else DELIVER for a message from a stream, ACK for its acknowledgement and PUBLISH for one that went into a stream";
    NATS_STREAM "nats_stream" Text Of(Nats), Repeating, "\"ORDERS\"", "stream of JetStream";
    NATS_CONSUMER "nats_consumer" Text Of(Nats), Repeating, "\"billing\"", "consumer of JetStream";
    NATS_REQUEST "nats_request" Bool Of(Nats), request_seen(Nats), "nats_request", "true when the client's part was seen";
    NATS_RESPONSE "nats_response" Bool Of(Nats), response_seen(Nats), "nats_response", "true when the server's part was seen";
    NATS_REQUEST_LENGTH "nats_request_length" Int Of(Nats), request_size(Nats), "64", "bytes of the client's part";
    NATS_RESPONSE_LENGTH "nats_response_length" Int Of(Nats), response_size(Nats), "5", "bytes of the server's part";
    NATS_TOTAL_SIZE "nats_total_size" Int Of(Nats), total_size(Nats), "69", "nats_request_length + nats_response_length";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[NATS_OPERATION, NATS_SUBJECT];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[NATS_ERROR, NATS_RESPONSE_OPERATION];
