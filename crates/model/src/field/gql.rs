//! GraphQL.

use super::http::STATUS_CODE;
use super::spec::*;

fields! { after ws;
    GQL "gql" Bool Call, flag(Gql), "gql", "true for GraphQL operations";
    GQLV1 "gqlv1" Bool Of(Gql), Stored, "gqlv1", "true for GraphQL over HTTP/1.x, WebSocket included";
    GQLV2 "gqlv2" Bool Of(Gql), Stored, "gqlv2", "true for GraphQL over HTTP/2, WebSocket included";
    GQL_OPERATION_TYPE "gql_operation_type" LowerText Of(Gql), Repeating, "\"mutation\"", "query, mutation or subscription; absent where only the hash of a persisted document was sent";
    GQL_OPERATION "gql_operation" Text Of(Gql), Repeating, "\"GetShop\"", "name of the operation, of a batch that of the first";
    GQL_FIELDS "gql_fields" List Of(Gql), Stored, "\"shop\" in gql_fields", "fields that the operation selects at its top level, without aliases, up to 16; of a batch those of all operations";
    GQL_QUERY "gql_query" Text Of(Gql), Late, "gql_query.contains(\"password\")", "document, up to the payload limit";
    GQL_VARIABLES "gql_variables" Text Of(Gql), Stored, "gql_variables.contains(\"\\\"id\\\":7\")", "variables as JSON, up to the payload limit";
    GQL_HASH "gql_hash" Text Of(Gql), Stored, "\"ecf4edb46db40b51\"", "hash that stands for a persisted document";
    GQL_BATCH "gql_batch" Int Of(Gql), Stored, "3", "operations of a batch, absent where there was one without a batch";
    GQL_RESULTS "gql_results" Int Of(Gql), Stored, "12", "results that were sent over WebSocket";
    GQL_ERRORS "gql_errors" List Of(Gql), Stored, "gql_errors.exists(e, e.contains(\"denied\"))", "messages of the errors in the response, up to 16 that differ";
    GQL_ERROR_CODES "gql_error_codes" List Of(Gql), Stored, "\"FORBIDDEN\" in gql_error_codes", "codes of the errors, from extensions.code";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[GQL_OPERATION_TYPE, GQL_OPERATION, GQL_FIELDS];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[GQL_ERRORS, STATUS_CODE];
