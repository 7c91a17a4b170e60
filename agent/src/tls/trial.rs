//! Keeps the plaintext of functions on trial back until there is a verdict, see `verdict`.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use remora_abi::{TlsHeader, TlsTrace, tls_event, tls_flags};
use remora_model::Timestamp;

use super::modules::{extent, mappings};
use super::verdict::{Accused, Verdict, Verdicts};

/// Plaintext waits for a verdict so long at most, and so much of it.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 8 << 20;
const MOST_PIECES: usize = 16_384;
/// Functions of processes whose files are remembered.
const MOST_PLACES: usize = 16_384;

/// A function in a process.
#[derive(Clone, Debug)]
struct Place {
    accused: Accused,
    extent: Range<u64>,
}

struct Held {
    accused: Accused,
    ts: Timestamp,
    header: TlsHeader,
    data: Box<[u8]>,
}

/// The reader's side of the trials.
pub(super) struct Trials {
    verdicts: Verdicts,
    /// By process and address; `None`: nobody is accused of it.
    places: HashMap<(u32, u32), Option<Place>>,
    held: VecDeque<Held>,
    bytes: usize,
    decided: bool,
}

impl Trials {
    pub(super) fn new(verdicts: Verdicts) -> Self {
        Self { verdicts, places: HashMap::new(), held: VecDeque::new(), bytes: 0, decided: false }
    }

    /// Looks at how a call went.
    pub(super) fn hear(&mut self, trace: &TlsTrace) {
        if let Some(Place { accused, extent }) = self.place(trace.tgid, trace.code).cloned() {
            self.decided |= self.verdicts.hear(&accused, trace, &extent);
        }
    }

    /// Gives on a record, unless it must wait or is not believed.
    pub(super) fn sift(
        &mut self,
        ts: Timestamp,
        header: &TlsHeader,
        data: Box<[u8]>,
        on: &mut impl FnMut(Timestamp, &TlsHeader, Box<[u8]>),
    ) {
        let is_of_one = matches!(header.event, tls_event::DATA | tls_event::ROUTE);
        if !is_of_one || header.flags & tls_flags::TRIAL == 0 {
            if matches!(header.event, tls_event::EXEC | tls_event::EXIT) && !self.places.is_empty() {
                self.places.retain(|(tgid, _), _| *tgid != header.tgid);
            }
            return on(ts, header, data);
        }
        let accused = self.place(header.tgid, header.code).map(|place| place.accused);
        match accused.and_then(|accused| self.verdicts.of(&accused).map(|verdict| (accused, verdict))) {
            Some((_, Verdict::Believed)) => on(ts, header, data),
            Some((accused, Verdict::Open)) => {
                self.bytes += data.len();
                self.held.push_back(Held { accused, ts, header: *header, data });
                while self.bytes > MOST_BYTES || self.held.len() > MOST_PIECES {
                    self.lose_first();
                }
            }
            Some((_, Verdict::Refused(_))) | None => self.verdicts.lose(u64::from(header.len)),
        }
    }

    /// Gives on what has waited for verdicts that were found since. Afterwards nothing of that waits.
    pub(super) fn turn(
        &mut self,
        now: Timestamp,
        last: bool,
        on: &mut impl FnMut(Timestamp, &TlsHeader, Box<[u8]>),
    ) {
        if std::mem::take(&mut self.decided) {
            for held in std::mem::take(&mut self.held) {
                match self.verdicts.of(&held.accused) {
                    Some(Verdict::Open) => {
                        self.held.push_back(held);
                        continue;
                    }
                    verdict => {
                        self.bytes = self.bytes.saturating_sub(held.data.len());
                        match verdict {
                            Some(Verdict::Believed) => on(held.ts, &held.header, held.data),
                            _ => self.verdicts.lose(u64::from(held.header.len)),
                        }
                    }
                }
            }
        }
        while self.held.front().is_some_and(|held| last || held.ts.plus(PATIENCE) < now) {
            self.lose_first();
        }
    }

    fn lose_first(&mut self) {
        if let Some(held) = self.held.pop_front() {
            self.bytes = self.bytes.saturating_sub(held.data.len());
            self.verdicts.lose(u64::from(held.header.len));
        }
    }

    /// Which file a function of a process is from.
    fn place(&mut self, tgid: u32, code: u32) -> Option<&Place> {
        if !self.places.contains_key(&(tgid, code)) {
            let place = self.locate(tgid, code)?;
            if self.places.len() >= MOST_PLACES {
                self.places.clear();
            }
            self.places.insert((tgid, code), place);
        }
        self.places.get(&(tgid, code))?.as_ref()
    }

    /// `None`: the process is gone.
    fn locate(&self, tgid: u32, code: u32) -> Option<Option<Place>> {
        let mappings = mappings(tgid);
        if mappings.is_empty() {
            return None;
        }
        let find = |m: &super::modules::Mapping| {
            let length = m.at.end.saturating_sub(m.at.start);
            // Probes are at offsets of files; of the address only the low half is known.
            let is_it = |entry: u64| {
                entry.checked_sub(m.offset).is_some_and(|into| {
                    into < length && m.at.start.wrapping_add(into) & 0xffff_ffff == u64::from(code)
                })
            };
            self.verdicts.find(m.key, is_it)
        };
        let accused = mappings.iter().filter(|m| m.is_code).find_map(find);
        Some(accused.and_then(|accused| Some(Place { accused, extent: extent(&mappings, accused.0)? })))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use remora_abi::{direction, tls_method};
    use remora_tlsfind::Kind;

    use super::*;

    /// A function of this very program, as if it had been found by a guess.
    fn accuse(verdicts: &Verdicts) -> (Accused, TlsTrace) {
        let pid = std::process::id();
        let mappings = mappings(pid);
        let text = mappings.iter().find(|m| m.is_code).unwrap();
        let accused = (text.key, Kind::BoringSsl);
        verdicts.open(accused, vec![text.offset + 0x40]);
        let trace = TlsTrace {
            code: (text.at.start + 0x40) as u32,
            tgid: pid,
            handle: 1,
            head: [text.at.start, 0, 0, 0],
            asked: 10,
            returned: 10,
            direction: direction::INGRESS,
            method: tls_method::NESTED,
        };
        (accused, trace)
    }

    fn text(text: &str) -> Box<[u8]> {
        text.as_bytes().into()
    }

    fn piece(trace: &TlsTrace, len: u32) -> TlsHeader {
        let (event, flags) = (tls_event::DATA, tls_flags::TRIAL);
        TlsHeader { tgid: trace.tgid, code: trace.code, len, event, flags, ..TlsHeader::default() }
    }

    #[test]
    fn plaintext_waits_for_the_verdict() {
        let verdicts = Verdicts::default();
        let (_, read) = accuse(&verdicts);
        let mut trials = Trials::new(verdicts.clone());
        let mut seen = Vec::new();
        let mut on = |ts: Timestamp, header: &TlsHeader, _: Box<[u8]>| seen.push((ts.0, header.len));
        trials.sift(Timestamp(1), &piece(&read, 1), text("a"), &mut on);
        trials.sift(Timestamp(2), &TlsHeader { len: 2, ..TlsHeader::default() }, text(""), &mut on);
        for direction in [direction::INGRESS, direction::EGRESS, direction::INGRESS] {
            trials.turn(Timestamp(3), false, &mut on);
            trials.hear(&TlsTrace { direction, ..read });
        }
        trials.turn(Timestamp(4), false, &mut on);
        trials.sift(Timestamp(5), &piece(&read, 3), text("c"), &mut on);
        assert_eq!(seen, [(2, 2), (1, 1), (5, 3)]);
        assert_eq!((verdicts.unproven(), trials.bytes), ((0, 0), 0));
    }

    #[test]
    fn plaintext_that_is_not_believed_is_counted() {
        let verdicts = Verdicts::default();
        let (_, read) = accuse(&verdicts);
        let mut trials = Trials::new(verdicts.clone());
        let mut on = |_: Timestamp, _: &TlsHeader, _: Box<[u8]>| panic!("nothing is believed");
        let old = Timestamp(1);
        trials.sift(old, &piece(&read, 1), text("a"), &mut on);
        trials.turn(old.plus(PATIENCE), false, &mut on);
        assert_eq!(verdicts.unproven(), (0, 0));
        trials.turn(old.plus(PATIENCE + Duration::from_secs(1)), false, &mut on);
        assert_eq!(verdicts.unproven(), (1, 1), "too old");
        trials.sift(Timestamp(1), &piece(&read, 10), text("a"), &mut on);
        for _ in 0..3 {
            trials.hear(&TlsTrace { returned: 11, ..read });
        }
        trials.turn(Timestamp(2), false, &mut on);
        assert_eq!(verdicts.unproven(), (2, 11), "refused");
        trials.sift(Timestamp(3), &piece(&read, 100), text("a"), &mut on);
        let stranger = TlsTrace { code: read.code + 1, ..read };
        trials.sift(Timestamp(3), &piece(&stranger, 1_000), text("a"), &mut on);
        assert_eq!(verdicts.unproven(), (4, 1_111));
        let big = vec![0; MOST_BYTES].into_boxed_slice();
        let verdicts = Verdicts::default();
        let (_, read) = accuse(&verdicts);
        let mut trials = Trials::new(verdicts.clone());
        trials.sift(Timestamp(3), &piece(&read, 7), text("a"), &mut on);
        trials.sift(Timestamp(3), &piece(&read, 8), big, &mut on);
        assert_eq!((verdicts.unproven(), trials.held.len()), ((1, 7), 1), "too much");
        trials.turn(Timestamp(4), true, &mut on);
        assert_eq!((verdicts.unproven(), trials.bytes), ((2, 15), 0), "the end");
    }
}
