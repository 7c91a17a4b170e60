//! The manifest: which segments are live and which messages are durable, changed in one step.
//!
//! A change writes the whole manifest to `manifest.json.tmp`, syncs it, renames it to
//! `manifest.json` and syncs the directory. A crash anywhere leaves either the old or the new
//! state. Then the same is written to `manifest.copy.json`: when one of the two files is damaged
//! later, the other still knows everything.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::segment::{SegmentMeta, sync_dir};
use crate::{Error, Result, SourceId};

const CURRENT: &str = "manifest.json";
const COPY: &str = "manifest.copy.json";
/// What a change is written to first; a crash may leave it behind.
pub(crate) const TEMPORARY: &str = "manifest.json.tmp";

/// Version of the format; a higher one is refused.
const VERSION: u32 = 1;

/// Ranges of deleted ids that are kept; beyond it neighbours are joined.
const MAX_DELETED: usize = 256;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    /// Counts the changes.
    pub(crate) generation: u64,
    /// Number of the next segment.
    pub(crate) next: u64,
    pub(crate) segments: Vec<SegmentMeta>,
    /// Durable watermarks, those that changed last at the end.
    pub(crate) sources: Vec<SourceMark>,
    /// Ids of calls that retention deleted.
    pub(crate) deleted: DeletedIds,
}

/// How far a source's messages are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceMark {
    #[serde(flatten)]
    pub(crate) source: SourceId,
    pub(crate) seq: u64,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            version: VERSION,
            generation: 0,
            next: 1,
            segments: Vec::new(),
            sources: Vec::new(),
            deleted: DeletedIds::default(),
        }
    }
}

/// Ranges of ids, sorted and disjoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeletedIds(Vec<(i64, i64)>);

impl DeletedIds {
    pub(crate) fn insert(&mut self, min: i64, max: i64) {
        if min > max {
            return;
        }
        self.0.push((min, max));
        self.0.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::with_capacity(self.0.len());
        for &(min, max) in &self.0 {
            match joined.last_mut() {
                Some(last) if min <= last.1.saturating_add(1) => last.1 = last.1.max(max),
                _ => joined.push((min, max)),
            }
        }
        while joined.len() > MAX_DELETED {
            // The smallest gap says the least that is wrong when it is closed.
            let gap = |i: usize| joined[i + 1].0.saturating_sub(joined[i].1);
            let Some(i) = (0..joined.len() - 1).min_by_key(|&i| gap(i)) else { break };
            joined[i].1 = joined[i + 1].1;
            joined.remove(i + 1);
        }
        self.0 = joined;
    }

    pub(crate) fn contains(&self, id: i64) -> bool {
        self.0.iter().any(|&(min, max)| (min..=max).contains(&id))
    }
}

/// Reads the manifest of `dir`: an empty one when there is none. The flag is true when the manifest
/// was gone or could not be read and its copy was taken, which a crash may have left one change
/// behind.
///
/// # Errors
/// When a newer version wrote it, or neither can be read.
pub(crate) fn load(dir: &Path) -> Result<(Manifest, bool)> {
    let (current, copy) = (dir.join(CURRENT), dir.join(COPY));
    let reason = match read(&current)? {
        Read::Some(m) => return Ok((m, false)),
        Read::None => None,
        Read::Damaged(reason) => Some(reason),
    };
    match (read(&copy)?, reason) {
        (Read::Some(m), _) => Ok((m, true)),
        (Read::None, None) => Ok((Manifest::default(), false)),
        (Read::Damaged(reason), None) => Err(Error::Manifest { path: copy, reason }),
        (_, Some(reason)) => Err(Error::Manifest { path: current, reason }),
    }
}

enum Read {
    Some(Manifest),
    None,
    Damaged(String),
}

fn read(path: &Path) -> Result<Read> {
    let bytes = match fs::read(path) {
        Ok(b) => b,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Read::None),
        Err(source) => return Err(Error::Io { action: "read", path: path.to_owned(), source }),
    };
    Ok(match serde_json::from_slice::<Manifest>(&bytes) {
        Ok(m) if m.version > VERSION => {
            let reason = format!("it has version {} and this program knows {VERSION}", m.version);
            return Err(Error::Manifest { path: path.to_owned(), reason });
        }
        Ok(m) => Read::Some(m),
        Err(e) => Read::Damaged(e.to_string()),
    })
}

/// Makes `manifest` the current one.
pub(crate) fn commit(dir: &Path, manifest: &Manifest) -> Result<()> {
    let temporary = dir.join(TEMPORARY);
    let failed = |action| {
        let path = temporary.clone();
        move |source| Error::Io { action, path, source }
    };
    let text = serde_json::to_vec(manifest).map_err(|e| Error::Internal(format!("manifest: {e}")))?;
    let mut file = File::create(&temporary).map_err(failed("create"))?;
    file.write_all(&text).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    fs::rename(&temporary, dir.join(CURRENT)).map_err(failed("rename"))?;
    sync_dir(dir)?;
    // What counts is done. A copy that cannot be written now is written with the next change; one
    // that a crash tears is noticed when it is read.
    if let Err(error) = fs::write(dir.join(COPY), &text) {
        tracing::warn!(%error, "the copy of the manifest cannot be written");
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_before_the_copy_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap().0.generation, 0);
        commit(dir.path(), &Manifest { generation: 1, ..Manifest::default() }).unwrap();
        let copy = fs::read(dir.path().join(COPY)).unwrap();
        commit(dir.path(), &Manifest { generation: 2, ..Manifest::default() }).unwrap();
        for torn in [&copy[..], &copy[..copy.len() / 2], b""] {
            fs::write(dir.path().join(COPY), torn).unwrap();
            let (m, fallback) = load(dir.path()).unwrap();
            assert_eq!((m.generation, fallback), (2, false));
        }
    }

    #[test]
    fn a_damaged_or_missing_manifest_is_in_its_copy_and_two_damaged_ones_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        commit(dir.path(), &Manifest { generation: 1, ..Manifest::default() }).unwrap();
        commit(dir.path(), &Manifest { generation: 2, ..Manifest::default() }).unwrap();
        fs::write(dir.path().join(CURRENT), b"{\"version\":1,").unwrap();
        let (m, fallback) = load(dir.path()).unwrap();
        assert_eq!((m.generation, fallback), (2, true));
        fs::remove_file(dir.path().join(CURRENT)).unwrap();
        let (m, fallback) = load(dir.path()).unwrap();
        assert_eq!((m.generation, fallback), (2, true));
        fs::write(dir.path().join(COPY), b"").unwrap();
        assert!(matches!(load(dir.path()), Err(Error::Manifest { .. })));
        fs::write(dir.path().join(CURRENT), b"").unwrap();
        assert!(matches!(load(dir.path()), Err(Error::Manifest { .. })));
    }

    #[test]
    fn a_newer_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        commit(dir.path(), &Manifest { version: VERSION + 1, ..Manifest::default() }).unwrap();
        let e = load(dir.path()).expect_err("newer");
        assert!(e.to_string().contains("version 2"), "{e}");
    }

    #[test]
    fn deleted_ranges_join_and_stay_bounded() {
        let mut d = DeletedIds::default();
        d.insert(10, 20);
        d.insert(21, 30);
        d.insert(5, 12);
        d.insert(9, 3);
        assert_eq!(d.0, [(5, 30)]);
        for i in 0..1000 {
            d.insert(100 + i * 10, 100 + i * 10);
        }
        assert_eq!(d.0.len(), MAX_DELETED);
        assert!(d.contains(5) && d.contains(100) && d.contains(10_090) && !d.contains(4));
    }
}
