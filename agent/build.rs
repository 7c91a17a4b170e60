//! Finds the eBPF object that `cargo xtask ebpf` made, and refuses one made from other sources.
#![allow(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
#![allow(clippy::print_stderr, reason = "the message of a failed build")]

use std::{env, process::ExitCode};

include!("../agent-ebpf/source_hash.rs");

const REMEDY: &str = "the eBPF object is missing (or stale); run: cargo xtask ebpf";

fn main() -> ExitCode {
    match object() {
        Ok(path) => {
            println!("cargo:rustc-env=REMORA_EBPF_OBJECT_PATH={}", path.display());
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The object's path, or what is wrong.
fn object() -> Result<PathBuf, String> {
    println!("cargo:rerun-if-env-changed=REMORA_EBPF_OBJECT");
    if let Some(path) = env::var_os("REMORA_EBPF_OBJECT") {
        // Whoever names an object answers for it.
        let path = PathBuf::from(path);
        println!("cargo:rerun-if-changed={}", path.display());
        return if path.is_file() {
            path.canonicalize().map_err(|e| e.to_string())
        } else {
            Err(format!("REMORA_EBPF_OBJECT: there is no file {}", path.display()))
        };
    }
    let root = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let root = root.parent().ok_or("the crate is not in its workspace")?;
    let path = root.join("target/ebpf/remora.bpf.o");
    let stamp = root.join("target/ebpf/remora.bpf.o.hash");
    println!("cargo:rerun-if-changed={}", path.display());
    println!("cargo:rerun-if-changed={}", stamp.display());
    let (hash, files) = source_hash(root).map_err(|e| format!("cannot read the eBPF sources: {e}"))?;
    for file in files {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    let fresh = fs::read_to_string(stamp).is_ok_and(|s| s.trim() == hash) && path.is_file();
    if fresh { Ok(path) } else { Err(REMEDY.to_owned()) }
}
