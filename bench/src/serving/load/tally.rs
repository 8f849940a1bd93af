//! What became of many requests.

use std::time::Duration;

use super::client::Outcome;

/// Outcomes, and the latencies of those that were answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// In microseconds; sorted only by [`quantile`](Self::quantile).
    latencies: Vec<u32>,
    /// How late requests were sent that come by themselves, in microseconds.
    behind: Vec<u32>,
    /// Turned away by the server.
    pub(crate) rejected: u64,
    /// Not answered within the deadline.
    pub(crate) late: u64,
    /// Failed in another way.
    pub(crate) failed: u64,
    /// What the first of those said.
    pub(crate) first_failure: Option<String>,
}

impl Tally {
    /// Counts one.
    pub(crate) fn count(&mut self, outcome: Outcome, latency: Duration) {
        match outcome {
            Outcome::Answered => self.latencies.push(micros(latency)),
            Outcome::Rejected => self.rejected += 1,
            Outcome::Late => self.late += 1,
            Outcome::Failed(why) => {
                self.failed += 1;
                self.first_failure.get_or_insert(why);
            }
        }
    }

    /// A request was sent so late.
    pub(crate) fn sent(&mut self, behind: Duration) {
        self.behind.push(micros(behind));
    }

    /// Adds another's.
    pub(crate) fn merge(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.behind.extend(other.behind);
        self.rejected += other.rejected;
        self.late += other.late;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }

    /// Requests that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Milliseconds within which this share of the answered ones were, from 0 to 1; 0 when there are none.
    pub(crate) fn quantile(&mut self, share: f64) -> f64 {
        quantile(&mut self.latencies, share)
    }

    /// Milliseconds within which this share of the requests were sent once they were due.
    pub(crate) fn behind(&mut self, share: f64) -> f64 {
        quantile(&mut self.behind, share)
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// The nearest rank, of microseconds in milliseconds.
fn quantile(values: &mut [u32], share: f64) -> f64 {
    values.sort_unstable();
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).map_or(0.0, |&micros| f64::from(micros) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_nearest_ranks() {
        let mut tally = Tally::default();
        for ms in (1..=100).rev() {
            tally.count(Outcome::Answered, Duration::from_millis(ms));
        }
        tally.count(Outcome::Late, Duration::from_secs(9));
        let found = [0.5, 0.99, 1.0].map(|share| tally.quantile(share).to_bits());
        assert_eq!(found, [50.0_f64, 99.0, 100.0].map(f64::to_bits));
        assert!(Tally::default().quantile(0.5).abs() < 1e-12);
        for ms in [4, 6, 5] {
            tally.sent(Duration::from_millis(ms));
        }
        assert_eq!(tally.behind(0.5).to_bits(), 5.0_f64.to_bits());
    }

    #[test]
    fn what_is_merged_adds_up_and_the_first_failure_stays() {
        let failed = |why: &str| {
            let mut tally = Tally::default();
            tally.count(Outcome::Failed(why.into()), Duration::ZERO);
            tally.count(Outcome::Rejected, Duration::ZERO);
            tally
        };
        let mut tally = failed("one");
        tally.merge(failed("two"));
        assert_eq!((tally.failed, tally.rejected, tally.answered()), (2, 2, 0));
        assert_eq!(tally.first_failure.as_deref(), Some("one"));
    }
}
