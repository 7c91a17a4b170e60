//! Parts of the repository that are made from something else, and must agree with it.
//!
//! `cargo xtask codegen` writes them, `cargo xtask tidy` checks them. Whatever needs the product's
//! crates to be generated (the field reference, the list of MCP tools) is checked by a test in the
//! crate that has the source; here is what xtask itself can make.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::workspace::Workspace;
use super::{Problem, edges};
use crate::args::Args;

/// A part of a file between `<!-- generated: name -->` and `<!-- end -->`.
struct Generated {
    file: &'static str,
    name: &'static str,
    make: fn() -> String,
}

const GENERATED: &[Generated] =
    &[Generated { file: "ARCHITECTURE.md", name: "edges", make: edges::markdown }];

pub(crate) fn up_to_date(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for part in GENERATED {
        match part.renewed(&workspace.root) {
            Ok((old, new)) if old == new => {}
            Ok(_) => {
                let message = format!("`{}` is out of date: run `cargo xtask codegen`", part.name);
                problems.push(Problem::new(part.file, 0, message));
            }
            Err(error) => problems.push(Problem::new(part.file, 0, format!("{error:#}"))),
        }
    }
    problems
}

/// Writes every generated part again.
pub(crate) fn write(root: &Path, args: Args) -> Result<()> {
    args.finish()?;
    for part in GENERATED {
        let (old, new) = part.renewed(root)?;
        if old != new {
            std::fs::write(root.join(part.file), new)
                .with_context(|| format!("cannot write {}", part.file))?;
            println!("codegen: {} ({})", part.file, part.name);
        }
    }
    Ok(())
}

impl Generated {
    /// The file's text as it is, and as it should be.
    fn renewed(&self, root: &Path) -> Result<(String, String)> {
        let old = std::fs::read_to_string(root.join(self.file))
            .with_context(|| format!("cannot read {}", self.file))?;
        let new = replaced(&old, self.name, &(self.make)())?;
        Ok((old, new))
    }
}

fn replaced(text: &str, name: &str, part: &str) -> Result<String> {
    let begin = format!("<!-- generated: {name} -->\n");
    let (before, rest) = text.split_once(&begin).with_context(|| format!("no line `{}`", begin.trim()))?;
    let (_, after) = rest.split_once("<!-- end -->").context("no `<!-- end -->` after it")?;
    Ok(format!("{before}{begin}\n{part}\n<!-- end -->{after}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::replaced;

    #[test]
    fn only_the_part_is_replaced() {
        let text = "a\n<!-- generated: x -->\nold\n<!-- end -->\nb\n";
        let new = replaced(text, "x", "new\n").unwrap();
        assert_eq!(new, "a\n<!-- generated: x -->\n\nnew\n\n<!-- end -->\nb\n");
        assert_eq!(replaced(&new, "x", "new\n").unwrap(), new);
        assert!(replaced(text, "y", "").is_err());
        assert!(replaced("<!-- generated: x -->\n", "x", "").is_err());
    }
}
