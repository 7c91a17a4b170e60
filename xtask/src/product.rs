//! Building the product: one target directory for all clones, one profile for everything.
//!
//! DataFusion and its 180 crates take minutes. They are compiled once per user, not once per
//! clone, and the tests use the same release profile as the product so that they are not compiled
//! a second time.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::run::{self, Run};

/// Where cargo builds: `REMORA_TARGET_DIR`, or `remora/target` in the user's cache directory.
pub(crate) fn target_dir() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set("REMORA_TARGET_DIR") {
        // cargo runs in the repository, the user typed the path elsewhere.
        return std::path::absolute(&dir).unwrap_or(dir);
    }
    cache_dir().join("target")
}

/// What all clones share: `remora` in the user's cache directory.
pub(crate) fn cache_dir() -> PathBuf {
    let set = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    set.unwrap_or_else(|| run::home().join(".cache")).join("remora")
}

/// `cargo` in the repository, with the shared target directory.
pub(crate) fn cargo(root: &Path) -> Run {
    if let Err(error) = claim(&target_dir(), root) {
        eprintln!("warning: {}: {error}", target_dir().display());
    }
    let mut run = Run::new("cargo").dir(root).env("CARGO_TARGET_DIR", target_dir());
    // What `cargo run` told this process about the package xtask must not reach build scripts.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") {
            run = run.env_remove(&name);
        }
    }
    run
}

/// Makes cargo compile the workspace's own crates anew where another clone built last. cargo (1.95) takes what was
/// compiled from sources that are as old for its own, whatever directory they lay in; but tests have that directory
/// in them, and the build script of `remora-agent` that of its object.
fn claim(target: &Path, root: &Path) -> io::Result<()> {
    let marker = target.join("built-from");
    let root = root.as_os_str().as_encoded_bytes();
    if std::fs::read(&marker).is_ok_and(|before| before == root) {
        return Ok(());
    }
    for profile in ["release", "debug"] {
        let entries = match std::fs::read_dir(target.join(profile).join(".fingerprint")) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("remora-") || name.starts_with("xtask-") {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
    }
    std::fs::create_dir_all(target)?;
    std::fs::write(marker, root)
}

/// The release binary.
pub(crate) fn binary() -> PathBuf {
    target_dir().join("release/remora")
}

/// Builds the release binary; the eBPF object must stand.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    cargo(root).args(["build", "--release", "--package", "remora"]).run()?;
    Ok(binary())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn another_clone_gets_nothing_of_the_workspace_from_the_cache() {
        let target = std::env::temp_dir().join(format!("remora-claim-{}", std::process::id()));
        let fingerprint = |name: &str| target.join("release/.fingerprint").join(name);
        let fill = || {
            for name in ["remora-agent-0123", "remora-45", "xtask-67", "arrow-89"] {
                std::fs::create_dir_all(fingerprint(name)).unwrap();
            }
        };
        let left = || {
            ["remora-agent-0123", "remora-45", "xtask-67", "arrow-89"].map(|name| fingerprint(name).exists())
        };
        claim(&target, Path::new("/a/clone")).unwrap();
        fill();
        claim(&target, Path::new("/a/clone")).unwrap();
        assert_eq!(left(), [true; 4]);
        claim(&target, Path::new("/another")).unwrap();
        assert_eq!(left(), [false, false, false, true]);
        std::fs::remove_dir_all(&target).unwrap();
    }
}
