//! Bundles that cannot be served, next to others that can, from the start of the server.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use cloud_decoder::{ServeArgs, Settings, serve};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    bundles::{self, head},
    support::{Cloud, floats, infer, options},
};

/// Writes the bundle `a`, and the bundle `b` without a part of its model. Returns the folder of both.
fn good_and_damaged() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    bundles::write(&folder.path().join("a"), "a", "e", &[head("times", 2)]);
    bundles::write(&folder.path().join("b"), "b", "f", &[head("times", 3)]);
    let model = folder.path().join("b/heads/times-3.onnx");
    let complete = fs::read(&model).unwrap();
    fs::write(&model, &complete[1..]).unwrap();
    folder
}

fn serve_all(bundles: &[&Path]) -> ServeArgs {
    let bundles: Vec<PathBuf> = bundles.iter().map(|&bundle| bundle.to_owned()).collect();
    ServeArgs { bundles, ..options(Path::new("")) }
}

/// Starts a server that is expected to refuse, and returns the reason.
async fn refusal(options: ServeArgs) -> String {
    let settings = Settings::merge(options).unwrap();
    serve::start_server(&settings).await.err().unwrap().to_string()
}

async fn run_model(cloud: &Cloud, model: &str) -> Vec<f32> {
    let mut client = cloud.client().await;
    let response = client.model_infer(infer(model, &[[1.0, 2.0]])).await.unwrap().into_inner();
    floats(&response.raw_output_contents[0])
}

/// Returns the state and the reason of a row of the repository index.
async fn state(cloud: &Cloud, name: &str) -> Option<(String, String)> {
    let index = cloud.post("/v2/repository/index", "").await.json();
    let row = index.as_array().unwrap().iter().find(|row| row["name"] == name)?.clone();
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    Some((text("state"), text("reason")))
}

#[tokio::test]
async fn a_server_starts_with_the_bundles_that_can_be_served() {
    let folder = good_and_damaged();
    let missing = folder.path().join("nowhere");
    let cloud = Cloud::start_with(serve_all(&[folder.path(), &missing])).await;
    assert_eq!(cloud.get("/readyz").await.status, 200);
    assert_eq!(run_model(&cloud, "a.times").await, [2.0, 4.0]);
    assert_eq!(cloud.get("/v2/models/b.times/ready").await.status, 404);
    for name in ["b", "nowhere"] {
        let (state, reason) = state(&cloud, name).await.unwrap();
        assert_eq!(state, "UNAVAILABLE");
        assert!(reason.contains(folder.path().join(name).to_str().unwrap()), "{name}: {reason}");
    }
    // A corrected bundle is loaded like a new one.
    fs::remove_dir_all(folder.path().join("b")).unwrap();
    bundles::write(&folder.path().join("b"), "b", "f", &[head("times", 4)]);
    assert!(cloud.registry.refresh());
    assert_eq!(run_model(&cloud, "b.times").await, [4.0, 8.0]);
    assert_eq!(state(&cloud, "b.times").await.unwrap(), ("READY".to_owned(), String::new()));
}

#[tokio::test]
async fn a_strict_server_starts_with_all_bundles_or_not_at_all() {
    let folder = good_and_damaged();
    let (good, missing) = (folder.path().join("a"), folder.path().join("nowhere"));
    let empty = tempfile::tempdir().unwrap();
    let strict = |bundles: &[&Path]| refusal(ServeArgs { strict: Some(true), ..serve_all(bundles) });
    assert!(strict(&[folder.path()]).await.contains("times-3.onnx"));
    assert!(strict(&[&good, &missing]).await.contains("nowhere"));
    assert!(strict(&[&good, empty.path()]).await.contains(empty.path().to_str().unwrap()));
    assert!(strict(&[&good, &good]).await.contains("two bundles are named \"a\""));
    Cloud::start_with(ServeArgs { strict: Some(true), ..serve_all(&[&good]) }).await;
}

#[tokio::test]
async fn a_server_does_not_start_if_every_bundle_is_refused_but_does_with_an_empty_folder() {
    let folder = good_and_damaged();
    let (damaged, missing) = (folder.path().join("b"), folder.path().join("nowhere"));
    let empty = tempfile::tempdir().unwrap();
    let reason = refusal(serve_all(&[&damaged, &missing, empty.path()])).await;
    assert!(reason.contains("times-3.onnx") && reason.contains("nowhere"), "{reason}");
    let no_bundle = folder.path().join("a/heads");
    assert!(refusal(serve_all(&[&no_bundle])).await.contains("neither is nor contains a bundle"));

    let cloud = Cloud::start_with(serve_all(&[empty.path()])).await;
    assert_eq!(cloud.get("/v1/bundles").await.json()["bundles"], Value::Array(Vec::new()));
    bundles::write(&empty.path().join("late"), "late", "e", &[head("times", 3)]);
    assert!(cloud.registry.refresh());
    assert_eq!(run_model(&cloud, "late.times").await, [3.0, 6.0]);
}

#[tokio::test]
async fn bundles_of_a_folder_that_cannot_be_read_stay() {
    let folder = tempfile::tempdir().unwrap();
    let [source, away] = ["source", "away"].map(|name| folder.path().join(name));
    bundles::write(&source.join("a"), "a", "e", &[head("times", 2)]);
    let cloud = Cloud::start(&source).await;
    fs::rename(&source, &away).unwrap();
    // The folder is missing, as after an unmount, and then a link that never ends.
    for is_loop in [false, true] {
        if is_loop {
            symlink(&source, &source).unwrap();
        }
        assert!(!cloud.registry.refresh());
        assert_eq!(run_model(&cloud, "a.times").await, [2.0, 4.0]);
        assert_eq!(state(&cloud, "a.times").await.unwrap().0, "READY");
        let (state, reason) = state(&cloud, "source").await.unwrap();
        assert!(state == "UNAVAILABLE" && reason.contains(source.to_str().unwrap()), "{reason}");
        let load = cloud.post("/v2/repository/models/a/load", "").await;
        assert!(load.status == 422 && load.error().contains("cannot be read"), "{}", load.error());
        assert_eq!(run_model(&cloud, "a.times").await, [2.0, 4.0]);
    }
    fs::remove_file(&source).unwrap();
    fs::rename(&away, &source).unwrap();
    assert!(!cloud.registry.refresh());
    assert!(state(&cloud, "source").await.is_none());
    // A bundle that was removed from a folder that can be read is unloaded.
    fs::remove_dir_all(source.join("a")).unwrap();
    assert!(cloud.registry.refresh());
    assert_eq!(cloud.get("/v2/models/a.times/ready").await.status, 404);
}
