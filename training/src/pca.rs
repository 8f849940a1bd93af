//! Principal component analysis, the best linear autoencoder and the baseline for all others.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// A mean and the leading eigenvectors of the covariance.
#[derive(Debug, Clone)]
pub struct Pca {
    mean: DVector<f64>,
    /// The eigenvectors as columns, `[dims, count]`.
    components: DMatrix<f64>,
    /// Variances along the components, in descending order.
    variances: Vec<f64>,
}

/// Number of rows that are multiplied at once.
const CHUNK_ROWS: usize = 2000;
/// Variances below this fraction of the largest are rounding errors.
const NEGLIGIBLE_VARIANCE: f64 = 1e-9;

impl Pca {
    /// Fits `count` components, or fewer if fewer dimensions vary, to rows of `dims` values.
    #[must_use]
    pub fn fit(rows: &[f32], dims: usize, count: usize) -> Self {
        let n = (rows.len() / dims) as f64;
        let mut sum = DVector::zeros(dims);
        let mut squares = DMatrix::zeros(dims, dims);
        for chunk in row_chunks(rows, dims) {
            sum += chunk.column_sum();
            squares.gemm(1.0, &chunk, &chunk.transpose(), 1.0);
        }
        let mean: DVector<f64> = sum / n;
        let covariance = squares / n - &mean * mean.transpose();
        let (eigenvalues, eigenvectors) = eigen_decomposition(&covariance);
        let mut order: Vec<usize> = (0..eigenvalues.len()).collect();
        order.sort_by(|&a, &b| eigenvalues[b].total_cmp(&eigenvalues[a]));
        order.truncate(count);
        let columns: Vec<_> = order.iter().map(|&i| eigenvectors.column(i).into_owned()).collect();
        let variances = order.iter().map(|&i| eigenvalues[i].max(0.0)).collect();
        let components =
            if columns.is_empty() { DMatrix::zeros(dims, 0) } else { DMatrix::from_columns(&columns) };
        Self { mean, components, variances }
    }

    /// Returns a copy with the first `count` components only.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.variances.len());
        Self {
            mean: self.mean.clone(),
            components: self.components.columns(0, count).into_owned(),
            variances: self.variances[..count].to_vec(),
        }
    }

    /// Returns the number of components.
    #[must_use]
    pub fn count(&self) -> usize {
        self.variances.len()
    }

    /// Returns the mean squared error of rows projected onto the components.
    #[must_use]
    pub fn mse(&self, rows: &[f32]) -> f64 {
        self.residuals(rows).iter().sum::<f64>() * self.mean.len() as f64 / rows.len() as f64
    }

    /// Returns the mean squared error of the projection per row, which serves as a reconstruction score.
    #[must_use]
    pub fn residuals(&self, rows: &[f32]) -> Vec<f64> {
        let dims = self.mean.len();
        self.centred(rows)
            .flat_map(|chunk| {
                let error = &chunk - &self.components * self.components.tr_mul(&chunk);
                let errors: Vec<f64> =
                    error.column_iter().map(|row| row.norm_squared() / dims as f64).collect();
                errors
            })
            .collect()
    }

    /// Returns the coordinates of the rows along the components, `[n, count]`.
    #[must_use]
    pub fn latents(&self, rows: &[f32]) -> Vec<f32> {
        self.projected(rows)
            .flat_map(|chunk| chunk.iter().map(|&value| value as f32).collect::<Vec<_>>())
            .collect()
    }

    /// Returns the squared Mahalanobis distance from the mean per row: the sum of squared coordinates divided
    /// by their variances (Shyu et al., A novel anomaly detection scheme based on principal component
    /// classifier, 2003). Components without variance are left out.
    #[must_use]
    pub fn mahalanobis(&self, rows: &[f32]) -> Vec<f64> {
        let min_variance = self.variances.first().map_or(0.0, |first| first * NEGLIGIBLE_VARIANCE);
        self.projected(rows)
            .flat_map(|chunk| {
                let rows = chunk.as_slice().chunks_exact(self.count().max(1));
                rows.map(|row| self.scaled_distance(row, min_variance)).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Returns the sum of squared coordinates divided by their variances, over variances above `min_variance`.
    fn scaled_distance(&self, row: &[f64], min_variance: f64) -> f64 {
        let terms = row.iter().zip(&self.variances).filter(|&(_, &variance)| variance > min_variance);
        terms.map(|(value, variance)| value * value / variance).sum()
    }

    fn projected<'a>(&'a self, rows: &'a [f32]) -> impl Iterator<Item = DMatrix<f64>> + 'a {
        self.centred(rows).map(|chunk| self.components.tr_mul(&chunk))
    }

    fn centred<'a>(&'a self, rows: &'a [f32]) -> impl Iterator<Item = DMatrix<f64>> + 'a {
        row_chunks(rows, self.mean.len()).map(|mut chunk| {
            chunk.column_iter_mut().for_each(|mut column| column -= &self.mean);
            chunk
        })
    }
}

/// Returns the eigenvalues and eigenvectors of a covariance. Constant dimensions are left out, because
/// nalgebra may return NaN for a matrix with rows of zeros, such as from the margins of images.
fn eigen_decomposition(covariance: &DMatrix<f64>) -> (DVector<f64>, DMatrix<f64>) {
    let dims = covariance.nrows();
    let min_variance = covariance.diagonal().max() * NEGLIGIBLE_VARIANCE;
    let varying: Vec<usize> = (0..dims).filter(|&i| covariance[(i, i)] > min_variance).collect();
    let submatrix = covariance.select_rows(&varying).select_columns(&varying);
    let eigen = SymmetricEigen::new(submatrix);
    let mut eigenvectors = DMatrix::zeros(dims, varying.len());
    for (row, &dimension) in varying.iter().enumerate() {
        eigenvectors.row_mut(dimension).copy_from(&eigen.eigenvectors.row(row));
    }
    (eigen.eigenvalues, eigenvectors)
}

/// Splits rows into matrices with the rows as columns.
fn row_chunks(rows: &[f32], dims: usize) -> impl Iterator<Item = DMatrix<f64>> + '_ {
    rows.chunks(CHUNK_ROWS * dims).map(move |chunk| {
        DMatrix::from_iterator(dims, chunk.len() / dims, chunk.iter().map(|&value| f64::from(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes 60 points on a plane in four dimensions.
    fn plane() -> Vec<f32> {
        (0..60)
            .flat_map(|i| {
                let (a, b) = ((i as f32).sin(), (i as f32 * 1.7).cos());
                [1.0 + a, a - b, 2.0 * b, 3.0]
            })
            .collect()
    }

    #[test]
    fn a_plane_needs_two_components() {
        let rows = plane();
        assert!(Pca::fit(&rows, 4, 2).mse(&rows) < 1e-12);
        let error = Pca::fit(&rows, 4, 1).mse(&rows);
        assert!(error > 1e-2, "{error}");
    }

    #[test]
    fn rows_off_the_plane_have_a_residual() {
        let residuals =
            Pca::fit(&plane(), 4, 2).residuals(&[[1.0, 0.0, 0.0, 3.0], [1.0, 0.0, 0.0, 5.0]].concat());
        assert!(residuals[0] < 1e-2, "{residuals:?}");
        assert!((residuals[1] - 1.0).abs() < 1e-2, "{residuals:?}");
    }

    #[test]
    fn the_mean_distance_of_training_rows_is_the_rank() {
        // Also with four components: the two without variance do not count.
        for count in [2, 4] {
            let distances = Pca::fit(&plane(), 4, count).mahalanobis(&plane());
            let mean = distances.iter().sum::<f64>() / 60.0;
            assert!((mean - 2.0).abs() < 1e-4, "{mean}");
        }
    }

    #[test]
    fn fewer_components_are_the_first() {
        let rows = plane();
        let (full, single) = (Pca::fit(&rows, 4, 9), Pca::fit(&rows, 4, 1));
        // The fourth value does not vary.
        assert_eq!((full.count(), full.first(1).count()), (3, 1));
        assert_eq!(full.first(1).latents(&rows), single.latents(&rows));
    }
}
