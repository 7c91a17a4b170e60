//! Commands as clients send them.

use super::{
    command::{self, Arguments, Keys, Secret, is},
    text,
};

/// Arguments of one command that are kept.
const MAX_ARGUMENTS: usize = 4_096;

/// Bytes of `redis_key`.
const MAX_KEY: usize = 64;

/// What a command does to the conversation, beyond being answered by one reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    #[default]
    Plain,
    /// One reply of that kind for each channel; as many as there are when it names none.
    Subscribe {
        word: &'static str,
        left: Option<u64>,
    },
    /// The server reports every command from now on.
    Monitor,
    /// Ends MONITOR and all subscriptions.
    Reset,
    /// A replica asks for the replication stream, and is told first how it begins.
    Psync,
    /// The same at once.
    Sync,
    /// A replica tells its master how far it has come.
    ReplicaAck,
    /// `CLIENT REPLY` ON, OFF and SKIP.
    ReplyOn,
    ReplyOff,
    ReplySkip,
    /// The reply has the names of settings in front of their values.
    ConfigGet,
    /// The reply has secrets.
    SecretReply,
    /// The reply has those of the transaction's commands.
    Exec,
}

#[derive(Clone, Copy, Debug)]
struct Argument {
    start: usize,
    len: usize,
}

/// A command that is being read.
#[derive(Debug, Default)]
pub(super) struct Request {
    raw: Vec<u8>,
    args: Vec<Argument>,
    /// Arguments begun, kept or not.
    count: u64,
    /// Bytes of all arguments.
    total: u64,
    budget: usize,
    keeping: bool,
    /// Bytes are missing from it.
    pub(super) hole: bool,
}

impl Arguments for Request {
    fn get(&self, i: usize) -> Option<&[u8]> {
        let arg = self.args.get(i)?;
        self.raw.get(arg.start..arg.start + arg.len)
    }
}

impl Request {
    /// A new command, of which `budget` bytes are kept.
    pub(super) fn begin(&mut self, budget: usize) {
        self.raw.clear();
        self.args.clear();
        self.count = 0;
        self.total = 0;
        self.budget = budget;
        self.keeping = false;
        self.hole = false;
    }

    /// An argument begins.
    pub(super) fn argument(&mut self) {
        self.count += 1;
        self.keeping = self.args.len() < MAX_ARGUMENTS && self.raw.len() < self.budget;
        if self.keeping {
            self.args.push(Argument { start: self.raw.len(), len: 0 });
        }
    }

    /// The next bytes of the argument.
    pub(super) fn piece(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        if let Some(arg) = self.args.last_mut().filter(|_| self.keeping) {
            let bytes = &bytes[..bytes.len().min(self.budget.saturating_sub(self.raw.len()))];
            self.raw.extend_from_slice(bytes);
            arg.len += bytes.len();
        }
    }

    /// `n` bytes of the argument pass unseen.
    pub(super) fn unseen(&mut self, n: u64) {
        self.total = self.total.saturating_add(n);
        self.keeping = false;
    }

    /// True while bytes of the argument are wanted.
    pub(super) fn wants(&self) -> bool {
        self.keeping && self.raw.len() < self.budget
    }

    /// Reads an inline command. False when its quotation marks do not match.
    pub(super) fn inline(&mut self, line: &[u8]) -> bool {
        text::split(line, |b| match b {
            None => self.argument(),
            Some(b) => self.piece(&[b]),
        })
    }

    /// True when there is no argument yet.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Argument bytes that were not kept.
    pub(super) fn cut(&self) -> u64 {
        self.total.saturating_sub(self.raw.len() as u64)
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.raw.capacity() + self.args.capacity() * size_of::<Argument>()
    }

    /// Writes it down as calls show it, and says what it does.
    pub(super) fn show(&self, out: &mut Shown) -> Effect {
        out.buf.clear();
        let name = self.get(0).unwrap_or_default();
        let known = command::find(name);
        match known {
            Some((name, _)) => out.buf.extend(name.as_bytes()),
            None => text::write_argument(text::cut(name, MAX_KEY), &mut out.buf),
        }
        out.buf.make_ascii_uppercase();
        let upper_end = out.buf.len();
        if let (Some((_, Keys::Sub(_))), Some(sub)) = (known, self.get(1))
            && command::is_name(sub)
        {
            out.buf.push(b' ');
            out.buf.extend(sub.iter().map(u8::to_ascii_uppercase));
        }
        out.kind_end = out.buf.len();
        // A module's command has its key first, as far as its name is any guide.
        let module = name.contains(&b'.') && command::is_name(name);
        let keys = known.map_or(if module { Keys::At(1) } else { Keys::No }, |k| k.1);
        let key = command::first_key(keys, self);
        out.has_key = key.is_some();
        if let Some(key) = key.and_then(|i| self.get(i)) {
            out.buf.extend(text::cut(key, MAX_KEY));
        }
        out.key_end = out.buf.len();
        for i in 0..self.args.len() {
            let arg = self.get(i).unwrap_or_default();
            if i > 0 {
                out.buf.push(b' ');
            }
            let upper = out.buf.get(..upper_end).unwrap_or_default();
            match command::secret(upper, i, self.count, self) {
                Secret::No => text::write_argument(arg, &mut out.buf),
                Secret::Whole => out.buf.extend(b"***"),
                Secret::Tail => {
                    out.buf.extend(arg.first());
                    out.buf.extend(b"***");
                }
            }
        }
        known.map_or(Effect::Plain, |(name, _)| self.effect(name))
    }

    fn effect(&self, name: &str) -> Effect {
        let channels = Some(self.count.saturating_sub(1)).filter(|n| *n > 0);
        let subscribe = |word| Effect::Subscribe { word, left: channels };
        let sub = |word| is(self.get(1), word);
        match name {
            "SUBSCRIBE" => subscribe("subscribe"),
            "PSUBSCRIBE" => subscribe("psubscribe"),
            "SSUBSCRIBE" => subscribe("ssubscribe"),
            "UNSUBSCRIBE" => subscribe("unsubscribe"),
            "PUNSUBSCRIBE" => subscribe("punsubscribe"),
            "SUNSUBSCRIBE" => subscribe("sunsubscribe"),
            "MONITOR" => Effect::Monitor,
            "RESET" => Effect::Reset,
            "PSYNC" => Effect::Psync,
            "SYNC" => Effect::Sync,
            "REPLCONF" if sub("ACK") => Effect::ReplicaAck,
            "EXEC" => Effect::Exec,
            "CONFIG" if sub("GET") => Effect::ConfigGet,
            // Passwords, or hashes of them that a dictionary opens.
            "ACL" if sub("GETUSER") || sub("LIST") || sub("GENPASS") => Effect::SecretReply,
            "CLIENT" if sub("REPLY") => match self.get(2) {
                mode if is(mode, "ON") => Effect::ReplyOn,
                mode if is(mode, "OFF") => Effect::ReplyOff,
                mode if is(mode, "SKIP") => Effect::ReplySkip,
                _ => Effect::Plain,
            },
            _ => Effect::Plain,
        }
    }
}

/// A command as calls show it: type, key and text in one buffer, which is used again.
#[derive(Debug, Default)]
pub(super) struct Shown {
    buf: Vec<u8>,
    kind_end: usize,
    key_end: usize,
    has_key: bool,
}

impl Shown {
    /// `redis_type`.
    pub(super) fn kind(&self) -> &[u8] {
        self.buf.get(..self.kind_end).unwrap_or_default()
    }

    /// `redis_key`.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.buf.get(self.kind_end..self.key_end).filter(|_| self.has_key)
    }

    /// `redis_command`.
    pub(super) fn command(&self) -> &[u8] {
        self.buf.get(self.key_end..).unwrap_or_default()
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.buf.capacity()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn show(args: &[&str], budget: usize) -> (String, Option<String>, String, Effect) {
        let mut r = Request::default();
        r.begin(budget);
        for arg in args {
            r.argument();
            r.piece(arg.as_bytes());
        }
        let mut shown = Shown::default();
        let effect = r.show(&mut shown);
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        (text(shown.kind()), shown.key().map(text), text(shown.command()), effect)
    }

    #[track_caller]
    fn is_shown(args: &[&str], kind: &str, key: Option<&str>, command: &str) -> Effect {
        let (k, key_shown, c, effect) = show(args, 1 << 16);
        assert_eq!((k.as_str(), key_shown.as_deref(), c.as_str()), (kind, key, command));
        effect
    }

    #[test]
    fn types_and_keys_and_text() {
        is_shown(&["get", "a"], "GET", Some("a"), "get a");
        is_shown(&["SET", "a b", ""], "SET", Some("a b"), r#"SET "a b" """#);
        is_shown(
            &["client", "setinfo", "LIB-NAME", "x"],
            "CLIENT SETINFO",
            None,
            "client setinfo LIB-NAME x",
        );
        is_shown(&["config", "get", "*"], "CONFIG GET", None, "config get *");
        is_shown(&["json.get", "doc", "$"], "JSON.GET", Some("doc"), "json.get doc $");
        is_shown(&["b840fc02", "x"], "B840FC02", None, "b840fc02 x");
        is_shown(&["\u{1}x"], "\"\\X01X\"", None, "\"\\x01x\"");
        is_shown(&["PING"], "PING", None, "PING");
        is_shown(
            &["GET", &"ü".repeat(50)],
            "GET",
            Some(&"ü".repeat(32)),
            &format!("GET \"{}\"", "\\xc3\\xbc".repeat(50)),
        );
    }

    #[test]
    fn secrets_are_not_written_down() {
        is_shown(&["AUTH", "hunter2"], "AUTH", None, "AUTH ***");
        is_shown(&["hello", "3", "auth", "u", "p"], "HELLO", None, "hello 3 auth u ***");
        is_shown(&["ACL", "SETUSER", "u", ">p w", "~*"], "ACL SETUSER", None, "ACL SETUSER u >*** ~*");
        is_shown(&["CONFIG", "set", "requirepass", "p"], "CONFIG SET", None, "CONFIG set requirepass ***");
    }

    #[test]
    fn effects() {
        let effect = |args: &[&str]| show(args, 100).3;
        assert_eq!(effect(&["subscribe", "a", "b"]), Effect::Subscribe { word: "subscribe", left: Some(2) });
        assert_eq!(effect(&["UNSUBSCRIBE"]), Effect::Subscribe { word: "unsubscribe", left: None });
        assert_eq!(effect(&["CLIENT", "REPLY", "off"]), Effect::ReplyOff);
        assert_eq!(effect(&["CLIENT", "LIST"]), Effect::Plain);
        assert_eq!(effect(&["PSYNC", "?", "-1"]), Effect::Psync);
        assert_eq!(effect(&["ACL", "LIST"]), Effect::SecretReply);
    }

    #[test]
    fn text_and_arguments_are_bounded() {
        let (_, key, command, _) = show(&["SET", "k", &"x".repeat(100), "EX", "5"], 10);
        assert_eq!((key.as_deref(), command.as_str()), (Some("k"), "SET k xxxxxx"));
        let many = vec!["a"; MAX_ARGUMENTS + 10];
        let mut r = Request::default();
        r.begin(1 << 20);
        for arg in many {
            r.argument();
            r.piece(arg.as_bytes());
        }
        assert_eq!((r.args.len(), r.cut()), (MAX_ARGUMENTS, 10));
    }
}
