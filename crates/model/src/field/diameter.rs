//! Diameter.

use super::spec::*;

fields! { after radius;
    DIAMETER "diameter" Bool Call, flag(Diameter), "diameter", "true for Diameter exchanges";
    DIAMETER_METHOD "diameter_method" Text Of(Diameter), Repeating, "\"Credit-Control-Request\"", "name of the command with -Request, or with -Answer where the request was not seen";
    DIAMETER_SUMMARY "diameter_summary" Text Of(Diameter), Stored, "diameter_summary.contains(\"DIAMETER_USER_UNKNOWN\")", "short name of the command, application, who is meant, result";
    DIAMETER_REQUEST "diameter_request" Bool Of(Diameter), request_seen(Diameter), "diameter_request", "true when the request was seen";
    DIAMETER_RESPONSE "diameter_response" Bool Of(Diameter), response_seen(Diameter), "diameter_response", "true when the answer was seen";
    DIAMETER_REQUEST_LENGTH "diameter_request_length" Int Of(Diameter), request_size(Diameter), "300", "bytes of the request";
    DIAMETER_RESPONSE_LENGTH "diameter_response_length" Int Of(Diameter), response_size(Diameter), "180", "bytes of the answer";
    DIAMETER_TOTAL_SIZE "diameter_total_size" Int Of(Diameter), total_size(Diameter), "480", "bytes of request and answer";
    DIAMETER_COMMAND "diameter_command" Text Of(Diameter), Repeating, "\"Credit-Control\"", "name of the command";
    DIAMETER_COMMAND_CODE "diameter_command_code" Int Of(Diameter), Stored, "272", "code of the command";
    DIAMETER_APPLICATION "diameter_application" Text Of(Diameter), Repeating, "\"3GPP Gx\"", "name of the application; Gy and Ro are Credit Control";
    DIAMETER_APPLICATION_ID "diameter_application_id" Int Of(Diameter), Stored, "4", "number of the application";
    DIAMETER_FLAGS "diameter_flags" LowerList Of(Diameter), Stored, "\"error\" in diameter_flags", "flags of request and answer: request, proxiable, error, retransmitted";
    DIAMETER_HOP_BY_HOP "diameter_hop_by_hop" Int Of(Diameter), Stored, "1234567", "identifier that pairs request and answer on their connection";
    DIAMETER_END_TO_END "diameter_end_to_end" Int Of(Diameter), Stored, "7654321", "identifier by which repeated requests are known";
    DIAMETER_SESSION_ID "diameter_session_id" Text Of(Diameter), Stored, "\"gw.shop.example;1;2\"", "Session-Id";
    DIAMETER_ORIGIN_HOST "diameter_origin_host" Text Of(Diameter), Repeating, "\"gw.shop.example\"", "Origin-Host of the request, else of the answer";
    DIAMETER_ORIGIN_REALM "diameter_origin_realm" Text Of(Diameter), Repeating, "\"shop.example\"", "Origin-Realm of the request, else of the answer";
    DIAMETER_DESTINATION_HOST "diameter_destination_host" Text Of(Diameter), Repeating, "\"ocs.shop.example\"", "Destination-Host";
    DIAMETER_DESTINATION_REALM "diameter_destination_realm" Text Of(Diameter), Repeating, "\"shop.example\"", "Destination-Realm";
    DIAMETER_ANSWER_HOST "diameter_answer_host" Text Of(Diameter), Repeating, "\"ocs.shop.example\"", "Origin-Host of the answer: who has answered";
    DIAMETER_USER_NAME "diameter_user_name" Text Of(Diameter), Stored, "\"262011234567890\"", "User-Name";
    DIAMETER_SUBSCRIPTION_ID "diameter_subscription_id" Text Of(Diameter), Stored, "\"491701234567\"", "data of the first Subscription-Id";
    DIAMETER_CALLED_STATION_ID "diameter_called_station_id" Text Of(Diameter), Repeating, "\"internet\"", "Called-Station-Id: the access point";
    DIAMETER_SERVICE_CONTEXT_ID "diameter_service_context_id" Text Of(Diameter), Repeating, "\"32251@3gpp.org\"", "Service-Context-Id of credit control";
    DIAMETER_CC_REQUEST_TYPE "diameter_cc_request_type" UpperText Of(Diameter), Repeating, "\"INITIAL_REQUEST\"", "CC-Request-Type by name";
    DIAMETER_RESULT_CODE "diameter_result_code" Int Of(Diameter), Stored, "5030", "Result-Code, or Experimental-Result-Code";
    DIAMETER_RESULT "diameter_result" UpperText Of(Diameter), Repeating, "\"DIAMETER_USER_UNKNOWN\"", "name of the result code";
    DIAMETER_ERROR_MESSAGE "diameter_error_message" Text Of(Diameter), Stored, "diameter_error_message.contains(\"realm\")", "Error-Message";
    DIAMETER_REQUEST_BODY "diameter_request_body" Text Of(Diameter), Late, "diameter_request_body.contains(\"Rating-Group: 10\")", "AVPs of the request, one per line, those of groups indented, without secrets, up to the payload limit";
    DIAMETER_RESPONSE_BODY "diameter_response_body" Text Of(Diameter), Late, "diameter_response_body.contains(\"CC-Total-Octets\")", "AVPs of the answer in the same form";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[DIAMETER_METHOD, DIAMETER_SUMMARY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[DIAMETER_RESULT, DIAMETER_RESULT_CODE];
