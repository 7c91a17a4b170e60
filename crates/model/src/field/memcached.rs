//! Memcached.

use super::spec::*;

fields! { after cassandra;
    MEMCACHED "memcached" Bool Call, flag(Memcached), "memcached", "true for Memcached commands";
    MEMCACHED_PROTOCOL "memcached_protocol" LowerText Of(Memcached), Repeating, "\"text\"", "text or binary";
    MEMCACHED_COMMAND "memcached_command" LowerText Of(Memcached), Repeating, "\"get\"", "command, or name of the operation of the binary protocol";
    MEMCACHED_KEY "memcached_key" Text Of(Memcached), Stored, "\"session:17\"", "key, the first where there are several";
    MEMCACHED_KEYS "memcached_keys" List Of(Memcached), Stored, "\"session:17\" in memcached_keys", "keys of the command, up to 64";
    MEMCACHED_QUERY "memcached_query" Text Of(Memcached), Stored, "\"set session:17 0 60 5\"", "line of the text protocol, up to 1 KiB";
    MEMCACHED_FLAGS "memcached_flags" Int Of(Memcached), Stored, "0", "flags that the client keeps with the value, of the first value returned or of the one stored";
    MEMCACHED_EXPIRATION "memcached_expiration" Int Of(Memcached), Stored, "60", "expiration that the request sets, in seconds or as a Unix time";
    MEMCACHED_DELTA "memcached_delta" Int Of(Memcached), Stored, "1", "number by which the request increments or decrements";
    MEMCACHED_CAS "memcached_cas" Int Of(Memcached), Stored, "42", "unique number of the value for compare and swap, of the response, else of the request";
    MEMCACHED_NOREPLY "memcached_noreply" Bool Of(Memcached), Stored, "memcached_noreply", "true when the request asks for no answer, or for one in some cases only";
    MEMCACHED_STATUS "memcached_status" UpperText Of(Memcached), Repeating, "\"STORED\"", "first word of the answer, for example STORED, NOT_FOUND, VALUE, END or HD; status of the binary protocol, for example SUCCESS or KEY_ENOENT";
    MEMCACHED_HITS "memcached_hits" Int Of(Memcached), Stored, "1", "keys of a retrieval that were found";
    MEMCACHED_MISSES "memcached_misses" Int Of(Memcached), Stored, "0", "keys of a retrieval that were not found";
    MEMCACHED_VALUE_SIZE "memcached_value_size" Int Of(Memcached), Stored, "5", "bytes of the values returned, else of the value stored";
    MEMCACHED_REPLY "memcached_reply" Text Of(Memcached), Stored, "\"VERSION 1.6.18\"", "answer that is one line, up to 1 KiB";
    MEMCACHED_ERROR "memcached_error" Text Of(Memcached), Stored, "memcached_error.contains(\"too large\")", "line of an error, or text of an error of the binary protocol";
    MEMCACHED_REQUEST_BODY "memcached_request_body" Text Of(Memcached), Late, "memcached_request_body.contains(\"alice\")", "value stored, up to the payload limit";
    MEMCACHED_RESPONSE_BODY "memcached_response_body" Text Of(Memcached), Late, "memcached_response_body.contains(\"alice\")", "values or statistics returned as a JSON object by key, up to the payload limit";
    MEMCACHED_REQUEST "memcached_request" Bool Of(Memcached), request_seen(Memcached), "memcached_request", "true when the request was seen";
    MEMCACHED_RESPONSE "memcached_response" Bool Of(Memcached), response_seen(Memcached), "memcached_response", "true when the answer was seen";
    MEMCACHED_REQUEST_SIZE "memcached_request_size" Int Of(Memcached), request_size(Memcached), "48", "bytes of the request";
    MEMCACHED_RESPONSE_SIZE "memcached_response_size" Int Of(Memcached), response_size(Memcached), "32", "bytes of the answer";
    MEMCACHED_TOTAL_SIZE "memcached_total_size" Int Of(Memcached), total_size(Memcached), "80", "bytes of request and answer";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[MEMCACHED_COMMAND, MEMCACHED_KEY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[MEMCACHED_ERROR, MEMCACHED_STATUS, MEMCACHED_REPLY];
