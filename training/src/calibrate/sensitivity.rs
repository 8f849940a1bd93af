//! Measures how much a decoder's output changes with its latent.
//!
//! The sensitivity of a run is the squared error, summed over all outputs, per squared unit of change in one
//! of its values, averaged over its values and over real latents. It is measured by central differences over
//! a tenth of the run's own standard deviation. All values of a run are perturbed at once, each in a random
//! direction. The directions are independent, so the cross terms cancel on average and the sum over the
//! values remains (Hutchinson's estimator of the trace of `JᵀJ`; Communications in Statistics 19(2), 1990).
//!
//! The cost is two decoder passes per run and latent. The runs of a layer with more than [`MAX_GROUPS`] runs are
//! perturbed in that many groups of similar spread, and every run of a group gets the group's mean. Large
//! latents are measured on fewer samples, at least 4. So a layer of 480 maps takes at most 256 · 2 · 500
//! passes of a small decoder, and 1,920 of a large one.
//!
//! If the decoder has several outputs, each is weighted by its inverse mean square, so that scores are not
//! outweighed by pixels.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::layer_latents::LayerLatents;
use crate::{TrainingError, engines::OrtModel};

/// Bounds on the number of latents to perturb.
const LATENT_COUNT: std::ops::RangeInclusive<usize> = 4..=500;
/// Maximum number of groups of runs per layer that are perturbed one after the other.
const MAX_GROUPS: usize = 256;
/// Budget for the latent and output values of all decoder passes together; beyond it, fewer latents are
/// perturbed.
const VALUE_BUDGET: usize = 1 << 28;
/// Lower bound on a sensitivity, relative to the largest one.
const MIN_RELATIVE_SENSITIVITY: f64 = 1e-9;
/// Maximum number of values per batch.
const MAX_BATCH_VALUES: usize = 1 << 22;

/// Returns the sensitivity of every run of every layer. `decoder` has one input per layer, in the order of
/// the layers.
pub(crate) fn measure_sensitivities(
    decoder: &mut OrtModel,
    layers: &[LayerLatents],
) -> Result<Vec<Vec<f64>>, TrainingError> {
    let rows = layers.first().map_or(0, |layer| layer.values.len() / layer.len.max(1));
    let first_item: Vec<&[f32]> =
        layers.iter().map(|layer| &layer.values[..layer.len.min(layer.values.len())]).collect();
    let latent_len: usize = layers.iter().map(|layer| layer.len).sum();
    let values_per_item =
        latent_len + decoder.run_items(&first_item, 1, 1)?.iter().map(Vec::len).sum::<usize>();
    let passes: usize = layers.iter().map(|layer| 2 * layer.runs.min(MAX_GROUPS)).sum();
    let count = (VALUE_BUDGET / (values_per_item * passes))
        .clamp(*LATENT_COUNT.start(), *LATENT_COUNT.end())
        .min(rows);
    let batch = MAX_BATCH_VALUES / values_per_item;
    let mut perturbed: Vec<Vec<f32>> =
        layers.iter().map(|layer| layer.values[..count * layer.len].to_vec()).collect();
    let weights = output_weights(&decoder.run_items(&as_slices(&perturbed), count, batch)?);
    let mut sensitivities = Vec::with_capacity(layers.len());
    for (index, layer) in layers.iter().enumerate() {
        let original = &layer.values[..count * layer.len];
        let mut layer_sensitivities = vec![0.0; layer.runs];
        for group in group_runs(layer, original) {
            let perturbations = draw_perturbations(layer, &group, count);
            let mut outputs = Vec::with_capacity(2);
            for sign in [1.0, -1.0] {
                for &(position, delta) in &perturbations {
                    perturbed[index][position] = original[position] + sign * delta;
                }
                outputs.push(decoder.run_items(&as_slices(&perturbed), count, batch)?);
            }
            perturbed[index].copy_from_slice(original);
            let squares = weighted_squares(&outputs[0], &outputs[1], &weights);
            let run_len = layer.len / layer.runs;
            let change: f64 =
                group.iter().map(|&(_, delta)| (count * run_len) as f64 * (2.0 * delta).powi(2)).sum();
            for (run, _) in group {
                layer_sensitivities[run] = squares / change;
            }
        }
        sensitivities.push(layer_sensitivities);
    }
    let largest = sensitivities.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    // A value that the decoder ignores would get an infinite step.
    sensitivities
        .iter_mut()
        .flatten()
        .for_each(|sensitivity| *sensitivity = sensitivity.max(MIN_RELATIVE_SENSITIVITY * largest));
    Ok(sensitivities)
}

fn as_slices(layers: &[Vec<f32>]) -> Vec<&[f32]> {
    layers.iter().map(Vec::as_slice).collect()
}

/// Splits the runs of a layer, with their perturbations, into groups of similar spread.
fn group_runs(layer: &LayerLatents, values: &[f32]) -> Vec<Vec<(usize, f64)>> {
    let mut runs: Vec<(usize, f64)> =
        (0..layer.runs).map(|run| (run, 0.1 * run_deviation(layer, values, run).max(1e-3))).collect();
    let size = layer.runs.div_ceil(MAX_GROUPS);
    if size > 1 {
        runs.sort_by(|a, b| a.1.total_cmp(&b.1));
    }
    runs.chunks(size).map(<[(usize, f64)]>::to_vec).collect()
}

/// Returns the positions of a group's values in the rows of the layer, and the perturbation of each.
fn draw_perturbations(layer: &LayerLatents, group: &[(usize, f64)], count: usize) -> Vec<(usize, f32)> {
    let mut rng = StdRng::seed_from_u64(0);
    let run_len = layer.len / layer.runs;
    let is_single_value = run_len == 1 && group.len() == 1;
    let mut perturbations = Vec::with_capacity(group.len() * run_len * count);
    for row in 0..count {
        for &(run, delta) in group {
            let start = row * layer.len + run * run_len;
            perturbations.extend((start..start + run_len).map(|position| {
                let sign = if is_single_value || rng.random::<bool>() { 1.0 } else { -1.0 };
                (position, sign * delta as f32)
            }));
        }
    }
    perturbations
}

/// Returns the standard deviation of the values of a run.
fn run_deviation(layer: &LayerLatents, values: &[f32], run: usize) -> f64 {
    let run_len = layer.len / layer.runs;
    let run_values = values.chunks_exact(layer.len).flat_map(|row| &row[run * run_len..(run + 1) * run_len]);
    let run_values = run_values.map(|&value| f64::from(value));
    let count = run_values.clone().count().max(1) as f64;
    let mean = run_values.clone().sum::<f64>() / count;
    (run_values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Returns the weight of a squared change in each output: 1 for a single output, otherwise the inverse mean
/// square.
fn output_weights(outputs: &[Vec<f32>]) -> Vec<f64> {
    if outputs.len() == 1 {
        return vec![1.0];
    }
    outputs
        .iter()
        .map(|output| {
            let squares: f64 = output.iter().map(|&value| f64::from(value).powi(2)).sum();
            output.len() as f64 / squares.max(f64::MIN_POSITIVE)
        })
        .collect()
}

fn weighted_squares(above: &[Vec<f32>], below: &[Vec<f32>], weights: &[f64]) -> f64 {
    let outputs = above.iter().zip(below).zip(weights);
    outputs
        .map(|((above, below), weight)| {
            weight * above.iter().zip(below).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use lopside_onnx::{Dim, GraphBuilder, encode_model};

    use super::*;
    use crate::engines;

    fn decoder(graph: GraphBuilder) -> OrtModel {
        let library =
            std::env::var("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`");
        let runtime = engines::load_cpu_runtime(library.as_ref()).unwrap();
        OrtModel::new(&runtime, "decoder", &encode_model(&graph.build())).unwrap()
    }

    fn latents(count: usize, len: usize, runs: usize) -> LayerLatents {
        let mut rng = StdRng::seed_from_u64(7);
        LayerLatents { values: (0..count * len).map(|_| rng.random_range(-2.0..2.0)).collect(), len, runs }
    }

    /// Makes a weight of `rows` rows in which row r has one non-zero value, `diagonal[r]`.
    fn diagonal(graph: &mut GraphBuilder, name: &str, diagonal: &[f32]) -> String {
        let n = diagonal.len();
        let weight: Vec<f32> =
            (0..n * n).map(|i| if i / n == i % n { diagonal[i / n] } else { 0.0 }).collect();
        graph.add_initializer(name, &[n as i64, n as i64], &weight).unwrap()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        let near = found.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 0.02);
        assert!(found.len() == expected.len() && near, "{found:?} {expected:?}");
    }

    #[test]
    fn the_sensitivity_of_a_run_is_the_mean_of_its_values() {
        for batch in [Dim::from("n"), Dim::from(1)] {
            let mut graph = GraphBuilder::new("decoder");
            let a = graph.add_input("a", &[batch.clone(), 2.into()]);
            let b = graph.add_input("b", &[batch.clone(), 2.into(), 2.into(), 1.into()]);
            let weight_a = diagonal(&mut graph, "w", &[1.0, 3.0]);
            let weight_b = diagonal(&mut graph, "v", &[1.0, 2.0, 0.5, 0.5]);
            let a = graph.add_node("MatMul", &[&a, &weight_a], "aw", &[]);
            let flat = graph.flatten(&b, "flat");
            let b = graph.add_node("MatMul", &[&flat, &weight_b], "bv", &[]);
            let y = graph.concat(&[&a, &b], 1, "y");
            graph.add_output(&y, &[batch, 6.into()]);
            let layers = [latents(30, 2, 2), latents(30, 4, 2)];
            let found = measure_sensitivities(&mut decoder(graph), &layers).unwrap();
            assert_close(&found[0], &[1.0, 9.0]);
            assert_close(&found[1], &[2.5, 0.25]);
        }
    }

    #[test]
    fn the_mixed_terms_of_a_run_cancel() {
        let mut graph = GraphBuilder::new("decoder");
        let x = graph.add_input("x", &["n".into(), 4.into()]);
        let w = graph.add_initializer("w", &[4, 1], &[1.0, 1.0, 1.0, -1.0]).unwrap();
        let y = graph.add_node("MatMul", &[&x, &w], "y", &[]);
        graph.add_output(&y, &["n".into(), 1.into()]);
        let found = measure_sensitivities(&mut decoder(graph), &[latents(500, 4, 1)]).unwrap();
        assert!((found[0][0] - 1.0).abs() < 0.15, "{found:?}");
    }

    #[test]
    fn many_runs_are_grouped_by_similar_deviation() {
        let layer = latents(3, 2048, 1024);
        let groups = group_runs(&layer, &layer.values);
        assert_eq!((groups.len(), groups.concat().len()), (256, 1024));
        let deviations: Vec<f64> = groups.concat().iter().map(|run| run.1).collect();
        assert!(deviations.is_sorted());
        let mut runs: Vec<usize> = groups.concat().iter().map(|run| run.0).collect();
        runs.sort_unstable();
        assert_eq!(runs, (0..1024).collect::<Vec<_>>());
    }

    #[test]
    fn outputs_are_weighted_by_their_own_scale() {
        let mut graph = GraphBuilder::new("decoder");
        let x = graph.add_input("x", &["n".into(), 2.into()]);
        for (name, weight) in [("large", [1000.0, 0.0]), ("small", [0.0, 0.01])] {
            let w = graph.add_initializer(&format!("{name}.w"), &[2, 1], &weight).unwrap();
            let y = graph.add_node("MatMul", &[&x, &w], name, &[]);
            graph.add_output(&y, &["n".into(), 1.into()]);
        }
        let mut layer = latents(500, 2, 2);
        layer.values.chunks_exact_mut(2).for_each(|row| row[1] = row[0]);
        let found = measure_sensitivities(&mut decoder(graph), &[layer]).unwrap();
        assert!((found[0][0] / found[0][1] - 1.0).abs() < 1e-3, "{found:?}");
    }
}
