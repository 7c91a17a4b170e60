//! What a call keeps of a request or a response.

use super::names::Names;
use super::records::{Batches, Content};
use super::schema::{EMBEDDED_LATEST, Field, Kind, Mark};
use super::token::{Shape, Step, Token, Value};
use super::topic_ids::TopicIds;
use super::walk::Walker;
use crate::Limits;
use crate::json::{self, Json};

/// Bytes kept of a group id, a transactional id and the like.
const MAX_ID: usize = 256;

/// Parts of the names of settings whose values are secret.
const SECRET_SETTINGS: [&[u8]; 5] = [b"password", b"secret", b"jaas", b"credential", b"ssl.keystore.key"];

/// What stands for a secret.
const HIDDEN: &[u8] = b"***";

/// A message, read as far as it has come. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) content: Content,
    pub(super) topics: Names,
    /// As Kafka writes them: `topic-partition`.
    pub(super) partitions: Names,
    pub(super) group: Vec<u8>,
    pub(super) transaction: Vec<u8>,
    /// What it is about where it is about no topic and no group.
    pub(super) about: Vec<u8>,
    /// The first error code other than 0, or else 0, where there are any.
    pub(super) error: Option<i16>,
    pub(super) throttle: Option<i64>,
    pub(super) acks: Option<i64>,
    batches: Batches,
    /// Bytes of a blob that is not records.
    blob: Vec<u8>,
    /// Bytes of blobs that were not kept.
    cut: u64,
    /// Where the topic that partitions belong to stands: its name.
    topic: Vec<u8>,
    /// It was named in the structure being read.
    named: bool,
    /// The name of the setting before says that its value is secret.
    secret: bool,
    /// The group is not one of consumers.
    foreign: bool,
    coordinator: Vec<u8>,
    coordinator_type: i64,
    open: Option<&'static Field>,
    /// Topics by id that were not known any more.
    pub(super) forgotten: usize,
}

impl Message {
    /// Begins a message of which `budget` bytes are shown.
    pub(super) fn begin(&mut self, budget: usize, limits: &Limits) {
        self.content.begin(budget, limits);
        self.content.json.open(b'{');
        self.batches.allow(budget);
        self.topics.clear();
        self.partitions.clear();
        for text in
            [&mut self.group, &mut self.transaction, &mut self.about, &mut self.topic, &mut self.coordinator]
        {
            text.clear();
        }
        (self.error, self.throttle, self.acks) = (None, None, None);
        (self.cut, self.named, self.secret, self.foreign) = (0, false, false, false);
        (self.coordinator_type, self.open, self.forgotten) = (0, None, 0);
    }

    /// The message has been read, as far as it was there.
    pub(super) fn finish(&mut self) {
        self.content.json.close_to(0);
        // FindCoordinator names what it looks for before it says what that is.
        match self.coordinator_type {
            0 => swap_if_empty(&mut self.group, &mut self.coordinator),
            1 => swap_if_empty(&mut self.transaction, &mut self.coordinator),
            _ => swap_if_empty(&mut self.about, &mut self.coordinator),
        }
    }

    /// Bytes that were not kept, for the payload limit.
    pub(super) fn cut(&self) -> u64 {
        self.cut + self.batches.cut() + self.content.json.cut()
    }

    /// Whether it is about anything that was left out of the lists.
    pub(super) fn left_out(&self) -> u64 {
        self.topics.left_out() + self.partitions.left_out()
    }

    pub(super) fn memory(&self) -> usize {
        let texts = [&self.group, &self.transaction, &self.about, &self.topic, &self.coordinator, &self.blob];
        texts.iter().map(|t| t.capacity()).sum::<usize>()
            + self.content.json.memory()
            + self.content.keys.memory()
            + self.topics.memory()
            + self.partitions.memory()
            + self.batches.memory()
    }

    /// How many of the next bytes of the blob being read are of no interest.
    pub(super) fn unwanted(&self, left: u64) -> u64 {
        match self.open {
            Some(field) if matches!(field.kind, Kind::Records) => self.batches.unwanted(),
            Some(field) if field.mark == Mark::Secret || self.blob.len() >= self.blob_limit() => left,
            _ => 0,
        }
    }

    /// That many bytes of the blob being read went by unseen.
    pub(super) fn pass(&mut self, n: u64) {
        match self.open {
            Some(field) if matches!(field.kind, Kind::Records) => self.batches.pass(n),
            Some(field) if field.mark == Mark::Secret => {}
            _ => self.cut += n,
        }
    }

    fn blob_limit(&self) -> usize {
        self.content.json.room()
    }

    /// The next part of the message.
    pub(super) fn token(&mut self, token: Token<'_>, ids: &mut TopicIds) {
        let json = &mut self.content.json;
        match token {
            Token::Value(field, value) => {
                json.name(field.name);
                self.value(field, value, ids);
            }
            Token::Open(field, shape) => {
                json.name(field.name);
                json.open(bracket(shape));
            }
            Token::Element => {
                self.named = false;
                json.open(b'{');
            }
            Token::Close => json.close(),
            Token::Blob(field, len) => {
                json.name(field.name);
                self.open = Some(field);
                self.blob.clear();
                if let Kind::Records = field.kind {
                    json.open(b'[');
                    self.batches.begin(len);
                }
            }
            Token::Piece(bytes) => match self.open {
                Some(field) if matches!(field.kind, Kind::Records) => {
                    self.batches.piece(bytes, &mut self.content);
                }
                Some(field) if field.mark == Mark::Secret => {}
                _ => {
                    let kept = bytes.len().min(self.blob_limit().saturating_sub(self.blob.len()));
                    self.blob.extend_from_slice(&bytes[..kept]);
                    self.cut += (bytes.len() - kept) as u64;
                }
            },
            Token::BlobEnd => {
                let Some(field) = self.open.take() else { return };
                match field.kind {
                    Kind::Records => json.close(),
                    _ if field.mark == Mark::Secret => json.string(HIDDEN),
                    Kind::Embedded(fields) if !self.foreign => self.embedded(fields, ids),
                    _ => json.bytes(&self.blob, true),
                }
            }
        }
    }

    fn value(&mut self, field: &Field, value: Value<'_>, ids: &mut TopicIds) {
        let shown = &mut self.content.json;
        match (field.mark, value) {
            (Mark::Secret, Value::Text(_)) => return shown.string(HIDDEN),
            (Mark::ConfigValue, Value::Text(_)) if self.secret => return shown.string(HIDDEN),
            _ => show(shown, value),
        }
        match (field.mark, value) {
            (Mark::Topic, Value::Text(name)) => {
                self.topics.add(&[name]);
                keep(&mut self.topic, name);
                self.named = true;
            }
            (Mark::TopicId, Value::Uuid(id)) => self.topic_id(id, ids),
            (Mark::Partition, Value::Int(n)) => self.partition(n),
            (Mark::Group, Value::Text(id)) if self.group.is_empty() => keep(&mut self.group, id),
            (Mark::Transaction, Value::Text(id)) if self.transaction.is_empty() => {
                keep(&mut self.transaction, id);
            }
            (Mark::CoordinatorKey, Value::Text(key)) if self.coordinator.is_empty() => {
                keep(&mut self.coordinator, key);
            }
            (Mark::CoordinatorType, Value::Int(n)) => self.coordinator_type = n,
            (Mark::Summary, Value::Text(text)) if self.about.is_empty() => keep(&mut self.about, text),
            (Mark::Error, Value::Int(code)) => {
                let code = i16::try_from(code).unwrap_or(-1);
                if self.error.is_none_or(|e| e == 0) {
                    self.error = Some(code);
                }
            }
            (Mark::Throttle, Value::Int(ms)) => self.throttle = Some(ms),
            (Mark::Acks, Value::Int(acks)) => self.acks = Some(acks),
            (Mark::ConfigName, Value::Text(name)) => self.secret = is_secret(name),
            (Mark::ProtocolType, Value::Text(kind)) => self.foreign = !kind.is_empty() && kind != b"consumer",
            _ => {}
        }
    }

    /// An id beside the name of its topic, or instead of it.
    fn topic_id(&mut self, id: [u8; 16], ids: &mut TopicIds) {
        if id == [0; 16] {
            return;
        }
        if self.named {
            self.forgotten += ids.learn(id, &self.topic);
            return;
        }
        let text = json::uuid(&id);
        let name = ids.name(&id).unwrap_or(&text);
        self.topics.add(&[name]);
        keep(&mut self.topic, name);
    }

    fn partition(&mut self, n: i64) {
        let mut digits = [0; 12];
        let text = decimal(n, &mut digits);
        if !self.topic.is_empty() {
            self.partitions.add(&[&self.topic, b"-", text]);
        }
    }

    /// A message inside this one: its version, then its fields.
    fn embedded(&mut self, fields: &'static [Field], ids: &mut TopicIds) {
        let blob = std::mem::take(&mut self.blob);
        let version = blob.first_chunk::<2>().map(|v| i16::from_be_bytes(*v).clamp(0, EMBEDDED_LATEST));
        let body = blob.get(2..).unwrap_or_default();
        let fits = version.is_some_and(|version| {
            let mut walker = Walker::default();
            walker.begin(fields, version, false, false, body.len() as u64);
            walk(&mut walker, body, |_| {})
        });
        if let Some(version) = version.filter(|_| fits) {
            self.content.json.open(b'{');
            let mut walker = Walker::default();
            walker.begin(fields, version, false, false, body.len() as u64);
            walk(&mut walker, body, |token| self.token(token, ids));
            self.content.json.close();
        } else {
            self.content.json.bytes(&blob, true);
        }
        self.blob = blob;
    }
}

/// Walks over bytes that are whole. False if they do not fit.
fn walk(walker: &mut Walker, bytes: &[u8], mut with: impl FnMut(Token<'_>)) -> bool {
    let mut at = 0;
    loop {
        match walker.step(bytes.get(at..).unwrap_or_default()) {
            Step::Token(n, token) => {
                with(token);
                at += n;
            }
            Step::Quiet(n) => at += n,
            Step::Done => return true,
            Step::More | Step::Fault => return false,
        }
    }
}

fn swap_if_empty(to: &mut Vec<u8>, from: &mut Vec<u8>) {
    if to.is_empty() {
        std::mem::swap(to, from);
    }
}

fn bracket(shape: Shape) -> u8 {
    match shape {
        Shape::Array => b'[',
        Shape::Structure => b'{',
    }
}

fn keep(to: &mut Vec<u8>, text: &[u8]) {
    to.clear();
    to.extend_from_slice(text.get(..MAX_ID).unwrap_or(text));
}

fn is_secret(name: &[u8]) -> bool {
    SECRET_SETTINGS.iter().any(|part| name.windows(part.len()).any(|w| w.eq_ignore_ascii_case(part)))
}

fn show(json: &mut Json, value: Value<'_>) {
    match value {
        Value::Null => json.word("null"),
        Value::Bool(b) => json.word(if b { "true" } else { "false" }),
        Value::Int(n) => json.int(n),
        Value::Float(n) => json.float(n),
        Value::Uuid(id) => json.string(&json::uuid(&id)),
        Value::Text(text) => json.string(text),
    }
}

fn decimal(n: i64, digits: &mut [u8; 12]) -> &[u8] {
    let mut at = digits.len();
    let mut left = n.unsigned_abs();
    while at > 1 && (left > 0 || at == digits.len()) {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    if n < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    &digits[at..]
}
