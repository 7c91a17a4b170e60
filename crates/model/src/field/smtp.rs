//! SMTP.

use super::spec::*;

fields! { after memcached;
    SMTP "smtp" Bool Call, flag(Smtp), "smtp", "true for SMTP commands";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
