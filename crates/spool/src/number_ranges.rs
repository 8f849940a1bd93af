//! Record numbers as ranges: those that a receiver reports, and those that are missing.

use std::ops::RangeInclusive;

/// Record numbers of a class, as ranges in ascending order that neither overlap nor touch. The number 0 does
/// not belong to any record and is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NumberRanges(Vec<RangeInclusive<u64>>);

impl NumberRanges {
    /// Merges ranges that may overlap and be in any order.
    pub(crate) fn from_ranges(ranges: &[RangeInclusive<u64>]) -> Self {
        let ranges = ranges.iter().map(|range| (*range.start()).max(1)..=*range.end());
        let mut sorted: Vec<RangeInclusive<u64>> = ranges.filter(|range| !range.is_empty()).collect();
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

    /// Returns the ranges.
    pub(crate) fn ranges(&self) -> &[RangeInclusive<u64>] {
        &self.0
    }

    /// Returns whether there are no numbers.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the lowest number; `None` if there are no numbers.
    pub(crate) fn first(&self) -> Option<u64> {
        self.0.first().map(|range| *range.start())
    }

    /// Returns the lowest number that is at least `number`; `None` if there is none.
    pub(crate) fn first_from(&self, number: u64) -> Option<u64> {
        self.within(&(number..=u64::MAX)).first()
    }

    /// Returns the highest number; 0 if there are no numbers.
    pub(crate) fn last(&self) -> u64 {
        self.0.last().map_or(0, |range| *range.end())
    }

    /// Returns the highest number that is at most `number`; 0 if there is none.
    pub(crate) fn last_up_to(&self, number: u64) -> u64 {
        let below = self.0.iter().rev().find(|range| *range.start() <= number);
        below.map_or(0, |range| number.min(*range.end()))
    }

    /// Returns the number of numbers.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|range| range.end() - range.start() + 1).sum()
    }

    /// Returns the last number of the unbroken run that begins at `first`; `first - 1` if `first` is not among
    /// the numbers.
    pub(crate) fn end_of_run(&self, first: u64) -> u64 {
        self.0.iter().find(|range| range.contains(&first)).map_or(first - 1, |range| *range.end())
    }

    /// Returns the numbers that are in the range `numbers`.
    pub(crate) fn within(&self, numbers: &RangeInclusive<u64>) -> Self {
        let common =
            self.0.iter().map(|range| *range.start().max(numbers.start())..=*range.end().min(numbers.end()));
        Self(common.filter(|range| !range.is_empty()).collect())
    }

    /// Returns the numbers of the range `numbers` that are not among these.
    pub(crate) fn missing_from(&self, numbers: &RangeInclusive<u64>) -> Self {
        let (mut next, end) = ((*numbers.start()).max(1), *numbers.end());
        let mut missing = Vec::new();
        for range in self.within(numbers).0 {
            let before = range.start() - 1;
            if next <= before {
                missing.push(next..=before);
            }
            let Some(after) = range.end().checked_add(1) else { return Self(missing) };
            next = after;
        }
        if next <= end {
            missing.push(next..=end);
        }
        Self(missing)
    }

    /// Returns the numbers that are not among `others`.
    pub(crate) fn without(&self, others: &Self) -> Self {
        Self(self.0.iter().flat_map(|range| others.missing_from(range).0).collect())
    }

    /// Adds the numbers of `others`.
    pub(crate) fn add(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
        *self = Self::from_ranges(&self.0);
    }

    /// Drops the ranges that end at or before `number`.
    pub(crate) fn drop_up_to(&mut self, number: u64) {
        self.0.retain(|range| *range.end() > number);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges() -> impl Strategy<Value = Vec<RangeInclusive<u64>>> {
        let range = (0..60_u64, 0..9_u64).prop_map(|(first, len)| first..=first + len);
        prop::collection::vec(range, 0..12)
    }

    fn numbers_in(ranges: &[RangeInclusive<u64>]) -> BTreeSet<u64> {
        ranges.iter().cloned().flatten().filter(|&number| number > 0).collect()
    }

    fn set_of(ranges: &NumberRanges) -> BTreeSet<u64> {
        assert!(ranges.0.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start()), "{ranges:?}");
        numbers_in(&ranges.0)
    }

    proptest! {
        #[test]
        fn ranges_equal_the_numbers_in_them(ranges in ranges(), first in 1..70_u64) {
            let numbers = numbers_in(&ranges);
            let mut merged = NumberRanges::from_ranges(&ranges);
            prop_assert_eq!(&set_of(&merged), &numbers);
            let run = (first..=100).take_while(|number| numbers.contains(number)).last();
            prop_assert_eq!(merged.end_of_run(first), run.unwrap_or(first - 1));
            prop_assert_eq!(merged.last_up_to(first), numbers.range(..=first).next_back().copied().unwrap_or(0));
            prop_assert_eq!((merged.first(), merged.is_empty()), (numbers.first().copied(), numbers.is_empty()));
            prop_assert_eq!(merged.first_from(first), numbers.range(first..).next().copied());
            prop_assert_eq!((merged.last(), merged.total()), (numbers.last().copied().unwrap_or(0), numbers.len() as u64));
            merged.drop_up_to(first);
            prop_assert_eq!(merged.within(&(first + 1..=100)).total(), numbers.range(first + 1..).count() as u64);
        }

        #[test]
        fn sums_and_differences_equal_those_of_the_numbers(ranges in ranges(), others in ranges(), first in 1..70_u64, len in 0..20_u64) {
            let (numbers, other_numbers) = (numbers_in(&ranges), numbers_in(&others));
            let (merged, others) = (NumberRanges::from_ranges(&ranges), NumberRanges::from_ranges(&others));
            let queried = first..=first + len;
            let within: BTreeSet<u64> = numbers.range(queried.clone()).copied().collect();
            prop_assert_eq!(set_of(&merged.within(&queried)), within);
            let missing: BTreeSet<u64> = queried.clone().filter(|number| !numbers.contains(number)).collect();
            prop_assert_eq!(set_of(&merged.missing_from(&queried)), missing);
            prop_assert_eq!(set_of(&merged.without(&others)), &numbers - &other_numbers);
            let mut sum = merged;
            sum.add(&others);
            prop_assert_eq!(set_of(&sum), &numbers | &other_numbers);
        }
    }

    #[test]
    fn the_highest_number_does_not_overflow() {
        let all = NumberRanges::from_ranges(&[0..=u64::MAX]);
        assert_eq!((all.total(), all.last_up_to(u64::MAX)), (u64::MAX, u64::MAX));
        assert!(all.missing_from(&(5..=u64::MAX)).is_empty());
    }
}
