//! What the checks look at: the text files of the repository and what cargo knows about it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::product;

/// Directories that hold no source: builds, version control, what fuzzing leaves behind.
const SKIPPED_DIRS: &[&str] = &[".git", "target", "node_modules"];
const SKIPPED_PATHS: &[&str] = &["fuzz/corpus", "fuzz/artifacts"];

/// Endings of the files whose text is checked.
const TEXT: &[&str] =
    &["rs", "toml", "md", "json", "yaml", "yml", "sh", "proto", "html", "js", "mjs", "py", "txt"];

/// A text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The lines with their numbers from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The repository as the checks see it.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<File>,
    /// `cargo metadata`, dependencies included.
    pub(crate) metadata: Value,
}

/// A package of the workspace, as its manifest describes it.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    /// Names of the packages it depends on, for building, running and testing alike.
    pub(crate) dependencies: BTreeSet<&'a str>,
    /// Those of them that only its tests need.
    pub(crate) for_tests: BTreeSet<&'a str>,
}

impl Workspace {
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        walk(root, root, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let metadata = product::cargo(root)
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)])
            .output()?;
        let metadata = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
        Ok(Self { root: root.to_owned(), files, metadata })
    }

    /// Every package that is built, the workspace's own included.
    pub(crate) fn all_packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata["packages"].as_array().into_iter().flatten()
    }

    /// `cargo tree` as lines of `name vVERSION|features`, repeated where cargo repeats them.
    pub(crate) fn tree(&self, edges: &str, packages: &[&str]) -> Result<String> {
        let cargo = product::cargo(&self.root).args(["tree", "--locked", "--prefix", "none"]);
        cargo.args(["--format", "{p}|{f}", "--edges", edges]).args(packages).output()
    }

    /// The workspace's own packages.
    pub(crate) fn packages(&self) -> Vec<Package<'_>> {
        // A path dependency outside the workspace would have no source either; there is none.
        let own = self.all_packages().filter(|package| package["source"].is_null());
        own.map(|package| {
            let dependencies = package["dependencies"].as_array().into_iter().flatten();
            let all: Vec<_> = dependencies
                .filter_map(|dependency| Some((dependency["name"].as_str()?, dependency["kind"] == "dev")))
                .collect();
            let product = |name: &str| all.iter().any(|(other, dev)| *other == name && !dev);
            Package {
                name: package["name"].as_str().unwrap_or_default(),
                dependencies: all.iter().map(|(name, _)| *name).collect(),
                for_tests: all.iter().map(|(name, _)| *name).filter(|name| !product(name)).collect(),
            }
        })
        .collect()
    }
}

fn walk(root: &Path, dir: &Path, files: &mut Vec<File>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !SKIPPED_DIRS.contains(&&*name) && !SKIPPED_PATHS.contains(&relative.as_str()) {
                walk(root, &path, files)?;
            }
        } else if kind.is_file() && (has_text(&name) || relative.starts_with(".ci/")) {
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {relative}"))?;
            // Test data may be deliberately wrong; a source that is not UTF-8 does not compile.
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path: relative, text });
            }
        }
    }
    Ok(())
}

fn has_text(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| TEXT.contains(&extension))
}
