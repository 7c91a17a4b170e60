//! RADIUS.

use super::spec::*;

fields! { after ldap;
    RADIUS "radius" Bool Call, flag(Radius), "radius", "true for RADIUS exchanges";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
