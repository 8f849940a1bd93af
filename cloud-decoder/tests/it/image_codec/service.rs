//! A server in this process with both kinds of bundles on one port.

use std::net::Ipv4Addr;

use axum::{
    body::Body,
    http::{Request, StatusCode, request, response},
};
use cloud_decoder::{ServeArgs, Settings, serve};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_bundle::image_codec::ImageCodecBundle;
use lopside_decoder::Device;
use lopside_latent::image_codec::ImageCodecSpace;
use lopside_proto::v1::{
    DecodeRequest, GetBundleRequest, HeadKind, OutputFormat, OutputRequest,
    decoder_service_client::DecoderServiceClient, output::Value as OutputValue,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic::Code;

use super::{
    bundles::{TestImage, fixed_latent, photo},
    onnxruntime,
};

/// The largest image that the server accepts.
const MAX_PIXELS: u64 = 1000;

/// A running server; stopped when dropped.
pub(crate) struct Cloud {
    url: String,
    photo: ImageCodecBundle,
    fixed_latent_frame: Vec<u8>,
    _stop: oneshot::Sender<()>,
    _folder: TempDir,
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server with further options.
    pub(crate) async fn start_with(configure: impl FnOnce(&mut ServeArgs)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let photo = photo(&folder.path().join("photo"));
        let fixed_latent_frame = fixed_latent(&folder.path().join("vector"));
        let mut args = ServeArgs {
            bundles: vec![folder.path().to_owned()],
            listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
            device: Some(Device::Cpu),
            onnxruntime: Some(onnxruntime()),
            threads: Some(1),
            drain_seconds: Some(1),
            ..ServeArgs::default()
        };
        configure(&mut args);
        let settings = Settings { max_pixels: MAX_PIXELS, ..Settings::merge(args).unwrap() };
        let server = serve::start_server(&settings).await.unwrap();
        let url = format!("http://{}", server.address());
        let (stop, stop_receiver) = oneshot::channel::<()>();
        tokio::spawn(server.run_until(async {
            let _ = stop_receiver.await;
        }));
        Self { url, photo, fixed_latent_frame, _stop: stop, _folder: folder }
    }

    /// Returns the address of the server.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn space(&self) -> &ImageCodecSpace {
        &self.photo.space
    }

    pub(crate) fn frame(&self, size: [u32; 2], grey: bool) -> (TestImage, Vec<u8>) {
        let test_image = TestImage::new(self.space(), size, grey);
        let frame = test_image.frame(self.space());
        (test_image, frame)
    }

    pub(crate) async fn http(&self, request: request::Builder, body: Vec<u8>) -> (StatusCode, Vec<u8>) {
        let (parts, body) = send(&self.url, request, body).await;
        (parts.status, body)
    }
}

/// Sends a request to the server with this address, and returns the response with its whole body.
pub(crate) async fn send(url: &str, request: request::Builder, body: Vec<u8>) -> (response::Parts, Vec<u8>) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let uri = format!("{url}{}", request.uri_ref().unwrap());
    let response = client.request(request.uri(uri).body(Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts, body.collect().await.unwrap().to_bytes().to_vec())
}

pub(crate) fn request(frames: &[&[u8]], bundle: &str, outputs: &[(&str, OutputFormat)]) -> DecodeRequest {
    let output = |&(head, format): &(&str, OutputFormat)| OutputRequest {
        head: head.into(),
        format: format.into(),
        version: 0,
    };
    DecodeRequest {
        frames: frames.iter().map(|frame| frame.to_vec().into()).collect(),
        bundle: bundle.into(),
        outputs: outputs.iter().map(output).collect(),
        inputs: Vec::new(),
    }
}

fn samples(png: &[u8]) -> Vec<u8> {
    image::load_from_memory(png).unwrap().into_bytes()
}

#[tokio::test]
async fn grpc_decodes_images_of_several_sizes_to_images_and_tensors() {
    let cloud = Cloud::start().await;
    let [(colour, first), (grey, second)] = [cloud.frame([13, 10], false), cloud.frame([9, 30], true)];
    let outputs =
        [("plain", OutputFormat::Tensor), ("double", OutputFormat::Png), ("", OutputFormat::Unspecified)];
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    let response = client.decode(request(&[&first, &second], "", &outputs)).await.unwrap().into_inner();
    assert_eq!(response.frames.len(), 2);
    for (test_image, frame) in [colour, grey].iter().zip(response.frames) {
        let [tensor, double, plain] = frame.outputs.try_into().unwrap();
        assert_eq!((plain.head.as_str(), double.head.as_str(), plain.head_version), ("plain", "double", 1));
        let (
            Some(OutputValue::Tensor(tensor)),
            Some(OutputValue::Png(double)),
            Some(OutputValue::Png(plain)),
        ) = (tensor.value, double.value, plain.value)
        else {
            panic!("the outputs are not in the requested order")
        };
        let (width, height) = (test_image.header.width, test_image.header.height);
        assert_eq!(samples(&plain), test_image.samples(2));
        assert_eq!(samples(&double).len(), 4 * test_image.samples(2).len());
        assert_eq!(tensor.shape, [3, height, width]);
        for (index, value) in tensor.values.iter().enumerate() {
            let (position, plane) = (index % (width * height) as usize, index / (width * height) as usize);
            let pixel = test_image.pixel(2, position % width as usize, position / width as usize);
            let mean = f32::from(pixel.iter().sum::<i16>()) / 3.0;
            let expected = if test_image.header.is_grey { mean } else { f32::from(pixel[plane]) };
            assert!((value * 255.0 - expected).abs() < 1e-3, "{value} {expected}");
        }
    }
    let request = request(&[&cloud.fixed_latent_frame], "", &[]);
    let response = client.decode(request).await.unwrap().into_inner();
    let Some(OutputValue::Png(png)) = &response.frames[0].outputs[0].value else {
        panic!("the output is not a PNG")
    };
    assert_eq!(samples(png), [255, 128]);
}

#[tokio::test]
async fn grpc_reports_the_reason_of_a_refusal() {
    let cloud = Cloud::start().await;
    let valid = cloud.frame([13, 10], false).1;
    let mut damaged = valid.clone();
    damaged[20] ^= 1;
    let (large, thin) = (cloud.frame([40, 30], false).1, cloud.frame([1, 999], false).1);
    let plain = [("plain", OutputFormat::Png)];
    let cases = [
        (request(&[&valid, &damaged], "", &[]), Code::InvalidArgument, "frame 1: the frame's checksum"),
        (
            request(&[&valid, &large], "", &[]),
            Code::InvalidArgument,
            "frame 1: the size of the image in pixels is 1200, over the limit of 1000: scale the image down on the device, \
             or start the server with a larger --max-megapixels",
        ),
        (request(&[&thin], "", &[]), Code::InvalidArgument, "padded and upscaled image is 4000, over"),
        (
            request(&[&cloud.fixed_latent_frame], "photo", &[]),
            Code::InvalidArgument,
            "frame 0 has version 1, but bundle \"photo\" accepts frames of version 2",
        ),
        (
            request(&[&valid], "vector", &[]),
            Code::InvalidArgument,
            "frame 0 has version 2, but bundle \"vector\" accepts frames of version 1",
        ),
        (
            request(&[&valid, &cloud.fixed_latent_frame], "", &plain),
            Code::InvalidArgument,
            "frame 1 has version",
        ),
        (request(&[&valid], "", &[("sharp", OutputFormat::Png)]), Code::NotFound, "it has plain, double"),
        (
            request(&[&valid], "", &[("plain", OutputFormat::ClassScores)]),
            Code::InvalidArgument,
            "makes images and cannot make class scores",
        ),
    ];
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    for (request, code, expected) in cases {
        let status = client.decode(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(expected), "{expected}: {}", status.message());
    }
}

#[tokio::test]
async fn an_image_codec_bundle_lists_its_layers_and_heads() {
    let cloud = Cloud::start().await;
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    let bundle = client.get_bundle(GetBundleRequest { name: "photo".into() }).await.unwrap().into_inner();
    let bundle = bundle.bundle.unwrap();
    assert_eq!((bundle.latent_space, bundle.latent_shape.len()), (cloud.space().id().to_string(), 0));
    let layers: Vec<_> =
        bundle.layers.iter().map(|layer| (layer.tensor.as_str(), layer.channels, layer.stride)).collect();
    assert_eq!(layers, [("layer4", 48, 4), ("layer2", 12, 2)]);
    let heads = bundle.heads.iter();
    let heads: Vec<_> = heads.map(|head| (head.name.as_str(), head.kind(), head.scale)).collect();
    assert_eq!(heads, [("plain", HeadKind::Picture, 1), ("double", HeadKind::Picture, 2)]);
    let plain = &bundle.heads[0];
    assert_eq!((plain.output_shape.len(), plain.macs, plain.parameters), (0, 0, 12));
    assert!((plain.macs_per_pixel - 1.5).abs() < 1e-9);
    assert_eq!(bundle.max_pixels, MAX_PIXELS);

    let (_, body) = cloud.http(Request::get("/v1/bundles"), Vec::new()).await;
    let bundles: Value = serde_json::from_slice(&body).unwrap();
    let [photo, fixed_latent] = bundles["bundles"].as_array().unwrap().as_slice() else {
        panic!("{bundles}")
    };
    assert_eq!(photo["layers"][1], json!({"tensor": "layer2", "channels": 12, "stride": 2}));
    let head = json!({
        "name": "double", "version": 1, "kind": {"picture": {"scale": 2}}, "output_shape": [],
        "parameters": 12, "macs_per_pixel": 1.5,
    });
    assert_eq!(photo["max_pixels"], MAX_PIXELS);
    let mut listed = photo["heads"][1].clone();
    // A head as fast as this one may have too short runs for a measurement.
    listed.as_object_mut().unwrap().remove("seconds_per_megapixel");
    assert_eq!((&photo["latent_shape"], &listed), (&json!([]), &head));
    assert_eq!(fixed_latent["max_pixels"], Value::Null);
    let head = json!({
        "name": "reconstruct", "version": 1, "output_shape": ["n", 2], "parameters": 0, "macs": 2,
        "kind": {"reconstruct": {"width": 2, "height": 1, "channels": "grey", "low": [0.0], "high": [1.0]}},
    });
    assert_eq!((&fixed_latent["latent_shape"], &fixed_latent["heads"][0]), (&json!([2]), &head));
    assert_eq!(fixed_latent["layers"], json!([{"tensor": "latent", "shape": [2]}]));
}

#[tokio::test]
async fn rest_decodes_images_and_refuses_invalid_requests() {
    let cloud = Cloud::start().await;
    let (test_image, frame) = cloud.frame([13, 10], true);
    let decode = |query: &str, accept: &str| {
        Request::post(format!("/v1/bundles/photo/decode{query}")).header("accept", accept)
    };
    let (status, png) = cloud.http(decode("", "*/*"), frame.clone()).await;
    assert_eq!((status, samples(&png)), (StatusCode::OK, test_image.samples(2)));
    let (status, body) = cloud.http(decode("?head=double", "application/json"), frame.clone()).await;
    let tensor: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (status, &tensor["shape"], &tensor["head"]),
        (StatusCode::OK, &json!([3, 20, 26]), &json!("double"))
    );

    let large = cloud.frame([40, 30], false).1;
    let mut damaged = frame.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let cases = [
        (decode("", "*/*"), damaged, StatusCode::BAD_REQUEST, "checksum"),
        (decode("", "*/*"), large, StatusCode::BAD_REQUEST, "over the limit of 1000"),
        (
            decode("", "*/*"),
            cloud.fixed_latent_frame.clone(),
            StatusCode::BAD_REQUEST,
            "accepts frames of version 2",
        ),
        (decode("?head=x", "*/*"), frame.clone(), StatusCode::NOT_FOUND, "no head \\\"x\\\""),
        (decode("?heads=plain,", "*/*"), frame.clone(), StatusCode::BAD_REQUEST, "a name in heads is empty"),
        (decode("?heads=", "*/*"), frame.clone(), StatusCode::BAD_REQUEST, "a name in heads is empty"),
        (decode("", "image/webp"), frame, StatusCode::NOT_ACCEPTABLE, "image/png"),
        (decode("", "*/*"), vec![0; (16 << 20) + 1], StatusCode::PAYLOAD_TOO_LARGE, "limit"),
    ];
    for (request, body, status, expected) in cases {
        let (found, body) = cloud.http(request, body).await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(found, status, "{text}");
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
