//! Flow rows.

use super::spec::*;

fields! { after sctp;
    FIRST_SEEN "first_seen" Time Flow, Stored, "timestamp(\"2026-11-21T04:40:49Z\")", "time of the flow's first packet";
    CONN_STATE "conn_state" Text Flow, Repeating, "\"open\"", "open, in_progress or closed";
    CLOSE_REASON "close_reason" Text Flow, Repeating, "\"reset\"", "how it ended: fin, reset, idle, evicted or capture_end";
    SRC_PACKETS "src.packets" Int Flow, Stored, "12", "packets from the client since first_seen, as its socket sends or gets them: offloads make one of several";
    SRC_BYTES "src.bytes" Int Flow, Stored, "4096", "IP bytes from the client since first_seen, headers included";
    DST_PACKETS "dst.packets" Int Flow, Stored, "10", "packets from the server, counted like src.packets";
    DST_BYTES "dst.bytes" Int Flow, Stored, "65536", "IP bytes from the server since first_seen, headers included";
    TCP_RTT_US "tcp_rtt_us" Int Flow, Stored, "150", "microseconds from the SYN to the ACK that completed the handshake; absent when its start was not seen";
    TCP_RETRANSMITS "tcp_retransmits" Int Flow, Stored, "2", "segments that repeated bytes";
    SRC_TCP_FLAGS "src.tcp_flags" Int Flow, Stored, "27", "union of the TCP flag bits from the client";
    DST_TCP_FLAGS "dst.tcp_flags" Int Flow, Stored, "27", "union of the TCP flag bits from the server";
    MISSING_BYTES "missing_bytes" Int Flow, Stored, "0", "payload bytes that the capture lacks";
    CONN_L7_DETECTED "conn_l7_detected" List Flow, Stored, "\"http\" in conn_l7_detected", "application protocols found in it";
    CONN "conn" Bool Flow, Derived, "conn", "true for flow rows, by its KFL2 name";
    FLOW "flow" Bool Flow, Derived, "flow", "true for flow rows, by its KFL2 name";
}
