//! The stream of frames as they are archived.

use axum::http::Request;

use super::{bundle::frame, support::Cloud};

#[tokio::test]
async fn what_is_committed_is_told_of_all_devices_or_of_one() {
    let cloud = Cloud::start().await;
    cloud.commit("gate", 1, vec![frame([0.1; 4])]).await;
    let mut all = cloud.events(Request::get("/v1/live")).await;
    let mut door = cloud.events(Request::get("/v1/live?device=door")).await;
    cloud.commit("gate", 2, vec![frame([0.1; 4])]).await;
    cloud.commit("door", 1, vec![frame([0.1; 4])]).await;
    let listed = cloud.get("/v1/frames").await.json();
    let told = [all.next().await.unwrap(), all.next().await.unwrap(), door.next().await.unwrap()];
    for (event, place) in told.into_iter().zip([0, 1, 1]) {
        let expected = &listed["frames"][place];
        assert_eq!((event.name.as_str(), &event.data), ("frame", expected));
        assert_eq!(event.id, expected["id"].as_i64());
    }
}

#[tokio::test]
async fn a_stop_ends_the_streams_and_is_not_held_up_by_them() {
    let mut cloud = Cloud::start().await;
    let mut events = cloud.events(Request::get("/v1/live")).await;
    cloud.stop.take().unwrap().send(()).unwrap();
    assert!(events.next().await.is_none());
    (&mut cloud.ended).await.unwrap();
}

#[tokio::test]
async fn who_comes_again_is_told_what_came_since() {
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
async fn a_reader_who_falls_behind_is_told_how_many_it_has_missed() {
    const FRAMES: u64 = 5000;
    let cloud = Cloud::start().await;
    let mut events = cloud.events(Request::get("/v1/live")).await;
    cloud.commit("gate", 1, vec![frame([0.1; 4]); FRAMES as usize]).await;
    let (mut told, mut missed, mut last) = (0, 0, 0);
    while told + missed < FRAMES {
        let event = events.next().await.unwrap();
        if event.name == "missed" {
            missed += event.data["frames"].as_u64().unwrap();
        } else {
            let number = event.data["number"].as_u64().unwrap();
            assert!(number > last);
            (told, last) = (told + 1, number);
        }
    }
    assert_eq!((told + missed, last), (FRAMES, FRAMES));
}
