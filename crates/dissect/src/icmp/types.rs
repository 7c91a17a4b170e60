//! Types and codes by name: <https://www.iana.org/assignments/icmp-parameters> and
//! <https://www.iana.org/assignments/icmpv6-parameters>.

/// IP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Asks for a reply.
    Request,
    /// Replies to a request of this type.
    Reply(u8),
    /// Reports what became of another packet, and quotes it.
    Error,
    /// Tells of a better way for another packet, and quotes it.
    Redirect,
    /// Stands alone.
    Notice,
}

/// Replies and the types of their requests, of both versions.
const REPLIES: &[(u8, u8)] =
    &[(0, 8), (14, 13), (16, 15), (18, 17), (43, 42), (129, 128), (140, 139), (145, 144), (161, 160)];

/// True for the types of replies.
pub(super) fn is_reply(kind: u8) -> bool {
    REPLIES.iter().any(|r| r.0 == kind)
}

pub(super) fn class(version: Version, kind: u8) -> Class {
    match (version, kind) {
        // RFC 1122, section 3.2.2.
        (Version::V4, 3 | 4 | 11 | 12) => Class::Error,
        (Version::V4, 5) | (Version::V6, 137) => Class::Redirect,
        // RFC 4443, section 2.1: errors have the high bit clear.
        (Version::V6, 1..=127) => Class::Error,
        // Types above 127 have no meaning in version 4.
        (Version::V4, 128..) => Class::Notice,
        _ => match REPLIES.iter().find(|r| r.0 == kind || r.1 == kind) {
            Some(&(reply, request)) if reply == kind => Class::Reply(request),
            Some(_) => Class::Request,
            None => Class::Notice,
        },
    }
}

/// The name of a type; `None` where it has none.
pub(super) fn name(version: Version, kind: u8) -> Option<&'static str> {
    let all = match version {
        Version::V4 => V4,
        Version::V6 => V6,
    };
    all.iter().find(|t| t.0 == kind).map(|t| t.1)
}

/// What the code of an error, of a redirect or of an extended echo reply says.
pub(super) fn code(version: Version, kind: u8, code: u8) -> Option<&'static str> {
    let names: &[&str] = match (version, kind) {
        (Version::V4, 3) => UNREACHABLE_V4,
        (Version::V4, 4) => &["source_quench"],
        (Version::V4, 5) => &["network", "host", "network_for_tos", "host_for_tos"],
        (Version::V4, 11) => &["ttl_exceeded", "reassembly_time_exceeded"],
        (Version::V4, 12) => &["bad_header", "missing_option", "bad_length"],
        (Version::V6, 1) => UNREACHABLE_V6,
        (Version::V6, 2) => &["packet_too_big"],
        (Version::V6, 3) => &["hop_limit_exceeded", "reassembly_time_exceeded"],
        (Version::V6, 4) => PARAMETER_V6,
        (Version::V4, 43) | (Version::V6, 161) => EXTENDED_ECHO,
        _ => &[],
    };
    names.get(usize::from(code)).copied()
}

const UNREACHABLE_V4: &[&str] = &[
    "network_unreachable",
    "host_unreachable",
    "protocol_unreachable",
    "port_unreachable",
    "fragmentation_needed",
    "source_route_failed",
    "network_unknown",
    "host_unknown",
    "source_host_isolated",
    "network_prohibited",
    "host_prohibited",
    "network_unreachable_for_tos",
    "host_unreachable_for_tos",
    "communication_prohibited",
    "host_precedence_violation",
    "precedence_cutoff",
];

const UNREACHABLE_V6: &[&str] = &[
    "no_route",
    "communication_prohibited",
    "beyond_scope",
    "address_unreachable",
    "port_unreachable",
    "source_address_failed_policy",
    "route_rejected",
    "source_routing_header",
    "headers_too_long",
];

const PARAMETER_V6: &[&str] = &[
    "bad_header",
    "unknown_next_header",
    "unknown_option",
    "incomplete_header_chain",
    "upper_layer_error",
    "unknown_next_header_at_router",
    "extension_header_too_big",
    "extension_header_chain_too_long",
    "too_many_extension_headers",
    "too_many_options",
    "option_too_big",
];

/// RFC 8335, section 3.
const EXTENDED_ECHO: &[&str] =
    &["", "malformed_query", "no_such_interface", "no_such_table_entry", "multiple_interfaces"];

const V4: &[(u8, &str)] = &[
    (0, "echo_reply"),
    (3, "destination_unreachable"),
    (4, "source_quench"),
    (5, "redirect"),
    (6, "alternate_host_address"),
    (8, "echo_request"),
    (9, "router_advertisement"),
    (10, "router_solicitation"),
    (11, "time_exceeded"),
    (12, "parameter_problem"),
    (13, "timestamp_request"),
    (14, "timestamp_reply"),
    (15, "information_request"),
    (16, "information_reply"),
    (17, "address_mask_request"),
    (18, "address_mask_reply"),
    (30, "traceroute"),
    (37, "domain_name_request"),
    (38, "domain_name_reply"),
    (40, "photuris"),
    (42, "extended_echo_request"),
    (43, "extended_echo_reply"),
];

const V6: &[(u8, &str)] = &[
    (1, "destination_unreachable"),
    (2, "packet_too_big"),
    (3, "time_exceeded"),
    (4, "parameter_problem"),
    (128, "echo_request"),
    (129, "echo_reply"),
    (130, "multicast_listener_query"),
    (131, "multicast_listener_report"),
    (132, "multicast_listener_done"),
    (133, "router_solicitation"),
    (134, "router_advertisement"),
    (135, "neighbor_solicitation"),
    (136, "neighbor_advertisement"),
    (137, "redirect"),
    (138, "router_renumbering"),
    (139, "node_information_query"),
    (140, "node_information_response"),
    (141, "inverse_neighbor_solicitation"),
    (142, "inverse_neighbor_advertisement"),
    (143, "multicast_listener_report_v2"),
    (144, "home_agent_discovery_request"),
    (145, "home_agent_discovery_reply"),
    (146, "mobile_prefix_solicitation"),
    (147, "mobile_prefix_advertisement"),
    (148, "certification_path_solicitation"),
    (149, "certification_path_advertisement"),
    (151, "multicast_router_advertisement"),
    (152, "multicast_router_solicitation"),
    (153, "multicast_router_termination"),
    (154, "fast_handover"),
    (155, "rpl_control"),
    (156, "locator_update"),
    (157, "duplicate_address_request"),
    (158, "duplicate_address_confirmation"),
    (159, "mpl_control"),
    (160, "extended_echo_request"),
    (161, "extended_echo_reply"),
];
