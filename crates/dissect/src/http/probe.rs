//! Whether a connection begins with HTTP/1.

use remora_model::Transport;

use super::start::{self, Begins};
use crate::{Role, Verdict};

/// A request line without an end is taken for one when it is this long and its method is known.
const LONG_REQUEST_LINE: usize = 1 << 10;
/// A start line whose method is not known is waited for up to this length.
pub(super) const DOUBTFUL_REQUEST_LINE: usize = 512;

/// Judges the first bytes of one direction.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    let skipped = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    let bytes = bytes.get(skipped.min(4)..).unwrap_or_default();
    if bytes.is_empty() {
        return if skipped <= 4 { Verdict::NeedMore } else { Verdict::No };
    }
    match (start::begins(Role::Client, bytes), start::begins(Role::Server, bytes)) {
        (Begins::Yes, _) => Verdict::Match(Role::Client),
        (_, Begins::Yes) => Verdict::Match(Role::Server),
        (_, Begins::Maybe) if bytes.starts_with(b"HTTP/") => Verdict::Likely(Role::Server),
        (Begins::Maybe, _) if start::has_known_method(bytes) => {
            if bytes.len() >= LONG_REQUEST_LINE {
                Verdict::Match(Role::Client)
            } else {
                Verdict::Likely(Role::Client)
            }
        }
        (Begins::No, Begins::No) => Verdict::No,
        _ if bytes.len() < DOUBTFUL_REQUEST_LINE => Verdict::NeedMore,
        _ => Verdict::No,
    }
}
