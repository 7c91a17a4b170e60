//! Which replies a command can have. Only what is certain of every version is told apart: where the
//! order is in doubt, a reply that does not fit shows that it is wrong.

use super::{reply::Reply, request::Effect, resp::Kind};

/// Types of replies, of which a command has one. Errors and `QUEUED` answer every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    /// `+OK` and its like.
    Status,
    Int,
    /// A string, or null.
    Text,
    /// Several values, or null.
    Many,
}

/// Commands whose replies are of one type, in order.
#[rustfmt::skip]
static TYPES: &[(&str, Type)] = &[
    ("APPEND", Type::Int), ("AUTH", Type::Status), ("BITCOUNT", Type::Int), ("CLIENT SETINFO", Type::Status),
    ("CLIENT SETNAME", Type::Status), ("CONFIG GET", Type::Many), ("CONFIG SET", Type::Status),
    ("DBSIZE", Type::Int), ("DECR", Type::Int), ("DECRBY", Type::Int), ("DEL", Type::Int),
    ("DISCARD", Type::Status), ("ECHO", Type::Text), ("EXISTS", Type::Int), ("EXPIRE", Type::Int),
    ("EXPIREAT", Type::Int), ("FLUSHALL", Type::Status), ("FLUSHDB", Type::Status), ("GET", Type::Text),
    ("GETDEL", Type::Text), ("GETEX", Type::Text), ("GETRANGE", Type::Text), ("GETSET", Type::Text),
    ("HDEL", Type::Int), ("HELLO", Type::Many), ("HEXISTS", Type::Int), ("HGET", Type::Text),
    ("HGETALL", Type::Many), ("HINCRBY", Type::Int), ("HKEYS", Type::Many), ("HLEN", Type::Int),
    ("HMGET", Type::Many), ("HMSET", Type::Status), ("HSET", Type::Int), ("HSETNX", Type::Int),
    ("HVALS", Type::Many), ("INCR", Type::Int), ("INCRBY", Type::Int), ("INFO", Type::Text),
    ("KEYS", Type::Many), ("LINDEX", Type::Text), ("LINSERT", Type::Int), ("LLEN", Type::Int),
    ("LPUSH", Type::Int), ("LPUSHX", Type::Int), ("LRANGE", Type::Many), ("LREM", Type::Int),
    ("LSET", Type::Status), ("LTRIM", Type::Status), ("MGET", Type::Many), ("MSET", Type::Status),
    ("MSETNX", Type::Int), ("MULTI", Type::Status), ("PERSIST", Type::Int), ("PEXPIRE", Type::Int),
    ("PEXPIREAT", Type::Int), ("PFADD", Type::Int), ("PFCOUNT", Type::Int), ("PFMERGE", Type::Status),
    ("PSETEX", Type::Status), ("PTTL", Type::Int), ("PUBLISH", Type::Int), ("RENAME", Type::Status),
    ("RENAMENX", Type::Int), ("REPLCONF", Type::Status), ("RPUSH", Type::Int), ("RPUSHX", Type::Int),
    ("SADD", Type::Int), ("SCAN", Type::Many), ("SCARD", Type::Int), ("SELECT", Type::Status),
    ("SETBIT", Type::Int), ("SETEX", Type::Status), ("SETNX", Type::Int), ("SETRANGE", Type::Int),
    ("SINTER", Type::Many), ("SMEMBERS", Type::Many), ("SMOVE", Type::Int), ("SPUBLISH", Type::Int),
    ("SREM", Type::Int), ("STRLEN", Type::Int), ("SUNION", Type::Many), ("TIME", Type::Many),
    ("TTL", Type::Int), ("TYPE", Type::Status), ("UNLINK", Type::Int), ("UNWATCH", Type::Status),
    ("WATCH", Type::Status), ("XACK", Type::Int), ("XDEL", Type::Int), ("XLEN", Type::Int),
    ("XRANGE", Type::Many), ("ZCARD", Type::Int), ("ZCOUNT", Type::Int), ("ZRANGE", Type::Many),
    ("ZREM", Type::Int),
];

/// False when `reply` certainly does not answer the command of that `redis_type`.
pub(super) fn may_answer(name: &[u8], effect: Effect, reply: &Reply) -> bool {
    let Some(kind) = reply.kind() else { return true };
    if reply.is_error() {
        return true;
    }
    let text = reply.text();
    let simple = |word: &[u8]| kind == Kind::Simple && text == word;
    match effect {
        // Its own replies are taken out before.
        Effect::Subscribe { .. } => return false,
        Effect::Psync => {
            return kind == Kind::Simple
                && (text.starts_with(b"FULLRESYNC") || text.starts_with(b"CONTINUE"));
        }
        Effect::Exec => return matches!(kind, Kind::Array | Kind::Null),
        Effect::Reset => return simple(b"RESET"),
        _ => {}
    }
    if simple(b"QUEUED") {
        // Not before MULTI, nor where a transaction is left.
        return !matches!(name, b"MULTI" | b"DISCARD");
    }
    match name {
        // With an argument it is sent back, and a subscriber gets an array.
        b"PING" => {
            return simple(b"PONG") || kind == Kind::Bulk || kind == Kind::Array && reply.items() == Some(2);
        }
        b"SET" => return matches!(kind, Kind::Simple | Kind::Bulk | Kind::Null),
        _ => {}
    }
    if simple(b"PONG") || simple(b"RESET") {
        return false;
    }
    let Ok(i) = TYPES.binary_search_by(|(n, _)| n.as_bytes().cmp(name)) else { return true };
    let nothing = kind == Kind::Null;
    TYPES.get(i).is_none_or(|(_, expected)| match expected {
        Type::Status => kind == Kind::Simple,
        Type::Int => kind == Kind::Int,
        Type::Text => nothing || matches!(kind, Kind::Bulk | Kind::Verbatim),
        Type::Many => matches!(kind, Kind::Array | Kind::Map | Kind::Set),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::reply::Secrecy;
    use crate::redis::resp::Token;

    fn line(kind: Kind, text: &[u8]) -> Reply {
        let mut reply = Reply::new();
        reply.begin(100, Secrecy::No);
        reply.token(Token::Line(kind, text));
        reply
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn types_tell() {
        let may = |name: &[u8], reply: &Reply| may_answer(name, Effect::Plain, reply);
        let (ok, null, int) = (line(Kind::Simple, b"OK"), line(Kind::Null, b""), line(Kind::Int, b"1"));
        assert!(may(b"SET", &ok) && may(b"SET", &null) && !may(b"SET", &int));
        assert!(!may(b"GET", &ok) && may(b"GET", &null) && !may(b"SMEMBERS", &null));
        assert!(may(b"INCR", &int) && may(b"INCR", &line(Kind::Simple, b"QUEUED")));
        assert!(may(b"INCR", &line(Kind::Error, b"ERR x")) && !may(b"INCR", &ok));
        assert!(may(b"PING", &line(Kind::Simple, b"PONG")) && !may(b"PING", &ok));
        assert!(!may(b"OF.A.MODULE", &line(Kind::Simple, b"PONG")) && may(b"OF.A.MODULE", &ok));
        assert!(!may_answer(b"EXEC", Effect::Exec, &ok) && may_answer(b"EXEC", Effect::Exec, &null));
        assert!(!may_answer(b"PSYNC", Effect::Psync, &ok));
        assert!(may_answer(b"PSYNC", Effect::Psync, &line(Kind::Simple, b"CONTINUE abc")));
    }
}
