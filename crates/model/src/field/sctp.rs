//! SCTP.

use super::spec::*;

fields! { after udp;
    SCTP "sctp" Bool Both, Derived, "sctp", "true when SCTP carried it";
    SCTP_CHUNK_TYPE "sctp_chunk_type" UpperText Of(Sctp), Repeating, "\"INIT\"", "chunk that asked: INIT, SHUTDOWN, ABORT or ERROR; DATA for an association of unknown protocol";
    SCTP_LENGTH "sctp_length" Int Of(Sctp), Stored, "20", "bytes of that chunk, its header of 4 included";
    SCTP_CHECKSUM "sctp_checksum" Int Of(Sctp), Stored, "305419896", "checksum (CRC32c) of the packet that it came in, as it stands there";
    SCTP_ERROR "sctp_error" LowerText Of(Sctp), Repeating, "\"user_initiated_abort\"", "first cause of an ABORT or ERROR, by name; aborted or error where it has none";
    SCTP_PAYLOAD "sctp_payload" Text Of(Sctp), Late, "sctp_payload.contains(\"hello\")", "first 256 bytes of the client's first message in a protocol that is unknown; what is not printable as \\xNN";
    SCTP_RESPONSE_PAYLOAD "sctp_response_payload" Text Of(Sctp), Late, "sctp_response_payload.contains(\"hello\")", "first 256 bytes of the server's first message in a protocol that is unknown; what is not printable as \\xNN";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[SCTP_CHUNK_TYPE];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[SCTP_ERROR];
