//! What is known of an object of the cluster, as whoever watches it hands it over.

use std::net::IpAddr;

use remora_model::Timestamp;

/// The controller of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerRef {
    /// Its kind, such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A container of a pod, init and ephemeral ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerRecord {
    /// Its name in the pod.
    pub name: String,
    /// Its id without the runtime's scheme.
    pub id: String,
    /// It runs, as far as is known.
    pub running: bool,
    /// When it started, by the node's clock, cut to the second.
    pub started: Option<Timestamp>,
    /// When it ended, by the node's clock, cut to the second.
    pub finished: Option<Timestamp>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodRecord {
    /// Its uid, which no other pod ever has.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its resource version, where it is a number.
    pub version: Option<u64>,
    /// The node that it is bound to.
    pub node: Option<String>,
    /// The address of that node.
    pub host_address: Option<IpAddr>,
    /// It uses the addresses of its node.
    pub host_network: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Ports of the node that lead to it.
    pub host_ports: Vec<u16>,
    /// Its containers that have an id.
    pub containers: Vec<ContainerRecord>,
    /// Its controller.
    pub owner: Option<OwnerRef>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its annotations that were chosen.
    pub annotations: Vec<(String, String)>,
    /// The uid by which its node knows it, where that is another one: pods that the node's own files
    /// define are mirrored in the API with a uid that the node does not use.
    pub node_uid: Option<String>,
    /// When it was created, by the API server's clock, cut to the second.
    pub created: Timestamp,
    /// It has ended: nothing of it will run again.
    pub ended: bool,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Its uid.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its resource version, where it is a number.
    pub version: Option<u64>,
    /// Its addresses inside the cluster; none when it is headless.
    pub addresses: Vec<IpAddr>,
    /// Addresses of load balancers and others that lead to it.
    pub external: Vec<IpAddr>,
    /// Its ports at those addresses.
    pub ports: Vec<u16>,
    /// Ports of every node that lead to it.
    pub node_ports: Vec<u16>,
    /// When it was created, cut to the second.
    pub created: Timestamp,
}

/// An endpoint of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The pod that it is.
    pub pod_uid: Option<String>,
}

/// A part of the endpoints of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceRecord {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its resource version, where it is a number.
    pub version: Option<u64>,
    /// The service.
    pub service: String,
    /// Ports of the endpoints; none when they have all ports.
    pub ports: Vec<u16>,
    /// The endpoints.
    pub endpoints: Vec<EndpointRecord>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its name.
    pub name: String,
    /// Its resource version, where it is a number.
    pub version: Option<u64>,
    /// Its addresses, the one that others reach it at first.
    pub addresses: Vec<IpAddr>,
    /// When it was created, cut to the second.
    pub created: Timestamp,
}

/// A replica set, a job: what stands between a pod and what people call the workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerRecord {
    /// Its uid.
    pub uid: String,
    /// Its controller.
    pub owner: Option<OwnerRef>,
}
