//! Rows to bytes and back.
