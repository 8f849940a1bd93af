//! The fast encoder: the lowest bands, predicted from the image at half its size.
//!
//! Low frequencies survive halving, so a filter of half the length, with a quarter of the samples, finds them
//! nearly as well. The weights minimise the squared error over real photographs and have the bands' symmetry.

use std::path::Path;

use burn::tensor::{
    Device, Tensor, TensorData,
    module::{avg_pool2d, conv2d},
    ops::{AvgPoolOptions, ConvOptions},
};
use lopside_onnx::{GraphBuilder, proto::ModelProto};
use nalgebra::DMatrix;

use super::{
    export::{BANDS_NAME, INPUT_NAME, feature_map_dims},
    mirror,
    model::PhotoModel,
    spec::{PhotoSpec, STRIDE},
    statistics,
};
use crate::{PhotoError, TrainingError};

/// Number of bands that it produces: those that matter for an image at a few tenths of a bit per pixel.
const FAST_BANDS: usize = 16;
/// Side of the filters, in samples of the halved image, and their stride.
const FILTER_SIDE: usize = STRIDE;
const FILTER_STRIDE: usize = STRIDE / 2;
/// One of this many blocks of a photograph is used.
const BLOCK_INTERVAL: usize = 5;
/// Share of the mean sum of squares that is added to each sum of squares, so that the equations can be
/// solved.
const RIDGE: f64 = 1e-5;

/// The normal equations of the weights: samples by samples, and samples by bands.
struct BandEquations {
    squares: DMatrix<f64>,
    products: DMatrix<f64>,
}

/// Fits the fast encoder to the photographs below `folder`.
///
/// # Errors
/// [`TrainingError`] when a photograph cannot be read or there are too few photographs.
pub(crate) fn fit_encoder(
    folder: &Path,
    model: &PhotoModel,
    spec: &PhotoSpec,
) -> Result<ModelProto, TrainingError> {
    let band_count = FAST_BANDS.min(spec.channels(0));
    let inputs = 3 * FILTER_SIDE * FILTER_SIDE;
    let mut equations = BandEquations {
        squares: DMatrix::zeros(inputs, inputs),
        products: DMatrix::zeros(inputs, band_count),
    };
    for image in statistics::central_images(folder, spec)? {
        let image = image?;
        let bands = conv2d(image.clone(), model.analysis.symmetric_bands(spec), None, conv_options(STRIDE));
        let halved = avg_pool2d(image, AvgPoolOptions::new([2, 2]).with_stride([2, 2]));
        equations.add(&halved, &bands.narrow(1, 0, band_count));
    }
    let weights = equations.solve(band_count).ok_or(PhotoError::TooFewPhotos)?;
    let weights = mirror::symmetrise_filters(weights, &spec.parities(0)[..band_count]);
    encoder_graph(band_count, weights)
}

impl BandEquations {
    /// Adds an image: its halved samples `[1, 3, h/2, w/2]` and its bands `[1, kept, …]`.
    fn add(&mut self, halved: &Tensor<4>, bands: &Tensor<4>) {
        let ([.., height, width], [_, band_count, rows, columns]) = (halved.dims(), bands.dims());
        let (samples, bands) = (to_values(halved), to_values(bands));
        let positions: Vec<[usize; 2]> = (0..rows * columns)
            .step_by(BLOCK_INTERVAL)
            .map(|index| [index / columns, index % columns])
            .collect();
        let inputs = self.squares.nrows();
        let x = DMatrix::from_fn(inputs, positions.len(), |i, n| {
            let ([row, column], colour) = (positions[n], i / (FILTER_SIDE * FILTER_SIDE));
            let y = row * FILTER_STRIDE + i / FILTER_SIDE % FILTER_SIDE;
            let x = column * FILTER_STRIDE + i % FILTER_SIDE;
            f64::from(samples[(colour * height + y) * width + x])
        });
        let y = DMatrix::from_fn(positions.len(), band_count, |n, band| {
            f64::from(bands[(band * rows + positions[n][0]) * columns + positions[n][1]])
        });
        self.squares += &x * x.transpose();
        self.products += &x * y;
    }

    /// Returns the weights `[kept, 3, 8, 8]`, or `None` if there are too few samples.
    fn solve(mut self, band_count: usize) -> Option<Tensor<4>> {
        let ridge = RIDGE * self.squares.trace() / self.squares.nrows() as f64;
        self.squares += DMatrix::identity(self.squares.nrows(), self.squares.nrows()) * ridge;
        let weights = self.squares.cholesky()?.solve(&self.products);
        // Column-major order is band after band.
        let values: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        Some(Tensor::from_data(
            TensorData::new(values, [band_count, 3, FILTER_SIDE, FILTER_SIDE]),
            &Device::flex(),
        ))
    }
}

fn to_values(x: &Tensor<4>) -> Vec<f32> {
    x.clone().into_data().try_to_vec().unwrap_or_default()
}

fn encoder_graph(band_count: usize, weights: Tensor<4>) -> Result<ModelProto, TrainingError> {
    let values: Vec<f32> = weights.into_data().try_to_vec().unwrap_or_default();
    let mut graph = GraphBuilder::new("photo-encoder-fast");
    let image = graph.add_input(INPUT_NAME, &feature_map_dims(3, "h", "w"));
    let shape = [band_count, 3, FILTER_SIDE, FILTER_SIDE].map(|extent| extent as i64);
    let weight = graph.add_initializer("analysis", &shape, &values)?;
    graph.conv(&image, &weight, "", FILTER_STRIDE as i64, 0, BANDS_NAME);
    graph.add_output(BANDS_NAME, &feature_map_dims(band_count, "h8", "w8"));
    Ok(graph.build())
}

fn conv_options(stride: usize) -> ConvOptions<2> {
    ConvOptions::new([stride; 2], [0; 2], [1; 2], 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_bands_of_a_smooth_image_are_predicted_from_its_half() {
        let spec = PhotoSpec { luma: 64, chroma: 16, merges: vec![6, 4], width: 4, blocks: 1, scale: 1 };
        let model = PhotoModel::new(&spec, &Device::flex());
        let (height, width) = (16 * 8 + 8, 24 * 8 + 8);
        let image = |seed: usize| {
            let wave = |i: usize| {
                let (c, y, x) = (i / (height * width), i / width % height, i % width);
                let phase = |a: usize, b: usize| (x * a + y * b + 40 * c * seed) as f32 / 60.0;
                0.2 * phase(seed, 3).sin() + 0.1 * phase(5, seed + 1).cos() + 0.05 * phase(7 * seed, 9).sin()
            };
            let values: Vec<f32> = (0..3 * height * width).map(wave).collect();
            Tensor::<4>::from_data(TensorData::new(values, [1, 3, height, width]), &Device::flex())
        };
        let half_and_bands = |image: Tensor<4>| {
            let bands =
                conv2d(image.clone(), model.analysis.symmetric_bands(&spec), None, conv_options(STRIDE));
            (avg_pool2d(image, AvgPoolOptions::new([2, 2]).with_stride([2, 2])), bands.narrow(1, 0, 6))
        };
        let mut equations =
            BandEquations { squares: DMatrix::zeros(192, 192), products: DMatrix::zeros(192, 6) };
        for seed in 1..5 {
            let (halved, bands) = half_and_bands(image(seed));
            equations.add(&halved, &bands);
        }
        let weights = equations.solve(6).unwrap();
        let (halved, bands) = half_and_bands(image(6));
        let found = conv2d(halved, weights, None, conv_options(FILTER_STRIDE));
        let energy = |x: Tensor<4>| x.square().sum().into_scalar::<f32>();
        assert!(energy(found - bands.clone()) < 1e-2 * energy(bands));
    }
}
