//! What the engine asks of a connection: to look at bytes, to know of missing ones, to end.

use remora_model::{Incomplete, Timestamp};

use super::body::Body;
use super::{Http, State};
use crate::{Context, Dissector, Ending, Problem, Role, Taken};

impl Dissector for Http {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        let direction = self.direction(role);
        direction.skip = None;
        direction.half = false;
        while self.step(role, bytes, &mut at, cx) {}
        let direction = &mut self.directions[role.index()];
        direction.pos = cx.pos + at as u64;
        if let (State::Upgraded, Some(next)) = (&direction.state, &mut self.next) {
            return next.read(role, bytes, at, cx);
        }
        if let (State::Socket, Some(socket)) = (&direction.state, &mut self.socket) {
            return socket.data(role, bytes, at, cx);
        }
        let unwanted = match &direction.state {
            State::Opaque => return Taken::Handover(at),
            State::Body(body) if at == bytes.len() => {
                self.exchange.open(role).and_then(|m| body.unwanted(m, cx.limits))
            }
            _ => None,
        };
        match unwanted {
            Some(n) if n > 0 => {
                direction.skip = Some(n);
                Taken::AndSkip(n)
            }
            _ => Taken::Bytes(at),
        }
    }

    fn joined(&mut self, role: Role, _: u64) -> bool {
        self.exchange.joined(role);
        false
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        if let (State::Upgraded, Some(next)) = (self.direction(role).state, &mut self.next) {
            return next.gap(role, len, cx);
        }
        if let (State::Socket, Some(socket)) = (self.direction(role).state, &mut self.socket) {
            return socket.gap(role, len, cx);
        }
        let direction = self.direction(role);
        // What was shown and not taken is lost with the gap.
        let lost = cx.pos.saturating_add(len).saturating_sub(direction.pos).max(len);
        direction.pos = direction.pos.saturating_add(lost);
        // A head of which a part was there has taken its place in the order.
        let half = std::mem::take(&mut direction.half)
            && matches!(direction.state, State::Head(_))
            && self.partial(role, Incomplete::Gap, cx);
        self.exchange.lost_bytes();
        match self.direction(role).state {
            State::Socket => {
                // The head that was lost in part is the one that led to it.
                if let Some(socket) = &mut self.socket {
                    socket.gap(role, lost, cx);
                }
            }
            State::Opaque | State::Upgraded | State::Lost(..) => {}
            State::Head(_) => self.lose(role, Problem::Unsynced, 0, !half),
            State::Body(_) => self.pass(role, lost, lost, cx),
        }
    }

    fn in_sync(&self, _: Role) -> bool {
        // It looks for the next message itself, as it must behind malformed bytes.
        true
    }

    fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        if let (State::Upgraded, Some(next)) = (self.direction(role).state, &mut self.next) {
            return next.skipped(role, missing, cx);
        }
        if let (State::Socket, Some(socket)) = (self.direction(role).state, &mut self.socket) {
            return socket.skipped(role, missing, cx);
        }
        let direction = self.direction(role);
        if let Some(n) = direction.skip.take() {
            direction.pos = direction.pos.saturating_add(n);
            self.pass(role, n, missing.min(n), cx);
        }
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        if let Some(next) = &mut self.next {
            let upgraded = matches!(self.directions[role.index()].state, State::Upgraded);
            next.end(role, if upgraded { rest } else { b"" }, how, cx);
        }
        if let (State::Socket, Some(socket)) = (self.direction(role).state, &mut self.socket) {
            socket.end(role, rest, how, cx);
            return self.exchange.end(role, how, cx);
        }
        let direction = self.direction(role);
        let seen = cx.pos.saturating_sub(direction.pos);
        if let Some(asked) = direction.skip.take() {
            self.pass(role, seen.min(asked), 0, cx);
        }
        let early = if how == Ending::Reset { Incomplete::Reset } else { Incomplete::Truncated };
        match self.direction(role).state {
            State::Opaque | State::Upgraded | State::Socket => {}
            State::Lost(why, passed) => {
                let passed = passed.saturating_add(rest.len() as u64);
                if passed > 0 {
                    cx.problem(why, passed);
                }
            }
            State::Head(_) => {
                let half = std::mem::take(&mut self.direction(role).half);
                if half && self.partial(role, early, cx) {
                    // What was there of it has been reported.
                } else if rest.iter().any(|b| !matches!(b, b'\r' | b'\n')) {
                    cx.problem(Problem::Malformed, rest.len() as u64);
                    if role == Role::Server {
                        self.exchange.response_cut(early);
                    }
                }
            }
            State::Body(body) => {
                let omitted = self.exchange.may_omit_body(role);
                let closed = matches!(body, Body::UntilClose) && how == Ending::Closed;
                if let Some(message) = self.exchange.open(role).filter(|_| !omitted && !closed) {
                    message.cut = true;
                    message.mark(early);
                }
                self.exchange.finish(role, omitted || closed, cx);
            }
        }
        let direction = self.direction(role);
        direction.half = false;
        if !matches!(direction.state, State::Opaque | State::Upgraded | State::Socket) {
            direction.state = State::default();
        }
        self.exchange.end(role, how, cx);
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        // A request may wait as long as its connection lives: slow responses and long polls are
        // legal. `Limits::pending` and `Limits::idle` bound what waits.
        if let Some(next) = &mut self.next {
            next.tick(now, cx);
        }
    }

    fn awaits_time(&self) -> bool {
        self.next.as_ref().is_some_and(|next| next.awaits_time())
    }

    fn is_busy(&self) -> bool {
        self.exchange.is_busy()
            || self.directions.iter().any(|d| d.half)
            || self.next.as_ref().is_some_and(|n| n.is_busy())
            || self.socket.as_ref().is_some_and(|s| s.is_busy())
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.exchange.memory()
            + self.directions.iter().map(|d| d.front.memory()).sum::<usize>()
            + self.next.as_ref().map_or(0, |n| n.memory())
            + self.socket.as_ref().map_or(0, |s| s.memory())
    }
}
