//! Counting outcomes, and printing them layer by layer.

use std::process::ExitCode;
use std::time::Instant;

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

/// The sum over all layers.
#[derive(Debug, Default)]
pub(crate) struct Report {
    total: Outcome,
}

impl Report {
    /// Runs a layer, prints its outcome and time, and says whether nothing in it failed.
    pub(crate) fn layer(&mut self, name: &str, run: impl FnOnce() -> Outcome) -> bool {
        let began = Instant::now();
        println!("== {name}");
        let outcome = run();
        for (test, cause) in &outcome.failed {
            println!("FAILED: {test}");
            for line in cause.lines() {
                println!("    {line}");
            }
        }
        for (test, reason) in &outcome.skipped {
            println!("SKIPPED: {test}: {reason}");
        }
        println!("== {name}: {} ({:.1} s)", outcome.summary(), began.elapsed().as_secs_f64());
        let good = outcome.failed.is_empty();
        self.total.add(outcome);
        good
    }

    /// Lists what failed and what was skipped, prints the sum as the last line, and turns it into
    /// an exit code.
    pub(crate) fn finish(self) -> ExitCode {
        let Outcome { passed: _, failed, skipped } = &self.total;
        println!();
        for (test, reason) in skipped {
            println!("SKIPPED: {test}: {reason}");
        }
        for (test, _) in failed {
            println!("FAILED: {test}");
        }
        println!("{}", self.total.summary());
        if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Report};

    #[test]
    fn outcomes_add_up() {
        let mut report = Report::default();
        assert!(report.layer("good", Outcome::success));
        assert!(!report.layer("bad", || Outcome::failure("t", "why")));
        assert!(report.layer("skip", || Outcome {
            skipped: vec![("s".into(), "no root".into())],
            ..Outcome::default()
        }));
        assert_eq!(report.total.summary(), "1 passed, 1 failed, 1 skipped");
        assert_eq!(format!("{:?}", report.finish()), format!("{:?}", std::process::ExitCode::FAILURE));
        assert_eq!(
            format!("{:?}", Report::default().finish()),
            format!("{:?}", std::process::ExitCode::SUCCESS)
        );
    }
}
