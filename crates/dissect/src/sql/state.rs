//! What a SQLSTATE means (ISO 9075-2, section 24; PostgreSQL's appendix A).

/// Classes that blame the client: what it asked for is not supported, not valid, not there, not
/// allowed, or would break a constraint. Not those of connections, conflicts of transactions,
/// missing resources, operators and faults of the server; and not the general one of MySQL, which
/// says nothing.
const CLIENT: [&[u8]; 23] = [
    b"07", b"0A", b"0L", b"0P", b"20", b"21", b"22", b"23", b"24", b"25", b"26", b"27", b"28", b"2B", b"2D",
    b"2F", b"34", b"3B", b"3D", b"3F", b"42", b"44", b"0F",
];

/// True for an error that blames the client.
pub(crate) fn blames_client(state: &[u8]) -> bool {
    state.get(..2).is_some_and(|class| state.len() == 5 && CLIENT.contains(&class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_tell_who_is_to_blame() {
        for (state, blamed) in [
            ("42601", true),
            ("42S02", true),
            ("23505", true),
            ("28000", true),
            ("3D000", true),
            ("22P02", true),
            ("40001", false),
            ("53300", false),
            ("57014", false),
            ("08004", false),
            ("XX000", false),
            ("HY000", false),
            ("42", false),
            ("", false),
        ] {
            assert_eq!(blames_client(state.as_bytes()), blamed, "{state}");
        }
    }
}
