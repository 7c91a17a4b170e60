//! AMQP 0-9-1.

use super::spec::*;

fields! { after kafka;
    AMQP "amqp" Bool Call, flag(Amqp), "amqp", "true for AMQP methods";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
