use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use lopside_archive::UnscoredFrame;
use lopside_telemetry::metrics::meter;

use super::times::now_us;

/// The value that stands for no waiting frame.
const NONE: i64 = i64::MAX;

/// The time of the arrival of the oldest frame that waits for its first score, for the metrics.
#[derive(Debug, Clone)]
pub(super) struct ScoringLag(Arc<AtomicI64>);

impl ScoringLag {
    /// Creates the lag without a waiting frame, and registers its gauge.
    pub(super) fn register() -> Self {
        let lag = Self(Arc::new(AtomicI64::new(NONE)));
        let observed = lag.clone();
        let _ = meter()
            .f64_observable_gauge("lopside.scoring.lag")
            .with_unit("s")
            .with_description("Age of the oldest frame that waits for its first score; 0 without one")
            .with_callback(move |gauge| gauge.observe(observed.waited_us(now_us()) as f64 / 1e6, &[]))
            .build();
        lag
    }

    /// Stores which frames are scored next. Frames with a score of an older head do not wait.
    pub(super) fn begin(&self, frames: &[UnscoredFrame]) {
        let waiting = frames.iter().filter(|frame| !frame.has_older_score);
        self.0.store(waiting.map(|frame| frame.received_us).min().unwrap_or(NONE), Ordering::Relaxed);
    }

    /// Stores that no frame is waiting.
    pub(super) fn clear(&self) {
        self.0.store(NONE, Ordering::Relaxed);
    }

    /// Returns how long the oldest frame has waited, in microseconds.
    fn waited_us(&self, now_us: i64) -> i64 {
        now_us.saturating_sub(self.0.load(Ordering::Relaxed)).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(received_us: i64, has_older_score: bool) -> UnscoredFrame {
        UnscoredFrame { id: 1, latent_space: [0; 8], received_us, has_older_score, frame: Vec::new() }
    }

    #[test]
    fn only_frames_without_a_score_wait() {
        let lag = ScoringLag::register();
        assert_eq!(lag.waited_us(700), 0);
        lag.begin(&[frame(100, true), frame(500, false), frame(600, false)]);
        assert_eq!(lag.waited_us(750), 250);
        assert_eq!(lag.waited_us(400), 0, "a clock that was set back");
        lag.begin(&[frame(100, true)]);
        assert_eq!(lag.waited_us(700), 0);
        lag.begin(&[frame(500, false)]);
        lag.clear();
        assert_eq!(lag.waited_us(700), 0);
    }
}
