//! SMTP.

use super::spec::*;

fields! { after memcached;
    SMTP "smtp" Bool Call, flag(Smtp), "smtp", "true for SMTP commands";
    SMTP_COMMAND "smtp_command" UpperText Of(Smtp), Repeating, "\"RCPT\"", "command; GREETING for what the server says first, UNKNOWN for what is none";
    SMTP_ARGUMENT "smtp_argument" Text Of(Smtp), Stored, "smtp_argument.contains(\"SIZE=\")", "what follows the command; of AUTH the mechanism";
    SMTP_SUMMARY "smtp_summary" Text Of(Smtp), Stored, "smtp_summary.contains(\"Invoice\")", "command in a line; of a message sender, recipients and subject";
    SMTP_REQUEST "smtp_request" Bool Of(Smtp), request_seen(Smtp), "smtp_request", "true when the command was seen";
    SMTP_RESPONSE "smtp_response" Bool Of(Smtp), response_seen(Smtp), "smtp_response", "true when the reply was seen";
    SMTP_REQUEST_LENGTH "smtp_request_length" Int Of(Smtp), request_size(Smtp), "2048", "bytes of the command, with the message where it has one";
    SMTP_RESPONSE_LENGTH "smtp_response_length" Int Of(Smtp), response_size(Smtp), "14", "bytes of the reply";
    SMTP_STATUS_CODE "smtp_status_code" Int Of(Smtp), Stored, "550", "code of the reply";
    SMTP_ENHANCED_STATUS "smtp_enhanced_status" Text Of(Smtp), Repeating, "\"5.1.1\"", "enhanced status code of the reply (RFC 3463)";
    SMTP_REPLY "smtp_reply" Text Of(Smtp), Stored, "smtp_reply.contains(\"no such user\")", "text of the reply, its lines as lines";
    SMTP_CLIENT_NAME "smtp_client_name" Text Of(Smtp), Repeating, "\"mail.shop.example\"", "what the client calls itself in EHLO, HELO or LHLO";
    SMTP_EXTENSIONS "smtp_extensions" List Of(Smtp), Stored, "\"STARTTLS\" in smtp_extensions", "extensions that the server offers";
    SMTP_AUTH_MECHANISM "smtp_auth_mechanism" UpperText Of(Smtp), Repeating, "\"PLAIN\"", "mechanism of AUTH";
    SMTP_FROM "smtp_from" Text Of(Smtp), Stored, "\"anna@shop.example\"", "sender in the envelope, empty for reports";
    SMTP_TO "smtp_to" List Of(Smtp), Stored, "\"bert@shop.example\" in smtp_to", "recipients in the envelope that the server took, up to 100; of RCPT the one that it names";
    SMTP_HEADER_FROM "smtp_header_from" Text Of(Smtp), Stored, "smtp_header_from.contains(\"Anna\")", "From in the header of the message";
    SMTP_HEADER_TO "smtp_header_to" Text Of(Smtp), Stored, "smtp_header_to.contains(\"Bert\")", "To in the header of the message";
    SMTP_SUBJECT "smtp_subject" Text Of(Smtp), Stored, "smtp_subject.contains(\"Invoice\")", "Subject in the header of the message, encoded words as they are";
    SMTP_MESSAGE_ID "smtp_message_id" Text Of(Smtp), Stored, "\"<17@shop.example>\"", "Message-ID in the header of the message";
    SMTP_MESSAGE_SIZE "smtp_message_size" Int Of(Smtp), Stored, "1024", "bytes of the message";
    SMTP_MESSAGE "smtp_message" Text Of(Smtp), Late, "smtp_message.contains(\"dear\")", "message with its header, up to the payload limit";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[SMTP_SUMMARY];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[SMTP_STATUS_CODE];
