//! Reading one message behind its header, as its bytes come.

use super::bson::{Step, Walker};
use super::message::Message;
use super::wire::{self, MAX_NAMESPACE, flag, op};

/// Bytes of the longest name of a sequence that is read.
const MAX_SEQUENCE_NAME: usize = 256;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// What stands in front of the documents.
    #[default]
    Prelude,
    /// In front of a section or document.
    Between,
    /// In front of the size and name of a sequence.
    Sequence,
    Document,
    /// All is read.
    Done,
}

/// How far a message was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// To its end.
    Done,
    /// More bytes are needed.
    More,
    /// To the end of what is there, and so many bytes are of no interest.
    Skip(u64),
    /// Something that is not read, or not there to be understood.
    Opaque,
    Fault,
}

/// The state of reading a message.
#[derive(Debug, Default)]
pub(super) struct Reader {
    stage: Stage,
    opcode: i32,
    /// OP_QUERY for `$cmd`, or the reply to one: a command.
    command: bool,
    walker: Walker,
    /// Bytes of the message that are still to come, without its checksum.
    left: u64,
    /// Bytes of the sequence that are still to come.
    sequence: Option<u64>,
    /// Documents read, of an old message.
    documents: u32,
    /// What the document being read is: the body of the message, one of those that are counted.
    shape: (bool, bool),
}

impl Reader {
    /// A message of `left` bytes behind its header. `command`: it is an OP_REPLY to a command.
    pub(super) fn begin(&mut self, opcode: i32, left: u64, command: bool) {
        (self.stage, self.opcode, self.command) = (Stage::Prelude, opcode, command);
        (self.left, self.sequence, self.documents) = (left, None, 0);
    }

    /// The message turned out to have `left` bytes behind its header once decompressed.
    pub(super) fn set_left(&mut self, left: u64) {
        self.left = left;
    }

    pub(super) fn memory(&self) -> usize {
        self.walker.memory()
    }

    /// True when the request is a command inside of OP_QUERY.
    pub(super) fn is_command(&self) -> bool {
        self.command
    }

    /// So many bytes of no interest went by.
    pub(super) fn pass(&mut self, n: u64) {
        self.walker.pass(n);
        self.used(n);
    }

    fn used(&mut self, n: u64) {
        self.left = self.left.saturating_sub(n);
        if let Some(left) = &mut self.sequence {
            *left = left.saturating_sub(n);
        }
    }

    /// Reads on; says how many of `bytes`, which end with the message at the latest, are done with.
    pub(super) fn read(&mut self, bytes: &[u8], message: &mut Message) -> (usize, Progress) {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let step = match self.stage {
                Stage::Prelude => self.prelude(rest, message),
                Stage::Between => self.between(rest, message),
                Stage::Sequence => self.sequence(rest, message),
                Stage::Document => {
                    let skip = self.walker.skip();
                    if skip > 0 {
                        let n = skip.min(rest.len() as u64);
                        self.pass(n);
                        at += n as usize;
                        if n < skip {
                            return (at, Progress::Skip(skip - n));
                        }
                        continue;
                    }
                    self.document(rest, message)
                }
                Stage::Done => return (at, Progress::Done),
            };
            match step {
                Ok(n) => {
                    at += n;
                    self.used(n as u64);
                }
                Err(why) => return (at, why),
            }
        }
    }

    fn prelude(&mut self, bytes: &[u8], m: &mut Message) -> Result<usize, Progress> {
        let int = |i| wire::int(bytes, i).ok_or(Progress::More);
        let long = |i| wire::long(bytes, i).ok_or(Progress::More);
        let ns = || match wire::cstring(bytes.get(4..).unwrap_or_default(), MAX_NAMESPACE) {
            Ok(ns) => Ok(ns),
            Err(true) => Err(Progress::More),
            Err(false) => Err(Progress::Fault),
        };
        let used = match self.opcode {
            op::MSG => {
                m.flags = int(0)?.cast_unsigned();
                if m.flags & flag::CHECKSUM_PRESENT != 0 {
                    self.left = self.left.checked_sub(4).ok_or(Progress::Fault)?;
                }
                4
            }
            op::QUERY => {
                let ns = ns()?;
                let behind = 4 + ns.len() + 1;
                let (skip, batch) = (int(behind)?, int(behind + 4)?);
                m.flags = int(0)?.cast_unsigned();
                let (database, collection) = wire::namespace(ns);
                self.command = collection == b"$cmd" || collection.starts_with(b"$cmd.sys.");
                if self.command {
                    m.namespace(database, b"");
                } else {
                    m.stands_for("find", ns);
                    m.json.name("skip");
                    m.json.int(skip.into());
                    m.json.name("batchSize");
                    m.json.int(batch.into());
                }
                behind + 8
            }
            op::REPLY => {
                m.flags = int(0)?.cast_unsigned();
                let (cursor, from, number) = (long(4)?, int(12)?, int(16)?);
                m.errors[0].there = m.flags & (flag::REPLY_CURSOR_NOT_FOUND | flag::REPLY_QUERY_FAILURE) != 0;
                if m.flags & flag::REPLY_QUERY_FAILURE != 0 {
                    self.command = true;
                }
                if !self.command {
                    m.cursor = Some(cursor);
                    m.documents = Some(0);
                    m.ok = Some(!m.errors[0].there);
                    m.json.name("cursorId");
                    m.json.int(cursor);
                    m.json.name("startingFrom");
                    m.json.int(from.into());
                    m.json.name("numberReturned");
                    m.json.int(number.into());
                    m.sequence(b"documents");
                }
                20
            }
            op::INSERT => {
                let ns = ns()?;
                m.flags = int(0)?.cast_unsigned();
                m.stands_for("insert", ns);
                m.sequence(b"documents");
                4 + ns.len() + 1
            }
            op::UPDATE | op::DELETE => {
                let ns = ns()?;
                let behind = 4 + ns.len() + 1;
                m.flags = int(behind)?.cast_unsigned();
                let bit = |n: u32| if m.flags >> n & 1 != 0 { "true" } else { "false" };
                let (first, second) = (bit(0), bit(1));
                if self.opcode == op::UPDATE {
                    m.stands_for("update", ns);
                    m.json.name("upsert");
                    m.json.word(first);
                    m.json.name("multi");
                    m.json.word(second);
                } else {
                    m.stands_for("delete", ns);
                    m.json.name("limit");
                    m.json.int((m.flags & 1).into());
                }
                behind + 4
            }
            op::GET_MORE => {
                let ns = ns()?;
                let behind = 4 + ns.len() + 1;
                let (batch, cursor) = (int(behind)?, long(behind + 4)?);
                m.stands_for("getMore", ns);
                m.cursor = Some(cursor);
                m.json.name("cursorId");
                m.json.int(cursor);
                m.json.name("batchSize");
                m.json.int(batch.into());
                behind + 12
            }
            op::KILL_CURSORS => {
                let first = if int(4)? > 0 { Some(long(8)?) } else { None };
                m.stands_for("killCursors", b"");
                m.cursor = first;
                if let Some(first) = first {
                    m.json.name("cursorId");
                    m.json.int(first);
                }
                self.stage = Stage::Done;
                return Ok(8);
            }
            _ => return Err(Progress::Opaque),
        };
        self.stage = Stage::Between;
        Ok(used)
    }

    fn between(&mut self, bytes: &[u8], m: &mut Message) -> Result<usize, Progress> {
        if self.sequence == Some(0) {
            self.sequence = None;
            m.json.close();
        }
        if self.left == 0 {
            self.stage = Stage::Done;
            return Ok(0);
        }
        if self.opcode != op::MSG {
            return self.old_document(m);
        }
        if self.sequence.is_some() {
            self.begin_document(false, true);
            return Ok(0);
        }
        match bytes.first() {
            None => Err(Progress::More),
            Some(0) => {
                self.begin_document(true, false);
                self.walker.begin(self.left - 1);
                Ok(1)
            }
            Some(1) => {
                self.stage = Stage::Sequence;
                Ok(1)
            }
            // 2 is a security token among servers.
            Some(2) => Err(Progress::Opaque),
            Some(_) => Err(Progress::Fault),
        }
    }

    fn sequence(&mut self, bytes: &[u8], m: &mut Message) -> Result<usize, Progress> {
        let size = wire::int(bytes, 0).ok_or(Progress::More)?;
        let name = match wire::cstring(bytes.get(4..).unwrap_or_default(), MAX_SEQUENCE_NAME) {
            Ok(name) => name,
            Err(true) => return Err(Progress::More),
            Err(false) => return Err(Progress::Fault),
        };
        let head = name.len() + 5;
        match u64::try_from(size) {
            Ok(size) if size <= self.left && size >= head as u64 => {
                m.sequence(name);
                self.sequence = Some(size);
                self.stage = Stage::Between;
                Ok(head)
            }
            _ => Err(Progress::Fault),
        }
    }

    /// A document begins that is the `body` of the message, or is one of those that are `counted`.
    fn begin_document(&mut self, body: bool, counted: bool) {
        self.walker.begin(self.sequence.unwrap_or(self.left));
        self.shape = (body, counted);
        self.stage = Stage::Document;
    }

    /// The next document of a message without sections.
    fn old_document(&mut self, m: &mut Message) -> Result<usize, Progress> {
        let n = self.documents;
        self.documents = n.saturating_add(1);
        let (mut body, mut counted) = (false, false);
        match (self.opcode, n) {
            (op::QUERY | op::REPLY, 0) if self.command => body = true,
            (op::QUERY, 0) => m.json.name("filter"),
            (op::QUERY, 1) if !self.command => m.json.name("projection"),
            (op::UPDATE | op::DELETE, 0) => m.json.name("q"),
            (op::UPDATE, 1) => m.json.name("u"),
            (op::INSERT | op::REPLY, _) if !self.command => counted = true,
            _ => return Err(Progress::Fault),
        }
        self.begin_document(body, counted);
        Ok(0)
    }

    fn document(&mut self, bytes: &[u8], m: &mut Message) -> Result<usize, Progress> {
        match self.walker.step(bytes, m.wanted()) {
            Step::More => Err(Progress::More),
            Step::Fault => Err(Progress::Fault),
            Step::Skip(_) => Ok(0),
            Step::Done => {
                self.stage = Stage::Between;
                Ok(0)
            }
            Step::Begin { used } => {
                let (body, counted) = self.shape;
                if !m.document(body, counted) {
                    self.walker.pass_over();
                }
                Ok(used)
            }
            Step::Open { used, name, array } => {
                if !m.open(name, array) {
                    self.walker.pass_over();
                }
                Ok(used)
            }
            Step::Value { used, name, value, cut } => {
                m.value(name, &value, cut);
                Ok(used)
            }
            Step::Close { used } => {
                m.close();
                Ok(used)
            }
        }
    }
}
