//! Trace context: which trace and span a request belongs to.

use super::head::Head;

/// Trace id and span id in hexadecimal; empty where they are unknown.
pub(super) type Ids<'a> = (&'a [u8], &'a [u8]);

/// The ids of a head. W3C Trace Context comes before B3, and B3's single header before its
/// separate ones.
pub(super) fn ids(head: &Head) -> Ids<'_> {
    let facts = &head.facts;
    if let Some(ids) = traceparent(head.at(facts.traceparent)) {
        return ids;
    }
    if facts.b3.len > 0
        && let Some(ids) = b3(head.at(facts.b3))
    {
        return ids;
    }
    let trace = Some(head.at(facts.b3_trace)).filter(|t| is_id(t, 16) || is_id(t, 32));
    let span = Some(head.at(facts.b3_span)).filter(|s| is_id(s, 16));
    (trace.unwrap_or_default(), span.unwrap_or_default())
}

/// `version-traceid-parentid-flags` (W3C Trace Context section 3.2), and whatever a later version
/// adds behind it.
fn traceparent(value: &[u8]) -> Option<Ids<'_>> {
    let head: &[u8; 53] = value.first_chunk()?;
    let (version, trace, span) = (&head[..2], &head[3..35], &head[36..52]);
    let parted = [head[2], head[35], head[52]] == [b'-'; 3];
    let known = is_hex(version) && !version.eq_ignore_ascii_case(b"ff");
    (parted && known && is_id(trace, 32) && is_id(span, 16)).then_some((trace, span))
}

/// `traceid-spanid[-sampled[-parent]]` (the B3 specification's single header). Only a sampling
/// decision is no context.
fn b3(value: &[u8]) -> Option<Ids<'_>> {
    let mut parts = value.split(|&b| b == b'-');
    let (trace, span) = (parts.next()?, parts.next()?);
    ((is_id(trace, 32) || is_id(trace, 16)) && is_id(span, 16)).then_some((trace, span))
}

fn is_hex(text: &[u8]) -> bool {
    // Without a way out on the first digit that is none, so that many are looked at in one step.
    text.iter().fold(true, |all, b| all & b.is_ascii_hexdigit())
}

/// Hexadecimal, of that length, and not all zeros.
fn is_id(text: &[u8], len: usize) -> bool {
    text.len() == len && is_hex(text) && text.iter().any(|&b| b != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &[u8] = b"4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &[u8] = b"00f067aa0ba902b7";

    #[test]
    fn headers_are_read_or_refused() {
        let good = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(good), Some((TRACE, SPAN)));
        for bad in [
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".as_slice(),
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01",
            b"",
        ] {
            assert_eq!(traceparent(bad), None);
        }
        assert_eq!(b3(b"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"), Some((TRACE, SPAN)));
        assert_eq!(b3(b"a3ce929d0e0e4736-00f067aa0ba902b7"), Some((&TRACE[16..], SPAN)));
        assert_eq!(b3(b"0"), None);
    }
}
