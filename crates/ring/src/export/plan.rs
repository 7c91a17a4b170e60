//! What of which segment is exported, found out from the heads of their indexes.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::cursor::{Blocks, Cursor, Found};
use super::options::{ExportOptions, ExportReport, Flows, Window};
use crate::flow::{FlowKey, client_random};
use crate::index::{Builder, Entries, Entry, Head};
use crate::pcapng::read::{self, Block};
use crate::read_at::ReadAt as _;
use crate::segment::Sealed;
use crate::shelf::LiveView;

/// Client randoms and datagrams in fragments that are remembered.
const MAX_REMEMBERED: usize = 1 << 16;

/// A segment to read from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Sealed(Arc<Sealed>),
    Live(LiveView),
}

/// A segment with packets of the window.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) source: Source,
    pub(super) first_ts: i64,
    pub(super) packets: u64,
    /// Its interfaces among those of the export.
    pub(super) interfaces: Vec<u32>,
    /// Numbers of the flows that may be wanted; `None`: all.
    pub(super) flows: Option<HashSet<u32>>,
}

/// A segment with secrets.
#[derive(Debug)]
pub(super) struct WithSecrets {
    source: Source,
    offsets: Vec<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) interfaces: Vec<(String, String)>,
    /// In the order of their first packets.
    pub(super) segments: Vec<Planned>,
    pub(super) secrets: Vec<WithSecrets>,
    /// Of which connections the secrets are wanted; `None`: of all.
    pub(super) randoms: Option<HashSet<[u8; 32]>>,
    pub(super) filter: Filter,
}

/// Sender, receiver, protocol and identification of a datagram.
type DatagramId = (IpAddr, IpAddr, u8, u32);

/// Which packets are wanted.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// `None`: all.
    flows: Option<HashMap<FlowKey, Vec<Window>>>,
    /// Datagrams whose first fragment is wanted.
    datagrams: HashSet<DatagramId>,
}

impl Filter {
    fn new(flows: &Flows) -> Self {
        let flows = match flows {
            Flows::All => None,
            Flows::Only(selections) => {
                let mut flows: HashMap<FlowKey, Vec<Window>> = HashMap::new();
                for s in selections {
                    flows.entry(s.key).or_default().push(s.window);
                }
                Some(flows)
            }
        };
        Self { flows, datagrams: HashSet::new() }
    }

    /// The numbers under which packets that may be wanted are filed.
    fn hashes(&self, fragments: bool) -> Option<HashSet<u32>> {
        let flows = self.flows.as_ref()?;
        let hash = |key: &FlowKey| if fragments { key.without_ports().hash(true) } else { key.hash(false) };
        Some(flows.keys().map(hash).collect())
    }

    pub(super) fn admits(&self, packet: &Found<'_>) -> bool {
        let Some(flows) = &self.flows else { return true };
        let Some(headers) = &packet.headers else { return false };
        match headers.fragment {
            Some(fragment) => {
                let id = (headers.from.0, headers.to.0, headers.key.protocol(), fragment.id);
                self.datagrams.contains(&id)
            }
            None => {
                flows.get(&headers.key).is_some_and(|windows| windows.iter().any(|w| w.has(packet.block.ts)))
            }
        }
    }

    /// Remembers the datagram that a first fragment of a wanted flow begins.
    fn note_fragment(&mut self, packet: &Found<'_>) {
        let (Some(flows), Some(headers)) = (&self.flows, &packet.headers) else { return };
        let wanted = |windows: &Vec<Window>| windows.iter().any(|w| w.has(packet.block.ts));
        if let Some(fragment) = headers.fragment.filter(|f| f.first)
            && flows.get(&headers.key).is_some_and(wanted)
            && self.datagrams.len() < MAX_REMEMBERED
        {
            let id = (headers.from.0, headers.to.0, headers.key.protocol(), fragment.id);
            self.datagrams.insert(id);
        }
    }
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Sealed(s) => &s.path,
            Self::Live(l) => &l.path,
        }
    }

    fn load_head(&self) -> io::Result<Head> {
        match self {
            Self::Sealed(s) => s.load_head(),
            Self::Live(l) => Ok(l.builder.head.clone()),
        }
    }

    fn entries(&self, file: &File, mut wanted: impl FnMut(&Entry) -> bool) -> io::Result<Vec<Entry>> {
        let loaded: Builder;
        let builder = match self {
            Self::Sealed(s) => {
                loaded = s.load(file)?;
                &loaded
            }
            Self::Live(l) => &l.builder,
        };
        Ok(Entries::new(&builder.head, &builder.list).filter(|e| wanted(e)).collect())
    }

    /// The packets of the window in those flows.
    pub(super) fn open(
        &self,
        options: &ExportOptions,
        flows: Option<HashSet<u32>>,
    ) -> io::Result<Cursor<'static>> {
        let file = File::open(self.path())?;
        let wanted = |e: &Entry| {
            options.window.has(e.ts) && flows.as_ref().is_none_or(|flows| flows.contains(&e.flow))
        };
        let entries = self.entries(&file, wanted)?;
        Ok(Cursor::new(Box::new(file), entries, flows.is_some()))
    }

    fn times(&self) -> (i64, i64, u64) {
        match self {
            Self::Sealed(s) => (s.first_ts, s.last_ts, s.packets),
            Self::Live(l) => (l.builder.head.first_ts, l.builder.head.last_ts, l.builder.head.packets),
        }
    }

    /// The packet at an offset that a head names.
    fn with_packet(
        &self,
        blocks: &mut Blocks<'_>,
        offset: u32,
        f: impl FnOnce(&Found<'_>),
    ) -> io::Result<()> {
        let mut head = [0; read::Head::LEN];
        let len = File::open(self.path())?.fill(&mut head, u64::from(offset))?;
        let head = head.get(..len).and_then(read::Head::parse);
        if let Some(head) = head
            && let Some(Block::Packet(block)) = blocks.get(offset, head.len)?
        {
            f(&Found { block, headers: crate::flow::Headers::parse(block.data) });
        }
        Ok(())
    }
}

impl WithSecrets {
    /// Gives the text of each block with secrets.
    pub(super) fn read(&self, f: &mut dyn FnMut(&str)) -> io::Result<()> {
        let file = File::open(self.source.path())?;
        let mut window = crate::recover::Window::default();
        for offset in &self.offsets {
            let at = u64::from(*offset);
            let Some(head) = read::Head::parse(window.get(&file, at, read::Head::LEN, 4 << 10)?) else {
                continue;
            };
            let bytes = window.get(&file, at, head.len as usize, 4 << 10)?;
            if let Some(Block::Secrets(text)) = Block::parse(bytes) {
                f(text);
            }
        }
        Ok(())
    }
}

impl Plan {
    pub(super) fn make(segments: Vec<Source>, options: &ExportOptions, report: &mut ExportReport) -> Self {
        let mut plan = Self { filter: Filter::new(&options.flows), ..Self::default() };
        let whole = plan.filter.hashes(false);
        let parts = plan.filter.hashes(true);
        plan.randoms = whole.as_ref().map(|_| HashSet::new());
        for source in segments {
            let (first_ts, last_ts, packets) = source.times();
            let inside = packets > 0 && first_ts < options.window.until && last_ts >= options.window.from;
            // Connections of the window may have begun before it.
            let keys = options.secrets && first_ts < options.window.until;
            if !inside && !keys {
                continue;
            }
            let head = match source.load_head() {
                Ok(head) => head,
                Err(error) => {
                    report.gone(&error, if inside { packets } else { 0 });
                    continue;
                }
            };
            if keys {
                if let Some(whole) = &whole
                    && let Err(error) = plan.note_randoms(&source, &head, whole)
                {
                    report.fault(&error);
                }
                if !head.secrets.is_empty() {
                    plan.secrets.push(WithSecrets { source: source.clone(), offsets: head.secrets.clone() });
                }
            }
            if inside {
                if let Some(parts) = &parts
                    && let Err(error) = plan.note_fragments(&source, &head, parts, options.window)
                {
                    report.fault(&error);
                }
                plan.add(source, head, whole.as_ref().zip(parts.as_ref()));
            }
        }
        plan.segments.sort_by_key(|s| s.first_ts);
        plan
    }

    fn add(&mut self, source: Source, head: Head, wanted: Option<(&HashSet<u32>, &HashSet<u32>)>) {
        let flows: Option<HashSet<u32>> = wanted.map(|(whole, parts)| {
            let numbers = (0..).zip(&head.flows);
            numbers
                .filter(|(_, hash)| whole.contains(*hash) || parts.contains(*hash))
                .map(|(n, _)| n)
                .collect()
        });
        if flows.as_ref().is_some_and(HashSet::is_empty) {
            return;
        }
        let interfaces = head.interfaces.into_iter().map(|interface| {
            let known = self.interfaces.iter().position(|i| *i == interface);
            let place = known.unwrap_or_else(|| {
                self.interfaces.push(interface);
                self.interfaces.len() - 1
            });
            u32::try_from(place).unwrap_or(u32::MAX)
        });
        let interfaces = interfaces.collect();
        let (first_ts, _, packets) = source.times();
        self.segments.push(Planned { source, first_ts, packets, interfaces, flows });
    }

    /// Remembers the client randoms of wanted connections.
    fn note_randoms(&mut self, source: &Source, head: &Head, wanted: &HashSet<u32>) -> io::Result<()> {
        let is_wanted = |flow: u32| head.flows.get(flow as usize).is_some_and(|hash| wanted.contains(hash));
        let mut hellos = head.hellos.iter().filter(|(flow, _)| is_wanted(*flow)).peekable();
        if hellos.peek().is_none() {
            return Ok(());
        }
        let mut blocks = Blocks::new(Box::new(File::open(source.path())?), 0);
        for (_, offset) in hellos {
            source.with_packet(&mut blocks, *offset, |packet| {
                if let (Some(headers), Some(randoms)) = (&packet.headers, &mut self.randoms)
                    && self.filter.flows.as_ref().is_some_and(|flows| flows.contains_key(&headers.key))
                    && let Some(random) = client_random(headers, packet.block.data)
                    && randoms.len() < MAX_REMEMBERED
                {
                    randoms.insert(random);
                }
            })?;
        }
        Ok(())
    }

    /// Remembers the datagrams in fragments of wanted flows.
    fn note_fragments(
        &mut self,
        source: &Source,
        head: &Head,
        wanted: &HashSet<u32>,
        window: Window,
    ) -> io::Result<()> {
        if !head.flows.iter().any(|hash| wanted.contains(hash)) {
            return Ok(());
        }
        let is_wanted = |flow: u32| head.flows.get(flow as usize).is_some_and(|hash| wanted.contains(hash));
        let file = File::open(source.path())?;
        let entries = source.entries(&file, |e| window.has(e.ts) && is_wanted(e.flow))?;
        let mut cursor = Cursor::new(Box::new(file), entries, true);
        while cursor.peek().is_some() {
            if let Some(packet) = cursor.next()? {
                self.filter.note_fragment(&packet);
            }
        }
        Ok(())
    }
}
