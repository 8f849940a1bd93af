//! The watermark of a stream: which of its numbers were applied. It is kept for ever, so that a replayed
//! record is applied only once.
//!
//! ```text
//!           floor
//! 1 ………………… │ 7 8 9 · · 12 13 · …
//!   settled  │ ranges above it
//! ```
//! Numbers up to the floor are settled: they were applied, or the device dropped them. They are not applied any
//! more. The ranges above the floor were applied; they are ascending, with a gap between neighbours. The device
//! raises the floor as it learns which records have arrived, so the ranges stay few.

use std::{fmt, ops::RangeInclusive};

/// A floor, and the ranges of numbers applied above it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watermark {
    floor: u64,
    ranges: Vec<RangeInclusive<u64>>,
}

impl Watermark {
    /// Returns the number up to which all numbers are settled.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Returns the ranges applied above the floor: ascending, with a gap between neighbours.
    #[must_use]
    pub fn ranges(&self) -> &[RangeInclusive<u64>] {
        &self.ranges
    }

    /// Returns the highest number that was applied or settled; 0 if there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.ranges.last().map_or(self.floor, |range| *range.end())
    }

    /// Settles all numbers up to `floor`. A lower value than before is ignored.
    pub fn raise(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        let obsolete = self.ranges.partition_point(|range| *range.end() <= self.floor);
        self.ranges.drain(..obsolete);
        if let Some(first) = self.ranges.first_mut()
            && let Some(rest) = part_above(self.floor, first)
        {
            *first = rest;
        }
    }

    /// Applies a run of numbers, and returns those that are new, ascending.
    pub fn insert(&mut self, run: RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let Some(run) = part_above(self.floor, &run) else { return Vec::new() };
        let (start, end) = run.into_inner();
        // Neighbours without a gap between them become one range.
        let first_index = self.ranges.partition_point(|range| range.end().saturating_add(1) < start);
        let end_index = self.ranges.partition_point(|range| *range.start() <= end.saturating_add(1));
        let overlapping = &self.ranges[first_index..end_index];
        let merged = RangeInclusive::new(
            overlapping.first().map_or(start, |range| start.min(*range.start())),
            overlapping.last().map_or(end, |range| end.max(*range.end())),
        );
        let new_ranges = find_gaps(start..=end, overlapping);
        self.ranges.splice(first_index..end_index, [merged]);
        new_ranges
    }

    /// Returns the numbers from `from` on that are applied or settled, ascending.
    #[must_use]
    pub fn covered_from(&self, from: u64) -> Vec<RangeInclusive<u64>> {
        let settled = from.max(1)..=self.floor;
        let ranges = self.ranges.iter().map(|range| from.max(*range.start())..=*range.end());
        let mut covered = Self::default();
        for range in [settled].into_iter().chain(ranges) {
            covered.insert(range);
        }
        covered.ranges
    }

    /// Returns the ranges as text, `7-9,12-13`.
    #[must_use]
    pub fn ranges_text(&self) -> String {
        RangesText(&self.ranges).to_string()
    }

    /// Builds a watermark from a floor and the text of [`ranges_text`](Self::ranges_text). Returns `None` if
    /// the text is invalid.
    #[must_use]
    pub fn parse(floor: u64, ranges: &str) -> Option<Self> {
        let mut parsed = Vec::new();
        let mut last = floor;
        for (index, range) in ranges.split(',').filter(|_| !ranges.is_empty()).enumerate() {
            let (start, end) = range.split_once('-')?;
            let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
            // The first range may begin directly above the floor.
            let min_start = last.checked_add(if index == 0 { 1 } else { 2 })?;
            if start < min_start || end < start {
                return None;
            }
            last = end;
            parsed.push(start..=end);
        }
        Some(Self { floor, ranges: parsed })
    }
}

/// Returns the part of a range above the floor, or `None` if the range ends at or below it.
fn part_above(floor: u64, range: &RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
    let start = floor.checked_add(1)?.max(*range.start());
    (start <= *range.end()).then(|| start..=*range.end())
}

/// Returns the parts of a run that are in none of the ranges, which must be ascending.
fn find_gaps(run: RangeInclusive<u64>, ranges: &[RangeInclusive<u64>]) -> Vec<RangeInclusive<u64>> {
    let (start, end) = run.into_inner();
    let mut next = Some(start);
    let mut gaps = Vec::new();
    for range in ranges {
        let Some(start) = next else { break };
        if start < *range.start() {
            gaps.push(start..=end.min(range.start() - 1));
        }
        next = range.end().checked_add(1).map(|after| after.max(start));
    }
    gaps.extend(next.map(|start| start..=end).filter(|rest| !rest.is_empty()));
    gaps
}

struct RangesText<'a>(&'a [RangeInclusive<u64>]);

impl fmt::Display for RangesText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{}-{}", range.start(), range.end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const MAX_NUMBER: u64 = 60;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u64, u64),
        Raise(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let insert =
            (1..MAX_NUMBER, 0..8_u64).prop_map(|(start, length)| Step::Insert(start, start + length));
        let raise = (0..MAX_NUMBER).prop_map(Step::Raise);
        prop::collection::vec(prop_oneof![5 => insert, 1 => raise], 0..40)
    }

    fn numbers(ranges: &[RangeInclusive<u64>]) -> Vec<u64> {
        ranges.iter().cloned().flatten().collect()
    }

    /// The expected behaviour, implemented with a set of numbers.
    #[derive(Default)]
    struct Model {
        floor: u64,
        applied: BTreeSet<u64>,
    }

    impl Model {
        fn step(&mut self, watermark: &mut Watermark, step: &Step) {
            match *step {
                Step::Insert(start, end) => {
                    let unsettled = (start..=end).filter(|number| *number > self.floor);
                    let expected: Vec<u64> =
                        unsettled.filter(|number| self.applied.insert(*number)).collect();
                    assert_eq!(numbers(&watermark.insert(start..=end)), expected);
                }
                Step::Raise(floor) => {
                    self.floor = self.floor.max(floor);
                    self.applied.retain(|number| *number > self.floor);
                    watermark.raise(floor);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_watermark_equals_a_floor_and_a_set_of_numbers(steps in steps(), from in 0..MAX_NUMBER) {
            let (mut watermark, mut model) = (Watermark::default(), Model::default());
            for step in &steps {
                model.step(&mut watermark, step);
                prop_assert_eq!(watermark.floor(), model.floor);
                prop_assert_eq!(numbers(watermark.ranges()), model.applied.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(watermark.last(), model.applied.last().copied().unwrap_or(model.floor));
                prop_assert!(watermark.ranges().is_sorted_by(|a, b| a.end() + 1 < *b.start()), "{:?}", watermark);
            }
            let covered = (from.max(1)..=2 * MAX_NUMBER).filter(|n| *n <= model.floor || model.applied.contains(n));
            prop_assert_eq!(numbers(&watermark.covered_from(from)), covered.collect::<Vec<_>>());
        }

        #[test]
        fn a_watermark_survives_its_text_form(steps in steps()) {
            let (mut watermark, mut model) = (Watermark::default(), Model::default());
            for step in &steps {
                model.step(&mut watermark, step);
            }
            prop_assert_eq!(Watermark::parse(watermark.floor(), &watermark.ranges_text()), Some(watermark));
        }
    }

    #[test]
    fn the_smallest_and_the_largest_numbers_are_accepted() {
        let mut watermark = Watermark::default();
        assert_eq!(watermark.insert(u64::MAX - 1..=u64::MAX), [u64::MAX - 1..=u64::MAX]);
        assert_eq!(watermark.insert(u64::MAX..=u64::MAX), []);
        assert_eq!(watermark.insert(0..=2), [1..=2], "0 is not a record number");
        watermark.raise(u64::MAX);
        assert_eq!((watermark.insert(1..=u64::MAX), watermark.ranges()), (Vec::new(), &[][..]));
    }

    #[test]
    fn text_of_no_watermark_is_refused() {
        for ranges in ["5", "5-", "5-4", "3-5", "6-7,8-9", "8-9,6-6", "6-7,", "-6", "6-7;9-9"] {
            assert_eq!(Watermark::parse(5, ranges), None, "{ranges}");
        }
        assert_eq!(Watermark::parse(5, "6-7,9-9").unwrap().ranges(), [6..=7, 9..=9]);
    }
}
