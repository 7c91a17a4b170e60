//! TCP connections of unknown protocol.

use super::spec::*;

fields! { after smtp;
    TCP "tcp" Bool Both, Derived, "tcp", "true when TCP carried it";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
