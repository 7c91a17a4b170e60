//! What was not understood, in words that a person reads.

use std::io;

use crate::found::{Function, Kind};

/// Why something of a file was not found or not used. None of them ends an inspection that has
/// already found something: what was found is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No ELF file at all.
    #[error("not an ELF file")]
    NotElf,
    /// An ELF file that this crate does not read.
    #[error("ELF for {0}, which is not supported (64-bit little-endian x86-64 and arm64 are)")]
    Unsupported(String),
    /// A read failed or ended early.
    #[error("cannot read {what}: {error}")]
    Read {
        /// What was to be read.
        what: &'static str,
        /// The operating system's words.
        error: String,
    },
    /// The file contradicts itself.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A bound of [`crate::Limits`] was met.
    #[error("stopped at the limit of {0}")]
    Limit(&'static str),
    /// A function was found, but its code could not be followed to its returns.
    #[error("{function:?} at {entry:#x}: {reason}")]
    Code {
        /// The function.
        function: Function,
        /// File offset of its entry.
        entry: u64,
        /// What was wrong.
        reason: CodeFault,
    },
    /// TLS code is there, but the functions were not found.
    #[error("contains {0} whose functions were not found: {1}")]
    NotFound(Kind, &'static str),
    /// TLS code of an unknown library is there.
    #[error("contains TLS code of an unknown library ({0})")]
    UnknownTls(&'static str),
}

/// Why a function's returns are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeFault {
    /// Neither a symbol size, nor an unwind entry, nor a next function.
    #[error("its end is not known")]
    NoEnd,
    /// Longer than the limit.
    #[error("it is longer than the limit")]
    TooLong,
    /// The bytes are no instructions.
    #[error("it has bytes that are no instructions")]
    Undecodable,
    /// A jump leads between two instructions: code and data are mixed.
    #[error("a jump leads into the middle of an instruction")]
    Misaligned,
    /// It has no return.
    #[error("it has no return")]
    NoReturn,
    /// Not in an executable segment.
    #[error("it lies in no executable segment")]
    NotCode,
    /// More returns than the limit.
    #[error("it has more returns than the limit")]
    TooManyReturns,
}

/// Ends a part of an inspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop(pub(crate) Problem);

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl Stop {
    pub(crate) fn malformed(what: &'static str) -> Self {
        Self(Problem::Malformed(what))
    }

    pub(crate) fn read(what: &'static str, error: &io::Error) -> Self {
        Self(Problem::Read { what, error: error.to_string() })
    }
}

/// The outcome of a part of an inspection.
pub(crate) type Part<T> = Result<T, Stop>;
