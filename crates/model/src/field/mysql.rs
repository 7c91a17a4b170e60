//! MySQL and MariaDB.

use super::spec::*;

fields! { after sql;
    MYSQL "mysql" Bool Call, flag(Mysql), "mysql", "true for MySQL and MariaDB calls";
    MYSQL_COMMAND "mysql_command" Text Of(Mysql), Repeating, "\"COM_QUERY\"", "command, or HANDSHAKE for the login";
    MYSQL_QUERY "mysql_query" Text Of(Mysql), Stored, "mysql_query.contains(\"FROM orders\")", "statement, up to the payload limit, for COM_STMT_EXECUTE that of the prepared one; passwords replaced";
    MYSQL_PARAMETERS "mysql_parameters" List Of(Mysql), Stored, "\"7\" in mysql_parameters", "values bound to the statement, as text, NULL for none";
    MYSQL_DATABASE "mysql_database" Text Of(Mysql), Repeating, "\"shop\"", "default database, where it is known";
    MYSQL_USER "mysql_user" Text Of(Mysql), Repeating, "\"app\"", "user that logged in, where it is known";
    MYSQL_STATEMENT_ID "mysql_statement_id" Int Of(Mysql), Stored, "3", "number of the prepared statement";
    MYSQL_ROWS "mysql_rows" Int Of(Mysql), Stored, "mysql_rows > 1000", "rows returned, else rows affected";
    MYSQL_COLUMNS "mysql_columns" Int Of(Mysql), Stored, "4", "columns of the first result set";
    MYSQL_SUCCESS "mysql_success" Bool Of(Mysql), Stored, "mysql_success", "true when the server answered without an error";
    MYSQL_ERROR_CODE "mysql_error_code" Int Of(Mysql), Stored, "1146", "error number of the server";
    MYSQL_SQLSTATE "mysql_sqlstate" Text Of(Mysql), Repeating, "\"42S02\"", "SQLSTATE of the error";
    MYSQL_ERROR_MESSAGE "mysql_error_message" Text Of(Mysql), Stored, "\"Table 'shop.x' doesn't exist\"", "text of the error";
    MYSQL_AUTH_PLUGIN "mysql_auth_plugin" Text Of(Mysql), Repeating, "\"caching_sha2_password\"", "authentication plugin of a login, the last one asked for";
    MYSQL_SERVER_VERSION "mysql_server_version" Text Of(Mysql), Repeating, "\"8.0.36\"", "version that the server announced at the login";
    MYSQL_REQUEST_SIZE "mysql_request_size" Int Of(Mysql), request_size(Mysql), "64", "bytes of the request";
    MYSQL_RESPONSE_SIZE "mysql_response_size" Int Of(Mysql), response_size(Mysql), "512", "bytes of the response";
    MYSQL_TOTAL_SIZE "mysql_total_size" Int Of(Mysql), total_size(Mysql), "576", "mysql_request_size + mysql_response_size";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[MYSQL_COMMAND, MYSQL_QUERY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[MYSQL_ERROR_MESSAGE];
