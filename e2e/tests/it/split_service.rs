//! The split service through the real binaries, with gRPC and REST on one port.

use std::{fs, net::TcpStream, path::PathBuf};

use axum::http::{Request, StatusCode};
use lopside_e2e::{
    CloudDecoder, binary_command, encode_samples, in_clone, run_failing, run_stdout, serve_command,
};
use lopside_proto::v1::{
    DecodeRequest, GetBundleRequest, HeadKind, ListBundlesRequest, OutputFormat, OutputRequest,
    decoder_service_client::DecoderServiceClient, output::Value as OutputValue,
};
use serde_json::Value;
use tonic::{Code, transport::Channel};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const FASHION: &str = "bundles/fashion";

fn fashion() -> PathBuf {
    in_clone(FASHION)
}

fn sample_frames() -> Vec<Vec<u8>> {
    encode_samples("samples/fashion", tempfile::tempdir().unwrap().path())
}

async fn client(cloud: &CloudDecoder) -> DecoderServiceClient<Channel> {
    DecoderServiceClient::connect(cloud.url.clone()).await.unwrap()
}

fn error_of(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    body["error"].as_str().unwrap().to_owned()
}

#[test]
fn the_samples_are_reconstructed_through_both_binaries() {
    let cloud = CloudDecoder::start(&[&fashion()]);
    let out = tempfile::tempdir().unwrap();
    let text = run_stdout(
        binary_command("edge-encoder")
            .args(["send", "--json", "--endpoint", &cloud.url, "--bundle"])
            .arg(fashion())
            .arg("--out")
            .arg(out.path())
            .arg(in_clone("samples/fashion")),
    );
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text, fs::read_to_string(out.path().join("report.json")).unwrap());
    let rows = report["pictures"].as_array().unwrap();
    assert_eq!(rows.len(), 16);
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap();
        // The request contains the frame, at least five bytes of gRPC and nine of HTTP/2.
        assert!(number("wire_bytes") > number("frame_bytes") + 14.0, "{row}");
        assert!(
            number("frame_bytes") < number("jpeg_bytes") && number("jpeg_bytes") < number("raw_bytes"),
            "{row}"
        );
        let name = row["name"].as_str().unwrap();
        let input = image::open(in_clone(&format!("samples/fashion/{name}.png"))).unwrap();
        let output = image::open(out.path().join(format!("{name}.png"))).unwrap();
        let psnr = lopside_quality::psnr(&input, &output).unwrap();
        assert!((psnr - number("psnr_db")).abs() < 1e-9 && psnr > 14.0, "{row}");
    }
    assert!(report["mean"]["frame_bytes"].as_u64().unwrap() <= 30, "{}", report["mean"]);
    let sheet = image::open(out.path().join("contact-sheet.png")).unwrap();
    assert!(sheet.width() > 8 * 112 && sheet.height() > 4 * 112, "{}×{}", sheet.width(), sheet.height());
    assert_eq!(fs::read_to_string(out.path().join("table.txt")).unwrap().lines().count(), 16 + 5);
}

#[tokio::test]
async fn grpc_decodes_to_images_and_tensors() {
    let cloud = CloudDecoder::start(&[&fashion()]);
    let output_request = |format: OutputFormat| OutputRequest {
        head: "reconstruct".into(),
        format: format.into(),
        version: 0,
    };
    let request = DecodeRequest {
        frames: sample_frames().into_iter().map(Into::into).collect(),
        bundle: String::new(),
        outputs: vec![output_request(OutputFormat::Tensor), output_request(OutputFormat::Png)],
        inputs: Vec::new(),
    };
    let response = client(&cloud).await.decode(request).await.unwrap().into_inner();
    assert_eq!(response.frames.len(), 16);
    for frame in response.frames {
        let [tensor, png] = frame.outputs.try_into().unwrap();
        assert_eq!((tensor.head.as_str(), tensor.head_version), ("reconstruct", 1));
        let (Some(OutputValue::Tensor(tensor)), Some(OutputValue::Png(png))) = (tensor.value, png.value)
        else {
            panic!("the outputs are not in the requested order")
        };
        assert_eq!(tensor.shape, [784]);
        let image = image::load_from_memory(&png).unwrap().to_luma8();
        for (sample, value) in image.as_raw().iter().zip(&tensor.values) {
            assert!((f32::from(*sample) / 255.0 - value).abs() <= 0.5 / 255.0 + 1e-6);
        }
    }
}

#[tokio::test]
async fn grpc_reports_the_reason_of_a_refusal() {
    let cloud = CloudDecoder::start(&[&fashion()]);
    let mut client = client(&cloud).await;
    let valid = sample_frames().swap_remove(0);
    let request = |frames: Vec<Vec<u8>>, bundle: &str, head: &str| DecodeRequest {
        frames: frames.into_iter().map(Into::into).collect(),
        bundle: bundle.into(),
        outputs: vec![OutputRequest { head: head.into(), format: 0, version: 0 }],
        inputs: Vec::new(),
    };
    let mut damaged = valid.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let mut foreign = valid.clone();
    foreign[2..10].copy_from_slice(&[0xab; 8]);
    let cases = [
        (
            request(vec![valid.clone(), damaged], "", ""),
            Code::InvalidArgument,
            "frame 1: the frame's checksum",
        ),
        (request(vec![b"junk".to_vec()], "", ""), Code::InvalidArgument, "frame 0: not a frame"),
        (request(vec![foreign], "", ""), Code::NotFound, "abababababababab"),
        (request(vec![], "", ""), Code::InvalidArgument, "1 to 64 frames, not 0"),
        (request(vec![valid.clone(); 65], "", ""), Code::InvalidArgument, "not 65"),
        (request(vec![valid.clone()], "nowhere", ""), Code::NotFound, "\"nowhere\""),
        (request(vec![valid.clone()], "", "upscale"), Code::NotFound, "it has reconstruct"),
    ];
    for (request, code, expected) in cases {
        let status = client.decode(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(expected), "{expected}: {}", status.message());
    }
    let scores =
        OutputRequest { head: "reconstruct".into(), format: OutputFormat::ClassScores.into(), version: 0 };
    let mismatched = DecodeRequest { outputs: vec![scores], ..request(vec![valid], "", "") };
    assert_eq!(client.decode(mismatched).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_frame_without_an_id_needs_the_bundles_name() {
    let cloud = CloudDecoder::start(&[&fashion()]);
    let out = tempfile::tempdir().unwrap();
    let sample = in_clone("samples/fashion/00-ankle-boot.png");
    let mut encode = binary_command("edge-encoder");
    encode.args(["encode", "--no-id", "--bundle"]).arg(fashion()).arg("--out").arg(out.path()).arg(sample);
    let _ = run_stdout(&mut encode);
    let frame = fs::read(out.path().join("00-ankle-boot.lps")).unwrap();
    let request = |bundle: &str| DecodeRequest {
        frames: vec![frame.clone().into()],
        bundle: bundle.into(),
        outputs: Vec::new(),
        inputs: Vec::new(),
    };
    let mut client = client(&cloud).await;
    assert!(client.decode(request("fashion")).await.is_ok());
    let status = client.decode(request("")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("name the bundle"), "{}", status.message());
}

#[tokio::test]
async fn bundles_health_and_reflection_are_served() {
    let cloud = CloudDecoder::start(&[&fashion()]);
    let mut decoder = client(&cloud).await;
    let bundles = decoder.list_bundles(ListBundlesRequest {}).await.unwrap().into_inner().bundles;
    assert_eq!(bundles.len(), 1);
    let response =
        decoder.get_bundle(GetBundleRequest { name: "fashion".into() }).await.unwrap().into_inner();
    assert_eq!(response.bundle.as_ref(), bundles.first());
    let bundle = response.bundle.unwrap();
    assert_eq!((bundle.latent_shape.as_slice(), bundle.latent_space.len()), (&[32][..], 16));
    assert_eq!(
        (bundle.heads[0].kind(), bundle.heads[0].output_shape.as_slice()),
        (HeadKind::Reconstruct, &[784][..])
    );
    let missing = decoder.get_bundle(GetBundleRequest { name: "x".into() }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);

    let channel = Channel::from_shared(cloud.url.clone()).unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    for service in ["", "lopside.v1.DecoderService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.into() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving, "{service}");
    }

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut responses = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let message = responses.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = message else { panic!("no list of services") };
    assert!(list.service.iter().any(|service| service.name == "lopside.v1.DecoderService"));
}

#[tokio::test]
async fn rest_decodes_lists_and_refuses() {
    let cloud = CloudDecoder::start(&[&fashion()]);
    let frame = sample_frames().swap_remove(0);
    let decode = |query: &str, accept: &str| {
        let uri = format!("/v1/bundles/fashion/decode{query}");
        Request::post(uri).header("accept", accept)
    };
    let (response, body) = cloud.send_http(decode("", "*/*"), frame.clone()).await;
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"image/png".parse().unwrap())
    );
    assert_eq!(image::load_from_memory(&body).unwrap().width(), 28);

    let (response, body) =
        cloud.send_http(decode("?head=reconstruct", "application/json"), frame.clone()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&document["head"], document["values"].as_array().unwrap().len()),
        (&"reconstruct".into(), 784)
    );

    let (_, body) = cloud.send_http(Request::get("/v1/bundles"), Vec::new()).await;
    let bundles: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(bundles["bundles"][0]["name"], "fashion");
    for path in ["/healthz", "/readyz", "/v1/bundles/fashion"] {
        assert_eq!(
            cloud.send_http(Request::get(path), Vec::new()).await.0.status(),
            StatusCode::OK,
            "{path}"
        );
    }

    let mut foreign = frame.clone();
    foreign[2..10].copy_from_slice(&[0xab; 8]);
    let cases = [
        (decode("", "*/*"), b"junk".to_vec(), StatusCode::BAD_REQUEST, "not a frame"),
        (decode("", "*/*"), Vec::new(), StatusCode::BAD_REQUEST, "ends early"),
        (decode("", "*/*"), foreign, StatusCode::NOT_FOUND, "abababababababab"),
        (decode("?head=x", "*/*"), frame.clone(), StatusCode::NOT_FOUND, "no head \"x\""),
        (decode("?hed=x", "*/*"), frame.clone(), StatusCode::BAD_REQUEST, "hed"),
        (decode("", "image/webp"), frame.clone(), StatusCode::NOT_ACCEPTABLE, "image/png"),
        (decode("", "*/*"), vec![0; (16 << 20) + 1], StatusCode::PAYLOAD_TOO_LARGE, "limit"),
        (Request::post("/v1/bundles/x/decode"), frame, StatusCode::NOT_FOUND, "\"x\""),
        (Request::get("/v1/nothing"), Vec::new(), StatusCode::NOT_FOUND, "/v1/nothing"),
    ];
    for (request, body, status, expected) in cases {
        let (response, body) = cloud.send_http(request, body).await;
        assert_eq!(response.status(), status, "{expected}");
        assert!(error_of(&body).contains(expected), "{expected}: {}", error_of(&body));
    }
}

#[test]
fn sigterm_stops_the_server_in_order() {
    let mut cloud = CloudDecoder::start(&[&fashion()]);
    let address = cloud.url.trim_start_matches("http://").to_owned();
    assert!(TcpStream::connect(&address).is_ok());
    let (status, log) = cloud.stop();
    assert!(status.success(), "{status}\n{log}");
    assert!(
        log.contains("heads run on the CPU") && log.contains("stopping") && log.contains("stopped"),
        "{log}"
    );
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn invalid_bundles_and_addresses_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["bundle.json", "tables.bin", "README.md", "heads/reconstruct-1.onnx"] {
        let target = folder.path().join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(fashion().join(name), target).unwrap();
    }
    let bundle = folder.path();
    // The bundle can be served without the encoder's files, but not with a damaged head.
    drop(CloudDecoder::start(&[bundle]));
    let head = bundle.join("heads/reconstruct-1.onnx");
    let mut bytes = fs::read(&head).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&head, bytes).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied_address = listener.local_addr().unwrap().to_string();
    let mut command = binary_command("cloud-decoder");
    command.arg("serve");
    let cases = [
        (run_failing(&mut serve_command(&[bundle])), "heads/reconstruct-1.onnx has SHA-256"),
        (run_failing(&mut serve_command(&[])), "--bundle DIR"),
        (run_failing(&mut serve_command(&[&in_clone("samples")])), "neither is nor contains a bundle"),
        (
            run_failing(serve_command(&[&fashion(), &fashion()]).arg("--strict")),
            "two bundles are named \"fashion\"",
        ),
        (
            run_failing(serve_command(&[&fashion()]).args(["--onnxruntime", "/nowhere.so"])),
            "cannot load ONNX Runtime from /nowhere.so",
        ),
        (
            run_failing(command.arg("--listen").arg(&occupied_address).arg("--bundle").arg(fashion())),
            "cannot listen on 127.0.0.1:",
        ),
    ];
    for (error, expected) in cases {
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn an_unreachable_cloud_is_reported() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run_failing(
        binary_command("edge-encoder")
            .args(["send", "--endpoint", &format!("http://{address}"), "--bundle"])
            .arg(fashion())
            .arg(in_clone("samples/fashion")),
    );
    assert!(
        error.contains(&address.to_string()) && error.contains("is cloud-decoder running there?"),
        "{error}"
    );
}
