//! A dissector that writes down everything it is shown, in a log of the thread.

use std::cell::RefCell;

use remora_dissect::detect::Entry;
use remora_dissect::{Context, Dissector, Ending, Limits, Role, Taken, Verdict};
use remora_model::{Protocol, Timestamp, Transport};

/// What a dissector was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Data(Role, Vec<u8>),
    Gap(Role, u64),
    Skipped(Role, u64),
    End(Role, Ending),
}

/// How the tape behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Takes bytes in whole units of this size.
    pub unit: usize,
    /// Says that it is in sync after a gap.
    pub in_sync: bool,
    /// Asks to skip so many bytes whenever a `#` is taken as the last byte of what is shown.
    pub skip: u64,
}

impl Default for Manner {
    fn default() -> Self {
        Self { unit: 1, in_sync: true, skip: 0 }
    }
}

thread_local! {
    static LOG: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    static MANNER: RefCell<Manner> = RefCell::new(Manner::default());
}

pub fn set_manner(manner: Manner) {
    MANNER.with(|m| *m.borrow_mut() = manner);
}

/// Takes the log.
pub fn take() -> Vec<Event> {
    LOG.with(|l| std::mem::take(&mut *l.borrow_mut()))
}

/// A log without the seams between neighbours of the same kind and role; the directions are
/// looked at one by one because their interleaving depends on the packets.
pub fn joined(log: &[Event], role: Role) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    for event in log {
        match (out.last_mut(), event) {
            (Some(Event::Data(_, all)), Event::Data(r, more)) if *r == role => all.extend_from_slice(more),
            (Some(Event::Gap(_, all)), Event::Gap(r, more)) if *r == role => *all += more,
            (_, Event::Data(r, _) | Event::Gap(r, _) | Event::Skipped(r, _) | Event::End(r, _))
                if *r == role =>
            {
                out.push(event.clone());
            }
            _ => {}
        }
    }
    out
}

struct Tape {
    manner: Manner,
    last_time: [Timestamp; 2],
    pos: [Option<u64>; 2],
}

fn log(event: Event) {
    LOG.with(|l| l.borrow_mut().push(event));
}

impl Dissector for Tape {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        assert!(!bytes.is_empty() || cx.transport == Transport::Udp, "nothing is never shown");
        assert!(self.pos[role.index()].is_none_or(|p| p == cx.pos), "positions have no jumps");
        let (first, last) = (cx.time_at(0), cx.time_at(bytes.len()));
        assert!(first <= last && self.last_time[role.index()] <= last, "time does not run backwards");
        self.last_time[role.index()] = last;
        let n = if cx.transport == Transport::Udp {
            bytes.len()
        } else {
            bytes.len() / self.manner.unit * self.manner.unit
        };
        if n > 0 {
            log(Event::Data(role, bytes[..n].to_vec()));
        }
        self.pos[role.index()] = Some(cx.pos + n as u64);
        if self.manner.skip > 0 && n == bytes.len() && bytes.ends_with(b"#") {
            return Taken::AndSkip(self.manner.skip);
        }
        Taken::Bytes(n)
    }
    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        self.pos[role.index()] = Some(cx.pos + len);
        log(Event::Gap(role, len));
    }
    fn in_sync(&self, _: Role) -> bool {
        self.manner.in_sync
    }
    fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        self.pos[role.index()] = Some(cx.pos);
        log(Event::Skipped(role, missing));
    }
    fn end(&mut self, role: Role, rest: &[u8], how: Ending, _: &mut Context<'_>) {
        if !rest.is_empty() {
            log(Event::Data(role, rest.to_vec()));
        }
        log(Event::End(role, how));
    }
    fn is_busy(&self) -> bool {
        false
    }
    fn memory(&self) -> usize {
        64
    }
}

/// `>` begins a client's stream, `<` a server's; either begins a message after a gap.
fn probe(bytes: &[u8], _: Transport) -> Verdict {
    match bytes.first() {
        Some(b'>') => Verdict::Match(Role::Client),
        Some(b'<') => Verdict::Match(Role::Server),
        Some(_) => Verdict::No,
        None => Verdict::NeedMore,
    }
}

fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    let mark = if role == Role::Client { b'>' } else { b'<' };
    bytes.iter().position(|&b| b == mark)
}

fn start(_: &Limits, _: Transport) -> Box<dyn Dissector> {
    Box::new(Tape { manner: MANNER.with(|m| *m.borrow()), last_time: [Timestamp(0); 2], pos: [None; 2] })
}

/// The tape as the only protocol.
pub static TAPE: &[Entry] = &[Entry {
    protocol: Protocol::Http,
    transports: &[Transport::Tcp, Transport::Udp],
    ports: &[],
    probe,
    resync,
    start,
}];
