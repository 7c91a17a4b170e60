//! Services and who is behind them.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use remora_model::Timestamp;

use crate::hold::Holder;
use crate::index::{Kind, Place, is_stale};
use crate::{Index, ServiceInfo, ServiceRecord, SliceRecord};

/// Namespace and name of a service.
pub(crate) type Name = (Arc<str>, Arc<str>);
/// An address, or any node, and a port.
pub(crate) type Door = (Option<IpAddr>, u16);

/// A service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) info: Arc<ServiceInfo>,
    version: Option<u64>,
    pub(crate) headless: bool,
    places: Vec<Place>,
    doors: Vec<Door>,
    gone: bool,
    /// Pods that are or were behind it, until they are forgotten. Bounded by the endpoints.
    pub(crate) backends: HashSet<Arc<str>>,
    /// True when there are endpoints that are no pods.
    pub(crate) others: bool,
}

/// A part of the endpoints of a service.
#[derive(Debug)]
pub(crate) struct Slice {
    version: Option<u64>,
    service: Name,
    pods: Vec<Arc<str>>,
    doors: Vec<Door>,
    size: usize,
}

/// A pod is behind a service.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) service: Name,
    slice: (String, String),
    /// Ports at the pod; none when it is all of them.
    pub(crate) ports: Arc<[u16]>,
    /// When the slice no longer had it.
    pub(crate) until: Option<Timestamp>,
}

impl Index {
    fn service_entry(&mut self, namespace: &str, name: &str) -> Option<&mut Service> {
        let key: Name = (namespace.into(), name.into());
        if !self.services.contains_key(&key) && self.services.len() >= self.limits.services {
            self.counters.refused += 1;
            return None;
        }
        let info = ServiceInfo { namespace: Arc::clone(&key.0), name: Arc::clone(&key.1) };
        Some(self.services.entry(key).or_insert_with(|| Service {
            info: Arc::new(info),
            version: None,
            headless: true,
            places: Vec::new(),
            doors: Vec::new(),
            gone: false,
            backends: HashSet::new(),
            others: false,
        }))
    }

    /// A service, seen at `seen`.
    pub fn service(&mut self, record: &ServiceRecord, seen: Timestamp) {
        let Some(service) = self.service_entry(&record.namespace, &record.name) else { return };
        if is_stale(service.version, record.version) {
            self.counters.stale += 1;
            return;
        }
        let before = std::mem::take(&mut service.places);
        let old_doors = std::mem::take(&mut service.doors);
        (service.version, service.gone) = (record.version, false);
        service.headless = record.addresses.is_empty();
        let places: Vec<Place> = record.addresses.iter().map(|ip| Place::Address(*ip)).collect();
        service.places.clone_from(&places);
        let external = record.external.iter().flat_map(|ip| record.ports.iter().map(|p| (Some(*ip), *p)));
        service.doors = external.chain(record.node_ports.iter().map(|p| (None, *p))).collect();
        let doors = service.doors.clone();
        let key: Name = (Arc::clone(&service.info.namespace), Arc::clone(&service.info.name));
        let holder = Holder::Service(Arc::clone(&key.0), Arc::clone(&key.1));
        self.close_doors(&old_doors, &key);
        self.open_doors(&doors, &key);
        for place in before.iter().filter(|p| !places.contains(p)) {
            self.end(place.clone(), &holder, None, seen);
        }
        let created = record.created.minus(self.limits.skew);
        // The address is given in the moment of creation, whose time is cut to the second.
        let by = record.created.plus(Duration::from_secs(1)).plus(self.limits.skew);
        for place in places {
            self.hold(place, &holder, created, (Some(by), None), seen);
        }
    }

    /// A service is gone.
    pub fn service_gone(&mut self, namespace: &str, name: &str, seen: Timestamp) {
        let key: Name = (namespace.into(), name.into());
        let Some(service) = self.services.get_mut(&key).filter(|s| !s.gone) else { return };
        service.gone = true;
        let (places, doors) = (service.places.clone(), std::mem::take(&mut service.doors));
        self.close_doors(&doors, &key);
        let holder = Holder::Service(key.0, key.1);
        for place in places {
            self.end(place, &holder, None, seen);
        }
        self.gone.push_back((seen, holder));
    }

    /// All services that there are at `seen`: what the list does not have is gone.
    pub fn services_listed(&mut self, all: &[ServiceRecord], seen: Timestamp) {
        for record in all {
            self.service(record, seen);
        }
        let present: HashSet<(&str, &str)> = all.iter().map(|s| (&*s.namespace, &*s.name)).collect();
        let absent = self.services.keys().filter(|(ns, name)| !present.contains(&(&**ns, &**name)));
        let absent: Vec<Name> = absent.cloned().collect();
        for (ns, name) in absent {
            self.service_gone(&ns, &name, seen);
        }
        self.current(Kind::Services, seen);
    }

    pub(crate) fn forget_service(&mut self, namespace: &Arc<str>, name: &Arc<str>) -> bool {
        let key = (Arc::clone(namespace), Arc::clone(name));
        if self.services.get(&key).is_none_or(|s| !s.gone) {
            return false;
        }
        let Some(service) = self.services.remove(&key) else { return false };
        self.let_go(&service.places, &Holder::Service(key.0, key.1));
        true
    }

    /// Endpoints of a service, seen at `seen`.
    pub fn slice(&mut self, record: &SliceRecord, seen: Timestamp) {
        let id = (record.namespace.clone(), record.name.clone());
        if self.slices.get(&id).is_some_and(|s| is_stale(s.version, record.version)) {
            self.counters.stale += 1;
            return;
        }
        let size = record.endpoints.len();
        let before = self.slices.get(&id).map_or(0, |s| s.size);
        if self.endpoints - before + size > self.limits.endpoints {
            self.counters.refused += 1;
            return;
        }
        let pods: Vec<Arc<str>> =
            record.endpoints.iter().filter_map(|e| e.pod_uid.as_deref()).map(Arc::from).collect();
        let others = record.endpoints.iter().filter(|e| e.pod_uid.is_none());
        let doors: Vec<Door> = others
            .flat_map(|e| e.addresses.iter().flat_map(|ip| record.ports.iter().map(|p| (Some(*ip), *p))))
            .collect();
        let Some(service) = self.service_entry(&record.namespace, &record.service) else { return };
        service.backends.extend(pods.iter().cloned());
        service.others |= record.endpoints.iter().any(|e| e.pod_uid.is_none());
        let key: Name = (Arc::clone(&service.info.namespace), Arc::clone(&service.info.name));
        self.leave(&id, &pods, seen);
        let ports: Arc<[u16]> = record.ports.clone().into();
        for uid in &pods {
            let member = Membership {
                service: key.clone(),
                slice: id.clone(),
                ports: Arc::clone(&ports),
                until: None,
            };
            let of = self.members.entry(Arc::clone(uid)).or_default();
            match of.iter_mut().find(|m| m.slice == id) {
                Some(known) => *known = member,
                None => of.push(member),
            }
        }
        self.open_doors(&doors, &key);
        self.endpoints = self.endpoints - before + size;
        self.slices.insert(id, Slice { version: record.version, service: key, pods, doors, size });
    }

    /// Endpoints are gone.
    pub fn slice_gone(&mut self, namespace: &str, name: &str, seen: Timestamp) {
        let id = (namespace.to_owned(), name.to_owned());
        self.leave(&id, &[], seen);
        if let Some(slice) = self.slices.remove(&id) {
            self.endpoints -= slice.size;
        }
    }

    /// All slices that there are at `seen`: what the list does not have is gone.
    pub fn slices_listed(&mut self, all: &[SliceRecord], seen: Timestamp) {
        for record in all {
            self.slice(record, seen);
        }
        let present: HashSet<(&str, &str)> = all.iter().map(|s| (&*s.namespace, &*s.name)).collect();
        let absent = self.slices.keys().filter(|(ns, name)| !present.contains(&(&**ns, &**name)));
        let absent: Vec<_> = absent.cloned().collect();
        for (ns, name) in absent {
            self.slice_gone(&ns, &name, seen);
        }
        self.current(Kind::Slices, seen);
    }

    /// What the slice had before and does not have now.
    fn leave(&mut self, id: &(String, String), now: &[Arc<str>], seen: Timestamp) {
        let Some(slice) = self.slices.get_mut(id) else { return };
        let (service, doors) = (slice.service.clone(), std::mem::take(&mut slice.doors));
        for uid in slice.pods.iter().filter(|uid| !now.contains(uid)) {
            // A pod that was never seen has nothing to remember.
            if !self.pods.contains_key(uid) {
                self.members.remove(uid);
            } else if let Some(m) =
                self.members.get_mut(uid).and_then(|all| all.iter_mut().find(|m| m.slice == *id))
            {
                m.until = Some(seen);
            }
        }
        self.close_doors(&doors, &service);
    }

    fn open_doors(&mut self, doors: &[Door], service: &Name) {
        for door in doors {
            let behind = self.doors.entry(*door).or_default();
            if !behind.contains(service) {
                behind.push(service.clone());
            }
        }
    }

    fn close_doors(&mut self, doors: &[Door], service: &Name) {
        for door in doors {
            if let Some(behind) = self.doors.get_mut(door) {
                behind.retain(|s| s != service);
                if behind.is_empty() {
                    self.doors.remove(door);
                }
            }
        }
    }

    /// The service that a pod is part of: at that port, or at any when there is none. Of several the
    /// ones with an address come first, then they go by name.
    pub(crate) fn service_of(&self, uid: &str, port: Option<u16>, t: Timestamp) -> Option<Arc<ServiceInfo>> {
        let fits = |m: &&Membership| {
            m.until.is_none_or(|until| t <= until)
                && port.is_none_or(|p| m.ports.is_empty() || m.ports.contains(&p))
        };
        let all = self.members.get(uid)?.iter().filter(fits);
        let services = all.filter_map(|m| self.services.get(&m.service));
        services.min_by(|a, b| (a.headless, &a.info).cmp(&(b.headless, &b.info))).map(|s| Arc::clone(&s.info))
    }

    /// The service behind an address and port outside the cluster's own, or a port of the nodes.
    pub(crate) fn service_at(&self, ip: Option<IpAddr>, port: u16) -> Option<Arc<ServiceInfo>> {
        match self.doors.get(&(ip, port))?.as_slice() {
            [one] => self.services.get(one).map(|s| Arc::clone(&s.info)),
            _ => None,
        }
    }

    /// The only pod that was ever behind a service. Connections stay with a pod that left, so a
    /// service that had several tells nothing.
    pub(crate) fn only_backend(&self, service: &ServiceInfo) -> Option<&Arc<str>> {
        let service = self.services.get(&(Arc::clone(&service.namespace), Arc::clone(&service.name)))?;
        let mut all = service.backends.iter();
        match (all.next(), all.next()) {
            (Some(one), None) if !service.others && self.is_current(Kind::Slices) => Some(one),
            _ => None,
        }
    }
}
