//! Many callers, several servers, and subscribers.

use std::sync::Arc;

use lopside_archive::{Archive, ArchiveError, Batch, Settings};
use tokio::{sync::broadcast::error::RecvError, task::JoinSet};

use crate::{batch, frames, known, numbers, open};

pub(crate) async fn many_callers_share_commits(url: &str) {
    let archive = open(url).await;
    let mut calls = JoinSet::new();
    for device in 0..40 {
        for part in 0..5 {
            let archive = archive.clone();
            // Parts 0 and 1 of a device begin at the same number, and so do parts 2 and 3.
            let batch = batch(&format!("device-{device}"), 1 + 10 * (part / 2), 10 + 10 * (part / 2));
            calls.spawn(async move { archive.apply(batch).await.unwrap() });
        }
    }
    let outcomes = calls.join_all().await;
    assert_eq!(outcomes.iter().map(|outcome| outcome.applied).sum::<u64>(), 40 * 30);
    assert_eq!(outcomes.iter().map(|outcome| outcome.replayed).sum::<u64>(), 40 * 20);
    let devices = archive.devices().await.unwrap();
    assert_eq!(devices.len(), 40);
    assert!(devices.iter().all(|device| (device.frames, device.bytes) == (30, 300)), "{devices:?}");
    assert_eq!(frames(&archive).await.len(), 1200);
}

pub(crate) async fn a_stream_with_too_many_gaps_is_refused_alone(url: &str) {
    let archive = open(url).await;
    let mut calls = JoinSet::new();
    for number in 1..=4096 {
        let archive = archive.clone();
        calls.spawn(async move { archive.apply(batch("gaps", 2 * number, 2 * number)).await.unwrap() });
    }
    calls.join_all().await;
    let further = batch("gaps", 10_000, 10_000);
    let (refused, other) = tokio::join!(archive.apply(further.clone()), archive.apply(batch("gate", 1, 2)));
    let error = refused.unwrap_err();
    assert!(matches!(&error, ArchiveError::Refused { device, .. } if device == "gaps"), "{error}");
    assert!(error.to_string().contains("raise the floor"), "{error}");
    assert_eq!(other.unwrap().applied, 2);
    let raised = Batch { floor: 9999, ..further };
    assert_eq!(archive.apply(raised).await.unwrap().applied, 1);
    assert_eq!(known(&archive, "gaps", 0, 9999).await, [(1, vec![9999..=10_000])]);
}

pub(crate) async fn two_servers_apply_each_record_once(url: &str) {
    let servers = [open(url).await, open(url).await];
    let mut calls = JoinSet::new();
    for part in 0..20 {
        for server in &servers {
            for device in ["gate", "door", "lift"] {
                let server = server.clone();
                let batch = batch(device, 1 + 5 * part, 10 + 5 * part);
                calls.spawn(async move { server.apply(batch).await.unwrap().applied });
            }
        }
    }
    assert_eq!(calls.join_all().await.iter().sum::<u64>(), 3 * 105);
    for device in servers[0].devices().await.unwrap() {
        assert_eq!((device.applied, device.frames, device.bytes), (105, 105, 1050), "{}", device.name);
    }
    let expected: Vec<u64> = (1..=105).flat_map(|number| [number; 3]).collect();
    assert_eq!(numbers(&servers[1]).await, expected);
}

pub(crate) async fn subscribers_receive_the_committed_frames(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 2)).await.unwrap();
    let mut feed = archive.subscribe();
    archive.apply(batch("gate", 2, 4)).await.unwrap();
    let received = [feed.recv().await.unwrap(), feed.recv().await.unwrap()];
    let listed = frames(&archive).await;
    assert_eq!(
        [&*received[1], &*received[0]],
        [&listed[0], &listed[1]],
        "the feed has the listed frames, without the replay"
    );
    assert!(Arc::ptr_eq(&received[0].device, &received[1].device), "the frames of a batch share the name");
}

pub(crate) async fn a_slow_subscriber_learns_what_it_missed(url: &str) {
    let archive = Archive::open(url, Settings { feed_capacity: 4, ..Settings::default() }).await.unwrap();
    let mut feed = archive.subscribe();
    archive.apply(batch("gate", 1, 10)).await.unwrap();
    assert_eq!(feed.recv().await.unwrap_err(), RecvError::Lagged(6));
    assert_eq!(feed.recv().await.unwrap().number, 7);
}

pub(crate) async fn a_closed_archive_returns_an_error(url: &str) {
    let archive = open(url).await;
    let clone = archive.clone();
    archive.close().await;
    for error in [
        clone.apply(batch("gate", 1, 1)).await.unwrap_err(),
        clone.devices().await.unwrap_err(),
        clone.health().await.unwrap_err(),
    ] {
        assert!(matches!(error, ArchiveError::Closed), "{error}");
    }
}
