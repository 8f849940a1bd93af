//! Compares the edge binary for ARM, run in an emulator, with the native one.

use std::{fs, path::Path, process::Command};

use image::DynamicImage;
use lopside_e2e::{CloudDecoder, binary_command, frames_as_text, in_clone, run_stdout};
use lopside_proto::v1::{
    DecodeRequest, DecodedFrame, decoder_service_client::DecoderServiceClient, output::Value,
};
use lopside_quality::psnr;
use tonic::transport::Channel;

/// Maximum difference between the PSNR of the two reconstructions, in dB.
const TOLERANCE_DB: f64 = 0.05;

/// Returns a command that runs the ARM binary in the emulator.
fn emulated() -> Command {
    let edge = std::env::var_os("LOPSIDE_AARCH64_EDGE")
        .expect("LOPSIDE_AARCH64_EDGE is set to the path of the binary");
    let mut command = Command::new("qemu-aarch64-static");
    command.args(["-L", "/usr/aarch64-linux-gnu"]).arg(edge);
    command
}

fn encode(mut edge: Command, bundle: &str, args: &[&str], samples: &Path, out: &Path) {
    edge.arg("encode").arg("--bundle").arg(in_clone(bundle)).args(args).arg("--out").arg(out);
    let _ = run_stdout(edge.arg(samples));
}

#[test]
#[ignore = "needs LOPSIDE_AARCH64_EDGE, the binary built by `cargo xtask dist --target aarch64-unknown-linux-gnu`, and qemu-user"]
fn arm_produces_the_golden_frames() {
    let out = tempfile::tempdir().unwrap();
    encode(emulated(), "bundles/fashion", &[], &in_clone("samples/fashion"), out.path());
    assert_eq!(frames_as_text(out.path()), include_str!("../../golden/fashion-frames.txt"));
}

/// The two encoders add floating-point numbers in different orders, so a coefficient between two integers may
/// be rounded to either. The images must have the same quality.
#[tokio::test]
#[ignore = "needs LOPSIDE_AARCH64_EDGE, the binary built by `cargo xtask dist --target aarch64-unknown-linux-gnu`, and qemu-user"]
async fn arm_encodes_photographs_with_the_same_quality() {
    let cloud = CloudDecoder::start(&[&in_clone("bundles/photo")]);
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    for quality in ["20", "50", "80"] {
        let out = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for (edge, out) in [binary_command("edge-encoder"), emulated()].into_iter().zip(&out) {
            encode(edge, "bundles/photo", &["--quality", quality], &in_clone("samples/photo"), out.path());
        }
        for name in ["blossom", "tulips"] {
            let frames = out.each_ref().map(|out| fs::read(out.path().join(format!("{name}.lps"))).unwrap());
            let [bytes, arm_bytes] = frames.each_ref().map(Vec::len);
            let comparison = if frames[0] == frames[1] { "same frames" } else { "different frames" };
            let original = image::open(in_clone(&format!("samples/photo/{name}.png"))).unwrap();
            let [db, arm_db] = decode_images(&mut client, frames)
                .await
                .map(|reconstruction| psnr(&original, &reconstruction).unwrap());
            let summary = format!(
                "{name}, quality {quality}: {bytes} bytes, {db:.4} dB; ARM {arm_bytes} bytes, {arm_db:.4} dB, {comparison}"
            );
            println!("{summary}");
            assert!((db - arm_db).abs() <= TOLERANCE_DB, "{summary}");
        }
    }
}

/// Decodes two frames with the cloud-decoder.
async fn decode_images(
    client: &mut DecoderServiceClient<Channel>,
    frames: [Vec<u8>; 2],
) -> [DynamicImage; 2] {
    let request = DecodeRequest {
        frames: frames.into_iter().map(Into::into).collect(),
        bundle: String::new(),
        outputs: Vec::new(),
        inputs: Vec::new(),
    };
    let decoded_frames: [DecodedFrame; 2] =
        client.decode(request).await.unwrap().into_inner().frames.try_into().unwrap();
    decoded_frames.map(|frame| {
        let Some(Value::Png(png)) = &frame.outputs[0].value else { panic!("the output is not a PNG") };
        image::load_from_memory(png).unwrap().into_rgb8().into()
    })
}
