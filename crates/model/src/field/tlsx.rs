//! TLS handshakes.

use super::spec::*;

fields! { after diameter;
    TLSX "tlsx" Bool Call, flag(Tlsx), "tlsx", "true for TLS handshakes";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];
