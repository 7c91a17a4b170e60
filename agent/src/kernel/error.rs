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
