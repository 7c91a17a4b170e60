// What the eBPF object is made of, as one number. Included by agent/build.rs, which refuses an
// object made from other sources, and by xtask, which builds and caches it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The files and directories that decide what the object is.
const SOURCES: [&str; 5] =
    ["agent-ebpf/Cargo.toml", "agent-ebpf/Cargo.lock", "agent-ebpf/src", "crates/abi/Cargo.toml", "crates/abi/src"];

/// FNV-1a, 128 bits (draft-eastlake-fnv), over names and contents: it detects edits, not attacks.
/// Returns it in hexadecimal, and the paths that it covers.
fn source_hash(root: &Path) -> io::Result<(String, Vec<PathBuf>)> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    let mut add = |bytes: &[u8]| {
        for b in bytes.iter().copied().chain((bytes.len() as u64).to_le_bytes()) {
            hash = (hash ^ u128::from(b)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    };
    for file in &files {
        let name = file.strip_prefix(root).unwrap_or(file);
        add(name.to_string_lossy().as_bytes());
        add(&fs::read(file)?);
    }
    Ok((format!("{hash:032x}"), files))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}
