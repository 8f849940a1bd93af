//! Scoring of archived frames in the background.

use axum::http::Request;
use lopside_archive::{Batch, HeadKey, NewRecord};
use lopside_delivery::{Class, FrameMarks};
use serde_json::{Value, json};

use super::{
    bundle::{self, frame},
    support::{Cloud, Events, ServerOptions},
};

const ALL_SCORES: &str = "/v1/live?min_score=-1";

fn head(version: u32) -> HeadKey {
    HeadKey { bundle: "toy".into(), head: "score".into(), version }
}

async fn score(events: &mut Events) -> (u64, Value) {
    let event = events.next().await.unwrap();
    (event.data["number"].as_u64().unwrap(), event.data["score"].clone())
}

#[tokio::test]
async fn frames_are_scored_and_again_by_a_newer_head() {
    let cloud = Cloud::start_with(ServerOptions { archive: true, scores: true }).await;
    let mut events = cloud.events(Request::get(ALL_SCORES)).await;
    let mut unusual = cloud.events(Request::get("/v1/live?min_score=3")).await;
    let expected = |version: u32, score: f64, label: &str| {
        let quantile = score / 4.0;
        json!({
            "bundle": "toy", "head": "score", "version": version,
            "score": score, "quantile": quantile, "label": label,
        })
    };
    cloud.commit("gate", 1, vec![frame([0.0, 0.0, 0.0, 0.5]), frame([0.5, 1.0, 0.0, 0.0])]).await;
    assert_eq!(score(&mut events).await, (1, expected(1, 0.5, "dark")));
    assert_eq!(score(&mut events).await, (2, expected(1, 1.5, "bright")));
    // A new version scores all frames again.
    bundle::replace(&cloud.bundle(), 2);
    assert!(cloud.registry.refresh());
    assert_eq!(score(&mut events).await, (1, expected(2, 1.0, "dark")));
    assert_eq!(score(&mut events).await, (2, expected(2, 3.0, "bright")));
    assert_eq!(score(&mut unusual).await, (2, expected(2, 3.0, "bright")));
    let list = cloud.get("/v1/frames?min_score=2").await.json();
    assert_eq!(list["frames"].as_array().unwrap().len(), 1);
    assert_eq!(list["frames"][0]["score"], expected(2, 3.0, "bright"));
}

#[tokio::test]
async fn unreadable_frames_get_no_score_and_delay_no_others() {
    let cloud = Cloud::start_with(ServerOptions { archive: true, scores: true }).await;
    let mut events = cloud.events(Request::get(ALL_SCORES)).await;
    let broken = |number: u8| {
        let mut broken = frame([0.5; 4]);
        let last = broken.len() - 1;
        broken[last] ^= number;
        broken
    };
    cloud.commit("gate", 1, vec![broken(1), frame([0.1; 4]), broken(2), frame([0.2; 4]), broken(3)]).await;
    let scored = [score(&mut events).await.0, score(&mut events).await.0];
    assert_eq!(scored, [2, 4]);
    let unscored =
        cloud.archive().unscored_frames(&head(1), &[*bundle::space().as_bytes()], 9).await.unwrap();
    assert_eq!(unscored, []);
    let list = cloud.get("/v1/frames").await.json();
    let scores: Vec<bool> =
        list["frames"].as_array().unwrap().iter().map(|frame| frame["score"].is_null()).collect();
    assert_eq!(scores, [true, false, true, false, true]);
}

#[tokio::test]
async fn a_long_backlog_is_scored_to_its_end() {
    let cloud = Cloud::start_with(ServerOptions { archive: true, scores: true }).await;
    let mut events = cloud.events(Request::get(ALL_SCORES)).await;
    cloud.commit("gate", 1, vec![frame([0.1; 4]); 500]).await;
    for number in 1..=500 {
        assert_eq!(score(&mut events).await.0, number);
    }
    let record = NewRecord { latent_space: *b"unknown!", ..unknown() };
    let batch = Batch { records: vec![record], ..Batch::new("gate", 1, Class::Low, 1) };
    // The latent space is not served: the frame waits for a bundle and does not delay others.
    cloud.archive().apply(batch).await.unwrap();
    cloud.commit("gate", 501, vec![frame([0.1; 4])]).await;
    assert_eq!(score(&mut events).await.0, 501);
}

fn unknown() -> NewRecord {
    NewRecord {
        captured_us: 0,
        source: "".into(),
        digest: 0,
        latent_space: [0; 8],
        trace: None,
        marks: FrameMarks::default(),
        frame: vec![1_u8, 2, 3].into(),
    }
}
