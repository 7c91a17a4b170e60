//! A line with what follows it, as a call shows it.

use remora_model::{Incomplete, Span};

use super::line::{Line, Op};
use super::options;
use crate::messaging::{Arena, Held, Pair, add_pair};
use crate::seen::Seen;

/// A message that was read, or is being read.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) op: Op,
    pub(super) arena: Arena,
    pub(super) subject: Option<Span>,
    pub(super) reply: Option<Span>,
    pub(super) queue: Option<Span>,
    pub(super) sid: Option<Span>,
    /// Options of INFO and CONNECT, or the text of an error.
    pub(super) text: Option<Span>,
    pub(super) user: Option<Span>,
    pub(super) client: Option<Span>,
    pub(super) max: Option<u64>,
    /// Status in the headers, with its text.
    pub(super) status: Option<i64>,
    pub(super) status_text: Option<Span>,
    pub(super) headers: Vec<Pair>,
    /// The headers as they came.
    pub(super) head: Vec<u8>,
    pub(super) payload: Vec<u8>,
    /// Bytes of the payload.
    pub(super) size: Option<u64>,
    /// Bytes of headers and payload that have not passed yet.
    pub(super) head_left: u64,
    pub(super) left: u64,
    pub(super) budget: usize,
    /// Bytes and headers that were left out.
    pub(super) cut: u64,
    pub(super) left_out: u64,
    pub(super) seen: Seen,
    pub(super) incomplete: Option<Incomplete>,
    /// What it waits for: `+OK`, and a message on its reply subject.
    pub(super) wants_ok: bool,
    pub(super) wants_reply: bool,
    /// What it waits for may have been among bytes that are missing.
    pub(super) doubtful: bool,
    /// It is not known whether it asks or answers.
    pub(super) vague: bool,
    /// Bytes of either side are missing since.
    pub(super) followed: bool,
    /// The server said it.
    pub(super) by_server: bool,
}

impl Held for Message {
    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.arena.memory()
            + self.headers.capacity() * size_of::<Pair>()
            + self.head.capacity()
            + self.payload.capacity()
    }
}

impl Message {
    /// Fills it with a line, keeping its buffers. `budget`: bytes of texts, of headers and of the
    /// payload that are kept, each.
    pub(super) fn begin(&mut self, line: &Line<'_>, budget: usize, seen: Seen) {
        let mut arena = std::mem::take(&mut self.arena);
        let mut headers = std::mem::take(&mut self.headers);
        let mut head = std::mem::take(&mut self.head);
        let mut payload = std::mem::take(&mut self.payload);
        arena.begin(budget);
        headers.clear();
        head.clear();
        payload.clear();
        let mut text = |t: &[u8]| (!t.is_empty()).then(|| arena.add(t));
        let (subject, reply) = (text(line.subject), text(line.reply));
        let (queue, sid) = (text(line.queue), text(line.sid));
        let (user, client) = match line.op {
            Op::Connect => (
                options::string(line.text, "user").and_then(&mut text),
                options::string(line.text, "name").and_then(&mut text),
            ),
            _ => (None, None),
        };
        let text = match line.op {
            Op::Info | Op::Connect => Some(options::redacted(line.text, &mut arena)),
            Op::Err => Some(arena.add(line.text)),
            _ => None,
        };
        let left = line.total.map_or(0, |n| n - line.headers);
        *self = Self {
            op: line.op,
            arena,
            subject,
            reply,
            queue,
            sid,
            text,
            user,
            client,
            max: line.max,
            headers,
            head,
            payload,
            size: line.total.map(|_| left),
            head_left: line.headers,
            left,
            budget,
            seen,
            ..Self::default()
        };
    }

    /// The text of one of its spans, unless it is empty.
    pub(super) fn shown(&self, span: Option<Span>) -> Option<&[u8]> {
        self.arena.get(span?)
    }

    /// Passes some of headers and payload; says how many bytes of `bytes` belong to them.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let upto = |n: u64, len: usize| usize::try_from(n).unwrap_or(usize::MAX).min(len);
        let (head, rest) = bytes.split_at(upto(self.head_left, bytes.len()));
        let (payload, _) = rest.split_at(upto(self.left, rest.len()));
        for (piece, kept) in [(head, &mut self.head), (payload, &mut self.payload)] {
            let room = self.budget.saturating_sub(kept.len());
            let taken = piece.get(..piece.len().min(room)).unwrap_or_default();
            kept.extend_from_slice(taken);
            self.cut += (piece.len() - taken.len()) as u64;
        }
        self.head_left -= head.len() as u64;
        self.left -= payload.len() as u64;
        head.len() + payload.len()
    }

    /// Bytes that follow and are of no interest.
    pub(super) fn unwanted(&self) -> u64 {
        if self.head_left == 0 && self.payload.len() >= self.budget { self.left } else { 0 }
    }

    /// `len` bytes that were not shown have passed. Says whether they belong to it.
    pub(super) fn pass_unseen(&mut self, len: u64) -> bool {
        let fits = len <= self.head_left + self.left;
        if fits {
            let head = len.min(self.head_left);
            self.head_left -= head;
            self.left -= len - head;
        }
        fits
    }

    /// All of it has passed: reads the headers.
    pub(super) fn finish(&mut self) {
        let Self { head, arena, headers, left_out, .. } = self;
        let mut lines = head.split(|&b| b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
        let Some(version) = lines.next().and_then(|l| l.strip_prefix(b"NATS/1.0")) else { return };
        let status = version.trim_ascii();
        let end = status.iter().position(|b| !b.is_ascii_digit()).unwrap_or(status.len());
        let (code, text) = status.split_at(end);
        self.status = std::str::from_utf8(code).ok().filter(|c| c.len() == 3).and_then(|c| c.parse().ok());
        self.status_text = Some(arena.add(text.trim_ascii()));
        for line in lines.filter(|l| !l.is_empty()) {
            if let Some(colon) = line.iter().position(|&b| b == b':') {
                let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
                let key = line.get(..colon).unwrap_or_default();
                *left_out += u64::from(!add_pair(arena, headers, key, value));
            }
        }
    }
}
