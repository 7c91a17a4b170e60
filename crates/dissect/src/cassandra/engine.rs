//! What the engine calls.

use remora_model::Incomplete;

use super::connection::{Cassandra, Progress};
use crate::{Context, Dissector, Ending, Problem, Role, Taken};

impl Dissector for Cassandra {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.is_lost(role) {
                match self.resync(role, bytes.get(at..).unwrap_or_default(), cx) {
                    Ok(start) => at += start,
                    Err(taken) => return Taken::Bytes(at + taken),
                }
            }
            match self.step(role, at, bytes, cx) {
                Progress::To(end) => at = end,
                Progress::More => return Taken::Bytes(at),
                Progress::Skip(n) => return Taken::AndSkip(n),
                Progress::Fault => {
                    cx.problem(Problem::Malformed, 1);
                    self.lose(role, at, cx);
                    at += 1;
                }
            }
        }
    }

    fn gap(&mut self, role: Role, _: u64, cx: &mut Context<'_>) {
        // After a gap the engine passes over more bytes, which is reported as another one.
        if !self.is_lost(role) {
            self.lose(role, 0, cx);
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.is_lost(role)
    }

    fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        self.passed(role, missing, cx);
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        self.ended(role, rest, partial, why, cx);
    }

    fn is_busy(&self) -> bool {
        self.is_waiting()
    }

    fn memory(&self) -> usize {
        self.held()
    }
}
