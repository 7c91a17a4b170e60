//! ICMP and ICMPv6.

use super::spec::*;

fields! { after tlsx;
    ICMP "icmp" Bool Call, flag(Icmp), "icmp", "true for ICMP and ICMPv6 messages";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
