//! The pace at which a body has to arrive.

use std::time::Duration;

use tokio::time::Instant;

/// Progress within the time limit that is enough for a small body: 9 kbit/s with a limit of 30 s.
const MIN_PROGRESS_BYTES: usize = 32 << 10;
/// The share of what has arrived that has to arrive within the time limit: the more memory a body occupies, the less
/// time it has for the rest.
const PROGRESS_DIVISOR: usize = 16;

/// The progress of a body, or of one message of a stream.
#[derive(Debug)]
pub(crate) struct BodyPace {
    limit: Duration,
    received: usize,
    /// The number of received bytes at which the time starts anew.
    goal: usize,
    /// The end of the time; `None` if nothing has been awaited since it last started anew.
    deadline: Option<Instant>,
}

impl BodyPace {
    /// Creates the pace of a body that must make progress within `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, received: 0, goal: MIN_PROGRESS_BYTES, deadline: None }
    }

    /// Returns the time limit.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Records that bytes have arrived.
    pub(crate) fn record(&mut self, bytes: usize, now: Instant) {
        self.received = self.received.saturating_add(bytes);
        // If the time has passed although there are bytes, the handler has not waited for them.
        let is_over = self.deadline.is_some_and(|deadline| deadline <= now);
        if is_over || self.received >= self.goal {
            self.deadline = None;
            let progress = MIN_PROGRESS_BYTES.max(self.received / PROGRESS_DIVISOR);
            self.goal = self.received.saturating_add(progress);
        }
    }

    /// Starts anew, for the next message.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Returns the time until which the next bytes may be awaited.
    pub(crate) fn deadline(&mut self, now: Instant) -> Instant {
        *self.deadline.get_or_insert(now + self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Returns the seconds until a body is too slow that has received `already` bytes at once and then `bytes` per
    /// second; `None` if it is fast enough for five minutes.
    fn seconds_until_too_slow(already: usize, bytes: usize) -> Option<u64> {
        let (start, mut pace) = (Instant::now(), BodyPace::new(LIMIT));
        pace.record(already, start);
        (0..300).find(|&second| {
            let now = start + Duration::from_secs(second);
            let is_too_slow = pace.deadline(now) <= now;
            // The bytes arrive a little before the next second.
            pace.record(bytes, now);
            is_too_slow
        })
    }

    #[test]
    fn a_few_bytes_do_not_extend_the_time_and_progress_does() {
        assert_eq!(seconds_until_too_slow(0, 0), Some(30));
        assert_eq!(seconds_until_too_slow(0, 1), Some(30));
        assert_eq!(seconds_until_too_slow(0, 1 << 10), Some(30));
        assert_eq!(seconds_until_too_slow(0, 2 << 10), None);
        // What is enough for a small body is not enough for one that already occupies much memory.
        assert_eq!(seconds_until_too_slow(60 << 20, 2 << 10), Some(30));
        assert_eq!(seconds_until_too_slow(60 << 20, 1 << 20), None);
    }

    #[test]
    fn the_time_in_which_nobody_waits_does_not_count() {
        let (start, mut pace) = (Instant::now(), BodyPace::new(LIMIT));
        assert_eq!(pace.deadline(start), start + LIMIT);
        let later = start + 2 * LIMIT;
        // The bytes were there before the handler came back.
        pace.record(10, later);
        assert_eq!(pace.deadline(later), later + LIMIT);
    }

    #[test]
    fn the_next_message_has_time_of_its_own() {
        let (start, mut pace) = (Instant::now(), BodyPace::new(LIMIT));
        pace.record(60 << 20, start);
        assert_eq!(pace.deadline(start), start + LIMIT);
        pace.restart();
        let later = start + LIMIT / 2;
        assert_eq!(pace.deadline(later), later + LIMIT);
    }
}
