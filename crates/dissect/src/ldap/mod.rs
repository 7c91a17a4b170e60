//! LDAP (RFC 4511, and version 2 of RFC 1777) over TCP, and CLDAP over UDP.
//!
//! - A request and its answer are one call, paired by message id: answers come in any order, and a
//!   search is answered by entries, references and a result, which are one answer. Nothing answers
//!   an unbind and an abandon, which are whole without.
//! - A request that is abandoned is whole if its answer comes all the same, else it is one without a
//!   response when the connection ends.
//! - What the server says unasked, such as the notice that it disconnects, is a call without a
//!   request, and is whole.
//! - Filters are shown as RFC 4515 writes them; entries and changes as LDIF (RFC 2849), in which
//!   UTF-8 stays as it is.
//! - Secrets are never written down: passwords of binds, credentials of SASL, new passwords, and the
//!   values of attributes that hold passwords or keys, in filters too.
//! - `failed` is true for the result codes that indicate an error (RFC 4511, appendix A.1), so not
//!   for compareFalse, compareTrue, referral and saslBindInProgress.
//! - After a StartTLS that succeeded another protocol follows. What a security layer of SASL hides
//!   is counted as opaque.

mod answer;
mod ber;
mod connection;
mod detect;
mod filter;
mod ldif;
mod message;
mod names;
mod report;
mod request;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Ldap,
    transports: &[Transport::Tcp, Transport::Udp],
    ports: &[389, 3268],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, transport| Box::new(connection::Ldap::new(transport)),
};
