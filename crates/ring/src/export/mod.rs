//! Packets out of the ring, as one pcapng section.

mod cursor;
mod options;
mod plan;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use hashbrown::HashSet;

pub(crate) use self::cursor::Cursor;
pub use self::options::{
    Comment, ExportOptions, ExportReport, FlowSelection, Flows, PacketInfo, Payload, Window,
};
use self::plan::{Plan, Planned, Source};
use crate::keylog::Secret;
use crate::pcapng::write;
use crate::segment::Sealed;
use crate::shelf::LiveView;

/// Bytes of a chunk, roughly.
const CHUNK: usize = 128 << 10;
/// Segments that are merged at once. Their times overlap only as far as threads hand their packets
/// over late, or the clock was set back.
const CURSORS: usize = 8;
/// Secrets that are told apart.
const MAX_SECRETS: usize = 1 << 20;

/// An export: chunks of a pcapng section, to be written one after the other. Each is made when it is
/// asked for: names and secrets first, then the packets in the order of time. It holds no more than a
/// chunk, and where in up to eight segments the packets are.
pub struct Export {
    options: ExportOptions,
    segments: Vec<Source>,
    stage: Stage,
    report: ExportReport,
    plan: Plan,
    /// The numbers in the file of the plan's interfaces. Only those are described that have packets:
    /// libpcap refuses a file with several of them (see `docs/packet-ring.md`).
    numbers: Vec<Option<u32>>,
    described: u32,
    /// Of `plan.segments`, which comes next.
    next: usize,
    seen_secrets: HashSet<u64>,
    open: Vec<Option<Open>>,
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    last_ts: i64,
    made: u64,
    comment: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Secrets,
    Packets,
    Done,
}

struct Open {
    cursor: Cursor<'static>,
    interfaces: Vec<u32>,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export")
            .field("stage", &self.stage)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl Export {
    pub(crate) fn new(sealed: Vec<Arc<Sealed>>, live: Option<LiveView>, options: ExportOptions) -> Self {
        let segments = sealed.into_iter().map(Source::Sealed).chain(live.map(Source::Live)).collect();
        Self {
            options,
            segments,
            stage: Stage::Head,
            report: ExportReport::default(),
            plan: Plan::default(),
            numbers: Vec::new(),
            described: 0,
            next: 0,
            seen_secrets: HashSet::new(),
            open: Vec::new(),
            heads: BinaryHeap::new(),
            last_ts: i64::MIN,
            made: 0,
            comment: String::new(),
        }
    }

    /// What the export has given so far, and what it could not give.
    pub fn report(&self) -> &ExportReport {
        &self.report
    }

    /// Writes what is left of the export and gives the report.
    ///
    /// # Errors
    /// When `to` does not take it.
    pub fn write_to(mut self, to: &mut dyn io::Write) -> io::Result<ExportReport> {
        for chunk in &mut self {
            to.write_all(&chunk)?;
        }
        to.flush()?;
        Ok(self.report)
    }

    fn head(&mut self, out: &mut Vec<u8>) {
        let segments = std::mem::take(&mut self.segments);
        self.plan = Plan::make(segments, &self.options, &mut self.report);
        write::section(out, &self.options.application);
        self.numbers = vec![None; self.plan.interfaces.len()];
        write::names(out, self.options.names.iter().map(|(ip, name)| (*ip, name.as_str())));
        self.stage = if self.options.secrets { Stage::Secrets } else { Stage::Packets };
    }

    /// The secrets of one segment.
    fn secrets(&mut self, out: &mut Vec<u8>) {
        let Some(with) = self.plan.secrets.get(self.next) else {
            self.next = 0;
            self.stage = Stage::Packets;
            return;
        };
        self.next += 1;
        let mut lines = String::new();
        let read = with.read(&mut |text| {
            for line in text.lines() {
                let Ok(secret) = Secret::parse(line) else { continue };
                let wanted = self.plan.randoms.as_ref().is_none_or(|wanted| wanted.contains(secret.random()));
                let room = self.seen_secrets.len() < MAX_SECRETS;
                if wanted && room && self.seen_secrets.insert(secret.fingerprint()) {
                    lines.push_str(secret.line());
                    self.report.secrets += 1;
                }
            }
        });
        if let Err(error) = read {
            self.report.fault(&error);
        }
        if !lines.is_empty() {
            write::secrets(out, &lines);
        }
    }

    /// Opens the segments that may have the next packet.
    fn open_due(&mut self) {
        while let Some(segment) = self.plan.segments.get_mut(self.next) {
            let next_ts = self.heads.peek().map(|Reverse((ts, _))| *ts);
            let due = next_ts.is_none_or(|ts| segment.first_ts <= ts);
            if !due || self.heads.len() >= CURSORS {
                return;
            }
            self.next += 1;
            let Planned { source, interfaces, flows, packets, .. } = segment;
            match source.open(&self.options, flows.take()) {
                Ok(cursor) => {
                    let interfaces = std::mem::take(interfaces);
                    if let Some(ts) = cursor.peek() {
                        let free = self.open.iter().position(Option::is_none);
                        let place = free.unwrap_or(self.open.len());
                        if free.is_none() {
                            self.open.push(None);
                        }
                        self.open[place] = Some(Open { cursor, interfaces });
                        self.heads.push(Reverse((ts, place)));
                    }
                }
                Err(error) => self.report.gone(&error, *packets),
            }
        }
    }

    /// Packets until the chunk is full.
    fn packets(&mut self, out: &mut Vec<u8>) {
        while out.len() < CHUNK {
            self.open_due();
            let Some(Reverse((ts, place))) = self.heads.pop() else {
                self.end(out);
                return;
            };
            let Some(open) = self.open.get_mut(place).and_then(Option::as_mut) else { continue };
            let filter = &self.plan.filter;
            match open.cursor.next() {
                Ok(Some(packet)) if filter.admits(&packet) => {
                    let place = packet.block.interface as usize;
                    let interface = open.interfaces.get(place).copied();
                    let name = interface.and_then(|i| self.plan.interfaces.get(i as usize));
                    let number = interface.and_then(|i| self.numbers.get_mut(i as usize));
                    if let (Some(number), Some((name, description))) = (number, name) {
                        let interface = *number.get_or_insert_with(|| {
                            write::interface(out, name, description);
                            self.described += 1;
                            self.described - 1
                        });
                        self.comment.clear();
                        if let Some(comment) = &mut self.options.comment {
                            comment(&packet.info(name), &mut self.comment);
                        }
                        let data = packet.data(self.options.payload);
                        let meta = write::Meta {
                            interface,
                            ts: packet.block.ts,
                            wire_len: packet.block.wire_len,
                            direction: packet.block.direction,
                        };
                        write::packet(out, &meta, data, &self.comment);
                        self.report.packet(ts, data.len(), ts < self.last_ts);
                        self.last_ts = self.last_ts.max(ts);
                    } else {
                        self.report.damaged_packets += 1;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => self.report.damaged_packets += 1,
                Err(error) => {
                    self.report.gone(&error, open.cursor.left());
                    self.open[place] = None;
                    continue;
                }
            }
            match open.cursor.peek() {
                Some(ts) => self.heads.push(Reverse((ts, place))),
                None => self.open[place] = None,
            }
            if self.made + out.len() as u64 >= self.options.max_bytes {
                self.report.truncated = !self.heads.is_empty() || self.next < self.plan.segments.len();
                self.end(out);
                return;
            }
        }
    }

    /// The file is whole. One without packets has an interface as well: libpcap takes no file without.
    fn end(&mut self, out: &mut Vec<u8>) {
        self.stage = Stage::Done;
        if self.described == 0
            && let Some((name, description)) = self.plan.interfaces.first()
        {
            write::interface(out, name, description);
        }
    }
}

impl Iterator for Export {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(CHUNK + (CHUNK >> 2));
        while out.is_empty() {
            match self.stage {
                Stage::Head => self.head(&mut out),
                Stage::Secrets => self.secrets(&mut out),
                Stage::Packets => self.packets(&mut out),
                Stage::Done => return None,
            }
        }
        self.made += out.len() as u64;
        self.report.file_bytes = self.made;
        Some(out)
    }
}
