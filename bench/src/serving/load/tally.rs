//! The outcomes of many requests.

use std::time::Duration;

use super::client::Outcome;

/// Counts of outcomes, and the latencies of the answered requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct OutcomeTally {
    /// Latencies in microseconds; sorted only by [`latency_quantile`](Self::latency_quantile).
    latencies: Vec<u32>,
    /// The client's delays in an open loop, in microseconds.
    send_delays: Vec<u32>,
    /// Requests that the server rejected.
    pub(crate) rejected: u64,
    /// Requests that were not answered within the deadline.
    pub(crate) late: u64,
    /// Requests that failed in another way.
    pub(crate) failed: u64,
    /// The message of the first failure.
    pub(crate) first_failure: Option<String>,
}

impl OutcomeTally {
    /// Counts one request.
    pub(crate) fn count_outcome(&mut self, outcome: Outcome, latency: Duration) {
        match outcome {
            Outcome::Answered => self.latencies.push(micros(latency)),
            Outcome::Rejected => self.rejected += 1,
            Outcome::Late => self.late += 1,
            Outcome::Failed(reason) => {
                self.failed += 1;
                self.first_failure.get_or_insert(reason);
            }
        }
    }

    /// Records the delay with which a request was sent.
    pub(crate) fn record_delay(&mut self, delay: Duration) {
        self.send_delays.push(micros(delay));
    }

    /// Adds the counts of another tally.
    pub(crate) fn merge(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.send_delays.extend(other.send_delays);
        self.rejected += other.rejected;
        self.late += other.late;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }

    /// Returns the number of answered requests.
    pub(crate) fn answered(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Returns a quantile of the latencies of answered requests in milliseconds, for a fraction between 0 and
    /// 1; 0 if there are none.
    pub(crate) fn latency_quantile(&mut self, fraction: f64) -> f64 {
        quantile(&mut self.latencies, fraction)
    }

    /// Returns a quantile of the client's delays in milliseconds.
    pub(crate) fn delay_quantile(&mut self, fraction: f64) -> f64 {
        quantile(&mut self.send_delays, fraction)
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// Returns the nearest-rank quantile of values in microseconds, in milliseconds.
fn quantile(values: &mut [u32], fraction: f64) -> f64 {
    values.sort_unstable();
    let rank = (fraction * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).map_or(0.0, |&micros| f64::from(micros) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_nearest_ranks() {
        let mut tally = OutcomeTally::default();
        for ms in (1..=100).rev() {
            tally.count_outcome(Outcome::Answered, Duration::from_millis(ms));
        }
        tally.count_outcome(Outcome::Late, Duration::from_secs(9));
        let found = [0.5, 0.99, 1.0].map(|fraction| tally.latency_quantile(fraction).to_bits());
        assert_eq!(found, [50.0_f64, 99.0, 100.0].map(f64::to_bits));
        assert!(OutcomeTally::default().latency_quantile(0.5).abs() < 1e-12);
        for ms in [4, 6, 5] {
            tally.record_delay(Duration::from_millis(ms));
        }
        assert_eq!(tally.delay_quantile(0.5).to_bits(), 5.0_f64.to_bits());
    }

    #[test]
    fn merging_adds_the_counts_and_keeps_the_first_failure() {
        let failed = |reason: &str| {
            let mut tally = OutcomeTally::default();
            tally.count_outcome(Outcome::Failed(reason.into()), Duration::ZERO);
            tally.count_outcome(Outcome::Rejected, Duration::ZERO);
            tally
        };
        let mut tally = failed("one");
        tally.merge(failed("two"));
        assert_eq!((tally.failed, tally.rejected, tally.answered()), (2, 2, 0));
        assert_eq!(tally.first_failure.as_deref(), Some("one"));
    }
}
