//! Cassandra (CQL).

use super::spec::*;

fields! { after mqtt;
    CASSANDRA "cassandra" Bool Call, flag(Cassandra), "cassandra", "true for Cassandra requests";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
