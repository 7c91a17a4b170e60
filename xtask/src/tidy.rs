//! `cargo xtask tidy`: what the compiler does not check about the repository.
//!
//! Each check is a function from the [`Workspace`] to the problems that it finds. All of them run,
//! whatever the others find.

mod edges;
pub(crate) mod generated;
mod licences;
mod links;
mod protocols;
mod spdx;
mod text;
mod workspace;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::args::Args;
use crate::run::Run;
use workspace::Workspace;

/// Something to repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// File relative to the root, or the name of a package.
    place: String,
    /// From 1; 0 when the place has no lines.
    line: usize,
    message: String,
}

impl Problem {
    fn new(place: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { place: place.into(), line, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.place, self.message),
            line => write!(f, "{}:{line}: {}", self.place, self.message),
        }
    }
}

type Check = fn(&Workspace) -> Vec<Problem>;

const CHECKS: &[(&str, Check)] = &[
    ("edges between crates", edges::workspace_edges),
    ("confined dependencies", edges::confined_dependencies),
    ("confined modules", edges::confined_modules),
    ("features of the product", edges::product_features),
    ("licences", licences::licences),
    ("bans and duplicates", licences::bans),
    ("manifests", text::manifests),
    ("crate documentation", text::crate_docs),
    ("file length", text::length),
    ("words", text::words),
    ("whitespace", text::whitespace),
    ("links", links::links),
    ("what belongs to a protocol", protocols::complete),
    ("generated files", generated::up_to_date),
];

pub(crate) fn command(root: &Path, args: Args) -> Result<ExitCode> {
    args.finish()?;
    let mut bad = 0;
    for (check, problems) in check(root) {
        if !problems.is_empty() {
            println!("{check}:");
        }
        for problem in &problems {
            println!("  {problem}");
        }
        bad += problems.len();
    }
    println!("tidy: {}", if bad == 0 { "no problems".to_owned() } else { format!("{bad} problems") });
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs every check; the names come with what was found.
pub(crate) fn check(root: &Path) -> Vec<(&'static str, Vec<Problem>)> {
    let mut found = vec![("format", format(root))];
    match Workspace::read(root) {
        Ok(workspace) => found.extend(CHECKS.iter().map(|(name, check)| (*name, check(&workspace)))),
        Err(error) => found.push(("workspace", vec![Problem::new("Cargo.toml", 0, format!("{error:#}"))])),
    }
    found
}

/// rustfmt over the workspace and the two packages outside it.
fn format(root: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for manifest in ["Cargo.toml", "agent-ebpf/Cargo.toml", "fuzz/Cargo.toml"] {
        if !root.join(manifest).exists() {
            continue;
        }
        let format = Run::new("cargo").args(["fmt", "--all", "--manifest-path", manifest]).dir(root);
        let files = match format.clone().args(["--", "--check", "--files-with-diff"]).command().output() {
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(error) => error.to_string(),
        };
        let files: Vec<&str> = files.lines().filter(|line| line.ends_with(".rs")).collect();
        problems.push(Problem::new(manifest, 0, format!("run `{}`: {}", format.line(), files.join(" "))));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::Problem;

    #[test]
    fn a_problem_names_its_place() {
        assert_eq!(Problem::new("a.rs", 3, "bad").to_string(), "a.rs:3: bad");
        assert_eq!(Problem::new("hub", 0, "bad").to_string(), "hub: bad");
    }
}
