//! Control frames: pings with their pongs, and the closing handshake.

use std::collections::VecDeque;

use remora_model::Incomplete;

use super::frame::{self, CONTROL_MAX};
use super::handshake::Handshake;
use crate::seen::Seen;
use crate::{Context, Ending, Problem, Role};

/// Pings of one side that wait for their pongs at once.
const PINGS: usize = 16;

/// A control frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) seen: Seen,
    payload: [u8; CONTROL_MAX],
    len: u8,
    /// Bytes of it are missing.
    torn: bool,
}

impl Frame {
    fn new(bytes: &[u8], seen: Seen, torn: bool) -> Self {
        let mut payload = [0; CONTROL_MAX];
        let len = bytes.len().min(CONTROL_MAX);
        if let Some(room) = payload.get_mut(..len) {
            room.copy_from_slice(bytes.get(..len).unwrap_or_default());
        }
        Self { seen, payload, len: len as u8, torn }
    }

    /// Its payload without the mask; none where bytes of it are missing.
    pub(super) fn payload(&self) -> &[u8] {
        if self.torn { b"" } else { self.payload.get(..usize::from(self.len)).unwrap_or_default() }
    }

    /// Bytes of its payload.
    pub(super) fn size(&self) -> u64 {
        u64::from(self.len)
    }

    /// Why it is not whole.
    pub(super) fn incomplete(&self) -> Option<Incomplete> {
        self.torn.then_some(Incomplete::Gap)
    }
}

/// The control frames that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// By who sent them, in the order in which they were sent.
    pings: [VecDeque<Frame>; 2],
    /// The first closing frame, and who sent it.
    close: Option<(Role, Frame)>,
    /// Frames were missed: what answers them seems to stand alone.
    missed: bool,
}

impl Control {
    /// Where the connection is joined if `missed`.
    pub(super) fn new(missed: bool) -> Self {
        Self { missed, ..Self::default() }
    }

    /// Frames are missing: a ping may have been answered in them, and what comes may answer another.
    pub(super) fn lose(&mut self, handshake: &Handshake, cx: &mut Context<'_>) {
        self.missed = true;
        for role in [Role::Client, Role::Server] {
            for ping in self.pings[role.index()].drain(..) {
                handshake.control(role, frame::PING, &ping, None, Some(Incomplete::Gap), cx);
            }
        }
    }

    /// True when frames were missed.
    pub(super) fn has_missed(&self) -> bool {
        self.missed
    }

    /// A control frame of `role` has come.
    #[expect(clippy::too_many_arguments, reason = "what the frame said")]
    pub(super) fn frame(
        &mut self,
        role: Role,
        opcode: u8,
        payload: &[u8],
        seen: Seen,
        torn: bool,
        handshake: &Handshake,
        cx: &mut Context<'_>,
    ) {
        let frame = Frame::new(payload, seen, torn);
        match opcode {
            frame::PING => {
                let waiting = &mut self.pings[role.index()];
                if waiting.len() >= PINGS.min(cx.limits.pending.max(1)) {
                    cx.problem(Problem::TooManyPending, 0);
                    if let Some(ping) = waiting.pop_front() {
                        handshake.control(role, opcode, &ping, None, Some(Incomplete::NoResponse), cx);
                    }
                }
                waiting.push_back(frame);
            }
            frame::PONG => {
                let waiting = &mut self.pings[role.other().index()];
                let fits = |ping: &Frame| ping.payload() == frame.payload() && !ping.torn && !torn;
                let Some(i) = waiting.iter().position(fits) else {
                    // One that nobody asked for (RFC 6455 section 5.5.3), or whose ping was missed.
                    let doubt = self.missed || waiting.iter().any(|ping| ping.torn);
                    let why = doubt.then_some(Incomplete::NoRequest);
                    return handshake.control(role, opcode, &frame, None, why, cx);
                };
                // A pong answers the newest ping; those before it may stay without.
                for ping in waiting.drain(..i) {
                    handshake.control(
                        role.other(),
                        frame::PING,
                        &ping,
                        None,
                        Some(Incomplete::NoResponse),
                        cx,
                    );
                }
                if let Some(ping) = waiting.pop_front() {
                    handshake.control(role.other(), frame::PING, &ping, Some(&frame), None, cx);
                }
            }
            _ => match self.close.take() {
                Some((first, close)) if first != role => {
                    handshake.control(first, frame::CLOSE, &close, Some(&frame), None, cx);
                }
                _ => self.close = Some((role, frame)),
            },
        }
    }

    /// Nothing more comes from `role`.
    pub(super) fn end(&mut self, role: Role, how: Ending, handshake: &Handshake, cx: &mut Context<'_>) {
        // Who has closed owes no pongs.
        let why = if how == Ending::Reset { Incomplete::Reset } else { Incomplete::NoResponse };
        for ping in self.pings[role.other().index()].drain(..) {
            handshake.control(role.other(), frame::PING, &ping, None, Some(why), cx);
        }
        if let Some((first, close)) = self.close.take_if(|(first, _)| *first != role) {
            // It may have answered one that was missed.
            let why = if self.missed { Incomplete::Gap } else { why };
            handshake.control(first, frame::CLOSE, &close, None, Some(why), cx);
        }
    }

    /// True while one waits.
    pub(super) fn is_busy(&self) -> bool {
        self.close.is_some() || self.pings.iter().any(|p| !p.is_empty())
    }

    /// Bytes of memory behind it.
    pub(super) fn memory(&self) -> usize {
        self.pings.iter().map(|p| p.capacity() * size_of::<Frame>()).sum()
    }
}
