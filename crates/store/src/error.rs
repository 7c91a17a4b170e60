//! What can go wrong, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use remora_model::Timestamp;

/// An error of the store. The text names the cause and, where the asker can do something, the
/// remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has the directory open.
    #[error("{} is in use by another process; stop it or choose another data directory", .0.display())]
    Locked(PathBuf),
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The manifest was written by a newer version, or neither it nor the one before can be read.
    #[error("cannot read the manifest {}: {reason}; use the version that wrote it, or move the directory away", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Unsealed rows fill the memory budget and did not get sealed in time. Send the batch again
    /// later.
    #[error("the store is overloaded: {used} of {budget} bytes of unsealed rows; send the batch again later")]
    Overloaded {
        /// Bytes held.
        used: usize,
        /// Bytes allowed.
        budget: usize,
    },
    /// One append is larger than the whole memory budget.
    #[error(
        "a batch of {bytes} bytes exceeds the memory budget of {budget} bytes; send smaller batches or raise the budget"
    )]
    BatchTooLarge {
        /// Its size.
        bytes: usize,
        /// Bytes allowed.
        budget: usize,
    },
    /// A batch does not have the columns of its table.
    #[error("the batch does not fit the table {table}: {reason}")]
    BadBatch {
        /// The table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The query took longer than it may.
    #[error("the query took longer than {}; narrow the time window, filter by an exact value, or ask for fewer groups", seconds(*.0))]
    Deadline(Duration),
    /// The query needs more memory than it may have.
    #[error(
        "the query needs more memory than the {budget} bytes it may have; narrow the time window, group by fewer fields, or ask for fewer rows"
    )]
    TooExpensive {
        /// Bytes allowed.
        budget: usize,
    },
    /// The cursor is not one of ours, is damaged, or belongs to another query.
    #[error("bad cursor: {0}; ask again without a cursor")]
    BadCursor(&'static str),
    /// A field that the table does not have.
    #[error("the table {table} has no field {name}")]
    UnknownField {
        /// Its name.
        name: String,
        /// The table.
        table: &'static str,
    },
    /// A field that cannot be used in this way.
    #[error("{name} cannot be used here: {reason}")]
    UnsupportedField {
        /// Its name.
        name: String,
        /// Why, and what to use instead.
        reason: &'static str,
    },
    /// A statement of SQL that cannot be run.
    #[error("{problem}; {advice}")]
    Sql {
        /// What is wrong with it.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// No call has this id.
    #[error("no call has the id {0}")]
    NoSuchCall(i64),
    /// The call was there and retention deleted it.
    #[error("the call {id} was deleted by retention{}; raise the retention limits or take a snapshot to keep calls longer", oldest.map(|t| format!("; the oldest call kept is of {}", t.to_rfc3339())).unwrap_or_default())]
    Deleted {
        /// Its id.
        id: i64,
        /// Time of the oldest call that is still there.
        oldest: Option<Timestamp>,
    },
    /// A segment on disk cannot be read.
    #[error(
        "a segment cannot be read: {0}; check the disk and the log, the store drops damaged segments when it is opened"
    )]
    Damaged(String),
    /// Rows could not be made durable. They are still in memory, and it is tried again.
    #[error("cannot write to the data directory: {0}; free some space or check the disk")]
    SealFailed(String),
    /// The store is closed or closing.
    #[error("the store is closed")]
    Closed,
    /// A fault of the store itself.
    #[error("internal error of the store: {0}; please report it")]
    Internal(String),
}

impl Error {
    /// True when the asker's request is at fault, false when the store or the machine is.
    pub const fn is_request(&self) -> bool {
        matches!(
            self,
            Self::BatchTooLarge { .. }
                | Self::BadBatch { .. }
                | Self::Deadline(_)
                | Self::TooExpensive { .. }
                | Self::BadCursor(_)
                | Self::UnknownField { .. }
                | Self::UnsupportedField { .. }
                | Self::Sql { .. }
                | Self::NoSuchCall(_)
                | Self::Deleted { .. }
        )
    }
}

fn seconds(d: Duration) -> String {
    format!("{} s", d.as_secs_f64())
}
