use serde::Serialize;

use crate::median::median_of;

/// Figures of one round, or the medians of several.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct RoundFigures {
    /// CPU time of the server per request, in milliseconds.
    pub(crate) cpu_ms: f64,
    /// Requests answered per second.
    pub(crate) per_second: f64,
    /// Median latency in milliseconds.
    pub(crate) p50_ms: f64,
    /// The 99th percentile of the latency, in milliseconds.
    pub(crate) p99_ms: f64,
    /// Number of requests that were not answered.
    pub(crate) errors: u64,
}

impl RoundFigures {
    /// Returns the medians of several rounds, and the sum of their errors.
    pub(crate) fn medians(samples: &[Self]) -> Self {
        Self {
            cpu_ms: median_of(samples, |sample| sample.cpu_ms),
            per_second: median_of(samples, |sample| sample.per_second),
            p50_ms: median_of(samples, |sample| sample.p50_ms),
            p99_ms: median_of(samples, |sample| sample.p99_ms),
            errors: samples.iter().map(|sample| sample.errors).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_medians_and_errors_are_summed() {
        let sample =
            |cpu_ms, errors| RoundFigures { cpu_ms, per_second: 1.0, p50_ms: 1.0, p99_ms: 1.0, errors };
        let found = RoundFigures::medians(&[sample(3.0, 1), sample(1.0, 0), sample(2.0, 4)]);
        assert_eq!((found.cpu_ms.to_bits(), found.errors), (2.0_f64.to_bits(), 5));
    }
}
