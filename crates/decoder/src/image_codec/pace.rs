//! The predicted time of a head's work, from its measured time per pixel.
//!
//! A request is refused before its frames are decoded if the head cannot compute its images by the deadline:
//!
//! - Pixels of admitted requests that are not computed yet count as work ahead, at the recent average time per pixel.
//! - A request without work ahead of it is refused only if it would be late at the best time per pixel that was ever
//!   measured. A slow phase can therefore not refuse all requests forever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Pixels per unit of time measurement, so that nanoseconds per unit are whole numbers.
const PIXELS_PER_UNIT: u64 = 1 << 20;
/// Nanoseconds per second and pixels per megapixel, as a quotient.
const NANOS_PER_SECOND_AND_MEGAPIXEL: f64 = 1e3;
/// Shorter runs are not measured: their fixed costs would make pixels look slow.
pub(super) const MIN_MEASURED_TIME: Duration = Duration::from_millis(5);

/// The measured time per pixel of a head, and the pixels that it has still to compute.
#[derive(Debug, Default)]
pub(super) struct PixelPace {
    /// Recent average, in nanoseconds per unit; 0 before the first measurement.
    average: AtomicU64,
    /// Best measurement, in nanoseconds per unit; 0 before the first one.
    best: AtomicU64,
    ahead: AtomicU64,
}

/// Pixels of a request that count as work of a head until they are computed, or until this value is dropped.
#[derive(Debug)]
pub(super) struct PixelReservation {
    pace: Arc<PixelPace>,
    pixels: u64,
}

/// The expected times of a request with one head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ExpectedTimes {
    /// Time until the head has computed what was admitted before.
    pub(super) wait: Duration,
    /// Average time for the pixels of the request.
    pub(super) run: Duration,
    /// Time for the pixels of the request at the best pace.
    pub(super) best_run: Duration,
}

impl PixelPace {
    /// Returns whether a run was measured.
    pub(super) fn is_measured(&self) -> bool {
        self.average.load(Relaxed) > 0
    }

    /// Returns the recent average time per megapixel in seconds; `None` before the first measurement.
    pub(super) fn seconds_per_megapixel(&self) -> Option<f64> {
        let average = self.average.load(Relaxed);
        let nanos_per_pixel = average as f64 / PIXELS_PER_UNIT as f64;
        (average > 0).then_some(nanos_per_pixel / NANOS_PER_SECOND_AND_MEGAPIXEL)
    }

    /// Records the time of a run, unless it is too short.
    pub(super) fn record(&self, pixels: u64, time: Duration) {
        if time < MIN_MEASURED_TIME {
            return;
        }
        let nanos = time.as_nanos().saturating_mul(PIXELS_PER_UNIT.into()) / u128::from(pixels.max(1));
        let measured = u64::try_from(nanos).unwrap_or(u64::MAX).max(1);
        let before = self.average.load(Relaxed);
        let average = if before == 0 { measured } else { before - before / 8 + measured / 8 };
        self.average.store(average.max(1), Relaxed);
        let best = self.best.load(Relaxed);
        if best == 0 || measured < best {
            self.best.store(measured, Relaxed);
        }
    }

    /// Counts the pixels of a request as work of the head. Also returns the expected times of the request, if
    /// `instances` sessions share the work.
    pub(super) fn reserve(
        self: &Arc<Self>,
        pixels: u64,
        instances: usize,
    ) -> (PixelReservation, ExpectedTimes) {
        let ahead = self.ahead.fetch_add(pixels, Relaxed);
        let (average, best) = (self.average.load(Relaxed), self.best.load(Relaxed));
        let times = ExpectedTimes {
            wait: expected_time(ahead / instances.max(1) as u64, average),
            run: expected_time(pixels, average),
            best_run: expected_time(pixels, best),
        };
        (PixelReservation { pace: Arc::clone(self), pixels }, times)
    }
}

impl PixelReservation {
    /// Removes pixels that were computed.
    pub(super) fn complete(&mut self, pixels: u64) {
        let pixels = pixels.min(self.pixels);
        self.pixels -= pixels;
        self.pace.ahead.fetch_sub(pixels, Relaxed);
    }
}

impl Drop for PixelReservation {
    fn drop(&mut self) {
        self.complete(self.pixels);
    }
}

fn expected_time(pixels: u64, nanos_per_unit: u64) -> Duration {
    let nanos = u128::from(pixels) * u128::from(nanos_per_unit) / u128::from(PIXELS_PER_UNIT);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_wait_is_the_work_ahead_and_ends_with_it() {
        let pace = Arc::new(PixelPace::default());
        pace.record(PIXELS_PER_UNIT, SECOND);
        let (mut first, times) = pace.reserve(3 * PIXELS_PER_UNIT, 1);
        assert_eq!(times, ExpectedTimes { wait: Duration::ZERO, run: 3 * SECOND, best_run: 3 * SECOND });
        first.complete(PIXELS_PER_UNIT);
        let (second, times) = pace.reserve(PIXELS_PER_UNIT, 2);
        assert_eq!((times.wait, times.run), (SECOND, SECOND));
        drop(first);
        drop(second);
        assert_eq!(pace.reserve(1, 1).1.wait, Duration::ZERO);
    }

    #[test]
    fn a_slow_phase_changes_the_average_and_not_the_best() {
        let pace = Arc::new(PixelPace::default());
        assert!(!pace.is_measured() && pace.seconds_per_megapixel().is_none());
        pace.record(PIXELS_PER_UNIT, SECOND);
        for _ in 0..50 {
            pace.record(PIXELS_PER_UNIT, 10 * SECOND);
        }
        let times = pace.reserve(PIXELS_PER_UNIT, 1).1;
        assert!(times.run > 9 * SECOND && times.best_run == SECOND, "{times:?}");
        let seconds_per_megapixel = pace.seconds_per_megapixel().unwrap();
        assert!((8.5..9.6).contains(&seconds_per_megapixel), "{seconds_per_megapixel}");
        // A short run with its fixed costs is not measured.
        pace.record(1, MIN_MEASURED_TIME.saturating_sub(Duration::from_nanos(1)));
        assert_eq!(pace.reserve(PIXELS_PER_UNIT, 1).1.run, times.run);
    }

    #[test]
    fn without_a_measurement_nothing_is_expected() {
        let times = Arc::new(PixelPace::default()).reserve(u64::MAX / 2, 1).1;
        assert_eq!(times, ExpectedTimes::default());
    }
}
