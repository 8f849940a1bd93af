use std::ops::RangeInclusive;

use lopside_delivery::Class;

/// Numbers of one class of a spool that an archive has acknowledged and that this archive does not know, because it
/// was set back to an earlier state. Some of them may be records that the device dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostNumbers {
    /// The class of the records.
    pub class: Class,
    /// The numbers, which are not empty.
    pub numbers: RangeInclusive<u64>,
}

impl LostNumbers {
    /// Returns how many numbers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.numbers.end() - self.numbers.start()).saturating_add(1)
    }
}
