//! Faults under load: processes that are killed and started again at random, a hub that is away, a
//! full disk, a full ring. What was acknowledged stays, nothing is there twice, and what is lost
//! is counted and shown.
//!
//! Schedules come from a seed, which is printed; `REMORA_FAULT_SEED` sets it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use remora_tests::faults::answer::Row;
use remora_tests::faults::load::{Made, Manner};
use remora_tests::faults::rig::{Rig, SETTLE};
use remora_tests::faults::seed::Seed;
use remora_tests::faults::{answer, cannot_run, tally, wait_until};

macro_rules! need_live_capture {
    ($name:literal) => {
        if let Some(reason) = cannot_run() {
            println!("SKIPPED: {}: {reason}", $name);
            return Ok(());
        }
    };
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    KillHub,
    RestartAgent,
    /// The agent ends and starts while the hub is away: what it has must wait on its disk.
    RestartAgentWithoutHub,
}

#[test]
fn killed_hubs_and_restarted_agents_lose_and_duplicate_nothing() -> Result<()> {
    need_live_capture!("killed_hubs_and_restarted_agents_lose_and_duplicate_nothing");
    let mut seed = Seed::from_env();
    let mut faults = [
        Fault::KillHub,
        Fault::KillHub,
        Fault::KillHub,
        Fault::KillHub,
        Fault::RestartAgent,
        Fault::RestartAgent,
        Fault::RestartAgentWithoutHub,
    ];
    seed.shuffle(&mut faults);
    println!("seed {}: {faults:?}", seed.first());

    let mut rig = Rig::start(&[])?;
    rig.start_load();
    // Times without an agent.
    let mut blind = Vec::new();
    for fault in faults {
        std::thread::sleep(seed.millis(300, 3_000));
        match fault {
            Fault::KillHub => {
                rig.kill_hub()?;
                std::thread::sleep(seed.millis(0, 2_000));
                rig.start_hub()?;
            }
            Fault::RestartAgent => blind.push(restart_agent(&mut rig)?),
            Fault::RestartAgentWithoutHub => {
                rig.kill_hub()?;
                std::thread::sleep(seed.millis(0, 1_000));
                blind.push(restart_agent(&mut rig)?);
                rig.start_hub()?;
            }
        }
    }
    std::thread::sleep(seed.millis(300, 2_000));
    rig.load.pause()?;
    let made = rig.load.made()?;
    rig.arrived(&made, &blind)?;
    let rows = rig.settle()?;
    println!("{} calls made, {} stored", made.len(), rows.len());
    tally::exactly_once(&made, &rows, &blind).with_context(|| format!("seed {}", seed.first()))?;
    let pauses: Vec<_> = blind.iter().map(|(from, to)| to.duration_since(*from).as_secs_f32()).collect();
    println!("without an agent for {pauses:.1?} s");
    paused(&rig, blind.len())
}

/// Checks that coverage tells of so many pauses.
fn paused(rig: &Rig, times: usize) -> Result<()> {
    let coverage = &answer::status(rig.address)?["coverage"];
    let summary = coverage["summary"].as_str().unwrap_or_default();
    ensure!(coverage["complete"] == false, "coverage claims to be complete: {coverage}");
    ensure!(summary.matches("did not capture").count() == times, "{times} pauses, but: {summary}");
    Ok(())
}

fn restart_agent(rig: &mut Rig) -> Result<tally::Blind> {
    let from = Instant::now();
    rig.stop_agent()?;
    rig.start_agent()?;
    Ok((from, Instant::now()))
}

#[test]
fn a_killed_agent_costs_the_moments_around_its_death() -> Result<()> {
    need_live_capture!("a_killed_agent_costs_the_moments_around_its_death");
    let mut seed = Seed::from_env();
    println!("seed {}", seed.first());
    let mut rig = Rig::start(&[])?;
    rig.start_load();
    let mut blind = Vec::new();
    for _ in 0..3 {
        std::thread::sleep(seed.millis(300, 2_500));
        // What has arrived before the death stays. Calls made from here on may be lost.
        let made = rig.load.made()?;
        let from = Instant::now();
        rig.arrived(&made, &blind)?;
        std::thread::sleep(seed.millis(0, 1_000));
        rig.kill_agent()?;
        std::thread::sleep(seed.millis(1_000, 2_500));
        rig.start_agent()?;
        blind.push((from, Instant::now()));
    }
    rig.load.more(500)?;
    rig.load.pause()?;
    let made = rig.load.made()?;
    rig.arrived(&made, &blind)?;
    let rows = rig.settle()?;
    tally::exactly_once(&made, &rows, &blind).with_context(|| format!("seed {}", seed.first()))?;
    let lost = made.len() - tally::whole(&rows).len();
    println!("{} calls made, {lost} of them lost around three deaths", made.len());
    ensure!(lost > 0, "nobody captured for seconds, and nothing is missing");
    paused(&rig, 3)
}

/// Bytes that an agent keeps in memory before it turns to the disk.
const SPOOL_MEMORY: usize = 64 << 20;
/// Bytes that it may have on disk in this test.
const SPOOL_DISK: usize = 8 << 20;
/// Bytes of a body, below the limit of what is kept of it.
const LARGE_BODY: usize = 60_000;

#[test]
fn a_hub_that_is_away_gets_what_the_spool_could_hold() -> Result<()> {
    need_live_capture!("a_hub_that_is_away_gets_what_the_spool_could_hold");
    let mut rig = Rig::start(&[&format!("--spool={SPOOL_DISK}")])?;
    rig.start_load();
    rig.load.more(200)?;

    // Away, with room for everything.
    rig.stop_hub()?;
    rig.load.more(2_000)?;
    rig.start_hub()?;
    rig.load.pause()?;
    let first = rig.load.made()?;
    rig.arrived(&first, &[])?;
    let status =
        rig.status_when("an agent that reports", |s| s["agents"][0]["capture"]["spool"].is_object())?;
    ensure!(answer::agent_counter(&status, "ship", "spool_full") == 0, "lost too early: {status}");

    // Away, with more traffic than the spool holds.
    drained(&rig)?;
    rig.stop_hub()?;
    let from = Instant::now();
    for _ in 0..2 {
        let pause = Duration::from_millis(2);
        rig.load.add(Manner { keep_alive: true, pause, body: LARGE_BODY });
    }
    rig.load.resume();
    rig.load.more((SPOOL_MEMORY + (24 << 20)) / LARGE_BODY * 2)?;
    rig.load.pause()?;
    let to = Instant::now();
    rig.start_hub()?;
    let counted = |s: &serde_json::Value| answer::agent_counter(s, "ship", "spool_full");
    rig.status_when("spool_full in the agent's account", |s| counted(s) > 0)?;
    drained(&rig)?;
    // Calls after the outage are whole again, on connections old and new.
    rig.load.resume();
    rig.load.more(200)?;
    rig.load.pause()?;
    let made = rig.load.made()?;
    rig.arrived(&made, &[(from, to)])?;
    let (rows, missing, given_up) = given_up(&rig, &made)?;
    // What was given up on disk while it was being sent is counted although the hub got it.
    let slack = SPOOL_DISK / LARGE_BODY;
    ensure!(given_up <= missing + slack, "{missing} calls missing, {given_up} given up");
    tally::exactly_once(&made, &rows, &[(from, to)])?;
    println!("{} calls made, {missing} missing, {given_up} given up", made.len());

    let answered = answer::json(rig.address, "/api/v1/calls?since=all&limit=1")?;
    let coverage = &answered["coverage"];
    ensure!(coverage["complete"] == false, "coverage claims to be complete: {coverage}");
    ensure!(answer::lost(coverage, "ship", "spool_full") > 0, "no spool_full in {coverage}");
    let rows = rig.settle()?;
    tally::exactly_once(&made, &rows, &[(from, to)])
}

/// What the hub has, how many calls are missing there, and how many the agent counts as given up,
/// which must be as many at least: nothing is lost uncounted.
fn given_up(rig: &Rig, made: &[Made]) -> Result<(Vec<Row>, usize, usize)> {
    let rows = answer::calls(rig.address)?;
    let missing = made.len() - tally::whole(&rows).len();
    let status = answer::status(rig.address)?;
    let count = status["agents"][0]["capture"]["spool"]["dropped_rows"]["calls"].as_u64();
    let count = usize::try_from(count.context("no dropped_rows")?)?;
    ensure!(missing <= count, "{missing} calls missing, only {count} counted as given up");
    Ok((rows, missing, count))
}

/// Waits until an agent under no load has been told that the hub keeps everything but its newest
/// reports. The agent counts as lost what it gives up without having been told so.
fn drained(rig: &Rig) -> Result<()> {
    rig.status_when("an agent with nothing but its reports to send", |s| {
        let spool = &s["agents"][0]["capture"]["spool"];
        let bytes = spool["memory_bytes"].as_u64().zip(spool["disk_bytes"].as_u64());
        bytes.is_some_and(|(memory, disk)| memory + disk < 32_000)
    })
    .map(drop)
}

/// A small file system in memory.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    /// `None` where mounting is not possible.
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "remora-faults"]).arg(at);
        mount.status().is_ok_and(|s| s.success()).then_some(Self(at))
    }

    /// Writes a file until there is no more room.
    fn fill(&self) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.0.join("filler"))?;
        let block = [0_u8; 4096];
        loop {
            match file.write(&block) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOSPC) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.0.join("filler"))?)
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        // Lazily: a failing test may leave processes that end later.
        _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_shown_and_survived() -> Result<()> {
    need_live_capture!("a_full_disk_is_shown_and_survived");
    let dir = tempfile::TempDir::with_prefix("remora-full-")?;
    let Some(disk) = Tmpfs::mount(dir.path(), "32m") else {
        println!("SKIPPED: a_full_disk_is_shown_and_survived: a tmpfs cannot be mounted");
        return Ok(());
    };
    let mut rig = Rig::start_in(Some(dir.path()), None, &[])?;
    // The disk must hold all of this at the end.
    for keep_alive in [true, false] {
        rig.load.add(Manner { keep_alive, pause: Duration::from_millis(15), body: 200 });
    }
    rig.load.more(500)?;
    rig.status_when("rows on disk", |s| s["data"]["calls"]["bytes_on_disk"].as_u64() > Some(0))?;

    disk.fill()?;
    rig.load.more(500)?;
    let full = |s: &serde_json::Value| s["store"]["condition"]["state"] == "disk_full";
    rig.status_when("a full disk in the status", full)?;
    let (ready, body) = answer::get(rig.address, "/ready")?;
    ensure!(ready == 503, "/ready says {ready} {body}");
    let (health, _) = answer::get(rig.address, "/health")?;
    ensure!(health == 200, "/health says {health}");
    // What is durable and what waits for the disk are both there to ask for.
    rig.load.pause()?;
    let made = rig.load.made()?;
    tally::exactly_once(&made, &rig.arrived(&made, &[])?, &[])?;

    // A hub that dies and starts while the disk is full: the agent still has what was not durable.
    rig.kill_hub()?;
    rig.start_hub_unready()?;
    tally::exactly_once(&made, &rig.arrived(&made, &[])?, &[])?;
    rig.load.resume();
    rig.load.more(500)?;
    rig.status_when("a full disk in the status", full)?;

    disk.free()?;
    rig.status_when("a healthy store", |s| s["store"]["condition"]["state"] == "healthy")?;
    let (ready, body) = answer::get(rig.address, "/ready")?;
    ensure!(ready == 200, "/ready says {ready} {body}");
    rig.load.more(500)?;
    rig.load.pause()?;
    let made = rig.load.made()?;
    rig.arrived(&made, &[])?;
    let rows = rig.settle()?;
    println!("{} calls made, {} stored", made.len(), rows.len());
    drop(rig);
    tally::exactly_once(&made, &rows, &[])
}

#[test]
fn a_full_disk_under_the_spool_is_counted_and_survived() -> Result<()> {
    need_live_capture!("a_full_disk_under_the_spool_is_counted_and_survived");
    let dir = tempfile::TempDir::with_prefix("remora-full-")?;
    let Some(disk) = Tmpfs::mount(dir.path(), "4m") else {
        println!("SKIPPED: a_full_disk_under_the_spool_is_counted_and_survived: a tmpfs cannot be mounted");
        return Ok(());
    };
    let mut rig = Rig::start_in(None, Some(dir.path()), &[])?;
    rig.start_load();
    rig.load.more(200)?;
    rig.load.pause()?;
    rig.arrived(&rig.load.made()?, &[])?;
    drained(&rig)?;
    disk.fill()?;
    rig.stop_hub()?;
    let from = Instant::now();
    rig.load.add(Manner { keep_alive: true, pause: Duration::from_millis(1), body: LARGE_BODY });
    rig.load.resume();
    // About every second call is a large one.
    rig.load.more((SPOOL_MEMORY + (16 << 20)) / LARGE_BODY * 2)?;
    rig.load.pause()?;
    let to = Instant::now();
    rig.start_hub()?;
    for reason in ["disk_errors", "spool_full"] {
        rig.status_when(reason, |s| answer::agent_counter(s, "ship", reason) > 0)?;
    }
    drained(&rig)?;
    disk.free()?;
    rig.load.resume();
    rig.load.more(200)?;
    rig.load.pause()?;
    let made = rig.load.made()?;
    rig.arrived(&made, &[(from, to)])?;
    let (_, missing, given_up) = given_up(&rig, &made)?;
    println!("{} calls made, {missing} missing, {given_up} given up", made.len());
    let coverage = &answer::json(rig.address, "/api/v1/calls?since=all&limit=1")?["coverage"];
    ensure!(coverage["complete"] == false, "coverage claims to be complete: {coverage}");
    ensure!(answer::lost(coverage, "ship", "spool_full") > 0, "no spool_full in {coverage}");
    let rows = rig.settle()?;
    drop(rig);
    tally::exactly_once(&made, &rows, &[(from, to)])
}

/// Bytes of one ring.
const RING: usize = 16 << 20;

#[test]
fn a_full_ring_is_counted_and_survived() -> Result<()> {
    need_live_capture!("a_full_ring_is_counted_and_survived");
    let mut rig = Rig::start(&[])?;
    rig.start_load();
    rig.load.more(200)?;
    rig.load.pause()?;
    let first = rig.load.made()?;
    rig.arrived(&first, &[])?;
    let status =
        rig.status_when("an agent that reports", |s| s["agents"][0]["capture"]["capture"].is_object())?;
    let rings = status["agents"][0]["capture"]["capture"]["rings"].as_u64().context("no number of rings")?;

    rig.signal_agent("STOP")?;
    let from = Instant::now();
    for _ in 0..4 {
        rig.load.add(Manner { keep_alive: true, pause: Duration::from_millis(1), body: LARGE_BODY });
    }
    rig.load.resume();
    // Connections spread over the rings, but not evenly.
    let rings = usize::try_from(rings)?;
    rig.load.more(RING * (rings + 1) * 2 / LARGE_BODY * 2)?;
    rig.signal_agent("CONT")?;
    let status = rig.status_when("ring_full in the agent's account", |s| {
        answer::agent_counter(s, "ring", "ring_full") > 0
    })?;
    println!("{} packets found no room", answer::agent_counter(&status, "ring", "ring_full"));
    // Else the rings might be full again.
    rig.load.slow_down();
    // When the rings are empty again, which a call shows that is seen, calls are whole: on new
    // connections at once, on old ones after what was under way.
    wait_until("a call that is seen whole", SETTLE, || {
        let number = rig.load.probe()?;
        wait_until("the probe at the hub", Duration::from_secs(2), || {
            let there = tally::whole(&answer::calls(rig.address)?).contains(&number);
            Ok(if there { Ok(()) } else { Err("not there".to_owned()) })
        })
        .map(Ok)
    })?;
    rig.load.more(100)?;
    let to = Instant::now();
    rig.load.more(500)?;
    rig.load.pause()?;
    let made = rig.load.made()?;
    rig.arrived(&made, &[(from, to)])?;
    let coverage = &answer::json(rig.address, "/api/v1/calls?since=all&limit=1")?["coverage"];
    ensure!(coverage["complete"] == false, "coverage claims to be complete: {coverage}");
    ensure!(answer::lost(coverage, "ring", "ring_full") > 0, "no ring_full in {coverage}");
    let rows = rig.settle()?;
    println!("{} calls made, {} stored", made.len(), rows.len());
    tally::exactly_once(&made, &rows, &[(from, to)])
}
