//! Devices and frames are listed, read and deleted.

use axum::http::{Request, StatusCode};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use lopside_archive::{HeadKey, NewScore};
use serde_json::{Value, json};

use super::{
    bundle::{self, frame, nameless_frame},
    support::{Cloud, ServerOptions},
};

fn numbers(list: &Value) -> Vec<u64> {
    list["frames"].as_array().unwrap().iter().map(|frame| frame["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn devices_are_listed_with_their_counts() {
    let cloud = Cloud::start().await;
    assert_eq!(cloud.get("/v1/devices").await.json(), json!({ "devices": [], "next": null }));
    cloud.commit("gate", 1, vec![frame([0.1; 4]); 3]).await;
    cloud.commit("door", 1, vec![frame([0.1; 4])]).await;
    let id = cloud.ids().await[0];
    assert_eq!(cloud.send(Request::delete(format!("/v1/frames/{id}"))).await.status, StatusCode::NO_CONTENT);
    let devices = cloud.get("/v1/devices").await.json();
    let counts = |index: usize| {
        let device = &devices["devices"][index];
        let first_seen = device["first_seen"].as_str().unwrap();
        assert!(first_seen.ends_with('Z') && device["last_seen"].as_str().unwrap() >= first_seen, "{device}");
        (
            device["name"].clone(),
            device["frames"].clone(),
            device["applied"].clone(),
            device["bytes"].as_u64(),
        )
    };
    let bytes = frame([0.1; 4]).len() as u64;
    assert_eq!(counts(0), (json!("door"), json!(1), json!(1), Some(bytes)));
    assert_eq!(counts(1), (json!("gate"), json!(2), json!(3), Some(2 * bytes)));
}

#[tokio::test]
async fn pages_of_devices_continue_to_the_end() {
    let cloud = Cloud::start().await;
    let names = ["door", "gate", "lift", "pump", "roof"];
    for name in names {
        cloud.commit(name, 1, vec![frame([0.1; 4])]).await;
    }
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let list = cloud.get(&format!("/v1/devices?limit=2{after}")).await.json();
        let devices = list["devices"].as_array().unwrap();
        listed.extend(devices.iter().map(|device| device["name"].as_str().unwrap().to_owned()));
        let Some(next) = list["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(listed, names);
}

#[tokio::test]
async fn pages_continue_to_the_end() {
    let cloud = Cloud::start().await;
    cloud.commit("gate", 1, vec![frame([0.1; 4]); 7]).await;
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let list = cloud.get(&format!("/v1/frames?limit=3{after}")).await.json();
        listed.extend(numbers(&list));
        let Some(next) = list["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(listed, [7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_list_is_filtered_by_device_time_and_score() {
    let cloud = Cloud::start().await;
    cloud.commit("gate", 1, vec![frame([0.1; 4]); 5]).await;
    cloud.commit("door", 3, vec![frame([0.1; 4])]).await;
    let head = HeadKey { bundle: "toy".into(), head: "score".into(), version: 1 };
    let score = |(index, id): (usize, &i64)| NewScore {
        id: *id,
        score: Some(index as f64),
        quantile: Some(0.5),
        label: None,
    };
    // The newest frame has score 0.
    let scores: Vec<NewScore> = cloud.ids().await.iter().enumerate().map(score).collect();
    cloud.archive().put_scores(&head, &scores).await.unwrap();
    for (query, expected) in [
        ("device=gate", &[5, 4, 3, 2, 1][..]),
        ("device=door", &[3]),
        ("device=nobody", &[]),
        ("from=2026-07-01T12:00:04Z", &[5, 4]),
        ("from=2026-07-01T14:00:04%2B02:00", &[5, 4]),
        ("from=2026-07-01T14:00:04+02:00", &[5, 4]),
        ("to=1782907202000", &[1]),
        ("device=gate&from=1782907202000&to=2026-07-01T12:00:04Z", &[3, 2]),
        ("min_score=4", &[2, 1]),
        ("min_score=4.5&device=gate", &[1]),
    ] {
        assert_eq!(numbers(&cloud.get(&format!("/v1/frames?{query}")).await.json()), expected, "{query}");
    }
}

#[tokio::test]
async fn an_invalid_query_is_refused_with_the_reason() {
    let cloud = Cloud::start().await;
    for (path, reason) in [
        ("/v1/frames?from=yesterday", "RFC 3339"),
        ("/v1/frames?limit=0", "1 to 1000"),
        ("/v1/frames?limit=1001", "1 to 1000"),
        ("/v1/frames?after=7", "not a valid cursor"),
        ("/v1/devices?after=7", "not a valid cursor"),
        ("/v1/devices?limit=0", "1 to 1000"),
        ("/v1/audit?after=7", "not a valid cursor"),
        ("/v1/audit?limit=1001", "1 to 1000"),
        ("/v1/frames?min_score=NaN", "finite"),
        ("/v1/frames?damaged=perhaps", "perhaps"),
        ("/v1/frames?devise=a", "devise"),
        ("/v1/frames/seven", "seven"),
        ("/v1/frames/7?raw=perhaps", "perhaps"),
        ("/v1/live?min_score=1", "--archive-scores"),
        ("/v1/export?format=xlsx", "xlsx"),
        ("/v1/export?limit=7", "limit"),
    ] {
        let response = cloud.get(path).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(response.error().contains(reason), "{path}: {}", response.error());
    }
    let request = Request::get("/v1/live").header("last-event-id", "x");
    assert!(cloud.send(request).await.error().contains("Last-Event-ID"));
}

#[tokio::test]
async fn a_frame_is_returned_as_json_and_as_bytes() {
    let cloud = Cloud::start().await;
    let frames = [frame([0.1, 0.2, 0.3, 1.0]), nameless_frame([0.1; 4])];
    cloud.commit("gate", 1, frames.to_vec()).await;
    let ids = cloud.ids().await;
    let document = cloud.get(&format!("/v1/frames/{}", ids[1])).await.json();
    let received = document["received"].as_str().unwrap();
    assert!(received.len() == "2026-07-01T12:00:01.000Z".len() && received.ends_with('Z'), "{received}");
    let mut expected = json!({
        "id": ids[1],
        "device": "gate",
        "epoch": "00000000000000e0",
        "class": "high",
        "number": 1,
        "captured": "2026-07-01T12:00:01.000Z",
        "corrected": "2026-07-01T12:00:01.000Z",
        "clock": "unknown",
        "received": received,
        "source": "gate camera",
        "latent_space": bundle::space().to_string(),
        "bytes": frames[0].len(),
        "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "damaged": false,
        "location": null,
        "score": null,
    });
    let list = cloud.get("/v1/frames").await.json();
    assert_eq!(list["frames"][1], expected);
    expected["frame"] = BASE64_STANDARD.encode(&frames[0]).into();
    assert_eq!(document, expected);
    assert_eq!(list["frames"][0]["latent_space"], Value::Null);
    let octets = Request::get(format!("/v1/frames/{}", ids[1])).header("accept", "application/octet-stream");
    assert_eq!(cloud.send(octets).await.body, frames[0]);
    let json = cloud.get(&format!("/v1/frames/{}?raw=false", ids[1])).await;
    assert_eq!(json.json(), document);
    let raw = cloud.get(&format!("/v1/frames/{}?raw", ids[0])).await;
    assert_eq!((raw.header("content-type"), &raw.body), ("application/octet-stream", &frames[1]));
}

#[tokio::test]
async fn a_deleted_frame_is_gone() {
    let cloud = Cloud::start().await;
    cloud.commit("gate", 1, vec![frame([0.1; 4])]).await;
    let path = format!("/v1/frames/{}", cloud.ids().await[0]);
    let decoded = format!("{path}/reconstruct");
    assert_eq!(cloud.get(&decoded).await.status, StatusCode::OK);
    assert_eq!(cloud.send(Request::delete(&path)).await.status, StatusCode::NO_CONTENT);
    for request in [Request::delete(&path), Request::get(&path), Request::get(&decoded)] {
        let response = cloud.send(request).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND);
        assert!(response.error().contains("does not contain frame"), "{}", response.error());
    }
}

#[tokio::test]
async fn without_an_archive_every_route_names_the_option() {
    let cloud = Cloud::start_with(ServerOptions { archive: false, scores: true }).await;
    let paths =
        ["audit", "devices", "frames", "frames/7", "frames/7/score", "live", "export", "frames?limit=0"];
    let gets = paths.map(|path| Request::get(format!("/v1/{path}")));
    for request in gets.into_iter().chain([Request::delete("/v1/frames/7")]) {
        let path = request.uri_ref().unwrap().to_string();
        let response = cloud.send(request).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{path}");
        assert!(response.error().contains("--archive"), "{path}: {}", response.error());
    }
}
