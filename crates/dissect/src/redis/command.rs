//! What is known of commands: their names, which have subcommands, where the first key is, and
//! which arguments are secrets.
//!
//! From the command documentation of Redis 7 and 8 and of Valkey 9 (`COMMAND`, key specifications).

use super::resp;

/// Where the first key, or the channel, stands. Argument 0 is the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// There is none.
    No,
    /// At this argument.
    At(usize),
    /// Behind a count of keys, which stands at this argument and may be 0.
    AfterCount(usize),
    /// Behind the word `STREAMS`.
    AfterStreams,
    /// At argument 3, or behind the word `KEYS` when that is empty (MIGRATE).
    Migrate,
    /// The command has subcommands, and these have the key at argument 2.
    Sub(&'static [&'static str]),
}

use Keys::{AfterCount, AfterStreams, At, Migrate, No, Sub};

/// Commands with the key at argument 1, in order.
#[rustfmt::skip]
static FIRST: &[&str] = &[
    "APPEND", "BITCOUNT", "BITFIELD", "BITFIELD_RO", "BITPOS", "BLMOVE", "BLPOP", "BRPOP", "BRPOPLPUSH",
    "BZPOPMAX", "BZPOPMIN", "COPY", "DECR", "DECRBY", "DEL", "DELEX", "DELIFEQ", "DIGEST", "DUMP", "EXISTS",
    "EXPIRE", "EXPIREAT", "EXPIRETIME", "GEOADD", "GEODIST", "GEOHASH", "GEOPOS", "GEORADIUS",
    "GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO", "GEORADIUS_RO", "GEOSEARCH", "GEOSEARCHSTORE", "GET",
    "GETBIT", "GETDEL", "GETEX", "GETRANGE", "GETSET", "HDEL", "HEXISTS", "HEXPIRE", "HEXPIREAT",
    "HEXPIRETIME", "HGET", "HGETALL", "HGETDEL", "HGETEX", "HINCRBY", "HINCRBYFLOAT", "HKEYS", "HLEN",
    "HMGET", "HMSET", "HPERSIST", "HPEXPIRE", "HPEXPIREAT", "HPEXPIRETIME", "HPTTL", "HRANDFIELD", "HSCAN",
    "HSET", "HSETEX", "HSETNX", "HSTRLEN", "HTTL", "HVALS", "INCR", "INCRBY", "INCRBYFLOAT", "LCS", "LINDEX",
    "LINSERT", "LLEN", "LMOVE", "LPOP", "LPOS", "LPUSH", "LPUSHX", "LRANGE", "LREM", "LSET", "LTRIM", "MGET",
    "MOVE", "MSET", "MSETNX", "PERSIST", "PEXPIRE", "PEXPIREAT", "PEXPIRETIME", "PFADD", "PFCOUNT", "PFMERGE",
    "PSETEX", "PSUBSCRIBE", "PTTL", "PUBLISH", "PUNSUBSCRIBE", "RENAME", "RENAMENX", "RESTORE",
    "RESTORE-ASKING", "RPOP", "RPOPLPUSH", "RPUSH", "RPUSHX", "SADD", "SCARD", "SDIFF", "SDIFFSTORE", "SET",
    "SETBIT", "SETEX", "SETNX", "SETRANGE", "SINTER", "SINTERSTORE", "SISMEMBER", "SMEMBERS", "SMISMEMBER",
    "SMOVE", "SORT", "SORT_RO", "SPOP", "SPUBLISH", "SRANDMEMBER", "SREM", "SSCAN", "SSUBSCRIBE", "STRLEN",
    "SUBSCRIBE", "SUBSTR", "SUNION", "SUNIONSTORE", "SUNSUBSCRIBE", "TOUCH", "TTL", "TYPE", "UNLINK",
    "UNSUBSCRIBE", "VADD", "VCARD", "VDIM", "VEMB", "VGETATTR", "VINFO", "VISMEMBER", "VLINKS", "VRANDMEMBER",
    "VRANGE", "VREM", "VSETATTR", "VSIM", "WATCH", "XACK", "XACKDEL", "XADD", "XAUTOCLAIM", "XCFGSET",
    "XCLAIM", "XDEL", "XDELEX", "XLEN", "XPENDING", "XRANGE", "XREVRANGE", "XSETID", "XTRIM", "ZADD", "ZCARD",
    "ZCOUNT", "ZDIFFSTORE", "ZINCRBY", "ZINTERSTORE", "ZLEXCOUNT", "ZMSCORE", "ZPOPMAX", "ZPOPMIN",
    "ZRANDMEMBER", "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZRANGESTORE", "ZRANK", "ZREM", "ZREMRANGEBYLEX",
    "ZREMRANGEBYRANK", "ZREMRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYLEX", "ZREVRANGEBYSCORE", "ZREVRANK",
    "ZSCAN", "ZSCORE", "ZUNIONSTORE",
];

/// The other commands, in order.
#[rustfmt::skip]
static OTHER: &[(&str, Keys)] = &[
    ("ACL", Sub(&[])), ("ASKING", No), ("AUTH", No), ("BGREWRITEAOF", No), ("BGSAVE", No), ("BITOP", At(2)),
    ("BLMPOP", AfterCount(2)), ("BZMPOP", AfterCount(2)), ("CLIENT", Sub(&[])), ("CLUSTER", Sub(&[])),
    ("CLUSTERSCAN", No), ("COMMAND", Sub(&[])), ("COMMANDLOG", Sub(&[])), ("CONFIG", Sub(&[])),
    ("DBSIZE", No), ("DEBUG", Sub(&["LISTPACK", "OBJECT", "QUICKLIST", "SDSLEN"])), ("DISCARD", No),
    ("ECHO", No), ("EVAL", AfterCount(2)), ("EVALSHA", AfterCount(2)), ("EVALSHA_RO", AfterCount(2)),
    ("EVAL_RO", AfterCount(2)), ("EXEC", No), ("FAILOVER", No), ("FCALL", AfterCount(2)),
    ("FCALL_RO", AfterCount(2)), ("FLUSHALL", No), ("FLUSHDB", No), ("FUNCTION", Sub(&[])), ("HELLO", No),
    ("HOTKEYS", Sub(&[])), ("INFO", No), ("KEYS", No), ("LASTSAVE", No), ("LATENCY", Sub(&[])),
    ("LMPOP", AfterCount(1)), ("LOLWUT", No), ("MEMORY", Sub(&["USAGE"])), ("MIGRATE", Migrate),
    ("MODULE", Sub(&[])), ("MONITOR", No), ("MSETEX", AfterCount(1)), ("MULTI", No),
    ("OBJECT", Sub(&["ENCODING", "FREQ", "IDLETIME", "REFCOUNT"])), ("PFDEBUG", At(2)), ("PFSELFTEST", No),
    ("PING", No), ("PSYNC", No), ("PUBSUB", Sub(&["NUMSUB", "SHARDNUMSUB"])), ("QUIT", No), ("RANDOMKEY", No),
    ("READONLY", No), ("READWRITE", No), ("REPLCONF", No), ("REPLICAOF", No), ("RESET", No), ("ROLE", No),
    ("SAVE", No), ("SCAN", No), ("SCRIPT", Sub(&[])), ("SELECT", No), ("SENTINEL", Sub(&[])),
    ("SHUTDOWN", No), ("SINTERCARD", AfterCount(1)), ("SLAVEOF", No), ("SLOWLOG", Sub(&[])), ("SWAPDB", No),
    ("SYNC", No), ("TIME", No), ("UNWATCH", No), ("WAIT", No), ("WAITAOF", No),
    ("XGROUP", Sub(&["CREATE", "CREATECONSUMER", "DELCONSUMER", "DESTROY", "SETID"])),
    ("XINFO", Sub(&["CONSUMERS", "GROUPS", "STREAM"])), ("XREAD", AfterStreams), ("XREADGROUP", AfterStreams),
    ("ZDIFF", AfterCount(1)), ("ZINTER", AfterCount(1)), ("ZINTERCARD", AfterCount(1)),
    ("ZMPOP", AfterCount(1)), ("ZUNION", AfterCount(1)),
];

/// Bytes of the longest name.
const LONGEST: usize = 20;

/// The command of that name, whatever its case: its name in upper case and where its key is.
pub(super) fn find(name: &[u8]) -> Option<(&'static str, Keys)> {
    let mut upper = [0; LONGEST];
    let upper = upper.get_mut(..name.len())?;
    upper.copy_from_slice(name);
    upper.make_ascii_uppercase();
    if let Ok(i) = FIRST.binary_search_by(|n| n.as_bytes().cmp(upper)) {
        return FIRST.get(i).map(|n| (*n, At(1)));
    }
    let i = OTHER.binary_search_by(|(n, _)| n.as_bytes().cmp(upper)).ok()?;
    OTHER.get(i).copied()
}

/// True when bytes may name a command: those of modules have a dot, and servers rename commands.
pub(super) fn is_name(bytes: &[u8]) -> bool {
    (1..=64).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
}

/// Arguments of a command, as far as they were kept.
pub(super) trait Arguments {
    /// The argument at `i`, or the beginning of it.
    fn get(&self, i: usize) -> Option<&[u8]>;
}

/// True when the argument is that word, whatever its case.
pub(super) fn is(arg: Option<&[u8]>, word: &str) -> bool {
    arg.is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()))
}

/// The argument that is the first key.
pub(super) fn first_key(keys: Keys, args: &impl Arguments) -> Option<usize> {
    let after = |word: &str, from: usize| {
        (from..).take_while(|i| args.get(*i).is_some()).find(|i| is(args.get(*i), word)).map(|i| i + 1)
    };
    let at = match keys {
        No => return None,
        At(i) => i,
        AfterCount(i) => {
            let count = resp::number(args.get(i)?)?;
            (count > 0).then_some(i + 1)?
        }
        AfterStreams => after("STREAMS", 1)?,
        Migrate if args.get(3).is_some_and(<[u8]>::is_empty) => after("KEYS", 6)?,
        Migrate => 3,
        Sub(subs) => subs.iter().any(|name| is(args.get(1), name)).then_some(2)?,
    };
    args.get(at).map(|_| at)
}

/// What of an argument must not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    /// Nothing.
    No,
    /// All of it.
    Whole,
    /// All but its first byte, which says what it is (`>password` of ACL SETUSER).
    Tail,
}

/// Settings whose values are secrets.
const SECRET_SETTINGS: [&str; 4] =
    ["requirepass", "masterauth", "tls-key-file-pass", "tls-client-key-file-pass"];

/// True for the name of a setting whose value is a secret.
pub(super) fn is_secret_setting(name: &[u8]) -> bool {
    SECRET_SETTINGS.iter().any(|s| name.eq_ignore_ascii_case(s.as_bytes()))
}

/// Whether the argument at `i` of a command (`name` in upper case, `count` arguments) is a secret.
pub(super) fn secret(name: &[u8], i: usize, count: u64, args: &impl Arguments) -> Secret {
    let back = |n: usize| i.checked_sub(n).filter(|j| *j > 0).and_then(|j| args.get(j));
    let whole = match name {
        // `AUTH password` or `AUTH user password`.
        b"AUTH" => i >= 2 || i == 1 && count <= 2,
        b"HELLO" => is(back(2), "AUTH"),
        b"MIGRATE" => is(back(1), "AUTH") || is(back(2), "AUTH2"),
        b"CONFIG" => i >= 3 && i % 2 == 1 && is(args.get(1), "SET") && back(1).is_some_and(is_secret_setting),
        b"SENTINEL" => is(back(1), "auth-pass") || is(back(1), "sentinel-pass"),
        b"ACL" => {
            let rule = args.get(i).and_then(<[u8]>::first);
            let password = i >= 3 && is(args.get(1), "SETUSER") && rule.is_some_and(|b| b"><#!".contains(b));
            return if password { Secret::Tail } else { Secret::No };
        }
        _ => false,
    };
    if whole { Secret::Whole } else { Secret::No }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    impl Arguments for Vec<&str> {
        fn get(&self, i: usize) -> Option<&[u8]> {
            <[&str]>::get(self, i).map(|a| a.as_bytes())
        }
    }

    fn key(line: &str) -> Option<String> {
        let args: Vec<&str> = line.split(' ').map(|a| if a == "''" { "" } else { a }).collect();
        let i = first_key(find(args[0].as_bytes()).unwrap().1, &args)?;
        Some(args[i].to_string())
    }

    #[test]
    fn the_tables_are_in_order() {
        let names: Vec<&str> = OTHER.iter().map(|c| c.0).collect();
        for table in [FIRST, &names] {
            for pair in table.windows(2) {
                assert!(pair[0] < pair[1], "{pair:?}");
            }
            for name in table {
                assert!(is_name(name.as_bytes()) && name.bytes().all(|b| !b.is_ascii_lowercase()));
                assert_eq!(find(name.to_ascii_lowercase().as_bytes()).unwrap().0, *name);
            }
        }
        assert_eq!(FIRST.iter().map(|n| n.len()).max(), Some(LONGEST));
        assert_eq!(find(b"NOPE"), None);
        assert_eq!(find(&[b'A'; 100]), None);
    }

    #[test]
    fn first_keys() {
        for (line, expected) in [
            ("get a", Some("a")),
            ("PING", None),
            ("GET", None),
            ("EVAL script 2 k1 k2 v", Some("k1")),
            ("EVAL script 0 v", None),
            ("FCALL f x k", None),
            ("XREAD COUNT 2 STREAMS s1 s2 0 0", Some("s1")),
            ("XREADGROUP GROUP g c streams s >", Some("s")),
            ("XREAD COUNT 2", None),
            ("BITOP AND dest a b", Some("dest")),
            ("OBJECT ENCODING k", Some("k")),
            ("OBJECT HELP", None),
            ("MEMORY USAGE k", Some("k")),
            ("MEMORY DOCTOR", None),
            ("ZUNIONSTORE dest 2 a b", Some("dest")),
            ("ZUNION 2 a b", Some("a")),
            ("BLMPOP 0 1 k LEFT", Some("k")),
            ("LMPOP 1 k LEFT", Some("k")),
            ("XGROUP CREATE s g $", Some("s")),
            ("XINFO STREAM s", Some("s")),
            ("MIGRATE h 1 k 0 100", Some("k")),
            ("MIGRATE h 1 '' 0 100 KEYS a b", Some("a")),
            ("PUBLISH ch m", Some("ch")),
            ("CONFIG GET *", None),
        ] {
            assert_eq!(key(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn secrets() {
        for (line, shown) in [
            ("AUTH p", "AUTH *"),
            ("AUTH u p", "AUTH u *"),
            ("AUTH u p x", "AUTH u * *"),
            ("HELLO 3 AUTH u p SETNAME n", "HELLO 3 AUTH u * SETNAME n"),
            ("CONFIG SET maxmemory 1 requirepass p", "CONFIG SET maxmemory 1 requirepass *"),
            ("CONFIG SET MasterAuth p", "CONFIG SET MasterAuth *"),
            ("CONFIG GET requirepass masterauth", "CONFIG GET requirepass masterauth"),
            ("ACL SETUSER u on >p #h ~* +@all", "ACL SETUSER u on > # ~* +@all"),
            ("ACL DELUSER >u", "ACL DELUSER >u"),
            ("MIGRATE h 1 k 0 1 AUTH p", "MIGRATE h 1 k 0 1 AUTH *"),
            ("MIGRATE h 1 k 0 1 AUTH2 u p KEYS", "MIGRATE h 1 k 0 1 AUTH2 u * KEYS"),
            ("SENTINEL SET m auth-pass p", "SENTINEL SET m auth-pass *"),
            ("SET AUTH v", "SET AUTH v"),
        ] {
            let args: Vec<&str> = line.split(' ').collect();
            let name = find(args[0].as_bytes()).unwrap().0.as_bytes();
            let got: Vec<&str> = (0..args.len())
                .map(|i| match secret(name, i, args.len() as u64, &args) {
                    Secret::No => args[i],
                    Secret::Whole => "*",
                    Secret::Tail => &args[i][..1],
                })
                .collect();
            assert_eq!(got.join(" "), shown);
        }
    }
}
