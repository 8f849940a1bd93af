//! A plain matrix product, to compare the encoder with.

use std::{hint::black_box, num::NonZeroUsize};

use lopside_quality::encode_ms_per_megapixel;
use nalgebra::DMatrix;

use crate::BenchError;

/// Returns the billions of floating-point operations per second of CPU time of an `m × k` by `k × n` matrix
/// product of `f32`, as the median over `runs`.
pub(crate) fn measure_gflops(m: usize, k: usize, n: usize, runs: NonZeroUsize) -> Result<f64, BenchError> {
    let (left, right) = (DMatrix::from_fn(m, k, matrix_element), DMatrix::from_fn(k, n, matrix_element));
    let mut product = DMatrix::zeros(m, n);
    // The clock counts a million multiply-accumulates as one megapixel; each is two operations.
    let ms = encode_ms_per_megapixel((m * k * n) as u64, runs, || {
        black_box(&left).mul_to(black_box(&right), &mut product);
        black_box(&product);
        Ok::<_, BenchError>(())
    })?;
    Ok(2.0 / ms)
}

fn matrix_element(row: usize, column: usize) -> f32 {
    ((row * 7 + column * 13) % 17) as f32 - 8.0
}
