//! Usage of the limits of a key: token buckets for the rate and for the computation, and a counter for the day.
//!
//! They are kept in memory: each server counts separately, and a restart resets them. A refused request is not
//! counted. A stream counts once, at its start, and each of its requests pays for its computation.
//!
//! A day of the counter ends when both clocks say so: the calendar shows a later day, and the monotonic clock has
//! reached the midnight that was expected when the day began, up to [`CALENDAR_TOLERANCE`]. A calendar that is set
//! forward or back therefore gives no second quota for a day. It may make a day longer, but ends it at the latest an hour
//! after the expected midnight.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::Denial;

const SECONDS_PER_DAY: u64 = 86_400;
/// Maximum difference between the two clocks, over a day, that changes nothing.
const CALENDAR_TOLERANCE: Duration = Duration::from_hours(1);
/// Multiply-accumulates per unit of the limit on computation.
const MACS_PER_GMAC: f64 = 1e9;
const SECONDS_PER_MINUTE: f64 = 60.0;

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
    /// The requests of the current day; `None` before the first request.
    day: Option<DayCount>,
    /// Multiply-accumulates that were spent and not regained at that time, in units of 10⁹; `None` before the first.
    spent_gmacs: Option<(f64, Instant)>,
}

/// The number of requests on one day.
#[derive(Debug, Clone, Copy)]
struct DayCount {
    /// The day in the calendar, counted from 1970-01-01.
    day: u64,
    /// The midnight at the end of the day, as expected at its first request.
    midnight: Instant,
    requests: u64,
}

/// The computation that the key of a request may spend, in the request's extensions. Clones spend from the same key.
#[derive(Debug, Clone)]
pub(crate) struct CostBudget {
    /// Multiply-accumulates per minute, in units of 10⁹.
    gmacs_per_minute: Option<f64>,
    usage: Arc<KeyUsage>,
}

/// The reason why a key may not spend the computation that a request declares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum CostRefusal {
    /// The key has spent too much recently; it may spend this after that time.
    Wait(Duration),
    /// The request alone costs more than the key may spend in a minute. Both numbers are in 10⁹ multiply-accumulates.
    NeverAdmissible { gmacs: f64, gmacs_per_minute: f64 },
}

impl CostBudget {
    /// Creates the budget of a key with this limit; `None` is unlimited.
    pub(crate) fn new(gmacs_per_minute: Option<f64>, usage: &Arc<KeyUsage>) -> Self {
        Self { gmacs_per_minute, usage: Arc::clone(usage) }
    }

    /// Returns whether the key has a limit. Without one, the cost of a request need not be computed.
    pub(crate) fn is_limited(&self) -> bool {
        self.gmacs_per_minute.is_some()
    }

    /// Spends the multiply-accumulates of a request, before any of them is computed.
    ///
    /// # Errors
    /// [`CostRefusal`]; nothing is spent then.
    pub(crate) fn charge(&self, macs: u64, now: Instant) -> Result<(), CostRefusal> {
        let Some(limit) = self.gmacs_per_minute else { return Ok(()) };
        let gmacs = macs as f64 / MACS_PER_GMAC;
        if gmacs > limit {
            return Err(CostRefusal::NeverAdmissible { gmacs, gmacs_per_minute: limit });
        }
        let mut usage = self.usage.lock();
        let per_second = limit / SECONDS_PER_MINUTE;
        let spent = usage.spent_gmacs.map_or(0.0, |(spent, time)| {
            (spent - now.saturating_duration_since(time).as_secs_f64() * per_second).max(0.0)
        });
        let excess = spent + gmacs - limit;
        if excess > 0.0 {
            let wait = Duration::try_from_secs_f64(excess / per_second).unwrap_or(Duration::MAX);
            return Err(CostRefusal::Wait(wait));
        }
        usage.spent_gmacs = Some((spent + gmacs, now));
        Ok(())
    }
}

impl KeyUsage {
    /// Counts one request, or returns [`Denial::RateLimited`] or [`Denial::QuotaExceeded`] with the time to wait.
    pub(crate) fn count_request(&self, limits: &KeyLimits, now: CurrentTime) -> Result<(), Denial> {
        let mut usage = self.lock();
        let mut day = match usage.day {
            Some(day) if !day.has_ended(now) => day,
            previous => DayCount::after(previous, now),
        };
        if limits.requests_per_day.is_some_and(|limit| day.requests >= limit) {
            let wait = day.midnight.saturating_duration_since(now.instant);
            return Err(Denial::QuotaExceeded(wait.max(Duration::from_secs(1))));
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
        day.requests += 1;
        usage.day = Some(day);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, UsageState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DayCount {
    /// Returns the count of the day that begins now. It lasts until the next midnight of the calendar, but at least
    /// until a day after the previous one, up to the tolerance.
    fn after(previous: Option<Self>, now: CurrentTime) -> Self {
        let seconds = now.unix_seconds();
        let mut midnight = now.instant + Duration::from_secs(SECONDS_PER_DAY - seconds % SECONDS_PER_DAY);
        let day = Duration::from_secs(SECONDS_PER_DAY);
        if previous.is_some_and(|previous| midnight + CALENDAR_TOLERANCE < previous.midnight + day) {
            midnight += day;
        }
        Self { day: seconds / SECONDS_PER_DAY, midnight, requests: 0 }
    }

    fn has_ended(&self, now: CurrentTime) -> bool {
        let is_later_day = now.unix_seconds() / SECONDS_PER_DAY > self.day;
        let is_near_midnight = now.instant + CALENDAR_TOLERANCE >= self.midnight;
        let is_long_past = now.instant >= self.midnight + CALENDAR_TOLERANCE;
        (is_later_day && is_near_midnight) || is_long_past
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn later(now: CurrentTime, elapsed: Duration) -> CurrentTime {
        CurrentTime { instant: now.instant + elapsed, date: now.date + elapsed }
    }

    /// Returns a time 10 seconds before midnight.
    fn start() -> CurrentTime {
        CurrentTime {
            instant: Instant::now(),
            date: SystemTime::UNIX_EPOCH + Duration::from_secs(100 * SECONDS_PER_DAY - 10),
        }
    }

    fn daily(requests_per_day: u64) -> KeyLimits {
        KeyLimits { requests_per_second: None, burst: 1.0, requests_per_day: Some(requests_per_day) }
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
        let limits = daily(2);
        let (usage, now) = (KeyUsage::default(), start());
        assert!(usage.count_request(&limits, now).is_ok() && usage.count_request(&limits, now).is_ok());
        assert_eq!(usage.count_request(&limits, now), Err(Denial::QuotaExceeded(Duration::from_secs(10))));
        let midnight = later(now, Duration::from_secs(10));
        assert!(
            usage.count_request(&limits, midnight).is_ok() && usage.count_request(&limits, midnight).is_ok()
        );
        let wait = Duration::from_secs(SECONDS_PER_DAY);
        assert_eq!(usage.count_request(&limits, midnight), Err(Denial::QuotaExceeded(wait)));
    }

    #[test]
    fn a_calendar_that_jumps_gives_no_second_quota() {
        let limits = daily(1);
        let noon = CurrentTime { date: start().date - Duration::from_hours(12), ..start() };
        for jump in [Duration::from_hours(1), Duration::from_hours(24), Duration::from_hours(24 * 365)] {
            let usage = KeyUsage::default();
            assert!(usage.count_request(&limits, noon).is_ok());
            for date in [noon.date + jump, noon.date, noon.date - jump, noon.date + jump] {
                let found = usage.count_request(&limits, CurrentTime { date, ..noon });
                assert!(matches!(found, Err(Denial::QuotaExceeded(_))), "{jump:?}: {found:?}");
            }
        }
    }

    #[test]
    fn a_calendar_that_was_wrong_withholds_no_quota_for_long() {
        let limits = daily(1);
        let far_future = CurrentTime { date: start().date + Duration::from_hours(24 * 3650), ..start() };
        let usage = KeyUsage::default();
        assert!(usage.count_request(&limits, far_future).is_ok());
        let corrected = |elapsed: Duration| later(start(), elapsed);
        assert!(usage.count_request(&limits, corrected(Duration::from_mins(1))).is_err());
        assert!(
            usage.count_request(&limits, corrected(Duration::from_secs(10) + 2 * CALENDAR_TOLERANCE)).is_ok()
        );
    }

    #[test]
    fn computation_is_limited_per_minute_and_regained_evenly() {
        let (usage, now) = (Arc::default(), Instant::now());
        let budget = CostBudget::new(Some(120.0), &usage);
        assert!(budget.is_limited());
        assert_eq!(budget.charge(90_000_000_000, now), Ok(()));
        assert_eq!(
            budget.charge(60_000_000_000, now),
            Err(CostRefusal::Wait(Duration::from_secs(15))),
            "120 per minute are 2 per second"
        );
        // A refused request spends nothing, and another handle of the key spends from the same budget.
        assert_eq!(CostBudget::new(Some(120.0), &usage).charge(30_000_000_000, now), Ok(()));
        assert!(budget.charge(1_000_000_000, now).is_err());
        let later = now + Duration::from_secs(30);
        assert_eq!(budget.charge(60_000_000_000, later), Ok(()));
        assert!(budget.charge(1_000_000_000, later).is_err());
    }

    #[test]
    fn a_request_that_costs_more_than_a_minute_is_never_admissible() {
        let budget = CostBudget::new(Some(2.0), &Arc::default());
        let refusal = CostRefusal::NeverAdmissible { gmacs: 2.5, gmacs_per_minute: 2.0 };
        assert_eq!(budget.charge(2_500_000_000, Instant::now()), Err(refusal));
        assert_eq!(budget.charge(2_000_000_000, Instant::now()), Ok(()));
        let unlimited = CostBudget::new(None, &Arc::default());
        assert!(!unlimited.is_limited() && unlimited.charge(u64::MAX, Instant::now()).is_ok());
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

        #[test]
        fn no_more_than_a_minute_s_computation_and_the_rate_ever_pass(
            limit in 1u32..100,
            requests in prop::collection::vec((0u64..20_000, 0u64..40), 1..200),
        ) {
            let (budget, start) = (CostBudget::new(Some(limit.into()), &Arc::default()), Instant::now());
            let (mut elapsed, mut accepted) = (Duration::ZERO, 0);
            for (pause, gmacs) in requests {
                elapsed += Duration::from_millis(pause);
                if budget.charge(gmacs * 1_000_000_000, start + elapsed).is_ok() {
                    accepted += gmacs;
                }
                let most = f64::from(limit) * (1.0 + elapsed.as_secs_f64() / 60.0);
                prop_assert!(accepted as f64 <= most + 1e-6, "{accepted} of {most}");
            }
        }

        #[test]
        fn whatever_the_calendar_does_there_is_one_quota_per_day(
            steps in prop::collection::vec((0u64..10, -50i64..50), 1..200),
        ) {
            let (limits, usage, start) = (daily(1), KeyUsage::default(), start());
            let (mut elapsed, mut accepted) = (Duration::ZERO, 0_u64);
            for (hours, jump) in steps {
                elapsed += Duration::from_hours(hours);
                let now = later(start, elapsed);
                let jump_by = Duration::from_hours(jump.unsigned_abs());
                let date = if jump < 0 { now.date - jump_by } else { now.date + jump_by };
                accepted += u64::from(usage.count_request(&limits, CurrentTime { date, ..now }).is_ok());
                // The first day may be short. The others begin at most an hour early, 23 hours after each other.
                let hours = elapsed.as_secs() / 3600;
                prop_assert!(accepted <= 2 + (hours + 1) / 23, "{accepted} in {hours} hours");
            }
        }
    }
}
