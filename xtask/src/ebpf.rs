//! `cargo xtask ebpf`: compiles agent-ebpf to the object that the agent's build embeds.
//!
//! The object lies in target/ebpf with a stamp beside it, the hash of the sources that it was made
//! from; agent/build.rs compares the two. Objects are also kept in the user's cache by that hash,
//! so that another clone, or going back to an earlier commit, builds nothing.

use anyhow::{Context as _, Result};

use crate::toolchain::{self, Toolchain};

include!("../../agent-ebpf/source_hash.rs");

const OBJECT: &str = "remora.bpf.o";

/// Builds the eBPF object when its sources have changed, and returns the directory that holds it.
pub(crate) fn build(root: &Path) -> Result<PathBuf> {
    let (hash, _) = source_hash(root).context("cannot read the eBPF sources")?;
    let out = root.join("target/ebpf");
    let (object, stamp) = (out.join(OBJECT), out.join(format!("{OBJECT}.hash")));
    if object.is_file() && fs::read_to_string(&stamp).is_ok_and(|s| s.trim() == hash) {
        return Ok(out);
    }
    let cached = cache().map(|dir| dir.join(format!("{hash}-{}", std::env::consts::ARCH)).join(OBJECT));
    let built = match &cached {
        Some(path) if path.is_file() => path.clone(),
        _ => compile(root)?,
    };
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    // The stamp goes first and comes last, so that an interrupted copy is never taken for a whole one.
    let _ = fs::remove_file(&stamp);
    replace(&built, &object)?;
    fs::write(&stamp, &hash).with_context(|| format!("cannot write {}", stamp.display()))?;
    if let Some(path) = cached.filter(|path| *path != built) {
        // A cache that cannot be written costs time later, not correctness now.
        let _ = path.parent().map(fs::create_dir_all);
        let _ = replace(&built, &path);
    }
    Ok(out)
}

fn compile(root: &Path) -> Result<PathBuf> {
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
    let target = if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };
    toolchain
        .cargo()
        .args(["build", "--release", "--locked", "--target", target, "-Z", "build-std=core"])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_TARGET_DIR", package.join("target"))
        .dir(&package)
        .run()?;
    Ok(package.join("target").join(target).join("release/remora-bpf"))
}

/// Copies a file so that no reader sees half of it.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let part = to.with_extension(format!("part{}", std::process::id()));
    fs::copy(from, &part)
        .and_then(|_| fs::rename(&part, to))
        .with_context(|| format!("cannot write {}", to.display()))
}

/// Where objects are kept between builds.
fn cache() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache"));
    base.or_else(home).map(|dir| dir.join("remora/ebpf"))
}
