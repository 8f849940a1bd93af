//! Bundles are loaded, changed and unloaded during requests.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use lopside_proto::inference::{
    ModelInferRequest, ModelRepositoryParameter, RepositoryIndexRequest, RepositoryModelLoadRequest,
    RepositoryModelUnloadRequest, model_infer_request::InferInputTensor,
    model_repository_parameter::ParameterChoice,
};
use serde_json::{Value, json};
use tonic::Code;

use super::{
    bundles::{self, frame, head},
    support::{Cloud, floats, infer},
};

/// Returns a request that runs a model on a frame.
fn frame_request(model: &str, frame: &[u8]) -> ModelInferRequest {
    let mut raw = (frame.len() as u32).to_le_bytes().to_vec();
    raw.extend_from_slice(frame);
    ModelInferRequest {
        model_name: model.into(),
        inputs: vec![InferInputTensor {
            name: "frame".into(),
            datatype: "BYTES".into(),
            shape: vec![1, 1],
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![raw.into()],
        ..ModelInferRequest::default()
    }
}

/// Replaces a bundle as a careful operator does: the new folder is complete before it is renamed.
fn replace(folder: &Path, version: u32) {
    let (temporary, old) = (folder.with_extension("fresh"), folder.with_extension("old"));
    bundles::write(&temporary, "a", "e", &[head("times", version)]);
    fs::rename(folder, &old).unwrap();
    fs::rename(&temporary, folder).unwrap();
    fs::remove_dir_all(&old).unwrap();
}

fn row<'a>(index: &'a Value, name: &str) -> Option<&'a Value> {
    index.as_array().unwrap().iter().find(|row| row["name"] == name)
}

#[tokio::test]
async fn bundles_are_loaded_and_unloaded_over_rest_and_grpc() {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(&folder.path().join("a"), "a", "e", &[head("times", 1)]);
    let cloud = Cloud::start(folder.path()).await;
    let mut client = cloud.client().await;
    assert_eq!(cloud.get("/v2/models/b.times/ready").await.status, 404);
    bundles::write(&folder.path().join("b"), "b", "f", &[head("times", 4)]);
    let index = cloud.post("/v2/repository/index", "").await.json();
    assert_eq!(row(&index, "a.times").unwrap()["state"], "READY");
    assert_eq!(row(&index, "b").unwrap()["state"], "UNAVAILABLE");
    assert_eq!(cloud.post("/v2/repository/models/b/load", "").await.status, 200);
    assert_eq!(cloud.get("/v2/models/b.times/ready").await.status, 200);
    let response = client.model_infer(infer("b.times", &[[1.0, 2.0]])).await.unwrap().into_inner();
    assert_eq!(
        (response.model_version.as_str(), floats(&response.raw_output_contents[0])),
        ("4", vec![4.0, 8.0])
    );

    let unload = RepositoryModelUnloadRequest { model_name: "b".into(), ..Default::default() };
    client.repository_model_unload(unload.clone()).await.unwrap();
    let status = client.model_infer(infer("b.times", &[[1.0, 2.0]])).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    let index = client.repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner();
    let b = index.models.iter().find(|model| model.name == "b").unwrap();
    assert_eq!((b.state.as_str(), b.reason.as_str()), ("UNAVAILABLE", "unloaded"));
    let second = client.repository_model_unload(unload).await.unwrap_err();
    assert_eq!(second.code(), Code::NotFound);
    let load = RepositoryModelLoadRequest { model_name: "b".into(), ..Default::default() };
    client.repository_model_load(load).await.unwrap();
    assert!(client.model_infer(infer("b.times", &[[1.0, 2.0]])).await.is_ok());
    assert_eq!(cloud.post("/v2/repository/models/nobody/load", "").await.status, 404);
}

#[tokio::test]
async fn a_load_with_another_configuration_or_other_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(&folder.path().join("a"), "a", "e", &[head("times", 1)]);
    let cloud = Cloud::start(folder.path()).await;
    let mut client = cloud.client().await;
    for (name, choice, value) in [
        ("config", ParameterChoice::StringParam("{}".into()), json!("{}")),
        ("file:1/model.onnx", ParameterChoice::BytesParam(b"model".to_vec()), json!("bW9kZWw=")),
        ("invented", ParameterChoice::BoolParam(true), json!(true)),
    ] {
        let parameter = ModelRepositoryParameter { parameter_choice: Some(choice) };
        let load = RepositoryModelLoadRequest {
            model_name: "a".into(),
            parameters: [(name.to_owned(), parameter)].into(),
            ..Default::default()
        };
        let status = client.repository_model_load(load).await.unwrap_err();
        assert!(status.code() == Code::InvalidArgument && status.message().contains(name), "{status}");
        let body = json!({ "parameters": { name: value } }).to_string();
        let response = cloud.post("/v2/repository/models/a/load", body).await;
        assert!(response.status == 400 && response.error().contains(name), "{}", response.error());
    }
    for body in ["{}", r#"{"parameters":{}}"#, r#"{"parameters":null}"#] {
        assert_eq!(cloud.post("/v2/repository/models/a/load", body).await.status, 200, "{body}");
    }
    assert_eq!(cloud.post("/v2/repository/models/a/load", "no JSON").await.status, 400);
    let unload = r#"{"parameters":{"unload_dependents":false}}"#;
    assert_eq!(cloud.post("/v2/repository/models/a/unload", unload).await.status, 200);
}

#[tokio::test]
async fn the_name_of_a_repository_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(&folder.path().join("a"), "a", "e", &[head("times", 1)]);
    let cloud = Cloud::start(folder.path()).await;
    let mut client = cloud.client().await;
    let repository_name = || "other".to_owned();
    let index = RepositoryIndexRequest { repository_name: repository_name(), ..Default::default() };
    let load = RepositoryModelLoadRequest {
        repository_name: repository_name(),
        model_name: "a".into(),
        ..Default::default()
    };
    let unload = RepositoryModelUnloadRequest {
        repository_name: repository_name(),
        model_name: "a".into(),
        ..Default::default()
    };
    for status in [
        client.repository_index(index).await.unwrap_err(),
        client.repository_model_load(load).await.unwrap_err(),
        client.repository_model_unload(unload).await.unwrap_err(),
    ] {
        assert!(status.code() == Code::InvalidArgument && status.message().contains("other"), "{status}");
    }
}

#[tokio::test]
async fn a_broken_bundle_is_refused_and_the_old_one_is_still_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    bundles::write(&path, "a", "e", &[head("times", 1)]);
    let cloud = Cloud::start(folder.path()).await;
    let model = path.join("heads/times-1.onnx");
    let complete = fs::read(&model).unwrap();
    fs::write(&model, &complete[1..]).unwrap();
    let response = cloud.post("/v2/repository/models/a/load", "").await;
    assert_eq!(response.status, 422);
    assert!(response.error().contains("times-1.onnx"), "{}", response.error());
    let run_model = || async {
        cloud.client().await.model_infer(infer("a.times", &[[1.0, 2.0]])).await.unwrap().into_inner()
    };
    assert_eq!(floats(&run_model().await.raw_output_contents[0]), [1.0, 2.0]);
    // A check of the folders also refuses the bundle and keeps the old one.
    assert!(!cloud.registry.refresh());
    assert_eq!(floats(&run_model().await.raw_output_contents[0]), [1.0, 2.0]);
    replace(&path, 2);
    assert!(cloud.registry.refresh());
    assert_eq!(floats(&run_model().await.raw_output_contents[0]), [2.0, 4.0]);
    assert!(!cloud.registry.refresh());
    fs::remove_dir_all(&path).unwrap();
    assert!(cloud.registry.refresh());
    assert_eq!(cloud.get("/v2/models/a.times/ready").await.status, 404);
}

#[tokio::test]
async fn frames_of_an_old_encoder_are_decoded_by_the_newest_head_of_their_latent_space() {
    let folder = tempfile::tempdir().unwrap();
    // Version 2 of the bundle has another encoder. A separate bundle has a newer head for the old latent
    // space.
    bundles::write(&folder.path().join("a/1"), "a", "old", &[head("times", 1)]);
    bundles::write(&folder.path().join("a/2"), "a", "new", &[head("times", 5)]);
    bundles::write(&folder.path().join("a-fix"), "a-fix", "old", &[head("times", 3)]);
    let cloud = Cloud::start(folder.path()).await;
    let mut client = cloud.client().await;
    let mut run_model = async |model: &str, encoder: &str| {
        let request = frame_request(model, &frame(encoder, [0.1, 0.2]));
        let response = client.model_infer(request).await.unwrap().into_inner();
        let values = floats(&response.raw_output_contents[0]);
        ((values[0] * 10.0).round() as u32, response.model_version)
    };
    assert_eq!(run_model("a.times", "new").await, (5, "5".into()));
    assert_eq!(run_model("a.times", "old").await, (1, "1".into()));
    assert_eq!(run_model("a-fix.times", "old").await, (3, "3".into()));
    // Without a bundle name, the latent space alone selects the head.
    let mut decoder =
        lopside_proto::v1::decoder_service_client::DecoderServiceClient::connect(cloud.url.clone())
            .await
            .unwrap();
    for (encoder, version) in [("old", 3), ("new", 5)] {
        let request = lopside_proto::v1::DecodeRequest {
            frames: vec![frame(encoder, [0.1, 0.2]).into()],
            ..Default::default()
        };
        let response = decoder.decode(request).await.unwrap().into_inner();
        assert_eq!(response.frames[0].outputs[0].head_version, version, "{encoder}");
    }
}

/// Every response comes from one version: its values match the version that it names.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_swaps_under_load_fail_no_request_and_mix_no_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    bundles::write(&path, "a", "e", &[head("times", 1)]);
    let cloud = Cloud::start(folder.path()).await;
    let (stop, response_count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for index in 0..4_usize {
        let (mut client, stop, response_count) =
            (cloud.client().await, Arc::clone(&stop), Arc::clone(&response_count));
        clients.push(tokio::spawn(async move {
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                let latents = vec![[index as f32 + 1.0, 2.0]; index + 1];
                let response = client.model_infer(infer("a.times", &latents)).await.unwrap().into_inner();
                let version: u32 = response.model_version.parse().unwrap();
                let expected: Vec<f32> =
                    latents.iter().flatten().map(|value| value * version as f32).collect();
                assert_eq!(floats(&response.raw_output_contents[0]), expected);
                assert!(version >= last, "version {version} after {last}");
                last = version;
                response_count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for version in 2..=101 {
        replace(&path, version);
        let count_before = response_count.load(Ordering::Relaxed);
        assert_eq!(cloud.post("/v2/repository/models/a/load", "").await.status, 200);
        // Each version serves some requests.
        while response_count.load(Ordering::Relaxed) < count_before + 8 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    // Sessions of unused versions end, and so do their threads.
    while engine_threads() > 2 {
        tokio::task::yield_now().await;
    }
}

/// Returns the number of engine threads of the bundle `a` in this process.
fn engine_threads() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "engine-a.times").count()
}
