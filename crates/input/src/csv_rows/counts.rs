use std::ops::AddAssign;

/// What has become of the lines of a table: `used + waiting + unused + missing + refused` is the number of lines that
/// should be rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Number of rows in at least one window.
    pub used: u64,
    /// Number of rows that wait for the other rows of their window.
    pub waiting: u64,
    /// Number of rows in no window, because too few rows follow each other without a gap, or because the windows leave
    /// them out.
    pub unused: u64,
    /// Number of rows that were left out, because a number is missing.
    pub missing: u64,
    /// Number of lines that are no rows of numbers.
    pub refused: u64,
    /// Number of rows, among those that were not left out, in which a missing number was replaced by the last one.
    pub held: u64,
    /// Number of times that the time between two rows was too long, or negative.
    pub gaps: u64,
}

impl RowCounts {
    /// Returns the number of rows and lines that are in no window and will be in none.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.unused + self.missing + self.refused
    }

    /// Returns the number of all lines that should be rows.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.used + self.waiting + self.dropped()
    }

    /// Returns the counts since an earlier time.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            used: self.used.saturating_sub(earlier.used),
            waiting: self.waiting.saturating_sub(earlier.waiting),
            unused: self.unused.saturating_sub(earlier.unused),
            missing: self.missing.saturating_sub(earlier.missing),
            refused: self.refused.saturating_sub(earlier.refused),
            held: self.held.saturating_sub(earlier.held),
            gaps: self.gaps.saturating_sub(earlier.gaps),
        }
    }
}

impl AddAssign for RowCounts {
    fn add_assign(&mut self, other: Self) {
        self.used += other.used;
        self.waiting += other.waiting;
        self.unused += other.unused;
        self.missing += other.missing;
        self.refused += other.refused;
        self.held += other.held;
        self.gaps += other.gaps;
    }
}
