//! What a filter may cost. A filter beyond a limit is refused with a message that names it.

/// Bytes of a filter's text.
pub const TEXT_BYTES: usize = 32 * 1024;

/// Depth of the syntax tree. A chain of `&&` or of `||` counts as one level however long it is.
pub const DEPTH: usize = 48;

/// Nodes of the syntax tree, after macros over a list of constants are written out.
pub const NODES: usize = 4_000;

/// Regular expressions in one filter.
pub const REGEXES: usize = 32;

/// Bytes that one compiled regular expression may take.
pub const REGEX_BYTES: usize = 1 << 20;

/// Errors, or warnings and notes, that are reported for one filter; the rest would repeat what the
/// first ones say.
pub const FINDINGS: usize = 8;

/// Depth of the text's own tree, which is somewhat deeper than what it means: names with dots and
/// calls that stand for a constant are levels of their own.
pub(crate) const SYNTAX_DEPTH: usize = 2 * DEPTH;
