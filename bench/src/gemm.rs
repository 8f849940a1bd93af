//! A plain product of matrices, as a measure of what the core can do.

use std::{hint::black_box, num::NonZeroUsize, time::Instant};

use nalgebra::DMatrix;

/// Billions of floating-point operations a second of an `m × k` by `k × n` product of `f32`, the median of `runs`.
pub(crate) fn gflops(m: usize, k: usize, n: usize, runs: NonZeroUsize) -> f64 {
    let value = |row: usize, column: usize| ((row * 7 + column * 13) % 17) as f32 - 8.0;
    let (left, right) = (DMatrix::from_fn(m, k, value), DMatrix::from_fn(k, n, value));
    let mut product = DMatrix::zeros(m, n);
    let mut seconds: Vec<f64> = (0..=runs.get())
        .map(|_| {
            let start = Instant::now();
            black_box(&left).mul_to(black_box(&right), &mut product);
            black_box(&product);
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    2.0 * (m * k * n) as f64 / seconds[seconds.len() / 2] / 1e9
}
