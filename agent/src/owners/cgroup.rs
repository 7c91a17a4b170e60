//! Paths of cgroups by their ids.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most cgroups that are remembered.
const CAPACITY: usize = 65_536;

/// How deep the tree is followed.
const MAX_DEPTH: usize = 24;

/// How soon the tree is read again for an id that it did not have.
const REREAD: Duration = Duration::from_secs(1);

/// Where cgroup v2 is mounted.
pub fn cgroup_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mount_point(&mounts)
}

fn mount_point(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, path, kind) = (fields.next()?, fields.next()?, fields.next()?);
        // Blanks are escaped as \040 (fstab(5)).
        (kind == "cgroup2").then(|| PathBuf::from(path.replace("\\040", " ")))
    })
}

/// Cgroup-v2 paths by id, read from the mounted tree and kept after a cgroup is gone. Clones share
/// the table.
#[derive(Clone, Debug)]
pub struct Cgroups {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    root: Option<PathBuf>,
    paths: HashMap<u64, Arc<str>>,
    read_at: Option<Instant>,
}

impl Cgroups {
    /// The tree at `root`, or an empty one.
    pub fn new(root: Option<PathBuf>) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { root, paths: HashMap::new(), read_at: None })) }
    }

    /// The path of a cgroup below the mount, such as `/system.slice/nginx.service`. Reads the tree
    /// when the id is new, at most once a second.
    pub fn path(&self, id: u64) -> Option<Arc<str>> {
        if id == 0 {
            return None;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = inner.paths.get(&id) {
            return Some(Arc::clone(path));
        }
        if inner.read_at.is_some_and(|at| at.elapsed() < REREAD) {
            return None;
        }
        inner.read();
        inner.paths.get(&id).cloned()
    }
}

impl Inner {
    fn read(&mut self) {
        self.read_at = Some(Instant::now());
        let Some(root) = self.root.clone() else { return };
        if self.paths.len() >= CAPACITY {
            self.paths.clear();
        }
        self.walk(&root, &root, MAX_DEPTH);
    }

    fn walk(&mut self, root: &Path, dir: &Path, depth: usize) {
        let Ok(meta) = fs::metadata(dir) else { return };
        if self.paths.len() < CAPACITY {
            self.paths.entry(meta.ino()).or_insert_with(|| {
                let below = dir.strip_prefix(root).unwrap_or(dir).to_string_lossy();
                Arc::from(format!("/{below}"))
            });
        }
        let Ok(entries) = fs::read_dir(dir) else { return };
        for entry in entries.flatten() {
            if depth > 0 && entry.file_type().is_ok_and(|t| t.is_dir()) {
                self.walk(root, &entry.path(), depth - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_found_by_inode() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a.slice/b.service");
        fs::create_dir_all(&inner).unwrap();
        let cgroups = Cgroups::new(Some(dir.path().to_owned()));
        let id = |p: &Path| fs::metadata(p).unwrap().ino();
        assert_eq!(cgroups.path(id(&inner)).as_deref(), Some("/a.slice/b.service"));
        assert_eq!(cgroups.path(id(dir.path())).as_deref(), Some("/"));
        assert_eq!(cgroups.path(0), None);
        assert_eq!(cgroups.path(u64::MAX), None);
        fs::remove_dir(&inner).unwrap();
        assert_eq!(
            mount_point("cgroup2 /sys/fs/a\\040b cgroup2 rw 0 0\n"),
            Some(PathBuf::from("/sys/fs/a b"))
        );
        assert_eq!(mount_point("tmpfs / tmpfs rw 0 0\n"), None);
    }
}
