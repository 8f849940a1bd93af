//! Usage of the limits of a key: a token bucket for the rate, and a counter for the day.
//!
//! Both are kept in memory: each server counts separately, and a restart resets them. A refused request is not
//! counted. A stream counts once, at its start.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::Denial;

const SECONDS_PER_DAY: u64 = 86_400;

/// The limits of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KeyLimits {
    /// Requests per second in the long run; `None` is unlimited.
    pub(crate) requests_per_second: Option<f64>,
    /// Requests at once after a pause; at least 1.
    pub(crate) burst: f64,
    /// Requests from midnight to midnight UTC; `None` is unlimited.
    pub(crate) requests_per_day: Option<u64>,
}

/// The current time on two clocks: the monotonic clock and the calendar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CurrentTime {
    pub(crate) instant: Instant,
    pub(crate) date: SystemTime,
}

impl CurrentTime {
    pub(crate) fn read() -> Self {
        Self { instant: Instant::now(), date: SystemTime::now() }
    }

    /// Returns the calendar time in Unix seconds.
    fn unix_seconds(self) -> u64 {
        self.date.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// The usage of one key.
#[derive(Debug, Default)]
pub(crate) struct KeyUsage(Mutex<UsageState>);

#[derive(Debug, Default)]
struct UsageState {
    /// Requests left in the bucket at that time; `None` before the first request.
    tokens: Option<(f64, Instant)>,
    /// The day, counted from 1970-01-01, and the number of requests on that day.
    day_count: (u64, u64),
}

impl KeyUsage {
    /// Counts one request, or returns [`Denial::RateLimited`] or [`Denial::QuotaExceeded`] with the time to wait.
    pub(crate) fn count_request(&self, limits: &KeyLimits, now: CurrentTime) -> Result<(), Denial> {
        let mut usage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let today = now.unix_seconds() / SECONDS_PER_DAY;
        let requests_today = if usage.day_count.0 == today { usage.day_count.1 } else { 0 };
        if limits.requests_per_day.is_some_and(|limit| requests_today >= limit) {
            let midnight = (today + 1) * SECONDS_PER_DAY;
            return Err(Denial::QuotaExceeded(Duration::from_secs(midnight - now.unix_seconds())));
        }
        if let Some(per_second) = limits.requests_per_second {
            let tokens = match usage.tokens {
                Some((tokens, time)) => {
                    tokens + now.instant.saturating_duration_since(time).as_secs_f64() * per_second
                }
                None => limits.burst,
            };
            let tokens = tokens.min(limits.burst);
            if tokens < 1.0 {
                let wait = Duration::try_from_secs_f64((1.0 - tokens) / per_second).unwrap_or(Duration::MAX);
                return Err(Denial::RateLimited(wait));
            }
            usage.tokens = Some((tokens - 1.0, now.instant));
        }
        usage.day_count = (today, requests_today + 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn later(now: CurrentTime, elapsed: Duration) -> CurrentTime {
        CurrentTime { instant: now.instant + elapsed, date: now.date + elapsed }
    }

    fn start() -> CurrentTime {
        CurrentTime {
            instant: Instant::now(),
            date: SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS_PER_DAY - 10),
        }
    }

    #[test]
    fn after_a_burst_requests_are_limited_to_their_rate() {
        let limits = KeyLimits { requests_per_second: Some(4.0), burst: 2.0, requests_per_day: None };
        let (usage, now) = (KeyUsage::default(), start());
        assert!(usage.count_request(&limits, now).is_ok() && usage.count_request(&limits, now).is_ok());
        assert_eq!(usage.count_request(&limits, now), Err(Denial::RateLimited(Duration::from_millis(250))));
        assert!(usage.count_request(&limits, later(now, Duration::from_millis(250))).is_ok());
        let after_pause = later(now, Duration::from_secs(100));
        assert!(
            usage.count_request(&limits, after_pause).is_ok()
                && usage.count_request(&limits, after_pause).is_ok()
        );
        assert!(usage.count_request(&limits, after_pause).is_err(), "a pause saves up at most one burst");
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let limits = KeyLimits { requests_per_second: None, burst: 1.0, requests_per_day: Some(2) };
        let (usage, now) = (KeyUsage::default(), start());
        assert!(usage.count_request(&limits, now).is_ok() && usage.count_request(&limits, now).is_ok());
        assert_eq!(usage.count_request(&limits, now), Err(Denial::QuotaExceeded(Duration::from_secs(10))));
        assert!(usage.count_request(&limits, later(now, Duration::from_secs(10))).is_ok());
    }

    proptest! {
        #[test]
        fn no_more_than_burst_and_rate_ever_pass(
            per_second in 0.1f64..100.0,
            burst in 1u32..20,
            pauses in prop::collection::vec(0u64..500, 1..200),
        ) {
            let limits = KeyLimits { requests_per_second: Some(per_second), burst: burst.into(), requests_per_day: None };
            let (usage, start) = (KeyUsage::default(), start());
            let (mut elapsed, mut accepted) = (Duration::ZERO, 0u32);
            for pause in pauses {
                elapsed += Duration::from_millis(pause);
                accepted += u32::from(usage.count_request(&limits, later(start, elapsed)).is_ok());
                let limit = f64::from(burst) + per_second * elapsed.as_secs_f64();
                prop_assert!(f64::from(accepted) <= limit + 1e-6, "{accepted} of {limit}");
            }
        }
    }
}
