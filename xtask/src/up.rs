//! `cargo xtask up`: from a fresh clone to a running Remora.

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::args::Args;
use crate::run::{self, Run};
use crate::{ebpf, product, setup};

/// Installs, builds, and becomes `remora up ARGS..`.
pub(crate) fn up(root: &Path, args: Args) -> Result<()> {
    let began = Instant::now();
    eprintln!("[1/4] install what is missing");
    setup::setup(root, false)?;
    eprintln!("[2/4] build the eBPF object");
    ebpf::build(root)?;
    eprintln!(
        "[3/4] build remora (the first build compiles some 330 crates: about a quarter of an hour on two cores)"
    );
    let binary = product::build(root)?;
    eprintln!("[4/4] start remora ({} s so far)", began.elapsed().as_secs());
    let mut start = Run::new(binary).arg("up").args(args.verbatim()).root();
    for (name, value) in inherited(std::env::vars_os()) {
        start = start.env(name, value);
    }
    Err(start.exec())
}

/// What `sudo` would drop and Remora reads: its settings, and HOME, so that data and
/// configuration are found where the user who typed the command expects them.
fn inherited(
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    let wanted = |name: &str| {
        name.starts_with("REMORA_")
            || ["HOME", "PORT", "RUST_LOG", "NO_COLOR", "XDG_DATA_HOME"].contains(&name)
    };
    environment.filter(move |(name, _)| !run::is_root() && name.to_str().is_some_and(wanted))
}
