//! Windows of a time series, the inputs of a model of fixed size, and the mapping of their scores back to
//! points.

use std::ops::Range;

use super::{Scaling, TimeSeries};
use crate::DataError;

/// Scaled windows, `[n, length, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesWindows {
    /// The values, window after window, each point after point.
    pub values: Vec<f32>,
    /// The first point of each window, in ascending order.
    pub starts: Vec<usize>,
    /// Length of a window, in points.
    pub length: usize,
    /// Numbers per point.
    pub channels: usize,
}

impl TimeSeries {
    /// Returns windows of `length` points, of each part without a gap: one every `stride` points, and one that ends with
    /// the part, so that every point is covered. A part that is shorter than a window has none.
    ///
    /// # Errors
    /// [`DataError::InvalidWindow`] when length or stride is 0, the stride exceeds the length, or all parts are
    /// shorter than a window.
    pub fn windows(
        &self,
        length: usize,
        stride: usize,
        scaling: &Scaling,
    ) -> Result<SeriesWindows, DataError> {
        let points = self.parts().map(|part| part.end - part.start).max().unwrap_or(0);
        if !(1..=length).contains(&stride) || points < length {
            return Err(DataError::InvalidWindow { length, stride, points });
        }
        let channels = self.channels.len();
        let starts: Vec<usize> = self.parts().flat_map(|part| window_starts(&part, length, stride)).collect();
        let scaled = scaling.apply(&self.values);
        let values = starts
            .iter()
            .flat_map(|start| &scaled[start * channels..(start + length) * channels])
            .copied()
            .collect();
        Ok(SeriesWindows { values, starts, length, channels })
    }
}

/// Returns the first points of the windows of a part without a gap.
fn window_starts(part: &Range<usize>, length: usize, stride: usize) -> Vec<usize> {
    let Some(last) = part.end.checked_sub(length).filter(|last| *last >= part.start) else {
        return Vec::new();
    };
    let mut starts: Vec<usize> = (part.start..=last).step_by(stride).collect();
    if !(last - part.start).is_multiple_of(stride) {
        starts.push(last);
    }
    starts
}

impl SeriesWindows {
    /// Returns the number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Returns the values of one window, `[length, channels]`.
    #[must_use]
    pub fn window(&self, index: usize) -> &[f32] {
        &self.values[index * self.window_len()..][..self.window_len()]
    }

    /// Returns the number of values per window.
    #[must_use]
    pub fn window_len(&self) -> usize {
        self.length * self.channels
    }

    /// Returns whether each window contains a flagged point.
    #[must_use]
    pub fn flag_windows(&self, points: &[bool]) -> Vec<bool> {
        self.starts.iter().map(|&start| points[start..start + self.length].contains(&true)).collect()
    }

    /// Returns the flags of the points that have a [score](Self::point_scores).
    #[must_use]
    pub fn flag_points(&self, points: &[bool]) -> Vec<bool> {
        self.covered_points().map(|point| points[point]).collect()
    }

    /// Returns the score of every point that a window covers, in their order: the mean over these windows.
    #[must_use]
    pub fn point_scores(&self, scores: &[f64]) -> Vec<f64> {
        let points = self.starts.last().map_or(0, |last| last + self.length);
        let (mut sums, mut counts) = (vec![0.0; points], vec![0_u32; points]);
        for (&start, score) in self.starts.iter().zip(scores) {
            for point in start..start + self.length {
                sums[point] += score;
                counts[point] += 1;
            }
        }
        self.covered_points().map(|point| sums[point] / f64::from(counts[point].max(1))).collect()
    }

    /// Returns the points that at least one window covers, in ascending order.
    fn covered_points(&self) -> impl Iterator<Item = usize> {
        let mut covered_to = 0;
        self.starts.iter().flat_map(move |&start| {
            let first = start.max(covered_to);
            covered_to = start + self.length;
            first..covered_to
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: usize) -> TimeSeries {
        TimeSeries {
            channels: vec!["a".into(), "b".into()],
            values: (0..2 * points).map(|i| i as f32).collect(),
            anomalies: (0..points).map(|point| point == 3).collect(),
            gaps: Vec::new(),
        }
    }

    fn unscaled() -> Scaling {
        Scaling { mean: vec![0.0; 2], deviation: vec![1.0; 2] }
    }

    #[test]
    fn the_last_window_ends_with_the_series() {
        let windows = series(8).windows(3, 2, &unscaled()).unwrap();
        assert_eq!(windows.starts, [0, 2, 4, 5]);
        assert_eq!((windows.len(), windows.window_len()), (4, 6));
        assert_eq!(windows.values[18..], [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]);
        assert_eq!(windows.flag_windows(&series(8).anomalies), [false, true, false, false]);
    }

    #[test]
    fn no_window_contains_a_gap() {
        // The parts have 5, 2 and 4 points; the second is shorter than a window.
        let series = TimeSeries { gaps: vec![5, 7], ..series(11) };
        let windows = series.windows(3, 2, &unscaled()).unwrap();
        assert_eq!(windows.starts, [0, 2, 7, 8]);
        assert_eq!(windows.window(2)[..2], [14.0, 15.0]);
        // The points 5 and 6 have no score.
        let scores = windows.point_scores(&[1.0, 2.0, 4.0, 6.0]);
        assert_eq!(scores, [1.0, 1.0, 1.5, 2.0, 2.0, 4.0, 5.0, 5.0, 6.0]);
        let flags: Vec<bool> = (0..11).map(|point| point % 2 == 1).collect();
        let expected = [false, true, false, true, false, true, false, true, false];
        assert_eq!(windows.flag_points(&flags), expected);
        let error = series.windows(6, 1, &unscaled()).unwrap_err();
        assert!(matches!(error, DataError::InvalidWindow { points: 5, .. }), "{error}");
    }

    #[test]
    fn a_point_has_the_mean_of_its_windows() {
        let windows = series(5).windows(3, 1, &unscaled()).unwrap();
        assert_eq!(windows.point_scores(&[1.0, 2.0, 6.0]), [1.0, 1.5, 3.0, 4.0, 6.0]);
    }

    #[test]
    fn windows_that_leave_gaps_or_do_not_fit_are_refused() {
        for (length, stride) in [(0, 0), (3, 0), (3, 4), (6, 1)] {
            let error = series(5).windows(length, stride, &unscaled()).unwrap_err();
            assert!(matches!(error, DataError::InvalidWindow { points: 5, .. }), "{error}");
        }
    }
}
