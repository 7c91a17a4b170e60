//! SCTP.

use super::spec::*;

fields! { after udp;
    SCTP "sctp" Bool Both, Derived, "sctp", "true when SCTP carried it";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
