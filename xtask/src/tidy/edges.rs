//! The boundaries of architecture: who may depend on whom.
//!
//! The tables here are the source of the table in ARCHITECTURE.md. A new entry is a decision about
//! the architecture; say why in the commit that adds it.

use std::collections::BTreeMap;

use super::Problem;
use super::workspace::{File, Package, Workspace};

/// For each package of the workspace, the packages of the workspace that it may use.
pub(crate) const EDGES: &[(&str, &[&str])] = &[
    ("remora-abi", &[]),
    ("remora-model", &[]),
    ("remora-dissect", &["remora-model"]),
    ("remora-identity", &["remora-model"]),
    ("remora-kfl", &["remora-model"]),
    ("remora-wire", &["remora-model"]),
    ("remora-synth", &["remora-model"]),
    ("remora-store", &["remora-model", "remora-kfl", "remora-synth"]),
    ("remora-tlsfind", &[]),
    ("remora-ring", &[]),
    (
        "remora-agent",
        &[
            "remora-abi",
            "remora-model",
            "remora-dissect",
            "remora-identity",
            "remora-kfl",
            "remora-wire",
            "remora-tlsfind",
            "remora-ring",
        ],
    ),
    (
        "remora-hub",
        &[
            "remora-model",
            "remora-dissect",
            "remora-identity",
            "remora-kfl",
            "remora-wire",
            "remora-store",
            "remora-ring",
        ],
    ),
    (
        "remora",
        &[
            "remora-model",
            "remora-dissect",
            "remora-kfl",
            "remora-wire",
            "remora-store",
            "remora-agent",
            "remora-hub",
        ],
    ),
    ("remora-tests", &[]),
    ("xtask", &[]),
];

/// For each confined crate, who may depend on it, and the reason.
pub(crate) const CONFINED: &[(&str, &[&str], &str)] = &[
    // The orphan rule wants `aya::Pod` implemented where the structures are.
    (
        "aya",
        &["remora-agent", "remora-abi"],
        "only the agent talks to the kernel (`abi` implements its `Pod`)",
    ),
    ("aya-log", &["remora-agent"], "only the agent talks to the kernel"),
    ("iced-x86", &["remora-tlsfind"], "only the finder of TLS code disassembles"),
    ("rmcp", &["remora-hub"], "MCP is one module of the hub"),
    ("kube", &["remora-hub"], "Kubernetes is one source of identity"),
    ("k8s-openapi", &["remora-hub"], "Kubernetes is one source of identity"),
    ("datafusion", &["remora-store"], "the query engine can be exchanged"),
    ("parquet", &["remora-store"], "the format of segments is the store's affair"),
    ("tonic", &["remora-wire"], "the transport can be exchanged"),
    ("tonic-prost", &["remora-wire"], "the transport can be exchanged"),
    ("prost", &["remora-wire"], "the transport can be exchanged"),
    ("axum", &["remora-hub"], "HTTP is served in one place"),
    ("clap", &["remora"], "libraries have no command line"),
    ("anyhow", &["remora", "remora-tests", "xtask"], "libraries have typed errors"),
];

/// Packages that take bytes and time in and give values out: no I/O, no async, no clock.
pub(crate) const SANS_IO: &[&str] =
    &["remora-abi", "remora-model", "remora-dissect", "remora-identity", "remora-kfl"];
const IO_CRATES: &[&str] =
    &["tokio", "futures", "libc", "reqwest", "http", "rustls", "tracing", "mio", "rustix"];

/// A crate that may be named in one directory only, although its package may depend on it.
const CONFINED_MODULES: &[(&str, &str)] = &[("rmcp", "hub/src/mcp"), ("kube", "hub/src/identity")];

/// What opens DataFusion, reads a socket or decodes a packet is expensive to compile twice; the
/// tests must not ask for other features of what the product uses.
pub(crate) fn product_features(workspace: &Workspace) -> Vec<Problem> {
    let product = workspace.tree("normal,build", &["--package", "remora"]);
    match product.and_then(|product| Ok((product, workspace.tree("normal,build,dev", &["--workspace"])?))) {
        Ok((product, all)) => changed_features(&product, &all),
        Err(error) => vec![Problem::new("Cargo.toml", 0, format!("{error:#}"))],
    }
}

fn changed_features(product: &str, all: &str) -> Vec<Problem> {
    fn variants(tree: &str) -> BTreeMap<&str, Vec<&str>> {
        let mut variants: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in tree.lines() {
            let line = line.trim_end_matches(" (*)");
            let Some((package, features)) = line.split_once('|') else { continue };
            let known = variants.entry(package).or_default();
            if !known.contains(&features) {
                known.push(features);
            }
        }
        variants
    }
    let all = variants(all);
    let mut problems = Vec::new();
    for (package, features) in variants(product) {
        let in_tests = all.get(package).map_or(&[][..], Vec::as_slice);
        if let Some(features) = features.iter().find(|features| !in_tests.contains(features)) {
            let now = in_tests.join("; ");
            problems.push(Problem::new(
                package,
                0,
                format!(
                    "the product builds it with [{features}], the tests with [{now}]: it is compiled \
                     twice; name the features in [workspace.dependencies]"
                ),
            ));
        }
    }
    problems
}

pub(crate) fn workspace_edges(workspace: &Workspace) -> Vec<Problem> {
    edges(&workspace.packages())
}

fn edges(packages: &[Package<'_>]) -> Vec<Problem> {
    let own: Vec<&str> = packages.iter().map(|package| package.name).collect();
    let mut problems = Vec::new();
    for package in packages {
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
            let message = "not in the table of edges (xtask/src/tidy/edges.rs)";
            problems.push(Problem::new(package.name, 0, message));
            continue;
        };
        for dependency in &package.dependencies {
            if own.contains(dependency) && !allowed.contains(dependency) {
                problems.push(Problem::new(package.name, 0, format!("must not depend on {dependency}")));
            }
        }
    }
    problems
}

pub(crate) fn confined_dependencies(workspace: &Workspace) -> Vec<Problem> {
    confined(&workspace.packages())
}

fn confined(packages: &[Package<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in packages {
        for (dependency, allowed, reason) in CONFINED {
            if package.dependencies.contains(dependency) && !allowed.contains(&package.name) {
                let message = format!("must not depend on {dependency}: {reason}");
                problems.push(Problem::new(package.name, 0, message));
            }
        }
        for dependency in IO_CRATES {
            // Tests may compare with a crate that does I/O.
            let needed = package.dependencies.contains(dependency) && !package.for_tests.contains(dependency);
            if SANS_IO.contains(&package.name) && needed {
                let message = format!("must not depend on {dependency}: it does no I/O");
                problems.push(Problem::new(package.name, 0, message));
            }
        }
    }
    problems
}

pub(crate) fn confined_modules(workspace: &Workspace) -> Vec<Problem> {
    workspace.files.iter().flat_map(strays).collect()
}

/// Lines that name a confined crate outside its directory.
fn strays(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !file.is_rust() || file.path.starts_with("xtask/") {
        return problems;
    }
    for (name, home) in CONFINED_MODULES {
        if file.path.starts_with(&format!("{home}/")) || file.path == format!("{home}.rs") {
            continue;
        }
        for (number, line) in file.lines() {
            let code = line.split("//").next().unwrap_or_default();
            if names_crate(code, name) {
                let message = format!("only {home} may use {name}");
                problems.push(Problem::new(&file.path, number, message));
            }
        }
    }
    problems
}

/// Whether `code` has a path that begins with the crate `name`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let starts_a_path = before.is_none_or(|c| !c.is_alphanumeric() && !"_:\".-".contains(c));
        let is_used =
            code.trim_start().starts_with("use ") && (after.starts_with(';') || after.starts_with(" as "));
        starts_a_path && (after.starts_with("::") || is_used)
    })
}

/// The tables as ARCHITECTURE.md shows them.
pub(crate) fn markdown() -> String {
    let list = |names: &[&str]| match names {
        [] => "—".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    let mut text = String::from("| package | may use |\n|---|---|\n");
    for (package, allowed) in EDGES {
        text += &format!("| `{package}` | {} |\n", list(allowed));
    }
    text += "\n| crate | only in | because |\n|---|---|---|\n";
    for (name, allowed, reason) in CONFINED {
        text += &format!("| `{name}` | {} | {reason} |\n", list(allowed));
    }
    text += &format!("\nWithout I/O, async and clock: {}.\n", list(SANS_IO));
    for (name, home) in CONFINED_MODULES {
        text += &format!("`{name}` is named in `{home}` only.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Package, changed_features, confined, edges, names_crate, strays};
    use crate::tidy::workspace::File;

    fn package<'a>(name: &'a str, dependencies: &[&'a str]) -> Package<'a> {
        Package { name, dependencies: dependencies.iter().copied().collect(), for_tests: BTreeSet::new() }
    }

    #[test]
    fn agent_and_hub_never_see_each_other() {
        let good = package("remora-hub", &["remora-model", "tokio"]);
        let bad = package("remora-agent", &["remora-hub"]);
        let problems = edges(&[good, bad, package("remora-model", &[])]);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].to_string(), "remora-agent: must not depend on remora-hub");
    }

    #[test]
    fn a_package_without_an_entry_is_an_error() {
        assert_eq!(edges(&[package("remora-new", &[])]).len(), 1);
    }

    #[test]
    fn confined_crates_stay_where_they_are() {
        assert!(confined(&[package("remora-agent", &["aya", "tokio"])]).is_empty());
        assert_eq!(confined(&[package("remora-hub", &["aya", "datafusion"])]).len(), 2);
        let mut dissect = package("remora-dissect", &["tokio", "bytes"]);
        assert_eq!(confined(std::slice::from_ref(&dissect)).len(), 1);
        dissect.for_tests.insert("tokio");
        assert!(confined(&[dissect]).is_empty());
    }

    #[test]
    fn confined_modules_stay_where_they_are() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        assert!(strays(&file("hub/src/mcp/server.rs", "use rmcp::model::Tool;\n")).is_empty());
        assert!(strays(&file("hub/src/mcp.rs", "use rmcp::model::Tool;\n")).is_empty());
        let stray = strays(&file("hub/src/http.rs", "// rmcp::x\nuse rmcp::model::Tool;\n"));
        assert_eq!(stray.len(), 1);
        assert_eq!(stray[0].line, 2);
    }

    #[test]
    fn crate_paths_are_told_from_other_words() {
        assert!(names_crate("use rmcp::Tool;", "rmcp"));
        assert!(names_crate("use rmcp;", "rmcp"));
        assert!(names_crate("fn f(a: ::rmcp::Tool)", "rmcp") || names_crate("fn f(a: rmcp::Tool)", "rmcp"));
        assert!(!names_crate("let my_rmcp::x", "rmcp"));
        assert!(!names_crate("crate::kube::pods()", "kube"));
        assert!(!names_crate("\"kube\"", "kube"));
    }

    #[test]
    fn tests_that_change_a_feature_are_found() {
        let product = "a v1|std\nb v1|x,y\na v1|std (*)\n";
        assert!(changed_features(product, "a v1|std\nb v1|x,y\nproptest v1|\n").is_empty());
        let problems = changed_features(product, "a v1|std\nb v1|x,y,z\n");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("[x,y]"));
    }
}
