//! Running other programs: each is printed before it runs.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A program with its arguments, environment and directory.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    words: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    dir: Option<PathBuf>,
    as_root: bool,
}

impl Run {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        // Servers live in sbin, which Debian leaves out of a user's PATH.
        let path = std::env::join_paths(search_path()).unwrap_or_default();
        let env = vec![(OsString::from("PATH"), Some(path))];
        Self { words: vec![program.as_ref().to_owned()], env, dir: None, as_root: false }
    }

    pub(crate) fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.words.push(word.as_ref().to_owned());
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    pub(crate) fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), None));
        self
    }

    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Runs as root: through `sudo` unless this process already is root.
    pub(crate) fn root(mut self) -> Self {
        self.as_root = true;
        self
    }

    /// The command as it would be typed, without the search path.
    pub(crate) fn line(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        if self.uses_sudo() {
            words.push("sudo".into());
            words.push("env".into());
        }
        for (name, value) in &self.env {
            if let Some(value) = value
                && name != "PATH"
            {
                words.push(format!("{}={}", name.to_string_lossy(), quoted(&value.to_string_lossy())));
            }
        }
        if words.last().is_some_and(|word| word == "env") {
            words.pop();
        }
        words.extend(self.words.iter().map(|word| quoted(&word.to_string_lossy())));
        words.join(" ")
    }

    /// Prints the command, runs it with this terminal, and fails when it fails.
    pub(crate) fn run(&self) -> Result<()> {
        if self.status()? {
            return Ok(());
        }
        bail!("`{}` failed", self.line())
    }

    /// Prints the command, runs it with this terminal, and says whether it succeeded.
    pub(crate) fn status(&self) -> Result<bool> {
        eprintln!("+ {}", self.line());
        let status = self.command().status().with_context(|| self.cannot_start())?;
        Ok(status.success())
    }

    /// Runs quietly and says whether it succeeded; a program that is not there did not.
    pub(crate) fn succeeds(&self) -> bool {
        let quiet = self.command().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    }

    /// Runs quietly and returns what it printed on stdout.
    pub(crate) fn output(&self) -> Result<String> {
        let output = self.command().stdin(Stdio::null()).output().with_context(|| self.cannot_start())?;
        if !output.status.success() {
            bail!("`{}` failed: {}", self.line(), String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print UTF-8", self.line()))
    }

    /// Prints the command and becomes it; returns only when that was impossible.
    pub(crate) fn exec(&self) -> anyhow::Error {
        eprintln!("+ {}", self.line());
        let error = self.command().exec();
        anyhow::Error::new(error).context(self.cannot_start())
    }

    /// The command for the standard library, for callers that read its output while it runs.
    pub(crate) fn command(&self) -> Command {
        let mut words = self.words.iter();
        let mut command = if self.uses_sudo() {
            let mut sudo = Command::new("sudo");
            sudo.arg("env");
            sudo.args(self.env.iter().filter_map(|(name, value)| {
                let mut assignment = name.clone();
                assignment.push("=");
                assignment.push(value.as_ref()?);
                Some(assignment)
            }));
            sudo
        } else {
            let mut command = Command::new(words.next().map_or(OsStr::new(""), OsString::as_os_str));
            for (name, value) in &self.env {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            command
        };
        command.args(words);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    fn uses_sudo(&self) -> bool {
        self.as_root && !is_root()
    }

    fn cannot_start(&self) -> String {
        if self.uses_sudo() && which("sudo").is_none() {
            return format!("`{}` must run as root: become root, or install sudo", self.line());
        }
        format!("cannot run `{}`", self.line())
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    // The files of a process in /proc belong to its effective user (proc_pid_status(5)).
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Where a program is: on PATH, in the sbin directories or among cargo's.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    search_path().map(|dir| dir.join(program)).find(|file| is_executable(file))
}

/// Where `cargo install` puts programs.
pub(crate) fn cargo_bin() -> PathBuf {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    cargo_home.unwrap_or_else(|| home().join(".cargo")).join("bin")
}

/// The user's home directory; the current one where none is set.
pub(crate) fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from)
}

fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for more in [cargo_bin(), "/usr/local/sbin".into(), "/usr/sbin".into(), "/sbin".into()] {
        if !dirs.contains(&more) {
            dirs.push(more);
        }
    }
    dirs.into_iter()
}

fn is_executable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%^~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Run, quoted, which};

    #[test]
    fn a_command_is_printed_as_it_would_be_typed() {
        let run = Run::new("printf").env("LANG", "C").args(["%s\n", "a b", "it's", ""]);
        assert_eq!(
            run.line(),
            r"LANG=C printf '%s
' 'a b' 'it'\''s' ''"
        );
        assert_eq!(quoted("llvm-22"), "llvm-22");
    }

    #[test]
    fn exit_codes_and_output_come_back() {
        assert!(Run::new("true").succeeds());
        assert!(!Run::new("false").succeeds());
        assert!(!Run::new("no-such-program-anywhere").succeeds());
        assert_eq!(Run::new("echo").arg("hi").output().unwrap(), "hi\n");
        let error = Run::new("sh").args(["-c", "echo why >&2; exit 3"]).output().unwrap_err();
        assert!(error.to_string().ends_with("failed: why"), "{error}");
    }

    #[test]
    fn programs_are_found() {
        assert!(which("sh").is_some());
        assert!(which("no-such-program-anywhere").is_none());
    }
}
