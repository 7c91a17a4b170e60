//! Codes of packets (RFC 2865, section 3; RFC 2866; RFC 5176; RFC 2882, section 3 for those that were
//! used before).

/// The name of a code.
pub(super) fn name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "Access-Request",
        2 => "Access-Accept",
        3 => "Access-Reject",
        4 => "Accounting-Request",
        5 => "Accounting-Response",
        6 => "Accounting-Status",
        7 => "Password-Request",
        8 => "Password-Ack",
        9 => "Password-Reject",
        10 => "Accounting-Message",
        11 => "Access-Challenge",
        12 => "Status-Server",
        13 => "Status-Client",
        21 => "Resource-Free-Request",
        22 => "Resource-Free-Response",
        23 => "Resource-Query-Request",
        24 => "Resource-Query-Response",
        25 => "Alternate-Resource-Reclaim-Request",
        26 => "NAS-Reboot-Request",
        27 => "NAS-Reboot-Response",
        29 => "Next-Passcode",
        30 => "New-Pin",
        31 => "Terminate-Session",
        32 => "Password-Expired",
        33 => "Event-Request",
        34 => "Event-Response",
        40 => "Disconnect-Request",
        41 => "Disconnect-ACK",
        42 => "Disconnect-NAK",
        43 => "CoA-Request",
        44 => "CoA-ACK",
        45 => "CoA-NAK",
        50 => "IP-Address-Allocate",
        51 => "IP-Address-Release",
        52 => "Protocol-Error",
        _ => return None,
    })
}

/// True for codes that are answered.
pub(super) fn is_request(code: u8) -> bool {
    matches!(code, 1 | 4 | 6 | 7 | 10 | 12 | 13 | 21 | 23 | 25 | 26 | 31 | 33 | 40 | 43 | 50 | 51)
}

/// True when `answer` can answer `request`.
pub(super) fn answers(request: u8, answer: u8) -> bool {
    match answer {
        // Some servers answer Status-Server as they would what else comes to the port (RFC 5997).
        2 => matches!(request, 1 | 12),
        3 | 11 | 29 | 30 | 32 => request == 1,
        5 => matches!(request, 4 | 12),
        8 | 9 => request == 7,
        22 => request == 21,
        24 => request == 23,
        27 => request == 26,
        34 => request == 33,
        41 | 42 => matches!(request, 12 | 40),
        44 | 45 => matches!(request, 12 | 43),
        // RFC 7930, section 4.
        52 => is_request(request),
        _ => false,
    }
}

/// True for answers that refuse.
pub(super) fn is_failure(code: u8) -> bool {
    matches!(code, 3 | 9 | 32 | 42 | 45 | 52)
}
