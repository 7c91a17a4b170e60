//! The part of BER that LDAP uses (RFC 4511, section 5.1): definite lengths, tags of one byte.

/// What cannot be BER, or not what LDAP has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad;

/// Universal tags.
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) value: &'a [u8],
    /// Its end is not there, because the message is cut.
    cut: bool,
}

impl<'a> Element<'a> {
    /// The elements inside.
    pub(super) fn inside(&self) -> Reader<'a> {
        Reader { rest: self.value, cut: self.cut }
    }

    /// The number that it is.
    pub(super) fn int(&self) -> Result<i64, Bad> {
        int(self.value)
    }
}

/// A signed number of at most 8 bytes, in two's complement.
pub(super) fn int(value: &[u8]) -> Result<i64, Bad> {
    match value {
        [] => Err(Bad),
        [first, ..] if value.len() <= 8 => {
            let sign = if first & 0x80 == 0 { 0 } else { -1 };
            Ok(value.iter().fold(sign, |n, &b| n << 8 | i64::from(b)))
        }
        _ => Err(Bad),
    }
}

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
    cut: bool,
}

impl<'a> Reader<'a> {
    /// Of a whole message, or of the beginning of one that is `cut`.
    pub(super) fn new(rest: &'a [u8], cut: bool) -> Self {
        Self { rest, cut }
    }

    /// The next element, if there is one. Of one whose end was cut off what is there.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, Bad> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (tag, len, value) = match front(self.rest) {
            Ok(front) => front,
            Err(true) if self.cut => {
                self.rest = &[];
                return Ok(None);
            }
            Err(_) => return Err(Bad),
        };
        let (value, cut) = match value.split_at_checked(len as usize) {
            Some((value, rest)) => {
                self.rest = rest;
                (value, false)
            }
            None if self.cut => {
                self.rest = &[];
                (value, true)
            }
            None => return Err(Bad),
        };
        Ok(Some(Element { tag, value, cut }))
    }

    /// The next element, which has that tag. An empty one where the message is cut before it.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element<'a>, Bad> {
        match self.next()? {
            Some(element) if element.tag == tag => Ok(element),
            None if self.cut => Ok(Element { tag, value: &[], cut: true }),
            _ => Err(Bad),
        }
    }

    /// A number with that tag; 0 where the message is cut before it.
    pub(super) fn number(&mut self, tag: u8) -> Result<i64, Bad> {
        let element = self.expect(tag)?;
        if element.cut { Ok(0) } else { element.int() }
    }

    /// The next element, if it has that tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Bad> {
        if self.rest.first() == Some(&tag) { self.next() } else { Ok(None) }
    }

    /// True when all has been read, or the rest was cut off.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Tag, length, and what follows. `Err(true)`: too short.
pub(super) fn front(bytes: &[u8]) -> Result<(u8, u32, &[u8]), bool> {
    let [tag, first, rest @ ..] = bytes else { return Err(true) };
    // Tags of several bytes are not used, and neither are indefinite lengths.
    if tag & 0x1f == 0x1f {
        return Err(false);
    }
    match first {
        0..=0x7f => Ok((*tag, u32::from(*first), rest)),
        0x81..=0x84 => {
            let Some((len, rest)) = rest.split_at_checked(usize::from(first & 0x7f)) else {
                return Err(true);
            };
            Ok((*tag, len.iter().fold(0, |n, &b| n << 8 | u32::from(b)), rest))
        }
        _ => Err(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(int(&[]), Err(Bad));
        assert_eq!(int(&[0x7f]), Ok(127));
        assert_eq!(int(&[0xff]), Ok(-1));
        assert_eq!(int(&[0, 0xff]), Ok(255));
        assert_eq!(int(&[0x80, 0, 0, 0, 0, 0, 0, 0]), Ok(i64::MIN));
        assert_eq!(int(&[1; 9]), Err(Bad));
    }

    #[test]
    fn lengths() {
        assert_eq!(front(&[4, 2, 1, 2]), Ok((4, 2, &[1, 2][..])));
        assert_eq!(front(&[4, 0x84, 0, 0, 0, 1, 9]), Ok((4, 1, &[9][..])));
        assert_eq!(front(&[4, 0x82, 1]), Err(true));
        for bad in [[4, 0x80], [4, 0x85], [0x1f, 1], [4, 0xff]] {
            assert_eq!(front(&bad), Err(false), "{bad:?}");
        }
    }

    #[test]
    fn cut_elements_have_what_is_there() {
        let mut r = Reader::new(&[0x30, 0x10, 4, 8, b'a', b'b'], true);
        let mut inside = r.expect(SEQUENCE).unwrap().inside();
        assert_eq!(inside.expect(OCTETS).unwrap().value, b"ab");
        assert_eq!(inside.number(INTEGER), Ok(0));
        assert!(inside.is_done() && r.is_done());
        assert!(Reader::new(&[4, 3, 1], false).next().is_err());
    }
}
