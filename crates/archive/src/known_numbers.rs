use std::ops::RangeInclusive;

use lopside_delivery::Class;

/// Numbers of one class and epoch of a spool that the archive does not need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNumbers {
    /// The class of the records.
    pub class: Class,
    /// The opening of the spool that numbered the records.
    pub epoch: u64,
    /// The numbers that were applied or settled: ascending, with a gap between neighbours, and not empty.
    pub ranges: Vec<RangeInclusive<u64>>,
}
