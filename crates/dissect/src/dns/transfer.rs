//! Where a zone transfer ends. AXFR (RFC 5936) and IXFR (RFC 1995) answer over several messages
//! and nothing but the records themselves tells which is the last.

use super::{
    cursor::Cursor,
    message::{self, Header, RecordHead},
    types,
};

/// What has been seen of a transfer's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Transfer {
    /// Nothing yet.
    #[default]
    Start,
    /// The SOA that every transfer begins with, of this serial.
    First(u32),
    /// A whole zone, which ends with its SOA again.
    Whole,
    /// Differences: the records to delete, up to the next SOA.
    Deleting(u32),
    /// Differences: the records to add, up to the next SOA, which is either the last one (it has
    /// the first one's serial) or begins another difference.
    Adding(u32),
    /// Complete.
    Done,
}

impl Transfer {
    /// Reads one more message of the response. `incremental` when the question was for IXFR.
    ///
    /// A message that cannot be read ends the transfer: what follows could not be understood.
    pub(super) fn advance(&mut self, bytes: &[u8], incremental: bool) {
        if self.records(bytes, incremental).is_none() {
            *self = Self::Done;
        }
    }

    fn records(&mut self, bytes: &[u8], incremental: bool) -> Option<()> {
        let mut c = Cursor::new(bytes);
        let header = Header::read(&mut c)?;
        if header.rcode() != 0 {
            return None;
        }
        let [questions, answers, ..] = header.counts;
        for _ in 0..questions {
            c.skip_name()?;
            c.take(4)?;
        }
        for _ in 0..answers {
            c.skip_name()?;
            let head = RecordHead::read(&mut c)?;
            let mut data = c.part(head.len)?;
            let serial = match head.ty {
                types::SOA => {
                    data.skip_name()?;
                    data.skip_name()?;
                    Some(data.u32()?)
                }
                _ => None,
            };
            *self = self.record(serial, incremental)?;
        }
        // One SOA alone answers an IXFR whose zone has not changed.
        if incremental && answers == 1 && matches!(self, Self::First(_)) {
            *self = Self::Done;
        }
        // No record at all: nothing to transfer.
        (answers > 0).then_some(())
    }

    /// The state after a record; `serial` when it is an SOA.
    fn record(self, serial: Option<u32>, incremental: bool) -> Option<Self> {
        Some(match (self, serial) {
            (Self::Start, Some(serial)) => Self::First(serial),
            (Self::Start, None) => return None,
            (Self::First(last), Some(_)) if incremental => Self::Deleting(last),
            (Self::First(_) | Self::Whole, Some(_)) => Self::Done,
            (Self::First(_) | Self::Whole, None) => Self::Whole,
            (Self::Deleting(last), Some(_)) => Self::Adding(last),
            (Self::Adding(last), Some(serial)) if serial == last => Self::Done,
            (Self::Adding(last), Some(_)) => Self::Deleting(last),
            (state, _) => state,
        })
    }
}

/// True when a message has a record in its answer section and no question: the second and later
/// messages of a transfer may leave the question out.
pub(super) fn continues(bytes: &[u8]) -> bool {
    let mut c = Cursor::new(bytes);
    Header::read(&mut c)
        .is_some_and(|h| h.counts[0] == 0 && h.counts[1] > 0 && message::skip_record(&mut c).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `s` is an SOA of the serial that follows it, any other letter another record.
    fn run(incremental: bool, records: &[(char, u32)]) -> Vec<bool> {
        let mut state = Transfer::Start;
        records
            .iter()
            .map(|&(kind, serial)| {
                state = state.record((kind == 's').then_some(serial), incremental).unwrap_or(Transfer::Done);
                state == Transfer::Done
            })
            .collect()
    }

    #[test]
    fn a_whole_zone_ends_with_its_soa() {
        assert_eq!(run(false, &[('s', 1), ('a', 0), ('a', 0), ('s', 1)]), [false, false, false, true]);
        assert_eq!(run(false, &[('s', 1), ('s', 1)]), [false, true]);
        assert_eq!(run(true, &[('s', 1), ('a', 0), ('s', 1)]), [false, false, true]);
        assert_eq!(run(false, &[('a', 1)]), [true], "not a transfer");
    }

    #[test]
    fn differences_end_with_the_newest_soa_after_additions() {
        let records =
            [('s', 3), ('s', 1), ('a', 0), ('s', 2), ('a', 0), ('s', 2), ('s', 3), ('a', 0), ('s', 3)];
        let mut ends = vec![false; records.len()];
        ends[8] = true;
        assert_eq!(run(true, &records), ends);
    }
}
