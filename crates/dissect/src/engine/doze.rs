//! When to look at a connection that was joined in the middle and has not shown what it is.
//!
//! A capture may begin in the middle of a long body, behind which ordinary messages follow. So such
//! a connection is looked at again, where messages tend to begin: when the other side begins to
//! speak, and now and then in between. The longer nothing was found, the more bytes pass before the
//! next look, so that the looks cost little of what the bytes do. Only a message that leaves no doubt
//! where a side begins to speak is never passed over.

/// Bytes of a direction that are looked at before the first pause, in units of
/// `Limits::detect_bytes`.
const PATIENCE: u64 = 16;

/// Packets looked at after a pause.
const PACKETS: u32 = 16;

/// Bytes that pass before the next look, for each look that found nothing.
const STEP: u64 = 1 << 10;

/// The most that pass before the next look where the sides take turns.
const LONG: u64 = 256 << 10;

/// The most that pass where one side does not stop speaking.
const LONGEST: u64 = 1 << 20;

/// Whether to look or not.
#[derive(Debug, Default)]
pub(super) struct Doze {
    /// Looks that found nothing.
    looks: u32,
    /// Packets looked at since the last pause.
    packets: u32,
    /// Bytes that passed in this pause; `None` while packets are looked at.
    pause: Option<u64>,
    /// Who spoke last.
    last: usize,
}

impl Doze {
    /// `len` bytes of `dir` have come. True when they are not to be looked at. `certain` is asked
    /// whether they are the beginning of a message without doubt.
    pub(super) fn passes(&mut self, dir: usize, len: usize, certain: impl FnOnce() -> bool) -> bool {
        let turn = std::mem::replace(&mut self.last, dir) != dir;
        let Some(passed) = &mut self.pause else {
            self.packets = self.packets.saturating_add(1);
            return false;
        };
        let due = (u64::from(self.looks) * STEP).min(LONG);
        if turn && (*passed >= due || certain()) || *passed >= LONGEST {
            self.pause = None;
            self.packets = 1;
            return false;
        }
        *passed = passed.saturating_add(len as u64);
        true
    }

    /// Asked when nothing was found: true when it is time for a pause. `seen` is what has come of
    /// the direction of which most has come, `limit` is `Limits::detect_bytes`; `full` says that
    /// more cannot be looked at together.
    pub(super) fn tires(&mut self, seen: u64, limit: usize, full: bool) -> bool {
        let tired = match self.looks {
            0 => full && seen > PATIENCE * limit as u64,
            _ => full || self.packets >= PACKETS,
        };
        if tired && self.pause.is_none() {
            self.looks = self.looks.saturating_add(1);
            self.pause = Some(0);
        }
        tired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_end_where_the_other_side_speaks_or_after_a_while() {
        let mut doze = Doze::default();
        assert!(!doze.passes(0, 1_000, || true));
        assert!(!doze.tires(1_000, 4_096, true), "patient at first");
        assert!(!doze.tires(100_000, 4_096, false));
        assert!(doze.tires(100_000, 4_096, true));
        // A kilobyte has to pass, and then a turn.
        assert!(
            doze.passes(1, 10, || false) && doze.passes(0, 2_000, || false) && doze.passes(0, 2_000, || true)
        );
        assert!(!doze.passes(1, 10, || false));
        assert!(!doze.tires(0, 4_096, false));
        for _ in 0..PACKETS {
            assert!(!doze.passes(1, 10, || false));
        }
        assert!(doze.tires(0, 4_096, false));
        // No turns.
        let passed = (0..5_000).take_while(|_| doze.passes(1, 1_000, || true)).count();
        assert_eq!(passed, 1_049);
        // What is certain.
        assert!(doze.tires(0, 4_096, true));
        assert!(!doze.passes(0, 10, || true));
    }

    #[test]
    fn looks_become_rare() {
        let (mut doze, mut looked) = (Doze::default(), 0);
        assert!(doze.tires(100_000, 4_096, true));
        for i in 0..100_000 {
            if !doze.passes(i % 2, 500, || false) {
                looked += 1;
                doze.tires(0, 4_096, false);
            }
        }
        assert!(looked < 10_000, "{looked}");
    }
}
