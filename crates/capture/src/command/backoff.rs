use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_mins(1);
/// Run time after which a program counts as healthy.
const HEALTHY_RUN: Duration = Duration::from_mins(1);

/// Waiting time before the next attempt; it doubles each time.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST_DELAY)
    }
}

impl Backoff {
    /// Returns the pause after a program that ran for `run_time`: a random time between half the limit and the
    /// limit, so that devices that failed together do not retry together.
    pub(crate) fn delay(&mut self, run_time: Duration) -> Duration {
        // Each new `RandomState` has different keys.
        let random = RandomState::new().hash_one(0_u8) >> 32;
        self.delay_with_random(run_time, random as u32)
    }

    fn delay_with_random(&mut self, run_time: Duration, random: u32) -> Duration {
        if run_time >= HEALTHY_RUN {
            self.0 = FIRST_DELAY;
        }
        let full_delay = self.0;
        self.0 = (2 * full_delay).min(MAX_DELAY);
        full_delay / 2 + (full_delay / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(backoff: &mut Backoff, random: u32) -> [u64; 8] {
        [(); 8].map(|()| backoff.delay_with_random(Duration::ZERO, random).as_secs())
    }

    #[test]
    fn delays_double_up_to_a_minute() {
        assert_eq!(delays(&mut Backoff::default(), u32::MAX), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delays(&mut Backoff::default(), 0), [0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_healthy_run_resets_the_delay() {
        let mut backoff = Backoff::default();
        delays(&mut backoff, 0);
        assert_eq!(backoff.delay_with_random(HEALTHY_RUN, u32::MAX), FIRST_DELAY);
    }

    #[test]
    fn random_delays_stay_within_the_bounds() {
        for _ in 0..100 {
            let delay = Backoff::default().delay(Duration::ZERO);
            assert!((FIRST_DELAY / 2..=FIRST_DELAY).contains(&delay), "{delay:?}");
        }
    }
}
