//! Images of any size through an image codec: strips and threads do not change the result.

use super::support::{Model, REACH, SMALL, hash};
use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
use lopside_encoder::{EncodeError, ImageCodecEncoder, ImageCodecOptions, ModelPlan};
use lopside_latent::{
    IdOnWire, Limits,
    image_codec::{Coefficients, ImageCodecHeader, ImageCodecLatent, Quality},
};

fn options(threads: usize) -> ImageCodecOptions {
    ImageCodecOptions { threads, ..ImageCodecOptions::new(Quality::new(60).unwrap()) }
}

fn encoder(model: Model) -> ImageCodecEncoder {
    ImageCodecEncoder::new(&model.bundle(tempfile::tempdir().unwrap().path())).unwrap()
}

fn noise(x: u32, y: u32, channel: u32) -> u8 {
    let wave = 100.0 + 60.0 * ((x as f32 / 17.0).sin() + (y as f32 / 29.0 + channel as f32).cos());
    (wave + (hash(x + 7919 * y + channel) % 40) as f32) as u8
}

fn colour(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|channel| noise(x, y, channel)))).into()
}

fn grey(width: u32, height: u32) -> DynamicImage {
    GrayImage::from_fn(width, height, |x, y| Luma([noise(x, y, 0)])).into()
}

/// Computes the encoder's input in the simplest way; returns it with its rows and columns.
fn continued(image: &DynamicImage, alignment: u32) -> (Vec<f32>, [usize; 2]) {
    let image = image.to_rgb8();
    let fold = |i: i64, side: u32| {
        let side = i64::from(side);
        let i = i.rem_euclid(2 * side);
        if i < side { i } else { 2 * side - 1 - i }
    };
    let [width, height] = [image.width(), image.height()];
    let [aligned_width, aligned_height] =
        [width.next_multiple_of(alignment), height.next_multiple_of(alignment)];
    let pixel = |x: i64, y: i64| {
        let (x, y) = (fold(fold(x, aligned_width), width), fold(fold(y, aligned_height), height));
        image.get_pixel(x as u32, y as u32).0
    };
    let reach = i64::from(REACH);
    let mut samples = Vec::new();
    for channel in 0..3 {
        for y in -reach..i64::from(aligned_height) + reach {
            let row = (-reach..i64::from(aligned_width) + reach).map(|x| pixel(x, y)[channel]);
            samples.extend(row.map(|sample| -0.5 + f32::from(sample) / 255.0));
        }
    }
    (samples, [aligned_height, aligned_width].map(|side| (side + 2 * REACH) as usize))
}

/// Computes the layers by running the whole model on the whole image, once per output.
fn whole(model: Model, image: &DynamicImage) -> Vec<Vec<f32>> {
    let (samples, [rows, columns]) = continued(image, model.layers()[0].stride);
    let run = |tensor: &str| {
        ModelPlan::new(&model.encoder(&[tensor]), vec![1, 3, rows, columns]).unwrap().run(&samples).unwrap()
    };
    model.layers().iter().map(|layer| run(&layer.tensor)).collect()
}

fn decoded(
    encoder: &ImageCodecEncoder,
    image: &DynamicImage,
    options: &ImageCodecOptions,
) -> ImageCodecLatent {
    let frame = encoder.encode(image, options).unwrap().frame;
    encoder.space().decode(&frame, &Limits::default()).unwrap()
}

/// Encodes the frame of these maps at the quality of [`options`].
fn frame_of(encoder: &ImageCodecEncoder, header: ImageCodecHeader, maps: &[Vec<f32>]) -> Vec<u8> {
    let space = encoder.space();
    let coefficients = |(layer, maps): (usize, &Vec<f32>)| {
        let channels = space.layout().layers()[layer].channels as usize;
        space.quantise_coefficients(layer, channels, header.quality.index(), maps).unwrap()
    };
    let layers: Vec<Coefficients> = maps.iter().enumerate().map(coefficients).collect();
    space.encode(header, &layers, IdOnWire::Present).unwrap()
}

fn assert_same_as_whole(model: Model, image: &DynamicImage) {
    let encoder = encoder(model);
    let maps = whole(model, image);
    for threads in [1, 3] {
        let found = decoded(&encoder, image, &options(threads));
        assert_eq!((found.header.width, found.header.height), (image.width(), image.height()));
        assert_eq!(found.header.is_grey, !image.color().has_color());
        assert!(found.layers.iter().all(|layer| layer.iter().any(|&integer| integer.abs() > 3)));
        let frame = encoder.encode(image, &options(threads)).unwrap().frame;
        assert!(frame == frame_of(&encoder, found.header, &maps), "{threads} threads");
    }
}

#[test]
fn strips_give_the_integers_of_the_whole_image() {
    // There are several strips, of which the last one is shorter.
    assert_same_as_whole(SMALL, &colour(1003, 709));
    assert_same_as_whole(SMALL, &colour(61, 1237));
}

#[test]
fn grey_images_repeat_their_samples_three_times() {
    assert_same_as_whole(SMALL, &grey(771, 530));
}

#[test]
fn small_images_have_one_strip() {
    for (width, height) in [(1, 1), (33, 1), (1, 70), (31, 65)] {
        let encoder = encoder(SMALL);
        for image in [colour(width, height), grey(width, height)] {
            let maps = encoder.layers(&image).unwrap();
            assert!(maps == whole(SMALL, &image), "{width}×{height}");
            let found = decoded(&encoder, &image, &options(3));
            assert_eq!(found.layers.len(), 3);
        }
    }
}

#[test]
fn a_finest_layer_that_is_no_copy_goes_through_the_second_half() {
    assert_same_as_whole(Model { scaled: true, ..SMALL }, &colour(300, 200));
}

#[test]
fn a_model_without_merges_has_one_layer() {
    assert_same_as_whole(Model { bands: 5, merges: &[], scaled: false }, &colour(50, 40));
}

#[test]
fn fewer_layers_means_the_first_layers() {
    let (encoder, image) = (encoder(SMALL), colour(200, 100));
    let full = decoded(&encoder, &image, &options(1));
    for layers in 1..=3 {
        let options = ImageCodecOptions { layers: Some(layers), ..options(1) };
        assert_eq!(decoded(&encoder, &image, &options).layers, full.layers[..layers]);
    }
    for layers in [0, 4] {
        let options = ImageCodecOptions { layers: Some(layers), ..options(1) };
        let error = encoder.encode(&image, &options).unwrap_err();
        assert!(matches!(error, EncodeError::LayerCount { layers: 3, .. }), "{error}");
    }
}

#[test]
fn the_returned_maps_are_the_quantised_ones() {
    let (encoder, image) = (encoder(SMALL), colour(90, 1100));
    let header = decoded(&encoder, &image, &options(1)).header;
    let frame = frame_of(&encoder, header, &encoder.layers(&image).unwrap());
    assert_eq!(encoder.encode(&image, &options(1)).unwrap().frame, frame);
}

#[test]
fn a_finer_quality_costs_more() {
    let (encoder, image) = (encoder(SMALL), colour(300, 300));
    let bytes = |quality| {
        let options = ImageCodecOptions::new(Quality::new(quality).unwrap());
        encoder.encode(&image, &options).unwrap().frame.len()
    };
    assert!(bytes(10) < bytes(50) && bytes(50) < bytes(100));
}

#[test]
fn a_manifest_that_does_not_fit_its_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = SMALL.bundle(folder.path());
    let refusal = |change: fn(&mut lopside_bundle::image_codec::ImageCodecManifest)| {
        let mut bundle = bundle.clone();
        change(&mut bundle.manifest);
        ImageCodecEncoder::new(&bundle).unwrap_err().to_string()
    };
    assert!(refusal(|manifest| manifest.encoder.bands = "bonds".into()).contains("bonds"));
    assert!(refusal(|manifest| manifest.layers[0].tensor = "layer64".into()).contains("layer64"));
    assert!(refusal(|manifest| manifest.input.reach = 12).contains("reach"));
    let empty = ImageCodecEncoder::new(&bundle).unwrap().layers(&DynamicImage::new_rgb8(0, 9)).unwrap_err();
    assert!(matches!(empty, EncodeError::ImageSize { width: 0, .. }));
}
