//! Tests of the commands with the bundle of an image codec.

use std::{
    fs,
    io::Cursor,
    path::Path,
    process::{Command, Output},
};

use super::support::{SMALL, hash};
use clap::Parser as _;
use edge_encoder::{cli::Cli, command};
use image::{ImageFormat, Rgb, RgbImage};
use lopside_proto::v1::{
    DecodeRequest, DecodeResponse, DecodedFrame, GetBundleRequest, GetBundleResponse, ListBundlesRequest,
    ListBundlesResponse, Output as HeadOutput,
    decoder_service_server::{DecoderService, DecoderServiceServer},
    output::Value,
};
use serde_json::Value as Json;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

fn test_image() -> RgbImage {
    RgbImage::from_fn(900, 60, |x, y| Rgb([0, 1, 2].map(|c| (x / 5 + y + hash(x * 60 + y + c) % 16) as u8)))
}

/// Creates a folder with a bundle and an image.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let _ = SMALL.bundle(&folder.path().join("bundle"));
    test_image().save(folder.path().join("view.ppm")).unwrap();
    folder
}

fn edge(folder: &Path, command: &str, args: &[&str]) -> Output {
    let mut edge = Command::new(env!("CARGO_BIN_EXE_edge-encoder"));
    for name in ["LOPSIDE_BUNDLE", "LOPSIDE_CONFIG", "LOPSIDE_OUT", "LOPSIDE_QUALITY"] {
        edge.env_remove(name);
    }
    edge.current_dir(folder).arg(command).args(args).output().unwrap()
}

fn json(output: &Output) -> Json {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_frame_of_an_image_codec_is_inspected() {
    let folder = folder();
    let encode =
        ["--bundle", "bundle", "--quality", "70", "--layers", "2", "--threads", "2", "--json", "view.ppm"];
    assert_eq!(json(&edge(folder.path(), "encode", &encode))["frames"], 1);
    let found = json(&edge(folder.path(), "inspect", &["--json", "out/view.lps"]));
    assert_eq!(
        (&found["version"], &found["quality"], &found["grey"]),
        (&2.into(), &70.into(), &false.into())
    );
    assert_eq!((&found["width"], &found["height"]), (&900.into(), &60.into()));
    assert_eq!(found["layers"].as_array().unwrap().len(), 2);
    assert_eq!(found["layers"][0]["integers"], Json::Null);
    let found = json(&edge(folder.path(), "inspect", &["--bundle", "bundle", "--json", "out/view.lps"]));
    assert_eq!(found["layers"][1]["integers"]["stride"], 16);
    let text = edge(folder.path(), "inspect", &["--bundle", "bundle", "out/view.lps"]).stdout;
    assert!(String::from_utf8(text).unwrap().contains("900×60 RGB, quality 70"));
}

#[test]
fn the_quality_comes_from_flag_or_file() {
    let folder = folder();
    fs::write(folder.path().join("edge.toml"), "bundle = 'bundle'\nquality = 20\n").unwrap();
    let quality = |args: &[&str]| {
        let args = [&["--config", "edge.toml", "view.ppm"], args].concat();
        assert!(edge(folder.path(), "encode", &args).status.success());
        json(&edge(folder.path(), "inspect", &["--json", "out/view.lps"]))["quality"].clone()
    };
    assert_eq!([quality(&[]), quality(&["--quality", "90"])], [20, 90]);
}

#[test]
fn bench_reports_figures_per_megapixel() {
    let folder = folder();
    let found = json(&edge(folder.path(), "bench", &["--bundle", "bundle", "--runs", "1", "--json"]));
    for key in ["median_model_ms_per_megapixel", "median_code_ms_per_megapixel", "megapixels_per_second"] {
        assert!(found[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert!((found["mean_megapixels"].as_f64().unwrap() - 1.0).abs() < 0.01);
}

#[test]
fn unsupported_options_are_refused() {
    let folder = folder();
    let refused = |args: &[&str]| {
        let output = edge(folder.path(), "encode", &[args, &["view.ppm"]].concat());
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let error = refused(&["--bundle", "bundle", "--layers", "7"]);
    assert!(error.contains("7 layers") && error.contains("1 to 3"), "{error}");
    let fixed_latent = concat!(env!("CARGO_MANIFEST_DIR"), "/../bundles/fashion");
    let error = refused(&["--bundle", fixed_latent, "--quality", "70"]);
    assert!(error.contains("--quality") && error.contains("fixed-latent"), "{error}");
    assert!(refused(&["--bundle", "bundle", "--quality", "0"]).contains("1..=100"));
}

#[test]
fn outputs_that_would_overwrite_each_other_are_refused_before_anything_is_written() {
    let folder = folder();
    for part in ["a", "b"] {
        fs::create_dir(folder.path().join(part)).unwrap();
        test_image().save(folder.path().join(part).join("x.ppm")).unwrap();
    }
    let inputs = ["--bundle", "bundle", "a/x.ppm", "b/x.ppm"];
    // Nothing listens at the endpoint: the names are checked before the connection.
    for (command, extra) in [("encode", &[][..]), ("send", &["--endpoint", "http://127.0.0.1:9"][..])] {
        let output = edge(folder.path(), command, &[&inputs[..], extra].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains("a/x.ppm and b/x.ppm"), "{command}: {error}");
        assert!(!folder.path().join("out").exists(), "{command}");
    }
    assert!(edge(folder.path(), "encode", &inputs[..3]).status.success());
}

#[test]
fn an_array_without_images_is_an_error() {
    let folder = folder();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 8, 8), }";
    let mut array = b"\x93NUMPY\x01\x00".to_vec();
    array.extend_from_slice(&118_u16.to_le_bytes());
    array.extend_from_slice(format!("{header:<117}\n").as_bytes());
    fs::write(folder.path().join("none.npy"), array).unwrap();
    fs::write(folder.path().join("none-idx3-ubyte"), [0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8])
        .unwrap();
    for (command, input) in [("encode", "none.npy"), ("encode", "none-idx3-ubyte"), ("bench", "none.npy")] {
        let output = edge(folder.path(), command, &["--bundle", "bundle", "--json", input]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains("contains no inputs"),
            "{command} {input}: {error}"
        );
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    }
}

/// A cloud that answers every frame with the same image, for any head.
struct Cloud(Vec<u8>);

#[tonic::async_trait]
impl DecoderService for Cloud {
    async fn decode(&self, request: Request<DecodeRequest>) -> Result<Response<DecodeResponse>, Status> {
        let frame = |_| {
            let value = Some(Value::Png(self.0.clone()));
            DecodedFrame { outputs: vec![HeadOutput { head: "reconstruct".into(), head_version: 1, value }] }
        };
        let frames = request.into_inner().frames.into_iter().map(frame).collect();
        Ok(Response::new(DecodeResponse { frames }))
    }

    async fn list_bundles(
        &self,
        _: Request<ListBundlesRequest>,
    ) -> Result<Response<ListBundlesResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_bundle(&self, _: Request<GetBundleRequest>) -> Result<Response<GetBundleResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

#[tokio::test]
async fn outputs_are_compared_in_full_size() {
    let folder = folder();
    let mut darker = test_image();
    darker.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|sample| sample.saturating_sub(3)));
    let mut png = Cursor::new(Vec::new());
    darker.write_to(&mut png, ImageFormat::Png).unwrap();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", incoming.local_addr().unwrap());
    let service = DecoderServiceServer::new(Cloud(png.into_inner()));
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));

    let path = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let (bundle, out, view) = (path("bundle"), path("out"), path("view.ppm"));
    let args = ["edge-encoder", "send", "--bundle", &bundle, "--out", &out, "--endpoint", &endpoint, &view];
    command::run(Cli::parse_from(args)).await.unwrap();

    let report: Json = serde_json::from_str(&fs::read_to_string(path("out/report.json")).unwrap()).unwrap();
    let row = &report["pictures"][0];
    assert_eq!(
        (&row["width"], &row["height"], &row["raw_bytes"]),
        (&900.into(), &60.into(), &162_000.into())
    );
    let rate = 8.0 * row["frame_bytes"].as_f64().unwrap() / 54_000.0;
    assert!((row["bits_per_pixel"].as_f64().unwrap() - rate).abs() < 1e-9);
    // All samples differ by 3 levels, except those that are nearly black.
    assert!((38.5..38.7).contains(&row["psnr_db"].as_f64().unwrap()), "{row}");
    assert_eq!(image::open(path("out/view.png")).unwrap().width(), 900);
    // The sheet has a cell of 768 pixels and two margins of 8 pixels.
    assert_eq!(image::open(path("out/contact-sheet.png")).unwrap().width(), 784);
}
