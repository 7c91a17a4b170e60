//! TCP connections of unknown protocol.

use super::spec::*;

fields! { after smtp;
    TCP "tcp" Bool Both, Derived, "tcp", "true when TCP carried it";
    TCP_METHOD "tcp_method" LowerText Of(Tcp), Repeating, "\"exchange\"", "who has sent data on a connection of unknown protocol: exchange (both), send (the client), receive (the server) or connect (nobody)";
    TCP_PAYLOAD "tcp_payload" Text Of(Tcp), Late, "tcp_payload.contains(\"SSH-2.0\")", "first 256 bytes from the client; what is not printable as \\xNN";
    TCP_RESPONSE_PAYLOAD "tcp_response_payload" Text Of(Tcp), Late, "tcp_response_payload.contains(\"SSH-2.0\")", "first 256 bytes from the server; what is not printable as \\xNN";
    TCP_ERROR_TYPE "tcp_error_type" LowerText Of(Tcp), Repeating, "\"connection_refused\"", "how the connection failed: connection_refused, connection_timeout, connection_reset or zero_window";
    TCP_ERROR_MESSAGE "tcp_error_message" Text Of(Tcp), Stored, "\"10.0.0.2:80 refused the connection\"", "the failure in words";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[TCP_METHOD];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[TCP_ERROR_TYPE];
