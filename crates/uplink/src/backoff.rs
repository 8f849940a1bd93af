use std::time::Duration;

use rand::RngExt as _;

/// Upper limit of the pause after the first failure.
const FIRST_LIMIT: Duration = Duration::from_millis(500);

/// Random waiting time before the next attempt, up to a limit that doubles with each failure ("full jitter").
/// The randomness keeps devices that lost the cloud together from reconnecting together.
#[derive(Debug)]
pub(crate) struct Backoff {
    limit: Duration,
    max_pause: Duration,
}

impl Backoff {
    /// Creates a backoff whose pauses are at most `most`.
    pub(crate) fn new(max_pause: Duration) -> Self {
        Self { limit: FIRST_LIMIT.min(max_pause), max_pause }
    }

    /// Returns the next pause, or the pause that the server asked for if that is longer.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let pause = self.limit.mul_f64(rand::rng().random());
        self.limit = (2 * self.limit).min(self.max_pause);
        pause.max(retry_after.unwrap_or_default())
    }

    /// Resets the limit to that of a first failure.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.max_pause);
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
        assert!(backoff.next(None) <= FIRST_LIMIT);
        let retry_after = Duration::from_mins(1);
        assert_eq!(backoff.next(Some(retry_after)), retry_after);
    }
}
