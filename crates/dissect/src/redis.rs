//! Redis.
use remora_model::{Protocol, Transport};

use crate::{Limits, Role, Verdict, detect::Entry};

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Redis,
    transports: &[Transport::Tcp],
    probe,
    resync: |_, _| None,
    start: |_: &Limits, _| Box::new(crate::dissector::Nothing),
};

fn probe(_: &[u8], _: Transport) -> Verdict {
    let _ = Role::Client;
    Verdict::No
}
