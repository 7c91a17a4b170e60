//! What the engine calls.

use remora_model::Incomplete;

use super::connection::{Mode, Smtp};
use super::detect;
use super::reply::{self, Front};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Bytes of the longest command line, and of the longest reply. Commands have 512 and AUTH 12288 at
/// most (RFC 4954, section 4).
const MAX_LINE: usize = 16 << 10;
const MAX_REPLY: usize = 64 << 10;

/// Bytes of an unfinished line of content that are taken all the same.
const LONG_LINE: usize = 2 << 10;

/// Bytes at the end of unusable data in which the beginning of a line may lie.
const TAIL: usize = 512;

impl Smtp {
    fn client_data(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match self.mode {
                Mode::Wait => return Taken::Bytes(at),
                Mode::Data => match self.content(at, rest, cx) {
                    0 => return Taken::Bytes(at),
                    n => at += n,
                },
                Mode::Chunk(left) => {
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let part = rest.get(..n).unwrap_or_default();
                    let seen = Seen::within(cx, at, at + n);
                    let mut full = false;
                    if let Some(e) = self.pending.back_mut() {
                        e.continued(seen);
                        e.mail.add(part, cx.limits.payload);
                        full = e.mail.cut() > 0;
                    }
                    at += n;
                    let left = left - n as u64;
                    self.mode = Mode::Chunk(left);
                    if left == 0 {
                        self.content_ended(cx);
                        continue;
                    }
                    if full {
                        return Taken::AndSkip(left);
                    }
                    return Taken::Bytes(at);
                }
                Mode::Command | Mode::Token => {
                    if self.lost[Role::Client.index()] {
                        match self.resync(Role::Client, rest, cx) {
                            Ok(n) => at += n,
                            Err(n) => return Taken::Bytes(at + n),
                        }
                        continue;
                    }
                    let Some(end) = memchr::memchr(b'\n', rest) else {
                        if rest.len() > MAX_LINE {
                            self.fault(Role::Client, rest.len(), cx);
                            return Taken::Bytes(bytes.len());
                        }
                        return Taken::Bytes(at);
                    };
                    let line = rest.get(..end).unwrap_or_default();
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    let seen = Seen::within(cx, at, at + end + 1);
                    at += end + 1;
                    if self.mode == Mode::Token {
                        self.token(seen);
                    } else if line.iter().any(|b| matches!(b, 0..=8 | 14..=31)) {
                        // No text: another protocol, or a position in the middle of something.
                        self.fault(Role::Client, end + 1, cx);
                    } else {
                        self.command(line, seen, cx);
                    }
                }
            }
        }
    }

    /// Takes content line by line, and says how much.
    fn content(&mut self, at: usize, rest: &[u8], cx: &mut Context<'_>) -> usize {
        if rest.is_empty() {
            return 0;
        }
        let line = match memchr::memchr(b'\n', rest) {
            Some(end) => rest.get(..=end).unwrap_or_default(),
            // All but what may be the beginning of its end.
            None if rest.len() > LONG_LINE => rest.strip_suffix(b"\r").unwrap_or(rest),
            None => return 0,
        };
        let seen = Seen::within(cx, at, at + line.len());
        let over = self.at_line && line == b".\r\n";
        // A dot in front of a line that begins with one is not part of it (RFC 5321, section 4.5.2).
        let shown = if self.at_line { line.strip_prefix(b".").unwrap_or(line) } else { line };
        self.at_line = line.ends_with(b"\r\n");
        if let Some(e) = self.pending.back_mut() {
            e.continued(seen);
            if !over {
                e.mail.add(shown, cx.limits.payload);
            }
        }
        if over {
            self.content_ended(cx);
        }
        line.len()
    }

    fn server_data(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.lost[Role::Server.index()] {
                match self.resync(Role::Server, rest, cx) {
                    Ok(n) => at += n,
                    Err(n) => return Taken::Bytes(at + n),
                }
                continue;
            }
            match reply::front(rest) {
                Front::More if rest.len() <= MAX_REPLY => return Taken::Bytes(at),
                Front::More | Front::Bad => {
                    self.fault(Role::Server, rest.len(), cx);
                    return Taken::Bytes(bytes.len());
                }
                Front::Whole(reply, n) => {
                    let seen = Seen::within(cx, at, at + n);
                    at += n;
                    if self.reply(reply, seen, cx) {
                        return Taken::Handover(at);
                    }
                }
            }
        }
    }

    fn fault(&mut self, role: Role, bytes: usize, cx: &mut Context<'_>) {
        cx.problem(Problem::Malformed, bytes as u64);
        self.lost[role.index()] = true;
        self.doubt(cx);
    }

    /// Finds the next line of `role`. `Err`: bytes to take.
    fn resync(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Result<usize, usize> {
        let found = detect::resync(bytes, role).ok_or(bytes.len().saturating_sub(TAIL));
        let (Ok(passed) | Err(passed)) = found;
        if passed > 0 {
            cx.problem(Problem::Unsynced, passed as u64);
        }
        self.lost[role.index()] = found.is_err();
        found
    }
}

impl Dissector for Smtp {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        match role {
            Role::Client => self.client_data(bytes, cx),
            Role::Server => self.server_data(bytes, cx),
        }
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        if self.lost[role.index()] {
            // What was asked since may have been answered in these as well.
            return self.doubt(cx);
        }
        // Within content only content is lost.
        let kept = match (role, self.mode) {
            (Role::Client, Mode::Data) => true,
            (Role::Client, Mode::Chunk(left)) => left >= len,
            _ => false,
        };
        if !kept {
            self.lost[role.index()] = true;
            self.doubt(cx);
            return;
        }
        self.at_line = false;
        if let Some(e) = self.pending.back_mut() {
            e.incomplete = Some(Incomplete::Gap);
            e.torn = self.mode == Mode::Data;
            e.mail.pass(len);
        }
        if let Mode::Chunk(left) = self.mode {
            self.mode = Mode::Chunk(left - len);
            if left == len {
                self.content_ended(cx);
            }
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.lost[role.index()]
    }

    fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        let Mode::Chunk(left) = self.mode else { return };
        if role == Role::Client {
            if let Some(e) = self.pending.back_mut() {
                e.mail.pass(left);
                let seen = Seen::within(cx, 0, 0);
                e.continued(Seen { bytes: i64::try_from(left).unwrap_or(i64::MAX), ..seen });
                if missing > 0 {
                    e.incomplete = Some(Incomplete::Gap);
                }
            }
            self.content_ended(cx);
        }
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        let in_content = matches!(self.mode, Mode::Data | Mode::Chunk(_));
        if role == Role::Client && in_content {
            if let Some(e) = self.pending.back_mut() {
                e.incomplete = e.incomplete.or(Some(partial));
                e.mail.add(rest, cx.limits.payload);
            }
        } else if !rest.is_empty() {
            let problem = match (self.lost[role.index()], self.mode) {
                (true, _) => Problem::Unsynced,
                (false, Mode::Wait) if role == Role::Client => Problem::Opaque,
                _ => Problem::Malformed,
            };
            cx.problem(problem, rest.len() as u64);
        }
        // After the client's end the server may go on answering.
        self.server_ended |= role == Role::Server;
        if self.server_ended {
            self.give_up(why, cx);
        }
    }

    fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.memory_held()
    }
}

#[cfg(test)]
mod tests;
