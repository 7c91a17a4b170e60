//! Redis.

use super::spec::*;

fields! { after dns;
    REDIS "redis" Bool Call, flag(Redis), "redis", "true for Redis calls";
    REDIS_TYPE "redis_type" Text Of(Redis), Repeating, "\"GET\"", "command verb, upper case, with its subcommand where it has one; for a push its kind";
    REDIS_COMMAND "redis_command" Text Of(Redis), Stored, "\"GET session:1234\"", "command line, up to the payload limit; secrets of AUTH and HELLO replaced";
    REDIS_KEY "redis_key" Text Of(Redis), Stored, "\"session:1234\"", "first key or channel of the command, up to 64 bytes";
    REDIS_REPLY "redis_reply" Text Of(Redis), Late, "redis_reply.contains(\"PONG\")", "reply rendered as text, up to the payload limit";
    REDIS_REPLY_TYPE "redis_reply_type" LowerText Of(Redis), Repeating, "\"bulk\"", "type of the reply: simple, error, int, bulk, array, null, map, set, double, bool, bignum, verbatim or push";
    REDIS_ERROR "redis_error" Text Of(Redis), Stored, "\"WRONGTYPE ...\"", "error text of the reply";
    REDIS_REQUEST_SIZE "redis_request_size" Int Of(Redis), request_size(Redis), "32", "bytes of the request";
    REDIS_RESPONSE_SIZE "redis_response_size" Int Of(Redis), response_size(Redis), "5", "bytes of the response";
    REDIS_TOTAL_SIZE "redis_total_size" Int Of(Redis), total_size(Redis), "37", "redis_request_size + redis_response_size";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[REDIS_COMMAND];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[REDIS_ERROR];
