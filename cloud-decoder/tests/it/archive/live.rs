//! The stream of frames as they are archived.

use axum::http::Request;

use super::{bundle::frame, support::Cloud};

#[tokio::test]
async fn committed_frames_are_streamed_for_all_devices_or_for_one() {
    let cloud = Cloud::start().await;
    cloud.commit("gate", 1, vec![frame([0.1; 4])]).await;
    let mut all_devices = cloud.events(Request::get("/v1/live")).await;
    let mut door = cloud.events(Request::get("/v1/live?device=door")).await;
    cloud.commit("gate", 2, vec![frame([0.1; 4])]).await;
    cloud.commit("door", 1, vec![frame([0.1; 4])]).await;
    let listed = cloud.get("/v1/frames").await.json();
    let events =
        [all_devices.next().await.unwrap(), all_devices.next().await.unwrap(), door.next().await.unwrap()];
    for (event, index) in events.into_iter().zip([0, 1, 1]) {
        let expected = &listed["frames"][index];
        assert_eq!((event.name.as_str(), &event.data), ("frame", expected));
        assert_eq!(event.id, expected["id"].as_i64());
    }
}

#[tokio::test]
async fn a_stop_ends_the_streams_without_delay() {
    let mut cloud = Cloud::start().await;
    let mut events = cloud.events(Request::get("/v1/live")).await;
    cloud.stop.take().unwrap().send(()).unwrap();
    assert!(events.next().await.is_none());
    (&mut cloud.task).await.unwrap();
}

#[tokio::test]
async fn a_client_that_reconnects_receives_the_frames_since() {
    let cloud = Cloud::start().await;
    cloud.commit("gate", 1, vec![frame([0.1; 4]); 3]).await;
    let mut ids = cloud.ids().await;
    ids.sort_unstable();
    let request = || Request::get("/v1/live").header("last-event-id", ids[0]);
    let mut events = cloud.events(request()).await;
    cloud.commit("gate", 4, vec![frame([0.1; 4])]).await;
    for number in 2..=4 {
        assert_eq!(events.next().await.unwrap().data["number"], number);
    }
    // More frames than a client receives after a reconnect.
    cloud.commit("gate", 5, vec![frame([0.1; 4]); 1005]).await;
    let mut events = cloud.events(request()).await;
    for number in 2..=1001 {
        assert_eq!(events.next().await.unwrap().data["number"], number);
    }
    let missed = events.next().await.unwrap();
    assert_eq!((missed.name.as_str(), missed.id, &missed.data["frames"]), ("missed", None, &8.into()));
}

#[tokio::test]
async fn a_slow_client_receives_the_number_of_missed_frames() {
    const FRAMES: u64 = 5000;
    let cloud = Cloud::start().await;
    let mut events = cloud.events(Request::get("/v1/live")).await;
    cloud.commit("gate", 1, vec![frame([0.1; 4]); FRAMES as usize]).await;
    let (mut received, mut missed, mut last) = (0, 0, 0);
    while received + missed < FRAMES {
        let event = events.next().await.unwrap();
        if event.name == "missed" {
            missed += event.data["frames"].as_u64().unwrap();
        } else {
            let number = event.data["number"].as_u64().unwrap();
            assert!(number > last);
            (received, last) = (received + 1, number);
        }
    }
    assert_eq!((received + missed, last), (FRAMES, FRAMES));
}
