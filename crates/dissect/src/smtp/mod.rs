//! SMTP (RFC 5321 with its extensions), and LMTP (RFC 2033).
//!
//! - A command and its reply are one call, paired by order: commands may be sent without waiting
//!   (pipelining). The greeting is a call without a request, and whole; so is the reply 421 that a
//!   server gives unasked.
//! - DATA and BDAT have the message: the addresses of its envelope, what its header says, its size,
//!   and its text up to the payload limit. In LMTP one message has a reply for each recipient; the
//!   first that refuses is shown.
//! - What AUTH carries is never written down but for the mechanism; neither are lines that are no
//!   known command.
//! - After a gap replies are joined to commands again only when both sides have taken turns for a
//!   while. Bytes missing inside a message leave the order intact.
//! - `failed` is true for replies of 400 and more, `client_error` for those of 500 and more.
//! - After a STARTTLS that succeeded another protocol follows.

mod command;
mod connection;
mod detect;
mod dissect;
mod exchange;
mod mail;
mod reply;
mod report;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Smtp,
    transports: &[Transport::Tcp],
    ports: &[25, 587, 2525],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Smtp::new()),
};
