//! Command-line arguments, as few of them as xtask has.

use std::collections::VecDeque;

/// The command line is wrong; xtask exits with code 2.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// The words after the command, taken out one by one by name.
#[derive(Debug)]
pub(crate) struct Args(VecDeque<String>);

impl Args {
    pub(crate) fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    /// Takes `--name` out and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        self.0.len() != before
    }

    /// Takes `--name VALUE` or `--name=VALUE` out.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>, UsageError> {
        for at in 0..self.0.len() {
            let Some(tail) = self.0[at].strip_prefix(name) else { continue };
            if let Some(value) = tail.strip_prefix('=') {
                let value = value.to_owned();
                self.0.remove(at);
                return Ok(Some(value));
            }
            if tail.is_empty() {
                self.0.remove(at);
                let value = self.0.remove(at);
                return value.map(Some).ok_or_else(|| UsageError(format!("{name} needs a value")));
            }
        }
        Ok(None)
    }

    /// The words that are left; an option among them is an error.
    pub(crate) fn positional(self) -> Result<Vec<String>, UsageError> {
        match self.0.iter().find(|word| word.starts_with('-')) {
            Some(option) => Err(UsageError(format!("unknown option `{option}`"))),
            None => Ok(self.0.into()),
        }
    }

    /// Every word as it was typed, for programs that parse them themselves.
    pub(crate) fn verbatim(self) -> Vec<String> {
        self.0.into()
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), UsageError> {
        match self.0.front() {
            Some(word) => Err(UsageError(format!("unexpected argument `{word}`"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, UsageError};

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_found_in_any_place() {
        let mut a = args("one --seconds 5 --quick two");
        assert!(a.flag("--quick"));
        assert!(!a.flag("--quick"));
        assert_eq!(a.value("--seconds"), Ok(Some("5".into())));
        assert_eq!(a.value("--seconds"), Ok(None));
        assert_eq!(a.positional(), Ok(vec!["one".into(), "two".into()]));
        assert_eq!(args("--seconds=7").value("--seconds"), Ok(Some("7".into())));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        assert_eq!(args("--seconds").value("--seconds"), Err(UsageError("--seconds needs a value".into())));
        assert!(args("--what").positional().is_err());
        assert!(args("word").finish().is_err());
        assert_eq!(args("").finish(), Ok(()));
    }
}
