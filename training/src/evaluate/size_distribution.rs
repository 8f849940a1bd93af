//! A distribution of sizes.

use serde::{Deserialize, Serialize};

/// A distribution of sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SizeDistribution {
    /// The mean.
    pub mean: f64,
    /// The smallest size.
    pub min: usize,
    /// The median.
    pub median: usize,
    /// The largest size.
    pub max: usize,
}

impl SizeDistribution {
    /// Returns the distribution of these sizes; all figures are 0 without sizes.
    pub(super) fn from_sizes(sizes: &[usize]) -> Self {
        let mut sizes = sizes.to_vec();
        sizes.sort_unstable();
        let mean = sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64;
        Self {
            mean,
            min: sizes.first().copied().unwrap_or(0),
            median: sizes.get(sizes.len() / 2).copied().unwrap_or(0),
            max: sizes.last().copied().unwrap_or(0),
        }
    }
}
