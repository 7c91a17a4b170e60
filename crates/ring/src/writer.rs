//! The thread that writes.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::flow::{Headers, client_random};
use crate::index::{Builder, Entry};
use crate::keylog::Secret;
use crate::pcapng::read::{Block, Head};
use crate::pcapng::write;
use crate::queue::{Closed, Item};
use crate::ring::Shared;
use crate::segment::{Live, Share, remove};
use crate::shelf::LiveView;
use crate::stats::{Count, Shed};

/// How often ages are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Most bytes that a packet takes in an index, with a new flow and a hello.
const INDEX_PER_PACKET: u64 = 40;

#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    live: Option<Live>,
    next_seq: u64,
    /// Why nothing is written at the moment, and until when.
    stopped: Option<(Shed, Instant)>,
    filed: Filed,
}

/// The packets of a batch.
#[derive(Debug, Default)]
struct Filed {
    entries: Vec<(Entry, u64)>,
    new_flows: Vec<u32>,
    hellos: Vec<(u32, u32)>,
    written: Count,
    limited: Count,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, next_seq: u64) -> Self {
        Self { shared, live: None, next_seq, stopped: None, filed: Filed::default() }
    }

    pub(crate) fn run(mut self) {
        let mut ticked = Instant::now();
        loop {
            let item = self.shared.queue.take(TICK);
            match item {
                Ok(Some(Item::Packets(mut buffer, count))) => {
                    self.packets(&mut buffer, count);
                    self.shared.queue.give_back(buffer);
                }
                Ok(Some(Item::Secret(secret))) => self.secret(&secret),
                Ok(Some(Item::Sync(done))) => {
                    self.tick();
                    // Whoever asked may have gone.
                    _ = done.try_send(());
                }
                Ok(Some(Item::Seal)) => self.seal(),
                Ok(None) => {}
                Err(Closed) => break,
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick();
            }
        }
        self.seal();
    }

    /// What age demands.
    fn tick(&mut self) {
        if self.live.as_ref().is_some_and(|l| l.opened.elapsed() >= self.shared.config.segment_age) {
            self.seal();
        }
        if let Some(age) = self.shared.config.max_age {
            let until = now().saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
            let old = |v: &LiveView| v.builder.head.packets > 0 && v.builder.head.last_ts < until;
            if self.shared.shelf().live.as_ref().is_some_and(old) {
                self.seal();
            }
            if let Err(error) = self.shared.expire(until) {
                self.shared.disk_error(&error);
            }
        }
        let unindexed = self.shared.shelf().sealed.iter().find(|s| !s.is_indexed()).cloned();
        if let Some(segment) = unindexed
            && let Ok(builder) = std::fs::File::open(&segment.path).and_then(|file| segment.load(&file))
            && self.shared.make_room(builder.encoded_len(), false).is_ok()
            && segment.path.exists()
            && let Err(error) = segment.write_index(&builder)
        {
            tracing::debug!(%error, "an index cannot be written");
        }
    }

    fn packets(&mut self, buffer: &mut Vec<u8>, count: Count) {
        let result = match self.refusal() {
            Some(why) => Err(why),
            None => self.write_packets(buffer, count).map_err(|error| self.fault(&error)),
        };
        let mut stats = self.shared.stats();
        match result {
            Ok(()) => {
                stats.written.add(self.filed.written);
                stats.shed_mut(Shed::FlowLimit).add(self.filed.limited);
            }
            Err(why) => stats.shed_mut(why).add(count),
        }
    }

    fn write_packets(&mut self, buffer: &mut Vec<u8>, count: Count) -> io::Result<()> {
        self.prepare(buffer.len() as u64, INDEX_PER_PACKET * count.packets)?;
        let Some(live) = &mut self.live else { return Ok(()) };
        self.filed.take(live, buffer, self.shared.config.flow_bytes);
        let appended = if buffer.is_empty() { Ok(0) } else { live.append(buffer) };
        let Filed { entries, new_flows, hellos, .. } = &mut self.filed;
        let written = appended.is_ok();
        self.shared.publish(live, |builder| {
            // The numbers of the flows have been given, whatever became of the packets.
            builder.head.flows.append(new_flows);
            if written {
                entries.iter().for_each(|(entry, captured)| builder.packet(entry, *captured));
                builder.head.hellos.append(hellos);
            }
        });
        appended.map(drop)
    }

    fn secret(&mut self, secret: &Secret) {
        let known = self.live.as_ref().is_some_and(|l| l.secrets.contains(&secret.fingerprint()));
        if known {
            return;
        }
        let result = match self.refusal() {
            Some(why) => Err(why),
            None => self.write_secret(secret).map_err(|error| self.fault(&error)),
        };
        let mut stats = self.shared.stats();
        match result {
            Ok(true) => stats.secrets += 1,
            Ok(false) | Err(_) => stats.secrets_shed += 1,
        }
    }

    /// False when the segment has its share of secrets.
    fn write_secret(&mut self, secret: &Secret) -> io::Result<bool> {
        let mut block = Vec::new();
        write::secrets(&mut block, secret.line());
        let len = block.len() as u64;
        self.prepare(len, INDEX_PER_PACKET)?;
        let Some(live) = &mut self.live else { return Ok(false) };
        if live.secret_bytes + len > self.shared.config.secret_bytes {
            return Ok(false);
        }
        let at = live.append(&block)?;
        live.secret_bytes += len;
        live.secrets.insert(secret.fingerprint());
        self.shared.publish(live, |builder| {
            builder.head.secrets.push(at);
            if builder.head.packets == 0 {
                // Secrets alone are as old as their coming.
                (builder.head.first_ts, builder.head.last_ts) = (now(), now());
            }
        });
        Ok(true)
    }

    /// Makes sure that there is a segment with all interfaces and room for so many bytes, and that the
    /// budget has room for them.
    fn prepare(&mut self, bytes: u64, index_bytes: u64) -> io::Result<()> {
        let interfaces = self.shared.interfaces().clone();
        let known = self.live.as_ref().map_or(0, |live| live.interfaces);
        let mut head = Vec::new();
        for (name, description) in interfaces.iter().skip(known) {
            write::interface(&mut head, name, description);
        }
        let full = |live: &Live| live.len + head.len() as u64 + bytes > self.shared.config.segment_bytes;
        if self.live.as_ref().is_some_and(full) {
            self.seal();
            return self.prepare(bytes, index_bytes);
        }
        let names = 2 * head.len() as u64;
        self.shared.make_room(bytes + index_bytes + names + 4_096, self.live.is_none())?;
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.begin()?,
        };
        let appended = if head.is_empty() { Ok(0) } else { live.append(&head) };
        if appended.is_ok() && known < interfaces.len() {
            live.interfaces = interfaces.len();
            let new = interfaces.get(known..).unwrap_or_default();
            self.shared.publish(&live, |builder| builder.head.interfaces.extend_from_slice(new));
        }
        self.live = Some(live);
        appended.map(drop)
    }

    fn begin(&mut self) -> io::Result<Live> {
        let seq = self.next_seq;
        let mut live = Live::create(&self.shared.config.dir, seq)?;
        let mut head = Vec::new();
        write::section(&mut head, concat!("Remora ", env!("CARGO_PKG_VERSION")));
        if let Err(error) = live.append(&head) {
            _ = remove(&live.path);
            return Err(error);
        }
        self.next_seq += 1;
        let mut builder = Builder::default();
        builder.head.segment_len = live.len;
        self.shared.shelf().live = Some(LiveView { path: live.path.clone(), builder: Arc::new(builder) });
        Ok(live)
    }

    /// Ends the live segment.
    fn seal(&mut self) {
        let Some(live) = self.live.take() else { return };
        let Some(builder) = self.shared.shelf().live.as_ref().map(|view| Arc::clone(&view.builder)) else {
            return;
        };
        if builder.head.packets == 0 && builder.head.secrets.is_empty() {
            self.shared.shelf().live = None;
            if let Err(error) = remove(&live.path) {
                self.shared.disk_error(&error);
            }
            return;
        }
        let (sealed, indexed) = live.seal(&builder);
        {
            let mut shelf = self.shared.shelf();
            shelf.sealed.push_back(Arc::new(sealed));
            shelf.live = None;
        }
        if let Err(error) = indexed {
            self.shared.disk_error(&error);
        }
    }

    /// Why nothing is to be tried, if so.
    fn refusal(&mut self) -> Option<Shed> {
        let (why, until) = self.stopped?;
        if Instant::now() < until {
            return Some(why);
        }
        self.stopped = None;
        self.shared.stats().stopped = false;
        None
    }

    fn fault(&mut self, error: &io::Error) -> Shed {
        let why = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Shed::DiskFull,
            _ => Shed::DiskError,
        };
        self.stopped = Some((why, Instant::now() + self.shared.config.retry));
        self.shared.disk_error(error);
        self.shared.stats().stopped = true;
        why
    }
}

impl Filed {
    /// Takes in the packets of a batch that is to be appended; those beyond the share of their flow are
    /// removed from it.
    fn take(&mut self, live: &mut Live, buffer: &mut Vec<u8>, flow_bytes: u64) {
        self.entries.clear();
        self.new_flows.clear();
        self.hellos.clear();
        (self.written, self.limited) = (Count::default(), Count::default());
        let (mut from, mut to) = (0, 0);
        while let Some(head) = buffer.get(from..).and_then(Head::parse) {
            let len = head.len as usize;
            let Some(Block::Packet(packet)) = buffer.get(from..from + len).and_then(Block::parse) else {
                break;
            };
            let headers = Headers::parse(packet.data);
            let hash = headers.map_or(0, |h| h.hash());
            let next = u32::try_from(live.flows.len()).unwrap_or(u32::MAX);
            let share = live.flows.entry(hash).or_insert_with(|| {
                self.new_flows.push(hash);
                Share { number: next, bytes: 0 }
            });
            let captured = packet.data.len() as u64;
            let count = Count { packets: 1, bytes: captured };
            if share.bytes + captured > flow_bytes {
                self.limited.add(count);
            } else {
                share.bytes += captured;
                self.written.add(count);
                let offset = u32::try_from(live.len + to as u64).unwrap_or(u32::MAX);
                let entry = Entry { ts: packet.ts, flow: share.number, offset, len: head.len };
                self.entries.push((entry, captured));
                if headers.is_some_and(|h| client_random(&h, packet.data).is_some()) {
                    self.hellos.push((share.number, offset));
                }
                if to < from {
                    buffer.copy_within(from..from + len, to);
                }
                to += len;
            }
            from += len;
        }
        buffer.truncate(to);
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
