//! Lines of the text protocol (memcached, `doc/protocol.txt`).

/// Bytes of the longest line that is read, its end included. Servers refuse lines of 2 KiB that are
/// no `get`.
pub(super) const MAX_LINE: usize = 64 << 10;

/// Bytes of the longest key.
pub(super) const MAX_KEY: usize = 250;

/// Bytes of the largest value that is believed (`-I` goes up to 1 GiB).
pub(super) const MAX_VALUE: u64 = 1 << 30;

/// What a command does, as far as its answer goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// `get` and what is like it: values, then END.
    Retrieve,
    /// `set` and what is like it, with a value behind the line.
    Store,
    Delete,
    Arithmetic,
    Touch,
    Stats,
    MetaGet,
    /// With a value behind the line.
    MetaSet,
    MetaDelete,
    MetaArithmetic,
    MetaNoop,
    MetaDebug,
    /// Not answered.
    Quit,
    /// Answered by OK and then by lines without end.
    Watch,
    /// Anything may answer it.
    #[default]
    Other,
}

/// Every command, what it does, and whether no other protocol has a word like it.
static COMMANDS: &[(&[u8], Kind, bool)] = &[
    (b"add", Kind::Store, false),
    (b"append", Kind::Store, false),
    (b"cache_memlimit", Kind::Other, true),
    (b"cas", Kind::Store, true),
    (b"debugtime", Kind::Other, true),
    (b"decr", Kind::Arithmetic, false),
    (b"delete", Kind::Delete, false),
    (b"extstore", Kind::Other, true),
    (b"flush_all", Kind::Other, true),
    (b"gat", Kind::Retrieve, true),
    (b"gats", Kind::Retrieve, true),
    (b"get", Kind::Retrieve, false),
    (b"gets", Kind::Retrieve, true),
    (b"incr", Kind::Arithmetic, false),
    (b"lru", Kind::Other, true),
    (b"lru_crawler", Kind::Stats, true),
    (b"ma", Kind::MetaArithmetic, false),
    (b"md", Kind::MetaDelete, false),
    (b"me", Kind::MetaDebug, false),
    (b"mg", Kind::MetaGet, false),
    (b"misbehave", Kind::Other, false),
    (b"mn", Kind::MetaNoop, false),
    (b"ms", Kind::MetaSet, false),
    (b"prepend", Kind::Store, false),
    (b"quit", Kind::Quit, false),
    (b"refresh_certs", Kind::Other, true),
    (b"replace", Kind::Store, false),
    (b"set", Kind::Store, false),
    (b"shutdown", Kind::Quit, false),
    (b"slabs", Kind::Other, true),
    (b"stats", Kind::Stats, false),
    (b"touch", Kind::Touch, false),
    (b"verbosity", Kind::Other, true),
    (b"version", Kind::Other, false),
    (b"watch", Kind::Watch, false),
];

/// A command by its word.
pub(super) fn command(word: &[u8]) -> Option<(Kind, bool)> {
    COMMANDS.binary_search_by(|c| c.0.cmp(word)).ok().and_then(|i| COMMANDS.get(i)).map(|c| (c.1, c.2))
}

/// Where the first line of `bytes` ends and the next begins. `Err(true)`: more bytes will tell;
/// `scanned` of them hold no end.
pub(super) fn end(bytes: &[u8], scanned: usize) -> Result<(&[u8], usize), bool> {
    let from = scanned.min(bytes.len());
    match memchr::memchr(b'\n', bytes.get(from..).unwrap_or_default()) {
        Some(i) if from + i < MAX_LINE => {
            let line = bytes.get(..from + i).unwrap_or_default();
            Ok((line.strip_suffix(b"\r").unwrap_or(line), from + i + 1))
        }
        None if bytes.len() < MAX_LINE => Err(true),
        _ => Err(false),
    }
}

/// The words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    line.split(|&b| b == b' ').filter(|w| !w.is_empty())
}

/// A decimal number.
pub(super) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 20 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    word.iter().try_fold(0_u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')))
}

/// A decimal number that may be negative.
pub(super) fn signed(word: &[u8]) -> Option<i64> {
    match word.strip_prefix(b"-") {
        Some(digits) => i64::try_from(number(digits)?).ok().map(|n| -n),
        // Numbers of 64 bits without a sign are shown as far as they fit.
        None => number(word).map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
    }
}

/// True for what may be a key.
pub(super) fn is_key(word: &[u8]) -> bool {
    (1..=MAX_KEY).contains(&word.len()) && word.iter().all(|&b| b > b' ' && b != 0x7f)
}

/// What a request line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) kind: Kind,
    pub(super) word: &'a [u8],
    /// Bytes of the value behind the line.
    pub(super) value: Option<u64>,
    pub(super) flags: Option<i64>,
    pub(super) expiration: Option<i64>,
    pub(super) cas: Option<i64>,
    pub(super) delta: Option<i64>,
    /// Never answered.
    pub(super) noreply: bool,
    /// Answered at times only.
    pub(super) quiet: bool,
    /// The opaque token of a meta command.
    pub(super) opaque: &'a [u8],
}

/// Reads a request line and hands out its keys. `None`: it is none.
pub(super) fn request<'a>(line: &'a [u8], mut key: impl FnMut(&'a [u8])) -> Option<Line<'a>> {
    let mut words = words(line);
    let word = words.next()?;
    let (kind, _) = command(word)?;
    let mut l = Line { kind, word, ..Line::default() };
    match kind {
        Kind::Retrieve => {
            if word.starts_with(b"gat") {
                l.expiration = signed(words.next()?);
                l.expiration?;
            }
            let mut any = false;
            for word in words.clone() {
                any = true;
                key(is_key(word).then_some(word)?);
            }
            return any.then_some(l);
        }
        Kind::Store => {
            key(words.next().filter(|k| is_key(k))?);
            l.flags = Some(signed(words.next()?)?);
            l.expiration = Some(signed(words.next()?)?);
            l.value = Some(number(words.next()?).filter(|&n| n <= MAX_VALUE)?);
            if word == b"cas" {
                l.cas = Some(signed(words.next()?)?);
            }
        }
        Kind::Delete => key(words.next().filter(|k| is_key(k))?),
        Kind::Arithmetic => {
            key(words.next().filter(|k| is_key(k))?);
            l.delta = Some(signed(words.next()?)?);
        }
        Kind::Touch => {
            key(words.next().filter(|k| is_key(k))?);
            l.expiration = Some(signed(words.next()?)?);
        }
        Kind::MetaGet | Kind::MetaSet | Kind::MetaDelete | Kind::MetaArithmetic | Kind::MetaDebug => {
            key(words.next().filter(|k| is_key(k))?);
            if kind == Kind::MetaSet {
                // Before 1.6.10 the length had an S in front.
                let length = words.next()?;
                let length = length.strip_prefix(b"S").unwrap_or(length);
                l.value = Some(number(length).filter(|&n| n <= MAX_VALUE)?);
            }
            words.clone().for_each(|flag| meta_flag(&mut l, flag));
            return Some(l);
        }
        Kind::MetaNoop => return words.next().is_none().then_some(l),
        Kind::Quit => {
            l.noreply = true;
            return Some(l);
        }
        Kind::Stats | Kind::Watch | Kind::Other => {}
    }
    l.noreply = words.last() == Some(b"noreply");
    Some(l)
}

fn meta_flag<'a>(l: &mut Line<'a>, flag: &'a [u8]) {
    let Some((name, value)) = flag.split_first() else { return };
    match name {
        b'q' => l.quiet = true,
        b'O' => l.opaque = value,
        b'T' => l.expiration = signed(value),
        b'F' => l.flags = signed(value),
        b'C' => l.cas = signed(value),
        b'D' => l.delta = signed(value),
        _ => {}
    }
}

/// Single words with which a server answers.
static ANSWERS: &[&[u8]] = &[
    b"BUSY",
    b"BADCLASS",
    b"DELETED",
    b"EN",
    b"END",
    b"EX",
    b"EXISTS",
    b"HD",
    b"ME",
    b"MN",
    b"NF",
    b"NOSPARE",
    b"NOTFULL",
    b"NOT_FOUND",
    b"NOT_STORED",
    b"NS",
    b"OK",
    b"RESET",
    b"SAME",
    b"STORED",
    b"TOUCHED",
    b"UNSAFE",
    b"VERSION",
];

/// What a line of a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    /// A value follows: key, flags, bytes, cas.
    Value(&'a [u8], u64, u64, Option<u64>),
    /// A meta value follows, of so many bytes.
    MetaValue(u64),
    /// One of several lines: name and value.
    Item(&'a [u8], &'a [u8]),
    /// The last of several lines.
    End,
    /// The whole answer: its first word.
    Word(&'a [u8]),
    /// The whole answer of `incr` and `decr`.
    Number(u64),
    /// ERROR, CLIENT_ERROR or SERVER_ERROR; true where the client is blamed.
    Error(bool),
}

/// Reads a line of a server.
pub(super) fn reply(line: &[u8]) -> Option<Reply<'_>> {
    let mut rest = words(line);
    let first = rest.next()?;
    Some(match first {
        b"VALUE" => {
            let key = rest.next().filter(|k| is_key(k))?;
            let flags = number(rest.next()?)?;
            let len = number(rest.next()?).filter(|&n| n <= MAX_VALUE)?;
            let cas = match rest.next() {
                Some(cas) => Some(number(cas)?),
                None => None,
            };
            Reply::Value(key, flags, len, cas)
        }
        b"VA" => Reply::MetaValue(number(rest.next()?).filter(|&n| n <= MAX_VALUE)?),
        b"STAT" | b"ITEM" | b"PREFIX" => {
            let name = rest.next()?;
            let at = first.len() + 1 + name.len();
            Reply::Item(name, line.get(at + 1..).unwrap_or_default())
        }
        b"mg" => Reply::Item(rest.next()?, b""),
        _ if first.starts_with(b"key=") => {
            Reply::Item(first.get(4..)?, line.get(first.len() + 1..).unwrap_or_default())
        }
        b"END" => Reply::End,
        b"ERROR" | b"CLIENT_ERROR" => Reply::Error(true),
        b"SERVER_ERROR" => Reply::Error(false),
        _ if ANSWERS.contains(&first) => Reply::Word(first),
        // `decr` fills up with spaces.
        _ => Reply::Number(number(line.trim_ascii_end())?),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_sorted() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn requests() {
        let mut keys = Vec::new();
        let l = request(b"gat 30 a b", |k| keys.push(k)).unwrap();
        assert_eq!((l.expiration, keys), (Some(30), vec![&b"a"[..], b"b"]));
        let l = request(b"cas k 1 -1 5 77 noreply", |_| {}).unwrap();
        assert_eq!(
            (l.flags, l.expiration, l.value, l.cas, l.noreply),
            (Some(1), Some(-1), Some(5), Some(77), true)
        );
        let l = request(b"ms k 5 T30 F7 q O12", |_| {}).unwrap();
        assert_eq!(
            (l.value, l.expiration, l.flags, l.quiet, l.opaque),
            (Some(5), Some(30), Some(7), true, &b"12"[..])
        );
        for bad in [&b"get"[..], b"set k 0 0", b"set k a 0 1", b"hello", b"", b"incr k x", b"mn x"] {
            assert_eq!(request(bad, |_| {}), None, "{bad:?}");
        }
    }

    #[test]
    fn replies() {
        assert_eq!(reply(b"VALUE k 1 2 3"), Some(Reply::Value(b"k", 1, 2, Some(3))));
        assert_eq!(reply(b"STAT pid 1 x"), Some(Reply::Item(b"pid", b"1 x")));
        assert_eq!(reply(b"12  "), Some(Reply::Number(12)));
        assert_eq!(reply(b"key=a exp=-1"), Some(Reply::Item(b"a", b"exp=-1")));
        assert_eq!((reply(b"VALUE k"), reply(b"hello")), (None, None));
    }
}
