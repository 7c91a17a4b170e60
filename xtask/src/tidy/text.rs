//! Checks on the text of the files.

use super::Problem;
use super::workspace::{File, Workspace};

/// More lines than this make a file hard to hold in the head.
const LONGEST: usize = 500;

/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Words that must not be in any file: paths of one machine.
const NOWHERE: &[&str] = &[concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/tmp/ba", "sh_jobs")];

/// Words that must not be in Rust sources: work that is not finished, tests that do not run.
const NOT_IN_RUST: &[&str] =
    &[concat!("tod", "o!("), concat!("unimpl", "emented!("), concat!("db", "g!("), concat!("#[ign", "ore")];

pub(crate) fn length(workspace: &Workspace) -> Vec<Problem> {
    let long = workspace.files.iter().filter(|file| file.is_rust()).filter_map(|file| {
        let lines = file.text.lines().count();
        let excused = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        (lines > LONGEST && !excused).then(|| {
            let message = format!("{lines} lines, at most {LONGEST}: move a concept to a file of its own");
            Problem::new(&file.path, 0, message)
        })
    });
    let gone = LONG_FILES.iter().filter(|(path, _)| !workspace.files.iter().any(|file| file.path == *path));
    let gone = gone.map(|(path, _)| Problem::new(*path, 0, "in LONG_FILES, but not in the repository"));
    long.chain(gone).collect()
}

pub(crate) fn words(workspace: &Workspace) -> Vec<Problem> {
    workspace.files.iter().flat_map(words_in).collect()
}

fn words_in(file: &File) -> Vec<Problem> {
    let rust = if file.is_rust() { NOT_IN_RUST } else { &[] };
    let mut problems = Vec::new();
    for (number, line) in file.lines() {
        for word in NOWHERE.iter().chain(rust) {
            if line.contains(word) {
                problems.push(Problem::new(&file.path, number, format!("`{word}` must not be here")));
            }
        }
    }
    problems
}

pub(crate) fn whitespace(workspace: &Workspace) -> Vec<Problem> {
    // Expected output that a test compares letter by letter may end in anything.
    let sources = workspace.files.iter().filter(|file| !file.path.ends_with(".txt"));
    sources.flat_map(whitespace_in).collect()
}

fn whitespace_in(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in file.text.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            problems.push(Problem::new(&file.path, number + 1, "white space at the end of the line"));
        }
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        problems.push(Problem::new(&file.path, 0, "must end with one line feed"));
    }
    problems
}

/// Every package names its licence and takes the workspace's lints.
pub(crate) fn manifests(workspace: &Workspace) -> Vec<Problem> {
    let manifests = workspace.files.iter().filter(|file| {
        file.path.ends_with("Cargo.toml") && file.text.lines().any(|line| line.trim() == "[package]")
    });
    manifests.flat_map(manifest).collect()
}

fn manifest(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    let has = |start: &str| file.text.lines().any(|line| line.starts_with(start));
    if !has("license") {
        problems.push(Problem::new(&file.path, 0, "names no licence"));
    }
    if !has("publish") {
        problems.push(Problem::new(&file.path, 0, "does not say whether it is published"));
    }
    // agent-ebpf and fuzz are workspaces of their own and have their own lints.
    let own_workspace = has("[workspace]");
    let inherits = file.text.contains("[lints]\nworkspace = true");
    if !own_workspace && !inherits {
        problems.push(Problem::new(&file.path, 0, "does not take the workspace's lints"));
    }
    problems
}

/// A crate's root says what the crate is.
pub(crate) fn crate_docs(workspace: &Workspace) -> Vec<Problem> {
    let is_root = |path: &str| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    let silent = workspace.files.iter().filter(|file| is_root(&file.path) && !file.text.starts_with("//! "));
    silent.map(|file| Problem::new(&file.path, 1, "must begin with //! and say what the crate is")).collect()
}

#[cfg(test)]
mod tests {
    use super::{File, manifest, whitespace_in, words_in};

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn forbidden_words_are_found_where_they_are_forbidden() {
        let unfinished = concat!("fn f() { tod", "o!() }\n");
        assert_eq!(words_in(&file("a.rs", unfinished)).len(), 1);
        assert!(words_in(&file("a.md", unfinished)).is_empty());
        let path = concat!("good\nsee /ro", "ot/.cache\n");
        let problems = words_in(&file("a.md", path));
        assert_eq!((problems.len(), problems[0].line), (1, 2));
        assert!(words_in(&file("a.rs", "let todo = 1; // root of work\n")).is_empty());
    }

    #[test]
    fn white_space_is_found() {
        assert!(whitespace_in(&file("a", "x\n")).is_empty());
        assert!(whitespace_in(&file("a", "")).is_empty());
        assert_eq!(whitespace_in(&file("a", "x \ny\t\nz\n")).len(), 2);
        assert_eq!(whitespace_in(&file("a", "x")).len(), 1);
        assert_eq!(whitespace_in(&file("a", "x\n\n")).len(), 1);
        assert_eq!(whitespace_in(&file("a", "x\r\n")).len(), 1);
    }

    #[test]
    fn manifests_are_complete() {
        let good =
            "[package]\nlicense.workspace = true\npublish.workspace = true\n\n[lints]\nworkspace = true\n";
        assert!(manifest(&file("Cargo.toml", good)).is_empty());
        assert_eq!(manifest(&file("Cargo.toml", "[package]\nname = \"x\"\n")).len(), 3);
        let outside = "[package]\nlicense = \"MIT\"\npublish = false\n[workspace]\n";
        assert!(manifest(&file("Cargo.toml", outside)).is_empty());
    }
}
