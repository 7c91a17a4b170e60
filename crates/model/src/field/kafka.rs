//! Kafka.

use super::spec::*;

fields! { after redis;
    KAFKA "kafka" Bool Call, flag(Kafka), "kafka", "true for Kafka calls";
    KAFKA_API_KEY "kafka_api_key" Int Of(Kafka), Stored, "0", "API key of the request: 0 is Produce, 1 is Fetch";
    KAFKA_API_KEY_NAME "kafka_api_key_name" UpperText Of(Kafka), Repeating, "\"PRODUCE\"", "name of the API, as Kafka's ApiKeys has it, for example PRODUCE or LIST_OFFSETS";
    KAFKA_API_VERSION "kafka_api_version" Int Of(Kafka), Stored, "9", "version of the API that the request uses";
    KAFKA_CLIENT_ID "kafka_client_id" Text Of(Kafka), Repeating, "\"payment-processor\"", "client id of the request";
    KAFKA_CORRELATION_ID "kafka_correlation_id" Int Of(Kafka), Stored, "17", "number that pairs request and response on their connection";
    KAFKA_TOPICS "kafka_topics" List Of(Kafka), Stored, "\"orders\" in kafka_topics", "topics that request and response name, up to 256; ids as text where the name was not seen";
    KAFKA_PARTITIONS "kafka_partitions" List Of(Kafka), Stored, "\"orders-0\" in kafka_partitions", "partitions that request and response name, as topic-partition, up to 256";
    KAFKA_GROUP "kafka_group" Text Of(Kafka), Repeating, "\"billing\"", "consumer group, up to 256 bytes";
    KAFKA_TRANSACTIONAL_ID "kafka_transactional_id" Text Of(Kafka), Repeating, "\"payments-1\"", "transactional id of the producer, up to 256 bytes";
    KAFKA_ERROR_CODE "kafka_error_code" Int Of(Kafka), Stored, "3", "first error code of the response that is not 0, else 0; absent where the response has none";
    KAFKA_ERROR "kafka_error" UpperText Of(Kafka), Repeating, "\"UNKNOWN_TOPIC_OR_PARTITION\"", "name of the error code";
    KAFKA_THROTTLE_TIME_MS "kafka_throttle_time_ms" Int Of(Kafka), Stored, "100", "milliseconds for which a quota held the client back";
    KAFKA_ACKS "kafka_acks" Int Of(Kafka), Stored, "-1", "acknowledgements that a producer waits for: 0 none and no response, 1 the leader's, -1 those of all in-sync replicas";
    KAFKA_RECORDS "kafka_records" Int Of(Kafka), Stored, "250", "records produced or fetched";
    KAFKA_RECORD_KEYS "kafka_record_keys" List Of(Kafka), Stored, "\"order-17\" in kafka_record_keys", "keys of those records that are shown in the body, up to 256";
    KAFKA_COMPRESSION "kafka_compression" LowerText Of(Kafka), Repeating, "\"zstd\"", "compression of the records: gzip, snappy, lz4 or zstd";
    KAFKA_REQUEST_BODY "kafka_request_body" Text Of(Kafka), Late, "kafka_request_body.contains(\"order-17\")", "request as JSON under the names that brokers log, records decompressed, up to the payload limit";
    KAFKA_RESPONSE_BODY "kafka_response_body" Text Of(Kafka), Late, "kafka_response_body.contains(\"order-17\")", "response as JSON, up to the payload limit";
    KAFKA_REQUEST_SUMMARY "kafka_request_summary" Text Of(Kafka), Stored, "\"orders-topic\"", "topics of the call joined by a comma and a space, else its group, transactional id or what it is about";
    KAFKA_REQUEST "kafka_request" Bool Of(Kafka), Stored, "kafka_request", "true when the request was seen";
    KAFKA_RESPONSE "kafka_response" Bool Of(Kafka), Stored, "kafka_response", "true when the response was seen";
    KAFKA_SIZE "kafka_size" Int Of(Kafka), Derived, "512", "bytes of the request, else of the response";
    KAFKA_REQUEST_SIZE "kafka_request_size" Int Of(Kafka), request_size(Kafka), "512", "bytes of the request";
    KAFKA_RESPONSE_SIZE "kafka_response_size" Int Of(Kafka), response_size(Kafka), "64", "bytes of the response";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[KAFKA_API_KEY_NAME, KAFKA_REQUEST_SUMMARY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[KAFKA_ERROR];
