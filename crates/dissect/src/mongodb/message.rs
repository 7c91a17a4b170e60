//! What a call keeps of a request or a reply.

use super::bson::Value;
use super::{extended, wire};
use crate::Limits;
use crate::json::Json;

/// Bytes kept of names and namespaces.
const MAX_NAME: usize = 256;

/// Bytes kept of an error's message.
pub(super) const MAX_ERROR: usize = 1 << 10;

/// Commands whose arguments hold secrets, and what these are called. Lower case.
const SECRET: [(&[u8], &[&[u8]]); 8] = [
    (b"saslstart", &[b"payload"]),
    (b"saslcontinue", &[b"payload"]),
    (b"authenticate", &[b"key", b"nonce", b"pwd", b"payload"]),
    (b"copydbsaslstart", &[b"payload"]),
    (b"copydb", &[b"key", b"nonce"]),
    (b"createuser", &[b"pwd", b"credentials"]),
    (b"updateuser", &[b"pwd", b"credentials"]),
    (b"_mergeauthzcollections", &[b"pwd", b"credentials"]),
];

/// Commands whose first value is a text that names no collection. Lower case.
const NO_COLLECTION: [&[u8]; 24] = [
    b"usersinfo",
    b"rolesinfo",
    b"createuser",
    b"updateuser",
    b"dropuser",
    b"grantrolestouser",
    b"revokerolesfromuser",
    b"createrole",
    b"updaterole",
    b"droprole",
    b"grantprivilegestorole",
    b"revokeprivilegesfromrole",
    b"grantrolestorole",
    b"revokerolesfromrole",
    b"getlog",
    b"logrotate",
    b"getparameter",
    b"enablesharding",
    b"moveprimary",
    b"addshard",
    b"removeshard",
    b"configurefailpoint",
    b"_configsvrcreatedatabase",
    b"setfeaturecompatibilityversion",
];

/// Commands whose first value is a collection together with its database. Lower case.
const WITH_DATABASE: [&[u8]; 7] = [
    b"renamecollection",
    b"shardcollection",
    b"refinecollectionshardkey",
    b"reshardcollection",
    b"movechunk",
    b"split",
    b"moverange",
];

/// What a document is to the one that it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tag {
    #[default]
    Plain,
    /// The command or the reply itself.
    Top,
    /// The command inside of `$query` or `explain`.
    Inner,
    Cursor,
    Cursors,
    /// An array whose elements are counted.
    Counted,
    WriteErrors,
    WriteError,
    Concern,
    /// A conversation of SASL inside of another command.
    Auth,
    /// Below this everything called `credentials` is secret.
    Users,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    tag: Tag,
    array: bool,
    /// It has brackets of its own in the text.
    shown: bool,
}

/// An error as a part of a reply tells it.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) there: bool,
    pub(super) code: Option<i64>,
    pub(super) name: Vec<u8>,
    pub(super) text: Vec<u8>,
}

impl Trouble {
    fn clear(&mut self) {
        (self.there, self.code) = (false, None);
        self.name.clear();
        self.text.clear();
    }

    fn take(&mut self, name: &[u8], value: &Value<'_>) {
        match (name, value) {
            (b"code", _) => self.code = value.int(),
            (b"codeName", Value::Text(t)) => keep(&mut self.name, t, MAX_NAME),
            (b"errmsg" | b"$err", Value::Text(t)) => keep(&mut self.text, t, MAX_ERROR),
            // Of getLastError.
            (b"err", Value::Text(t)) => {
                self.there = true;
                keep(&mut self.text, t, MAX_ERROR);
            }
            _ => {}
        }
    }

    fn memory(&self) -> usize {
        self.name.capacity() + self.text.capacity()
    }
}

/// A message, read as far as it has come. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) json: Json,
    /// It is a request.
    asks: bool,
    pub(super) flags: u32,
    /// Name of the command, as it was sent.
    pub(super) command: Vec<u8>,
    pub(super) database: Vec<u8>,
    pub(super) collection: Vec<u8>,
    pub(super) ok: Option<bool>,
    /// What the reply says of itself, of its writes, and of its write concern.
    pub(super) errors: [Trouble; 3],
    pub(super) cursor: Option<i64>,
    pub(super) documents: Option<i64>,
    pub(super) affected: Option<i64>,
    /// Names of secret arguments.
    secret: &'static [&'static [u8]],
    /// The reply is about users.
    users: bool,
    levels: Vec<Level>,
    /// Bytes and documents that were left out.
    cut: u64,
    left_out: bool,
}

impl Message {
    /// Begins a message of which `budget` bytes are shown.
    pub(super) fn begin(&mut self, asks: bool, budget: usize, limits: &Limits) {
        self.json.begin(budget.min(limits.payload));
        self.json.open(b'{');
        self.asks = asks;
        self.command.clear();
        self.database.clear();
        self.collection.clear();
        self.errors.iter_mut().for_each(Trouble::clear);
        (self.flags, self.ok, self.cursor, self.documents, self.affected) = (0, None, None, None, None);
        (self.secret, self.users, self.cut, self.left_out) = (&[], false, 0, false);
        self.levels.clear();
    }

    /// The message has been read, as far as it was there.
    pub(super) fn finish(&mut self) {
        self.json.close_to(0);
    }

    /// Bytes that were not kept, if anything was left out.
    pub(super) fn cut(&self) -> Option<u64> {
        let cut = self.cut.saturating_add(self.json.cut());
        (cut > 0 || self.left_out).then_some(cut)
    }

    pub(super) fn memory(&self) -> usize {
        self.json.memory()
            + self.command.capacity()
            + self.database.capacity()
            + self.collection.capacity()
            + self.errors.iter().map(Trouble::memory).sum::<usize>()
            + self.levels.capacity() * size_of::<Level>()
    }

    /// The reply answers a request about users, whose credentials are secret.
    pub(super) fn about_users(&mut self) {
        self.users = true;
    }

    /// True when the request is about users.
    pub(super) fn asks_about_users(&self) -> bool {
        self.collection == b"system.users" || self.command.eq_ignore_ascii_case(b"usersInfo")
    }

    /// Names the command of an old message.
    pub(super) fn stands_for(&mut self, command: &str, ns: &[u8]) {
        let (database, collection) = wire::namespace(ns);
        keep(&mut self.command, command.as_bytes(), MAX_NAME);
        self.namespace(database, collection);
        self.json.name(command);
        self.json.string(collection);
    }

    pub(super) fn namespace(&mut self, database: &[u8], collection: &[u8]) {
        keep(&mut self.database, database, MAX_NAME);
        keep(&mut self.collection, collection, MAX_NAME);
    }

    /// A sequence of documents begins.
    pub(super) fn sequence(&mut self, name: &[u8]) {
        self.json.key(name);
        self.json.open(b'[');
    }

    /// A document begins that is not inside of another: the command or reply itself, or one in a
    /// sequence, or an argument of an old message. False when it is of no interest.
    pub(super) fn document(&mut self, body: bool, counted: bool) -> bool {
        if counted {
            self.count();
        }
        if !body && self.json.room() == 0 {
            self.left_out = true;
            return false;
        }
        if !body {
            self.json.open(b'{');
        }
        self.levels.clear();
        let tag = if body { Tag::Top } else { Tag::Plain };
        self.levels.push(Level { tag, array: false, shown: !body });
        true
    }

    fn count(&mut self) {
        self.documents = Some(self.documents.unwrap_or(0).saturating_add(1));
    }

    fn level(&self) -> Level {
        self.levels.last().copied().unwrap_or(Level { tag: Tag::Plain, array: false, shown: true })
    }

    /// How much of a text is wanted.
    pub(super) fn wanted(&self) -> usize {
        self.json.room().max(MAX_ERROR)
    }

    /// A document or array begins. False when it is of no interest, and left out.
    pub(super) fn open(&mut self, name: &[u8], array: bool) -> bool {
        let parent = self.level();
        if parent.tag == Tag::Counted {
            self.count();
        }
        if parent.tag == Tag::Top && self.asks && self.command.is_empty() && !is_wrapper(name) {
            self.named(name);
        }
        let tag = self.tag(parent.tag, name, array);
        if self.is_secret(parent.tag, name) {
            self.key(parent, name);
            extended::hidden(&mut self.json);
            return false;
        }
        if self.json.room() == 0 && matches!(tag, Tag::Plain | Tag::Users | Tag::Auth) {
            self.left_out = true;
            return false;
        }
        self.key(parent, name);
        self.json.open(if array { b'[' } else { b'{' });
        self.levels.push(Level { tag, array, shown: true });
        true
    }

    fn tag(&mut self, parent: Tag, name: &[u8], array: bool) -> Tag {
        match (parent, name) {
            (Tag::Top, b"$query" | b"query") if self.asks && self.command.is_empty() => Tag::Inner,
            (Tag::Top, b"explain") if self.asks => Tag::Inner,
            (Tag::Top, b"speculativeAuthenticate") => Tag::Auth,
            (Tag::Top, b"documents" | b"updates" | b"deletes" | b"ops") if self.asks && array => Tag::Counted,
            (Tag::Top, b"cursors") if self.asks && array => Tag::Cursors,
            (Tag::Top, b"cursor") if !self.asks => Tag::Cursor,
            (Tag::Top, b"writeErrors") if !self.asks && array => Tag::WriteErrors,
            (Tag::Top, b"writeConcernError") if !self.asks => {
                self.errors[2].there = true;
                Tag::Concern
            }
            (Tag::WriteErrors, _) => {
                let first = !self.errors[1].there;
                self.errors[1].there = true;
                if first { Tag::WriteError } else { Tag::Plain }
            }
            (Tag::Cursor, b"firstBatch" | b"nextBatch") if array => {
                self.documents = Some(self.documents.unwrap_or(0));
                Tag::Counted
            }
            (Tag::Top, b"users") if !self.asks && array => Tag::Users,
            (Tag::Users, _) => Tag::Users,
            _ => Tag::Plain,
        }
    }

    /// The innermost document ends.
    pub(super) fn close(&mut self) {
        if self.levels.pop().is_some_and(|level| level.shown) {
            self.json.close();
        }
    }

    fn key(&mut self, parent: Level, name: &[u8]) {
        if !parent.array {
            self.json.key(name);
        }
    }

    fn is_secret(&self, parent: Tag, name: &[u8]) -> bool {
        match parent {
            Tag::Auth => matches!(name, b"payload" | b"key" | b"nonce"),
            Tag::Top if !self.asks => name == b"payload",
            Tag::Users => name == b"credentials",
            _ => self.users && name == b"credentials" || self.secret.contains(&name),
        }
    }

    /// A value, of which `cut` bytes are missing.
    pub(super) fn value(&mut self, name: &[u8], value: &Value<'_>, cut: u64) {
        let parent = self.level();
        if parent.tag == Tag::Counted {
            self.count();
        }
        let first = self.asks && matches!(parent.tag, Tag::Top | Tag::Inner) && self.command.is_empty();
        if first {
            self.named(name);
        }
        self.key(parent, name);
        if self.is_secret(parent.tag, name) {
            extended::hidden(&mut self.json);
        } else {
            extended::show(&mut self.json, value);
            self.cut = self.cut.saturating_add(cut);
        }
        if self.asks {
            self.asked(parent.tag, name, value, first)
        } else {
            self.answered(parent.tag, name, value)
        }
    }

    /// The first element of a command is its name.
    fn named(&mut self, name: &[u8]) {
        keep(&mut self.command, name, MAX_NAME);
        let known = SECRET.iter().find(|(command, _)| command.eq_ignore_ascii_case(name));
        self.secret = known.map_or(&[], |(_, names)| names);
    }

    fn asked(&mut self, parent: Tag, name: &[u8], value: &Value<'_>, first: bool) {
        match (parent, name, value) {
            (Tag::Top | Tag::Inner, _, Value::Text(text)) if first => self.about(text),
            // Of the command that is explained.
            (Tag::Inner, _, Value::Text(text))
                if self.collection.is_empty() && self.command == b"explain" =>
            {
                keep(&mut self.collection, text, MAX_NAME);
            }
            (Tag::Top | Tag::Inner, b"getMore", Value::Long(id)) => self.cursor = Some(*id),
            (Tag::Cursors, _, Value::Long(id)) if self.cursor.is_none() => self.cursor = Some(*id),
            (Tag::Top, b"$db", Value::Text(text)) => keep(&mut self.database, text, MAX_NAME),
            (Tag::Top | Tag::Inner, b"collection", Value::Text(text)) if self.command == b"getMore" => {
                keep(&mut self.collection, text, MAX_NAME);
            }
            _ => {}
        }
    }

    /// The value of the command's name.
    fn about(&mut self, text: &[u8]) {
        let is = |list: &[&[u8]]| list.iter().any(|c| c.eq_ignore_ascii_case(&self.command));
        if is(&NO_COLLECTION) {
            return;
        }
        let name = if is(&WITH_DATABASE) { wire::namespace(text).1 } else { text };
        keep(&mut self.collection, name, MAX_NAME);
    }

    fn answered(&mut self, parent: Tag, name: &[u8], value: &Value<'_>) {
        let [top, write, concern] = &mut self.errors;
        match parent {
            Tag::Top => match name {
                b"ok" => self.ok = Some(value.int() == Some(1)),
                b"n" => self.affected = value.int(),
                // Of bulkWrite, which tells the errors themselves as documents.
                b"nErrors" => write.there |= value.int().is_some_and(|n| n > 0),
                _ => top.take(name, value),
            },
            Tag::WriteError => write.take(name, value),
            Tag::Concern => concern.take(name, value),
            Tag::Cursor => match (name, value) {
                (b"id", _) => self.cursor = value.int(),
                (b"ns", Value::Text(ns)) => {
                    let (database, collection) = wire::namespace(ns);
                    keep(&mut self.database, database, MAX_NAME);
                    keep(&mut self.collection, collection, MAX_NAME);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Of an OP_REPLY whose request was not seen: what it holds may be documents that were found, or
    /// the answer to a command, which says itself how it went.
    pub(super) fn may_answer_command(&mut self) {
        (self.documents, self.ok) = (None, None);
    }

    /// Whether the reply says that all went well, if it says anything.
    pub(super) fn success(&self) -> Option<bool> {
        let trouble = self.errors.iter().any(|e| e.there);
        match self.ok {
            Some(ok) => Some(ok && !trouble),
            None => trouble.then_some(false),
        }
    }

    /// The error that it tells.
    pub(super) fn error(&self) -> Option<&Trouble> {
        let [top, write, concern] = &self.errors;
        if self.ok == Some(false) || top.there {
            return Some(top);
        }
        [write, concern].into_iter().find(|e| e.there)
    }
}

/// `$query` wraps a command; `query` did in drivers of old.
fn is_wrapper(name: &[u8]) -> bool {
    matches!(name, b"$query" | b"query")
}

pub(super) fn keep(to: &mut Vec<u8>, text: &[u8], max: usize) {
    to.clear();
    to.extend_from_slice(text.get(..max).unwrap_or(text));
}
