//! Compressed messages: permessage-deflate (RFC 7692).

use std::cell::RefCell;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use crate::Limits;
use crate::http::facts::list;

/// Bytes that a message may refer back to at most: the window of DEFLATE (RFC 1951 section 2).
const WINDOW: usize = 32 << 10;
/// Bytes decompressed at once, behind the window.
const PIECE: usize = 32 << 10;
/// Messages that decompress to this much or less are not held to the ratio bound.
const RATIO_FLOOR: usize = 16 << 10;
/// Messages that decompress to more than so many times [`Limits::message_bytes`] are given up.
const MESSAGES: usize = 16;
/// What a sender takes off the end of each message (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// What was agreed for one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Agreed {
    /// Messages may be compressed; not known where the handshake was not seen.
    pub(super) deflate: Option<bool>,
    /// By sender: its messages do not refer to earlier ones.
    pub(super) fresh: [bool; 2],
    /// By sender: how far back its messages may refer.
    windows: [Option<u8>; 2],
}

impl Agreed {
    /// Reads the server's Sec-WebSocket-Extensions, which say what holds (section 7.1).
    pub(super) fn read<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut agreed = Self { deflate: Some(false), ..Self::default() };
        for value in values {
            for (element, name) in value.split(|&b| b == b',').zip(names(value)) {
                if name.eq_ignore_ascii_case(b"permessage-deflate") {
                    agreed.deflate = Some(true);
                    element.split(|&b| b == b';').skip(1).for_each(|p| agreed.parameter(p.trim_ascii()));
                }
            }
        }
        agreed
    }

    fn parameter(&mut self, parameter: &[u8]) {
        let mut parts = parameter.splitn(2, |&b| b == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let value = parts.next().unwrap_or_default().trim_ascii();
        let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
        let bits =
            std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()).filter(|b| (8..=15).contains(b));
        match name {
            b"client_no_context_takeover" => self.fresh[0] = true,
            b"server_no_context_takeover" => self.fresh[1] = true,
            b"client_max_window_bits" => self.windows[0] = bits,
            b"server_max_window_bits" => self.windows[1] = bits,
            _ => {}
        }
    }

    /// Bytes of what `sender` has sent that its next message may refer to.
    fn window(&self, sender: usize) -> usize {
        if self.fresh.get(sender).copied().unwrap_or_default() {
            return 0;
        }
        self.windows.get(sender).copied().flatten().map_or(WINDOW, |bits| 1 << bits)
    }
}

/// The names in a list of extensions, one for each comma.
fn names(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(|e| list(e).next().unwrap_or_default())
}

/// Why a message could not be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is broken, or refers to messages that were not seen.
    Broken,
    /// It expands beyond the ratio bound.
    Bomb,
}

/// What the messages of one sender may refer to. Empty when that is not known: then a message
/// that refers to it cannot be read, and one that does not can.
#[derive(Debug, Default)]
pub(super) struct History(Vec<u8>);

thread_local! {
    static MACHINE: RefCell<Option<Box<Machine>>> = const { RefCell::new(None) };
}

/// What decompresses the messages of all connections of a thread: each message ends where a
/// block of DEFLATE ends, so that nothing but the history remains between them.
struct Machine {
    state: DecompressorOxide,
    out: Vec<u8>,
}

impl History {
    /// What came before is not known any more.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Bytes of memory behind it.
    pub(super) fn memory(&self) -> usize {
        self.0.capacity()
    }

    /// Decompresses a whole message of `sender` in place; keeps at most [`Limits::payload`] of it
    /// and says whether that is all.
    pub(super) fn inflate(
        &mut self,
        body: &mut Vec<u8>,
        agreed: &Agreed,
        sender: usize,
        limits: &Limits,
    ) -> Result<bool, Unreadable> {
        let most = limits.message_bytes.saturating_mul(MESSAGES);
        let max = body.len().saturating_mul(limits.expansion).min(most).max(RATIO_FLOOR);
        body.extend_from_slice(&TAIL);
        let result = MACHINE.with_borrow_mut(|machine| {
            let machine = machine.get_or_insert_with(|| {
                Box::new(Machine { state: DecompressorOxide::new(), out: vec![0; WINDOW + PIECE] })
            });
            machine.run(&mut self.0, body, agreed.window(sender), max, limits)
        });
        if result.is_err() {
            self.forget();
            body.clear();
        }
        result
    }
}

impl Machine {
    /// Puts what `body` decompresses to in its place.
    fn run(
        &mut self,
        history: &mut Vec<u8>,
        body: &mut Vec<u8>,
        window: usize,
        max: usize,
        limits: &Limits,
    ) -> Result<bool, Unreadable> {
        let known = history.len().min(WINDOW);
        self.out
            .get_mut(..known)
            .unwrap_or_default()
            .copy_from_slice(history.get(..known).unwrap_or_default());
        self.state.init();
        // Text that is read stands behind the text that is written: it is moved out of the way.
        let (encoded, mut used, mut at) = (body.len(), 0, known);
        let mut total = 0;
        let flags = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT
            | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        loop {
            let input = body.get(used..encoded).unwrap_or_default();
            let (status, read, written) = decompress(&mut self.state, input, &mut self.out, at, flags);
            used += read;
            total += written;
            if total > max {
                return Err(Unreadable::Bomb);
            }
            // What is kept stands behind the encoded bytes until all of those are read.
            let kept = body.len() - encoded;
            let room = limits.payload.saturating_sub(kept).min(written);
            body.extend_from_slice(self.out.get(at..at + room).unwrap_or_default());
            at += written;
            if at > WINDOW {
                let from = at - WINDOW;
                self.out.copy_within(from..at, 0);
                at = WINDOW;
            }
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress if used == encoded => {
                    break;
                }
                // A last block may stand before the end (section 7.2.3.4); others follow it.
                TINFLStatus::Done if used == encoded => break,
                TINFLStatus::Done => self.state.init(),
                _ => return Err(Unreadable::Broken),
            }
            if read == 0 && written == 0 && status != TINFLStatus::Done {
                return Err(Unreadable::Broken);
            }
        }
        let keep = window.min(at);
        history.clear();
        history.extend_from_slice(self.out.get(at - keep..at).unwrap_or_default());
        body.drain(..encoded);
        Ok(total == body.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    /// What a sender makes of a message.
    fn deflate(state: &mut Compress, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() * 2 + 1_024);
        state.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(&TAIL));
        out.truncate(out.len() - TAIL.len());
        out
    }

    fn agreed(value: &str) -> Agreed {
        Agreed::read([value.as_bytes()].into_iter())
    }

    const PLAIN: &str = "permessage-deflate";

    #[test]
    fn agreements_are_read() {
        assert_eq!(agreed("").deflate, Some(false));
        assert_eq!(agreed("x-other; permessage-deflate").deflate, Some(false));
        let all =
            agreed("foo, permessage-deflate; server_no_context_takeover; client_max_window_bits=\"10\"");
        assert_eq!((all.deflate, all.fresh), (Some(true), [false, true]));
        assert_eq!((all.window(0), all.window(1)), (1_024, 0));
        assert_eq!(agreed("permessage-deflate; server_max_window_bits=99").window(1), WINDOW);
    }

    #[test]
    fn messages_refer_to_earlier_ones() {
        let (mut sender, mut history) = (Compress::new(Compression::best(), false), History::default());
        let limits = Limits::default();
        for i in 0..200 {
            let text = format!("{i}: the same words in every message, {}", "and more ".repeat(i));
            let mut body = deflate(&mut sender, text.as_bytes());
            if i == 10 {
                assert!(body.len() < text.len() / 4);
            }
            assert_eq!(history.inflate(&mut body, &agreed(PLAIN), 0, &limits), Ok(true));
            assert_eq!(body, text.as_bytes());
        }
        assert!(history.memory() <= 2 * WINDOW);
        // The next one refers to what is not known.
        let mut body = deflate(&mut sender, b"7: the same words in every message, and more");
        history.forget();
        assert_eq!(history.inflate(&mut body, &agreed(PLAIN), 0, &limits), Err(Unreadable::Broken));
        // One that does not can be read.
        let mut body = deflate(&mut Compress::new(Compression::best(), false), b"alone alone alone");
        assert_eq!(history.inflate(&mut body, &agreed(PLAIN), 0, &limits), Ok(true));
        assert_eq!(body, b"alone alone alone");
    }

    #[test]
    fn long_messages_are_cut_and_their_history_is_kept() {
        let (mut sender, mut history) = (Compress::new(Compression::best(), false), History::default());
        let limits = Limits { payload: 100, ..Limits::default() };
        let text: Vec<u8> =
            (0..30_000_u32).flat_map(|i| format!("{} ", i * 7_919 % 10_007).into_bytes()).collect();
        let mut body = deflate(&mut sender, &text);
        assert_eq!(history.inflate(&mut body, &agreed(PLAIN), 0, &limits), Ok(false));
        assert_eq!(body, &text[..100]);
        let end = &text[text.len() - 90..];
        let mut body = deflate(&mut sender, end);
        assert_eq!(history.inflate(&mut body, &agreed(PLAIN), 0, &limits), Ok(true));
        assert_eq!(body, end);
    }

    #[test]
    fn bombs_and_rubbish_are_refused() {
        let mut history = History::default();
        let mut body = deflate(&mut Compress::new(Compression::best(), false), &vec![0; 10 << 20]);
        let limits = Limits::default();
        assert_eq!(history.inflate(&mut body, &agreed(PLAIN), 0, &limits), Err(Unreadable::Bomb));
        let mut body = vec![0xff; 100];
        assert_eq!(history.inflate(&mut body, &agreed(PLAIN), 0, &limits), Err(Unreadable::Broken));
        assert!(body.is_empty());
    }

    #[test]
    fn the_rfcs_examples_are_read() {
        // RFC 7692 sections 7.2.3.1 to 7.2.3.5.
        let limits = Limits::default();
        let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00".as_slice();
        for body in [
            hello,
            b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ] {
            let mut body = body.to_vec();
            assert_eq!(History::default().inflate(&mut body, &agreed(PLAIN), 0, &limits), Ok(true));
            assert_eq!(body, b"Hello");
        }
        let (mut history, mut first, mut second) =
            (History::default(), hello.to_vec(), b"\xf2\x00\x11\x00\x00".to_vec());
        assert_eq!(history.inflate(&mut first, &agreed(PLAIN), 1, &limits), Ok(true));
        assert_eq!(history.inflate(&mut second, &agreed(PLAIN), 1, &limits), Ok(true));
        assert_eq!(second, b"Hello");
    }
}
