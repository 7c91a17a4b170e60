//! The system's package manager: finding it, and installing with it.
//!
//! Debian and Ubuntu are what the recipes are tested on. The other managers get the same list
//! under their own names.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use crate::run::{Run, which};

/// A package manager that xtask knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    Apt,
    Dnf,
    Pacman,
    Apk,
}

/// What one thing is called by each manager: alternatives are separated by `|` (the first one
/// that exists is taken), packages that go together by a space.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    pub(crate) apt: &'static str,
    pub(crate) dnf: &'static str,
    pub(crate) pacman: &'static str,
    pub(crate) apk: &'static str,
}

impl Names {
    /// The same name everywhere.
    pub(crate) const fn same(name: &'static str) -> Self {
        Self { apt: name, dnf: name, pacman: name, apk: name }
    }

    fn of(self, manager: Manager) -> &'static str {
        match manager {
            Manager::Apt => self.apt,
            Manager::Dnf => self.dnf,
            Manager::Pacman => self.pacman,
            Manager::Apk => self.apk,
        }
    }
}

impl Manager {
    /// The manager of this system.
    pub(crate) fn find() -> Option<Self> {
        let managers =
            [("apt-get", Self::Apt), ("dnf", Self::Dnf), ("pacman", Self::Pacman), ("apk", Self::Apk)];
        managers.into_iter().find(|(program, _)| which(program).is_some()).map(|(_, manager)| manager)
    }

    /// Installs everything in `wanted`. Services that packages bring are neither started nor
    /// enabled: the tests start their own servers.
    pub(crate) fn install(self, wanted: &[Names]) -> Result<()> {
        let words = wanted.iter().flat_map(|names| names.of(self).split_whitespace());
        let words: Vec<&str> = words.collect();
        match self {
            Self::Apt => install_with_apt(&words),
            Self::Dnf => install_plainly(&["dnf", "install", "--assumeyes"], &words),
            Self::Pacman => install_plainly(&["pacman", "--sync", "--needed", "--noconfirm"], &words),
            Self::Apk => install_plainly(&["apk", "add"], &words),
        }
    }
}

/// Debian packages that start a server as soon as they are installed.
const BRING_SERVICES: &[&str] = &[
    "freediameterd",
    "freeradius",
    "memcached",
    "mosquitto",
    "nats-server",
    "nginx",
    "nginx-light",
    "rabbitmq-server",
    "redis-server",
    "slapd",
];

fn install_plainly(command: &[&str], words: &[&str]) -> Result<()> {
    let (program, options) = command.split_first().context("a package manager has a name")?;
    Run::new(program).args(options).args(words.iter().filter_map(|word| word.split('|').next())).root().run()
}

fn install_with_apt(words: &[&str]) -> Result<()> {
    let packages = match apt_choose(words) {
        Ok(packages) => packages,
        // A fresh image knows no packages at all until its first update.
        Err(_) => {
            apt_update()?;
            apt_choose(words)?
        }
    };
    let install = apt_install(&packages);
    // dpkg can fail half-way (a trigger, a lock, a cut connection); repeating the call finishes it.
    if install.status()? || install.status()? {
        return Ok(());
    }
    // Old package lists name versions that the mirror no longer has.
    apt_update()?;
    install.run()
}

/// The version of `package` that apt would install, if there is one.
pub(crate) fn apt_candidate(package: &str) -> Option<String> {
    let policy = Run::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output().ok()?;
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (candidate != "(none)").then(|| candidate.to_owned())
}

/// Picks the first alternative that apt knows for each word.
fn apt_choose(words: &[&str]) -> Result<Vec<String>> {
    let mut chosen = Vec::new();
    let mut unknown = String::new();
    for word in words {
        match word.split('|').find(|name| apt_candidate(name).is_some()) {
            Some(name) => chosen.push(name.to_owned()),
            None => write!(unknown, " {word}")?,
        }
    }
    if !unknown.is_empty() {
        bail!("apt knows no package{unknown}; enable the repository that has it, or install it by hand");
    }
    Ok(chosen)
}

fn apt_update() -> Result<()> {
    Run::new("apt-get").args(["update", "-o", "DPkg::Lock::Timeout=300"]).root().run()
}

/// Fetches apt's package lists, the first time that it is asked in this process; says whether they
/// are new now.
pub(crate) fn apt_update_once() -> bool {
    static UPDATED: std::sync::Once = std::sync::Once::new();
    let mut fetched = false;
    UPDATED.call_once(|| fetched = apt_update().is_ok());
    fetched
}

fn apt_install(packages: &[String]) -> Run {
    let options = ["--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];
    let install = |run: Run| run.env("DEBIAN_FRONTEND", "noninteractive").root();
    if !packages.iter().any(|package| BRING_SERVICES.contains(&package.as_str())) {
        return install(Run::new("apt-get").arg("install").args(options).args(packages));
    }
    let line = format!("apt-get install {} {}", options.join(" "), packages.join(" "));
    // A policy-rc.d that answers 101 keeps packages from starting services (invoke-rc.d(8)).
    // Container images often have one already; it stays as it is. What this call enables for the
    // next boot, and only that, is disabled again.
    let script = format!(
        r#"policy=/usr/sbin/policy-rc.d
before=$(systemctl list-unit-files --state=enabled --no-legend 2>/dev/null | cut -d' ' -f1)
if [ ! -e $policy ]; then trap "rm -f $policy" EXIT INT TERM; printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; fi
{line} || exit
[ -d /run/systemd/system ] || exit 0
for unit in memcached.service nginx.service redis-server.service rabbitmq-server.service mosquitto.service nats-server.service \
    slapd.service freeradius.service; do
  [ ! -e /lib/systemd/system/$unit ] || echo "$before" | grep -qx $unit || systemctl disable --quiet $unit
done"#
    );
    install(Run::new("sh").args(["-c", &script]))
}

#[cfg(test)]
mod tests {
    use super::{Manager, Names};

    #[test]
    fn every_manager_has_its_own_names() {
        let names = Names { apt: "a|b c", dnf: "d", pacman: "p", apk: "k" };
        assert_eq!(names.of(Manager::Apt), "a|b c");
        assert_eq!(names.of(Manager::Apk), "k");
        assert_eq!(Names::same("curl").of(Manager::Pacman), "curl");
    }
}
