//! Least squares with non-negative weights.

/// The normal equations of weighted least squares: `XᵀWX` and `XᵀWy`.
#[derive(Debug, Clone)]
pub(crate) struct NormalEquations {
    size: usize,
    products: Vec<f64>,
    targets: Vec<f64>,
}

impl NormalEquations {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, products: vec![0.0; size * size], targets: vec![0.0; size] }
    }

    /// Adds an observation.
    pub(crate) fn add(&mut self, features: &[f64], target: f64, weight: f64) {
        for (i, &a) in features.iter().enumerate() {
            if a == 0.0 {
                continue;
            }
            self.targets[i] += weight * a * target;
            for (sum, &b) in self.products[i * self.size..].iter_mut().zip(features) {
                *sum += weight * a * b;
            }
        }
    }

    /// Returns the weights of least squared error, non-negative unless `signed`, by coordinate descent, which
    /// converges because the error is convex.
    pub(crate) fn solve(&self, signed: bool) -> Vec<f64> {
        let mut weights = vec![0.0; self.size];
        for _ in 0..500 {
            for i in 0..self.size {
                let row = &self.products[i * self.size..(i + 1) * self.size];
                if row[i] <= 0.0 {
                    continue;
                }
                let other_terms: f64 =
                    row.iter().zip(&weights).map(|(a, w)| a * w).sum::<f64>() - row[i] * weights[i];
                let best = (self.targets[i] - other_terms) / row[i];
                weights[i] = if signed { best } else { best.max(0.0) };
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_found_and_never_negative() {
        let mut equations = NormalEquations::new(3);
        for i in 0..50 {
            let x = [1.0, f64::from(i % 7), f64::from(i % 5)];
            equations.add(&x, 2.0 + 3.0 * x[1] - x[2], 1.0);
        }
        let free = equations.solve(true);
        assert!((free[0] - 2.0).abs() < 1e-6 && (free[1] - 3.0).abs() < 1e-6 && (free[2] + 1.0).abs() < 1e-6);
        let bounded = equations.solve(false);
        assert!(bounded.iter().all(|&w| w >= 0.0) && bounded[2] == 0.0);
    }
}
