//! What the engine calls.

use remora_model::Incomplete;

use super::connection::{Begin, Mongo};
use super::reader::Progress;
use crate::{Context, Dissector, Ending, Problem, Role, Taken};

impl Dissector for Mongo {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.is_lost(role) {
                match self.resync(role, bytes.get(at..).unwrap_or_default(), cx) {
                    Ok(start) => at += start,
                    Err(taken) => return Taken::Bytes(at + taken),
                }
            }
            if !self.is_open(role) {
                match self.begin(role, at, bytes, cx) {
                    Begin::Message(len) => at += len,
                    Begin::More => return Taken::Bytes(at),
                    Begin::Lost => {
                        cx.problem(Problem::Malformed, 1);
                        self.lose(role, at, cx);
                        at += 1;
                        continue;
                    }
                }
            }
            let progress;
            (at, progress) = self.proceed(role, at, bytes, cx);
            match progress {
                Progress::Done => self.complete(role, at, None, cx),
                Progress::Skip(n) => {
                    self.skipping(role, n);
                    return Taken::AndSkip(n);
                }
                Progress::More | Progress::Opaque | Progress::Fault => return Taken::Bytes(at),
            }
        }
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        self.missing(role, len, cx);
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.is_lost(role)
    }

    fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        self.passed(role, missing > 0);
        // Ends the message if that was the last of it.
        self.data(role, &[], cx);
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        match self.open_end(role) {
            Some(end) => {
                let whole = end <= cx.pos.saturating_add(rest.len() as u64);
                self.complete(role, rest.len(), (!whole).then_some(partial), cx);
            }
            None if rest.is_empty() => {}
            None if self.is_lost(role) => cx.problem(Problem::Unsynced, rest.len() as u64),
            None => cx.problem(Problem::Malformed, rest.len() as u64),
        }
        self.ended(role, why, cx);
    }

    fn is_busy(&self) -> bool {
        self.is_waiting()
    }

    fn memory(&self) -> usize {
        self.held()
    }
}
