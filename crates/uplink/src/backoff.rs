use std::time::Duration;

use rand::RngExt as _;

/// The longest pause that is drawn after the first failure.
const FIRST: Duration = Duration::from_millis(500);

/// How long to wait before the next try: at random up to a limit that doubles with each failure ("full jitter"), so that
/// devices which lost the cloud together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    limit: Duration,
    most: Duration,
}

impl Backoff {
    /// At most so long.
    pub(crate) fn new(most: Duration) -> Self {
        Self { limit: FIRST.min(most), most }
    }

    /// The next pause, or what the other side has asked for when that is longer.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let pause = self.limit.mul_f64(rand::rng().random());
        self.limit = (2 * self.limit).min(self.most);
        pause.max(asked.unwrap_or_default())
    }

    /// The next failure is a first one again.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_under_a_limit_that_doubles() {
        let mut backoff = Backoff::new(Duration::from_secs(3));
        for limit in [500, 1000, 2000, 3000, 3000] {
            assert!(backoff.next(None) <= Duration::from_millis(limit));
        }
        backoff.reset();
        assert!(backoff.next(None) <= FIRST);
        let asked = Duration::from_mins(1);
        assert_eq!(backoff.next(Some(asked)), asked);
    }
}
