//! Tries the bundles of the repository in the same way as a device tries a bundle that it receives over the
//! air.

use std::path::Path;

use super::shipped::in_clone;
use lopside_bundle::{BundlePart, GoldenInputDraft, image_codec::AnyBundle, put_golden_inputs};
use lopside_encoder::{EncodeError, EncodeOptions, ImageCodecOptions, golden::load_verified};
use lopside_latent::image_codec::Quality;

fn options(use_fast: bool) -> EncodeOptions {
    EncodeOptions { image_codec: ImageCodecOptions::new(Quality::new(20).unwrap()), use_fast }
}

fn run(folder: &Path, use_fast: bool) -> Result<(), EncodeError> {
    load_verified(folder, &AnyBundle::load(folder, BundlePart::Encoder)?, &options(use_fast)).map(drop)
}

#[test]
fn the_bundles_of_the_repository_reproduce_their_golden_frames() {
    for (bundle, use_fast) in [("bundles/fashion", false), ("bundles/photo", false), ("bundles/photo", true)]
    {
        run(&in_clone(bundle), use_fast).unwrap_or_else(|error| panic!("{bundle}: {error}"));
    }
}

#[test]
fn the_golden_input_of_the_photo_bundle_is_a_crop_of_a_sample() {
    let sample = image::open(in_clone("samples/photo/tulips.png")).unwrap().to_rgb8();
    let golden = image::open(in_clone("bundles/photo/golden/tulips-192x128.png")).unwrap().to_rgb8();
    assert_eq!(golden, image::imageops::crop_imm(&sample, 154, 186, 192, 128).to_image());
}

#[test]
fn another_image_does_not_match_the_golden_frame() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["bundle.json", "encoder.onnx", "encoder-fast.onnx", "contexts.bin"] {
        std::fs::copy(in_clone("bundles/photo").join(name), folder.path().join(name)).unwrap();
    }
    let AnyBundle::ImageCodec(bundle) = AnyBundle::load(folder.path(), BundlePart::Encoder).unwrap() else {
        panic!("not the bundle of an image codec")
    };
    let (_, frame) = bundle.manifest.golden[0].read_verified(&in_clone("bundles/photo")).unwrap();
    let golden = |name: &str| {
        let input = std::fs::read(in_clone("samples").join(name)).unwrap();
        let draft = GoldenInputDraft { name: "golden.png".into(), input, frame: frame.clone() };
        put_golden_inputs(folder.path(), &[draft]).unwrap();
        run(folder.path(), false).unwrap_err().to_string()
    };
    let error = golden("photo/blossom.png");
    assert!(error.contains("golden/golden.png") && error.contains("values differ"), "{error}");
    put_golden_inputs(folder.path(), &[]).unwrap();
    let error = run(folder.path(), false).unwrap_err().to_string();
    assert!(error.contains("training golden"), "{error}");
}
