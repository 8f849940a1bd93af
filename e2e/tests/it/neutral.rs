//! An image without colour comes back without colour, from every head and in every format.

use std::{fs, path::Path};

use image::{Rgb, RgbImage};
use lopside_e2e::{CloudDecoder, binary_command, in_clone, run_stdout};
use lopside_proto::v1::{
    DecodeRequest, OutputFormat, OutputRequest, decoder_service_client::DecoderServiceClient, output::Value,
};
use lopside_quality::psnr;
use tonic::transport::Channel;

const SIZE: [u32; 2] = [200, 136];

/// Returns the view of an infrared camera at night: a bright spot, dark edges and noise, as a colour image.
fn night() -> RgbImage {
    RgbImage::from_fn(SIZE[0], SIZE[1], |x, y| {
        let distance = (x as f32 - 90.0).hypot(y as f32 - 60.0);
        let fence = if (x + y / 3) % 40 < 6 { 50.0 } else { 0.0 };
        let noise = (x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663)) % 11;
        let level = 20.0 + 170.0 * (-distance / 60.0).exp() + fence + noise as f32;
        Rgb([level as u8; 3])
    })
}

fn encode(input: &Path, args: &[&str]) -> Vec<u8> {
    let out = tempfile::tempdir().unwrap();
    let mut edge = binary_command("edge-encoder");
    edge.arg("encode").arg("--bundle").arg(in_clone("bundles/photo")).args(args).arg("--out").arg(out.path());
    let _ = run_stdout(edge.arg(input));
    let mut paths = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path());
    let frame = paths.find(|path| path.extension().is_some_and(|extension| extension == "lps"));
    fs::read(frame.unwrap()).unwrap()
}

/// Returns the outputs of the heads for a frame, as PNG and as tensor.
async fn decode(client: &mut DecoderServiceClient<Channel>, frame: Vec<u8>) -> Vec<Value> {
    let outputs = ["reconstruct", "upscale"].into_iter().flat_map(|head| {
        [OutputFormat::Png, OutputFormat::Tensor].map(|format| OutputRequest {
            head: head.into(),
            format: format.into(),
            version: 0,
        })
    });
    let request = DecodeRequest {
        frames: vec![frame.into()],
        bundle: String::new(),
        outputs: outputs.collect(),
        inputs: Vec::new(),
    };
    let frames = client.decode(request).await.unwrap().into_inner().frames;
    frames.into_iter().flat_map(|frame| frame.outputs).filter_map(|output| output.value).collect()
}

/// Returns the largest difference between the colours of a pixel, in 8-bit levels.
fn tint(output: &Value) -> f32 {
    let spread = |pixel: [f32; 3]| {
        let [low, high] = [f32::min, f32::max].map(|choose| pixel.into_iter().reduce(choose).unwrap());
        high - low
    };
    match output {
        Value::Png(png) => {
            let image = image::load_from_memory(png).unwrap().into_rgb8();
            image.pixels().map(|pixel| spread(pixel.0.map(f32::from))).fold(0.0, f32::max)
        }
        Value::Tensor(tensor) => {
            let plane = tensor.values.len() / 3;
            let pixel = |index: usize| [0, 1, 2].map(|colour| tensor.values[colour * plane + index]);
            (0..plane).map(|index| 255.0 * spread(pixel(index))).fold(0.0, f32::max)
        }
        _ => panic!("the output is not an image"),
    }
}

#[tokio::test]
async fn an_infrared_image_stored_in_colour_has_no_tint() {
    let folder = tempfile::tempdir().unwrap();
    let night = night();
    let files = ["night.png", "night.jpg"].map(|name| folder.path().join(name));
    for file in &files {
        night.save(file).unwrap();
    }
    let cloud = CloudDecoder::start(&[&in_clone("bundles/photo")]);
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    let settings: [(&[&str], f64); 4] = [
        (&["--quality", "5"], 18.0),
        (&["--quality", "50"], 26.0),
        (&["--quality", "95"], 28.0),
        (&["--quality", "30", "--fast"], 20.0),
    ];
    for file in &files {
        for (args, min_psnr) in settings {
            let outputs = decode(&mut client, encode(file, args)).await;
            assert_eq!(outputs.len(), 4);
            for output in &outputs {
                assert!(tint(output) < 0.01, "{} {args:?}: {}", file.display(), tint(output));
            }
            let Value::Png(png) = &outputs[0] else { panic!("the first output is not a PNG") };
            let decoded = image::load_from_memory(png).unwrap().into_rgb8().into();
            let psnr = psnr(&night.clone().into(), &decoded).unwrap();
            assert!(psnr > min_psnr, "{} {args:?}: {psnr} dB", file.display());
        }
    }
}
