//! Isolation forest (Liu, Ting and Zhou, Isolation Forest, ICDM 2008): random cuts isolate rare rows sooner.

use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng, seq::index};

/// Trees that each cut a sample of the rows at random until every row is alone.
#[derive(Debug, Clone)]
pub struct IsolationForest {
    trees: Vec<Vec<Node>>,
    dims: usize,
    /// Mean path length in a tree of the sample's size.
    mean_path_length: f64,
}

/// The paper's defaults, section 4.
const TREE_COUNT: usize = 100;
const SAMPLE_SIZE: usize = 256;
const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

#[derive(Debug, Clone)]
enum Node {
    /// Rows with a value below the cut go to the next node, the others to node `above`.
    Cut { channel: usize, threshold: f32, above: usize },
    /// The depth of the leaf, plus the expected path length among the rows left in it.
    Leaf { depth: f64 },
}

impl IsolationForest {
    /// Grows 100 trees of 256 rows each, or of all rows if there are fewer. Requires at least one row.
    #[must_use]
    pub fn fit(rows: &[f32], dims: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rows.len() / dims;
        let sample = count.min(SAMPLE_SIZE);
        let depth = (sample as f64).log2().ceil() as usize;
        let trees = (0..TREE_COUNT)
            .map(|_| {
                let mut members = index::sample(&mut rng, count, sample).into_vec();
                let mut grower = TreeGrower { rows, dims, max_depth: depth, tree: Vec::new(), rng: &mut rng };
                grower.grow(&mut members, 0);
                grower.tree
            })
            .collect();
        Self { trees, dims, mean_path_length: mean_path_length(sample) }
    }

    /// Returns one score per row, `2^(-mean depth / usual depth)`, from 0 to 1; equation 2 of the paper.
    #[must_use]
    pub fn scores(&self, rows: &[f32]) -> Vec<f64> {
        let scale = self.mean_path_length.max(f64::MIN_POSITIVE) * self.trees.len() as f64;
        rows.chunks_exact(self.dims)
            .map(|row| {
                let depth: f64 = self.trees.iter().map(|tree| leaf_depth(tree, row)).sum();
                (-depth / scale).exp2()
            })
            .collect()
    }
}

struct TreeGrower<'a, R> {
    rows: &'a [f32],
    dims: usize,
    max_depth: usize,
    tree: Vec<Node>,
    rng: &'a mut R,
}

impl<R: Rng> TreeGrower<'_, R> {
    fn grow(&mut self, members: &mut [usize], depth: usize) {
        let node = self.tree.len();
        let cut = if depth < self.max_depth && members.len() > 1 { self.draw_cut(members) } else { None };
        let Some((channel, threshold)) = cut else {
            return self.tree.push(Node::Leaf { depth: depth as f64 + mean_path_length(members.len()) });
        };
        members.sort_by(|&a, &b| self.value(a, channel).total_cmp(&self.value(b, channel)));
        let (below, above) =
            members.split_at_mut(members.partition_point(|&member| self.value(member, channel) < threshold));
        self.tree.push(Node::Cut { channel, threshold, above: 0 });
        self.grow(below, depth + 1);
        self.tree[node] = Node::Cut { channel, threshold, above: self.tree.len() };
        self.grow(above, depth + 1);
    }

    /// Draws a channel in which the members differ and a cut between their values. Images have many constant
    /// channels, so only channels that vary are drawn.
    fn draw_cut(&mut self, members: &[usize]) -> Option<(usize, f32)> {
        let ranges: Vec<_> = (0..self.dims)
            .filter_map(|channel| {
                let values = members.iter().map(|&member| self.value(member, channel));
                let (low, high) = (values.clone().fold(f32::MAX, f32::min), values.fold(f32::MIN, f32::max));
                (low < high).then_some((channel, low, high))
            })
            .collect();
        let (channel, low, high) = *ranges.get(self.rng.random_range(0..ranges.len().max(1)))?;
        // Rounding may give `low` itself, which would put nothing below the cut.
        let threshold = low + (high - low) * self.rng.random_range(0.0..1.0_f32);
        Some((channel, if threshold > low { threshold } else { high }))
    }

    fn value(&self, member: usize, channel: usize) -> f32 {
        self.rows[member * self.dims + channel]
    }
}

fn leaf_depth(tree: &[Node], row: &[f32]) -> f64 {
    let mut node = 0;
    loop {
        match tree[node] {
            Node::Cut { channel, threshold, above } => {
                node = if row[channel] < threshold { node + 1 } else { above }
            }
            Node::Leaf { depth } => return depth,
        }
    }
}

/// Returns the mean path length of an unsuccessful search in a binary tree of `count` rows; equation 1 of the
/// paper.
fn mean_path_length(count: usize) -> f64 {
    match count {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let others = count as f64 - 1.0;
            2.0 * (others.ln() + EULER_GAMMA) - 2.0 * others / count as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a square of 400 points with a constant third channel.
    fn square() -> Vec<f32> {
        (0..400).flat_map(|i| [(i % 20) as f32, (i / 20) as f32, 7.0]).collect()
    }

    #[test]
    fn outliers_are_isolated_sooner() {
        let scores = IsolationForest::fit(&square(), 3, 1)
            .scores(&[10.0, 10.0, 7.0, 19.0, 19.0, 7.0, 60.0, -40.0, 7.0]);
        assert!(scores.is_sorted() && scores[0] < 0.55 && scores[2] > 0.6, "{scores:?}");
    }

    #[test]
    fn the_seed_determines_the_scores() {
        let scores = |seed| IsolationForest::fit(&square(), 3, seed).scores(&square());
        assert_eq!(scores(3), scores(3));
        assert_ne!(scores(3), scores(4));
    }

    #[test]
    fn equal_rows_and_a_single_row_have_a_score() {
        for count in [1, 2, 300] {
            let rows = vec![1.0; 2 * count];
            let scores = IsolationForest::fit(&rows, 2, 1).scores(&[1.0, 1.0, 5.0, 5.0]);
            assert!(scores[0].is_finite() && scores[0].total_cmp(&scores[1]).is_eq(), "{count}: {scores:?}");
        }
    }
}
