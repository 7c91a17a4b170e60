//! MongoDB.

use super::spec::*;

fields! { after amqp;
    MONGODB "mongodb" Bool Call, flag(Mongodb), "mongodb", "true for MongoDB commands";
    MONGODB_COMMAND "mongodb_command" Text Of(Mongodb), Repeating, "\"find\"", "command, as it was sent; of messages of old servers the command that replaced them";
    MONGODB_DATABASE "mongodb_database" Text Of(Mongodb), Repeating, "\"mydb\"", "database";
    MONGODB_COLLECTION "mongodb_collection" Text Of(Mongodb), Repeating, "\"users\"", "collection";
    MONGODB_OPCODE "mongodb_opcode" UpperText Of(Mongodb), Repeating, "\"OP_MSG\"", "operation code of the request, without compression: OP_MSG, OP_QUERY, OP_INSERT, OP_UPDATE, OP_DELETE, OP_GET_MORE or OP_KILL_CURSORS";
    MONGODB_SUCCESS "mongodb_success" Bool Of(Mongodb), Stored, "mongodb_success", "true when the reply says ok and has no write errors and no write concern error; absent without a reply";
    MONGODB_ERROR_CODE "mongodb_error_code" Int Of(Mongodb), Stored, "11000", "error code of the reply, else of the first write error or of the write concern error";
    MONGODB_ERROR_CODE_NAME "mongodb_error_code_name" Text Of(Mongodb), Repeating, "\"DuplicateKey\"", "name of the error code";
    MONGODB_ERROR_MESSAGE "mongodb_error_message" Text Of(Mongodb), Stored, "mongodb_error_message.contains(\"duplicate\")", "message of the error, up to 1 KiB";
    MONGODB_REQUEST_ID "mongodb_request_id" Int Of(Mongodb), Stored, "17", "number that pairs request and reply on their connection";
    MONGODB_CURSOR_ID "mongodb_cursor_id" Int Of(Mongodb), Stored, "7158217345671234567", "cursor that the reply leaves open, else the one that the request names";
    MONGODB_DOCUMENTS "mongodb_documents" Int Of(Mongodb), Stored, "101", "documents that the reply returns, else that the request carries";
    MONGODB_AFFECTED "mongodb_affected" Int Of(Mongodb), Stored, "1", "documents that the command counted or changed, as the reply says in n";
    MONGODB_FLAGS "mongodb_flags" List Of(Mongodb), Stored, "\"exhaustAllowed\" in mongodb_flags", "flags of OP_MSG that request or reply have: checksumPresent, moreToCome, exhaustAllowed";
    MONGODB_COMPRESSION "mongodb_compression" LowerText Of(Mongodb), Repeating, "\"zstd\"", "compression of the request, else of the reply: noop, snappy, zlib or zstd";
    MONGODB_REQUEST_BODY "mongodb_request_body" Text Of(Mongodb), Late, "mongodb_request_body.contains(\"alice\")", "request as relaxed Extended JSON, up to the payload limit";
    MONGODB_RESPONSE_BODY "mongodb_response_body" Text Of(Mongodb), Late, "mongodb_response_body.contains(\"alice\")", "reply as relaxed Extended JSON, up to the payload limit";
    MONGODB_REQUEST "mongodb_request" Bool Of(Mongodb), request_seen(Mongodb), "mongodb_request", "true when the request was seen";
    MONGODB_RESPONSE "mongodb_response" Bool Of(Mongodb), response_seen(Mongodb), "mongodb_response", "true when the reply was seen";
    MONGODB_REQUEST_SIZE "mongodb_request_size" Int Of(Mongodb), request_size(Mongodb), "512", "bytes of the request";
    MONGODB_RESPONSE_SIZE "mongodb_response_size" Int Of(Mongodb), response_size(Mongodb), "64", "bytes of the reply";
    MONGODB_TOTAL_SIZE "mongodb_total_size" Int Of(Mongodb), total_size(Mongodb), "576", "bytes of request and reply";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[MONGODB_COMMAND, MONGODB_DATABASE, MONGODB_COLLECTION];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[MONGODB_ERROR_CODE_NAME, MONGODB_ERROR_MESSAGE];
