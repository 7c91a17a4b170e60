//! PostgreSQL.

use super::spec::*;

fields! { after mysql;
    POSTGRESQL "postgresql" Bool Call, flag(Postgresql), "postgresql", "true for PostgreSQL calls";
    POSTGRESQL_COMMAND "postgresql_command" Text Of(Postgresql), Repeating, "\"SELECT\"", "command tag, else the statement's first word or the kind of message: such as STARTUP, SSLREQUEST, PARSE, DESCRIBE or NOTIFICATION";
    POSTGRESQL_QUERY "postgresql_query" Text Of(Postgresql), Stored, "postgresql_query.contains(\"FROM orders\")", "statement, up to the payload limit, for an execution that of the prepared one; passwords replaced";
    POSTGRESQL_PARAMETERS "postgresql_parameters" List Of(Postgresql), Stored, "\"7\" in postgresql_parameters", "values bound to the statement, as text, NULL for none";
    POSTGRESQL_STATEMENT "postgresql_statement" Text Of(Postgresql), Stored, "\"S_1\"", "name of the prepared statement, where it has one";
    POSTGRESQL_DATABASE "postgresql_database" Text Of(Postgresql), Repeating, "\"shop\"", "database of the connection, where it is known";
    POSTGRESQL_USER "postgresql_user" Text Of(Postgresql), Repeating, "\"app\"", "user of the connection, where it is known";
    POSTGRESQL_APPLICATION "postgresql_application" Text Of(Postgresql), Repeating, "\"psql\"", "application_name of the connection, where it is known";
    POSTGRESQL_AUTH_METHOD "postgresql_auth_method" Text Of(Postgresql), Repeating, "\"scram-sha-256\"", "how the server asked a login to prove itself";
    POSTGRESQL_ROWS "postgresql_rows" Int Of(Postgresql), Stored, "postgresql_rows > 1000", "rows returned, affected or copied, of all statements of the message";
    POSTGRESQL_SUCCESS "postgresql_success" Bool Of(Postgresql), Stored, "postgresql_success", "true when the server answered without an error";
    POSTGRESQL_ERROR_CODE "postgresql_error_code" Text Of(Postgresql), Repeating, "\"23505\"", "SQLSTATE of the error";
    POSTGRESQL_ERROR_MESSAGE "postgresql_error_message" Text Of(Postgresql), Stored, "postgresql_error_message.contains(\"duplicate\")", "text of the error";
    POSTGRESQL_NOTICE "postgresql_notice" Text Of(Postgresql), Stored, "postgresql_notice != \"\"", "first notice that came with the answer";
    POSTGRESQL_CHANNEL "postgresql_channel" Text Of(Postgresql), Repeating, "\"jobs\"", "channel of a notification, whose payload is the response body";
    POSTGRESQL_REQUEST_SIZE "postgresql_request_size" Int Of(Postgresql), request_size(Postgresql), "64", "bytes of the request";
    POSTGRESQL_RESPONSE_SIZE "postgresql_response_size" Int Of(Postgresql), response_size(Postgresql), "512", "bytes of the response";
    POSTGRESQL_TOTAL_SIZE "postgresql_total_size" Int Of(Postgresql), total_size(Postgresql), "576", "postgresql_request_size + postgresql_response_size";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[POSTGRESQL_COMMAND, POSTGRESQL_QUERY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[POSTGRESQL_ERROR_MESSAGE];
