//! Debian's kernels: found and fetched by apt with lists of its own, and unpacked.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{Kernel, only};
use crate::run::Run;

/// The package that depends on a release's newest kernel for virtual machines.
const META: &str = "linux-image-cloud-amd64";

/// Where Debian's keys are.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches a suite's kernel into `dir`, unless it is there.
pub(super) fn fetch(dir: &Path, suite: &str) -> Result<Kernel> {
    let apt = Apt::new(&dir.join("apt").join(suite), suite)?;
    apt.run("apt-get", &["update"]).output()?;
    let image = apt.dependencies(META, &["linux-image-"])?;
    let image = image.first().with_context(|| format!("{META} in {suite} depends on no kernel"))?;
    let unpacked = dir.join(image);
    if !unpacked.is_dir() {
        // Newer releases have divided the package.
        let mut names = apt.dependencies(image, &["linux-binary-", "linux-modules-"])?;
        names.push(image.clone());
        let part = dir.join(format!("{image}.part"));
        let _ = fs::remove_dir_all(&part);
        fs::create_dir_all(&part)?;
        apt.run("apt-get", &["download"]).args(&names).dir(&part).output()?;
        for entry in fs::read_dir(&part)? {
            let package = entry?.path();
            Run::new("dpkg-deb").arg("--extract").arg(&package).arg(&part).output()?;
            fs::remove_file(package)?;
        }
        fs::rename(&part, &unpacked)?;
    }
    kernel(&unpacked)
}

/// The kernel among unpacked files: before and after /lib became a part of /usr.
fn kernel(unpacked: &Path) -> Result<Kernel> {
    let places = ["usr/lib/modules", "lib/modules"].map(|place| unpacked.join(place));
    let place = places.iter().find(|place| place.is_dir()).context("the package has no modules")?;
    let modules = only(place, "")?;
    let image = match only(&unpacked.join("boot"), "vmlinuz-") {
        Ok(image) => image,
        Err(_) => only(&modules, "vmlinuz")?,
    };
    let release = modules.file_name().context("modules without a release")?.to_string_lossy().into_owned();
    Ok(Kernel { release, image, modules })
}

/// apt with one suite of Debian and with lists beside the system's.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(dir: &Path, suite: &str) -> Result<Self> {
        fs::create_dir_all(dir.join("lists/partial"))?;
        fs::create_dir_all(dir.join("cache/archives/partial"))?;
        let sources = dir.join("sources.list");
        fs::write(&sources, format!("deb [arch=amd64 signed-by={KEYRING}] {} {suite} main\n", mirror()?))?;
        let path = |name: &str| -> PathBuf { dir.join(name) };
        let options = [
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", path("lists").display()),
            format!("Dir::Cache={}", path("cache").display()),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // The directories may be closed to apt's own user.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Self { options: options.into() })
    }

    fn run(&self, program: &str, words: &[&str]) -> Run {
        let options = self.options.iter().flat_map(|option| ["-o", option]);
        Run::new(program).args(options).args(words).env("LC_ALL", "C")
    }

    /// What a package depends on, as far as the names begin with one of `prefixes`.
    fn dependencies(&self, package: &str, prefixes: &[&str]) -> Result<Vec<String>> {
        let text = self.run("apt-cache", &["depends", package]).output()?;
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.filter(|name| prefixes.iter().any(|p| name.starts_with(p))).map(str::to_owned).collect())
    }
}

/// The Debian mirror: `REMORA_DEBIAN_MIRROR`, or the one that this machine's apt uses.
fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var("REMORA_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let format = ["indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"];
    let targets = Run::new("apt-get").args(format).output()?;
    match targets.lines().find_map(|line| line.strip_prefix("Debian ")) {
        Some(mirror) => Ok(mirror.to_owned()),
        None => bail!("apt has no Debian mirror here; name one in REMORA_DEBIAN_MIRROR"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::kernel;

    #[test]
    fn kernels_are_found_in_both_layouts() {
        let dir = std::env::temp_dir().join(format!("remora-kernel-layouts-{}", std::process::id()));
        let (old, new) = (dir.join("old"), dir.join("new"));
        fs::create_dir_all(old.join("boot")).unwrap();
        fs::create_dir_all(old.join("lib/modules/5.10.0-1-cloud-amd64/kernel")).unwrap();
        fs::write(old.join("boot/vmlinuz-5.10.0-1-cloud-amd64"), "").unwrap();
        fs::create_dir_all(new.join("usr/lib/modules/7.2.1-cloud-amd64")).unwrap();
        fs::write(new.join("usr/lib/modules/7.2.1-cloud-amd64/vmlinuz"), "").unwrap();
        let found = [&old, &new].map(|dir| kernel(dir));
        let empty = kernel(&dir);
        fs::remove_dir_all(&dir).unwrap();
        let [old, new] = found.map(Result::unwrap);
        assert_eq!(
            (old.release.as_str(), new.release.as_str()),
            ("5.10.0-1-cloud-amd64", "7.2.1-cloud-amd64")
        );
        assert!(old.image.ends_with("boot/vmlinuz-5.10.0-1-cloud-amd64"));
        assert!(new.image.ends_with("7.2.1-cloud-amd64/vmlinuz"));
        assert!(empty.is_err());
    }
}
