//! Licences, bans and duplicates among the dependencies, by the rules of deny.toml.
//!
//! cargo-deny checks more (`cargo xtask deny`), but takes minutes to install. These are the checks
//! that every change must pass; they read the same file, so that there is one set of rules.

use std::collections::{BTreeMap, BTreeSet};

use super::workspace::Workspace;
use super::{Problem, spdx};

const RULES: &str = "deny.toml";

/// A dependency's licence must be allowed in deny.toml.
pub(crate) fn licences(workspace: &Workspace) -> Vec<Problem> {
    let rules = match rules(workspace) {
        Ok(rules) => rules,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    for package in workspace.all_packages() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(licence) = package["license"].as_str() else {
            problems.push(Problem::new(name, 0, "names no licence"));
            continue;
        };
        let allowed = |one: &str| rules.licences.contains(one);
        match spdx::allows(licence, &allowed) {
            Ok(true) => {}
            Ok(false) => problems.push(Problem::new(name, 0, format!("{licence} is not allowed in {RULES}"))),
            Err(error) => problems.push(Problem::new(name, 0, format!("cannot read its licence: {error}"))),
        }
    }
    problems
}

/// No banned crate, and no crate twice unless deny.toml excuses it.
pub(crate) fn bans(workspace: &Workspace) -> Vec<Problem> {
    let rules = match rules(workspace) {
        Ok(rules) => rules,
        Err(problem) => return vec![problem],
    };
    // What only tests use may be there twice, as cargo-deny sees it too.
    let tree = match workspace.tree("normal,build", &["--workspace"]) {
        Ok(tree) => tree,
        Err(error) => return vec![Problem::new("Cargo.toml", 0, format!("{error:#}"))],
    };
    banned_and_twice(&tree, &rules)
}

/// Looks at what is really compiled: `cargo metadata` also lists what unused features would need.
fn banned_and_twice(tree: &str, rules: &Rules) -> Vec<Problem> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        // `name v1.2.3 (proc-macro)|feature,feature`
        let mut words = line.split(['|', ' ']);
        if let (Some(name), Some(version)) = (words.next(), words.next())
            && !version.is_empty()
        {
            versions.entry(name).or_default().insert(version);
        }
    }
    let mut problems = Vec::new();
    for (name, versions) in versions {
        if rules.banned.contains(name) {
            problems.push(Problem::new(name, 0, format!("is banned in {RULES}")));
        }
        if versions.len() > 1 && !rules.twice.contains(name) {
            let versions: Vec<&str> = versions.into_iter().collect();
            let message =
                format!("is here in {}; agree on one, or excuse it in {RULES}", versions.join(", "));
            problems.push(Problem::new(name, 0, message));
        }
    }
    problems
}

#[derive(Debug, Default)]
struct Rules {
    licences: BTreeSet<String>,
    banned: BTreeSet<String>,
    twice: BTreeSet<String>,
}

fn rules(workspace: &Workspace) -> Result<Rules, Problem> {
    let file = workspace.files.iter().find(|file| file.path == RULES);
    let text = file.map(|file| file.text.as_str()).ok_or_else(|| Problem::new(RULES, 0, "is missing"))?;
    Ok(parse(text))
}

/// Reads the three lists from deny.toml; it is ours, so it keeps to one string or one
/// `{ crate = ".." }` a line.
fn parse(text: &str) -> Rules {
    let mut rules = Rules::default();
    let mut section = "";
    let mut list = "";
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'))
            && !name.is_empty()
        {
            (section, list) = (name, "");
            continue;
        }
        if let Some((key, "[")) = line.split_once(" = ") {
            list = key;
            continue;
        }
        if line == "]" {
            list = "";
            continue;
        }
        let Some(value) = line.split('"').nth(1) else { continue };
        match (section, list) {
            ("licenses", "allow") => rules.licences.insert(value.to_owned()),
            ("bans", "deny") => rules.banned.insert(value.to_owned()),
            ("bans", "skip") => rules.twice.insert(value.to_owned()),
            _ => false,
        };
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::{banned_and_twice, parse};

    #[test]
    fn banned_crates_and_second_versions_are_found() {
        let rules = parse("[bans]\ndeny = [\n{ crate = \"ring\" },\n]\nskip = [\n{ crate = \"syn\" },\n]\n");
        let good = "a v1.0.0|std\nsyn v1.0.0 (proc-macro)|\nsyn v2.0.0|\na v1.0.0|std (*)\n\n";
        assert!(banned_and_twice(good, &rules).is_empty());
        let problems = banned_and_twice("ring v0.17.0|\nb v1.0.0|\nb v2.0.0|x\n", &rules);
        assert_eq!(problems.iter().map(|problem| problem.place.as_str()).collect::<Vec<_>>(), ["b", "ring"]);
    }

    #[test]
    fn the_rules_are_read_from_deny_toml() {
        let rules = parse(
            "[licenses]\nallow = [\n  # comment \"GPL\"\n  \"MIT\",\n  \"Apache-2.0 WITH LLVM-exception\",\n]\n\
             [bans]\nmultiple-versions = \"deny\"\ndeny = [\n  { crate = \"openssl\", reason = \"r\" },\n]\n\
             skip = [\n  { crate = \"syn\", reason = \"r\" },\n]\n[sources]\nallow = [\n \"x\",\n]\n",
        );
        assert_eq!(rules.licences.len(), 2);
        assert!(
            rules.licences.contains("MIT") && rules.banned.contains("openssl") && rules.twice.contains("syn")
        );
        assert_eq!((rules.banned.len(), rules.twice.len()), (1, 1));
    }

    #[test]
    fn the_committed_rules_have_all_three_lists() {
        let rules = parse(include_str!("../../../deny.toml"));
        assert!(!rules.licences.is_empty() && !rules.banned.is_empty() && !rules.twice.is_empty());
    }
}
