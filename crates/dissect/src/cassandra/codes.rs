//! Error codes (section 9 of the specification).

/// A code's name, and whether it blames the client.
pub(super) fn error(code: i32) -> Option<(&'static str, bool)> {
    Some(match code {
        0x0000 => ("SERVER_ERROR", false),
        0x000a => ("PROTOCOL_ERROR", true),
        0x0100 => ("BAD_CREDENTIALS", true),
        0x1000 => ("UNAVAILABLE", false),
        0x1001 => ("OVERLOADED", false),
        0x1002 => ("IS_BOOTSTRAPPING", false),
        0x1003 => ("TRUNCATE_ERROR", false),
        0x1100 => ("WRITE_TIMEOUT", false),
        0x1200 => ("READ_TIMEOUT", false),
        0x1300 => ("READ_FAILURE", false),
        0x1400 => ("FUNCTION_FAILURE", false),
        0x1500 => ("WRITE_FAILURE", false),
        0x1600 => ("CDC_WRITE_FAILURE", false),
        0x1700 => ("CAS_WRITE_UNKNOWN", false),
        0x2000 => ("SYNTAX_ERROR", true),
        0x2100 => ("UNAUTHORIZED", true),
        0x2200 => ("INVALID", true),
        0x2300 => ("CONFIG_ERROR", true),
        0x2400 => ("ALREADY_EXISTS", true),
        0x2500 => ("UNPREPARED", true),
        _ => return None,
    })
}
