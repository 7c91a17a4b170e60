//! The tables that rows belong to.

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row for each call.
    Calls,
    /// One row for each report of a flow's state; the newest row of a flow counts.
    Flows,
    /// One row for each counter that grew in a reporting interval.
    Coverage,
}

impl Table {
    /// Every table.
    pub const ALL: &'static [Self] = &[Self::Calls, Self::Flows, Self::Coverage];

    /// Its name in SQL, on the wire and in file names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Flows => "flows",
            Self::Coverage => "coverage",
        }
    }

    /// The table with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|t| t.name() == name)
    }
}
