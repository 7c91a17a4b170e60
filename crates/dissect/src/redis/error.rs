//! What the codes of errors mean. They are a convention: an error's first word, in capitals.

/// Codes with which a server says that it cannot, at the moment or here, and not that the client did
/// anything wrong (Redis' and Valkey's sources).
const SERVER: [&[u8]; 16] = [
    b"ASK",
    b"BUSY",
    b"CLUSTERDOWN",
    b"FAILOVER",
    b"INPROG",
    b"IOERR",
    b"LOADING",
    b"MASTERDOWN",
    b"MISCONF",
    b"MOVED",
    b"NOGOODSLAVE",
    b"NOREPLICAS",
    b"OOM",
    b"TRYAGAIN",
    b"UNBLOCKED",
    b"UNKILLABLE",
];

/// True for an error that blames the client: nearly all do, above all `ERR`, `WRONGTYPE`, `NOAUTH`
/// and `READONLY`.
pub(super) fn blames_client(error: &[u8]) -> bool {
    let code = error.split(|b| *b == b' ').next().unwrap_or_default();
    !code.is_empty() && code.iter().all(u8::is_ascii_uppercase) && !SERVER.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_who_is_to_blame() {
        for (error, blamed) in [
            ("WRONGTYPE Operation against a key holding the wrong kind of value", true),
            ("ERR unknown command 'NOSUCH'", true),
            ("NOAUTH Authentication required.", true),
            ("EXECABORT Transaction discarded because of previous errors.", true),
            ("MOVED 3999 127.0.0.1:6381", false),
            ("LOADING Redis is loading the dataset in memory", false),
            ("OOM command not allowed when used memory > 'maxmemory'.", false),
            ("CLUSTERDOWN The cluster is down", false),
            // What a script says for itself.
            ("my own words", false),
            ("", false),
        ] {
            assert_eq!(blames_client(error.as_bytes()), blamed, "{error}");
        }
    }
}
