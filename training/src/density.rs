//! The density of normal latents: mean, standard deviation and covariance.

use nalgebra::{DMatrix, DVector};

/// Share of the mean variance that is added to every variance, so that the covariance of few samples can be
/// inverted (a fixed shrinkage; Ledoit and Wolf 2004 estimate it from the data).
const SHRINKAGE: f64 = 0.05;

/// Moments of normal latents.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LatentDensity {
    /// The mean of each value.
    pub(crate) mean: Vec<f32>,
    /// The standard deviation of each value, positive.
    pub(crate) deviation: Vec<f32>,
    /// `[values, values]`, row-major: `(z − mean) · whitening` has unit covariance, so its squared length is
    /// the squared Mahalanobis distance.
    pub(crate) whitening: Vec<f32>,
}

impl LatentDensity {
    /// Returns the moments of rows of `dims` values; `None` without rows, if a value is not finite or if the
    /// covariance cannot be inverted.
    pub(crate) fn fit(rows: &[f32], dims: usize) -> Option<Self> {
        let count = rows.len() / dims.max(1);
        if count == 0 || rows.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let samples = DMatrix::from_iterator(dims, count, rows.iter().map(|&value| f64::from(value)));
        let mean: DVector<f64> = samples.column_mean();
        let mut centred = samples;
        centred.column_iter_mut().for_each(|mut column| column -= &mean);
        let mut covariance = &centred * centred.transpose() / count as f64;
        let mean_variance = (covariance.trace() / dims as f64).max(1e-9);
        for value in 0..dims {
            covariance[(value, value)] += SHRINKAGE * mean_variance;
        }
        let deviation = covariance.diagonal().iter().map(|variance| variance.sqrt() as f32).collect();
        let lower = covariance.cholesky()?.l();
        // Row vectors are multiplied from the left, so the transpose of L⁻¹ is stored: column-major order is
        // that of its rows.
        let inverse = lower.solve_lower_triangular(&DMatrix::identity(dims, dims))?;
        let whitening = inverse.iter().map(|&value| value as f32).collect();
        Some(Self { mean: mean.iter().map(|&value| value as f32).collect(), deviation, whitening })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitened_rows_have_unit_covariance() {
        let wave = |i: usize, k: f32| (i as f32 * k).sin();
        let rows: Vec<f32> = (0..4000)
            .flat_map(|i| {
                let (a, b) = (wave(i, 0.7), wave(i, 1.3));
                [3.0 + 4.0 * a, 1.0 + 4.0 * a + 5.0 * b]
            })
            .collect();
        let density = LatentDensity::fit(&rows, 2).unwrap();
        assert!((density.mean[0] - 3.0).abs() < 0.05 && (density.mean[1] - 1.0).abs() < 0.05);
        let mut moments = [0.0; 3];
        for row in rows.chunks_exact(2) {
            let d = [row[0] - density.mean[0], row[1] - density.mean[1]];
            let y = [0, 1].map(|k| d[0] * density.whitening[k] + d[1] * density.whitening[2 + k]);
            for (moment, value) in moments.iter_mut().zip([y[0] * y[0], y[1] * y[1], y[0] * y[1]]) {
                *moment += value / 4000.0;
            }
        }
        assert!((moments[0] - 1.0).abs() < 0.15 && (moments[1] - 1.0).abs() < 0.15, "{moments:?}");
        assert!(moments[2].abs() < 0.1, "{moments:?}");
    }

    #[test]
    fn constant_values_give_finite_whitening() {
        let rows: Vec<f32> = (0..60).map(|i| if i % 3 == 0 { 7.0 } else { (i * i % 11) as f32 }).collect();
        let density = LatentDensity::fit(&rows, 3).unwrap();
        assert!(density.whitening.iter().chain(&density.deviation).all(|value| value.is_finite()));
        assert_eq!(LatentDensity::fit(&[], 3), None);
        assert_eq!(LatentDensity::fit(&[f32::NAN; 3], 3), None);
    }
}
