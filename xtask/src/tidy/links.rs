//! Links in Markdown files: what they point to in the repository must be there.

use std::path::{Component, Path, PathBuf};

use super::Problem;
use super::workspace::{File, Workspace};

pub(crate) fn links(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in workspace.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in targets(file) {
            if let Err(reason) = resolve(workspace, file, target) {
                problems.push(Problem::new(&file.path, line, format!("link to {target}: {reason}")));
            }
        }
    }
    problems
}

/// The targets of inline links, outside code.
fn targets(file: &File) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let outside_code = line.split('`').step_by(2);
        for text in outside_code {
            for (at, _) in text.match_indices("](") {
                let rest = &text[at + 2..];
                if let Some(end) = rest.find(')') {
                    let target = rest[..end].split_whitespace().next().unwrap_or_default();
                    found.push((number, target));
                }
            }
        }
        // `[text]` with code inside splits the link: its target is at the start of the next part.
        for part in line.split('`').skip(2).step_by(2) {
            if let Some(rest) = part.strip_prefix("](")
                && let Some(end) = rest.find(')')
                && !found.contains(&(number, &rest[..end]))
            {
                found.push((number, &rest[..end]));
            }
        }
    }
    found
}

fn resolve(workspace: &Workspace, from: &File, target: &str) -> Result<(), String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let path = if path.is_empty() {
        from.path.clone()
    } else {
        let dir = Path::new(&from.path).parent().unwrap_or(Path::new(""));
        normal(&dir.join(path)).ok_or("leads out of the repository")?
    };
    if !workspace.root.join(&path).exists() {
        return Err("there is no such file".into());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    match workspace.files.iter().find(|file| file.path == path && file.path.ends_with(".md")) {
        Some(file) if !anchors(file).contains(&anchor.to_owned()) => Err("there is no such heading".into()),
        _ => Ok(()),
    }
}

/// The path without `.` and `..`; none when it leaves its root.
fn normal(path: &Path) -> Option<String> {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !parts.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.to_string_lossy().into_owned())
}

/// Anchors of the headings, spelled as GitHub spells them.
fn anchors(file: &File) -> Vec<String> {
    let mut in_code = false;
    let mut anchors = Vec::new();
    for (_, line) in file.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        if in_code || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        anchors.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    anchors
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{File, anchors, normal, targets};

    fn file(text: &str) -> File {
        File { path: "docs/a.md".into(), text: text.into() }
    }

    #[test]
    fn links_are_found_outside_code() {
        let text =
            "[a](b.md) and [`code`](c.md#d)\n```\n[no](no.md)\n```\n`[no](no.md)` [e](f.md \"title\")\n";
        assert_eq!(targets(&file(text)), [(1, "b.md"), (1, "c.md#d"), (5, "f.md")]);
    }

    #[test]
    fn headings_become_anchors() {
        assert_eq!(
            anchors(&file("# What it *is*\n## `up`, and down\n```\n# no\n```\n")),
            ["what-it-is", "up-and-down"]
        );
    }

    #[test]
    fn paths_stay_in_the_repository() {
        assert_eq!(normal(Path::new("docs/../README.md")).as_deref(), Some("README.md"));
        assert_eq!(normal(Path::new("docs/../../x")), None);
        assert_eq!(normal(Path::new("/etc/passwd")), None);
    }
}
