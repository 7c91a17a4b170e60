//! Why capture did not start, or stopped.

use std::io;

use super::Tier;

/// An error of the capture side. Its text is one line with the cause, except that a program
/// refused by the kernel brings the end of the verifier's log with it.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No tier works; the text has one reason per tier.
    #[error(
        "this host cannot be captured: {0}; run as root, or with CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and CAP_PERFMON"
    )]
    NoTier(String),
    /// The tier that was asked for does not work.
    #[error("the capture tier {tier} does not work here: {reason}")]
    Refused {
        /// The tier.
        tier: Tier,
        /// Why.
        reason: String,
    },
    /// The kernel refused to load a program.
    #[error("the kernel refused the program {program}: {cause}; end of the verifier's log:\n{log}")]
    Verifier {
        /// Program.
        program: String,
        /// The error of the system call.
        cause: String,
        /// Last lines of the verifier's log.
        log: String,
    },
    /// Loading or attaching failed otherwise.
    #[error("{what}: {cause}")]
    Bpf {
        /// What was being done.
        what: String,
        /// The cause, innermost last.
        cause: String,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// A setting is outside its range.
    #[error("{0}")]
    Setting(String),
    /// The running tier has no such facility.
    #[error("the capture tier {0} cannot do this")]
    Unsupported(Tier),
}

impl KernelError {
    pub(super) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// The reason on one line: of a verifier's log the last word before its statistics.
    pub(super) fn reason(&self) -> String {
        let Self::Verifier { program, cause, log } = self else { return self.to_string().replace('\n', " ") };
        let statistics = ["verification time ", "stack depth ", "processed "];
        let last = log.lines().rev().find(|l| !l.is_empty() && !statistics.iter().any(|s| l.starts_with(s)));
        let last = last.unwrap_or("its verifier gave no reason");
        format!("the kernel refused the program {program}: {cause}: {last}")
    }

    pub(super) fn bpf(what: impl Into<String>, e: impl std::error::Error) -> Self {
        Self::Bpf { what: what.into(), cause: chain(&e) }
    }
}

/// An error and its sources on one line.
pub(super) fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(s) = next {
        let s_text = s.to_string();
        if !text.contains(&s_text) {
            text.push_str(": ");
            text.push_str(&s_text);
        }
        next = s.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_fits_on_a_line() {
        let refused = |log: &str| {
            let (program, cause) = ("p".to_owned(), "Invalid argument (os error 22)".to_owned());
            KernelError::Verifier { program, cause, log: log.to_owned() }.reason()
        };
        assert_eq!(
            refused(
                "1: (bf) r6 = r1\nBPF_STX uses reserved fields\nverification time 9 usec\nprocessed 0 insns"
            ),
            "the kernel refused the program p: Invalid argument (os error 22): BPF_STX uses reserved fields"
        );
        assert!(refused("").ends_with("gave no reason"));
        assert_eq!(KernelError::Setting("a\nb".to_owned()).reason(), "a b");
    }
}
