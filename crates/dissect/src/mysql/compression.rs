//! The compressed protocol: packets of seven bytes of header (compressed length, sequence,
//! length before compression or 0) around a stream of ordinary packets, which may begin and end
//! anywhere in them.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::connection::Mysql;
use super::packets::Place;
use crate::{Context, Problem, Role, seen::Seen};

/// Bytes in front of a compressed payload.
pub(super) const HEADER: usize = 7;

/// Bytes decompressed at a time.
const PIECE: usize = 16 << 10;

/// What decompresses to this much or less is not held to the ratio bound.
const RATIO_FLOOR: u64 = 64 << 10;

/// Largest window of zstd, as a power of two: MySQL compresses packets of at most 16 MiB.
const ZSTD_WINDOW_LOG: u32 = 24;

/// First bytes of a zstd frame (RFC 8878 section 3.1.1).
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

enum Inflater {
    Zlib(Decompress),
    Zstd(Decoder<'static>),
}

impl Inflater {
    fn new(first: u8) -> Option<Self> {
        if first == ZSTD_MAGIC[0] {
            let mut decoder = Decoder::new().ok()?;
            decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).ok()?;
            Some(Self::Zstd(decoder))
        } else {
            Some(Self::Zlib(Decompress::new(true)))
        }
    }

    /// Makes it ready for another payload that begins with this byte.
    fn again(self, first: u8) -> Option<Self> {
        match self {
            Self::Zlib(mut d) if first != ZSTD_MAGIC[0] => {
                d.reset(true);
                Some(Self::Zlib(d))
            }
            Self::Zstd(mut d) if first == ZSTD_MAGIC[0] => {
                d.reinit().ok()?;
                Some(Self::Zstd(d))
            }
            _ => Self::new(first),
        }
    }

    /// Reads some of `input` and writes some of `output`: how much of each.
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Option<(usize, usize)> {
        match self {
            Self::Zlib(d) => {
                let before = (d.total_in(), d.total_out());
                let status = d.decompress(input, output, FlushDecompress::None).ok()?;
                if status == Status::BufError && !input.is_empty() && !output.is_empty() {
                    return None;
                }
                let n = |a: u64, b: u64| usize::try_from(a - b).unwrap_or(0);
                Some((n(d.total_in(), before.0), n(d.total_out(), before.1)))
            }
            Self::Zstd(d) => {
                let (mut i, mut o) = (InBuffer::around(input), OutBuffer::around(output));
                d.run(&mut i, &mut o).ok()?;
                Some((i.pos(), o.pos()))
            }
        }
    }
}

/// The packet that is being read.
#[derive(Debug)]
struct Open {
    /// Bytes of payload still to come.
    left: u64,
    /// Bytes of the stream in it still to come.
    inner: u64,
    /// Of those that came so far.
    produced: u64,
    allowed: u64,
    stored: bool,
    /// It cannot be decompressed.
    broken: bool,
    begun: bool,
    seen: Seen,
}

/// Reading one side of a compressed connection.
#[derive(Default)]
pub(super) struct Outer {
    open: Option<Open>,
    inflater: Option<Inflater>,
    /// Bytes of the stream inside that are not taken.
    inner: Vec<u8>,
    lost: bool,
}

impl Outer {
    /// Packet boundaries are lost.
    pub(super) fn lose(&mut self) {
        *self = Self { lost: true, inflater: self.inflater.take(), ..Self::default() };
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        // The window of a decompressor: 32 KiB for zlib; zstd has allocated what its frames ask
        // for, which the piecewise reading does not tell.
        self.inner.capacity() + self.inflater.as_ref().map_or(0, |_| 48 << 10)
    }
}

/// The beginning of the stream in a payload: at most as much as `out` holds.
pub(super) fn peek(payload: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut inflater = Inflater::new(*payload.first()?)?;
    let (mut read, mut written) = (0, 0);
    while written < out.len() {
        let (r, w) = inflater.run(payload.get(read..)?, out.get_mut(written..)?)?;
        if r + w == 0 {
            break;
        }
        read += r;
        written += w;
    }
    Some(written)
}

impl Mysql {
    /// Reads compressed packets from `bytes`, which lie at `at` of those being shown, and says how
    /// many bytes it is done with.
    pub(super) fn unwrap(&mut self, role: Role, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let mut n = 0;
        while !self.opaque {
            let rest = bytes.get(n..).unwrap_or_default();
            let outer = &mut self.outer[role.index()];
            if outer.lost {
                let Some(start) = super::detect::resync_compressed(rest, role) else {
                    return n + rest.len().saturating_sub(HEADER + 1);
                };
                outer.lost = false;
                n += start;
                continue;
            }
            if outer.open.is_none() {
                let Some([a, b, c, seq, x, y, z]) = rest.first_chunk::<HEADER>() else { return n };
                let len = u32::from_le_bytes([*a, *b, *c, 0]);
                let inner = u32::from_le_bytes([*x, *y, *z, 0]);
                let stored = inner == 0;
                let ratio = u64::from(len).saturating_mul(cx.limits.expansion as u64).max(RATIO_FLOOR);
                outer.open = Some(Open {
                    left: len.into(),
                    inner: if stored { len } else { inner }.into(),
                    produced: 0,
                    allowed: ratio,
                    stored,
                    broken: false,
                    begun: false,
                    seen: Seen {
                        bytes: i64::from(len) + HEADER as i64,
                        ..Seen::within(cx, at + n, at + n + HEADER)
                    },
                });
                // A command begins a packet, and its response another one.
                let begins = *seq == if role == Role::Client { 0 } else { 1 };
                if begins && self.streams[role.index()].lost {
                    self.streams[role.index()].lost = false;
                    self.outer[role.index()].inner.clear();
                }
                n += HEADER;
                continue;
            }
            let Some(open) = outer.open.as_mut() else { return n };
            if open.left == 0 {
                self.close(role, cx);
                continue;
            }
            if rest.is_empty() {
                return n;
            }
            let take = usize::try_from(open.left).unwrap_or(usize::MAX).min(rest.len());
            open.left -= take as u64;
            // All that is read from it belongs to the whole packet, which is known by its length.
            open.seen.last = open.seen.until(cx, at + n + take).last;
            n += take;
            self.feed(role, &rest[..take], cx);
        }
        n
    }

    /// Part of a payload.
    fn feed(&mut self, role: Role, mut payload: &[u8], cx: &mut Context<'_>) {
        let mut piece = [0; PIECE];
        loop {
            let outer = &mut self.outer[role.index()];
            let Some(open) = outer.open.as_mut().filter(|o| !o.broken) else { return };
            let (read, written) = if open.stored {
                let n = payload.len().min(PIECE);
                piece[..n].copy_from_slice(&payload[..n]);
                (n, n)
            } else {
                if !open.begun {
                    let Some(first) = payload.first() else { return };
                    outer.inflater = match outer.inflater.take() {
                        Some(i) => i.again(*first),
                        None => Inflater::new(*first),
                    };
                    open.begun = true;
                }
                let room = usize::try_from(open.inner).unwrap_or(PIECE).min(PIECE);
                let step = outer.inflater.as_mut().and_then(|i| i.run(payload, &mut piece[..room]));
                let within = open.produced <= open.allowed;
                match step.filter(|_| within) {
                    Some(step) => step,
                    None => {
                        open.broken = true;
                        cx.problem(Problem::BadEncoding, open.inner);
                        return;
                    }
                }
            };
            if read + written == 0 {
                return;
            }
            open.inner = open.inner.saturating_sub(written as u64);
            open.produced += written as u64;
            let place = Place::In(open.seen);
            payload = payload.get(read..).unwrap_or_default();
            let mut inner = std::mem::take(&mut outer.inner);
            inner.extend_from_slice(&piece[..written]);
            let taken = self.packets(role, &inner, place, cx);
            inner.drain(..taken.min(inner.len()));
            if inner.is_empty() {
                crate::sql::reuse(&mut inner);
            }
            self.outer[role.index()].inner = inner;
        }
    }

    /// A compressed packet ends.
    fn close(&mut self, role: Role, cx: &mut Context<'_>) {
        // What is left in the decompressor's window.
        self.feed(role, &[], cx);
        let Some(open) = self.outer[role.index()].open.take() else { return };
        if open.inner > 0 {
            if !open.broken {
                cx.problem(Problem::BadEncoding, open.inner);
            }
            self.outer[role.index()].inner.clear();
            if !self.pass(role, open.inner, Place::In(open.seen), cx) {
                self.lose(role, cx);
            }
        }
    }

    /// `len` bytes are missing. False when it is not known any more where packets begin.
    pub(super) fn pass_compressed(&mut self, role: Role, len: u64, cx: &mut Context<'_>) -> bool {
        let Some(open) = self.outer[role.index()].open.as_mut().filter(|o| o.left >= len) else {
            return false;
        };
        open.left -= len;
        open.broken = true;
        if open.left == 0 {
            self.close(role, cx);
        }
        true
    }
}
