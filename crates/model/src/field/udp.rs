//! UDP datagrams of unknown protocol.

use super::spec::*;

fields! { after tcp;
    UDP "udp" Bool Both, Derived, "udp", "true when UDP carried it";
    UDP_LENGTH "udp_length" Int Of(Udp), Stored, "64", "bytes of the first datagram of a flow of unknown protocol, its header of 8 included";
    UDP_CHECKSUM "udp_checksum" Int Of(Udp), Stored, "udp_checksum != 0", "checksum of the first datagram as it stands in its header";
    UDP_PAYLOAD "udp_payload" Text Of(Udp), Late, "udp_payload.contains(\"M-SEARCH\")", "first 256 bytes of the client's first datagram; what is not printable as \\xNN";
    UDP_RESPONSE_PAYLOAD "udp_response_payload" Text Of(Udp), Late, "udp_response_payload.contains(\"HTTP/1.1 200\")", "first 256 bytes of the server's first datagram; what is not printable as \\xNN";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
