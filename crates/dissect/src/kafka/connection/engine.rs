//! What the engine calls.

use remora_model::Incomplete;

use super::{Begin, Kafka, Progress, Side};
use crate::{Context, Dissector, Ending, Problem, Role, Taken};

impl Dissector for Kafka {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.side(role).lost {
                match self.resync(role, bytes.get(at..).unwrap_or_default(), cx) {
                    Ok(start) => at += start,
                    Err(taken) => return Taken::Bytes(at + taken),
                }
            }
            if self.side(role).open.is_none() {
                match self.begin(role, at, bytes, cx) {
                    Begin::Message(len) => at += len,
                    Begin::More => return Taken::Bytes(at),
                    Begin::Lost(problem) => {
                        cx.problem(problem, 1);
                        self.lose(role, at, cx);
                        at += 1;
                        continue;
                    }
                }
            }
            match self.proceed(role, at, bytes, cx) {
                Progress::Done(end) => {
                    at = end;
                    self.complete(role, at, None, cx);
                }
                Progress::More(at) => return Taken::Bytes(at),
                Progress::Skip(n) => return Taken::AndSkip(n),
            }
        }
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        let side = self.side(role);
        // After a gap the engine passes over more bytes, which is reported as another one.
        if side.lost {
            return;
        }
        match &mut side.open {
            Some(open) if cx.pos.saturating_add(len) <= open.end => {
                open.incomplete = Some(Incomplete::Gap);
                // Within records or other bytes of known length only they are lost.
                if open.reading && side.walker.blob_left() >= len {
                    side.walker.pass(len);
                    side.message.pass(len);
                } else {
                    open.reading = false;
                }
            }
            _ => self.lose(role, 0, cx),
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.sides[role.index()].lost
    }

    fn skipped(&mut self, role: Role, _: u64, cx: &mut Context<'_>) {
        // Ends the message if that was the last of it.
        self.data(role, &[], cx);
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        let Side { open, lost, .. } = self.side(role);
        match (*open, *lost) {
            (Some(open), _) => {
                let whole = open.end <= cx.pos.saturating_add(rest.len() as u64);
                self.complete(role, rest.len(), (!whole).then_some(partial), cx);
            }
            (None, _) if rest.is_empty() => {}
            (None, true) => cx.problem(Problem::Unsynced, rest.len() as u64),
            (None, false) => cx.problem(Problem::Malformed, rest.len() as u64),
        }
        // After the client's end the server may go on answering.
        self.server_ended |= role == Role::Server;
        while self.server_ended && !self.pending.is_empty() {
            self.give_up(why, cx);
        }
    }

    fn is_busy(&self) -> bool {
        !self.pending.is_empty() || self.sides.iter().any(|s| s.open.is_some())
    }

    fn memory(&self) -> usize {
        let sides = self.sides.iter().map(|s| s.message.memory() + s.walker.memory()).sum::<usize>();
        let current = self.asking.memory() + self.answering.as_ref().map_or(0, |p| p.memory());
        size_of::<Self>() + sides + self.spare_held + current + self.held + self.ids.memory()
    }
}
