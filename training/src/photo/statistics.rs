//! The data for calibration: integers of real photographs at several qualities.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use image::DynamicImage;
use lopside_bundle::{Channels, ImageSpec};
use lopside_input::image_samples;
use lopside_latent::image_codec::{ImageCodecQuantiser, Plane};

use super::{model::PhotoModel, spec::PhotoSpec};
use crate::{TrainingError, photos};

/// Maximum size of the central part of each photograph that is used, in pixels.
const MAX_WIDTH: u32 = 768;
const MAX_HEIGHT: u32 = 512;

/// The layers of one photograph before quantisation, coarsest first.
pub(crate) struct PhotoLayers {
    /// Rows, columns and values `[channels, rows, columns]` of each layer.
    pub(crate) layers: Vec<(usize, usize, Vec<f32>)>,
}

/// One channel of one photograph at one quality.
pub(crate) struct CodedChannel {
    /// The integers to code, less their predictions.
    pub(crate) residuals: Vec<i32>,
    /// The magnitudes of the integers, which serve as contexts.
    pub(crate) magnitudes: Plane,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// One photograph at one quality.
pub(crate) struct QuantisedPhoto {
    /// The quality, 0 to 99.
    pub(crate) quality: usize,
    /// Index of the quality among the knots.
    pub(crate) knot: usize,
    /// All channels, coarsest layer first.
    pub(crate) channels: Vec<CodedChannel>,
}

/// Returns the layers of the central part of every training photograph, halved.
pub(crate) fn photo_layers(
    folder: &Path,
    model: &PhotoModel,
    spec: &PhotoSpec,
) -> Result<Vec<PhotoLayers>, TrainingError> {
    central_images(folder, spec)?
        .map(|image| {
            let layers = model.analysis.analyse(image?, spec).into_iter().map(layer_values).collect();
            Ok(PhotoLayers { layers })
        })
        .collect()
}

/// Returns rows, columns and values of a layer of one image.
fn layer_values(layer: Tensor<4>) -> (usize, usize, Vec<f32>) {
    let [_, _, rows, columns] = layer.dims();
    (rows, columns, layer.into_data().try_to_vec().unwrap_or_default())
}

/// Iterates over the central parts of the training photographs, halved, `[1, 3, h, w]`; their sides are
/// multiples of the spec's alignment.
pub(crate) fn central_images(
    folder: &Path,
    spec: &PhotoSpec,
) -> Result<impl Iterator<Item = Result<Tensor<4>, TrainingError>>, TrainingError> {
    let alignment = spec.alignment() as u32;
    Ok(photos::halved_photos(folder)?.map(move |image| Ok(central_part(&image?, alignment))))
}

fn central_part(image: &DynamicImage, alignment: u32) -> Tensor<4> {
    let (width, height) = (
        image.width().min(MAX_WIDTH) / alignment * alignment,
        image.height().min(MAX_HEIGHT) / alignment * alignment,
    );
    let (x, y) = ((image.width() - width) / 2, (image.height() - height) / 2);
    let spec = ImageSpec::with_uniform_range(width, height, Channels::Rgb, -0.5, 0.5);
    let samples = image_samples(&image.crop_imm(x, y, width, height), &spec);
    let dims = [1, 3, height as usize, width as usize];
    Tensor::from_data(TensorData::new(samples, dims), &Device::flex())
}

/// Quantises a photograph at a quality. `predictors` are those of all channels.
pub(crate) fn quantise_photo(
    maps: &PhotoLayers,
    quantiser: &ImageCodecQuantiser,
    quality: usize,
    knot: usize,
    predictors: &[[i16; 4]],
) -> Result<QuantisedPhoto, TrainingError> {
    let mut channels = Vec::new();
    for (layer, (rows, columns, values)) in maps.layers.iter().enumerate() {
        let integers = quantiser.quantise(layer, quality, values)?;
        for plane in integers.chunks_exact(rows * columns) {
            channels.push(code_channel(plane, *rows, *columns, predictors[channels.len()]));
        }
    }
    Ok(QuantisedPhoto { quality, knot, channels })
}

fn code_channel(values: &[i16], rows: usize, columns: usize, predictor: [i16; 4]) -> CodedChannel {
    let mut integers = vec![0; values.len()];
    lopside_latent::image_codec::subtract_prediction(
        values,
        columns,
        predictor.map(i32::from),
        &mut integers,
    );
    let mut plane = Plane::new(rows, columns);
    for (index, &value) in integers.iter().enumerate() {
        plane.set(index / columns, index % columns, value);
    }
    CodedChannel { residuals: integers, magnitudes: plane, rows, columns }
}
