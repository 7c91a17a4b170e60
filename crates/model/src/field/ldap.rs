//! LDAP.

use super::spec::*;

fields! { after postgresql;
    LDAP "ldap" Bool Call, flag(Ldap), "ldap", "true for LDAP operations";
    LDAP_TYPE "ldap_type" Text Of(Ldap), Repeating, "\"searchRequest\"", "operation as RFC 4511 names it: the request, else the response";
    LDAP_SUMMARY "ldap_summary" Text Of(Ldap), Stored, "ldap_summary.contains(\"uid=anna\")", "what was asked, in a line: entry, scope, filter, how one binds";
    LDAP_REQUEST "ldap_request" Bool Of(Ldap), request_seen(Ldap), "ldap_request", "true when the request was seen";
    LDAP_RESPONSE "ldap_response" Bool Of(Ldap), response_seen(Ldap), "ldap_response", "true when a response was seen";
    LDAP_REQUEST_LENGTH "ldap_request_length" Int Of(Ldap), request_size(Ldap), "64", "bytes of the request";
    LDAP_RESPONSE_LENGTH "ldap_response_length" Int Of(Ldap), response_size(Ldap), "512", "bytes of all messages of the response";
    LDAP_TOTAL_SIZE "ldap_total_size" Int Of(Ldap), total_size(Ldap), "576", "bytes of request and response";
    LDAP_MESSAGE_ID "ldap_message_id" Int Of(Ldap), Stored, "2", "number that pairs request and response on their connection";
    LDAP_DN "ldap_dn" Text Of(Ldap), Stored, "\"ou=people,dc=shop,dc=example\"", "entry that the operation is about: base of a search, name of who binds";
    LDAP_USER "ldap_user" Text Of(Ldap), Repeating, "\"cn=admin,dc=shop,dc=example\"", "name that the connection has bound as, up to 256 bytes";
    LDAP_VERSION "ldap_version" Int Of(Ldap), Stored, "3", "version of LDAP that a bind asks for";
    LDAP_AUTH_METHOD "ldap_auth_method" LowerText Of(Ldap), Repeating, "\"simple\"", "how one binds: simple, anonymous, unauthenticated, sasl, kerberos or sicily";
    LDAP_SASL_MECHANISM "ldap_sasl_mechanism" UpperText Of(Ldap), Repeating, "\"GSSAPI\"", "mechanism of a bind by SASL";
    LDAP_SCOPE "ldap_scope" LowerText Of(Ldap), Repeating, "\"sub\"", "scope of a search: base, one, sub or children";
    LDAP_FILTER "ldap_filter" Text Of(Ldap), Stored, "ldap_filter.contains(\"uid=anna\")", "filter of a search as RFC 4515 writes it";
    LDAP_ATTRIBUTES "ldap_attributes" List Of(Ldap), Stored, "\"mail\" in ldap_attributes", "attributes that a search asks for, a change changes, a comparison compares";
    LDAP_NEW_RDN "ldap_new_rdn" Text Of(Ldap), Stored, "\"uid=anna\"", "new relative name of an entry that is renamed";
    LDAP_NEW_SUPERIOR "ldap_new_superior" Text Of(Ldap), Stored, "\"ou=people,dc=shop,dc=example\"", "new parent of an entry that is moved";
    LDAP_EXTENSION "ldap_extension" Text Of(Ldap), Repeating, "\"StartTLS\"", "extended operation, by name where it has a well-known one, else its object identifier";
    LDAP_CONTROLS "ldap_controls" List Of(Ldap), Stored, "\"PagedResults\" in ldap_controls", "controls of request and response, named as extended operations are";
    LDAP_ENTRIES "ldap_entries" Int Of(Ldap), Stored, "10", "entries that a search has found";
    LDAP_REFERRALS "ldap_referrals" List Of(Ldap), Stored, "\"ldap://other.example/dc=example\" in ldap_referrals", "URLs of references and referrals in the response, up to 64";
    LDAP_RESULT_CODE "ldap_result_code" Int Of(Ldap), Stored, "49", "result code";
    LDAP_RESULT "ldap_result" Text Of(Ldap), Repeating, "\"invalidCredentials\"", "name of the result code";
    LDAP_MATCHED_DN "ldap_matched_dn" Text Of(Ldap), Stored, "\"dc=example\"", "last entry above the one asked for that exists";
    LDAP_ERROR_MESSAGE "ldap_error_message" Text Of(Ldap), Stored, "ldap_error_message.contains(\"no write access\")", "what the server says of the result";
    LDAP_REQUEST_BODY "ldap_request_body" Text Of(Ldap), Late, "ldap_request_body.contains(\"mail: anna@\")", "change as LDIF without secrets, up to the payload limit";
    LDAP_RESPONSE_BODY "ldap_response_body" Text Of(Ldap), Late, "ldap_response_body.contains(\"mail: anna@\")", "entries as LDIF without secrets, up to the payload limit";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[LDAP_TYPE, LDAP_SUMMARY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[LDAP_RESULT];
