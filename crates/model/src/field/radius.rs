//! RADIUS.

use super::spec::*;

fields! { after ldap;
    RADIUS "radius" Bool Call, flag(Radius), "radius", "true for RADIUS exchanges";
    RADIUS_CODE "radius_code" Int Of(Radius), Stored, "1", "code of the request, else of the response";
    RADIUS_CODE_NAME "radius_code_name" Text Of(Radius), Repeating, "\"Access-Request\"", "name of that code";
    RADIUS_REQUEST "radius_request" Bool Of(Radius), request_seen(Radius), "radius_request", "true when the request was seen";
    RADIUS_RESPONSE "radius_response" Bool Of(Radius), response_seen(Radius), "radius_response", "true when the response was seen";
    RADIUS_REQUEST_AUTHENTICATOR "radius_request_authenticator" Text Of(Radius), Stored, "\"0f403f9473978057bd83d5cb98f4227a\"", "authenticator of the request, in hexadecimal digits";
    RADIUS_REQUEST_LENGTH "radius_request_length" Int Of(Radius), request_size(Radius), "78", "bytes of the request";
    RADIUS_RESPONSE_LENGTH "radius_response_length" Int Of(Radius), response_size(Radius), "44", "bytes of the response";
    RADIUS_TOTAL_SIZE "radius_total_size" Int Of(Radius), total_size(Radius), "122", "bytes of request and response";
    RADIUS_SUMMARY "radius_summary" Text Of(Radius), Stored, "radius_summary.contains(\"anna\")", "user or session, status of the accounting, and what the server answers";
    RADIUS_ID "radius_id" Int Of(Radius), Stored, "17", "identifier that pairs request and response between two ports";
    RADIUS_RESPONSE_CODE "radius_response_code" Int Of(Radius), Stored, "3", "code of the response";
    RADIUS_RESPONSE_CODE_NAME "radius_response_code_name" Text Of(Radius), Repeating, "\"Access-Reject\"", "name of the code of the response";
    RADIUS_USER_NAME "radius_user_name" Text Of(Radius), Stored, "\"anna\"", "User-Name";
    RADIUS_NAS_IP "radius_nas_ip" Text Of(Radius), Repeating, "\"192.0.2.1\"", "address of who asks: NAS-IP-Address, else NAS-IPv6-Address";
    RADIUS_NAS_IDENTIFIER "radius_nas_identifier" Text Of(Radius), Repeating, "\"gate-1\"", "NAS-Identifier";
    RADIUS_NAS_PORT_TYPE "radius_nas_port_type" Text Of(Radius), Repeating, "\"Wireless-802.11\"", "NAS-Port-Type by name";
    RADIUS_SERVICE_TYPE "radius_service_type" Text Of(Radius), Repeating, "\"Framed-User\"", "Service-Type by name";
    RADIUS_CALLED_STATION_ID "radius_called_station_id" Text Of(Radius), Stored, "\"00-11-22-33-44-55:guests\"", "Called-Station-Id";
    RADIUS_CALLING_STATION_ID "radius_calling_station_id" Text Of(Radius), Stored, "\"66-77-88-99-aa-bb\"", "Calling-Station-Id";
    RADIUS_FRAMED_IP "radius_framed_ip" Text Of(Radius), Stored, "\"192.0.2.17\"", "Framed-IP-Address";
    RADIUS_FILTER_ID "radius_filter_id" Text Of(Radius), Repeating, "\"guests\"", "Filter-Id";
    RADIUS_ACCT_STATUS_TYPE "radius_acct_status_type" Text Of(Radius), Repeating, "\"Start\"", "Acct-Status-Type by name";
    RADIUS_ACCT_SESSION_ID "radius_acct_session_id" Text Of(Radius), Stored, "\"5f3a\"", "Acct-Session-Id";
    RADIUS_TERMINATE_CAUSE "radius_terminate_cause" Text Of(Radius), Repeating, "\"User-Request\"", "Acct-Terminate-Cause by name";
    RADIUS_ERROR_CAUSE "radius_error_cause" Text Of(Radius), Repeating, "\"Unsupported-Attribute\"", "Error-Cause by name";
    RADIUS_EAP_METHOD "radius_eap_method" Text Of(Radius), Repeating, "\"PEAP\"", "method of the EAP message in the request, else of that in the response";
    RADIUS_REPLY_MESSAGE "radius_reply_message" Text Of(Radius), Stored, "radius_reply_message.contains(\"denied\")", "Reply-Messages, one per line";
    RADIUS_ATTRIBUTES "radius_attributes" Map Of(Radius), Stored, "radius_attributes[\"NAS-Port\"] == \"7\"", "attributes of the request by name, without secrets";
    RADIUS_RESPONSE_ATTRIBUTES "radius_response_attributes" Map Of(Radius), Stored, "radius_response_attributes[\"Session-Timeout\"] == \"3600\"", "attributes of the response by name, without secrets";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[RADIUS_CODE_NAME, RADIUS_SUMMARY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[RADIUS_RESPONSE_CODE_NAME];
