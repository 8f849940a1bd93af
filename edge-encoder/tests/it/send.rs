//! Tests of the command `send`, with the bundle of an image codec.

use std::{fs, io::Cursor, path::Path};

use super::{
    commands::{edge, folder, json, test_image},
    support::hash,
};
use clap::Parser as _;
use edge_encoder::{EdgeError, cli::Cli, command};
use image::{ImageFormat, Rgb, RgbImage};
use lopside_proto::v1::{
    Bundle, DecodeRequest, DecodeResponse, DecodedFrame, GetBundleRequest, GetBundleResponse,
    ListBundlesRequest, ListBundlesResponse, Output as HeadOutput,
    decoder_service_server::{DecoderService, DecoderServiceServer},
    output::Value,
};
use serde_json::Value as Json;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// A cloud that answers every frame with the same image, for any head, and refuses frames that are longer than a limit.
struct Cloud {
    png: Vec<u8>,
    max_frame_bytes: usize,
    /// The latent space of its bundle, and the largest image that it decodes.
    bundle: Option<(String, u64)>,
}

#[tonic::async_trait]
impl DecoderService for Cloud {
    async fn decode(&self, request: Request<DecodeRequest>) -> Result<Response<DecodeResponse>, Status> {
        let frames = request.into_inner().frames;
        if frames.iter().any(|frame| frame.len() > self.max_frame_bytes) {
            return Err(Status::invalid_argument("frame 0: it is too long"));
        }
        let frame = |_| {
            let value = Some(Value::Png(self.png.clone()));
            DecodedFrame { outputs: vec![HeadOutput { head: "reconstruct".into(), head_version: 1, value }] }
        };
        let frames = frames.into_iter().map(frame).collect();
        Ok(Response::new(DecodeResponse { frames }))
    }

    async fn list_bundles(
        &self,
        _: Request<ListBundlesRequest>,
    ) -> Result<Response<ListBundlesResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get_bundle(
        &self,
        request: Request<GetBundleRequest>,
    ) -> Result<Response<GetBundleResponse>, Status> {
        let name = request.into_inner().name;
        let (latent_space, max_pixels) =
            self.bundle.clone().ok_or_else(|| Status::unimplemented("an older server"))?;
        let bundle = Bundle { name, latent_space, max_pixels, ..Bundle::default() };
        Ok(Response::new(GetBundleResponse { bundle: Some(bundle) }))
    }
}

/// Starts a cloud, and returns its address.
fn serve(cloud: Cloud) -> String {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", incoming.local_addr().unwrap());
    let service = DecoderServiceServer::new(cloud);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    endpoint
}

fn png(image: &RgbImage) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).unwrap();
    png.into_inner()
}

/// Sends inputs of a folder, and returns the result with the report.
async fn send(folder: &Path, endpoint: &str, inputs: &[&str]) -> (Result<(), EdgeError>, Json) {
    send_with(folder, endpoint, &[], inputs).await
}

/// Sends inputs of a folder with further options, and returns the result with the report.
async fn send_with(
    folder: &Path,
    endpoint: &str,
    further: &[&str],
    inputs: &[&str],
) -> (Result<(), EdgeError>, Json) {
    let path = |name: &str| folder.join(name).into_os_string().into_string().unwrap();
    let (bundle, out) = (path("bundle"), path("out"));
    let options = ["edge-encoder", "send", "--bundle", &bundle, "--out", &out, "--endpoint", endpoint];
    let inputs: Vec<String> = inputs.iter().map(|name| path(name)).collect();
    let args = options.iter().chain(further).map(|&option| option.to_owned()).chain(inputs);
    let result = command::run(Cli::parse_from(args)).await;
    let report = fs::read_to_string(path("out/report.json")).unwrap();
    (result, serde_json::from_str(&report).unwrap())
}

#[tokio::test]
async fn the_report_is_written_for_what_was_done() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("broken.png"), "no image").unwrap();
    // Noise, whose frame is longer than the cloud takes.
    let noise = RgbImage::from_fn(900, 60, |x, y| Rgb([0, 1, 2].map(|c| hash(x * 977 + y * 31 + c) as u8)));
    noise.save(path("noise.ppm")).unwrap();
    test_image().save(path("contact-sheet.png")).unwrap();
    let max_frame_bytes = {
        let frame = |name: &str| {
            let encode = edge(folder.path(), "encode", &["--bundle", "bundle", "--out", "frames", name]);
            assert!(encode.status.success());
            fs::metadata(path("frames").join(name).with_extension("lps")).unwrap().len() as usize
        };
        let (view, noise) = (frame("view.ppm"), frame("noise.ppm"));
        assert!(view < noise, "{view} and {noise} bytes");
        view
    };
    let endpoint = serve(Cloud { png: png(&test_image()), max_frame_bytes, bundle: None });
    let inputs = ["broken.png", "view.ppm", "noise.ppm", "contact-sheet.png"];
    let (result, report) = send(folder.path(), &endpoint, &inputs).await;
    let error = result.unwrap_err();
    assert_eq!(error.exit_status(), 3, "{error}");
    let names = |key: &str, field: &str| -> Vec<String> {
        let rows = report[key].as_array().unwrap().iter();
        rows.map(|row| row[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("pictures", "name"), ["view", "contact-sheet.png"]);
    assert!(names("pictures", "file")[1].ends_with("/contact-sheet.png"), "{report}");
    assert!(names("failed", "input")[0].ends_with("broken.png"), "{report}");
    assert!(names("failed", "reason")[1].contains("it is too long"), "{report}");
    // The sheet does not replace the output of the input that has its name.
    assert_eq!(image::open(path("out/contact-sheet.png.png")).unwrap().width(), 900);
    assert_ne!(image::open(path("out/contact-sheet.png")).unwrap().width(), 900);
    assert!(path("out/table.txt").exists());
}

/// Returns the latent space of the bundle.
fn latent_space(folder: &Path) -> String {
    let encode = ["--bundle", "bundle", "--out", "frames", "view.ppm"];
    assert!(edge(folder, "encode", &encode).status.success());
    let frame = json(&edge(folder, "inspect", &["--json", "frames/view.lps"]));
    frame["latent_space"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_image_over_the_limit_of_the_server_is_refused_before_it_is_sent() {
    let folder = folder();
    let bundle = Some((latent_space(folder.path()), 53_999));
    let cloud = Cloud { png: png(&test_image()), max_frame_bytes: 0, bundle };
    let (result, report) = send(folder.path(), &serve(cloud), &["view.ppm"]).await;
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("view.ppm: an image of 900×60 pixels is over the 53999 pixels that the cloud decodes"),
        "{error}"
    );
    assert!(error.contains("--max-megapixels") && error.contains("too_large = \"scale\""), "{error}");
    assert_eq!((&report["pictures"], &report["mean"]), (&Json::Array(Vec::new()), &Json::Null));
}

#[tokio::test]
async fn an_image_over_the_limit_of_the_server_is_scaled_if_the_file_says_so() {
    let folder = folder();
    let config = folder.path().join("edge.toml");
    fs::write(&config, "[images]\ntoo_large = 'scale'\n").unwrap();
    let answer = png(&RgbImage::new(450, 30));
    let cloud = Cloud {
        png: answer,
        max_frame_bytes: usize::MAX,
        bundle: Some((latent_space(folder.path()), 13_500)),
    };
    let config = ["--config", config.to_str().unwrap()];
    let (result, report) = send_with(folder.path(), &serve(cloud), &config, &["view.ppm"]).await;
    result.unwrap();
    let row = &report["pictures"][0];
    assert_eq!((&row["width"], &row["height"]), (&450.into(), &30.into()), "{row}");
    assert!(row["psnr_db"].as_f64().is_some(), "the answer is compared with what was sent: {row}");
    let warning = report["warnings"][0]["reason"].as_str().unwrap();
    assert!(warning.contains("900×60") && warning.contains("450×30"), "{warning}");
}

#[tokio::test]
async fn outputs_are_compared_in_full_size() {
    let folder = folder();
    let mut darker = test_image();
    darker.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|sample| sample.saturating_sub(3)));
    let endpoint = serve(Cloud { png: png(&darker), max_frame_bytes: usize::MAX, bundle: None });
    let (result, report) = send(folder.path(), &endpoint, &["view.ppm"]).await;
    result.unwrap();

    let path = |name: &str| folder.path().join(name);
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
