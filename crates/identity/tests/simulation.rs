//! Made-up clusters whose truth is known, watched through a bad line: no call may be given to a pod
//! that did not have the address, and few may be given to nobody.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use remora_identity::{ContainerRecord, Index, Kind, Limits, Missing, Outcome, OwnerRef, PodRecord, Side};
use remora_model::Timestamp;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;
/// Beginning of the made-up time.
const EPOCH: i64 = 1_800_000_000 * SECOND;
/// How late a node tells of its pods.
const REPORT: i64 = 1_500;
/// How long a row waits at first, and when it is in doubt.
const SETTLE: i64 = 2_000;
const WAIT: i64 = 5_000;

/// The life of a pod, in milliseconds by the true clock.
struct Life {
    uid: String,
    node: usize,
    ip: IpAddr,
    created: i64,
    bound: i64,
    taken: i64,
    started: i64,
    finished: i64,
    released: i64,
    deleted: i64,
    forced: bool,
    /// When its node told of the address, the start and the end.
    told: [i64; 3],
}

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((z ^ (z >> 31)) % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp(EPOCH + ms * MS)
}

fn cut(ms: i64) -> Timestamp {
    Timestamp((EPOCH + ms * MS) / SECOND * SECOND)
}

/// Pods one after the other on a few addresses for each node; the next may take an address a
/// millisecond after it was let go.
fn lives(rng: &mut Rng, nodes: usize, addresses: u8, until: i64) -> Vec<Life> {
    let mut all = Vec::new();
    for node in 0..nodes {
        for a in 0..addresses {
            let mut free = rng.below(3_000);
            while free < until {
                let taken = free + 1 + if rng.one_in(3) { rng.below(20_000) } else { rng.below(300) };
                let bound = taken - 1 - rng.below(800);
                let age = if rng.one_in(4) { 20_000 } else { 500 };
                let created = bound - 1 - rng.below(age);
                let started = taken + 1 + rng.below(1_500);
                let finished = started + 1 + if rng.one_in(2) { rng.below(900) } else { rng.below(15_000) };
                let released = finished + rng.below(200);
                let forced = rng.one_in(8);
                let deleted = if forced {
                    finished - rng.below(finished - started)
                } else {
                    released + rng.below(4_000)
                };
                free = released;
                let mut told = [taken, started, finished].map(|change| change + rng.below(REPORT));
                told[1] = told[1].max(told[0]);
                told[2] = told[2].max(told[1]);
                all.push(Life {
                    uid: format!("uid-{node}-{a}-{taken}"),
                    node,
                    ip: [10, 0, u8::try_from(node).unwrap(), a].into(),
                    created,
                    bound,
                    taken,
                    started,
                    finished,
                    released,
                    deleted,
                    forced,
                    told,
                });
            }
        }
    }
    all
}

/// The state of a pod that its node has told of by `t`.
fn state(life: &Life, t: i64) -> PodRecord {
    let shown = t >= life.taken;
    let over = t >= life.finished && !life.forced;
    let started = (t >= life.started).then(|| cut(life.started));
    let finished = over.then(|| cut(life.finished));
    let container = ContainerRecord {
        name: "app".to_owned(),
        id: format!("container-of-{}", life.uid),
        running: started.is_some() && !over,
        started,
        finished,
    };
    PodRecord {
        uid: life.uid.clone(),
        namespace: "shop".to_owned(),
        name: format!("pod-{}", life.uid),
        version: Some(u64::try_from(t + 1_000_000).unwrap()),
        node: (t >= life.bound).then(|| format!("node-{}", life.node)),
        addresses: if shown { vec![life.ip] } else { Vec::new() },
        containers: if started.is_some() { vec![container] } else { Vec::new() },
        owner: Some(OwnerRef { kind: "Job".to_owned(), name: "j".to_owned(), uid: "j".to_owned() }),
        created: cut(life.created),
        ended: over,
        ..PodRecord::default()
    }
}

enum Event {
    Pod(PodRecord),
    Deleted(PodRecord),
    Lost,
    Listed(Vec<PodRecord>),
}

/// What arrives, and when.
fn events(rng: &mut Rng, lives: &[Life], until: i64, breaks: bool) -> Vec<(i64, Event)> {
    // The stream in the order of the API server.
    let mut sent: Vec<(i64, Event)> = Vec::new();
    for life in lives {
        sent.push((life.created, Event::Pod(state(life, life.created))));
        sent.push((life.bound, Event::Pod(state(life, life.bound))));
        for (change, told) in [life.taken, life.started, life.finished].into_iter().zip(life.told) {
            if told < life.deleted {
                sent.push((told, Event::Pod(state(life, change))));
            }
        }
        let last = if life.forced { life.deleted } else { life.finished };
        let mut last = state(life, last);
        last.version = Some(u64::try_from(life.deleted + 1_000_000).unwrap());
        sent.push((life.deleted, Event::Deleted(last)));
    }
    sent.sort_by_key(|(t, _)| *t);
    // Breaks, after which everything is listed anew.
    let mut lost: Vec<(i64, i64)> = Vec::new();
    let mut t = 5_000;
    while breaks && t < until {
        let end = t + 200 + rng.below(6_000);
        lost.push((t, end));
        t = end + rng.below(20_000);
    }
    // Late (but in order, as one connection is), repeated, and sometimes swapped.
    let mut out: Vec<(i64, Event)> = Vec::new();
    let mut line = 0;
    let mut told: Vec<(i64, PodRecord)> = Vec::new();
    for (t, event) in sent {
        let arrives = line.max(t + rng.below(1_900));
        line = arrives;
        if lost.iter().any(|(from, to)| t >= *from && t < *to) {
            if let Event::Pod(p) = &event {
                told.push((t, p.clone()));
            } else if let Event::Deleted(p) = &event {
                told.retain(|(_, o)| o.uid != p.uid);
            }
            continue;
        }
        if let Event::Pod(p) = &event {
            told.push((t, p.clone()));
            if rng.one_in(5) {
                let (_, old) = &told[usize::try_from(rng.below(i64::try_from(told.len()).unwrap())).unwrap()];
                out.push((arrives, Event::Pod(old.clone())));
            }
            if rng.one_in(5) {
                out.push((arrives, Event::Pod(p.clone())));
            }
        } else if let Event::Deleted(p) = &event {
            told.retain(|(_, o)| o.uid != p.uid);
        }
        out.push((arrives, event));
    }
    for i in 1..out.len() {
        if out[i].0 - out[i - 1].0 < 50 && rng.one_in(4) {
            let (a, b) = (out[i - 1].0, out[i].0);
            out.swap(i - 1, i);
            (out[i - 1].0, out[i].0) = (a, b);
        }
    }
    out.push((0, Event::Listed(list(lives, 0))));
    for (from, to) in lost {
        out.push((from, Event::Lost));
        out.push((to, Event::Listed(list(lives, to))));
    }
    out.sort_by_key(|(t, _)| *t);
    out
}

/// What a list at `t` has.
fn list(lives: &[Life], t: i64) -> Vec<PodRecord> {
    let there = lives.iter().filter(|l| l.created <= t && t < l.deleted);
    there
        .map(|l| {
            let changes = [l.taken, l.started, l.finished].into_iter().zip(l.told);
            let told = changes.filter(|(_, told)| *told <= t).map(|(change, _)| change).max();
            state(l, told.unwrap_or(if l.bound <= t { l.bound } else { l.created }))
        })
        .collect()
}

fn feed(index: &mut Index, at_ms: i64, event: &Event, skew: i64) {
    let seen = at(at_ms + skew);
    match event {
        Event::Pod(p) => index.pod(p, seen),
        Event::Deleted(p) => index.pod_deleted(p, seen),
        Event::Lost => index.lost(Kind::Pods, seen),
        Event::Listed(all) => index.pods_listed(all, seen),
    }
}

#[derive(Default, Debug)]
struct Tally {
    right: u32,
    nobody: u32,
    stale: u32,
    waited: u32,
}

/// Runs a cluster; `observed` is the chance in a hundred that the pod's own node saw it use its
/// address right before.
fn run(seed: u64, breaks: bool, observed: i64) -> Tally {
    let mut rng = Rng(seed);
    let until = 90_000;
    let lives = lives(&mut rng, 2, 3, until);
    let skew = rng.below(160) - 80;
    let events = events(&mut rng, &lives, until, breaks);
    let mut index = Index::new(Limits {
        retention: Duration::from_secs(600),
        linger: Duration::from_secs(30),
        ..Limits::default()
    });
    // When each call is asked for: the call, and whether for the last time.
    let mut asks: Vec<(i64, i64, IpAddr, bool)> = Vec::new();
    for _ in 0..600 {
        let t = rng.below(until);
        let life = &lives[usize::try_from(rng.below(i64::try_from(lives.len()).unwrap())).unwrap()];
        // Most of them near the edges, where it is hard.
        let t = match rng.below(4) {
            0 => t,
            1 => life.taken + rng.below(1_200),
            2 => (life.released - rng.below(1_200)).max(life.taken),
            _ => life.taken + rng.below(life.released - life.taken + 1),
        };
        asks.push((t + SETTLE, t, life.ip, false));
        asks.push((t + WAIT, t, life.ip, true));
    }
    asks.sort_by_key(|a| a.0);
    let mut tally = Tally::default();
    let mut answered: HashSet<(i64, IpAddr)> = HashSet::new();
    let mut next = events.iter().peekable();
    for (now, t, ip, last) in asks {
        while let Some((when, event)) = next.next_if(|(when, _)| *when <= now) {
            feed(&mut index, *when, event, skew);
        }
        index.heard(Kind::Pods, at(now + skew));
        if answered.contains(&(t, ip)) {
            continue;
        }
        let truth = lives.iter().find(|l| l.ip == ip && l.taken <= t && t < l.released);
        if let Some(truth) = truth
            && rng.below(100) < observed
        {
            index.observe(&truth.uid, ip, at(t));
        }
        let side = Side { ip: Some(ip), ..Side::default() };
        let mut outcome = index.resolve(&side, at(t)).outcome;
        if let Outcome::Pending(at_last, _) = outcome {
            if !last {
                tally.waited += 1;
                continue;
            }
            outcome = *at_last;
        }
        answered.insert((t, ip));
        match (outcome, truth) {
            (Outcome::Found(f), _) if f.stale => tally.stale += 1,
            (Outcome::Found(f), Some(truth)) => {
                let pod = f.pod.expect("addresses belong to pods here");
                assert_eq!(*pod.uid, *truth.uid, "seed {seed}: {ip} at {t}");
                tally.right += 1;
            }
            // Nobody sends from an address that nobody has.
            (_, None) => {}
            (Outcome::Missing(_), Some(_)) => tally.nobody += 1,
            (Outcome::Pending(..), _) => unreachable!("the last answer is one"),
        }
    }
    tally
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_call_goes_to_the_wrong_pod(seed in any::<u64>()) {
        run(seed, false, 0);
    }

    #[test]
    fn nor_when_the_watch_breaks(seed in any::<u64>()) {
        run(seed, true, 0);
    }

    #[test]
    fn nor_when_agents_tell_what_they_see(seed in any::<u64>()) {
        run(seed, true, 50);
    }
}

#[test]
fn most_calls_are_given_to_somebody() {
    let sum = |breaks, observed| {
        let runs = (0..40).map(|seed| run(seed, breaks, observed));
        runs.fold((0, 0), |(right, nobody), t| (right + t.right, nobody + t.nobody + t.stale))
    };
    // Most calls lie within a second of a change, of pods that live for seconds, on addresses that
    // never rest: times cut to the second leave much in doubt.
    let (right, nobody) = sum(false, 0);
    assert!(3 * right > 2 * nobody, "{right} right, {nobody} nobody");
    let (right, nobody) = sum(false, 100);
    assert!(right > 50 * nobody, "{right} right, {nobody} nobody, with observations");
    let (right, nobody) = sum(true, 100);
    assert!(right > 20 * nobody, "{right} right, {nobody} nobody, with observations and breaks");
}

#[test]
fn containers_and_cgroups_are_exact_whatever_the_address_says() {
    let mut index = Index::new(Limits::default());
    let id = "ab".repeat(32);
    let uid = "5f9e0f2a-3c1b-4b7e-8f0a-1a2b3c4d5e6f";
    let ip: IpAddr = [10, 0, 0, 1].into();
    let pod = |uid: &str, id: &str| PodRecord {
        uid: uid.to_owned(),
        name: uid.to_owned(),
        node: Some("n".to_owned()),
        addresses: vec![ip],
        containers: vec![ContainerRecord {
            name: "app".to_owned(),
            id: id.to_owned(),
            running: true,
            ..Default::default()
        }],
        created: at(0),
        ..PodRecord::default()
    };
    index.pod(&pod("old", &id), at(100));
    index.current(Kind::Pods, at(100));
    let cgroup = format!("/kubepods/burstable/pod{uid}/{}", "cd".repeat(32));
    let side = Side { ip: Some(ip), cgroup: Some(&cgroup), ..Side::default() };
    // A pod that is not known yet, at the address of one that is.
    let Outcome::Pending(last, Some(who)) = index.resolve(&side, at(5_000)).outcome else {
        panic!("not pending")
    };
    assert_eq!((*last, &*who), (Outcome::Missing(Missing::Unknown), uid));
    index.give_up(uid);
    assert_eq!(index.resolve(&side, at(5_000)).outcome, Outcome::Missing(Missing::Unknown));
    index.pod(&pod(uid, "other"), at(6_000));
    let Outcome::Found(found) = index.resolve(&side, at(5_000)).outcome else { panic!("not found") };
    assert_eq!(&*found.pod.unwrap().uid, uid);
    let by_container = Side { ip: Some(ip), container: Some(&id), ..Side::default() };
    let Outcome::Found(found) = index.resolve(&by_container, at(9_000)).outcome else { panic!("not found") };
    assert_eq!((&*found.pod.unwrap().uid, found.container.as_deref()), ("old", Some("app")));
    // A container of no pod is nobody's, not even the address's.
    let stranger = "ef".repeat(32);
    let side = Side { ip: Some(ip), container: Some(&stranger), ..Side::default() };
    assert_eq!(index.resolve(&side, at(9_000)).outcome, Outcome::Missing(Missing::Unknown));
}
