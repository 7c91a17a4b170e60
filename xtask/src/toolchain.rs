//! The toolchain that compiles the eBPF object: a rustc with the sources of `core`, and bpf-linker.
//!
//! The target `bpfel-unknown-none` has no prebuilt `core`, so cargo builds it from the library
//! sources (`-Z build-std`). That needs no nightly: `RUSTC_BOOTSTRAP=1` opens the option on any
//! toolchain that has the sources.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::packages::{self, Manager, Names};
use crate::run::{self, Run, which};

/// bpf-linker's version, and the newest LLVM that it can be built against.
const BPF_LINKER: &str = "0.13.0";
const BPF_LINKER_LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// aya-ebpf and edition 2024 need this minor version of Rust 1.
const OLDEST_RUST: u32 = 87;

/// A rustup toolchain that can compile the eBPF object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// Its name for `rustup run`.
    pub(crate) name: String,
    /// The major version of its LLVM; bpf-linker's must not be older.
    pub(crate) llvm: u32,
}

impl Toolchain {
    /// The first usable one of: `REMORA_EBPF_TOOLCHAIN`, the pinned toolchain, a linked toolchain
    /// `ebpf`, nightly.
    pub(crate) fn find(root: &Path) -> Option<Self> {
        if let Ok(name) = std::env::var("REMORA_EBPF_TOOLCHAIN") {
            return Self::probe(&name);
        }
        let pinned = pinned(root).ok();
        pinned.as_deref().into_iter().chain(["ebpf", "nightly"]).find_map(Self::probe)
    }

    fn probe(name: &str) -> Option<Self> {
        let rustc = |arg: &[&str]| rustup(["run", name, "rustc"]).args(arg).output().ok();
        let (minor, llvm) = versions(&rustc(&["-vV"])?)?;
        let sysroot = rustc(&["--print", "sysroot"])?;
        let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
        let cargo = rustup(["run", name, "cargo", "--version"]).succeeds();
        (minor >= OLDEST_RUST && sources.exists() && cargo).then(|| Self { name: name.to_owned(), llvm })
    }

    /// `cargo` of this toolchain.
    pub(crate) fn cargo(&self) -> Run {
        rustup(["run", &self.name, "cargo"]).env("RUSTC_BOOTSTRAP", "1")
    }
}

/// `rustup` that installs nothing by itself, and is not bound to the toolchain that runs xtask.
fn rustup<const N: usize>(args: [&str; N]) -> Run {
    Run::new("rustup").args(args).env("RUSTUP_AUTO_INSTALL", "0").env_remove("RUSTUP_TOOLCHAIN")
}

/// The channel that rust-toolchain.toml pins.
fn pinned(root: &Path) -> Result<String> {
    let file = root.join("rust-toolchain.toml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let value = text.lines().find_map(|line| line.trim().strip_prefix("channel")?.trim().strip_prefix('='));
    let channel = value.map(|value| value.trim().trim_matches('"').to_owned());
    channel.with_context(|| format!("{} names no channel", file.display()))
}

/// Rust's minor version and LLVM's major version from `rustc -vV`.
fn versions(verbose: &str) -> Option<(u32, u32)> {
    let after = |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name));
    let minor = after("release: 1.")?.split(['.', '-']).next()?.parse().ok()?;
    let llvm = after("LLVM version: ")?.split('.').next()?.parse().ok()?;
    Some((minor, llvm))
}

/// Installs what is missing of rustc with library sources and bpf-linker; says whether anything was.
pub(crate) fn install(root: &Path) -> Result<bool> {
    let found = Toolchain::find(root);
    let changed = found.is_none() || which("bpf-linker").is_none();
    let toolchain = match found {
        Some(toolchain) => toolchain,
        None => install_rustc(root)?,
    };
    if which("bpf-linker").is_none() {
        install_linker(&toolchain)?;
    }
    Ok(changed)
}

fn install_rustc(root: &Path) -> Result<Toolchain> {
    if which("rustup").is_none() {
        bail!("rustup is not installed: get it from https://rustup.rs");
    }
    if let Ok(name) = std::env::var("REMORA_EBPF_TOOLCHAIN") {
        bail!("REMORA_EBPF_TOOLCHAIN names `{name}`, which has no library sources or is too old");
    }
    // The sources that belong to the pinned toolchain, if rustup can download; else what the
    // distribution has; else a nightly.
    let add = ["component", "add", "rust-src", "--toolchain"];
    let added = Run::new("rustup").args(add).arg(pinned(root)?).status()?;
    let sources = added || (debian_has_rust() && install_debian_rust());
    if !sources {
        let nightly = ["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"];
        Run::new("rustup").args(nightly).status()?;
    }
    Toolchain::find(root).ok_or_else(|| {
        anyhow!(
            "no Rust toolchain with library sources could be installed; \
             run `rustup component add rust-src`, or set REMORA_EBPF_TOOLCHAIN"
        )
    })
}

/// Debian's security archive carries a current Rust with its sources, and the LLVM to match.
fn debian_has_rust() -> bool {
    let rust = packages::apt_candidate("rustc-web");
    let minor = rust.and_then(|version| version.strip_prefix("1.")?.split('.').next()?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= OLDEST_RUST) && llvm_from_apt(0).is_some()
}

fn install_debian_rust() -> bool {
    Manager::Apt.install(&[Names::same("rustc-web cargo-web rust-web-src")]).is_ok()
        && Run::new("rustup").args(["toolchain", "link", "ebpf", "/usr"]).status().unwrap_or(false)
}

/// The oldest LLVM in apt that is at least `oldest` and that bpf-linker can be built against.
fn llvm_from_apt(oldest: u32) -> Option<u32> {
    which("apt-cache")?;
    let known = |version: &u32| packages::apt_candidate(llvm_package(*version)).is_some();
    let find = || BPF_LINKER_LLVM.filter(|version| *version >= oldest).find(known);
    // A fresh image knows no packages at all until its first update.
    find().or_else(|| packages::apt_update_once().then(find).flatten())
}

fn install_linker(toolchain: &Toolchain) -> Result<()> {
    if let Some(llvm) = llvm_from_apt(toolchain.llvm) {
        return build_linker(llvm);
    }
    // Elsewhere the project's own static binary, which contains the newest LLVM.
    let machine = std::env::consts::ARCH;
    let archive = format!("bpf-linker-{machine}-unknown-linux-musl.tar.zst");
    let url = format!("https://github.com/aya-rs/bpf-linker/releases/download/v{BPF_LINKER}/{archive}");
    if let Some(manager) = Manager::find()
        && (which("curl").is_none() || which("zstd").is_none())
    {
        manager.install(&[Names::same("curl zstd tar")])?;
    }
    let bin = run::cargo_bin();
    let script = format!(
        "set -e; file=$(mktemp); trap 'rm -f \"$file\"' EXIT; mkdir -p '{bin}'; \
         curl --proto =https --fail --location --silent --show-error --output \"$file\" {url}; \
         zstd --decompress --stdout \"$file\" | tar --extract --directory '{bin}'; '{bin}/bpf-linker' --version",
        bin = bin.display()
    );
    Run::new("sh").args(["-c", &script]).run().with_context(|| {
        format!(
            "bpf-linker {BPF_LINKER} could not be installed; install it by hand \
             (https://github.com/aya-rs/bpf-linker), with LLVM {} or newer",
            toolchain.llvm
        )
    })
}

fn build_linker(llvm: u32) -> Result<()> {
    let prefix = format!("/usr/lib/llvm-{llvm}");
    if !Path::new(&prefix).join("bin/llvm-config").exists() {
        Manager::Apt.install(&[Names { apt: llvm_package(llvm), dnf: "", pacman: "", apk: "" }])?;
    }
    // Outside the repository and its target directory: a tool, not a part of the product.
    Run::new("cargo")
        .args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--no-default-features"])
        .args(["--features", &format!("llvm-{llvm}")])
        .env("LLVM_PREFIX", prefix)
        .env_remove("CARGO_TARGET_DIR")
        .run()
}

fn llvm_package(llvm: u32) -> &'static str {
    match llvm {
        21 => "llvm-21-dev",
        22 => "llvm-22-dev",
        _ => "llvm-23-dev",
    }
}

#[cfg(test)]
mod tests {
    use super::versions;

    #[test]
    fn versions_are_read_from_rustc() {
        let text = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n\
                    release: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        assert_eq!(versions(text), Some((97, 22)));
        assert_eq!(versions("release: 2.0.0\nLLVM version: 30.0\n"), None);
        assert_eq!(versions(""), None);
    }
}
