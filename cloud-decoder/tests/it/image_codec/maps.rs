//! Feature maps instead of frames over the Open Inference Protocol.

use axum::http::{Request, StatusCode};
use lopside_latent::image_codec::ImageCodecLatent;
use serde_json::{Value, json};

use super::{
    bundles::{QUALITY, STRIDES, TestImage},
    service::Cloud,
};

/// Returns the content of the frame of an image as inputs of a head.
fn inputs(cloud: &Cloud, test_image: &TestImage) -> Vec<Value> {
    let space = cloud.space();
    let decoded = ImageCodecLatent { header: test_image.header, layers: test_image.layers.clone() };
    let maps = space.dequantise(&decoded).unwrap();
    let layer = |(layer, values): (usize, Vec<f32>)| {
        let [rows, columns] = space.layout().dims(layer, test_image.header.width, test_image.header.height);
        let channels = values.len() / (rows * columns);
        json!({ "name": format!("layer{}", STRIDES[layer]), "datatype": "FP32", "data": values,
                "shape": [1, channels, rows, columns] })
    };
    let quality = json!({ "name": "quality", "datatype": "FP32", "shape": [1, 1], "data": [QUALITY] });
    maps.into_iter().enumerate().map(layer).chain([quality]).collect()
}

async fn infer(cloud: &Cloud, model: &str, inputs: &[Value], outputs: &[&str]) -> (StatusCode, Value) {
    let outputs: Vec<Value> = outputs.iter().map(|name| json!({ "name": name })).collect();
    let body = json!({ "inputs": inputs, "outputs": outputs }).to_string().into_bytes();
    let request = Request::post(format!("/v2/models/{model}/infer"));
    let (status, body) = cloud.http(request, body).await;
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn feature_maps_give_the_output_of_their_frame_with_padding() {
    let cloud = Cloud::start().await;
    let (test_image, _) = cloud.frame([13, 10], false);
    let inputs = inputs(&cloud, &test_image);
    let (status, response) = infer(&cloud, "photo.plain", &inputs, &[]).await;
    assert_eq!(status, StatusCode::OK, "{response}");
    let output = &response["outputs"][0];
    assert_eq!((&output["name"], &output["shape"]), (&json!("picture"), &json!([1, 3, 12, 16])));
    for (index, value) in output["data"].as_array().unwrap().iter().enumerate() {
        let (plane, row, column) = (index / (12 * 16), index / 16 % 12, index % 16);
        let expected = f64::from(test_image.pixel(2, column, row)[plane]);
        let found = value.as_f64().unwrap() * 255.0;
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    }
    let (status, response) = infer(&cloud, "photo.double", &inputs, &["png", "picture"]).await;
    assert_eq!(status, StatusCode::OK, "{response}");
    assert_eq!(response["outputs"][0]["datatype"], "BYTES");
    assert_eq!(response["outputs"][1]["shape"], json!([1, 3, 24, 32]));
}

#[tokio::test]
async fn metadata_name_the_maps_or_the_frame() {
    let cloud = Cloud::start().await;
    let metadata = async |model: &str| -> Value {
        let (_, body) = cloud.http(Request::get(format!("/v2/models/{model}")), Vec::new()).await;
        serde_json::from_slice(&body).unwrap()
    };
    let expected = json!([
        { "name": "layer4", "datatype": "FP32", "shape": [-1, 48, -1, -1] },
        { "name": "layer2", "datatype": "FP32", "shape": [-1, 12, -1, -1] },
        { "name": "quality", "datatype": "FP32", "shape": [-1, 1] },
    ]);
    assert_eq!(metadata("photo.plain").await["inputs"], expected);
    let expected = json!([{ "name": "frame", "datatype": "BYTES", "shape": [-1, 1] }]);
    assert_eq!(metadata("photo.plain.frame").await["inputs"], expected);
}

#[tokio::test]
async fn invalid_feature_maps_are_refused_by_name() {
    let cloud = Cloud::start().await;
    let valid = inputs(&cloud, &cloud.frame([13, 10], false).0);
    let with_change = |index: usize, key: &str, value: Value| {
        let mut inputs = valid.clone();
        inputs[index][key] = value;
        inputs
    };
    let values = |count: usize| json!(vec![0.0; count]);
    let mut large = with_change(0, "shape", json!([1, 48, 30, 30]));
    large[0]["data"] = values(48 * 900);
    large[1] =
        json!({ "name": "layer2", "datatype": "FP32", "shape": [1, 12, 60, 60], "data": values(12 * 3600) });
    let cases = [
        (valid[1..].to_vec(), "neither an input \"layer4\" nor"),
        (valid[..2].to_vec(), "neither an input \"quality\" nor"),
        (with_change(0, "shape", json!([1, 576])), "input \"layer4\": its shape is [1, 576], not"),
        (with_change(0, "shape", json!([1, 48, 0, 4])), "input \"layer4\""),
        (with_change(1, "shape", json!([1, 12, 8, 6])), "the model reads FP32 [n, 12, 6, 8]"),
        (with_change(2, "data", json!([7.5])), "a quality is a whole number from 1 to 100, not 7.5"),
        (with_change(2, "data", json!([101])), "a quality is a whole number from 1 to 100, not 101"),
        (large, "padded and upscaled image is 14400, over the limit of 2000"),
        (
            [valid.clone(), vec![with_change(2, "name", json!("gain"))[2].clone()]].concat(),
            "no input \"gain\"",
        ),
    ];
    for (inputs, expected) in cases {
        let (status, response) = infer(&cloud, "photo.plain", &inputs, &[]).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{expected}: {response}");
        assert!(response["error"].as_str().unwrap().contains(expected), "{expected}: {response}");
    }
}
