//! The context model of a photo encoder, counted from real photographs over all qualities.
//!
//! 1. Channels that their neighbours predict, sign included, get a predictor by least squares.
//! 2. For every channel, the expected magnitude is fitted to its neighbours, to the earlier channels that correlate
//!    best with it, to its own average and to the quality, by least squares weighted towards small magnitudes.
//! 3. With these, the photographs are walked through as in the coder, and the integers of each class are counted.

use std::path::Path;

use lopside_latent::{
    LatentError, Table, Tables,
    image_codec::{
        CLASSES, ChannelContext, ChannelReference, ContextModel, Energy, ImageCodecQuantiser, NEIGHBOURS,
        Plane, PlaneVisitor, QUALITIES, ROW_CLASSES, walk_plane,
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    fit::NormalEquations,
    model::{COARSEST_OCTAVE, FINEST_OCTAVE, PhotoModel},
    quantise::ROUNDING_OFFSET,
    spec::PhotoSpec,
    statistics::{self, CodedChannel, PhotoLayers, QuantisedPhoto},
};
use crate::TrainingError;

/// The number 1 in the fixed-point format of the context model's weights.
const FIXED_POINT_ONE: f64 = 4096.0;
/// Number of qualities that are measured, evenly spaced.
const KNOTS: usize = 12;
/// Number of random positions that a channel's weights are fitted to.
const FIT_POSITIONS: usize = 30_000;
/// Maximum number of channels that predict another channel.
const MAX_REFERENCES: usize = 8;
/// Minimum share of a channel's energy that a predictor must remove to be used.
const MIN_ENERGY_REDUCTION: f64 = 0.3;
/// Number of occurrences of a class below which a channel uses its layer's table.
const MIN_OCCURRENCES: u64 = 200;

/// Returns the quantiser of all qualities, with the model's gains.
///
/// # Errors
/// [`TrainingError::Latent`] when a step, gain or rounding offset is invalid.
pub(crate) fn build_quantiser(model: &PhotoModel) -> Result<ImageCodecQuantiser, TrainingError> {
    let steps = (0..QUALITIES).map(|quality| octave_of(quality).exp2() / 255.0).collect();
    let gains: Vec<Vec<f32>> = model
        .gains
        .iter()
        .map(|gains| {
            let logarithms: Vec<f32> = gains.val().into_data().try_to_vec().unwrap_or_default();
            logarithms.into_iter().map(f32::exp2).collect()
        })
        .collect();
    let rounding = vec![ROUNDING_OFFSET; gains.len()];
    Ok(ImageCodecQuantiser::new(steps, gains, rounding)?)
}

/// Returns the binary logarithm of the quantisation step at a quality, 0 to 99, for samples 0 to 255.
fn octave_of(quality: usize) -> f32 {
    COARSEST_OCTAVE + (FINEST_OCTAVE - COARSEST_OCTAVE) * quality as f32 / (QUALITIES - 1) as f32
}

/// Counts the context model from the photographs below `folder`.
///
/// # Errors
/// [`TrainingError`] when a photograph cannot be read.
pub(crate) fn count_contexts(
    folder: &Path,
    model: &PhotoModel,
    spec: &PhotoSpec,
    quantiser: &ImageCodecQuantiser,
) -> Result<ContextModel, TrainingError> {
    let maps = statistics::photo_layers(folder, model, spec)?;
    let predictors = fit_predictors(&maps, spec);
    let mut views = Vec::new();
    for knot in 0..KNOTS {
        for maps in &maps {
            views.push(statistics::quantise_photo(maps, quantiser, quality_of(knot), knot, &predictors)?);
        }
    }
    let layers = layers_of(spec);
    let mut channels: Vec<ChannelContext> = predictors
        .iter()
        .enumerate()
        .map(|(c, &predictor)| fit_context(&views, &layers, c, predictor))
        .collect();
    count_symbols(&views, &layers, &mut channels)
}

/// Returns the quality of a knot, 0 to 99.
fn quality_of(knot: usize) -> usize {
    knot * (QUALITIES - 1) / (KNOTS - 1)
}

/// Returns the layer of each channel and the binary logarithm of its stride.
fn layers_of(spec: &PhotoSpec) -> Vec<(usize, u32)> {
    (0..spec.levels())
        .flat_map(|layer| {
            let level = spec.levels() - 1 - layer;
            vec![(layer, spec.stride(level).ilog2()); spec.layer_channels(level)]
        })
        .collect()
}

/// Returns the predictor of every channel, zeros if it is not worthwhile. Only the coarsest layer has
/// predictors, because the signs of the other layers' values cannot be predicted.
fn fit_predictors(maps: &[PhotoLayers], spec: &PhotoSpec) -> Vec<[i16; 4]> {
    let coarsest_channels = spec.layer_channels(spec.levels() - 1);
    let channel_count: usize = (0..spec.levels()).map(|level| spec.layer_channels(level)).sum();
    (0..channel_count)
        .map(|channel| if channel < coarsest_channels { fit_predictor(maps, channel) } else { [0; 4] })
        .collect()
}

fn fit_predictor(maps: &[PhotoLayers], channel: usize) -> [i16; 4] {
    let (mut equations, mut energy, mut samples) = (NormalEquations::new(4), 0.0, Vec::new());
    for photo in maps {
        let (rows, columns, values) = &photo.layers[0];
        let plane = &values[channel * rows * columns..][..rows * columns];
        for (row, column) in (1..*rows).flat_map(|r| (1..columns - 1).map(move |c| (r, c))) {
            let index = row * columns + column;
            let neighbours = [index - 1, index - columns, index - columns - 1, index - columns + 1]
                .map(|i| f64::from(plane[i]));
            let value = f64::from(plane[index]);
            equations.add(&neighbours, value, 1.0);
            energy += value * value;
            samples.push((neighbours, value));
        }
    }
    let weights = equations.solve(true);
    let error: f64 = samples
        .iter()
        .map(|(neighbours, value)| {
            (value - neighbours.iter().zip(&weights).map(|(a, w)| a * w).sum::<f64>()).powi(2)
        })
        .sum();
    if error > energy * (1.0 - MIN_ENERGY_REDUCTION) {
        return [0; 4];
    }
    [0, 1, 2, 3].map(|i: usize| (weights[i] * 256.0).round() as i16)
}

/// Returns the context of a channel; its tables are counted later.
fn fit_context(
    views: &[QuantisedPhoto],
    layers: &[(usize, u32)],
    channel: usize,
    predictor: [i16; 4],
) -> ChannelContext {
    let mut rng = StdRng::seed_from_u64(channel as u64);
    let reference_channels = choose_references(views, layers, channel, &mut rng);
    let averages: Vec<Vec<f64>> =
        views.iter().map(|view| running_averages(&view.channels[channel])).collect();
    let fixed_count = NEIGHBOURS + 1 + reference_channels.len();
    let mut weights = vec![0.1; fixed_count + KNOTS];
    for _ in 0..4 {
        let mut equations = NormalEquations::new(fixed_count + KNOTS);
        let mut rng = StdRng::seed_from_u64(channel as u64);
        for _ in 0..FIT_POSITIONS {
            let (view, row, column) = draw_position(views, channel, &mut rng);
            let coded_channel = &views[view].channels[channel];
            let mut features = vec![0.0; fixed_count + KNOTS];
            let neighbours = coded_channel.magnitudes.neighbours(row, column);
            features.iter_mut().zip(neighbours).for_each(|(feature, m)| *feature = f64::from(m));
            features[NEIGHBOURS] = averages[view][row];
            for (feature, &other) in features[NEIGHBOURS + 1..].iter_mut().zip(&reference_channels) {
                *feature = blurred_magnitude(&views[view], layers, channel, other, row, column);
            }
            features[fixed_count + views[view].knot] = 1.0;
            let expected: f64 = features.iter().zip(&weights).map(|(f, w)| f * w).sum();
            let magnitude = f64::from(
                coded_channel.residuals[row * coded_channel.columns + column].unsigned_abs().min(255),
            );
            equations.add(&features, magnitude, 1.0 / (expected + 0.02).powi(2));
        }
        weights = equations.solve(false);
    }
    let mut neighbour_weights = [0; NEIGHBOURS];
    neighbour_weights.iter_mut().zip(&weights).for_each(|(fixed, &weight)| *fixed = to_fixed_point(weight));
    let references = reference_channels
        .iter()
        .zip(&weights[NEIGHBOURS + 1..])
        .map(|(&other, &weight)| ChannelReference { channel: other as u32, weight: to_fixed_point(weight) });
    ChannelContext {
        predictor,
        neighbour_weights,
        average_weight: to_fixed_point(weights[NEIGHBOURS]),
        biases: interpolate_biases(&weights[fixed_count..])
            .iter()
            .map(|&bias| to_fixed_point(bias).max(1))
            .collect(),
        zero_plane_odds: [1; 2],
        references: references.filter(|reference| reference.weight > 0).collect(),
        tables: vec![0; CLASSES],
    }
}

fn to_fixed_point(weight: f64) -> u16 {
    (weight * FIXED_POINT_ONE).round().min(65535.0) as u16
}

/// Interpolates linearly between the knots.
fn interpolate_biases(knots: &[f64]) -> Vec<f64> {
    (0..QUALITIES)
        .map(|quality| {
            let knot = (0..KNOTS - 2).take_while(|&knot| quality_of(knot + 1) <= quality).count();
            let (lower, upper) = (quality_of(knot) as f64, quality_of(knot + 1) as f64);
            let fraction = (quality as f64 - lower) / (upper - lower);
            knots[knot] * (1.0 - fraction) + knots[knot + 1] * fraction
        })
        .collect()
}

/// Draws a random position: view, row, column.
fn draw_position(views: &[QuantisedPhoto], channel: usize, rng: &mut StdRng) -> (usize, usize, usize) {
    let view = rng.random_range(0..views.len());
    let coded_channel = &views[view].channels[channel];
    (view, rng.random_range(0..coded_channel.rows), rng.random_range(0..coded_channel.columns))
}

/// Returns the average that the coder has at each row of a channel, in steps; it starts with the mean of the
/// whole channel.
fn running_averages(coded: &CodedChannel) -> Vec<f64> {
    let mut average = mean_magnitude(&coded.residuals);
    coded
        .residuals
        .chunks_exact(coded.columns)
        .map(|row| {
            let previous = average;
            average = average * 0.75 + mean_magnitude(row) * 0.25;
            previous
        })
        .collect()
}

fn mean_magnitude(residuals: &[i32]) -> f64 {
    residuals.iter().map(|v| f64::from(v.unsigned_abs().min(255))).sum::<f64>() / residuals.len() as f64
}

/// Returns the earlier channels whose magnitudes correlate best with this channel's, at most [`MAX_REFERENCES`].
fn choose_references(
    views: &[QuantisedPhoto],
    layers: &[(usize, u32)],
    channel: usize,
    rng: &mut StdRng,
) -> Vec<usize> {
    let positions: Vec<_> = (0..FIT_POSITIONS / 8).map(|_| draw_position(views, channel, rng)).collect();
    let target: Vec<f64> = positions
        .iter()
        .map(|&(view, row, column)| {
            let coded_channel = &views[view].channels[channel];
            f64::from(coded_channel.residuals[row * coded_channel.columns + column].unsigned_abs().min(12))
        })
        .collect();
    let mut correlations: Vec<(f64, usize)> = (0..channel)
        .map(|other| {
            let magnitudes = positions.iter().map(|&(view, row, column)| {
                blurred_magnitude(&views[view], layers, channel, other, row, column).min(60.0)
            });
            (correlation(&magnitudes.collect::<Vec<_>>(), &target), other)
        })
        .collect();
    correlations.sort_by(|a, b| b.0.total_cmp(&a.0));
    correlations
        .into_iter()
        .take(MAX_REFERENCES)
        .filter(|(correlation, _)| *correlation > 0.0)
        .map(|(_, other)| other)
        .collect()
}

/// Returns the blurred magnitude of another channel at a position of `channel`.
fn blurred_magnitude(
    view: &QuantisedPhoto,
    layers: &[(usize, u32)],
    channel: usize,
    other: usize,
    row: usize,
    column: usize,
) -> f64 {
    let shift = layers[other].1 - layers[channel].1;
    f64::from(view.channels[other].magnitudes.blurred(row >> shift, column >> shift))
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - mean_a) * (y - mean_b);
        aa += (x - mean_a).powi(2);
        bb += (y - mean_b).powi(2);
    }
    if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { -1.0 }
}

/// The number of occurrences of each integer of a class.
#[derive(Debug, Clone, Default)]
struct Histogram(std::collections::BTreeMap<i32, u64>);

impl Histogram {
    fn total(&self) -> u64 {
        self.0.values().sum()
    }

    fn add(&mut self, other: &Self) {
        for (&value, &count) in &other.0 {
            *self.0.entry(value).or_default() += count;
        }
    }
}

/// Walks through the photographs as the coder does and converts the counts to tables and odds.
fn count_symbols(
    views: &[QuantisedPhoto],
    layers: &[(usize, u32)],
    channels: &mut [ChannelContext],
) -> Result<ContextModel, TrainingError> {
    let layer_count = layers.last().map_or(0, |&(layer, _)| layer + 1);
    let mut rows = vec![vec![[1_u64; 2]; ROW_CLASSES]; layer_count];
    let mut by_layer = vec![vec![Histogram::default(); CLASSES]; layer_count];
    let mut by_channel = Vec::new();
    for channel in 0..channels.len() {
        let layer = layers[channel].0;
        let mut planes = [[1_u64; 2]; 2];
        let mut classes = vec![Histogram::default(); CLASSES];
        for view in views {
            let first = channel == 0 || layers[channel - 1].0 != layer;
            let after_zero = !first && is_zero(&view.channels[channel - 1]);
            let mut counts = SymbolCounts {
                planes: &mut planes[usize::from(after_zero)],
                rows: &mut rows[layer],
                classes: &mut classes,
            };
            count_plane(view, layers, channel, &channels[channel], &mut counts)?;
        }
        channels[channel].zero_plane_odds = planes.map(odds_of_second);
        by_layer[layer].iter_mut().zip(&classes).for_each(|(sum, class)| sum.add(class));
        by_channel.push(classes);
    }
    let mut tables = Vec::new();
    let shared: Vec<Vec<u32>> = by_layer
        .iter()
        .map(|classes| (0..CLASSES).map(|class| push_table(&mut tables, &classes[class], class)).collect())
        .collect::<Result<_, TrainingError>>()?;
    for (channel, classes) in by_channel.iter().enumerate() {
        for (class, histogram) in classes.iter().enumerate() {
            channels[channel].tables[class] = if histogram.total() < MIN_OCCURRENCES {
                shared[layers[channel].0][class]
            } else {
                push_table(&mut tables, histogram, class)?
            };
        }
    }
    let zero_rows =
        rows.iter().map(|classes| classes.iter().copied().map(odds_of_second).collect()).collect();
    Ok(ContextModel::new(channels.to_vec(), zero_rows, Tables::new(tables)?)?)
}

fn is_zero(coded: &CodedChannel) -> bool {
    coded.residuals.iter().all(|&value| value == 0)
}

/// Counts of the symbols that the coder codes for one channel.
struct SymbolCounts<'a> {
    /// Number of planes that are not zero, and that are.
    planes: &'a mut [u64; 2],
    /// Number of rows that are not zero, and that are, for each class.
    rows: &'a mut [[u64; 2]],
    /// Histogram of the integers of each class.
    classes: &'a mut [Histogram],
}

impl PlaneVisitor for SymbolCounts<'_> {
    fn visit_plane(&mut self, zero: &mut bool) -> Result<(), LatentError> {
        self.planes[usize::from(*zero)] += 1;
        Ok(())
    }

    fn visit_row(&mut self, class: usize, zero: &mut bool) -> Result<(), LatentError> {
        self.rows[class][usize::from(*zero)] += 1;
        Ok(())
    }

    fn visit_value(&mut self, class: usize, value: &mut i32) -> Result<(), LatentError> {
        *self.classes[class].0.entry(*value).or_default() += 1;
        Ok(())
    }
}

fn count_plane(
    view: &QuantisedPhoto,
    layers: &[(usize, u32)],
    channel: usize,
    context: &ChannelContext,
    counts: &mut SymbolCounts<'_>,
) -> Result<(), TrainingError> {
    let coded_channel = &view.channels[channel];
    let references = context.references.iter().map(|reference| {
        let other = reference.channel as usize;
        (&view.channels[other].magnitudes, layers[other].1 - layers[channel].1)
    });
    let mut plane = Plane::new(coded_channel.rows, coded_channel.columns);
    walk_plane(
        || Energy::new(context, view.quality, coded_channel.columns, references),
        &mut plane,
        &mut coded_channel.residuals.clone(),
        counts,
    )?;
    Ok(())
}

/// Returns the odds of the second of two counts, of 65536.
fn odds_of_second([clear, set]: [u64; 2]) -> u16 {
    (set * 65536 / (clear + set)).clamp(1, 65535) as u16
}

/// Adds a table of the observed integers, mixed with a small two-sided geometric distribution of the class's
/// expected magnitude, which covers integers that were not observed by chance.
fn push_table(tables: &mut Vec<Table>, histogram: &Histogram, class: usize) -> Result<u32, TrainingError> {
    let magnitude = 2.0_f64.powf((class as f64 + 23.5) / 4.0) / FIXED_POINT_ONE;
    let ratio = magnitude / (1.0 + magnitude);
    let reach = (12.0 * magnitude).ceil().min(400.0) as i32 + 1;
    let min = clamp_extreme(histogram.0.first_key_value()).min(-reach);
    let max = clamp_extreme(histogram.0.last_key_value()).max(reach);
    let counts: Vec<u64> = (min..=max)
        .map(|value| {
            let prior = 8.0 * ratio.powi(value.abs()) * (1.0 - ratio) / (1.0 + ratio);
            histogram.0.get(&value).copied().unwrap_or(0) * 256 + (prior * 256.0) as u64
        })
        .collect();
    tables.push(Table::from_counts(min, &counts)?);
    Ok(tables.len() as u32 - 1)
}

/// Returns the smallest or largest entry of a histogram, limited to the table's range; 0 if there is none.
fn clamp_extreme(entry: Option<(&i32, &u64)>) -> i32 {
    entry.map_or(0, |(&value, _)| value.clamp(-1000, 1000))
}
