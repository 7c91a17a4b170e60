//! AMQP 0-9-1.

use super::spec::*;

fields! { after kafka;
    AMQP "amqp" Bool Call, flag(Amqp), "amqp", "true for AMQP methods";
    AMQP_METHOD "amqp_method" LowerText Of(Amqp), Repeating, "\"basic.publish\"", "method, as class.method; also heartbeat and protocol-header";
    AMQP_RESPONSE_METHOD "amqp_response_method" LowerText Of(Amqp), Repeating, "\"basic.get-empty\"", "method that answered it";
    AMQP_SUMMARY "amqp_summary" Text Of(Amqp), Stored, "\"orders order.created\"", "what the method is about: exchange and routing key, queue, consumer tag, user, virtual host or reason";
    AMQP_CHANNEL "amqp_channel" Int Of(Amqp), Stored, "1", "channel, 0 for the connection itself";
    AMQP_EXCHANGE "amqp_exchange" Text Of(Amqp), Repeating, "\"orders\"", "exchange, absent for the default one; of exchange.bind the source";
    AMQP_ROUTING_KEY "amqp_routing_key" Text Of(Amqp), Stored, "\"order.created\"", "routing key of a message or a binding";
    AMQP_QUEUE "amqp_queue" Text Of(Amqp), Repeating, "\"jobs\"", "queue; of a delivery that of its consumer, where its beginning was seen";
    AMQP_CONSUMER_TAG "amqp_consumer_tag" Text Of(Amqp), Repeating, "\"worker-1\"", "name of the consumer on its channel";
    AMQP_DELIVERY_TAG "amqp_delivery_tag" Int Of(Amqp), Stored, "17", "number of the delivery on its channel; of a publish that waits for a confirm its number there";
    AMQP_REDELIVERED "amqp_redelivered" Bool Of(Amqp), Stored, "amqp_redelivered", "true when the message was delivered before";
    AMQP_MESSAGE_COUNT "amqp_message_count" Int Of(Amqp), Stored, "0", "messages that the queue holds, or that were purged or deleted, as the server says";
    AMQP_CONSUMER_COUNT "amqp_consumer_count" Int Of(Amqp), Stored, "2", "consumers of the queue, as the server says";
    AMQP_FLAGS "amqp_flags" List Of(Amqp), Stored, "\"durable\" in amqp_flags", "bits of the method that are set, by name: durable, mandatory, no-ack, multiple, requeue and so on";
    AMQP_ARGUMENTS "amqp_arguments" Map Of(Amqp), Stored, "amqp_arguments[\"x-message-ttl\"] == \"60000\"", "other arguments of the method, and the entries of its table, nested ones as JSON; secrets replaced";
    AMQP_RESPONSE_ARGUMENTS "amqp_response_arguments" Map Of(Amqp), Stored, "amqp_response_arguments[\"heartbeat\"] == \"60\"", "the same of the answer";
    AMQP_PROPERTIES "amqp_properties" Map Of(Amqp), Stored, "amqp_properties[\"content_type\"] == \"application/json\"", "properties of the message: content_type, delivery_mode, correlation_id, reply_to, message_id, expiration and so on";
    AMQP_HEADERS "amqp_headers" Map Of(Amqp), Stored, "amqp_headers[\"trace\"] != \"\"", "headers of the message, nested values as JSON";
    AMQP_BODY_SIZE "amqp_body_size" Int Of(Amqp), Stored, "amqp_body_size > 65536", "bytes of the message's body";
    AMQP_BODY "amqp_body" Text Of(Amqp), Late, "amqp_body.contains(\"shoes\")", "body of the message, published or delivered, up to the payload limit";
    AMQP_REPLY_CODE "amqp_reply_code" Int Of(Amqp), Stored, "404", "code of a close or of a returned message: 200 is success";
    AMQP_REPLY_TEXT "amqp_reply_text" Text Of(Amqp), Stored, "amqp_reply_text.startsWith(\"NOT_FOUND\")", "reason of a close, of a returned message or of a blocked connection";
    AMQP_VIRTUAL_HOST "amqp_virtual_host" Text Of(Amqp), Repeating, "\"/\"", "virtual host of the connection, where it is known";
    AMQP_USER "amqp_user" Text Of(Amqp), Repeating, "\"guest\"", "user that logged in, where it is known";
    AMQP_MECHANISM "amqp_mechanism" Text Of(Amqp), Repeating, "\"PLAIN\"", "SASL mechanism of a login";
    AMQP_REQUEST "amqp_request" Bool Of(Amqp), request_seen(Amqp), "amqp_request", "true when the client's part was seen";
    AMQP_RESPONSE "amqp_response" Bool Of(Amqp), response_seen(Amqp), "amqp_response", "true when the server's part was seen";
    AMQP_REQUEST_LENGTH "amqp_request_length" Int Of(Amqp), request_size(Amqp), "64", "bytes of the client's part";
    AMQP_RESPONSE_LENGTH "amqp_response_length" Int Of(Amqp), response_size(Amqp), "12", "bytes of the server's part";
    AMQP_TOTAL_SIZE "amqp_total_size" Int Of(Amqp), total_size(Amqp), "76", "amqp_request_length + amqp_response_length";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[AMQP_METHOD, AMQP_SUMMARY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[AMQP_REPLY_TEXT, AMQP_RESPONSE_METHOD];
