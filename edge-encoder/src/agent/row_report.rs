use lopside_capture::rows::RowCounts;
use lopside_telemetry::printable::PrintableLines;
use serde::{Deserialize, Serialize};

/// What has become of the rows of measurements of a source since the start: `used + waiting + unused + missing + refused` is
/// the number of lines that should be rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RowReport {
    /// Number of rows in at least one window.
    pub used: u64,
    /// Number of rows that wait for the other rows of their window.
    pub waiting: u64,
    /// Number of rows in no window, because too few rows follow each other without a gap.
    pub unused: u64,
    /// Number of rows that were left out, because a number is missing.
    pub missing: u64,
    /// Number of lines that are no rows of numbers.
    pub refused: u64,
    /// Number of rows in which a missing number was replaced by the last one of its channel.
    pub held: u64,
    /// Number of times that the time between two rows was too long, or negative.
    pub gaps: u64,
}

impl RowReport {
    pub(super) fn new(counts: RowCounts) -> Self {
        let RowCounts { used, waiting, unused, missing, refused, held, gaps } = counts;
        Self { used, waiting, unused, missing, refused, held, gaps }
    }

    /// Returns whether there were no rows.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn write_text(&self, out: &mut PrintableLines) -> std::fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        let Self { used, waiting, unused, missing, refused, held, gaps } = self;
        writeln!(
            out,
            "  rows: in windows {used}, waiting {waiting}, unused {unused}, with a missing number {missing}, refused {refused}"
        )?;
        if *held > 0 || *gaps > 0 {
            writeln!(out, "  rows with a replaced number {held}, gaps of the time {gaps}")?;
        }
        Ok(())
    }
}
