//! Who is behind one side of a connection at an instant.

use std::net::IpAddr;
use std::sync::Arc;

use remora_model::Timestamp;

use crate::hold::{FOREVER, Held, Hold, Holder, narrow};
use crate::index::{Kind, Place};
use crate::{Index, PodInfo, ServiceInfo, container_id, pod_uid};

/// What a row says of one side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Side<'a> {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// Its port, where that tells who it is: of the side that was called.
    pub port: Option<u16>,
    /// Its container, as the agent saw it.
    pub container: Option<&'a str>,
    /// Its cgroup, as the agent saw it.
    pub cgroup: Option<&'a str>,
    /// The node whose agent saw it.
    pub node: Option<&'a str>,
}

/// How it was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// By the container's id.
    Container,
    /// By the pod's uid in the path of the cgroup.
    Cgroup,
    /// By address.
    Address,
    /// By address and port.
    Port,
}

/// Who it is. At least one of the parts is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The pod.
    pub pod: Option<Arc<PodInfo>>,
    /// Name of the container in the pod.
    pub container: Option<Arc<str>>,
    /// The service.
    pub service: Option<Arc<ServiceInfo>>,
    /// The node.
    pub node: Option<Arc<str>>,
    /// How it was found out.
    pub how: How,
    /// The watch was interrupted: the last that is known.
    pub stale: bool,
}

/// Why nobody was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// Nobody is known to have it.
    Unknown,
    /// More than one could have had it, or not all who could are known.
    Ambiguous,
    /// The API server could not be asked.
    Unreachable,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is this.
    Found(Found),
    /// It may be known soon. What holds if it is not, and the uid that is waited for, if it is one.
    Pending(Box<Outcome>, Option<Arc<str>>),
    /// It is not known.
    Missing(Missing),
}

/// The answer, and the instants between which it is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub outcome: Outcome,
    /// It holds after this instant,
    pub after: Timestamp,
    /// and before this one.
    pub before: Timestamp,
}

impl Index {
    /// Who was behind `side` at `t`.
    pub fn resolve(&self, side: &Side<'_>, t: Timestamp) -> Answer {
        let mut around = (Timestamp(i64::MIN), FOREVER);
        let outcome =
            self.by_owner(side, t, &mut around).unwrap_or_else(|| self.by_address(side, t, &mut around));
        Answer { outcome, after: around.0, before: around.1 }
    }

    /// True when the port tells who is behind that address.
    pub fn port_matters(&self, ip: IpAddr) -> bool {
        !ip.is_loopback()
    }

    /// By what the agent saw of the owner: exact, whatever the time.
    fn by_owner(
        &self,
        side: &Side<'_>,
        t: Timestamp,
        around: &mut (Timestamp, Timestamp),
    ) -> Option<Outcome> {
        let in_path = side.cgroup.and_then(container_id);
        let container = side.container.or(in_path);
        if let Some((uid, name)) = container.and_then(|id| self.containers.get(id)) {
            return self.pod_found(uid, Some(Arc::clone(name)), How::Container, side.port, t, around);
        }
        match side.cgroup.and_then(pod_uid) {
            Some(uid) => {
                let known = self.node_uids.get(uid.as_str()).map_or(uid.as_str(), |u| &**u);
                if let Some(found) = self.pod_found(known, None, How::Cgroup, side.port, t, around) {
                    return Some(found);
                }
                // It is a pod, and not one that is known: whoever is known to have the address is not it.
                let open = self.gaps.get(&Kind::Pods).is_none_or(|g| g.open_since().is_some());
                let missing = Outcome::Missing(if open { Missing::Unreachable } else { Missing::Unknown });
                if self.given_up.contains(uid.as_str()) {
                    return Some(missing);
                }
                Some(Outcome::Pending(Box::new(missing), Some(uid.into())))
            }
            // A container that Kubernetes does not know has no address of a pod.
            None if container.is_some() => Some(self.node_only(side.node)),
            None => None,
        }
    }

    fn pod_found(
        &self,
        uid: &str,
        container: Option<Arc<str>>,
        how: How,
        port: Option<u16>,
        t: Timestamp,
        around: &mut (Timestamp, Timestamp),
    ) -> Option<Outcome> {
        let pod = self.pod_info(uid)?;
        for m in self.members.get(uid).into_iter().flatten() {
            if let Some(until) = m.until {
                narrow(around, until, t);
            }
        }
        let service = self.service_of(uid, port, t);
        let node = pod.node.clone();
        Some(Outcome::Found(Found { pod: Some(pod), container, service, node, how, stale: false }))
    }

    fn node_only(&self, node: Option<&str>) -> Outcome {
        match node.and_then(|n| self.nodes.get_key_value(n)) {
            Some((node, _)) => Outcome::Found(Found {
                pod: None,
                container: None,
                service: None,
                node: Some(Arc::clone(node)),
                how: How::Cgroup,
                stale: false,
            }),
            None => Outcome::Missing(Missing::Unknown),
        }
    }

    fn by_address(&self, side: &Side<'_>, t: Timestamp, around: &mut (Timestamp, Timestamp)) -> Outcome {
        let Some(ip) = side.ip.filter(|ip| !ip.is_unspecified()) else {
            return Outcome::Missing(Missing::Unknown);
        };
        if ip.is_loopback() {
            return Outcome::Missing(Missing::Unknown);
        }
        let place = Place::Address(ip);
        let Holding { holder, doubtful, stale } = self.holder(&place, t, around);
        let found = match holder {
            Ok(Holder::Pod(uid)) => self.pod_found(&uid, None, How::Address, side.port, t, around),
            Ok(Holder::Service(ns, name)) => {
                let info = Arc::new(ServiceInfo { namespace: ns, name });
                let pod = self.only_backend(&info).and_then(|uid| self.pod_info(uid));
                let node = pod.as_ref().and_then(|p| p.node.clone());
                Some(found(pod, Some(info), node, How::Address))
            }
            Ok(Holder::Node(node)) => Some(self.at_node(&node, side, t, around)),
            Err(missing) => {
                let node = self.hosts.get(&ip).filter(|_| missing == Missing::Unknown);
                let door = side.port.and_then(|port| self.service_at(Some(ip), port));
                match (node, door) {
                    (Some(node), _) => Some(self.at_node(&node.clone(), side, t, around)),
                    (None, Some(service)) => Some(found(None, Some(service), None, How::Port)),
                    (None, None) if missing == Missing::Unknown => {
                        let unknown = Outcome::Missing(missing);
                        return if is_private(ip) && self.anything_starts(None, t, around) {
                            Outcome::Pending(Box::new(unknown), None)
                        } else {
                            unknown
                        };
                    }
                    (None, None) => Some(Outcome::Missing(missing)),
                }
            }
        };
        let mut found = found.unwrap_or(Outcome::Missing(Missing::Unknown));
        if let Outcome::Found(found) = &mut found {
            found.stale = stale;
        }
        if doubtful { Outcome::Pending(Box::new(found), None) } else { found }
    }

    /// A side at an address of a node: a pod at a port of its, a service at a port of all nodes, or the
    /// node itself.
    fn at_node(
        &self,
        node: &Arc<str>,
        side: &Side<'_>,
        t: Timestamp,
        around: &mut (Timestamp, Timestamp),
    ) -> Outcome {
        if let Some(port) = side.port {
            let holding = self.holder(&Place::Port(Arc::clone(node), port), t, around);
            if let Ok(Holder::Pod(uid)) = holding.holder
                && let Some(found) = self.pod_found(&uid, None, How::Port, Some(port), t, around)
            {
                return found;
            }
            let service = side.ip.and_then(|ip| self.service_at(Some(ip), port));
            if let Some(service) = service.or_else(|| self.service_at(None, port)) {
                return found(None, Some(service), Some(Arc::clone(node)), How::Port);
            }
        }
        found(None, None, Some(Arc::clone(node)), How::Address)
    }

    /// Who held the place.
    fn holder(&self, place: &Place, t: Timestamp, around: &mut (Timestamp, Timestamp)) -> Holding {
        let Some(holds) = self.places.get(place) else { return Holding::nobody(Missing::Unknown, false) };
        match holds.at(t, self.horizon(), around) {
            Held::Nobody => Holding::nobody(Missing::Unknown, false),
            Held::Several => Holding::nobody(Missing::Ambiguous, true),
            Held::Certain(hold) => Holding::of(&hold, false),
            Held::One(hold) => self.probably(&hold, t, around),
        }
    }

    /// The only one who is known to have had it, which counts when everybody who could is known.
    fn probably(&self, hold: &Hold, t: Timestamp, around: &mut (Timestamp, Timestamp)) -> Holding {
        let kind = match hold.holder {
            Holder::Pod(_) => Kind::Pods,
            Holder::Service(..) => Kind::Services,
            Holder::Node(_) => Kind::Nodes,
        };
        let Some(gaps) = self.gaps.get(&kind) else { return Holding::nobody(Missing::Unreachable, true) };
        let linger = self.limits.linger;
        gaps.narrow(around, t, linger);
        if gaps.may_hide(t, linger, hold.began_by, hold.ended_after) {
            return match gaps.open_since() {
                // It had it when the watch was interrupted: said, and said to be old.
                Some(since) if t >= since && hold.is_open() && hold.began_by <= since => {
                    Holding { stale: true, ..Holding::of(hold, true) }
                }
                Some(since) if t >= since => Holding::nobody(Missing::Unreachable, true),
                // What goes on will be known to have gone on.
                _ => Holding::nobody(Missing::Ambiguous, hold.is_open()),
            };
        }
        let Holder::Pod(uid) = &hold.holder else { return Holding::of(hold, false) };
        let node = self.pods.get(uid).and_then(|p| p.info.node.as_ref());
        if !self.anything_starts(node, t, around) {
            return Holding::of(hold, false);
        }
        // Another pod of the node may have the address by now. Once one had time to show its address,
        // whoever is not known to have ended has it still.
        if hold.is_open() { Holding::of(hold, true) } else { Holding::nobody(Missing::Ambiguous, true) }
    }

    /// True when a pod (of that node, or any) that had no address yet could have had one at `t`.
    fn anything_starts(
        &self,
        node: Option<&Arc<str>>,
        t: Timestamp,
        around: &mut (Timestamp, Timestamp),
    ) -> bool {
        let starting = match node {
            Some(node) => self.starting.get(node).map(|s| vec![s]).unwrap_or_default(),
            None => self.starting.values().collect(),
        };
        let mut any = false;
        for first in starting.into_iter().flat_map(|s| s.values()) {
            let from = first.minus(self.limits.lag).minus(self.limits.skew);
            let to = first.plus(self.limits.starting);
            narrow(around, from, t);
            narrow(around, to, t);
            any |= from <= t && t <= to;
        }
        any
    }
}

/// Who held a place.
struct Holding {
    holder: Result<Holder, Missing>,
    /// It may be known better soon.
    doubtful: bool,
    /// It is the last that was known.
    stale: bool,
}

impl Holding {
    fn of(hold: &Hold, doubtful: bool) -> Self {
        Self { holder: Ok(hold.holder.clone()), doubtful, stale: false }
    }

    fn nobody(missing: Missing, doubtful: bool) -> Self {
        Self { holder: Err(missing), doubtful, stale: false }
    }
}

fn found(
    pod: Option<Arc<PodInfo>>,
    service: Option<Arc<ServiceInfo>>,
    node: Option<Arc<str>>,
    how: How,
) -> Outcome {
    Outcome::Found(Found { pod, container: None, service, node, how, stale: false })
}

/// Addresses that clusters give to pods: private, shared (RFC 6598) and unique local ones.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}
