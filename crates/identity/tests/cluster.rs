//! Services, nodes, ports, workloads, bounds.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::IpAddr;
use std::time::Duration;

use remora_identity::{
    ContainerRecord, EndpointRecord, Found, How, Index, Kind, Limits, Missing, NodeRecord, Outcome,
    OwnerRecord, OwnerRef, PodRecord, ServiceRecord, Side, SliceRecord,
};
use remora_model::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp((1_800_000_000 + seconds) * 1_000_000_000)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pod(name: &str, address: &str) -> PodRecord {
    PodRecord {
        uid: format!("uid-{name}"),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        node: Some("node-1".to_owned()),
        host_address: Some(ip("192.168.0.1")),
        addresses: vec![ip(address)],
        containers: vec![ContainerRecord {
            name: "app".to_owned(),
            id: format!("id-{name}"),
            running: true,
            started: Some(at(1)),
            finished: None,
        }],
        labels: vec![
            ("app".to_owned(), "checkout".to_owned()),
            ("pod-template-hash".to_owned(), "abc12".to_owned()),
        ],
        created: at(0),
        ..PodRecord::default()
    }
}

fn service(name: &str, addresses: &[&str]) -> ServiceRecord {
    ServiceRecord {
        uid: format!("uid-{name}"),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        addresses: addresses.iter().map(|a| ip(a)).collect(),
        ports: vec![80],
        created: at(0),
        ..ServiceRecord::default()
    }
}

fn slice(service: &str, ports: &[u16], pods: &[&str]) -> SliceRecord {
    let endpoint =
        |name: &&str| EndpointRecord { addresses: Vec::new(), pod_uid: Some(format!("uid-{name}")) };
    SliceRecord {
        namespace: "shop".to_owned(),
        name: format!("{service}-x"),
        service: service.to_owned(),
        ports: ports.to_vec(),
        endpoints: pods.iter().map(endpoint).collect(),
        ..SliceRecord::default()
    }
}

/// An index whose watches have begun at second 5.
fn index() -> Index {
    let mut index = Index::new(Limits::default());
    let node = |name: &str, address: &str| NodeRecord {
        name: name.to_owned(),
        addresses: vec![ip(address)],
        created: at(-1_000),
        version: None,
    };
    index.nodes_listed(&[node("node-1", "192.168.0.1"), node("node-2", "192.168.0.2")], at(5));
    index.pods_listed(&[], at(5));
    index.services_listed(&[], at(5));
    index.slices_listed(&[], at(5));
    index
}

fn heard(index: &mut Index, t: i64) {
    for kind in [Kind::Pods, Kind::Services, Kind::Nodes, Kind::Slices] {
        index.heard(kind, at(t));
    }
}

fn ask(index: &Index, address: &str, port: u16, t: i64) -> Result<Found, Missing> {
    let side = Side { ip: Some(ip(address)), port: Some(port), ..Side::default() };
    match index.resolve(&side, at(t)).outcome {
        Outcome::Found(f) => Ok(f),
        Outcome::Missing(why) => Err(why),
        Outcome::Pending(last, _) => panic!("{address} is still waited for: {last:?}"),
    }
}

fn names(found: &Found) -> [Option<&str>; 3] {
    let pod = found.pod.as_ref().map(|p| &*p.name);
    [pod, found.service.as_ref().map(|s| &*s.name), found.node.as_deref()]
}

#[test]
fn services_their_pods_and_ports() {
    let mut index = index();
    index.pod(&pod("a", "10.0.0.1"), at(6));
    index.pod(&pod("b", "10.0.0.2"), at(6));
    index.service(&service("web", &["10.96.0.1"]), at(6));
    index.service(&service("web-headless", &[]), at(6));
    index.service(&service("metrics", &["10.96.0.2"]), at(6));
    index.slice(&slice("web", &[8080], &["a", "b"]), at(6));
    index.slice(&slice("web-headless", &[8080], &["a", "b"]), at(6));
    index.slice(&slice("metrics", &[9090], &["a"]), at(6));
    heard(&mut index, 100);
    let named =
        |address, port| ask(&index, address, port, 50).map(|f| names(&f).map(|n| n.map(str::to_owned)));
    let of = |n: [Option<&str>; 3]| Ok(n.map(|n| n.map(str::to_owned)));
    assert_eq!(named("10.0.0.1", 8080), of([Some("a"), Some("web"), Some("node-1")]));
    assert_eq!(named("10.0.0.1", 9090), of([Some("a"), Some("metrics"), Some("node-1")]));
    assert_eq!(named("10.0.0.1", 1), of([Some("a"), None, Some("node-1")]));
    // Two pods behind it: which one answered is not known. One, ever: that one.
    assert_eq!(named("10.96.0.1", 80), of([None, Some("web"), None]));
    assert_eq!(named("10.96.0.2", 80), of([Some("a"), Some("metrics"), Some("node-1")]));
    assert_eq!(named("203.0.113.9", 443), Err(Missing::Unknown));
    // A client is part of a service whatever its port.
    let side = Side { ip: Some(ip("10.0.0.2")), ..Side::default() };
    let Outcome::Found(found) = index.resolve(&side, at(50)).outcome else { panic!("not found") };
    assert_eq!(names(&found), [Some("b"), Some("web"), Some("node-1")]);
    // Another pod takes over: connections may stay with the first.
    index.slice(&slice("metrics", &[9090], &["b"]), at(100));
    heard(&mut index, 200);
    let found = ask(&index, "10.96.0.2", 80, 150).unwrap();
    assert_eq!(names(&found), [None, Some("metrics"), None]);
    assert_eq!(names(&ask(&index, "10.0.0.1", 9090, 150).unwrap())[1], None);
    assert_eq!(names(&ask(&index, "10.0.0.1", 9090, 50).unwrap())[1], Some("metrics"));
    // A service that is gone had its address until then; another has it later.
    index.service_gone("shop", "metrics", at(210));
    index.service(&ServiceRecord { created: at(230), ..service("other", &["10.96.0.2"]) }, at(231));
    heard(&mut index, 300);
    assert_eq!(names(&ask(&index, "10.96.0.2", 80, 150).unwrap())[1], Some("metrics"));
    assert_eq!(names(&ask(&index, "10.96.0.2", 80, 250).unwrap())[1], Some("other"));
    assert_eq!(ask(&index, "10.96.0.2", 80, 220), Err(Missing::Unknown));
}

#[test]
fn addresses_of_nodes_are_told_apart() {
    let mut index = index();
    let host = PodRecord { host_network: true, host_ports: vec![9100], ..pod("exporter", "192.168.0.1") };
    index.pod(&host, at(6));
    index.service(
        &ServiceRecord {
            node_ports: vec![30080],
            external: vec![ip("203.0.113.5")],
            ..service("web", &["10.96.0.1"])
        },
        at(6),
    );
    heard(&mut index, 100);
    let found = |address, port| ask(&index, address, port, 50);
    assert_eq!(names(&found("192.168.0.1", 9100).unwrap()), [Some("exporter"), None, Some("node-1")]);
    assert_eq!(found("192.168.0.1", 9100).unwrap().how, How::Port);
    assert_eq!(names(&found("192.168.0.1", 22).unwrap()), [None, None, Some("node-1")]);
    assert_eq!(names(&found("192.168.0.2", 9100).unwrap()), [None, None, Some("node-2")]);
    assert_eq!(names(&found("192.168.0.2", 30080).unwrap()), [None, Some("web"), Some("node-2")]);
    assert_eq!(names(&found("203.0.113.5", 80).unwrap()), [None, Some("web"), None]);
    // What an agent sees of a pod on the host's network says nothing about the address.
    index.observe("uid-exporter", ip("192.168.0.1"), at(60));
    assert_eq!(names(&ask(&index, "192.168.0.1", 22, 60).unwrap())[0], None);
    assert_eq!(index.counters().observed, 0);
}

#[test]
fn workloads_are_the_end_of_the_chain() {
    let mut index = index();
    let owned = |name: &str, kind: &str, owner: &str| PodRecord {
        owner: Some(OwnerRef { kind: kind.to_owned(), name: owner.to_owned(), uid: format!("uid-{owner}") }),
        ..pod(name, "10.0.0.1")
    };
    let workload = |index: &Index, name: &str| {
        let id = format!("id-{name}");
        let side = Side { container: Some(&id), ..Side::default() };
        let Outcome::Found(found) = index.resolve(&side, at(9)).outcome else {
            panic!("{name} is not found")
        };
        let w = &found.pod.unwrap().workload;
        format!("{}/{}", w.kind, w.name)
    };
    index.pod(&owned("d", "ReplicaSet", "checkout-abc12"), at(6));
    index.pod(&owned("s", "StatefulSet", "db"), at(6));
    index.pod(&owned("r", "ReplicaSet", "by-hand"), at(6));
    index.pod(&owned("j", "Job", "backup-29384"), at(6));
    index.pod(&pod("alone", "10.0.0.9"), at(6));
    // The label tells the deployment; a job of a cron job is known by its record alone.
    let found = ["d", "s", "r", "j", "alone"].map(|n| workload(&index, n));
    assert_eq!(
        found,
        ["Deployment/checkout", "StatefulSet/db", "ReplicaSet/by-hand", "Job/backup-29384", "/"]
    );
    let owner = |kind: &str, name: &str| {
        Some(OwnerRef { kind: kind.to_owned(), name: name.to_owned(), uid: format!("uid-{name}") })
    };
    index.owner(&OwnerRecord { uid: "uid-backup-29384".to_owned(), owner: owner("CronJob", "backup") });
    index
        .owner(&OwnerRecord { uid: "uid-checkout-abc12".to_owned(), owner: owner("Deployment", "checkout") });
    assert_eq!(workload(&index, "j"), "CronJob/backup");
    assert_eq!(workload(&index, "d"), "Deployment/checkout");
    // A circle ends.
    index.owner(&OwnerRecord { uid: "uid-backup".to_owned(), owner: owner("Job", "backup-29384") });
    assert!(workload(&index, "j").contains("backup"));
}

#[test]
fn what_the_node_calls_a_static_pod() {
    let mut index = index();
    let hash = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
    index.pod(&PodRecord { node_uid: Some(hash.to_owned()), ..pod("etcd-node-1", "10.0.0.3") }, at(6));
    let cgroup = format!("/kubepods/burstable/pod{hash}/{}", "ab".repeat(32));
    let side = Side { cgroup: Some(&cgroup), ..Side::default() };
    let Outcome::Found(found) = index.resolve(&side, at(9)).outcome else { panic!("not found") };
    assert_eq!(names(&found)[0], Some("etcd-node-1"));
}

#[test]
fn an_interrupted_watch_is_told() {
    let mut index = index();
    index.pod(&pod("a", "10.0.0.1"), at(6));
    heard(&mut index, 100);
    index.lost(Kind::Pods, at(100));
    let side = Side { ip: Some(ip("10.0.0.1")), ..Side::default() };
    let Outcome::Pending(last, None) = index.resolve(&side, at(120)).outcome else { panic!("not pending") };
    assert!(matches!(*last, Outcome::Found(f) if f.stale));
    assert!(ask(&index, "10.0.0.1", 80, 50).is_ok(), "the past is as it was");
    // It goes on where it was.
    index.resumed(Kind::Pods);
    heard(&mut index, 130);
    assert!(!ask(&index, "10.0.0.1", 80, 120).unwrap().stale);
    // An index that was never fed says so.
    let side = Side {
        ip: Some(ip("10.0.0.1")),
        cgroup: Some("/kubepods/pod0a1b2c3d4e5f60718293a4b5c6d7e8f9/x"),
        ..Side::default()
    };
    let Outcome::Pending(last, Some(_)) = Index::new(Limits::default()).resolve(&side, at(1)).outcome else {
        panic!("not pending")
    };
    assert_eq!(*last, Outcome::Missing(Missing::Unreachable));
}

#[test]
fn what_is_gone_is_remembered_for_a_while_and_no_more_than_there_is_room() {
    let limits = Limits { pods: 10, retention: Duration::from_secs(60), ..Limits::default() };
    let mut index = Index::new(limits);
    index.pods_listed(&[], at(0));
    let gone = |name: &str, finished| {
        let mut p = pod(name, "10.0.0.1");
        p.containers[0].running = false;
        p.containers[0].finished = Some(at(finished));
        p.ended = true;
        p
    };
    index.pod(&pod("a", "10.0.0.1"), at(2));
    index.pod_deleted(&gone("a", 10), at(11));
    heard(&mut index, 20);
    assert_eq!(names(&ask(&index, "10.0.0.1", 80, 9).unwrap())[0], Some("a"));
    // Late and repeated news of what is gone change nothing.
    index.pod(&pod("a", "10.0.0.1"), at(12));
    index.pod_deleted(&gone("a", 10), at(13));
    assert_eq!((index.counters().stale, ask(&index, "10.0.0.1", 80, 15)), (2, Err(Missing::Unknown)));
    index.sweep(at(70));
    assert_eq!(index.len(Kind::Pods), 1);
    index.sweep(at(80));
    assert_eq!((index.len(Kind::Pods), index.counters().forgotten), (0, 1));
    assert_eq!(ask(&index, "10.0.0.1", 80, 9), Err(Missing::Unknown));
    for i in 0..30 {
        let name = format!("p{i}");
        index.pod(&pod(&name, "10.0.0.2"), at(100 + i));
        index.pod_deleted(&gone(&name, 100 + i), at(101 + i));
        assert!(index.len(Kind::Pods) <= 10);
    }
    assert_eq!((index.counters().evicted, index.counters().refused), (20, 0));
    // Full of pods that are there: what comes is refused, and nothing is certain any more.
    for i in 0..11 {
        index.pod(&pod(&format!("q{i}"), &format!("10.0.1.{i}")), at(200));
    }
    assert_eq!((index.counters().refused, index.is_current(Kind::Pods)), (1, false));
}
