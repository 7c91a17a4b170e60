//! Room for the fields of a call over HTTP, and numbers as they have them.

use crate::fields;

/// Up to as many fields as a call over HTTP ever has.
pub(crate) type Fields<'a> = fields::Fields<'a, 56>;

/// A number as fields have it.
pub(crate) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
