//! Counting outcomes, and printing them layer by layer.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

/// What came out of some tests.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    /// Name, and what is known about the cause.
    pub(crate) failed: Vec<(String, String)>,
    /// Name and reason.
    pub(crate) skipped: Vec<(String, String)>,
}

impl Outcome {
    pub(crate) fn success() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    pub(crate) fn failure(name: &str, cause: &str) -> Self {
        Self { failed: vec![(name.to_owned(), cause.to_owned())], ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    /// `12 passed, 0 failed, 1 skipped`.
    pub(crate) fn summary(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())
    }
}

/// The sum over all layers, printed to `out` as it grows.
#[derive(Debug)]
pub(crate) struct Report<W = io::Stdout> {
    out: W,
    total: Outcome,
}

impl Report {
    /// A report on the standard output.
    pub(crate) fn new() -> Self {
        Self { out: io::stdout(), total: Outcome::default() }
    }
}

impl<W: Write> Report<W> {
    /// Runs a layer, prints its outcome and time, and says whether nothing in it failed.
    ///
    /// # Errors
    /// When nothing can be printed any more.
    pub(crate) fn layer(&mut self, name: &str, run: impl FnOnce() -> Outcome) -> Result<bool> {
        let began = Instant::now();
        writeln!(self.out, "== {name}")?;
        let outcome = run();
        for (test, cause) in &outcome.failed {
            writeln!(self.out, "FAILED: {test}")?;
            for line in cause.lines() {
                writeln!(self.out, "    {line}")?;
            }
        }
        for (test, reason) in &outcome.skipped {
            writeln!(self.out, "SKIPPED: {test}: {reason}")?;
        }
        let seconds = began.elapsed().as_secs_f64();
        writeln!(self.out, "== {name}: {} ({seconds:.1} s)", outcome.summary())?;
        let good = outcome.failed.is_empty();
        let named = |(test, cause)| (format!("{name}: {test}"), cause);
        let failed = outcome.failed.into_iter().map(named).collect();
        self.total.add(Outcome { failed, ..outcome });
        Ok(good)
    }

    /// Lists what failed and what was skipped, prints the sum as the last line, and turns it into
    /// an exit code.
    ///
    /// # Errors
    /// When nothing can be printed any more.
    pub(crate) fn finish(&mut self) -> Result<ExitCode> {
        let Outcome { passed: _, failed, skipped } = &self.total;
        writeln!(self.out)?;
        for (test, reason) in skipped {
            writeln!(self.out, "SKIPPED: {test}: {reason}")?;
        }
        for (test, _) in failed {
            writeln!(self.out, "FAILED: {test}")?;
        }
        writeln!(self.out, "{}", self.total.summary())?;
        Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Outcome, Report};

    #[test]
    fn the_last_line_is_the_sum() {
        let mut report = Report { out: Vec::new(), total: Outcome::default() };
        assert!(report.layer("good", Outcome::success).unwrap());
        assert!(!report.layer("bad", || Outcome::failure("t", "why")).unwrap());
        let skipped = vec![("s".to_owned(), "no root".to_owned())];
        assert!(report.layer("skip", || Outcome { skipped, ..Outcome::default() }).unwrap());
        report.finish().unwrap();
        let text = String::from_utf8(report.out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&"    why"), "{text}");
        assert_eq!(
            lines[lines.len() - 4..],
            ["", "SKIPPED: s: no root", "FAILED: bad: t", "1 passed, 1 failed, 1 skipped"]
        );
    }

    #[test]
    fn only_failures_fail() {
        let code = |total| format!("{:?}", Report { out: Vec::new(), total }.finish().unwrap());
        let skipped = vec![("s".to_owned(), "no root".to_owned())];
        assert_eq!(code(Outcome { skipped, ..Outcome::default() }), code(Outcome::default()));
        assert_ne!(code(Outcome::failure("t", "")), code(Outcome::default()));
    }
}
