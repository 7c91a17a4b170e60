//! The Python environment of the tests: servers and clients that no distribution packages.
//!
//! It lies in the user's cache, so that all clones share it, and is made anew when
//! `tests/requirements.txt` changes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::product;
use crate::run::Run;

/// The interpreter, whether it is there or not.
pub(crate) fn interpreter() -> PathBuf {
    environment().join("bin/python")
}

fn environment() -> PathBuf {
    product::cache_dir().join("python")
}

/// Whether `python3` can make environments: Debian packages that apart.
pub(crate) fn makes_environments() -> bool {
    Run::new("python3").args(["-c", "import ensurepip, venv"]).succeeds()
}

/// Makes the environment unless it holds what is asked for. Says whether it had to.
pub(crate) fn install(root: &Path) -> Result<bool> {
    let list = root.join("tests/requirements.txt");
    let wanted = std::fs::read_to_string(&list).with_context(|| format!("{}", list.display()))?;
    let stamp = environment().join("requirements.txt");
    if interpreter().exists() && std::fs::read_to_string(&stamp).is_ok_and(|here| here == wanted) {
        return Ok(false);
    }
    Run::new("python3").args(["-m", "venv", "--clear"]).arg(environment()).run()?;
    Run::new(interpreter())
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&list)
        .run()?;
    // Last, so that what was interrupted is made again.
    std::fs::write(&stamp, wanted).with_context(|| format!("{}", stamp.display()))?;
    Ok(true)
}
