//! A reader of DER (ITU-T X.690) that knows as much as certificates need. It never descends by
//! itself: whoever reads says how deep.

use super::cursor::Cursor;

// Tags (X.690 section 8.1.2).
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// A context-specific tag of a constructed value.
pub(super) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// Values that stand one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a>(Cursor<'a>);

impl<'a> Der<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(Cursor(bytes))
    }

    /// The next value: its tag and its content. Tags of several bytes do not occur in
    /// certificates.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let tag = self.0.u8().filter(|tag| tag & 0x1f != 0x1f)?;
        let len = match self.0.u8()? {
            short @ ..=0x7f => usize::from(short),
            0x81 => usize::from(self.0.u8()?),
            0x82 => usize::from(self.0.u16()?),
            0x83 => self.0.u24()?,
            _ => return None,
        };
        Some((tag, self.0.take(len)?))
    }

    /// The content of the next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// The values in the next one, which must have this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.expect(tag).map(Self::new)
    }

    /// The content of the next value if it has this tag; else nothing is read.
    pub(super) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let content = ahead.expect(tag)?;
        *self = ahead;
        Some(content)
    }
}

/// An object identifier in numbers with dots.
pub(super) fn dotted(oid: &[u8]) -> Option<String> {
    use std::fmt::Write as _;

    let mut text = String::new();
    let (mut arc, mut first) = (0_u64, true);
    for &b in oid.iter().take(64) {
        arc = arc.checked_mul(128)? | u64::from(b & 0x7f);
        if b & 0x80 != 0 {
            continue;
        }
        if first {
            let top = (arc / 40).min(2);
            _ = write!(text, "{top}.{}", arc - top * 40);
            first = false;
        } else {
            _ = write!(text, ".{arc}");
        }
        arc = 0;
    }
    (!first).then_some(text)
}

/// A UTCTime or GeneralizedTime in seconds since 1970.
pub(super) fn seconds(tag: u8, text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"Z")?;
    let number = |at: usize, len: usize| {
        let digits = text.get(at..at + len)?;
        digits.iter().try_fold(0_i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
    };
    let (year, at) = match tag {
        // Two digits mean 1950 to 2049 (RFC 5280 section 4.1.2.5.1).
        UTC_TIME => (number(0, 2).map(|y| if y < 50 { 2_000 + y } else { 1_900 + y })?, 2),
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    let (month, day) = (number(at, 2)?, number(at + 2, 2)?);
    let (hour, minute, second) = (number(at + 4, 2)?, number(at + 6, 2)?, number(at + 8, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970 in the Gregorian calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let of_year = (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, b"240229120000Z"), Some(1_709_208_000));
        assert_eq!(seconds(UTC_TIME, b"491231235959Z"), Some(2_524_607_999));
        assert_eq!(seconds(GENERALIZED_TIME, b"20500101000000Z"), Some(2_524_608_000));
        assert_eq!(seconds(GENERALIZED_TIME, b"99991231235959Z"), Some(253_402_300_799));
        assert_eq!(seconds(UTC_TIME, b"241301120000Z"), None);
        assert_eq!(seconds(UTC_TIME, b"24022912000Z"), None);
    }

    #[test]
    fn oids_have_dots() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]).as_deref(), Some("1.2.840.113549"));
        assert_eq!(dotted(&[0x55, 0x1d, 0x11]).as_deref(), Some("2.5.29.17"));
        assert_eq!(dotted(&[]), None);
        assert_eq!(dotted(&[0xff; 20]), None);
    }

    #[test]
    fn a_length_beyond_the_end_is_nothing() {
        assert_eq!(Der::new(&[SEQUENCE, 0x83, 0xff, 0xff, 0xff, 0]).next(), None);
        assert_eq!(Der::new(&[SEQUENCE, 0x84, 0, 0, 0, 1, 0]).next(), None);
        assert_eq!(Der::new(&[OID, 1, 5]).next(), Some((OID, &[5][..])));
    }
}
