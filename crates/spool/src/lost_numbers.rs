use crate::number_ranges::NumberRanges;

/// Maximum number of ranges.
pub(crate) const MAX_LOST_RANGES: usize = 4;

/// Records that were counted as lost, because a receiver that was set back to an earlier state does not have
/// them any more, and neither does the spool. A receiver reports them again on each connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LostNumbers([[u64; 2]; MAX_LOST_RANGES]);

impl LostNumbers {
    /// Creates the numbers from the first and the last number of each range; 0 for an unused one.
    pub(crate) fn from_bounds(bounds: [[u64; 2]; MAX_LOST_RANGES]) -> Self {
        Self(bounds)
    }

    /// Returns the first and the last number of each range; 0 for an unused one.
    pub(crate) fn bounds(self) -> [[u64; 2]; MAX_LOST_RANGES] {
        self.0
    }

    /// Returns the numbers.
    pub(crate) fn to_ranges(self) -> NumberRanges {
        NumberRanges::from_ranges(&self.0.map(|[first, last]| first..=last))
    }

    /// Adds numbers, and returns how many of them are new. `first_stored` is the number of the first record
    /// that the spool still has.
    ///
    /// If there are too many ranges, the gaps between the lowest ones are closed. A record of the spool must
    /// not get into such a gap: it would not be sent again if it was lost. Numbers that do not fit are
    /// therefore forgotten, and may be counted twice.
    pub(crate) fn insert(&mut self, numbers: &NumberRanges, first_stored: u64) -> u64 {
        let known = self.to_ranges();
        let new_count = numbers.without(&known).total();
        let mut all = known;
        all.add(numbers);
        let mut ranges = all.ranges().to_vec();
        while ranges.len() > MAX_LOST_RANGES && *ranges[1].end() < first_stored {
            let first = *ranges[0].start();
            ranges.remove(0);
            ranges[0] = first..=*ranges[0].end();
        }
        self.0 = [[0; 2]; MAX_LOST_RANGES];
        for (bounds, range) in self.0.iter_mut().zip(ranges) {
            *bounds = [*range.start(), *range.end()];
        }
        new_count
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;

    fn ranges(ranges: &[RangeInclusive<u64>]) -> NumberRanges {
        NumberRanges::from_ranges(ranges)
    }

    #[test]
    fn a_number_is_counted_once() {
        let mut lost = LostNumbers::default();
        assert!(lost.to_ranges().is_empty());
        assert_eq!(lost.insert(&ranges(&[3..=5, 9..=9]), 20), 4);
        assert_eq!(lost.insert(&ranges(&[1..=10]), 20), 6);
        assert_eq!(lost.insert(&ranges(&[2..=4, 9..=10]), 20), 0);
        assert_eq!(lost.to_ranges(), ranges(&[1..=10]));
        assert_eq!(LostNumbers::from_bounds(lost.bounds()), lost);
    }

    #[test]
    fn no_record_of_the_spool_gets_into_a_closed_gap() {
        let spread: Vec<RangeInclusive<u64>> = (1..=6).map(|index| 10 * index..=10 * index + 1).collect();
        let mut lost = LostNumbers::default();
        assert_eq!(lost.insert(&ranges(&spread), 100), 12);
        assert_eq!(lost.to_ranges(), ranges(&[10..=31, 40..=41, 50..=51, 60..=61]));
        assert_eq!(lost.insert(&ranges(&spread), 100), 0);
        let mut lost = LostNumbers::default();
        assert_eq!(lost.insert(&ranges(&spread), 25), 12);
        assert_eq!(lost.to_ranges(), ranges(&[10..=21, 30..=31, 40..=41, 50..=51]));
        assert_eq!(lost.insert(&ranges(&spread), 25), 2, "the last range did not fit");
    }
}
