//! Handshake messages, which may span records and share them (RFC 8446 section 5.1).

/// Bytes of the longest message that is kept: a chain of certificates takes a tenth of it.
const MAX_MESSAGE: usize = 128 << 10;

/// Bytes of a message's header.
const HEADER: usize = 4;

/// Puts the messages of one side together.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The beginning of a message.
    partial: Vec<u8>,
    /// Bytes left of a message that is too long to be kept.
    passing: usize,
}

impl Messages {
    /// Takes the fragment of a record and shows each message that it completes: its type, its body,
    /// and whether the message began in an earlier record. Says how many bytes of messages that are
    /// too long begin in it.
    pub(super) fn feed(&mut self, mut fragment: &[u8], mut each: impl FnMut(u8, &[u8])) -> usize {
        let mut too_long = 0;
        while !fragment.is_empty() {
            let pass = self.passing.min(fragment.len());
            self.passing -= pass;
            fragment = fragment.get(pass..).unwrap_or_default();
            if self.partial.is_empty() {
                // The usual case: the message lies in one record.
                match split(fragment) {
                    Some(Ok((kind, body, rest))) => {
                        each(kind, body);
                        fragment = rest;
                        continue;
                    }
                    Some(Err(len)) if len > MAX_MESSAGE => {
                        too_long += len;
                        self.passing = len;
                        continue;
                    }
                    _ => {}
                }
                self.partial.extend_from_slice(fragment);
                break;
            }
            // The rest of its header, then the rest of its body.
            let wanted = match split(&self.partial) {
                None => HEADER - self.partial.len(),
                Some(Err(len)) => len - self.partial.len(),
                Some(Ok(_)) => 0,
            };
            let n = wanted.min(fragment.len());
            let (now, later) = fragment.split_at(n);
            self.partial.extend_from_slice(now);
            fragment = later;
            match split(&self.partial) {
                Some(Ok((kind, body, _))) => {
                    each(kind, body);
                    self.partial.clear();
                    if self.partial.capacity() > MAX_MESSAGE / 8 {
                        self.partial = Vec::new();
                    }
                }
                Some(Err(len)) if len > MAX_MESSAGE => {
                    too_long += len;
                    self.passing = len - self.partial.len();
                    self.partial.clear();
                }
                _ => {}
            }
        }
        too_long
    }

    /// True when a message is half read.
    pub(super) fn is_partial(&self) -> bool {
        !self.partial.is_empty() || self.passing > 0
    }

    /// Forgets what was half read.
    pub(super) fn clear(&mut self) {
        self.partial.clear();
        self.passing = 0;
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.partial.capacity()
    }
}

/// The message at the front: type, body, what follows. `Err`: its length with the header, where it
/// is not whole; `None`: not even its header is.
#[allow(clippy::type_complexity)]
fn split(bytes: &[u8]) -> Option<Result<(u8, &[u8], &[u8]), usize>> {
    let ([kind, a, b, c], rest) = bytes.split_first_chunk::<HEADER>()?;
    let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    Some(match rest.split_at_checked(len) {
        Some((body, rest)) => Ok((*kind, body, rest)),
        None => Err(HEADER + len),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_span_records_and_share_them() {
        let stream = [&[1, 0, 0, 3][..], b"abc", &[14, 0, 0, 0], &[2, 0, 0, 1], b"x"].concat();
        for n in 1..=stream.len() {
            let mut messages = Messages::default();
            let mut found = Vec::new();
            for piece in stream.chunks(n) {
                assert_eq!(messages.feed(piece, |kind, body| found.push((kind, body.to_vec()))), 0);
            }
            assert_eq!(found, [(1, b"abc".to_vec()), (14, vec![]), (2, b"x".to_vec())]);
            assert!(!messages.is_partial());
        }
    }

    #[test]
    fn long_messages_are_passed_over() {
        let long = [&[11, 2, 0, 1][..], &vec![0; 0x2_0001], &[14, 0, 0, 0]].concat();
        for n in [1, 1_000, 20_000] {
            let (mut messages, mut found, mut passed) = (Messages::default(), Vec::new(), 0);
            for piece in long.chunks(n) {
                passed += messages.feed(piece, |kind, _| found.push(kind));
                assert!(messages.memory() <= 2 * MAX_MESSAGE);
            }
            assert_eq!((found, passed), (vec![14], 0x2_0005));
            assert!(!messages.is_partial());
        }
    }
}
