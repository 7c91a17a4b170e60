//! Building the product: one target directory for all clones, one profile for everything.
//!
//! DataFusion and its 180 crates take minutes. They are compiled once per user, not once per
//! clone, and the tests use the same release profile as the product so that they are not compiled
//! a second time.

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

/// The release binary.
pub(crate) fn binary() -> PathBuf {
    target_dir().join("release/remora")
}

/// Builds the release binary; the eBPF object must stand.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    cargo(root).args(["build", "--release", "--package", "remora"]).run()?;
    Ok(binary())
}
