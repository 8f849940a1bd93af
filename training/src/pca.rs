//! Principal components: the best linear autoencoder, the baseline of every other one.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// A mean and the leading eigenvectors of the covariance.
#[derive(Debug, Clone)]
pub struct Pca {
    mean: DVector<f64>,
    components: DMatrix<f64>,
}

/// Rows that are multiplied at once.
const CHUNK: usize = 2000;

impl Pca {
    /// Fits `count` components to rows of `dims` values.
    #[must_use]
    pub fn fit(rows: &[f32], dims: usize, count: usize) -> Self {
        let n = (rows.len() / dims) as f64;
        let mut sum = DVector::zeros(dims);
        let mut squares = DMatrix::zeros(dims, dims);
        for chunk in chunks(rows, dims) {
            sum += chunk.column_sum();
            squares.gemm(1.0, &chunk, &chunk.transpose(), 1.0);
        }
        let mean: DVector<f64> = sum / n;
        let covariance = squares / n - &mean * mean.transpose();
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..dims).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let columns: Vec<_> =
            order.iter().take(count).map(|&i| eigen.eigenvectors.column(i).into_owned()).collect();
        Self { mean, components: DMatrix::from_columns(&columns) }
    }

    /// The mean squared error of rows projected onto the components.
    #[must_use]
    pub fn mse(&self, rows: &[f32]) -> f64 {
        let dims = self.mean.len();
        let error: f64 = chunks(rows, dims)
            .map(|mut chunk| {
                chunk.column_iter_mut().for_each(|mut column| column -= &self.mean);
                let latents = self.components.tr_mul(&chunk);
                (&chunk - &self.components * latents).norm_squared()
            })
            .sum();
        error / rows.len() as f64
    }
}

/// Rows as the columns of matrices.
fn chunks(rows: &[f32], dims: usize) -> impl Iterator<Item = DMatrix<f64>> + '_ {
    rows.chunks(CHUNK * dims).map(move |chunk| {
        DMatrix::from_iterator(dims, chunk.len() / dims, chunk.iter().map(|&value| f64::from(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_needs_two_components() {
        let rows: Vec<f32> = (0..60)
            .flat_map(|i| {
                let (a, b) = ((i as f32).sin(), (i as f32 * 1.7).cos());
                [1.0 + a, a - b, 2.0 * b, 3.0]
            })
            .collect();
        assert!(Pca::fit(&rows, 4, 2).mse(&rows) < 1e-12);
        let one = Pca::fit(&rows, 4, 1).mse(&rows);
        assert!(one > 1e-2, "{one}");
    }
}
