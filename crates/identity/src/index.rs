//! The index: what is known, and since when it is known without gaps.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use remora_model::Timestamp;

use std::time::Duration;

use crate::hold::{FOREVER, Hold, Holder, Holds, Horizon, narrow};
use crate::pods::Pod;
use crate::services::{Door, Membership, Name, Service, Slice};
use crate::workload::Workload;
use crate::{Counters, Limits, NodeRecord, OwnerRecord};

/// A kind of objects that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Pods.
    Pods,
    /// Services.
    Services,
    /// Endpoint slices.
    Slices,
    /// Nodes.
    Nodes,
    /// Replica sets and jobs.
    Owners,
}

/// Gaps of a watch that are remembered.
const GAPS: usize = 64;

/// When a watch did not know what happened.
#[derive(Debug)]
pub(crate) struct Gaps {
    /// Since when it does not know; `None` while it does.
    open: Option<Timestamp>,
    /// The last instant at which it knew.
    heard: Timestamp,
    past: VecDeque<(Timestamp, Timestamp)>,
}

impl Default for Gaps {
    /// It knows nothing of the time before it began.
    fn default() -> Self {
        Self { open: Some(Timestamp(i64::MIN)), heard: Timestamp(i64::MIN), past: VecDeque::new() }
    }
}

impl Gaps {
    fn close(&mut self, at: Timestamp) {
        self.heard = self.heard.max(at);
        if let Some(from) = self.open.take() {
            self.past.push_back((from, at));
            if self.past.len() > GAPS {
                // What is not remembered apart counts as one.
                let first = self.past.pop_front();
                if let (Some(first), Some(next)) = (first, self.past.front_mut()) {
                    next.0 = first.0;
                }
            }
        }
    }

    pub(crate) fn open_since(&self) -> Option<Timestamp> {
        self.open
    }

    /// True when somebody who was never seen may have been there at `t`, or was there before and used
    /// what it had until then for up to `linger`. Whoever held something after the gap for certain,
    /// until `ended_after`, came after such ones.
    pub(crate) fn may_hide(
        &self,
        t: Timestamp,
        linger: Duration,
        began_by: Timestamp,
        ended_after: Timestamp,
    ) -> bool {
        let hides = |(from, to): &(Timestamp, Timestamp)| {
            let after = t > *to && ended_after >= *to && began_by <= t;
            *from <= t && t <= to.plus(linger) && !after
        };
        self.open.is_some_and(|from| t >= from) || self.past.iter().any(hides)
    }

    pub(crate) fn narrow(&self, around: &mut (Timestamp, Timestamp), t: Timestamp, linger: Duration) {
        for (from, to) in &self.past {
            for edge in [*from, *to, to.plus(linger)] {
                narrow(around, edge, t);
            }
        }
        if let Some(from) = self.open {
            narrow(around, from, t);
        }
    }
}

/// What an address or port belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Address(IpAddr),
    /// A port of a node.
    Port(Arc<str>, u16),
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) version: Option<u64>,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Pods, services and nodes by time.
#[derive(Debug, Default)]
pub struct Index {
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    pub(crate) pods: HashMap<Arc<str>, Pod>,
    /// Uids that nodes use for pods whose uid in the API is another.
    pub(crate) node_uids: HashMap<Arc<str>, Arc<str>>,
    /// Pod and name of each container.
    pub(crate) containers: HashMap<Arc<str>, (Arc<str>, Arc<str>)>,
    pub(crate) places: HashMap<Place, Holds>,
    /// Pods of each node that have no address yet, and when they were first seen.
    pub(crate) starting: HashMap<Arc<str>, HashMap<Arc<str>, Timestamp>>,
    pub(crate) services: HashMap<Name, Service>,
    pub(crate) slices: HashMap<(String, String), Slice>,
    pub(crate) endpoints: usize,
    /// By the uid of a pod.
    pub(crate) members: HashMap<Arc<str>, Vec<Membership>>,
    /// Endpoints that are no pods, addresses of load balancers, and ports of nodes (without address).
    pub(crate) doors: HashMap<Door, Vec<Name>>,
    pub(crate) nodes: HashMap<Arc<str>, Node>,
    /// Nodes by the addresses that pods give for them.
    pub(crate) hosts: HashMap<IpAddr, Arc<str>>,
    pub(crate) owners: HashMap<Arc<str>, Option<Workload>>,
    pub(crate) gaps: HashMap<Kind, Gaps>,
    /// What is gone, by the time at which it went.
    pub(crate) gone: VecDeque<(Timestamp, Holder)>,
    /// Uids that were waited for in vain.
    pub(crate) given_up: HashSet<Arc<str>>,
}

/// Uids remembered as waited for in vain.
const GIVEN_UP: usize = 16_384;

impl Index {
    /// Knows nothing, of any time.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Its bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What it let go.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Objects held of a kind, those that are gone included.
    pub fn len(&self, kind: Kind) -> usize {
        match kind {
            Kind::Pods => self.pods.len(),
            Kind::Services => self.services.len(),
            Kind::Slices => self.slices.len(),
            Kind::Nodes => self.nodes.len(),
            Kind::Owners => self.owners.len(),
        }
    }

    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.services.is_empty() && self.nodes.is_empty()
    }

    /// The watch of `kind` lost its connection at `at`: nothing is known of what happens from then on.
    pub fn lost(&mut self, kind: Kind, at: Timestamp) {
        let gaps = self.gaps.entry(kind).or_default();
        if gaps.open.is_none() {
            gaps.open = Some(at.minus(self.limits.lag));
            self.counters.gaps += 1;
        }
    }

    /// The watch goes on where it was: what happened in between comes late, but all of it.
    pub fn resumed(&mut self, kind: Kind) {
        let gaps = self.gaps.entry(kind).or_default();
        // Of the time before the first list nothing comes.
        if gaps.open != Some(Timestamp(i64::MIN)) {
            gaps.open = None;
        }
    }

    /// The watch is connected at `at`, and nothing that was sent to it is waiting.
    pub fn heard(&mut self, kind: Kind, at: Timestamp) {
        let gaps = self.gaps.entry(kind).or_default();
        if gaps.open.is_none() {
            gaps.heard = gaps.heard.max(at);
        }
    }

    /// Until when what is not known to have ended goes on.
    pub(crate) fn horizon(&self) -> Horizon {
        let of = |kind| self.gaps.get(&kind).map_or(Timestamp(i64::MIN), |g| self.sent(g.heard));
        Horizon { pods: of(Kind::Pods), services: of(Kind::Services), nodes: of(Kind::Nodes) }
    }

    /// The watch has listed everything anew at `at`; what it did not see in between is lost.
    pub fn current(&mut self, kind: Kind, at: Timestamp) {
        self.gaps.entry(kind).or_default().close(at);
    }

    /// True while the watch of `kind` knows what happens.
    pub fn is_current(&self, kind: Kind) -> bool {
        self.gaps.get(&kind).is_some_and(|g| g.open.is_none())
    }

    /// The uid was waited for in vain: it will not be waited for again until it is seen.
    pub fn give_up(&mut self, uid: &str) {
        if self.given_up.len() >= GIVEN_UP {
            self.given_up.clear();
        }
        self.given_up.insert(uid.into());
    }

    /// A replica set or job, seen at any time.
    pub fn owner(&mut self, record: &OwnerRecord) {
        if self.owners.len() >= self.limits.owners && !self.owners.contains_key(record.uid.as_str()) {
            self.counters.refused += 1;
            return;
        }
        self.owners.insert(record.uid.as_str().into(), record.owner.as_ref().map(Workload::from));
    }

    /// A replica set or job is gone. Pods keep the workload they were resolved to last.
    pub fn owner_gone(&mut self, uid: &str) {
        self.owners.remove(uid);
    }

    /// A node, seen at `seen`.
    pub fn node(&mut self, record: &NodeRecord, seen: Timestamp) {
        let name: Arc<str> = record.name.as_str().into();
        let known = self.nodes.get(&name);
        if is_stale(known.and_then(|n| n.version), record.version) {
            self.counters.stale += 1;
            return;
        }
        if known.is_none() && self.nodes.len() >= self.limits.nodes {
            self.counters.refused += 1;
            return;
        }
        let before = known.map(|n| n.addresses.clone()).unwrap_or_default();
        let holder = Holder::Node(Arc::clone(&name));
        let created = record.created.minus(self.limits.skew);
        for ip in before.iter().filter(|ip| !record.addresses.contains(ip)) {
            self.end(Place::Address(*ip), &holder, None, seen);
        }
        for ip in &record.addresses {
            self.hold(Place::Address(*ip), &holder, created, (None, None), seen);
        }
        self.nodes.insert(name, Node { version: record.version, addresses: record.addresses.clone() });
    }

    /// A node is gone.
    pub fn node_gone(&mut self, name: &str, seen: Timestamp) {
        let Some(node) = self.nodes.remove(name) else { return };
        let holder = Holder::Node(name.into());
        for ip in node.addresses {
            self.end(Place::Address(ip), &holder, None, seen);
        }
        self.gone.push_back((seen, holder));
    }

    /// All nodes that there are at `seen`: what the list does not have is gone.
    pub fn nodes_listed(&mut self, all: &[NodeRecord], seen: Timestamp) {
        for record in all {
            self.node(record, seen);
        }
        let present: HashSet<&str> = all.iter().map(|n| n.name.as_str()).collect();
        let absent: Vec<_> = self.nodes.keys().filter(|n| !present.contains(&***n)).cloned().collect();
        for name in absent {
            self.node_gone(&name, seen);
        }
        self.current(Kind::Nodes, seen);
    }

    /// Notes that `holder` has the place in what was seen at `seen`. `began_by` is an instant by which
    /// it had it for certain, `until` one until which it had it, where more is known.
    pub(crate) fn hold(
        &mut self,
        place: Place,
        holder: &Holder,
        began_after: Timestamp,
        (began_by, until): (Option<Timestamp>, Option<Timestamp>),
        seen: Timestamp,
    ) {
        let max = self.limits.holdings;
        let by = began_by.unwrap_or(FOREVER).min(seen.plus(self.limits.skew)).max(began_after);
        let lasting = until.is_none();
        let ended_after = until.unwrap_or_else(|| self.sent(seen)).max(began_after);
        let holds = self.places.entry(place).or_default();
        match holds.of(holder) {
            Some(hold) if hold.is_open() => {
                hold.join(by, ended_after);
                hold.lasting = lasting;
            }
            _ => {
                let holder = holder.clone();
                let hold =
                    Hold { holder, began_after, began_by: by, ended_after, ended_by: FOREVER, lasting };
                self.counters.holdings_evicted += u64::from(holds.add(hold, max));
            }
        }
    }

    /// An instant before which what was seen at `seen` was sent: what it says was true then.
    pub(crate) fn sent(&self, seen: Timestamp) -> Timestamp {
        seen.minus(self.limits.lag).minus(self.limits.skew)
    }

    /// Notes that `holder` has let the place go by `by`; it had it until `until` for certain, where
    /// that is known.
    pub(crate) fn end(&mut self, place: Place, holder: &Holder, until: Option<Timestamp>, by: Timestamp) {
        if let Some(hold) = self.places.get_mut(&place).and_then(|h| h.of(holder)).filter(|h| h.is_open()) {
            if let Some(until) = until {
                hold.ended_after = hold.ended_after.max(until);
            }
            hold.ended_by = by.plus(self.limits.skew).max(hold.began_by);
            hold.ended_after = hold.ended_after.min(hold.ended_by);
        }
    }

    /// Forgets what went longer ago than the retention allows.
    pub fn sweep(&mut self, now: Timestamp) {
        let limit = now.minus(self.limits.retention);
        while let Some((at, _)) = self.gone.front() {
            if *at > limit {
                break;
            }
            if let Some((_, holder)) = self.gone.pop_front() {
                self.counters.forgotten += u64::from(self.forget(&holder));
            }
        }
    }

    /// Forgets something that is gone; false when it is not.
    pub(crate) fn forget(&mut self, holder: &Holder) -> bool {
        let places: Vec<Place> = match holder {
            Holder::Pod(uid) => return self.forget_pod(uid),
            Holder::Service(ns, name) => return self.forget_service(ns, name),
            // Nodes are few; they keep their holdings until here.
            Holder::Node(name) if self.nodes.contains_key(name) => return false,
            Holder::Node(_) => self.places.keys().cloned().collect(),
        };
        self.let_go(&places, holder);
        true
    }

    pub(crate) fn let_go(&mut self, places: &[Place], holder: &Holder) {
        for place in places {
            if self.places.get_mut(place).is_some_and(|h| h.forget(holder)) {
                self.places.remove(place);
            }
        }
    }
}

/// True when what comes is not newer than what is known. Resource versions of one kind are numbers
/// that grow (KEP-5504); where they are not numbers, everything is news.
pub(crate) fn is_stale(known: Option<u64>, new: Option<u64>) -> bool {
    matches!((known, new), (Some(known), Some(new)) if new < known)
}
