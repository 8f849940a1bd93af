//! Distance to the nearest neighbours (Ramaswamy, Rastogi and Shim, Efficient algorithms for mining outliers
//! from large data sets, SIGMOD 2000; the mean over k as in Angiulli and Pizzuti, PKDD 2002).

/// A k-nearest-neighbour detector that keeps all training rows.
#[derive(Debug, Clone)]
pub struct NearestNeighbours {
    rows: Vec<f32>,
    dims: usize,
    count: usize,
}

impl NearestNeighbours {
    /// Keeps the rows. A score uses the `count` nearest of them, at least 1.
    #[must_use]
    pub fn fit(rows: &[f32], dims: usize, count: usize) -> Self {
        Self { rows: rows.to_vec(), dims, count: count.clamp(1, (rows.len() / dims).max(1)) }
    }

    /// Returns the mean Euclidean distance to the nearest training rows, one value per row.
    #[must_use]
    pub fn scores(&self, rows: &[f32]) -> Vec<f64> {
        let mut distances = Vec::new();
        rows.chunks_exact(self.dims)
            .map(|row| {
                distances.clear();
                distances.extend(self.rows.chunks_exact(self.dims).map(|other| squared_distance(row, other)));
                let (nearest, last, _) = distances.select_nth_unstable_by(self.count - 1, f32::total_cmp);
                nearest.iter().chain([&*last]).map(|&square| f64::from(square).sqrt()).sum::<f64>()
                    / self.count as f64
            })
            .collect()
    }
}

/// Returns the squared Euclidean distance. The sum runs in eight lanes, which the compiler keeps in a
/// register.
pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (chunks_a, chunks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 =
        chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(x, y)| (x - y) * (x - y)).sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for lane in 0..8 {
            let difference = a[lane] - b[lane];
            lanes[lane] += difference * difference;
        }
    }
    tail + lanes.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_mean_distances_to_the_nearest_rows() {
        let neighbours = NearestNeighbours::fit(&[0.0, 0.0, 0.0, 3.0, 100.0, 0.0], 2, 2);
        assert_eq!(neighbours.scores(&[0.0, 0.0, 0.0, 5.0]), [1.5, 3.5]);
    }

    #[test]
    fn every_dimension_counts() {
        let (a, b): (Vec<f32>, Vec<f32>) = ((0..21).map(|i| i as f32).collect(), vec![0.0; 21]);
        assert!((squared_distance(&a, &b) - 2870.0).abs() < 1e-3);
    }

    #[test]
    fn the_neighbour_count_is_limited_to_the_rows() {
        assert_eq!(NearestNeighbours::fit(&[0.0, 2.0], 1, 5).scores(&[1.0]), [1.0]);
    }
}
