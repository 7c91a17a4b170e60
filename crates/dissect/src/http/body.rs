//! Bodies: reading one to its end, piece by piece.

use remora_model::Incomplete;

use super::head::Scan;
use super::message::{Framing, Message};
use crate::{Context, Limits, Problem};

/// Longest chunk-size line, extensions included.
const CHUNK_LINE: usize = 16 << 10;

/// Where in a body the next byte lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// So many bytes before its end.
    Length(u64),
    /// At a chunk-size line.
    ChunkSize,
    /// So many bytes before the end of a chunk's data.
    ChunkData(u64),
    /// At the line end behind a chunk's data.
    ChunkEnd,
    /// In the trailer section.
    Trailers(Scan),
    /// In a body that the connection ends.
    UntilClose,
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All bytes that can be used now are used.
    More,
    /// The body has ended.
    Done,
    /// What follows is not what it should be.
    Bad(Problem),
}

impl Body {
    /// The start of a body, unless there is none.
    pub(super) fn start(framing: Framing) -> Option<Self> {
        match framing {
            Framing::None | Framing::Unknown => None,
            Framing::Length(n) => Some(Self::Length(n)),
            Framing::Chunked => Some(Self::ChunkSize),
            Framing::UntilClose => Some(Self::UntilClose),
        }
    }

    /// Reads on in `bytes` from `at`, which moves over what is used.
    pub(super) fn read(
        &mut self,
        message: &mut Message,
        bytes: &[u8],
        at: &mut usize,
        cx: &mut Context<'_>,
    ) -> Step {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            if rest.is_empty() {
                return Step::More;
            }
            match self {
                Self::Length(left) | Self::ChunkData(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    message.push_body(rest.get(..n).unwrap_or_default(), cx.limits);
                    *left -= n as u64;
                    *at += n;
                    if *left > 0 {
                        return Step::More;
                    }
                    if matches!(self, Self::Length(_)) {
                        return Step::Done;
                    }
                    *self = Self::ChunkEnd;
                }
                Self::UntilClose => {
                    message.push_body(rest, cx.limits);
                    *at += rest.len();
                    return Step::More;
                }
                Self::ChunkSize => match chunk_size(rest) {
                    Line::Is(0, len) => {
                        *at += len;
                        *self = Self::Trailers(Scan::default());
                    }
                    Line::Is(size, len) => {
                        *at += len;
                        *self = Self::ChunkData(size);
                    }
                    Line::Short => return Step::More,
                    Line::Bad => return Step::Bad(Problem::Malformed),
                },
                Self::ChunkEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        *at += 2;
                        *self = Self::ChunkSize;
                    }
                    [b'\n', ..] => {
                        *at += 1;
                        *self = Self::ChunkSize;
                    }
                    [b'\r'] => return Step::More,
                    _ => return Step::Bad(Problem::Malformed),
                },
                Self::Trailers(scan) => return trailers(scan, message, rest, at, cx),
            }
        }
    }

    /// How many of the bytes that have not arrived need not be shown.
    pub(super) fn unwanted(&self, message: &Message, limits: &Limits) -> Option<u64> {
        match self {
            Self::Length(left) | Self::ChunkData(left) if message.is_full(limits) => Some(*left),
            _ => None,
        }
    }

    /// `len` bytes passed unseen, of which `missing` were not captured. Gives how many of them
    /// lie behind the body (`Ok`), or `Err` when its end can no longer be found.
    pub(super) fn pass(&mut self, message: &mut Message, len: u64, missing: u64) -> Result<u64, ()> {
        if missing > 0 {
            message.mark(Incomplete::Gap);
            message.cut = true;
        }
        match self {
            Self::Length(left) => {
                let n = len.min(*left);
                message.pass_body(n);
                *left -= n;
                Ok(len - n)
            }
            Self::ChunkData(left) if len <= *left => {
                message.pass_body(len);
                *left -= len;
                if *left == 0 {
                    *self = Self::ChunkEnd;
                }
                Ok(0)
            }
            Self::UntilClose => {
                message.pass_body(len);
                Ok(0)
            }
            _ => Err(()),
        }
    }

    /// True when nothing of the body is left to come.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0))
    }
}

/// A chunk-size line.
enum Line {
    /// Size of the chunk and length of the line.
    Is(u64, usize),
    /// Not whole yet.
    Short,
    /// Not one.
    Bad,
}

/// `chunk-size [ chunk-ext ] CRLF` (RFC 9112 section 7.1). The extension is passed over.
fn chunk_size(bytes: &[u8]) -> Line {
    let mut size = 0_u64;
    let digits = bytes.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(bytes.len());
    for &b in bytes.get(..digits).unwrap_or_default() {
        let digit = (b as char).to_digit(16).unwrap_or(0);
        // 2^59 bytes are more than any connection carries.
        if size >> 55 != 0 {
            return Line::Bad;
        }
        size = size << 4 | u64::from(digit);
    }
    match bytes.get(digits) {
        None if digits < CHUNK_LINE => return Line::Short,
        Some(b'\r' | b'\n' | b';' | b' ' | b'\t') if digits > 0 => {}
        _ => return Line::Bad,
    }
    match memchr::memchr(b'\n', bytes.get(..CHUNK_LINE).unwrap_or(bytes)) {
        Some(i) => Line::Is(size, i + 1),
        None if bytes.len() < CHUNK_LINE => Line::Short,
        None => Line::Bad,
    }
}

fn trailers(
    scan: &mut Scan,
    message: &mut Message,
    rest: &[u8],
    at: &mut usize,
    cx: &mut Context<'_>,
) -> Step {
    match rest {
        [b'\r', b'\n', ..] => {
            *at += 2;
            return Step::Done;
        }
        [b'\n', ..] => {
            *at += 1;
            return Step::Done;
        }
        [b'\r'] => return Step::More,
        _ => {}
    }
    match scan.find_end(rest) {
        Some(end) => {
            let faults = message.head.read_trailers(rest.get(..end).unwrap_or_default(), scan.folded);
            if faults.malformed {
                cx.problem(Problem::Malformed, end as u64);
            }
            if faults.too_many {
                cx.problem(Problem::MessageTooLarge, end as u64);
            }
            *at += end;
            Step::Done
        }
        None if rest.len() >= super::head_limit(cx.limits) => Step::Bad(Problem::MessageTooLarge),
        None => Step::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_size_lines() {
        let read = |line: &str| match chunk_size(line.as_bytes()) {
            Line::Is(size, len) => format!("{size} {len}"),
            Line::Short => "short".into(),
            Line::Bad => "bad".into(),
        };
        for (line, expected) in [
            ("0\r\n", "0 3"),
            ("1aF\r\nx", "431 5"),
            ("5\n", "5 2"),
            ("5;name=\"value\"\r\n", "5 16"),
            ("5 ; x\r\n", "5 7"),
            ("0000000000000000000005\r\n", "5 24"),
            ("7ffffffffffffff\r\n", "576460752303423487 17"),
            ("8000000000000000\r\n", "bad"),
            ("ffffffffffffffffffff\r\n", "bad"),
            ("", "short"),
            ("5", "short"),
            ("5\r", "short"),
            ("5;x", "short"),
            ("\r\n", "bad"),
            (";x\r\n", "bad"),
            ("-5\r\n", "bad"),
            ("g\r\n", "bad"),
        ] {
            assert_eq!(read(line), expected, "{line:?}");
        }
        assert_eq!(read(&"0".repeat(CHUNK_LINE + 1)), "bad");
        assert_eq!(read(&format!("5;{}", "x".repeat(CHUNK_LINE))), "bad");
    }
}
