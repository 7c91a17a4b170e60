//! A command with its reply, while it is not over.

use remora_model::Incomplete;

use super::command::Verb;
use super::mail::Mail;
use super::reply::Reply;
use crate::seen::Seen;

/// Bytes kept of an argument, and of the text of a reply. Lines have 512 at most (RFC 5321, section
/// 4.5.3.1), extensions aside.
const MAX_TEXT: usize = 4 << 10;

/// Where the content stands that belongs to a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Content {
    /// There is none.
    #[default]
    None,
    /// It has not ended yet.
    Open,
    Ended,
}

/// A command and its reply.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) verb: Verb,
    /// No command: what the server says first.
    pub(super) greeting: bool,
    pub(super) argument: Vec<u8>,
    pub(super) asked: Option<Seen>,
    pub(super) answered: Option<Seen>,
    pub(super) code: Option<u16>,
    pub(super) status: Vec<u8>,
    /// Lines of the reply, each with its end.
    pub(super) reply: Vec<u8>,
    /// Replies still to come.
    pub(super) awaited: u32,
    pub(super) content: Content,
    pub(super) mail: Mail,
    /// The end of the content may be among bytes that are missing.
    pub(super) torn: bool,
    pub(super) incomplete: Option<Incomplete>,
    /// Bytes that were left out.
    pub(super) cut: u64,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            verb: Verb::Unknown,
            greeting: false,
            argument: Vec::new(),
            asked: None,
            answered: None,
            code: None,
            status: Vec::new(),
            reply: Vec::new(),
            awaited: 1,
            content: Content::None,
            mail: Mail::default(),
            torn: false,
            incomplete: None,
            cut: 0,
        }
    }
}

impl Exchange {
    /// Begins anew; buffers stay.
    pub(super) fn clear(&mut self) {
        self.argument.clear();
        self.status.clear();
        self.reply.clear();
        self.mail.clear();
        let Self { argument, status, reply, mail, .. } = std::mem::take(self);
        *self = Self { argument, status, reply, mail, ..Self::default() };
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.argument.capacity()
            + self.status.capacity()
            + self.reply.capacity()
            + self.mail.memory()
    }

    /// Keeps the argument.
    pub(super) fn argue(&mut self, argument: &[u8], secret: bool, limit: usize) {
        let room = limit.min(MAX_TEXT);
        let kept = argument.get(..room).unwrap_or(argument);
        self.cut += (argument.len() - kept.len()) as u64;
        self.argument.extend_from_slice(kept);
        if secret {
            self.argument.extend_from_slice(b" ***");
        }
    }

    /// One reply more. Of several the first that refuses is the one that counts.
    pub(super) fn replied(&mut self, reply: Reply<'_>, seen: Seen, limit: usize) {
        match &mut self.answered {
            Some(total) => {
                total.last = total.last.max(seen.last);
                total.bytes = total.bytes.saturating_add(seen.bytes);
            }
            none => *none = Some(seen),
        }
        if self.code.is_none_or(|code| code < 400) {
            self.code = Some(reply.code);
            self.status.clear();
            self.status.extend_from_slice(reply.status().unwrap_or_default());
        }
        let room = limit.min(MAX_TEXT);
        for line in reply.lines() {
            let left = room.saturating_sub(self.reply.len());
            let kept = line.get(..left).unwrap_or(line);
            self.cut += (line.len() - kept.len()) as u64;
            if left > 0 {
                self.reply.extend_from_slice(kept);
                self.reply.push(b'\n');
            }
        }
        self.awaited = self.awaited.saturating_sub(1);
    }

    /// The lines of the reply as one text.
    pub(super) fn text(&self) -> &[u8] {
        self.reply.strip_suffix(b"\n").unwrap_or(&self.reply)
    }

    /// More bytes of the client belong to it.
    pub(super) fn continued(&mut self, seen: Seen) {
        if let Some(asked) = &mut self.asked {
            asked.last = asked.last.max(seen.last);
            asked.bytes = asked.bytes.saturating_add(seen.bytes);
        }
    }
}
