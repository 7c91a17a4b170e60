//! SCTP (RFC 9260): what an association consists of, and its user messages put together.
//!
//! - A message of one chunk is handed on as it comes. A fragmented one (DATA, or I-DATA of RFC 8260) is
//!   handed on when its last fragment has come. A chunk that comes again is left out. Messages are
//!   not held back for earlier ones of their stream: what retransmission has delayed comes late.
//! - Setting up and shutting down an association are calls of the protocol `sctp` (INIT, SHUTDOWN), and
//!   so is each ABORT and ERROR. `failed` is true for an ABORT and an ERROR, and for an INIT that was answered
//!   by an ABORT.
//! - An association is one flow as long as it uses one path.

pub(crate) mod chunk;
pub(crate) mod control;
pub(crate) mod messages;
#[cfg(test)]
mod tests;
