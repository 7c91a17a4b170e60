//! `cargo xtask deny`: cargo-deny with deny.toml, advisories included.
//!
//! It is not a part of `test`: compiling cargo-deny takes minutes and the advisories need a
//! network. `tidy` checks licences and duplicates by itself, from the same deny.toml.

use std::path::Path;

use anyhow::Result;

use crate::args::Args;
use crate::run::{Run, which};

pub(crate) fn deny(root: &Path, args: Args) -> Result<()> {
    let words = args.verbatim();
    if which("cargo-deny").is_none() {
        Run::new("cargo").args(["install", "cargo-deny", "--locked"]).env_remove("CARGO_TARGET_DIR").run()?;
    }
    let checks = if words.is_empty() { vec!["check".to_owned()] } else { words };
    Run::new("cargo").arg("deny").args(checks).dir(root).run()
}
