//! What is known of a process, looked up once and again when it may have changed.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use remora_identity::container_id;

use super::Cgroups;
use crate::kernel::Owners;

/// A process is looked at again after this long: it may have executed another program, or its id
/// may have gone to another process.
const FRESH: Duration = Duration::from_secs(2);

/// An unknown process is asked for again after this long.
const RETRY: Duration = Duration::from_millis(50);

/// Most processes remembered by a shard.
const CAPACITY: usize = 4_096;

/// A process, as rows name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id in the node's namespace; 0 when unknown.
    pub pid: u32,
    /// Its name; empty when unknown.
    pub name: String,
    /// Its cgroup-v2 path, or that of the version 1 hierarchy which names its container where version
    /// 2 does not.
    pub cgroup: Option<Arc<str>>,
    /// Its container.
    pub container: Option<String>,
}

impl Process {
    /// As a side of a row.
    pub fn side(&self) -> remora_model::Side<'_> {
        remora_model::Side {
            process: (!self.name.is_empty()).then_some(&self.name),
            pid: (self.pid != 0).then_some(i64::from(self.pid)),
            container_id: self.container.as_deref(),
            cgroup: self.cgroup.as_deref(),
        }
    }
}

/// Processes by id and cgroup; one table for each shard.
#[derive(Debug)]
pub struct Processes {
    owners: Option<Owners>,
    cgroups: Cgroups,
    known: HashMap<(u32, u64), (Instant, Arc<Process>)>,
}

impl Processes {
    /// A table that asks `owners` for names.
    pub fn new(owners: Option<Owners>, cgroups: Cgroups) -> Self {
        Self { owners, cgroups, known: HashMap::new() }
    }

    /// The process with that id in that cgroup; either may be 0 when it is not known.
    /// `now` may be as old as a batch of packets.
    pub fn get(&mut self, tgid: u32, cgroup_id: u64, now: Instant) -> Arc<Process> {
        if let Some((until, process)) = self.known.get(&(tgid, cgroup_id))
            && now < *until
        {
            return Arc::clone(process);
        }
        let process = self.look_up(tgid, cgroup_id);
        let keep = if process.name.is_empty() && tgid != 0 { RETRY } else { FRESH };
        // A process that has ended keeps the name it had.
        let before = self.known.get(&(tgid, cgroup_id)).map(|(_, p)| Arc::clone(p));
        let process = match before {
            Some(before) if process.name.is_empty() && !before.name.is_empty() => before,
            _ => Arc::new(process),
        };
        if self.known.len() >= CAPACITY {
            self.known.retain(|_, (until, _)| *until > now);
            if self.known.len() >= CAPACITY {
                self.known.clear();
            }
        }
        self.known.insert((tgid, cgroup_id), (now + keep, Arc::clone(&process)));
        process
    }

    fn look_up(&self, tgid: u32, cgroup_id: u64) -> Process {
        let noted = self.owners.as_ref().and_then(|o| o.process(tgid));
        let cgroup_id = if cgroup_id == 0 { noted.as_ref().map_or(0, |o| o.cgroup_id) } else { cgroup_id };
        let own = if tgid == 0 { None } else { fs::read_to_string(format!("/proc/{tgid}/cgroup")).ok() };
        let (unified, contained) = own.as_deref().map(cgroup_lines).unwrap_or_default();
        // The id is the socket's, which is where the connection belongs; the process may have moved.
        let mut cgroup = self.cgroups.path(cgroup_id).or_else(|| unified.map(Arc::from));
        if cgroup.as_deref().and_then(container_id).is_none()
            && let Some(path) = contained
        {
            cgroup = Some(path.into());
        }
        let container = cgroup.as_deref().and_then(container_id).map(str::to_owned);
        Process { pid: tgid, name: noted.map(|o| o.comm).unwrap_or_default(), cgroup, container }
    }
}

/// The version 2 path in `/proc/<pid>/cgroup`, and the first path of any hierarchy that names a
/// container (cgroups(7): `hierarchy:controllers:path`, version 2 is hierarchy 0 without controllers).
fn cgroup_lines(text: &str) -> (Option<&str>, Option<&str>) {
    let mut unified = None;
    let mut contained = None;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(hierarchy), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if hierarchy == "0" && controllers.is_empty() {
            unified = Some(path);
        }
        contained = contained.or_else(|| container_id(path).map(|_| path));
    }
    (unified, contained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_unified_and_hybrid_hosts() {
        let id = "ab12".repeat(16);
        let hybrid =
            format!("12:memory:/docker/{id}\n1:name=systemd:/docker/{id}\n0::/system.slice/x.service\n");
        assert_eq!(
            cgroup_lines(&hybrid),
            (Some("/system.slice/x.service"), Some(&format!("/docker/{id}")[..]))
        );
        assert_eq!(cgroup_lines("0::/\n"), (Some("/"), None));
        assert_eq!(cgroup_lines("garbage\n\n"), (None, None));
    }

    #[test]
    fn this_process_is_found_and_remembered() {
        let mut processes = Processes::new(None, Cgroups::new(None));
        let now = Instant::now();
        let first = processes.get(std::process::id(), 0, now);
        assert!(Arc::ptr_eq(&first, &processes.get(std::process::id(), 0, now)));
        assert_eq!(*processes.get(0, 0, now), Process::default());
        for pid in 1..10_000 {
            processes.get(u32::MAX - pid, 0, now);
        }
        assert!(processes.known.len() <= CAPACITY);
    }
}
