use std::time::{Duration, SystemTime};

use crate::CaptureError;

/// Rate limit on inputs; of the inputs between two tokens the newest is kept.
///
/// A token arrives every `1 / rate` seconds. A token that is used late, because there was no input, does not
/// delay later ones, and tokens do not accumulate: two inputs that pass, with `n` others between them, are
/// more than `n / rate` seconds apart.
#[derive(Debug)]
pub struct RateLimiter<T> {
    /// Time between two tokens.
    interval: Duration,
    /// Arrival of the next token; `None` before the first input.
    next_token_at: Option<SystemTime>,
    pending: Option<T>,
    dropped: u64,
}

impl<T> RateLimiter<T> {
    /// Creates a limit of `rate` inputs per second, from 0.00001 to 1000.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`] for any other rate.
    pub fn new(rate: f64) -> Result<Self, CaptureError> {
        if !(0.00001..=1000.0).contains(&rate) {
            let message = format!("a rate of {rate} per second is out of range: use 0.00001 to 1000");
            return Err(CaptureError::InvalidSetting(message));
        }
        Ok(Self {
            interval: Duration::from_secs_f64(1.0 / rate),
            next_token_at: None,
            pending: None,
            dropped: 0,
        })
    }

    /// Offers an input captured at `now`. Returns it if there is a token; otherwise holds it in place of
    /// the previous one.
    pub fn offer(&mut self, now: SystemTime, input: T) -> Option<T> {
        self.dropped += u64::from(self.pending.replace(input).is_some());
        self.take(now)
    }

    /// Returns the held input if there is a token by now.
    pub fn take(&mut self, now: SystemTime) -> Option<T> {
        self.pending.as_ref()?;
        // A token more than one interval ahead means that the clock was set back.
        let next = self.next_token_at.filter(|next| {
            next.duration_since(now).is_ok_and(|ahead| ahead <= self.interval) || *next <= now
        });
        if next.is_some_and(|next| now < next) {
            return None;
        }
        let scheduled = next.map(|next| next + self.interval).filter(|scheduled| *scheduled > now);
        self.next_token_at = Some(scheduled.unwrap_or(now + self.interval));
        self.pending.take()
    }

    /// Returns the time at which a held input may pass; `None` if no input is held.
    pub fn due(&self) -> Option<SystemTime> {
        self.pending.as_ref().and(self.next_token_at)
    }

    /// Returns the time after `now` at which a held input may pass, at most one interval; `None` if no input is held.
    pub fn wait_time(&self, now: SystemTime) -> Option<Duration> {
        let ahead = self.due()?.duration_since(now).ok();
        // As in `take`, a token further ahead means that the clock was set back, and the input passes at once.
        Some(ahead.filter(|ahead| *ahead <= self.interval).unwrap_or_default())
    }

    /// Returns whether an input is held.
    pub fn is_holding(&self) -> bool {
        self.pending.is_some()
    }

    /// Returns the number of inputs that were replaced by newer ones.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_000_000 + milliseconds)
    }

    #[test]
    fn the_newest_input_passes_when_a_token_is_available() {
        let mut limiter = RateLimiter::new(10.0).unwrap();
        assert_eq!((limiter.due(), limiter.offer(at(0), 'a')), (None, Some('a')));
        assert_eq!(
            (limiter.offer(at(30), 'b'), limiter.offer(at(60), 'c'), limiter.take(at(99))),
            (None, None, None)
        );
        assert_eq!(
            (limiter.due(), limiter.take(at(100)), limiter.take(at(100))),
            (Some(at(100)), Some('c'), None)
        );
        assert_eq!((limiter.offer(at(130), 'd'), limiter.offer(at(240), 'e')), (None, Some('e')));
        assert_eq!(limiter.dropped(), 2);
    }

    #[test]
    fn thirty_uneven_inputs_per_second_become_ten() {
        let mut limiter = RateLimiter::new(10.0).unwrap();
        let times = (0..3000_u64).map(|frame| at(frame * 100 / 3 + frame * 7 % 11));
        let passed = times.filter(|time| limiter.offer(*time, ()).is_some()).count();
        assert!((990..=1001).contains(&passed), "{passed}");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_block_the_inputs() {
        let mut limiter = RateLimiter::new(1.0).unwrap();
        assert!(limiter.offer(at(1_000_000), ()).is_some());
        assert!(limiter.offer(at(0), ()).is_some());
        assert!(limiter.offer(at(500), ()).is_none());
    }

    #[test]
    fn a_held_input_passes_after_the_wait() {
        let mut limiter = RateLimiter::new(10.0).unwrap();
        assert_eq!((limiter.offer(at(0), 'a'), limiter.wait_time(at(0))), (Some('a'), None));
        assert_eq!(limiter.offer(at(30), 'b'), None);
        let wait = limiter.wait_time(at(30)).unwrap();
        assert_eq!((wait, limiter.take(at(30) + wait)), (Duration::from_millis(70), Some('b')));
        assert_eq!((limiter.offer(at(130), 'c'), limiter.wait_time(at(500))), (None, Some(Duration::ZERO)));
        // The clock is set back.
        assert_eq!((limiter.wait_time(at(0)), limiter.take(at(0))), (Some(Duration::ZERO), Some('c')));
    }

    #[test]
    fn a_rate_out_of_range_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
            assert!(RateLimiter::<()>::new(rate).is_err(), "{rate}");
        }
    }

    proptest! {
        #[test]
        fn a_camera_at_the_rate_of_the_limit_loses_nothing(
            jitters in prop::collection::vec(0_u64..100, 1..200),
        ) {
            let mut limiter = RateLimiter::new(10.0).unwrap();
            let mut passed = 0;
            for (number, jitter) in (0..).zip(&jitters) {
                let now = at(100 * number + jitter);
                // A timer takes the held input when its time has come.
                passed += limiter.due().filter(|due| *due <= now).and_then(|due| limiter.take(due)).into_iter().count();
                passed += limiter.offer(now, ()).into_iter().count();
            }
            passed += usize::from(limiter.is_holding());
            prop_assert_eq!((passed, limiter.dropped()), (jitters.len(), 0));
        }

        #[test]
        fn the_rate_is_never_exceeded_and_the_last_input_is_never_lost(
            gaps in prop::collection::vec(0_u64..400, 1..200), rate in 0.5_f64..20.0,
        ) {
            let mut limiter = RateLimiter::new(rate).unwrap();
            let mut now = 0;
            let mut passed = Vec::new();
            for (number, gap) in gaps.iter().enumerate() {
                now += gap;
                passed.extend(limiter.offer(at(now), number).map(|number| (now, number)));
            }
            let end = now + 3000;
            passed.extend(limiter.take(at(end)).map(|number| (end, number)));
            prop_assert_eq!(passed.last().map(|(_, number)| *number), Some(gaps.len() - 1));
            prop_assert_eq!(passed.len() as u64 + limiter.dropped(), gaps.len() as u64);
            for (index, (earlier, _)) in passed.iter().enumerate() {
                for (count, (later, _)) in passed[index + 1..].iter().enumerate() {
                    prop_assert!((later - earlier) as f64 >= count as f64 / rate * 1000.0 - 1e-3);
                }
            }
        }
    }
}
