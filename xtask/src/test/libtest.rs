//! Reading what Rust's test harness prints.
//!
//! The harness runs with `--show-output`, so that what passing tests printed appears at the end
//! in blocks headed by the test's name. A `SKIPPED: name: reason` line in such a block takes the
//! test out of the passed ones.

use std::collections::BTreeMap;

use super::report::Outcome;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
}

/// The state of reading one harness's output, line by line.
#[derive(Debug, Default)]
pub(crate) struct Libtest {
    verdicts: BTreeMap<String, Verdict>,
    skipped: BTreeMap<String, String>,
    /// The test whose output block is being read.
    block: Option<String>,
    /// Whether the harness came to its end.
    finished: bool,
}

impl Libtest {
    /// Takes a line; says whether a person should see it at once.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if let Some((name, reason)) = skip_line(line) {
            let name = self.block.clone().unwrap_or_else(|| name.to_owned());
            self.skipped.insert(name, reason.to_owned());
            return false;
        }
        if let Some(header) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" ----")) {
            let name = header.strip_suffix(" stdout").or_else(|| header.strip_suffix(" stderr"));
            self.block = Some(name.unwrap_or(header).to_owned());
            return false;
        }
        if matches!(line, "successes:" | "failures:") {
            self.block = None;
            return false;
        }
        if line.starts_with("test result: ") {
            self.finished = true;
            return false;
        }
        if self.block.is_some() {
            // Whatever it looks like, a test printed it.
            return false;
        }
        let Some((name, verdict)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... "))
        else {
            return false;
        };
        let name = name.strip_suffix(" - should panic").unwrap_or(name);
        match verdict.split([',', ' ']).next() {
            Some("ok") => {
                self.verdicts.insert(name.to_owned(), Verdict::Passed);
            }
            Some("FAILED") => {
                self.verdicts.insert(name.to_owned(), Verdict::Failed);
            }
            Some("ignored") => {
                let reason = verdict.split_once(", ").map_or("ignored in the source", |(_, reason)| reason);
                self.skipped.insert(name.to_owned(), reason.to_owned());
            }
            _ => return false,
        }
        true
    }

    /// Whether the harness printed its own result line.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// The counts; failures have an empty cause, the caller has the output.
    pub(crate) fn outcome(self) -> Outcome {
        let mut outcome = Outcome::default();
        for (name, verdict) in self.verdicts {
            match verdict {
                Verdict::Failed => outcome.failed.push((name, String::new())),
                Verdict::Passed if is_skipped(&self.skipped, &name) => {}
                Verdict::Passed => outcome.passed += 1,
            }
        }
        // A test that failed after it said that it was skipped has failed.
        let failed = |name: &String| outcome.failed.iter().any(|(failed, _)| matches_name(failed, name));
        outcome.skipped = self.skipped.into_iter().filter(|(name, _)| !failed(name)).collect();
        outcome
    }
}

/// `SKIPPED: name: reason`, wherever it stands in the line.
fn skip_line(line: &str) -> Option<(&str, &str)> {
    line.trim_start().strip_prefix("SKIPPED: ")?.split_once(": ")
}

fn is_skipped(skipped: &BTreeMap<String, String>, test: &str) -> bool {
    skipped.keys().any(|name| matches_name(test, name))
}

/// Whether `name`, as a test printed it, is the test that the harness calls `test`: a test need
/// not know the module that it is in.
fn matches_name(test: &str, name: &str) -> bool {
    test == name || test.strip_suffix(name).is_some_and(|module| module.ends_with("::"))
}

#[cfg(test)]
mod tests {
    use super::{Libtest, Outcome};

    fn read(text: &str) -> (bool, Outcome) {
        let mut libtest = Libtest::default();
        for line in text.lines() {
            libtest.line(line);
        }
        (libtest.finished(), libtest.outcome())
    }

    #[test]
    fn passed_failed_and_ignored_are_counted() {
        let (finished, outcome) = read(
            "\
running 5 tests
test a::one ... ok
test a::panics - should panic ... ok
test b ... FAILED
test c ... ignored, takes a day
test crates/x/src/lib.rs - Thing (line 3) ... ok

failures:

---- b stdout ----

thread 'b' panicked at src/lib.rs:3:5:
test of nothing ... whatever

failures:
    b

test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
",
        );
        assert!(finished);
        assert_eq!(outcome.passed, 3);
        assert_eq!(outcome.failed, [("b".into(), String::new())]);
        assert_eq!(outcome.skipped, [("c".into(), "takes a day".into())]);
    }

    #[test]
    fn a_test_that_says_skipped_has_not_passed() {
        let (_, outcome) = read(
            "\
test net::veth ... ok
test net::other ... ok

successes:

---- net::veth stdout ----
SKIPPED: veth: not root: no network namespaces

---- net::other stdout ----
skipped nothing

successes:
    net::other
    net::veth

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
",
        );
        assert_eq!(outcome.passed, 1);
        assert_eq!(outcome.skipped, [("net::veth".into(), "not root: no network namespaces".into())]);
    }

    #[test]
    fn what_a_test_printed_is_not_a_verdict() {
        let (finished, outcome) = read(
            "\
test a ... ok

successes:

---- a stdout ----
test b ... FAILED
test result: FAILED. 0 passed
test c ... ok

successes:
    a

test result: ok. 1 passed; 0 failed
",
        );
        assert!(finished);
        assert_eq!(outcome, Outcome::success());
    }

    #[test]
    fn a_skip_outside_a_block_finds_its_test_by_name() {
        let (_, outcome) = read("SKIPPED: veth: no ip\ntest net::veth ... ok\ntest net::aveth ... ok\n");
        assert_eq!((outcome.passed, outcome.skipped.len()), (1, 1));
        // One that then fails has failed, and is counted once.
        let (_, outcome) = read("SKIPPED: veth: no ip\ntest net::veth ... FAILED\n");
        assert_eq!((outcome.passed, outcome.failed.len(), outcome.skipped.len()), (0, 1, 0));
    }

    #[test]
    fn a_harness_that_dies_has_not_finished() {
        let (finished, outcome) = read("running 2 tests\ntest a ... ok\n");
        assert!(!finished);
        assert_eq!(outcome.passed, 1);
    }
}
