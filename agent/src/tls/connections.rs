//! From records of the ring to the shards: which connection a piece belongs to, and whom it goes to.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use remora_abi::{FlowKey, TlsHeader, direction, tls_event, tls_flags, tls_method};
use remora_model::{Endpoint, Timestamp};

use super::inbox::{Outlet, Parcel, Piece};
use super::processes;
use super::status::{Seen, Shown};
use crate::config::TlsOptions;

/// Plaintext whose connection is not known yet is kept this long: the next input or output of the
/// connection may show it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of plaintext of one connection that may wait for it.
const MAX_HELD: usize = 1 << 20;
/// Bytes that may wait in all.
const MAX_HELD_TOTAL: usize = 16 << 20;

/// Where a connection is known to go.
#[derive(Clone, Copy, Debug)]
struct Route {
    local: Endpoint,
    remote: Endpoint,
    scope: u32,
    flow: u32,
    shard: usize,
    method: u8,
}

#[derive(Debug, Default)]
struct Conn {
    route: Option<Route>,
    held: VecDeque<Piece>,
    held_bytes: usize,
    waits_since: Option<Instant>,
}

/// Connections of libraries.
#[derive(Debug)]
pub(super) struct Connections {
    conns: HashMap<(u32, u64), Conn>,
    capacity: usize,
    outlet: Outlet,
    held: usize,
    waiting: usize,
    unknown: u32,
    counted: HashMap<u32, Shown>,
    seen: Seen,
    rings: u32,
    /// Names of processes whose plaintext is wanted, unless empty.
    only: Vec<String>,
    /// Whether that of a process is.
    wanted: HashMap<u32, bool>,
}

fn endpoint(words: [u64; 2], port: u16) -> Endpoint {
    let (high, low) = (words[0].to_ne_bytes(), words[1].to_ne_bytes());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high);
    bytes[8..].copy_from_slice(&low);
    Endpoint { ip: IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical(), port }
}

/// The field `corr_method`.
fn name(method: u8) -> &'static str {
    match method {
        tls_method::NESTED => "nested_io",
        tls_method::DESCRIPTOR => "descriptor",
        tls_method::STRUCTURE => "structure",
        tls_method::ADJACENT => "adjacent_io",
        _ => "unknown",
    }
}

impl Connections {
    pub(super) fn new(options: &TlsOptions, outlet: Outlet, seen: Seen) -> Self {
        let rings = u32::try_from(outlet.shards()).unwrap_or(u32::MAX).max(1);
        Self {
            conns: HashMap::new(),
            capacity: (options.connections as usize).max(16),
            outlet,
            held: 0,
            waiting: 0,
            unknown: 0,
            counted: HashMap::new(),
            seen,
            rings,
            only: options.only_processes.clone(),
            wanted: HashMap::new(),
        }
    }

    /// Takes a record.
    pub(super) fn take(&mut self, ts: Timestamp, header: &TlsHeader, data: Box<[u8]>) {
        match header.event {
            tls_event::DATA if self.is_wanted(header.tgid) => self.data(ts, header, data),
            tls_event::ROUTE if self.is_wanted(header.tgid) => self.route(header),
            tls_event::CLOSED => self.end((header.tgid, header.conn), ts),
            tls_event::EXEC => {
                self.wanted.remove(&header.tgid);
            }
            tls_event::EXIT => {
                self.end_all(header.tgid, ts);
                self.wanted.remove(&header.tgid);
            }
            _ => {}
        }
    }

    /// Whether anything of a process is to be told.
    pub(super) fn is_wanted(&mut self, tgid: u32) -> bool {
        if self.only.is_empty() {
            return true;
        }
        // They are asked for again.
        if self.wanted.len() >= self.capacity {
            self.wanted.clear();
        }
        let only = &self.only;
        *self.wanted.entry(tgid).or_insert_with(|| {
            let name = processes::name(tgid);
            only.contains(&name)
        })
    }

    /// Where a record says that its connection goes.
    fn route_of(&self, header: &TlsHeader) -> Option<Route> {
        (header.remote_port != 0).then(|| Route {
            local: endpoint(header.local, header.local_port),
            remote: endpoint(header.remote, header.remote_port),
            scope: header.netns,
            flow: header.flow_id,
            shard: (header.ring % self.rings) as usize,
            method: header.method,
        })
    }

    /// What has waited goes on, of a connection that may be one that was known under another name.
    fn route(&mut self, header: &TlsHeader) {
        let (before, now) = ((header.tgid, header.handle), (header.tgid, header.conn));
        let Some(route) = self.route_of(header) else { return };
        let Some(waiting) = self.conns.get(&before).filter(|conn| conn.route.is_none()) else { return };
        if waiting.waits_since.is_some() {
            self.waiting = self.waiting.saturating_sub(1);
        }
        self.held = self.held.saturating_sub(waiting.held_bytes);
        let held = self.conns.remove(&before).map(|conn| conn.held).unwrap_or_default();
        self.conns.entry(now).or_default().route = Some(route);
        for piece in held {
            let by = if piece.at_sender { header.pos } else { 0 };
            let piece = Piece { conn: name_of(now), pos: piece.pos.saturating_add(by), ..piece };
            send(&mut self.outlet, &route, piece);
        }
    }

    fn data(&mut self, ts: Timestamp, header: &TlsHeader, data: Box<[u8]>) {
        let shown = self.counted.entry(header.tgid).or_default();
        shown.last = Some(ts);
        shown.plain += data.len() as u64;
        shown.opaque += u64::from(header.len).saturating_sub(data.len() as u64);
        let key = (header.tgid, header.conn);
        if self.conns.len() >= self.capacity && !self.conns.contains_key(&key) {
            self.make_room();
        }
        let route = self.route_of(header);
        let conn = self.conns.entry(key).or_default();
        if route.is_some() {
            conn.route = route;
        }
        let piece = Piece {
            ts,
            conn: name_of(key),
            at_sender: header.direction == direction::EGRESS,
            pos: header.pos,
            len: u64::from(header.len),
            bytes: data,
            fresh: header.flags & tls_flags::FRESH != 0,
            tgid: header.tgid,
            cgroup_id: header.cgroup_id,
        };
        match conn.route {
            Some(route) => {
                let held = std::mem::take(&mut conn.held);
                if conn.waits_since.take().is_some() {
                    self.waiting = self.waiting.saturating_sub(1);
                }
                self.held = self.held.saturating_sub(std::mem::take(&mut conn.held_bytes));
                for piece in held.into_iter().chain([piece]) {
                    send(&mut self.outlet, &route, piece);
                }
            }
            None => {
                if conn.waits_since.is_none() {
                    conn.waits_since = Some(Instant::now());
                    self.waiting += 1;
                }
                conn.held_bytes += piece.bytes.len();
                self.held += piece.bytes.len();
                conn.held.push_back(piece);
                if conn.held_bytes > MAX_HELD || self.held > MAX_HELD_TOTAL || conn.held.len() > 1_024 {
                    self.settle(key);
                }
            }
        }
    }

    /// Shows a connection with unknown ends: it is not known, and others must not be mixed with it.
    fn settle(&mut self, key: (u32, u64)) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        if conn.waits_since.take().is_some() {
            self.waiting = self.waiting.saturating_sub(1);
        }
        let held = std::mem::take(&mut conn.held);
        self.held = self.held.saturating_sub(std::mem::take(&mut conn.held_bytes));
        if held.is_empty() {
            return;
        }
        // Scopes of network namespaces have 24 bits.
        self.unknown = self.unknown.wrapping_add(1);
        let scope = 1 << 31 | self.unknown & 0x7fff_ffff;
        let local = Endpoint { ip: Ipv4Addr::UNSPECIFIED.into(), port: 0 };
        let remote = Endpoint { ip: Ipv6Addr::UNSPECIFIED.into(), port: 0 };
        let flow = FlowKey { protocol_netns: self.unknown << 8, ..FlowKey::default() };
        let shard = flow.share(self.rings) as usize;
        let route = Route { local, remote, scope, flow: 0, shard, method: tls_method::UNKNOWN };
        conn.route = Some(route);
        for piece in held {
            send(&mut self.outlet, &route, piece);
        }
    }

    fn end(&mut self, key: (u32, u64), ts: Timestamp) {
        self.settle(key);
        if let Some(route) = self.conns.remove(&key).and_then(|conn| conn.route) {
            let parcel =
                Parcel::End { ts, scope: route.scope, conn: name_of(key), ends: [route.local, route.remote] };
            self.outlet.send(route.shard, parcel, 0);
        }
    }

    fn end_all(&mut self, tgid: u32, ts: Timestamp) {
        let keys: Vec<_> = self.conns.keys().filter(|key| key.0 == tgid).copied().collect();
        for key in keys {
            self.end(key, ts);
        }
    }

    /// The table is full: forgets what is known of connections, which is learned anew, but for those
    /// that wait.
    fn make_room(&mut self) {
        self.conns.retain(|_, conn| conn.waits_since.is_some());
        if self.conns.len() >= self.capacity {
            let keys: Vec<_> = self.conns.keys().copied().collect();
            for key in keys {
                self.settle(key);
            }
            self.conns.clear();
        }
    }

    /// What is due after a batch of records; `last`: there will be none.
    pub(super) fn turn(&mut self, now: Instant, last: bool) {
        if self.waiting > 0 {
            let over = |c: &Conn| c.waits_since.is_some_and(|at| last || now.duration_since(at) >= PATIENCE);
            let keys: Vec<_> = self.conns.iter().filter(|(_, c)| over(c)).map(|(key, _)| *key).collect();
            for key in keys {
                self.settle(key);
            }
        }
        self.seen.add(&mut self.counted);
        self.outlet.flush();
    }
}

/// A name for a connection of a process that no other has on the node.
fn name_of((tgid, conn): (u32, u64)) -> u64 {
    conn.rotate_left(24) ^ u64::from(tgid)
}

fn send(outlet: &mut Outlet, route: &Route, piece: Piece) {
    let (from, to) = if piece.at_sender { (route.local, route.remote) } else { (route.remote, route.local) };
    let size = piece.bytes.len();
    let parcel = Parcel::Data {
        piece,
        from,
        to,
        scope: route.scope,
        flow: route.flow,
        method: name(route.method),
        doubtful: route.method == tls_method::ADJACENT,
    };
    outlet.send(route.shard, parcel, size);
}
