//! The calls of the Open Inference Protocol.

use axum::{body::Body, http::Request};
use lopside_proto::inference::{
    InferParameter, ModelConfigRequest, ModelInferRequest, ModelMetadataRequest, ServerMetadataRequest,
    ServerReadyRequest, infer_parameter::ParameterChoice, model_infer_request::InferRequestedOutputTensor,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_stream::StreamExt as _;
use tonic::Code;

use super::{
    bundles::{self, frame, head},
    support::{Cloud, floats, infer},
};

async fn cloud() -> (Cloud, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(
        &folder.path().join("a"),
        "a",
        "e",
        &[head("times", 1), head("times", 3), head("other", 2)],
    );
    (Cloud::start(folder.path()).await, folder)
}

#[tokio::test]
async fn the_server_and_its_models_report_their_metadata() {
    let (cloud, _folder) = cloud().await;
    let mut client = cloud.client().await;
    assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    let server = client.server_metadata(ServerMetadataRequest {}).await.unwrap().into_inner();
    assert!(server.extensions.contains(&"binary_tensor_data".to_owned()), "{server:?}");
    let request = ModelMetadataRequest { name: "a.times".into(), version: String::new() };
    let model = client.model_metadata(request).await.unwrap().into_inner();
    assert_eq!(model.versions, ["3", "1"]);
    assert_eq!((model.inputs[0].name.as_str(), &model.inputs[0].shape), ("latent", &vec![-1, 2]));
    assert_eq!((model.outputs[0].name.as_str(), &model.outputs[0].shape), ("product", &vec![-1, 2]));
    let rest = cloud.get("/v2/models/a.times").await.json();
    assert_eq!(rest["inputs"], json!([{ "name": "latent", "datatype": "FP32", "shape": [-1, 2] }]));
    let rest = cloud.get("/v2/models/a.times.frame/versions/1").await.json();
    assert_eq!(rest["inputs"], json!([{ "name": "frame", "datatype": "BYTES", "shape": [-1, 1] }]));
    let request = ModelConfigRequest { name: "a.times".into(), version: String::new() };
    let config = client.model_config(request).await.unwrap().into_inner().config.unwrap();
    assert_eq!((config.input[0].dims.as_slice(), config.max_batch_size), (&[2][..], 64));
    assert_eq!(cloud.get("/v2/models/a.times/config").await.json()["input"][0]["data_type"], "TYPE_FP32");
    let model = json!({ "name": "a", "ready": true });
    for (path, body) in [
        ("/v2/health/live", json!({ "live": true })),
        ("/v2/health/ready", json!({ "ready": true })),
        ("/v2/models/a/ready", model.clone()),
        ("/v2/models/a/versions/3/ready", model),
    ] {
        let response = cloud.get(path).await;
        assert_eq!((response.status.as_u16(), response.json()), (200, body), "{path}");
    }
    assert_eq!(cloud.get("/v2").await.status, 200);
    for path in ["/v2/models/b", "/v2/models/a.no", "/v2/models/a.times/versions/2"] {
        let response = cloud.get(path).await;
        assert!(response.status == 404 && !response.error().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn latents_and_frames_give_the_same_output_in_raw_and_json() {
    let (cloud, _folder) = cloud().await;
    let frame = frame("e", [0.5, 1.5]);
    let latents = json!({ "name": "latent", "datatype": "FP32", "shape": [1, 2], "data": [[0.5, 1.5]] });
    let frames = json!({
        "name": "frame", "datatype": "BYTES", "shape": [1],
        "parameters": { "content_type": "base64" },
        "data": [base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &frame)],
    });
    for (version, factor) in [("", 3.0), ("/versions/1", 1.0)] {
        for input in [&latents, &frames] {
            let body = json!({ "id": "7", "inputs": [input] });
            let response = cloud.post(&format!("/v2/models/a.times{version}/infer"), body.to_string()).await;
            let response = response.json();
            assert_eq!(response["id"], "7", "{response}");
            assert_eq!(response["outputs"][0]["data"], json!([0.5 * factor, 1.5 * factor]));
            assert_eq!(response["outputs"][0]["shape"], json!([1, 2]));
        }
    }
    // The binary extension for inputs and outputs.
    let header = json!({
        "inputs": [{ "name": "frame", "datatype": "BYTES", "shape": [1, 1],
                     "parameters": { "binary_data_size": 4 + frame.len() } }],
        "outputs": [{ "name": "product", "parameters": { "binary_data": true } }],
    });
    let header = header.to_string();
    let mut body = header.clone().into_bytes();
    body.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    body.extend_from_slice(&frame);
    let request = Request::post("/v2/models/a.times/infer")
        .header("Inference-Header-Content-Length", header.len())
        .body(Body::from(body))
        .unwrap();
    let response = cloud.send(request).await;
    assert_eq!(response.headers["content-type"], "application/octet-stream");
    let length: usize =
        response.headers["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    let (text, tail) = response.body.split_at(length);
    let text: Value = serde_json::from_slice(text).unwrap();
    assert_eq!(text["outputs"][0]["parameters"]["binary_data_size"], 8);
    assert_eq!(floats(tail), [1.5, 4.5]);
}

#[tokio::test]
async fn a_stream_answers_every_request_by_its_id_and_continues_after_an_error() {
    let (cloud, _folder) = cloud().await;
    let requests: Vec<ModelInferRequest> = (0..20_u8)
        .map(|number| {
            let model = if number == 7 { "a.nothing" } else { "a.times" };
            ModelInferRequest { id: number.to_string(), ..infer(model, &[[f32::from(number), 1.0]]) }
        })
        .collect();
    let messages = cloud.client().await.model_stream_infer(tokio_stream::iter(requests)).await.unwrap();
    let messages: Vec<_> = messages.into_inner().map(Result::unwrap).collect().await;
    assert_eq!(messages.len(), 20);
    for message in messages {
        let response = message.infer_response.unwrap();
        let number: f32 = response.id.parse().unwrap();
        if response.id == "7" {
            assert!(message.error_message.contains("nothing"), "{}", message.error_message);
        } else {
            assert_eq!(floats(&response.raw_output_contents[0]), [3.0 * number, 3.0]);
        }
    }
}

#[tokio::test]
async fn the_largest_values_are_a_classification() {
    let (cloud, _folder) = cloud().await;
    let mut request = infer("a.other", &[[1.0, 4.0], [2.0, 0.5]]);
    let parameter = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(1)) };
    request.outputs.push(InferRequestedOutputTensor {
        name: "product".into(),
        parameters: [("classification".to_owned(), parameter)].into(),
    });
    let response = cloud.client().await.model_infer(request).await.unwrap().into_inner();
    assert_eq!((response.outputs[0].datatype.as_str(), &response.outputs[0].shape), ("BYTES", &vec![2, 1]));
    assert_eq!(&response.raw_output_contents[0][..], b"\x03\0\0\x008:1\x03\0\0\x004:0");
}

#[tokio::test]
async fn errors_do_not_repeat_what_was_sent_without_limit() {
    let (cloud, _folder) = cloud().await;
    let long = "long".repeat(250_000);
    let mut request = infer("a.times", &[[1.0, 2.0]]);
    request.model_name.clone_from(&long);
    let status = cloud.client().await.model_infer(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert!(
        status.message().contains("longlong") && status.message().len() < 2000,
        "{}",
        status.message().len()
    );

    let input = json!({ "name": "latent", "datatype": long, "shape": [1, 2], "data": [1, 2] });
    let body = json!({ "inputs": [input] }).to_string();
    let response = cloud.post("/v2/models/a.times/infer", body).await;
    assert_eq!(response.status, 400);
    assert!(
        response.error().contains("longlong") && response.error().len() < 2000,
        "{}",
        response.error().len()
    );
}

#[tokio::test]
async fn invalid_requests_are_refused_with_the_reason() {
    let (cloud, _folder) = cloud().await;
    let mut client = cloud.client().await;
    let valid = infer("a.times", &[[1.0, 2.0]]);
    let mut cases = Vec::new();
    let mut case = |change: &dyn Fn(&mut ModelInferRequest), code: Code, text: &'static str| {
        let mut request = valid.clone();
        change(&mut request);
        cases.push((request, code, text));
    };
    case(&|r| r.model_name = "b.times".into(), Code::NotFound, "\"b\"");
    case(&|r| r.model_version = "two".into(), Code::InvalidArgument, "\"two\"");
    case(&|r| r.model_version = "2".into(), Code::NotFound, "times@1");
    case(&|r| r.inputs[0].name = "z".into(), Code::InvalidArgument, "\"latent\"");
    case(&|r| r.inputs[0].datatype = "FP64".into(), Code::InvalidArgument, "FP64");
    case(&|r| r.inputs[0].shape = vec![1, 3], Code::InvalidArgument, "[1, 3]");
    case(&|r| r.inputs[0].shape = vec![-1, 2], Code::InvalidArgument, "[-1, 2]");
    case(&|r| r.inputs[0].shape = vec![i64::MAX, 2], Code::InvalidArgument, "does not match its shape");
    case(&|r| r.raw_input_contents.clear(), Code::InvalidArgument, "not 32-bit floats");
    case(&|r| r.raw_input_contents.push(Vec::new().into()), Code::InvalidArgument, "2 raw contents");
    case(&|r| r.inputs.push(r.inputs[0].clone()), Code::InvalidArgument, "raw contents");
    case(
        &|r| r.outputs.push(InferRequestedOutputTensor { name: "png".into(), ..Default::default() }),
        Code::InvalidArgument,
        "product",
    );
    for (request, code, text) in cases {
        let status = client.model_infer(request).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(text), "{text}: {status}");
    }
    for (body, text) in [
        ("", "JSON"),
        ("{\"inputs\":[]}", "latent"),
        (r#"{"inputs":[{"name":"latent","datatype":"FP32","shape":[1,2]}]}"#, "neither data"),
        (r#"{"inputs":[{"name":"latent","datatype":"FP32","shape":[1,2],"data":["a"]}]}"#, "floats"),
        (r#"{"inputs":[{"name":"frame","datatype":"BYTES","shape":[1],"data":["no frame"]}]}"#, "frame 0"),
    ] {
        let response = cloud.post("/v2/models/a.times/infer", body).await;
        assert!(response.status == 400 && response.error().contains(text), "{text}: {}", response.error());
    }
    // Parameters with unusable values, which are named.
    let input = json!({ "name": "latent", "datatype": "FP32", "shape": [1, 2], "data": [1, 2] });
    for value in [json!("1"), json!(-1), json!(1.5), json!(true)] {
        for name in ["timeout", "priority"] {
            let body = json!({ "inputs": [input], "parameters": { name: value } });
            let response = cloud.post("/v2/models/a.times/infer", body.to_string()).await;
            assert!(response.status == 400 && response.error().contains(name), "{}", response.error());
        }
        let outputs = json!([{ "name": "product", "parameters": { "classification": value } }]);
        let body = json!({ "inputs": [input], "outputs": outputs });
        let response = cloud.post("/v2/models/a.times/infer", body.to_string()).await;
        let refused = response.status == 400 && response.error().contains("classification");
        assert!(refused, "{}", response.error());
    }
    for (parameters, outputs, name) in [
        (json!({ "binary_data_output": 1 }), json!([]), "binary_data_output"),
        (json!({}), json!([{ "name": "product", "parameters": { "binary_data": "yes" } }]), "binary_data"),
    ] {
        let body = json!({ "inputs": [input], "parameters": parameters, "outputs": outputs });
        let response = cloud.post("/v2/models/a.times/infer", body.to_string()).await;
        assert!(response.status == 400 && response.error().contains(name), "{}", response.error());
    }
    let unset = json!({ "inputs": [input], "parameters": { "timeout": null, "priority": 0 } });
    assert_eq!(cloud.post("/v2/models/a.times/infer", unset.to_string()).await.status, 200);
    for choice in [ParameterChoice::Int64Param(-1), ParameterChoice::DoubleParam(1.5)] {
        let mut request = valid.clone();
        let timeout = InferParameter { parameter_choice: Some(choice) };
        request.parameters.insert("timeout".into(), timeout);
        let status = client.model_infer(request).await.unwrap_err();
        let refused = status.code() == Code::InvalidArgument && status.message().contains("timeout");
        assert!(refused, "{status}");
    }
    let request = Request::post("/v2/models/a.times/infer")
        .header("Inference-Header-Content-Length", "99")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(cloud.send(request).await.status, 400);
}
