//! `cargo xtask ebpf`: compiles agent-ebpf to the object that the agent's build embeds.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::toolchain::{self, Toolchain};

/// Builds the eBPF object and returns the directory that holds it; cargo does nothing when it is
/// up to date.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    let toolchain = match Toolchain::find(root) {
        Some(toolchain) if crate::run::which("bpf-linker").is_some() => toolchain,
        _ => {
            toolchain::install(root)?;
            Toolchain::find(root).context("the eBPF toolchain is not there after its installation")?
        }
    };
    let package = root.join("agent-ebpf");
    // debuginfo and --btf give the object the BTF that map definitions and the verifier's log use.
    let flags = [
        format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
    ];
    toolchain
        .cargo()
        .args(["build", "--release", "--locked", "--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_TARGET_DIR", package.join("target"))
        .dir(&package)
        .run()?;
    Ok(package.join("target/bpfel-unknown-none/release"))
}
