//! LDAP.

use super::spec::*;

fields! { after postgresql;
    LDAP "ldap" Bool Call, flag(Ldap), "ldap", "true for LDAP operations";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
