//! Header blocks: collected from their frames, decoded, and handed to their streams.

use super::direction::{Block, KEEP_BLOCK, State};
use super::frame::{self, HEADER_LEN, Header};
use super::hpack::{BadBlock, Field};
use super::stream::Place;
use super::{Http2, VERSION};
use crate::http::head::UNKNOWN;
use crate::http::message::Message;
use crate::{Context, Limits, Problem, Role};

/// The largest frame of headers, and header block, that is read.
fn block_limit(limits: &Limits) -> usize {
    limits.header_list.min(limits.message_bytes.saturating_sub(HEADER_LEN))
}

impl Http2 {
    /// A frame that carries part of a header block. It is read when it is whole.
    pub(super) fn block_frame(
        &mut self,
        role: Role,
        header: Header,
        rest: &[u8],
        mut place: Place,
        at: &mut usize,
        cx: &mut Context<'_>,
    ) -> bool {
        let limit = block_limit(cx.limits);
        let whole = HEADER_LEN + header.len;
        let direction = &mut self.directions[role.index()];
        let too_large = direction.block.too_large || direction.block.bytes.len() + header.len > limit;
        let payload = rest.get(HEADER_LEN..whole);
        if payload.is_none() && !too_large {
            direction.half = true;
            return false;
        }
        place.bytes = whole as u64;
        place.last = cx.time_at(*at + whole - 1);
        place.block = header.len as u64;
        let (part, promised) = match payload.filter(|_| !too_large) {
            Some(payload) if header.kind != frame::CONTINUATION => match frame::block(header, payload) {
                Some((part, promised)) => (part, promised),
                None => {
                    *at += 1;
                    self.lose(role, Problem::Malformed, 1, false, cx);
                    return true;
                }
            },
            payload => (payload.unwrap_or_default(), 0),
        };
        if !too_large {
            place.block = part.len() as u64;
        }
        let block = &mut direction.block;
        if header.kind != frame::CONTINUATION {
            let end_stream = header.kind == frame::HEADERS && header.has(frame::END_STREAM);
            block.start(header.stream, promised, end_stream, place);
            if header.has(frame::END_HEADERS) && !too_large {
                // The usual block is in one frame, and is not copied.
                block.stream = 0;
                self.block(role, header.stream, promised, end_stream, part, &place, cx);
                *at += whole;
                return true;
            }
        } else {
            block.place.bytes += place.bytes;
            block.place.block += place.block;
            block.place.last = place.last;
        }
        block.too_large = too_large;
        if !too_large {
            block.bytes.extend_from_slice(part);
        }
        if header.has(frame::END_HEADERS) {
            self.block_end(role, cx);
        }
        // The rest of a frame that is too large may not be there yet.
        let n = whole.min(rest.len());
        *at += n;
        self.direction(role).state = if n < whole { State::Pass((whole - n) as u64) } else { State::Frame };
        true
    }

    /// The last frame of a block of several, or of one that is too large, has come.
    fn block_end(&mut self, role: Role, cx: &mut Context<'_>) {
        let block = std::mem::take(&mut self.direction(role).block);
        let Block { mut bytes, stream, promised, end_stream, too_large, place } = block;
        if too_large {
            cx.problem(Problem::MessageTooLarge, place.block);
            self.direction(role).decoder.forget();
            self.streams.unreadable(role, stream, &place, cx);
            if end_stream {
                self.streams.end_stream(role, stream, cx);
            }
        } else {
            self.block(role, stream, promised, end_stream, &bytes, &place, cx);
        }
        bytes.clear();
        bytes.shrink_to(KEEP_BLOCK);
        self.direction(role).block.bytes = bytes;
    }

    /// A whole header block.
    #[expect(clippy::too_many_arguments, reason = "what the frames said")]
    fn block(
        &mut self,
        role: Role,
        stream: u32,
        promised: u32,
        end_stream: bool,
        block: &[u8],
        place: &Place,
        cx: &mut Context<'_>,
    ) {
        let mut message = Message::take();
        let (limit, mut unknown, mut left_out) = (cx.limits.header_list, 0, 0);
        let direction = &mut self.directions[role.index()];
        let decoded = direction.decoder.decode(block, cx.limits.header_table, |Field { name, value }| {
            unknown += u32::from(name.is_none() || value.is_none());
            let (name, value) = (name.unwrap_or(UNKNOWN), value.unwrap_or(UNKNOWN));
            if !message.head.push(name, value, limit) {
                left_out += name.len() as u64 + value.len() as u64;
            }
        });
        if left_out > 0 {
            cx.problem(Problem::MessageTooLarge, left_out);
        }
        if unknown > 0 {
            cx.problem(Problem::UnknownHeader, place.block);
        }
        match decoded {
            Ok(()) => {
                message.head.seal(VERSION);
                if promised == 0 {
                    self.streams.headers(role, stream, message, unknown, place, cx);
                } else if role == Role::Server {
                    self.streams.promise(promised, message, unknown, place, cx);
                } else {
                    message.give_back();
                }
            }
            Err(BadBlock) => {
                message.give_back();
                cx.problem(Problem::Malformed, place.block);
                self.streams.unreadable(role, stream, place, cx);
            }
        }
        if end_stream {
            self.streams.end_stream(role, stream, cx);
        }
    }
}
