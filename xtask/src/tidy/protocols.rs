//! What belongs to a protocol besides its code, so that none is forgotten: captures, a fuzz target
//! with seeds, and a test that it does not allocate per message.

use std::path::{Path, PathBuf};

use super::Problem;
use super::workspace::Workspace;

const REGISTRY: &str = "crates/dissect/src/detect.rs";
const ALLOCATIONS: &str = "crates/dissect/tests/allocations";
const CORPUS: [&str; 2] = ["crates/dissect/tests/corpus", "crates/dissect/tests/corpus/deepflow"];
const TARGETS: &str = "fuzz/fuzz_targets";
const FUZZ_MANIFEST: &str = "fuzz/Cargo.toml";
const SEEDS: &str = "fuzz/seeds";

/// Every protocol of the registry has what belongs to it.
pub(super) fn complete(workspace: &Workspace) -> Vec<Problem> {
    let text = |path: &str| workspace.files.iter().find(|f| f.path == path).map_or("", |f| f.text.as_str());
    let targets = || workspace.files.iter().filter(|f| f.path.starts_with(TARGETS));
    let manifest = text(FUZZ_MANIFEST);
    let mut problems = Vec::new();
    let protocols = registered(text(REGISTRY));
    if protocols.is_empty() {
        problems.push(Problem::new(REGISTRY, 0, "no line `crate::NAME::ENTRY,` of the registry was found"));
    }
    for (line, name) in protocols {
        let mut missing =
            |what: String| problems.push(Problem::new(REGISTRY, line, format!("{name}: {what}")));
        // Named after the module or the protocol, which may be a little longer: `tls`, `tlsx`.
        let mut corpus = CORPUS.iter().flat_map(|dir| directories(&workspace.root.join(dir), name));
        if !corpus.any(|dir| has_file(&dir, &["pcap", "pcapng"])) {
            missing(format!("there is no capture in {}/{name}", CORPUS[0]));
        }
        let entry = format!("{name}::");
        if !targets().any(|f| f.text.contains(&entry)) {
            missing(format!("there is no fuzz target {TARGETS}/{name}.rs"));
        }
        let seeds = format!("{SEEDS}/{name}");
        if !has_file(&workspace.root.join(&seeds), &[]) {
            missing(format!("there are no inputs in {seeds}"));
        }
        let entry = format!("{name}::ENTRY");
        if !workspace.files.iter().any(|f| f.path.starts_with(ALLOCATIONS) && f.text.contains(&entry)) {
            missing(format!("{ALLOCATIONS} has no test of it"));
        }
    }
    for target in targets() {
        let name = target.path.trim_start_matches(TARGETS).trim_matches('/').trim_end_matches(".rs");
        if !manifest.contains(&format!("name = \"{name}\"")) {
            problems.push(Problem::new(FUZZ_MANIFEST, 0, format!("there is no block `[[bin]]` of {name}")));
        }
    }
    problems
}

/// The modules whose entries the registry lists, with their lines: `crate::dns::ENTRY,`.
fn registered(source: &str) -> Vec<(usize, &str)> {
    let lines = source.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let entries = lines.filter(|(_, line)| line.ends_with(','));
    entries
        .filter_map(|(number, line)| {
            let (module, item) = line.strip_prefix("crate::")?.trim_end_matches(',').split_once("::")?;
            item.bytes().all(|b| b.is_ascii_uppercase() || b == b'_').then_some((number, module))
        })
        .collect()
}

/// The directories in `dir` whose name begins with `name`.
fn directories(dir: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let named = entries.filter(|e| e.file_name().to_str().is_some_and(|n| n.starts_with(name)));
    named.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Whether a file with one of these endings lies in `dir`; with any, where there are none.
fn has_file(dir: &Path, endings: &[&str]) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let fits = |path: &Path| {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        endings.is_empty() || endings.contains(&ending)
    };
    entries.map(|entry| entry.path()).any(|path| path.is_file() && fits(&path))
}

#[cfg(test)]
mod tests {
    use super::registered;

    #[test]
    fn entries_are_found_in_the_registry() {
        let source = "use crate::a::B;\nstatic R: &[Entry] = &[\n    crate::http::ENTRY,\n    crate::dns::ENTRY,\n];\n";
        assert_eq!(registered(source), [(3, "http"), (4, "dns")]);
    }
}
