//! MQTT.

use super::spec::*;

fields! { after nats;
    MQTT "mqtt" Bool Call, flag(Mqtt), "mqtt", "true for MQTT packets";
    MQTT_TYPE "mqtt_type" UpperText Of(Mqtt), Repeating, "\"PUBLISH\"", "type of the packet that the call begins with";
    MQTT_RESPONSE_TYPE "mqtt_response_type" UpperText Of(Mqtt), Repeating, "\"PUBACK\"", "type of the packet that acknowledged it, the last one of several";
    MQTT_SUMMARY "mqtt_summary" Text Of(Mqtt), Stored, "\"sensors/1/temperature\"", "topic, filters joined by a comma and a space, or client identifier";
    MQTT_VERSION "mqtt_version" Text Of(Mqtt), Repeating, "\"5.0\"", "version of the protocol, where it is known: 3.1, 3.1.1 or 5.0";
    MQTT_CLIENT_ID "mqtt_client_id" Text Of(Mqtt), Repeating, "\"thermostat-7\"", "client identifier of the connection, where it is known";
    MQTT_USER "mqtt_user" Text Of(Mqtt), Repeating, "\"ada\"", "user name of a CONNECT";
    MQTT_TOPIC "mqtt_topic" Text Of(Mqtt), Stored, "\"sensors/1/temperature\"", "topic of a PUBLISH, aliases resolved where possible; of a CONNECT that of its will";
    MQTT_FILTERS "mqtt_filters" List Of(Mqtt), Stored, "\"sensors/#\" in mqtt_filters", "topic filters of SUBSCRIBE and UNSUBSCRIBE, up to 256";
    MQTT_QOS "mqtt_qos" Int Of(Mqtt), Stored, "1", "QoS of a PUBLISH or of a will; of a SUBSCRIBE the highest one that is asked for";
    MQTT_PACKET_ID "mqtt_packet_id" Int Of(Mqtt), Stored, "17", "packet identifier, which pairs a packet and its acknowledgement";
    MQTT_RETAIN "mqtt_retain" Bool Of(Mqtt), Stored, "mqtt_retain", "true for a PUBLISH or a will that is retained";
    MQTT_DUP "mqtt_dup" Bool Of(Mqtt), Stored, "mqtt_dup", "true for a PUBLISH that is sent once more";
    MQTT_CLEAN_START "mqtt_clean_start" Bool Of(Mqtt), Stored, "mqtt_clean_start", "clean start, or clean session, of a CONNECT";
    MQTT_SESSION_PRESENT "mqtt_session_present" Bool Of(Mqtt), Stored, "mqtt_session_present", "true when the server had a session of the client";
    MQTT_KEEP_ALIVE "mqtt_keep_alive" Int Of(Mqtt), Stored, "60", "keep alive of a CONNECT, in seconds";
    MQTT_REASON_CODE "mqtt_reason_code" Int Of(Mqtt), Stored, "135", "reason code of the acknowledgement, of several the first that refuses; of DISCONNECT and AUTH their own";
    MQTT_REASON "mqtt_reason" LowerText Of(Mqtt), Repeating, "\"not authorized\"", "name of the reason code";
    MQTT_REASON_STRING "mqtt_reason_string" Text Of(Mqtt), Stored, "mqtt_reason_string != \"\"", "reason string of MQTT 5, in words of the sender";
    MQTT_GRANTED "mqtt_granted" List Of(Mqtt), Stored, "\"granted qos 1\" in mqtt_granted", "what became of each filter, in their order";
    MQTT_PROPERTIES "mqtt_properties" Map Of(Mqtt), Stored, "mqtt_properties[\"content_type\"] == \"text/plain\"", "properties of MQTT 5 by their names in small letters, user properties by their own; authentication data replaced";
    MQTT_RESPONSE_PROPERTIES "mqtt_response_properties" Map Of(Mqtt), Stored, "mqtt_response_properties[\"receive_maximum\"] == \"20\"", "the same of the acknowledgement";
    MQTT_PAYLOAD_SIZE "mqtt_payload_size" Int Of(Mqtt), Stored, "mqtt_payload_size > 1024", "bytes of the payload of a PUBLISH, or of a will";
    MQTT_PAYLOAD "mqtt_payload" Text Of(Mqtt), Late, "mqtt_payload.contains(\"21.5\")", "payload of a PUBLISH, or of a will, up to the payload limit";
    MQTT_REQUEST "mqtt_request" Bool Of(Mqtt), request_seen(Mqtt), "mqtt_request", "true when the client's part was seen";
    MQTT_RESPONSE "mqtt_response" Bool Of(Mqtt), response_seen(Mqtt), "mqtt_response", "true when the server's part was seen";
    MQTT_REQUEST_LENGTH "mqtt_request_length" Int Of(Mqtt), request_size(Mqtt), "64", "bytes of the client's part";
    MQTT_RESPONSE_LENGTH "mqtt_response_length" Int Of(Mqtt), response_size(Mqtt), "4", "bytes of the server's part";
    MQTT_TOTAL_SIZE "mqtt_total_size" Int Of(Mqtt), total_size(Mqtt), "68", "mqtt_request_length + mqtt_response_length";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[MQTT_TYPE, MQTT_SUMMARY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[MQTT_REASON, MQTT_RESPONSE_TYPE];
