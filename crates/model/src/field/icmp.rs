//! ICMP and ICMPv6.

use super::spec::*;

fields! { after tlsx;
    ICMP "icmp" Bool Call, flag(Icmp), "icmp", "true for ICMP and ICMPv6 messages";
    ICMP_TYPE "icmp_type" LowerText Of(Icmp), Repeating, "\"echo_request\"", "type of the request, else of the message seen, by name; type_N where it has none";
    ICMP_VERSION "icmp_version" Int Of(Icmp), Stored, "6", "4 for ICMP, 6 for ICMPv6";
    ICMP_LENGTH "icmp_length" Int Of(Icmp), Stored, "64", "bytes of the request, else of the message seen, without the IP header";
    ICMP_CODE "icmp_code" Int Of(Icmp), Stored, "3", "code of the reply, else of the message seen";
    ICMP_ERROR "icmp_error" LowerText Of(Icmp), Repeating, "\"port_unreachable\"", "what the code of an error or of a redirect says, by name";
    ICMP_ID "icmp_id" Int Of(Icmp), Stored, "4660", "identifier of an echo, timestamp or similar exchange";
    ICMP_SEQ "icmp_seq" Int Of(Icmp), Stored, "1", "sequence number of such an exchange";
    ICMP_MTU "icmp_mtu" Int Of(Icmp), Stored, "icmp_mtu < 1500", "bytes of the largest packet that would have passed";
    ICMP_POINTER "icmp_pointer" Int Of(Icmp), Stored, "20", "offset of the byte that a parameter problem is about";
    ICMP_GATEWAY "icmp_gateway" LowerText Of(Icmp), Repeating, "\"10.0.0.1\"", "router that a redirect names";
    ICMP_TARGET "icmp_target" LowerText Of(Icmp), Repeating, "\"fe80::1\"", "address that neighbour discovery asks for or tells of, or that an ICMPv6 redirect is about";
    ICMP_GROUPS "icmp_groups" LowerList Of(Icmp), Stored, "\"ff02::fb\" in icmp_groups", "groups that a message of multicast listener discovery names, up to 16";
    ICMP_ORIGINAL_PROTOCOL "icmp_original_protocol" LowerText Of(Icmp), Repeating, "\"udp\"", "protocol of the packet that caused an error: its name, else its number";
    ICMP_ORIGINAL_SRC_IP "icmp_original_src_ip" LowerText Of(Icmp), Repeating, "\"10.0.53.101\"", "sender of the packet that caused an error";
    ICMP_ORIGINAL_SRC_PORT "icmp_original_src_port" Int Of(Icmp), Stored, "43210", "port of the sender of the packet that caused an error";
    ICMP_ORIGINAL_DST_IP "icmp_original_dst_ip" LowerText Of(Icmp), Repeating, "\"192.168.1.1\"", "receiver of the packet that caused an error";
    ICMP_ORIGINAL_DST_PORT "icmp_original_dst_port" Int Of(Icmp), Stored, "53", "port of the receiver of the packet that caused an error";
    ICMP_ORIGINAL_ID "icmp_original_id" Int Of(Icmp), Stored, "4660", "identifier of the echo that caused an error";
    ICMP_ORIGINAL_SEQ "icmp_original_seq" Int Of(Icmp), Stored, "1", "sequence number of the echo that caused an error";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[ICMP_TYPE, ICMP_TARGET, ICMP_ORIGINAL_PROTOCOL, ICMP_ORIGINAL_DST_IP];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[ICMP_ERROR];
