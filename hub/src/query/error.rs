//! Why a question could not be answered, and what to do about it.

use remora_store::Error as StoreError;
use thiserror::Error;

/// Every variant has a stable code, a cause and advice.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The filter does not compile. The text shows the place.
    #[error("the filter is not valid\n{rendered}")]
    Filter {
        /// Diagnostics with carets under the places they speak of.
        rendered: String,
    },
    /// An argument cannot be used.
    #[error("{name}: {problem}; {advice}")]
    Argument {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
        /// What to write instead.
        advice: String,
    },
    /// The thing asked for is not there.
    #[error("{what} not found; {advice}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Why it may be gone and how to go on.
        advice: String,
    },
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl QueryError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Filter { .. } => "invalid_filter",
            Self::Argument { .. } => "invalid_argument",
            Self::NotFound { .. } => "not_found",
            Self::Store(StoreError::Deadline(_)) => "deadline",
            Self::Store(StoreError::TooExpensive { .. }) => "too_expensive",
            Self::Store(StoreError::BadCursor(_)) => "bad_cursor",
            Self::Store(StoreError::NoSuchCall(_) | StoreError::Deleted { .. }) => "not_found",
            Self::Store(e) if e.is_request() => "invalid_argument",
            Self::Store(StoreError::Overloaded { .. }) => "overloaded",
            Self::Store(_) => "store",
        }
    }
}
