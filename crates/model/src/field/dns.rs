//! DNS.

use super::spec::*;

fields! { after gql;
    DNS "dns" Bool Call, flag(Dns), "dns", "true for DNS calls";
    DNS_QUESTIONS "dns_questions" List Of(Dns), Stored, "\"example.com\" in dns_questions", "names asked for, without the final dot";
    DNS_ANSWERS "dns_answers" List Of(Dns), Stored, "\"1.2.3.4\" in dns_answers", "answers as text: addresses, names or record data";
    DNS_QUESTION_TYPES "dns_question_types" UpperList Of(Dns), Stored, "\"AAAA\" in dns_question_types", "record types asked for";
    DNS_ANSWER_TYPES "dns_answer_types" UpperList Of(Dns), Stored, "\"CNAME\" in dns_answer_types", "record types of dns_answers, in the same order";
    DNS_ANSWER_TTLS "dns_answer_ttls" List Of(Dns), Stored, "\"60\" in dns_answer_ttls", "times to live of dns_answers in seconds, in the same order";
    DNS_ID "dns_id" Int Of(Dns), Stored, "4660", "transaction id";
    DNS_OPCODE "dns_opcode" UpperText Of(Dns), Repeating, "\"QUERY\"", "operation, for example QUERY, NOTIFY or UPDATE";
    DNS_RCODE "dns_rcode" UpperText Of(Dns), Repeating, "\"NXDOMAIN\"", "response code by name, extended codes included";
    DNS_FLAGS "dns_flags" LowerList Of(Dns), Stored, "\"tc\" in dns_flags", "flags of the response, else of the request: aa, tc, rd, ra, ad, cd, do";
    DNS_CLIENT_SUBNET "dns_client_subnet" Text Of(Dns), Stored, "\"192.0.2.0/24/24\"", "EDNS client subnet of the response, else of the request: address/source prefix/scope prefix";
    DNS_REQUEST "dns_request" Bool Of(Dns), Stored, "dns_request", "true when the query was seen";
    DNS_RESPONSE "dns_response" Bool Of(Dns), Stored, "dns_response", "true when the response was seen";
    DNS_REQUEST_LENGTH "dns_request_length" Int Of(Dns), Derived, "33", "bytes of the query message";
    DNS_RESPONSE_LENGTH "dns_response_length" Int Of(Dns), Derived, "120", "bytes of the response message";
    DNS_TOTAL_SIZE "dns_total_size" Int Of(Dns), Derived, "153", "dns_request_length + dns_response_length";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[DNS_QUESTION_TYPES, DNS_QUESTIONS];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[DNS_RCODE];
