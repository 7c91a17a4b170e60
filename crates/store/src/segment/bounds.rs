//! The least and the greatest text of a page or a chunk, cut to a length that is worth keeping.

/// Bytes kept of a bound.
pub(super) const BOUND: usize = 64;

/// At most [`BOUND`] bytes of text that are not above `value`.
pub(super) fn lower_bound(value: &[u8]) -> &[u8] {
    value.get(..cut(value)).unwrap_or(value)
}

/// At most [`BOUND`] bytes of text that are not below `value`: its beginning with a letter raised.
/// `None` where no letter can be.
pub(super) fn upper_bound(value: &[u8]) -> Option<Vec<u8>> {
    if value.len() <= BOUND {
        return Some(value.to_vec());
    }
    let mut bound = lower_bound(value).to_vec();
    while let Some(last) = bound.pop() {
        // ASCII letters stay valid text; parts of others are left out.
        if last < 0x7f {
            bound.push(last + 1);
            return Some(bound);
        }
    }
    None
}

/// Where a value that is too long is cut: between two characters.
fn cut(value: &[u8]) -> usize {
    if value.len() <= BOUND {
        return value.len();
    }
    let continues = |at: usize| value.get(at).is_some_and(|b| b & 0xc0 == 0x80);
    (0..=BOUND).rev().find(|&at| !continues(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_text_that_lies_on_the_right_side() {
        let texts = [
            String::new(),
            "a".repeat(64),
            "a".repeat(65),
            format!("{}b", "é".repeat(40)),
            format!("b{}", "é".repeat(40)),
            format!("{}\u{7f}{}", "z".repeat(60), "é".repeat(5)),
            format!("{}\u{10ffff}", "z".repeat(62)),
        ];
        for text in &texts {
            let low = lower_bound(text.as_bytes());
            assert!(std::str::from_utf8(low).is_ok() && low.len() <= BOUND && low <= text.as_bytes());
            if let Some(high) = upper_bound(text.as_bytes()) {
                assert!(std::str::from_utf8(&high).is_ok() && high.len() <= BOUND, "{text}");
                assert!(high.as_slice() >= text.as_bytes(), "{text}");
            }
        }
        assert_eq!(upper_bound("é".repeat(40).as_bytes()), None, "no letter can be raised");
        assert_eq!(upper_bound(format!("ab{}", "é".repeat(40)).as_bytes()), Some(b"ac".to_vec()));
    }
}
