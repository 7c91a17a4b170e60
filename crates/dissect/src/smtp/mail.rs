//! The message that is sent (RFC 5322): kept up to a limit, and what its header says.

use remora_model::Span;

/// A message as it arrives.
#[derive(Debug, Default)]
pub(super) struct Mail {
    text: Vec<u8>,
    /// Bytes, those that are not kept too.
    pub(super) size: u64,
    pub(super) from: Span,
    pub(super) to: Span,
    pub(super) subject: Span,
    pub(super) id: Span,
    /// Headers unfolded, in which the spans are.
    unfolded: Vec<u8>,
}

impl Mail {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.unfolded.clear();
        let Self { text, unfolded, .. } = std::mem::take(self);
        *self = Self { text, unfolded, ..Self::default() };
    }

    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.unfolded.capacity()
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// A header's value.
    pub(super) fn value(&self, span: Span) -> &[u8] {
        span.of(&self.unfolded)
    }

    /// Bytes that are not kept.
    pub(super) fn cut(&self) -> u64 {
        self.size.saturating_sub(self.text.len() as u64)
    }

    /// Appends what has arrived.
    pub(super) fn add(&mut self, bytes: &[u8], limit: usize) {
        // What was left out is not continued.
        if self.cut() == 0 {
            let room = limit.saturating_sub(self.text.len());
            self.text.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        self.size += bytes.len() as u64;
    }

    /// Counts bytes that are not shown.
    pub(super) fn pass(&mut self, n: u64) {
        self.size += n;
    }

    /// Reads the header.
    pub(super) fn finish(&mut self) {
        let mut rest = self.text.as_slice();
        loop {
            let line = next_line(&mut rest);
            let Some(colon) = memchr::memchr(b':', line) else { return };
            let name = line.get(..colon).unwrap_or_default().trim_ascii();
            let slot = [
                (&b"From"[..], &mut self.from),
                (b"To", &mut self.to),
                (b"Subject", &mut self.subject),
                (b"Message-ID", &mut self.id),
            ];
            let slot = slot.into_iter().find(|s| s.0.eq_ignore_ascii_case(name)).map(|s| s.1);
            let start = self.unfolded.len();
            let wanted = slot.as_ref().is_some_and(|s| s.len == 0);
            if wanted {
                self.unfolded.extend_from_slice(line.get(colon + 1..).unwrap_or_default().trim_ascii());
            }
            // Continued lines begin with white space.
            while matches!(rest.first(), Some(b' ' | b'\t')) {
                let line = next_line(&mut rest);
                if wanted {
                    self.unfolded.push(b' ');
                    self.unfolded.extend_from_slice(line.trim_ascii());
                }
            }
            if let Some(slot) = slot.filter(|_| wanted) {
                let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
                *slot = Span { start: narrow(start), len: narrow(self.unfolded.len() - start) };
            }
        }
    }
}

/// Takes a line, without its end.
fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
    let (line, after) = rest.split_at(end);
    *rest = after;
    line.trim_ascii_end()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mail(text: &str, limit: usize) -> Mail {
        let mut mail = Mail::default();
        text.as_bytes().chunks(7).for_each(|c| mail.add(c, limit));
        mail.finish();
        mail
    }

    #[test]
    fn headers() {
        let mail = mail(
            "Received: x\r\nFROM: Anna <a@b>\r\nTo: c@d,\r\n\te@f\r\nsubject: =?utf-8?q?x?=\r\n y\r\nSubject: no\r\n\
             Message-Id: <1@b>\r\n\r\nFrom: body\r\n",
            1_000,
        );
        assert_eq!(mail.value(mail.from), b"Anna <a@b>");
        assert_eq!(mail.value(mail.to), b"c@d, e@f");
        assert_eq!(mail.value(mail.subject), b"=?utf-8?q?x?= y");
        assert_eq!(mail.value(mail.id), b"<1@b>");
        assert_eq!(mail.cut(), 0);
    }

    #[test]
    fn the_limit_holds() {
        let mail = mail("Subject: 0123456789\r\n\r\nbody", 12);
        assert_eq!(mail.text(), b"Subject: 012");
        assert_eq!((mail.size, mail.cut()), (27, 15));
        assert_eq!(mail.value(mail.subject), b"012");
    }
}
