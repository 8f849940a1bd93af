//! Decoding of archived frames.

use axum::http::{Request, StatusCode};
use serde_json::Value;

use super::{
    bundle::{self, frame, nameless_frame},
    support::Cloud,
};

const PIXELS: [f32; 4] = [1.0, 0.0, 0.0, 0.5];

/// Starts a server with one frame, and returns the path of the frame.
async fn with_frame(frame: Vec<u8>) -> (Cloud, String) {
    let cloud = Cloud::start().await;
    cloud.commit("gate", 1, vec![frame]).await;
    let path = format!("/v1/frames/{}", cloud.ids().await[0]);
    (cloud, path)
}

/// Returns the number of runs of a head's model.
async fn runs(cloud: &Cloud, model: &str) -> Value {
    let stats = cloud.get(&format!("/v2/models/{model}/stats")).await.json();
    stats["model_stats"][0]["execution_count"].clone()
}

#[tokio::test]
async fn an_archived_frame_is_decoded_like_one_that_is_sent() {
    let (cloud, path) = with_frame(frame(PIXELS)).await;
    for head in ["reconstruct", "classify", "score"] {
        let direct = cloud.post(&format!("/v1/bundles/toy/decode?head={head}"), frame(PIXELS)).await;
        let archived = cloud.get(&format!("{path}/{head}")).await;
        assert_eq!(archived.status, StatusCode::OK);
        assert_eq!(archived.header("content-type"), direct.header("content-type"));
        assert_eq!(archived.body, direct.body, "{head}");
    }
    let tensor = cloud.get(&format!("{path}/reconstruct?format=tensor")).await.json();
    assert_eq!(tensor["values"], serde_json::json!([1.0, 0.0, 0.0, 0.5]));
    let accepted = Request::get(format!("{path}/reconstruct")).header("accept", "application/json");
    assert_eq!(cloud.send(accepted).await.json(), tensor);
}

#[tokio::test]
async fn missing_heads_and_unsupported_formats_are_refused() {
    let (cloud, path) = with_frame(frame(PIXELS)).await;
    for (query, status) in [
        ("upscale", 404),
        ("score?version=9", 404),
        ("score?bundle=other", 404),
        ("score?format=png", 400),
        ("score?format=jpeg", 400),
    ] {
        assert_eq!(cloud.get(&format!("{path}/{query}")).await.status.as_u16(), status, "{query}");
    }
    let image_only = Request::get(format!("{path}/score")).header("accept", "image/png");
    assert_eq!(cloud.send(image_only).await.status, StatusCode::NOT_ACCEPTABLE);
    let invalid_timeout = Request::get(format!("{path}/score")).header("lopside-timeout-ms", "soon");
    assert_eq!(cloud.send(invalid_timeout).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_frame_without_a_latent_space_needs_a_bundle() {
    let (cloud, path) = with_frame(nameless_frame(PIXELS)).await;
    assert_eq!(cloud.get(&format!("{path}/score")).await.status, StatusCode::BAD_REQUEST);
    let response = cloud.get(&format!("{path}/score?bundle=toy")).await;
    assert_eq!(response.json()["anomaly"]["score"], 1.5);
}

#[tokio::test]
async fn decoded_outputs_are_cached_and_not_sent_again_to_clients_that_have_them() {
    let (cloud, path) = with_frame(frame(PIXELS)).await;
    let path = format!("{path}/classify");
    let first = cloud.get(&path).await;
    let run_count = runs(&cloud, "toy.classify").await;
    let second = cloud.get(&path).await;
    assert_eq!((first.body, first.headers["etag"].clone()), (second.body, second.headers["etag"].clone()));
    assert_eq!(first.headers["cache-control"], "private, no-cache");
    let conditional = Request::get(&path).header("if-none-match", &first.headers["etag"]);
    let conditional = cloud.send(conditional).await;
    assert_eq!((conditional.status, conditional.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(conditional.headers["etag"], first.headers["etag"]);
    assert_eq!(runs(&cloud, "toy.classify").await, run_count);
    let other = Request::get(&path).header("if-none-match", "\"other\"");
    assert_eq!(cloud.send(other).await.status, StatusCode::OK);
    let pinned = cloud.get(&format!("{path}?bundle=toy&version=1")).await;
    assert_eq!(pinned.headers["cache-control"], "private, no-cache", "a version may be replaced");
}

#[tokio::test]
async fn a_newer_head_is_used_at_once() {
    let (cloud, path) = with_frame(frame(PIXELS)).await;
    let path = format!("{path}/score");
    let old = cloud.get(&path).await;
    assert_eq!(
        (old.json()["head_version"].as_u64(), old.json()["anomaly"]["score"].as_f64()),
        (Some(1), Some(1.5))
    );
    bundle::replace(&cloud.bundle(), 2);
    assert!(cloud.registry.refresh());
    let conditional = Request::get(&path).header("if-none-match", &old.headers["etag"]);
    let new = cloud.send(conditional).await;
    assert_eq!(new.status, StatusCode::OK);
    assert_eq!(
        (new.json()["head_version"].as_u64(), new.json()["anomaly"]["score"].as_f64()),
        (Some(2), Some(3.0))
    );
    assert_ne!(new.headers["etag"], old.headers["etag"]);
    assert_eq!(cloud.get(&format!("{path}?version=1")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_head_that_is_replaced_without_a_new_version_leaves_no_old_outputs() {
    let (cloud, path) = with_frame(frame(PIXELS)).await;
    let path = format!("{path}/score?bundle=toy&version=1");
    let old = cloud.get(&path).await;
    assert_eq!(old.json()["anomaly"]["score"], 1.5);
    bundle::replace_score(&cloud.bundle(), 1, 2.0);
    assert!(cloud.registry.refresh());
    let conditional = Request::get(&path).header("if-none-match", &old.headers["etag"]);
    let new = cloud.send(conditional).await;
    assert_eq!(
        (new.status, new.json()["anomaly"]["score"].as_f64(), new.json()["head_version"].as_u64()),
        (StatusCode::OK, Some(3.0), Some(1))
    );
    assert_ne!(new.headers["etag"], old.headers["etag"]);
    // The old model again has the old outputs.
    bundle::replace_score(&cloud.bundle(), 1, 1.0);
    assert!(cloud.registry.refresh());
    let conditional = Request::get(&path).header("if-none-match", &old.headers["etag"]);
    assert_eq!(cloud.send(conditional).await.status, StatusCode::NOT_MODIFIED);
}
