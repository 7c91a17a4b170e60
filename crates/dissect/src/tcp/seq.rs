//! Sequence numbers.

/// A TCP sequence number. It wraps, so it has no order of its own: only the distance to another
/// one means something (RFC 9293, section 3.4; the arithmetic is that of RFC 1982).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seq(pub u32);

impl Seq {
    /// The number `n` further on.
    #[must_use]
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// How far `self` lies behind `from`; negative when it comes earlier. Right as long as the
    /// true distance is below 2^31.
    pub const fn since(self, from: Self) -> i32 {
        self.0.wrapping_sub(from.0).cast_signed()
    }

    /// The distance from `from` when `self` is not earlier, else 0.
    pub const fn ahead_of(self, from: Self) -> u32 {
        let d = self.since(from);
        if d > 0 { d.cast_unsigned() } else { 0 }
    }

    /// Whichever comes first.
    #[must_use]
    pub const fn earlier(self, other: Self) -> Self {
        if self.since(other) <= 0 { self } else { other }
    }
}
