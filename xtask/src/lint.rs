//! `cargo xtask lint`: clippy and rustdoc, where a warning is an error.
//!
//! All of them need the metadata of the dependencies, so what follows the first costs little.

use std::path::Path;

use anyhow::Result;

use crate::args::Args;
use crate::run::Run;
use crate::{ebpf, product};

pub(crate) fn command(root: &Path, args: Args) -> Result<()> {
    args.finish()?;
    ebpf::build(root)?;
    clippy(root).run()?;
    fuzz_targets(root).run()?;
    rustdoc(root).run()
}

/// Clippy over every target of the workspace.
pub(crate) fn clippy(root: &Path) -> Run {
    product::cargo(root)
        .args(["clippy", "--release", "--workspace", "--all-targets", "--quiet"])
        .args(["--", "--deny", "warnings"])
}

/// Clippy over the fuzz targets: they are outside the workspace and rarely run, and must keep up with
/// what they call.
pub(crate) fn fuzz_targets(root: &Path) -> Run {
    product::cargo(root)
        .args(["clippy", "--release", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--quiet"])
        .args(["--", "--deny", "warnings"])
}

/// The documentation of the workspace's crates: every link in it must lead somewhere.
pub(crate) fn rustdoc(root: &Path) -> Run {
    product::cargo(root)
        .args(["doc", "--release", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
        .env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links")
}
