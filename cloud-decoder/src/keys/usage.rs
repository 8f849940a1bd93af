//! Usage of the limits of a key: a token bucket for the rate, and a counter for the day.
//!
//! Both are kept in memory: each server counts separately, and a restart resets them. A refused request is not
//! counted. A stream counts once, at its start.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::Denied;

const SECONDS_A_DAY: u64 = 86_400;

/// The limits of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quota {
    /// Requests per second in the long run; `None` is unlimited.
    pub(crate) per_second: Option<f64>,
    /// Requests at once after a pause; at least 1.
    pub(crate) burst: f64,
    /// Requests from midnight to midnight UTC; `None` is unlimited.
    pub(crate) per_day: Option<u64>,
}

/// The current time on two clocks: the monotonic clock and the calendar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) date: SystemTime,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { instant: Instant::now(), date: SystemTime::now() }
    }

    /// Returns the calendar time in Unix seconds.
    fn seconds(self) -> u64 {
        self.date.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// The usage of one key.
#[derive(Debug, Default)]
pub(crate) struct Usage(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    /// Requests left in the bucket at that time; `None` before the first request.
    bucket: Option<(f64, Instant)>,
    /// The day, counted from 1970-01-01, and the number of requests on that day.
    day: (u64, u64),
}

impl Usage {
    /// Counts one request, or returns [`Denied::Rate`] or [`Denied::Quota`] with the time to wait.
    pub(crate) fn take(&self, quota: &Quota, now: Now) -> Result<(), Denied> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let today = now.seconds() / SECONDS_A_DAY;
        let so_far = if used.day.0 == today { used.day.1 } else { 0 };
        if quota.per_day.is_some_and(|most| so_far >= most) {
            let midnight = (today + 1) * SECONDS_A_DAY;
            return Err(Denied::Quota(Duration::from_secs(midnight - now.seconds())));
        }
        if let Some(per_second) = quota.per_second {
            let left = match used.bucket {
                Some((left, then)) => {
                    left + now.instant.saturating_duration_since(then).as_secs_f64() * per_second
                }
                None => quota.burst,
            };
            let left = left.min(quota.burst);
            if left < 1.0 {
                let wait = Duration::try_from_secs_f64((1.0 - left) / per_second).unwrap_or(Duration::MAX);
                return Err(Denied::Rate(wait));
            }
            used.bucket = Some((left - 1.0, now.instant));
        }
        used.day = (today, so_far + 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn later(now: Now, time: Duration) -> Now {
        Now { instant: now.instant + time, date: now.date + time }
    }

    fn start() -> Now {
        Now {
            instant: Instant::now(),
            date: SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS_A_DAY - 10),
        }
    }

    #[test]
    fn after_a_burst_requests_come_at_their_rate() {
        let quota = Quota { per_second: Some(4.0), burst: 2.0, per_day: None };
        let (usage, now) = (Usage::default(), start());
        assert!(usage.take(&quota, now).is_ok() && usage.take(&quota, now).is_ok());
        assert_eq!(usage.take(&quota, now), Err(Denied::Rate(Duration::from_millis(250))));
        assert!(usage.take(&quota, later(now, Duration::from_millis(250))).is_ok());
        let rested = later(now, Duration::from_secs(100));
        assert!(usage.take(&quota, rested).is_ok() && usage.take(&quota, rested).is_ok());
        assert!(usage.take(&quota, rested).is_err(), "a pause saves up at most one burst");
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let quota = Quota { per_second: None, burst: 1.0, per_day: Some(2) };
        let (usage, now) = (Usage::default(), start());
        assert!(usage.take(&quota, now).is_ok() && usage.take(&quota, now).is_ok());
        assert_eq!(usage.take(&quota, now), Err(Denied::Quota(Duration::from_secs(10))));
        assert!(usage.take(&quota, later(now, Duration::from_secs(10))).is_ok());
    }

    proptest! {
        #[test]
        fn no_more_than_burst_and_rate_ever_pass(
            per_second in 0.1f64..100.0,
            burst in 1u32..20,
            pauses in prop::collection::vec(0u64..500, 1..200),
        ) {
            let quota = Quota { per_second: Some(per_second), burst: burst.into(), per_day: None };
            let (usage, start) = (Usage::default(), start());
            let (mut time, mut passed) = (Duration::ZERO, 0u32);
            for pause in pauses {
                time += Duration::from_millis(pause);
                passed += u32::from(usage.take(&quota, later(start, time)).is_ok());
                let most = f64::from(burst) + per_second * time.as_secs_f64();
                prop_assert!(f64::from(passed) <= most + 1e-6, "{passed} of {most}");
            }
        }
    }
}
