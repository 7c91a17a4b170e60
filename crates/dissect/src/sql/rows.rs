//! Rows and bound values as text, within a budget.

use std::io::Write as _;

/// A result as lines of text: column names first, then the rows, in PostgreSQL's COPY text form.
/// Tabs stand between columns, `\N` for NULL, and `\\`, `\t`, `\n`, `\r` for those characters.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    text: Vec<u8>,
    budget: usize,
    cut: bool,
    column: bool,
}

impl Rows {
    /// Forgets everything; `budget` bytes are kept of what follows.
    pub(crate) fn begin(&mut self, budget: usize) {
        super::reuse(&mut self.text);
        self.budget = budget;
        self.cut = false;
        self.column = false;
    }

    /// How many more bytes are kept.
    pub(crate) fn room(&self) -> usize {
        if self.cut { 0 } else { self.budget.saturating_sub(self.text.len()) }
    }

    /// What was left out: true when it is anything at all.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Something is left out from here on.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
    }

    /// What is kept.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.text.capacity()
    }

    /// A value of the current row, from what `write` appends: text as it is.
    pub(crate) fn value(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.next() {
            return;
        }
        let start = self.text.len();
        write(&mut self.text);
        self.escape(start);
        self.bound();
    }

    /// A value of the current row that is text, or the beginning of it.
    pub(crate) fn text_value(&mut self, value: &[u8]) {
        let room = self.room();
        let kept = value.get(..room).unwrap_or(value);
        self.value(|out| out.extend_from_slice(kept));
        self.cut |= kept.len() < value.len();
    }

    /// NULL in the current row.
    pub(crate) fn null(&mut self) {
        if self.next() {
            self.text.extend_from_slice(b"\\N");
            self.bound();
        }
    }

    /// The row ends.
    pub(crate) fn end_row(&mut self) {
        self.column = false;
        self.raw(b"\n");
    }

    /// A line that is text already.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let kept = bytes.get(..self.room()).unwrap_or(bytes);
        self.text.extend_from_slice(kept);
        self.cut |= kept.len() < bytes.len();
    }

    /// Begins a value. False when nothing more is kept.
    fn next(&mut self) -> bool {
        if self.column {
            self.raw(b"\t");
        }
        self.column = true;
        !self.cut
    }

    fn escape(&mut self, start: usize) {
        let special = |b: u8| b == b'\\' || b.wrapping_sub(b'\t') <= b'\r' - b'\t';
        let value = self.text.get(start..).unwrap_or_default();
        // Whether there is one at all is asked without a branch per byte: mostly there is none.
        if !value.iter().fold(false, |any, &b| any | special(b)) {
            return;
        }
        let Some(first) = value.iter().position(|&b| special(b)) else { return };
        let tail = self.text.split_off(start + first);
        for byte in tail {
            match byte {
                b'\\' => self.text.extend_from_slice(b"\\\\"),
                b'\t' => self.text.extend_from_slice(b"\\t"),
                b'\n' => self.text.extend_from_slice(b"\\n"),
                b'\r' => self.text.extend_from_slice(b"\\r"),
                other => self.text.push(other),
            }
        }
    }

    fn bound(&mut self) {
        if self.text.len() > self.budget {
            self.text.truncate(self.budget);
            self.cut = true;
        }
    }
}

/// Most values that are kept of one statement's parameters.
pub(crate) const MAX_VALUES: usize = 64;

/// Texts one behind the other: bound parameters.
#[derive(Debug, Default)]
pub(crate) struct Values {
    text: Vec<u8>,
    ends: Vec<u32>,
    /// Something was left out.
    pub(crate) cut: bool,
}

impl Values {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        super::reuse(&mut self.text);
        self.ends.clear();
        self.cut = false;
    }

    /// A value, from what `write` appends. It is cut where all values together exceed `budget`.
    pub(crate) fn push(&mut self, budget: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.ends.len() >= MAX_VALUES || self.text.len() >= budget && !self.text.is_empty() {
            self.cut = true;
            return;
        }
        write(&mut self.text);
        if self.text.len() > budget {
            self.text.truncate(budget);
            self.cut = true;
        }
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    /// Puts them into `slots`, as many as there are and as fit.
    pub(crate) fn fill<'a, 'b>(&'a self, slots: &'b mut [&'a [u8]]) -> &'b [&'a [u8]] {
        let (mut start, mut n) = (0, 0);
        for (slot, end) in slots.iter_mut().zip(&self.ends) {
            let end = *end as usize;
            *slot = self.text.get(start..end).unwrap_or_default();
            start = end;
            n += 1;
        }
        slots.get(..n).unwrap_or_default()
    }

    /// True when there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Becomes a copy of `other`.
    pub(crate) fn copy(&mut self, other: &Self) {
        self.clear();
        self.text.extend_from_slice(&other.text);
        self.ends.extend_from_slice(&other.ends);
        self.cut = other.cut;
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// Appends something printable. Writing to a `Vec` cannot fail.
pub(crate) fn print(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    _ = out.write_fmt(what);
}

/// Appends bytes that are not text, in hexadecimal as PostgreSQL prints `bytea`: `\x00ff`.
pub(crate) fn print_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"\\x");
    push_hex(out, bytes);
}

/// Appends hexadecimal digits.
pub(crate) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    out.extend(bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]));
}

/// Appends a date of the proleptic Gregorian calendar, from days since 1970-01-01.
pub(crate) fn print_date(out: &mut Vec<u8>, days: i64) {
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let z = days.saturating_add(719_468);
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = era.saturating_mul(400) + year_of_era + i64::from(month <= 2);
    print(out, format_args!("{year:04}-{month:02}-{day:02}"));
}

/// Appends a time of day, from microseconds.
pub(crate) fn print_time(out: &mut Vec<u8>, micros: i64) {
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    print(out, format_args!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60));
    if micros > 0 {
        print(out, format_args!(".{micros:06}"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lines() {
        let mut rows = Rows::default();
        rows.begin(100);
        rows.text_value(b"a");
        rows.text_value(b"b\tc\\\n\r");
        rows.end_row();
        rows.null();
        rows.value(|out| print(out, format_args!("{}", -1)));
        rows.end_row();
        assert_eq!(rows.text(), b"a\tb\\tc\\\\\\n\\r\n\\N\t-1\n");
        assert!(!rows.is_cut());
    }

    #[test]
    fn rows_end_at_the_budget() {
        let mut rows = Rows::default();
        rows.begin(5);
        rows.text_value(b"abc");
        rows.text_value(b"defg");
        rows.end_row();
        rows.null();
        assert_eq!((rows.text(), rows.is_cut(), rows.room()), (&b"abc\td"[..], true, 0));
        rows.begin(0);
        rows.text_value(b"");
        assert!(!rows.is_cut());
    }

    #[test]
    fn values_end_at_the_budget_and_at_their_number() {
        let mut values = Values::default();
        for text in [&b"ab"[..], b"", b"cdef", b"g"] {
            values.push(4, |out| out.extend_from_slice(text));
        }
        let mut slots = [&b""[..]; MAX_VALUES];
        assert_eq!(values.fill(&mut slots), [&b"ab"[..], b"", b"cd"]);
        assert!(values.cut);
        values.clear();
        (0..MAX_VALUES + 1).for_each(|_| values.push(10, |_| {}));
        assert_eq!(values.fill(&mut [&b""[..]; MAX_VALUES]).len(), MAX_VALUES);
        assert!(values.cut);
    }

    #[test]
    fn dates_and_times() {
        let date = |days| {
            let mut out = Vec::new();
            print_date(&mut out, days);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(10_957), "2000-01-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(-1), "1969-12-31");
        date(i64::MAX);
        date(i64::MIN);
        let mut out = Vec::new();
        print_time(&mut out, 86_399_000_001);
        assert_eq!(out, b"23:59:59.000001");
    }
}
