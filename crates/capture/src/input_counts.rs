use std::{
    ops::AddAssign,
    sync::{Mutex, PoisonError},
};

use lopside_input::csv_rows::RowCounts;

/// Counts of a source's inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InputCounts {
    /// Number of inputs that were returned.
    pub captured: u64,
    /// Number of images or lines that could not be read.
    pub damaged: u64,
    /// Number of bytes that belong to none of the inputs.
    pub skipped: u64,
    /// Number of files of a watched folder that are not inputs, and stay where they are.
    pub unknown: u64,
    /// Number of files that were read and cannot be moved away at present.
    pub unmoved: u64,
    /// Number of files that were removed because the folders of done and failed files are bounded.
    pub removed: u64,
    /// What has become of the rows of measurements.
    pub rows: RowCounts,
}

impl AddAssign for InputCounts {
    fn add_assign(&mut self, other: Self) {
        self.captured += other.captured;
        self.damaged += other.damaged;
        self.skipped += other.skipped;
        self.unknown += other.unknown;
        self.unmoved += other.unmoved;
        self.removed += other.removed;
        self.rows += other.rows;
    }
}

/// The counts of a source's inputs, for readers on other threads. A source states them whenever it waits.
#[derive(Debug, Default)]
pub struct LiveCounts(Mutex<InputCounts>);

impl LiveCounts {
    /// Replaces the counts.
    pub fn set(&self, counts: InputCounts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// Returns the counts.
    #[must_use]
    pub fn get(&self) -> InputCounts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
