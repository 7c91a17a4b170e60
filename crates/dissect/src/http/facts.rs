//! What the fields of a head say about its message.

use remora_model::Span;

/// What Content-Length says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Length {
    /// Nothing.
    #[default]
    Absent,
    /// This many bytes; every occurrence agrees.
    Is(u64),
    /// Not a number, or several that differ (RFC 9112 section 6.3, rule 5).
    Bad,
}

/// What Transfer-Encoding says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// Nothing, or `identity`.
    #[default]
    Absent,
    /// The last coding is `chunked`.
    Chunked,
    /// The last coding is another one.
    Other,
}

/// Header values that are looked at more than once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) length: Length,
    pub(crate) transfer: Transfer,
    /// `chunked` occurs more than once, or not at the end.
    pub(crate) transfer_odd: bool,
    /// There is a content coding, or a transfer coding besides `chunked`.
    pub(crate) encoded: bool,
    /// `Expect: 100-continue`.
    pub(crate) expects: bool,
    /// There is an Upgrade header.
    pub(crate) upgrade: bool,
    pub(crate) host: Span,
    pub(crate) content_type: Span,
    pub(crate) user_agent: Span,
    pub(crate) traceparent: Span,
    pub(crate) b3: Span,
    pub(crate) b3_trace: Span,
    pub(crate) b3_span: Span,
}

impl Facts {
    /// Repeated values and lists of equal values are one value (RFC 9110 section 8.6).
    pub(crate) fn note_length(&mut self, value: &[u8]) {
        let mut any = false;
        for element in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            any = true;
            self.length = match (self.length, decimal(element)) {
                (Length::Absent, Some(n)) => Length::Is(n),
                (Length::Is(old), Some(n)) if old == n => Length::Is(n),
                _ => Length::Bad,
            };
        }
        if !any {
            self.length = Length::Bad;
        }
    }

    /// The codings in the order in which they were applied (RFC 9112 section 6.1).
    pub(crate) fn note_transfer(&mut self, value: &[u8]) {
        for coding in list(value) {
            if coding.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            self.transfer_odd |= self.transfer == Transfer::Chunked;
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.transfer = Transfer::Chunked;
            } else {
                self.transfer = Transfer::Other;
                self.encoded = true;
            }
        }
    }
}

/// The elements of a comma-separated list, parameters left out.
pub(crate) fn list(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value
        .split(|&b| b == b',')
        .map(|e| e.split(|&b| b == b';').next().unwrap_or_default().trim_ascii())
        .filter(|e| !e.is_empty())
}

/// Digits and nothing else; below 2^63.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter()
        .try_fold(0_i64, |n, &b| match b {
            b'0'..=b'9' => n.checked_mul(10)?.checked_add(i64::from(b - b'0')),
            _ => None,
        })
        .and_then(|n| u64::try_from(n).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Role;
    use crate::http::head::Head;

    fn facts(fields: &str) -> Facts {
        let raw = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let mut head = Head::default();
        head.read(Role::Server, raw.as_bytes(), false).unwrap();
        head.facts
    }

    #[test]
    fn lengths_must_agree() {
        let length = |fields: &str| facts(fields).length;
        assert_eq!(length("Content-Length: 5"), Length::Is(5));
        assert_eq!(length("Content-Length: 5\r\nContent-Length: 5"), Length::Is(5));
        assert_eq!(length("Content-Length: 5, 5"), Length::Is(5));
        for bad in ["5, 6", "+5", "-1", "0x5", "", "5 5", "9223372036854775808", "5,"] {
            assert_eq!(length(&format!("Content-Length: {bad}")), Length::Bad, "{bad}");
        }
        assert_eq!(length("Content-Length: 9223372036854775807"), Length::Is(i64::MAX as u64));
    }

    #[test]
    fn transfer_codings_are_told_apart() {
        let transfer = |fields: &str| {
            let facts = facts(fields);
            (facts.transfer, facts.transfer_odd, facts.encoded)
        };
        assert_eq!(transfer("Transfer-Encoding: Chunked"), (Transfer::Chunked, false, false));
        assert_eq!(transfer("Transfer-Encoding: identity"), (Transfer::Absent, false, false));
        assert_eq!(transfer("Transfer-Encoding: gzip, chunked"), (Transfer::Chunked, false, true));
        assert_eq!(
            transfer("Transfer-Encoding: gzip;q=1\r\nTransfer-Encoding: chunked"),
            (Transfer::Chunked, false, true)
        );
        assert_eq!(transfer("Transfer-Encoding: gzip"), (Transfer::Other, false, true));
        assert_eq!(transfer("Transfer-Encoding: chunked, gzip"), (Transfer::Other, true, true));
        assert_eq!(transfer("Transfer-Encoding: chunked, chunked"), (Transfer::Chunked, true, false));
    }
}
