//! The lapped orthogonal transform that the photo encoder starts from.
//!
//! A block transform codes every block separately and makes block borders visible; a lapped transform has
//! basis functions twice as long as its stride, which overlap their neighbours and fade out. With M bands
//! there are M functions of 2M samples: even bands are symmetric, odd ones antisymmetric. This symmetry is
//! worth keeping, because the coefficients of an image that is extended by its mirror image are then mirrored
//! too, up to a known sign, so coefficients beyond the border need not be sent (H. S. Malvar and D. H.
//! Staelin, "The LOT: transform coding without blocking effects", IEEE Trans. ASSP 37(4), 1989, section III).

use std::f64::consts::PI;

use nalgebra::{DMatrix, SymmetricEigen};

/// Correlation of neighbouring samples for which the odd bands are optimised, typical of natural images.
const CORRELATION: f64 = 0.95;

/// Symmetry of a basis function about its centre, and of the coefficients beyond a border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// f(−x) = f(x): a coefficient beyond the border equals its mirror image.
    Even,
    /// f(−x) = −f(x): a coefficient beyond the border is the negative of its mirror image.
    Odd,
}

impl Parity {
    /// Returns the parity of band `k`.
    #[must_use]
    pub fn of_band(k: usize) -> Self {
        if k.is_multiple_of(2) { Self::Even } else { Self::Odd }
    }

    /// Returns the parity of a transform of this parity, applied to coefficients of parity `inner`.
    #[must_use]
    pub fn compose(self, inner: Self) -> Self {
        if self == inner { Self::Even } else { Self::Odd }
    }

    /// Returns the sign: 1 for even, −1 for odd.
    #[must_use]
    pub fn sign(self) -> f32 {
        match self {
            Self::Even => 1.0,
            Self::Odd => -1.0,
        }
    }
}

/// Returns the lapped orthogonal transform of `bands` bands, an even number: `bands` rows of `2 · bands`
/// samples, lowest frequency first, even and odd alternately. The rows, and their copies shifted by `bands`,
/// are orthonormal.
#[must_use]
pub fn lapped_transform(bands: usize) -> DMatrix<f64> {
    let half = bands / 2;
    let start = feasible_transform(bands);
    let covariance = &start * markov_covariance(2 * bands) * start.transpose();
    let rotation = principal_axes(&covariance.view((half, half), (half, half)).into_owned());
    let odd = rotation * start.rows(half, half);
    DMatrix::from_fn(bands, 2 * bands, |row, n| {
        if row.is_multiple_of(2) { start[(row / 2, n)] } else { odd[(row / 2, n)] }
    })
}

/// Returns the feasible transform of Malvar and Staelin, equation 12, built with the even and odd rows D of a
/// cosine transform: half of [De − Do, (De − Do)·J; De − Do, −(De − Do)·J], where J reverses the order. The
/// first half of its rows is symmetric, the second half is antisymmetric, and any rotation within the second
/// half leaves it orthogonal.
fn feasible_transform(bands: usize) -> DMatrix<f64> {
    let half = bands / 2;
    DMatrix::from_fn(bands, 2 * bands, |row, n| {
        let (k, mirrored) = (row % half, n >= bands);
        let n = if mirrored { 2 * bands - 1 - n } else { n };
        let difference = 0.5 * (cosine_value(bands, 2 * k, n) - cosine_value(bands, 2 * k + 1, n));
        if mirrored && row >= half { -difference } else { difference }
    })
}

/// Returns sample `n` of row `k` of the orthonormal cosine transform of `bands` bands.
fn cosine_value(bands: usize, k: usize, n: usize) -> f64 {
    let norm = if k == 0 { (1.0 / bands as f64).sqrt() } else { (2.0 / bands as f64).sqrt() };
    norm * (PI / bands as f64 * (n as f64 + 0.5) * k as f64).cos()
}

/// Returns the covariance of `n` samples of a first-order autoregressive process.
fn markov_covariance(n: usize) -> DMatrix<f64> {
    DMatrix::from_fn(n, n, |i, j| CORRELATION.powi(i.abs_diff(j) as i32))
}

/// Returns the eigenvectors as rows, in order of descending eigenvalues, with signs such that the first entry
/// is positive.
fn principal_axes(covariance: &DMatrix<f64>) -> DMatrix<f64> {
    let eigen = SymmetricEigen::new(covariance.clone());
    let mut order: Vec<usize> = (0..covariance.nrows()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    DMatrix::from_fn(covariance.nrows(), covariance.nrows(), |row, i| {
        let vector = eigen.eigenvectors.column(order[row]);
        vector[i] * vector[0].signum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_rows_are_orthonormal() {
        for bands in [2, 8] {
            let rows = lapped_transform(bands);
            for (a, b, shift) in (0..bands)
                .flat_map(|a| (0..bands).map(move |b| (a, b)))
                .flat_map(|(a, b)| [0, bands].map(|s| (a, b, s)))
            {
                let product: f64 = (shift..2 * bands).map(|n| rows[(a, n)] * rows[(b, n - shift)]).sum();
                let expected = f64::from(a == b && shift == 0);
                assert!((product - expected).abs() < 1e-12, "{bands} {a} {b} {shift}: {product}");
            }
        }
    }

    #[test]
    fn bands_are_even_and_odd_in_turn() {
        let rows = lapped_transform(8);
        for (k, n) in (0..8).flat_map(|k| (0..16).map(move |n| (k, n))) {
            let sign = f64::from(Parity::of_band(k).sign());
            assert!((rows[(k, n)] - sign * rows[(k, 15 - n)]).abs() < 1e-12, "{k} {n}");
        }
    }

    #[test]
    fn frequency_rises_with_the_band() {
        let rows = lapped_transform(8);
        let crossings = |k: usize| (1..16).filter(|&n| rows[(k, n)] * rows[(k, n - 1)] < 0.0).count();
        assert!(
            (1..8).all(|k| crossings(k) > crossings(k - 1) || k == 1),
            "{:?}",
            (0..8).map(crossings).collect::<Vec<_>>()
        );
    }
}
