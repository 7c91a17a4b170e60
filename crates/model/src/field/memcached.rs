//! Memcached.

use super::spec::*;

fields! { after cassandra;
    MEMCACHED "memcached" Bool Call, flag(Memcached), "memcached", "true for Memcached commands";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
