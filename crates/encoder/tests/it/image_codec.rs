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
fn continued(picture: &DynamicImage, alignment: u32) -> (Vec<f32>, [usize; 2]) {
    let picture = picture.to_rgb8();
    let fold = |i: i64, side: u32| {
        let side = i64::from(side);
        let i = i.rem_euclid(2 * side);
        if i < side { i } else { 2 * side - 1 - i }
    };
    let [width, height] = [picture.width(), picture.height()];
    let [wide, high] = [width.next_multiple_of(alignment), height.next_multiple_of(alignment)];
    let at = |x: i64, y: i64| {
        let (x, y) = (fold(fold(x, wide), width), fold(fold(y, high), height));
        picture.get_pixel(x as u32, y as u32).0
    };
    let reach = i64::from(REACH);
    let mut out = Vec::new();
    for channel in 0..3 {
        for y in -reach..i64::from(high) + reach {
            let row = (-reach..i64::from(wide) + reach).map(|x| at(x, y)[channel]);
            out.extend(row.map(|sample| -0.5 + f32::from(sample) / 255.0));
        }
    }
    (out, [high, wide].map(|side| (side + 2 * REACH) as usize))
}

/// Computes the layers by running the whole model on the whole image, once per output.
fn whole(model: Model, picture: &DynamicImage) -> Vec<Vec<f32>> {
    let (samples, [rows, columns]) = continued(picture, model.layers()[0].stride);
    let run = |tensor: &str| {
        ModelPlan::new(&model.encoder(&[tensor]), vec![1, 3, rows, columns]).unwrap().run(&samples).unwrap()
    };
    model.layers().iter().map(|layer| run(&layer.tensor)).collect()
}

fn decoded(
    encoder: &ImageCodecEncoder,
    picture: &DynamicImage,
    options: &ImageCodecOptions,
) -> ImageCodecLatent {
    let frame = encoder.encode(picture, options).unwrap().frame;
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

fn assert_same_as_whole(model: Model, picture: &DynamicImage) {
    let encoder = encoder(model);
    let maps = whole(model, picture);
    for threads in [1, 3] {
        let found = decoded(&encoder, picture, &options(threads));
        assert_eq!((found.header.width, found.header.height), (picture.width(), picture.height()));
        assert_eq!(found.header.is_grey, !picture.color().has_color());
        assert!(found.layers.iter().all(|layer| layer.iter().any(|&integer| integer.abs() > 3)));
        let frame = encoder.encode(picture, &options(threads)).unwrap().frame;
        assert!(frame == frame_of(&encoder, found.header, &maps), "{threads} threads");
    }
}

#[test]
fn strips_give_the_integers_of_the_whole_picture() {
    // There are several strips, of which the last one is shorter.
    assert_same_as_whole(SMALL, &colour(1003, 709));
    assert_same_as_whole(SMALL, &colour(61, 1237));
}

#[test]
fn grey_pictures_are_the_same_samples_thrice() {
    assert_same_as_whole(SMALL, &grey(771, 530));
}

#[test]
fn small_pictures_have_a_strip_too() {
    for (width, height) in [(1, 1), (33, 1), (1, 70), (31, 65)] {
        let encoder = encoder(SMALL);
        for picture in [colour(width, height), grey(width, height)] {
            let maps = encoder.layers(&picture).unwrap();
            assert!(maps == whole(SMALL, &picture), "{width}×{height}");
            let found = decoded(&encoder, &picture, &options(3));
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
fn fewer_layers_are_the_first_ones() {
    let (encoder, picture) = (encoder(SMALL), colour(200, 100));
    let all = decoded(&encoder, &picture, &options(1));
    for layers in 1..=3 {
        let options = ImageCodecOptions { layers: Some(layers), ..options(1) };
        assert_eq!(decoded(&encoder, &picture, &options).layers, all.layers[..layers]);
    }
    for layers in [0, 4] {
        let options = ImageCodecOptions { layers: Some(layers), ..options(1) };
        let error = encoder.encode(&picture, &options).unwrap_err();
        assert!(matches!(error, EncodeError::LayerCount { layers: 3, .. }), "{error}");
    }
}

#[test]
fn maps_are_what_is_quantised() {
    let (encoder, picture) = (encoder(SMALL), colour(90, 1100));
    let header = decoded(&encoder, &picture, &options(1)).header;
    let frame = frame_of(&encoder, header, &encoder.layers(&picture).unwrap());
    assert_eq!(encoder.encode(&picture, &options(1)).unwrap().frame, frame);
}

#[test]
fn a_finer_quality_costs_more() {
    let (encoder, picture) = (encoder(SMALL), colour(300, 300));
    let bytes = |quality| {
        let options = ImageCodecOptions::new(Quality::new(quality).unwrap());
        encoder.encode(&picture, &options).unwrap().frame.len()
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
