//! Numbers and lengths as they stand on the wire.

/// There are not enough bytes, or what is there cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// More bytes are needed.
    Short,
    /// No more bytes can mend it.
    Bad,
}

/// Reads from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Stop> {
        let taken = self.rest().get(..n).ok_or(Stop::Short)?;
        self.at += n;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (first, _) = self.rest().split_first_chunk::<N>().ok_or(Stop::Short)?;
        self.at += N;
        Ok(*first)
    }

    pub(super) fn i8(&mut self) -> Result<i8, Stop> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Stop> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Stop> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Stop> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Stop> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, Stop> {
        self.array().map(f64::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Result<[u8; 16], Stop> {
        self.array()
    }

    /// An unsigned number in groups of seven bits, the lowest first (KIP-482).
    pub(super) fn unsigned(&mut self) -> Result<u32, Stop> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                return Err(Stop::Bad);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Stop::Bad)
    }

    /// A signed number of up to 64 bits, zigzag, in groups of seven bits (records of magic 2).
    pub(super) fn zigzag(&mut self) -> Result<i64, Stop> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Stop::Bad)
    }

    /// A length in front of something, or -1 for nothing: compact in flexible versions, where it
    /// is one more and 0 for nothing.
    pub(super) fn length(&mut self, flexible: bool) -> Result<Option<u32>, Stop> {
        let plain = if flexible { return Ok(self.unsigned()?.checked_sub(1)) } else { self.i32()? };
        nothing_or(i64::from(plain))
    }

    /// The same for text, whose plain length has 16 bits.
    pub(super) fn text_length(&mut self, flexible: bool) -> Result<Option<u32>, Stop> {
        if flexible { self.length(true) } else { nothing_or(i64::from(self.i16()?)) }
    }
}

fn nothing_or(length: i64) -> Result<Option<u32>, Stop> {
    if length == -1 { Ok(None) } else { u32::try_from(length).map(Some).map_err(|_| Stop::Bad) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        let unsigned = |b: &[u8]| Reader::new(b).unsigned();
        assert_eq!(unsigned(&[0]), Ok(0));
        assert_eq!(unsigned(&[0x96, 0x01]), Ok(150));
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(Stop::Bad));
        assert_eq!(unsigned(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(Stop::Bad));
        assert_eq!(unsigned(&[0x80]), Err(Stop::Short));
        let zigzag = |b: &[u8]| Reader::new(b).zigzag();
        assert_eq!((zigzag(&[0]), zigzag(&[1]), zigzag(&[2])), (Ok(0), Ok(-1), Ok(1)));
        assert_eq!(zigzag(&[0xfe, 0xff, 0xff, 0xff, 0x0f]), Ok(i64::from(i32::MAX)));
        assert_eq!(zigzag(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Ok(i64::MIN));
        assert_eq!(zigzag(&[0xff; 11]), Err(Stop::Bad));
    }

    #[test]
    fn lengths() {
        let plain = |b: &[u8]| Reader::new(b).length(false);
        assert_eq!(plain(&[0xff, 0xff, 0xff, 0xff]), Ok(None));
        assert_eq!(plain(&[0, 0, 1, 0]), Ok(Some(256)));
        assert_eq!(plain(&[0x80, 0, 0, 0]), Err(Stop::Bad));
        assert_eq!(Reader::new(&[0]).length(true), Ok(None));
        assert_eq!(Reader::new(&[1]).text_length(true), Ok(Some(0)));
        assert_eq!(Reader::new(&[0, 5]).text_length(false), Ok(Some(5)));
    }
}
