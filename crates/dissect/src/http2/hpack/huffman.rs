//! The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: among codes of one length they ascend with the symbol, and each length
//! begins where the one before ended. So the lengths are all that has to be written down.

/// End of string: never sent, only its first bits are, as padding.
const EOS: u16 = 256;
const SYMBOLS: usize = 257;
/// Length of the longest code.
const MAX_LEN: usize = 30;
/// Codes up to this length are found with one look.
const FAST: u32 = 8;

/// Bits of the code of each symbol (RFC 7541 appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6,
    6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6,
    6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23,
    22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22,
    23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22,
    25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// What decoding needs, made from [`LENGTHS`].
struct Code {
    /// Symbols in the order of their codes.
    sorted: [u16; SYMBOLS],
    /// Behind the last code of each length, aligned to the left of 32 bits.
    limit: [u64; MAX_LEN + 1],
    /// Index in `sorted` of each length's first symbol, less the value of its first code.
    offset: [i32; MAX_LEN + 1],
    /// By the next [`FAST`] bits: a symbol and the length of its code, 0 where it is longer.
    fast: [(u8, u8); 1 << FAST],
}

static CODE: Code = Code::new();

impl Code {
    const fn new() -> Self {
        let mut code = Self {
            sorted: [0; SYMBOLS],
            limit: [0; MAX_LEN + 1],
            offset: [0; MAX_LEN + 1],
            fast: [(0, 0); 1 << FAST],
        };
        let (mut next, mut n, mut len) = (0_u32, 0, 1);
        while len <= MAX_LEN {
            next <<= 1;
            code.offset[len] = n as i32 - next as i32;
            let mut symbol = 0;
            while symbol < SYMBOLS {
                if LENGTHS[symbol] as usize == len {
                    code.sorted[n] = symbol as u16;
                    if len as u32 <= FAST {
                        let spare = FAST - len as u32;
                        let mut i = 0;
                        while i < 1 << spare {
                            code.fast[((next << spare) + i) as usize] = (symbol as u8, len as u8);
                            i += 1;
                        }
                    }
                    n += 1;
                    next += 1;
                }
                symbol += 1;
            }
            code.limit[len] = (next as u64) << (32 - len);
            len += 1;
        }
        code
    }
}

/// The string is not what the code can produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadHuffman;

/// Appends what `input` says to `out`: at most eight fifths of its length.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), BadHuffman> {
    // The next bits, aligned to the left, and how many of them there are.
    let (mut bits, mut have) = (0_u64, 0_u32);
    let mut input = input.iter();
    loop {
        while have <= 56 {
            let Some(&byte) = input.next() else { break };
            bits |= u64::from(byte) << (56 - have);
            have += 8;
        }
        let (symbol, len) = CODE.fast[(bits >> (64 - FAST)) as usize];
        if len > 0 && u32::from(len) <= have {
            out.push(symbol);
            bits <<= len;
            have -= u32::from(len);
            continue;
        }
        if have < FAST {
            // What is left is padding: less than a byte of ones (RFC 7541 section 5.2).
            return if have == 0 || bits >> (64 - have) == (1 << have) - 1 {
                Ok(())
            } else {
                Err(BadHuffman)
            };
        }
        let front = bits >> 32;
        let len = (FAST as usize + 1..=MAX_LEN).find(|&len| front < CODE.limit[len]).ok_or(BadHuffman)?;
        if len as u32 > have {
            return Err(BadHuffman);
        }
        let index = (front >> (32 - len)) as i32 + CODE.offset[len];
        let symbol = usize::try_from(index).ok().and_then(|i| CODE.sorted.get(i)).ok_or(BadHuffman)?;
        if *symbol >= EOS {
            return Err(BadHuffman);
        }
        out.push(*symbol as u8);
        bits <<= len;
        have -= len as u32;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Code and length of a symbol, found without what `decode` uses.
    fn code(symbol: usize) -> (u32, u8) {
        let mut order: Vec<usize> = (0..SYMBOLS).collect();
        order.sort_by_key(|&s| (LENGTHS[s], s));
        let (mut code, mut len) = (0_u32, LENGTHS[order[0]]);
        for s in order {
            code <<= LENGTHS[s] - len;
            len = LENGTHS[s];
            if s == symbol {
                return (code, len);
            }
            code += 1;
        }
        unreachable!()
    }

    fn encode(text: &[u8], pad: bool) -> Vec<u8> {
        let bits: String = text
            .iter()
            .map(|&b| {
                let (code, len) = code(usize::from(b));
                format!("{code:0len$b}", len = usize::from(len))
            })
            .collect();
        let fill = if pad { "1" } else { "0" }.repeat((8 - bits.len() % 8) % 8);
        let bits = bits + &fill;
        bits.as_bytes()
            .chunks(8)
            .map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 2).unwrap())
            .collect()
    }

    fn decoded(input: &[u8]) -> Result<Vec<u8>, BadHuffman> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (symbol, hex, len) in [
            (0, 0x1ff8, 13),
            (48, 0x0, 5),
            (97, 0x3, 5),
            (92, 0x7fff0, 19),
            (249, 0xffffffe, 28),
            (256, 0x3fffffff, 30),
        ] {
            assert_eq!(code(symbol), (hex, len));
        }
    }

    #[test]
    fn every_symbol_and_every_pair_come_back() {
        for a in 0..=255 {
            assert_eq!(decoded(&encode(&[a], true)), Ok(vec![a]));
            for b in 0..=255 {
                assert_eq!(decoded(&encode(&[a, b], true)), Ok(vec![a, b]));
            }
        }
    }

    #[test]
    fn padding_is_the_front_of_the_end_of_string_and_less_than_a_byte() {
        assert_eq!(decoded(&encode(b"a", false)), Err(BadHuffman));
        assert_eq!(decoded(&[0xff]), Err(BadHuffman));
        let mut long = encode(b"www.example.com", true);
        long.push(0xff);
        assert_eq!(decoded(&long), Err(BadHuffman));
        assert_eq!(decoded(&[0xff; 4]), Err(BadHuffman));
    }
}
