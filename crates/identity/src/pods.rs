//! Pods, as watches tell of them and as agents see them.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use remora_model::Timestamp;

use crate::hold::{FOREVER, Hold, Holder};
use crate::index::{Kind, Place, is_stale};
use crate::set::encode;
use crate::workload::{Workload, direct, follow};
use crate::{Index, PodInfo, PodRecord};

/// Instants of containers are cut to the second.
const SECOND: Duration = Duration::from_secs(1);

/// A pod that is or was there.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) info: Arc<PodInfo>,
    /// The controller that its record names.
    direct: Workload,
    version: Option<u64>,
    created: Timestamp,
    addresses: Vec<IpAddr>,
    host_ports: Vec<u16>,
    /// Every place that it ever had.
    places: Vec<Place>,
    containers: Vec<Arc<str>>,
    node_uid: Option<Arc<str>>,
    life: Life,
}

/// Whether a pod is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// It is.
    There,
    /// A list did not have it, which another list can correct.
    Missed,
    /// It was deleted.
    Deleted,
}

impl Index {
    /// A pod, seen at `seen`. One that was gone by then stays so: what comes is late.
    pub fn pod(&mut self, record: &PodRecord, seen: Timestamp) {
        self.pod_seen(record, Life::There, seen);
    }

    /// `life` is what a known pod must be for the record to count: there, or missed by a list.
    fn pod_seen(&mut self, record: &PodRecord, life: Life, seen: Timestamp) {
        let uid: Arc<str> = record.uid.as_str().into();
        if let Some(known) = self.pods.get(&uid) {
            if (known.life != Life::There && known.life != life) || is_stale(known.version, record.version) {
                self.counters.stale += 1;
                return;
            }
        } else if !self.room_for_pod(seen) {
            return;
        }
        self.given_up.remove(&uid);
        self.take_up(&uid, record);
        self.place_pod(&uid, record, seen);
    }

    /// Makes room for one more pod; false when there is none. Then nothing is certain any more that
    /// depends on knowing every pod.
    fn room_for_pod(&mut self, seen: Timestamp) -> bool {
        while self.pods.len() >= self.limits.pods {
            let Some((_, holder)) = self.gone.pop_front() else {
                self.counters.refused += 1;
                self.lost(Kind::Pods, seen);
                return false;
            };
            self.counters.evicted += u64::from(self.forget(&holder));
        }
        true
    }

    /// Keeps what a record says of the pod itself.
    fn take_up(&mut self, uid: &Arc<str>, record: &PodRecord) {
        let max = self.limits.set_bytes;
        let mut set = |pairs: &[(String, String)]| {
            let (text, cut) = encode(pairs, max);
            self.counters.sets_cut += u64::from(cut);
            text.map(Arc::from)
        };
        let (labels, annotations) = (set(&record.labels), set(&record.annotations));
        let direct = direct(record);
        let info = Arc::new(PodInfo {
            uid: Arc::clone(uid),
            namespace: record.namespace.as_str().into(),
            name: record.name.as_str().into(),
            node: record.node.as_deref().map(Arc::from),
            host_network: record.host_network,
            labels,
            annotations,
            workload: follow(&direct, &self.owners),
        });
        if let (Some(ip), Some(node)) = (record.host_address, &info.node)
            && (self.hosts.len() < self.limits.nodes || self.hosts.contains_key(&ip))
        {
            self.hosts.insert(ip, Arc::clone(node));
        }
        let node_uid: Option<Arc<str>> = record.node_uid.as_deref().map(Arc::from);
        if let Some(node_uid) = &node_uid {
            self.given_up.remove(node_uid);
            self.node_uids.insert(Arc::clone(node_uid), Arc::clone(uid));
        }
        let pod = self.pods.entry(Arc::clone(uid)).or_insert_with(|| Pod {
            info: Arc::clone(&info),
            direct: Workload::default(),
            version: None,
            created: record.created,
            addresses: Vec::new(),
            host_ports: Vec::new(),
            places: Vec::new(),
            containers: Vec::new(),
            node_uid: None,
            life: Life::There,
        });
        (pod.info, pod.direct, pod.version, pod.life) = (info, direct, record.version, Life::There);
        pod.node_uid = node_uid;
        for container in record.containers.iter().filter(|c| !c.id.is_empty()) {
            if !pod.containers.iter().any(|id| **id == *container.id) {
                if pod.containers.len() >= self.limits.containers_per_pod.max(1) {
                    let oldest = pod.containers.remove(0);
                    self.containers.remove(&oldest);
                }
                let id: Arc<str> = container.id.as_str().into();
                pod.containers.push(Arc::clone(&id));
                self.containers.insert(id, (Arc::clone(uid), container.name.as_str().into()));
            }
        }
    }

    /// Keeps what a record says of the addresses and ports of the pod.
    fn place_pod(&mut self, uid: &Arc<str>, record: &PodRecord, seen: Timestamp) {
        let holder = Holder::Pod(Arc::clone(uid));
        let Some(pod) = self.pods.get_mut(uid) else { return };
        let node = pod.info.node.clone();
        let addresses: Vec<IpAddr> = if record.host_network { Vec::new() } else { record.addresses.clone() };
        let ports = if node.is_some() { record.host_ports.clone() } else { Vec::new() };
        let mut dropped: Vec<Place> =
            pod.addresses.iter().filter(|ip| !addresses.contains(ip)).map(|ip| Place::Address(*ip)).collect();
        let mut places: Vec<Place> = addresses.iter().map(|ip| Place::Address(*ip)).collect();
        if let Some(node) = &node {
            let port = |port: &u16| Place::Port(Arc::clone(node), *port);
            dropped.extend(pod.host_ports.iter().filter(|p| !ports.contains(p)).map(port));
            places.extend(ports.iter().map(port));
        }
        // A pod that changes its address took the new one after it was last seen with the old one.
        let changed = !pod.addresses.is_empty() && !dropped.is_empty();
        let began_after = if changed { Timestamp(i64::MIN) } else { pod.created.minus(self.limits.skew) };
        for place in &places {
            if !pod.places.contains(place) {
                pod.places.push(place.clone());
            }
        }
        // Beyond what any pod has; the holdings end with the pod all the same.
        pod.places.truncate(256);
        (pod.addresses, pod.host_ports) = (addresses, ports);
        let is_starting = pod.addresses.is_empty() && !record.host_network && !record.ended;
        match &node {
            Some(node) if is_starting => {
                let first = self.starting.entry(Arc::clone(node)).or_default();
                first.entry(Arc::clone(uid)).or_insert(seen);
            }
            _ => self.has_started(uid, node.as_ref()),
        }
        for place in dropped {
            self.end(place, &holder, None, seen);
        }
        let running = record.containers.iter().filter(|c| c.running).filter_map(|c| c.started).min();
        let finished = record.containers.iter().filter_map(|c| c.finished).max();
        if record.ended {
            // One that is first seen when it is over had its address all the same.
            for place in places {
                let started = record.containers.iter().filter_map(|c| c.started).min();
                let by = started.map(|t| t.plus(SECOND)).or(finished.map(|t| t.plus(SECOND)));
                self.hold_past(place, &holder, began_after, by, finished, seen);
            }
            return;
        }
        // While nothing of it runs, its network may be gone already.
        let runs = record.containers.iter().any(|c| c.running);
        let until = if runs { None } else { Some(finished.unwrap_or(began_after)) };
        for place in places {
            self.hold(place, &holder, began_after, (running.map(|t| t.plus(SECOND)), until), seen);
        }
    }

    /// A holding that is over by `seen`.
    fn hold_past(
        &mut self,
        place: Place,
        holder: &Holder,
        began_after: Timestamp,
        began_by: Option<Timestamp>,
        finished: Option<Timestamp>,
        seen: Timestamp,
    ) {
        let skew = self.limits.skew;
        let holds = self.places.entry(place.clone()).or_default();
        if holds.of(holder).is_none() {
            let began_by = began_by.unwrap_or(seen).min(seen.plus(skew)).max(began_after);
            let ended_after = finished.unwrap_or(began_after).max(began_after);
            let hold = Hold {
                holder: holder.clone(),
                began_after,
                began_by,
                ended_after,
                ended_by: seen.plus(skew).max(ended_after),
                lasting: false,
            };
            self.counters.holdings_evicted += u64::from(holds.add(hold, self.limits.holdings));
            return;
        }
        self.end(place, holder, finished, seen);
    }

    fn has_started(&mut self, uid: &str, node: Option<&Arc<str>>) {
        if let Some(node) = node
            && let Some(first) = self.starting.get_mut(node)
        {
            first.remove(uid);
            if first.is_empty() {
                self.starting.remove(node);
            }
        }
    }

    /// A pod was deleted; `record` is its last state, `seen` when that was learned.
    pub fn pod_deleted(&mut self, record: &PodRecord, seen: Timestamp) {
        if self.pods.get(record.uid.as_str()).is_some_and(|p| p.life == Life::Deleted) {
            self.counters.stale += 1;
            return;
        }
        self.pod(record, seen);
        let runs = !record.ended && record.containers.iter().any(|c| c.running);
        let finished = record.containers.iter().filter_map(|c| c.finished).max();
        self.pod_gone(&record.uid, Life::Deleted, runs, if runs { None } else { finished }, seen);
    }

    /// All pods that there are at `seen`: what the list does not have is gone.
    pub fn pods_listed(&mut self, all: &[PodRecord], seen: Timestamp) {
        for record in all {
            self.pod_seen(record, Life::Missed, seen);
        }
        let present: HashSet<&str> = all.iter().map(|p| p.uid.as_str()).collect();
        let absent = |(uid, p): &(&Arc<str>, &Pod)| p.life == Life::There && !present.contains(&***uid);
        let absent: Vec<Arc<str>> = self.pods.iter().filter(absent).map(|(uid, _)| Arc::clone(uid)).collect();
        for uid in absent {
            self.pod_gone(&uid, Life::Missed, true, None, seen);
        }
        self.current(Kind::Pods, seen);
    }

    fn pod_gone(&mut self, uid: &str, life: Life, runs: bool, finished: Option<Timestamp>, seen: Timestamp) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        pod.life = life;
        let uid = Arc::clone(&pod.info.uid);
        let (node, places) = (pod.info.node.clone(), pod.places.clone());
        self.has_started(&uid, node.as_ref());
        let holder = Holder::Pod(uid);
        // What is deleted by force, or unseen, may run on for a while.
        let by = if runs { seen.plus(self.limits.linger) } else { seen };
        for place in places {
            self.end(place, &holder, finished, by);
        }
        self.gone.push_back((seen, holder));
    }

    pub(crate) fn forget_pod(&mut self, uid: &Arc<str>) -> bool {
        if self.pods.get(uid).is_none_or(|p| p.life == Life::There) {
            return false;
        }
        let Some(pod) = self.pods.remove(uid) else { return false };
        for id in &pod.containers {
            self.containers.remove(id);
        }
        if let Some(node_uid) = &pod.node_uid
            && self.node_uids.get(node_uid).is_some_and(|u| u == uid)
        {
            self.node_uids.remove(node_uid);
        }
        self.members.remove(uid);
        self.let_go(&pod.places, &Holder::Pod(Arc::clone(uid)));
        true
    }

    /// An agent saw the pod use the address at `t`, by its container or cgroup, not by the address.
    pub fn observe(&mut self, uid: &str, ip: IpAddr, t: Timestamp) {
        let Some(pod) = self.pods.get_mut(uid) else { return };
        if pod.info.host_network || ip.is_loopback() || ip.is_unspecified() || self.hosts.contains_key(&ip) {
            return;
        }
        let place = Place::Address(ip);
        let holder = Holder::Pod(Arc::clone(&pod.info.uid));
        if let Some(hold) = self.places.get_mut(&place).and_then(|h| h.of(&holder)) {
            hold.join(t, t);
            hold.ended_by = hold.ended_by.max(t);
            self.counters.observed += 1;
        } else if pod.addresses.is_empty() && pod.life == Life::There {
            let began_after = pod.created.minus(self.limits.skew).min(t);
            pod.places.push(place.clone());
            pod.addresses.push(ip);
            let node = pod.info.node.clone();
            let hold = Hold {
                holder,
                began_after,
                began_by: t,
                ended_after: t,
                ended_by: FOREVER,
                // Its record will tell.
                lasting: false,
            };
            let holds = self.places.entry(place).or_default();
            self.counters.holdings_evicted += u64::from(holds.add(hold, self.limits.holdings));
            self.counters.observed += 1;
            self.has_started(uid, node.as_ref());
        }
    }

    /// The pod as it is known, with its workload as it is known now.
    pub(crate) fn pod_info(&self, uid: &str) -> Option<Arc<PodInfo>> {
        let pod = self.pods.get(uid)?;
        let workload = follow(&pod.direct, &self.owners);
        // An owner that is gone tells less than what was found while it was there.
        if workload == pod.info.workload || workload.uid == pod.direct.uid {
            return Some(Arc::clone(&pod.info));
        }
        Some(Arc::new(PodInfo { workload, ..(*pod.info).clone() }))
    }
}
