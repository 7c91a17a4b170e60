//! A request with its answer, and the call they make.

use remora_model::{Call, Incomplete, Protocol, ValueRef, field};

use super::answer::{Answer, keep};
use super::binary;
use super::line::Kind;
use crate::fields::Fields;
use crate::seen::Seen;
use crate::sql::pairing;
use crate::{Context, Problem};

/// Bytes of a name and a password, with the space between them: servers take 256 of each.
const MAX_CREDENTIALS: i64 = 513;

/// Keys shown of one command.
const MAX_KEYS: usize = 64;

/// A request. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) binary: bool,
    pub(super) kind: Kind,
    pub(super) command: Vec<u8>,
    /// The line of the text protocol.
    pub(super) line: Vec<u8>,
    keys: Vec<u8>,
    ends: Vec<usize>,
    key_count: i64,
    pub(super) flags: Option<i64>,
    pub(super) expiration: Option<i64>,
    pub(super) cas: Option<i64>,
    pub(super) delta: Option<i64>,
    pub(super) value: Vec<u8>,
    pub(super) size: Option<i64>,
    pub(super) noreply: bool,
    /// It may go unanswered.
    pub(super) quiet: bool,
    pub(super) retrieves: bool,
    pub(super) opcode: u8,
    pub(super) opaque: u32,
    pub(super) token: Vec<u8>,
    pub(super) secret: bool,
    /// The value may be a name and a password.
    pub(super) doubtful: bool,
    pub(super) cut: u64,
    pub(super) incomplete: Option<Incomplete>,
}

impl Asked {
    fn clear(&mut self) {
        for text in [&mut self.command, &mut self.line, &mut self.keys, &mut self.value, &mut self.token] {
            crate::sql::reuse(text);
        }
        self.ends.clear();
        (self.binary, self.kind, self.key_count) = (false, Kind::Other, 0);
        (self.flags, self.expiration, self.cas, self.delta, self.size) = (None, None, None, None, None);
        (self.noreply, self.quiet, self.retrieves, self.secret) = (false, false, false, false);
        (self.opcode, self.opaque, self.cut, self.incomplete) = (0, 0, 0, None);
        self.doubtful = false;
    }

    pub(super) fn key(&mut self, key: &[u8]) {
        self.key_count += 1;
        if self.ends.len() < MAX_KEYS {
            self.keys.extend_from_slice(key);
            self.ends.push(self.keys.len());
        }
    }

    /// True when the value that is stored looks like a name and a password, with which a client
    /// authenticates itself in the text protocol (memcached `-Y`, `doc/protocol.txt`).
    pub(super) fn may_authenticate(&self) -> bool {
        let printable = self.value.iter().all(|b| *b >= b' ' && *b != 0x7f);
        self.kind == Kind::Store
            && self.size.is_some_and(|n| n <= MAX_CREDENTIALS)
            && printable
            && memchr::memchr(b' ', &self.value).is_some_and(|at| at > 0)
    }

    pub(super) fn first_key(&self) -> Option<&[u8]> {
        self.ends.first().and_then(|&end| self.keys.get(..end))
    }

    fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, &to)| self.keys.get(from..to).unwrap_or_default())
    }

    /// True when that may be the answer.
    pub(super) fn expects(&self, answer: &Answer, binary: bool) -> bool {
        if self.binary != binary {
            return false;
        }
        if binary {
            return self.opcode == answer.opcode && self.opaque == answer.opaque;
        }
        if answer.failed {
            return true;
        }
        let status = answer.status.as_slice();
        let fits = match self.kind {
            Kind::Retrieve => matches!(status, b"VALUE" | b"END"),
            Kind::Store => matches!(status, b"STORED" | b"NOT_STORED" | b"EXISTS" | b"NOT_FOUND"),
            Kind::Delete => matches!(status, b"DELETED" | b"NOT_FOUND"),
            Kind::Arithmetic => matches!(status, b"NUMBER" | b"NOT_FOUND"),
            Kind::Touch => matches!(status, b"TOUCHED" | b"NOT_FOUND"),
            Kind::MetaGet => matches!(status, b"VA" | b"HD" | b"EN" | b"NF" | b"END"),
            Kind::MetaSet | Kind::MetaDelete => matches!(status, b"HD" | b"NS" | b"EX" | b"NF"),
            Kind::MetaArithmetic => matches!(status, b"VA" | b"HD" | b"NS" | b"EX" | b"NF"),
            Kind::MetaNoop => status == b"MN",
            Kind::MetaDebug => matches!(status, b"ME" | b"EN"),
            Kind::Stats | Kind::Quit | Kind::Watch | Kind::Other => true,
        };
        let same = |ours: &[u8], theirs: &[u8]| theirs.is_empty() || ours == theirs;
        fits && same(&self.token, &answer.token)
            && (answer.key.is_empty() || self.first_key() == Some(answer.key.as_slice()))
    }

    fn memory(&self) -> usize {
        let texts = [&self.command, &self.line, &self.keys, &self.value, &self.token];
        texts.iter().map(|t| t.capacity()).sum::<usize>() + self.ends.capacity() * size_of::<usize>()
    }
}

/// A request with its answer.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    pub(super) asked: Asked,
    pub(super) request: Option<Seen>,
    pub(super) answer: Answer,
    pub(super) answered: Option<Seen>,
    /// A quiet request that has turned out not to be answered.
    pub(super) passed_over: bool,
    pub(super) incomplete: Option<Incomplete>,
}

impl pairing::Exchange for Exchange {
    type Session = ();

    fn clear(&mut self) {
        self.asked.clear();
        self.answer.begin(0);
        (self.request, self.answered, self.passed_over, self.incomplete) = (None, None, false, None);
    }

    fn forget_answer(&mut self) {
        (self.answered, self.passed_over) = (None, false);
    }

    fn emit(&self, why: Option<Incomplete>, (): &(), cx: &mut Context<'_>) {
        let asked = self.request.map(|_| &self.asked);
        let answer = self.answered.map(|_| &self.answer);
        let cut = asked.map_or(0, |a| a.cut) + answer.map_or(0, |a| a.cut);
        if cut > 0 {
            cx.problem(Problem::PayloadLimit, cut);
        }
        let mut list = [&b""[..]; MAX_KEYS];
        let mut count = 0;
        for (slot, key) in list.iter_mut().zip(asked.into_iter().flat_map(Asked::keys)) {
            *slot = key;
            count += 1;
        }
        let keys = list.get(..count).unwrap_or_default();
        let text = |t: &[u8]| !t.is_empty();
        let mut fields = Fields::<20>::default();
        let binary = asked.map_or(answer.is_some_and(|a| a.binary), |a| a.binary);
        fields.add(field::MEMCACHED_PROTOCOL, ValueRef::str(if binary { "binary" } else { "text" }));
        if let Some(a) = asked {
            fields.text(field::MEMCACHED_COMMAND, Some(&a.command));
            fields.text(field::MEMCACHED_KEY, a.first_key());
            fields.list(field::MEMCACHED_KEYS, keys);
            fields.text(field::MEMCACHED_QUERY, Some(a.line.as_slice()).filter(|t| text(t)));
            fields.int(field::MEMCACHED_EXPIRATION, a.expiration);
            fields.int(field::MEMCACHED_DELTA, a.delta);
            fields.add(field::MEMCACHED_NOREPLY, ValueRef::Bool(a.noreply || a.quiet));
            let value: &[u8] = if a.secret { b"***" } else { &a.value };
            fields.text(field::MEMCACHED_REQUEST_BODY, a.size.filter(|_| !a.doubtful).map(|_| value));
        }
        let flags = answer.and_then(|a| a.flags).or(asked.and_then(|a| a.flags));
        fields.int(field::MEMCACHED_FLAGS, flags);
        fields.int(field::MEMCACHED_CAS, answer.and_then(|a| a.cas).or(asked.and_then(|a| a.cas)));
        fields.int(field::MEMCACHED_VALUE_SIZE, answer.and_then(|a| a.size).or(asked.and_then(|a| a.size)));
        let known = answer.filter(|a| !a.failed).map(|a| a.hits).or(self.passed_over.then_some(0));
        if let (Some(hits), Some(a)) = (known, asked.filter(|a| a.retrieves)) {
            fields.int(field::MEMCACHED_HITS, Some(hits));
            fields.int(field::MEMCACHED_MISSES, Some((a.key_count - hits).max(0)));
        }
        if let Some(a) = answer {
            fields.text(
                field::MEMCACHED_STATUS,
                Some(a.status.as_slice()).filter(|t| text(t) && *t != b"NUMBER"),
            );
            let line = Some(a.line.as_slice()).filter(|t| text(t));
            let line = if a.secret { line.map(|_| &b"***"[..]) } else { line };
            fields.text(field::MEMCACHED_REPLY, line.filter(|_| !a.failed));
            let error = line.or(Some(a.status.as_slice()));
            fields.text(field::MEMCACHED_ERROR, error.filter(|_| a.failed));
            fields.text(field::MEMCACHED_RESPONSE_BODY, a.body());
        }
        let why = if self.passed_over { None } else { why };
        cx.emit(&Call {
            failed: answer.is_some_and(|a| a.failed),
            client_error: answer.is_some_and(|a| a.client_error),
            incomplete: self.incomplete.or(why),
            fields: fields.as_slice(),
            ..cx.exchange(Protocol::Memcached, self.request, self.answered)
        });
    }

    fn memory(&self) -> usize {
        self.asked.memory() + self.answer.memory()
    }
}

impl Exchange {
    /// Fills in a line of the text protocol. False when it is none.
    pub(super) fn line(&mut self, line: &[u8]) -> bool {
        let asked = &mut self.asked;
        asked.clear();
        let Some(l) = super::line::request(line, |key| asked.key(key)) else { return false };
        keep(&mut asked.command, l.word);
        keep(&mut asked.line, line);
        keep(&mut asked.token, l.opaque);
        asked.kind = l.kind;
        (asked.flags, asked.expiration, asked.cas, asked.delta) = (l.flags, l.expiration, l.cas, l.delta);
        asked.size = l.value.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        (asked.noreply, asked.quiet) = (l.noreply, l.quiet);
        asked.retrieves = matches!(l.kind, Kind::Retrieve | Kind::MetaGet);
        true
    }

    /// Fills in a request of the binary protocol: what its header says, its extras, and its key.
    pub(super) fn binary(&mut self, h: &binary::Header, extras: &[u8], key: &[u8]) {
        let asked = &mut self.asked;
        asked.clear();
        asked.binary = true;
        (asked.opcode, asked.opaque) = (h.opcode, h.opaque);
        asked.secret = matches!(h.opcode, binary::op::SASL_AUTH | binary::op::SASL_STEP);
        if !key.is_empty() {
            asked.key(key);
        }
        let Some(operation) = binary::operation(h.opcode) else { return };
        keep(&mut asked.command, operation.name.as_bytes());
        (asked.quiet, asked.retrieves) = (operation.quiet, operation.retrieves);
        if h.value > 0 {
            asked.size = Some(i64::try_from(h.value).unwrap_or(i64::MAX));
        }
        if h.cas != 0 {
            asked.cas = i64::try_from(h.cas).ok();
        }
        let int =
            |at: usize| extras.get(at..at + 4)?.first_chunk::<4>().map(|b| u32::from_be_bytes(*b).into());
        match operation.extras {
            binary::Extras::Store => (asked.flags, asked.expiration) = (int(0), int(4)),
            binary::Extras::Arithmetic => {
                let delta = extras.first_chunk::<8>().map(|b| u64::from_be_bytes(*b));
                asked.delta = delta.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
                asked.expiration = int(16);
            }
            binary::Extras::Expiration | binary::Extras::Flush => asked.expiration = int(0),
            binary::Extras::Verbosity | binary::Extras::None => {}
        }
    }
}
