//! The record numbers that the receiver reports.

use std::ops::RangeInclusive;

/// Record numbers of a class that the receiver has, as ranges in ascending order that do not overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReceivedNumbers(Vec<RangeInclusive<u64>>);

impl ReceivedNumbers {
    /// Merges ranges that may overlap and be in any order.
    pub(crate) fn from_ranges(ranges: &[RangeInclusive<u64>]) -> Self {
        let mut sorted: Vec<RangeInclusive<u64>> =
            ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
        sorted.sort_unstable_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<u64>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// Returns the number of records in the range `numbers` that the receiver has.
    pub(crate) fn count(&self, numbers: &RangeInclusive<u64>) -> u64 {
        self.0.iter().map(|range| count_common(range, numbers)).sum()
    }

    /// Returns the last number of the unbroken run that begins at `first` and that the receiver has; `first -
    /// 1` if it does not have `first`.
    pub(crate) fn end_of_run(&self, first: u64) -> u64 {
        self.0.iter().find(|range| range.contains(&first)).map_or(first - 1, |range| *range.end())
    }

    /// Returns the highest number that the receiver has; 0 for none.
    pub(crate) fn last(&self) -> u64 {
        self.0.last().map_or(0, |range| *range.end())
    }

    /// Drops the ranges that end at or before `number`.
    pub(crate) fn drop_up_to(&mut self, number: u64) {
        self.0.retain(|range| *range.end() > number);
    }
}

/// Returns the number of records that are in both ranges.
fn count_common(range: &RangeInclusive<u64>, other: &RangeInclusive<u64>) -> u64 {
    let (first, last) = (*range.start().max(other.start()), *range.end().min(other.end()));
    if first > last { 0 } else { last - first + 1 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_equal_the_numbers_in_them(ranges in prop::collection::vec((1..60_u64, 0..9_u64), 0..12), first in 1..70_u64, len in 0..20_u64) {
            let ranges: Vec<RangeInclusive<u64>> = ranges.into_iter().map(|(first, len)| first..=first + len).collect();
            let numbers: BTreeSet<u64> = ranges.iter().cloned().flatten().collect();
            let mut received = ReceivedNumbers::from_ranges(&ranges);
            let queried = first..=first + len;
            prop_assert_eq!(received.count(&queried), numbers.range(queried).count() as u64);
            let run = (first..=100).take_while(|number| numbers.contains(number)).last();
            prop_assert_eq!(received.end_of_run(first), run.unwrap_or(first - 1));
            prop_assert_eq!(received.last(), numbers.last().copied().unwrap_or(0));
            received.drop_up_to(first);
            prop_assert_eq!(received.count(&(first + 1..=100)), numbers.range(first + 1..).count() as u64);
        }
    }
}
