//! Learning rate schedule.

use std::f64::consts::PI;

/// Returns half a cosine from `start` to 0 as `progress` goes from 0 to 1 (Loshchilov and Hutter, SGDR, 2017,
/// eq. 5).
pub(crate) fn cosine_rate(start: f64, progress: f64) -> f64 {
    start * 0.5 * (1.0 + (PI * progress).cos())
}
