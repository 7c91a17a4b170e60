//! Reading bodies, and what requests and responses do to the connection.

use remora_model::Incomplete;

use super::connection::{Carried, Cassandra, KEEP_BYTES, LITTLE, MAX_PREPARED};
use super::message::{Message, keep};
use super::report;
use super::wire::{Header, flag, op};
use crate::compression::{self, Damaged, Stop, lz4, snappy};
use crate::{Context, Problem, Role, seen::Seen};

impl Cassandra {
    /// Undoes the compression of a body.
    fn decompress(&mut self, body: &[u8], plain: &mut Vec<u8>, cx: &mut Context<'_>) -> bool {
        let ratio = body.len().saturating_mul(cx.limits.expansion).max(compression::RATIO_FLOOR);
        let max = ratio.min(cx.limits.message_bytes);
        plain.clear();
        let stop = if self.compression == b"snappy" {
            snappy::block(body, plain, max)
        } else {
            // The length of what was compressed stands in front.
            body.get(4..).map_or(Err(Damaged), |block| lz4::block(block, plain, 0, max))
        };
        match stop {
            Ok(Stop::End) => return true,
            Ok(Stop::Full) if max < ratio => cx.problem(Problem::MessageTooLarge, body.len() as u64),
            Ok(_) | Err(Damaged) => cx.problem(Problem::BadEncoding, body.len() as u64),
        }
        false
    }

    /// Reads a body, or the beginning of one.
    pub(super) fn read(
        &mut self,
        role: Role,
        header: Header,
        body: &[u8],
        whole: bool,
        seen: Seen,
        cx: &mut Context<'_>,
    ) {
        let mut plain = std::mem::take(&mut self.plain);
        let (body, whole) = if header.flags & flag::COMPRESSED != 0 && !body.is_empty() {
            let whole = self.decompress(body, &mut plain, cx);
            (plain.as_slice(), whole)
        } else {
            (body, whole)
        };
        let full = role == Role::Client && self.held > cx.limits.flow_bytes;
        let budget = if full { LITTLE.min(cx.limits.payload) } else { cx.limits.payload };
        let mut message = std::mem::take(&mut self.side(role).message);
        message.begin(header, seen, budget);
        let fits = match role {
            Role::Client => {
                let fits = message.request(body, budget);
                if header.opcode == op::EXECUTE
                    && let Some(known) = self.prepared.get(&message.id)
                {
                    keep_all(&mut message.text, &known.text, budget);
                    message.typed_values(body, &known.bound, budget);
                }
                fits
            }
            Role::Server => {
                let asked = self.pending.iter().find(|p| p.message.header.stream == header.stream);
                let known = match asked.filter(|p| p.message.header.opcode == op::EXECUTE) {
                    Some(p) => self.prepared.get(&p.message.id),
                    None => None,
                };
                message.response(body, known.map_or(&[], |k| &k.result), budget)
            }
        };
        if fits.is_none() && whole {
            cx.problem(Problem::Malformed, body.len() as u64);
        }
        let cut =
            message.cut + if whole { 0 } else { u64::from(header.len).saturating_sub(body.len() as u64) };
        if cut > 0 || message.rows.is_cut() || message.values.cut {
            cx.problem(Problem::PayloadLimit, cut);
        }
        self.side(role).message = message;
        if plain.capacity() > KEEP_BYTES {
            plain = Vec::new();
        }
        self.plain = plain;
    }

    /// The message of `role` has been read.
    pub(super) fn complete(&mut self, role: Role, cx: &mut Context<'_>) {
        match role {
            Role::Client => self.asked(cx),
            Role::Server => self.answered(cx),
        }
        let message = &mut self.side(role).message;
        if message.memory() > KEEP_BYTES {
            *message = Message::default();
        }
    }

    fn asked(&mut self, cx: &mut Context<'_>) {
        let mut p = self.spare.pop().unwrap_or_default();
        self.spare_held = self.spare_held.saturating_sub(p.memory());
        std::mem::swap(&mut p.message, &mut self.side(Role::Client).message);
        p.missed = [false; 2];
        keep(&mut p.keyspace, &self.keyspace);
        let header = p.message.header;
        if header.opcode == op::STARTUP {
            keep(&mut self.compression, &p.message.compression);
            if header.version >= 5 {
                // A client waits for the answer, and from then on sends frames.
                let compressed = self.compression == b"lz4";
                self.side(Role::Client).carried = Carried::Frames(compressed);
            }
        }
        p.compresses = !self.compression.is_empty();
        if let Some(i) = self.find(header.stream) {
            self.give_up(i, Incomplete::NoResponse, cx);
        }
        if self.pending.len() >= cx.limits.pending.max(1) {
            let bytes = self.pending.front().map_or(0, |p| p.message.seen.bytes);
            cx.problem(Problem::TooManyPending, u64::try_from(bytes).unwrap_or(0));
            self.give_up(0, Incomplete::NoResponse, cx);
        }
        self.held += p.memory();
        self.pending.push_back(p);
    }

    fn answered(&mut self, cx: &mut Context<'_>) {
        let message = std::mem::take(&mut self.side(Role::Server).message);
        let header = message.header;
        let request =
            self.find(header.stream).filter(|_| header.opcode != op::EVENT).and_then(|i| self.take(i));
        if header.version >= 5 && matches!(header.opcode, op::READY | op::AUTHENTICATE) {
            let compressed = self.compression == b"lz4";
            let side = self.side(Role::Server);
            if side.carried == Carried::Plain {
                side.carried = Carried::Frames(compressed);
            }
        }
        if message.kind == Some("SET_KEYSPACE") {
            keep(&mut self.keyspace, &message.keyspace);
        }
        if message.kind == Some("PREPARED")
            && let Some(asked) = &request
        {
            let room = cx.limits.flow_bytes / 4;
            let forgotten = self.prepared.put(&message.id, MAX_PREPARED, room, |known| {
                known.text.clone_from(&asked.message.text);
                known.bound.clone_from(&message.bound);
                known.result.clone_from(&message.result);
            });
            if forgotten > 0 {
                cx.problem(Problem::StateLimit, 0);
            }
        }
        let why = match &request {
            Some(p) => p.message.incomplete.or(message.incomplete),
            None if header.opcode == op::EVENT => message.incomplete,
            None => Some(Incomplete::NoRequest),
        };
        report::emit(request.as_deref(), Some(&message), &self.compression, why, cx);
        self.side(Role::Server).message = message;
        if let Some(p) = request {
            self.recycle(p);
        }
    }
}

fn keep_all(to: &mut Vec<u8>, text: &[u8], budget: usize) {
    to.clear();
    to.extend_from_slice(text.get(..budget).unwrap_or(text));
}
