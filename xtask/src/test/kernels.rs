//! `cargo xtask test --layer kernels`: the live tests on other kernels than this machine's.
//!
//! Debian's kernels are fetched and unpacked (never installed) and started in QEMU, each with a RAM
//! disk of the test programs and the few programs that they use. The processor is emulated, so that
//! it works inside virtual machines as well; a kernel takes some minutes.

mod guest;
mod packages;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::binaries::{self, Binary};
use super::report::{Outcome, Report};
use super::{LIMIT, step};
use crate::product;
use crate::run::{Run, which};

/// Why the layer is left out of a run of everything.
pub(crate) const OPT_IN: &str = "takes minutes for each kernel; run `cargo xtask test --layer kernels`";

/// Debian's releases whose kernels are tried: 5.10, 6.1, 6.12 and the next release's.
const SUITES: &[&str] = &["bullseye", "bookworm", "trixie", "forky"];

/// The tests that run in the guests, by cargo's names of them.
pub(crate) const TESTS: &[&str] = &["kernel_live", "agent_live", "tiers", "live_dns_redis"];

/// Runs the tests whose name contains `filter` on every kernel.
pub(crate) fn layers(report: &mut Report, binaries: &[Binary], filter: Option<&str>) -> Result<()> {
    if let Err(reason) = possible() {
        report.layer("kernels", || skipped(&reason))?;
        return Ok(());
    }
    let dir = product::target_dir().join("kernels");
    let tests: Vec<(&str, &Path)> = binaries.iter().map(|b| (b.name(), b.executable())).collect();
    if tests.is_empty() {
        // They did not compile, which the layer before this one says.
        return Ok(());
    }
    let root = dir.join("guest");
    let made = || guest::make(&root, &tests, filter);
    if !report.layer("kernels: the guests' root", || step("it is made", made()))? {
        return Ok(());
    }
    for suite in SUITES {
        let mut kernel = None;
        let name = format!("kernels: Debian {suite}'s package");
        report.layer(&name, || match packages::fetch(&dir, suite) {
            Ok(fetched) => {
                kernel = Some(fetched);
                Outcome::default()
            }
            // Releases come and go on mirrors; that is no fault of Remora's.
            Err(error) => skipped(&format!("{error:#}")),
        })?;
        let Some(kernel) = kernel else { continue };
        let name = format!("kernels: {}", kernel.release);
        report.layer(&name, || match boot(&dir, &root, &kernel) {
            Ok(qemu) => binaries::run_harness(&qemu, &name, LIMIT),
            Err(error) => Outcome::failure(&name, &format!("{error:#}")),
        })?;
    }
    Ok(())
}

/// A kernel that can be booted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kernel {
    /// `uname -r` in it.
    release: String,
    image: PathBuf,
    /// Its directory of modules.
    modules: PathBuf,
}

/// Or the reason why not.
fn possible() -> Result<(), String> {
    if !cfg!(target_arch = "x86_64") {
        return Err("the guests are x86-64 machines, and their programs are this machine's".to_owned());
    }
    if which("apt-get").is_none() || which("dpkg-deb").is_none() {
        return Err("the kernels are Debian packages, fetched with apt-get".to_owned());
    }
    Ok(())
}

pub(crate) fn skipped(reason: &str) -> Outcome {
    Outcome { skipped: vec![("kernels".to_owned(), reason.to_owned())], ..Outcome::default() }
}

/// The command that starts a kernel and ends when its guest powers off.
fn boot(dir: &Path, root: &Path, kernel: &Kernel) -> Result<Run> {
    let modules = dir.join("modules");
    guest::copy_modules(&modules, kernel)?;
    let disk = dir.join("disk.cpio");
    // Archives that follow one another are unpacked as one (Documentation/driver-api/early-userspace).
    let pack = r#"cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet >"$3" && cd "$2" && find . | cpio -o -H newc -R 0:0 --quiet >>"$3""#;
    Run::new("sh").args(["-ec", pack, "sh"]).arg(root).arg(&modules).arg(&disk).output()?;
    let qemu = Run::new("qemu-system-x86_64")
        .args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", processor(&kernel.release)])
        .args(["-smp", "2", "-m", "3072"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio", "-serial", "file:/dev/stderr"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&disk)
        .args(["-append", "console=ttyS1 quiet panic=-1 no_timer_check"]);
    eprintln!("+ {}", qemu.line());
    Ok(qemu)
}

/// The emulated processor. QEMU 7.2 spoils the flags after cmpxchg16b, which made 6.12 panic, so older
/// kernels do without it; newer ones then have no `kmalloc_nolock` (mm/slub.c), from which the storage
/// beside sockets is allocated.
fn processor(release: &str) -> &'static str {
    let mut numbers = release.split(['.', '-', '+']).map_while(|word| word.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (6, 18) { "max,-cx16" } else { "max" }
}

/// The one file in `dir` whose name begins with `prefix`.
fn only(dir: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            names.push(entry.path());
        }
    }
    names.sort();
    names.pop().with_context(|| format!("there is no {prefix}* in {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::processor;

    #[test]
    fn older_kernels_do_without_cmpxchg16b() {
        for (release, cpu) in [
            ("5.10.0-32-cloud-amd64", "max,-cx16"),
            ("6.12.107+deb13-cloud-amd64", "max,-cx16"),
            ("6.18-amd64", "max"),
            ("7.2.12+deb14-cloud-amd64", "max"),
        ] {
            assert_eq!(processor(release), cpu, "{release}");
        }
    }
}
