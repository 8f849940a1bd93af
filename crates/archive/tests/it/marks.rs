//! What devices found out about inputs is found with their frames, and is deleted with them.

use std::time::Duration;

use lopside_archive::{Archive, Batch, FrameQuery, HeadKey, NewScore, Settings};
use lopside_delivery::{FrameMarks, GeoPoint};

use crate::{batch, frames, frames_of, open};

const DAMAGED: FrameMarks = FrameMarks { is_damaged: true, location: None };

/// Returns a batch of a device whose records with these numbers are of damaged inputs.
fn damaged_batch(device: &str, first: u64, last: u64, is_damaged: impl Fn(u64) -> bool) -> Batch {
    let mut batch = batch(device, first, last);
    for (record, number) in batch.records.iter_mut().zip(first..) {
        if is_damaged(number) {
            record.marks = DAMAGED;
        }
    }
    batch
}

pub(crate) async fn marks_come_back_as_they_were_sent(url: &str) {
    let archive = open(url).await;
    let all = [
        FrameMarks::default(),
        DAMAGED,
        FrameMarks { is_damaged: false, location: GeoPoint::from_degrees(0.0, 0.0, None) },
        FrameMarks { is_damaged: true, location: GeoPoint::from_degrees(-90.0, 180.0, Some(-11_000.0)) },
    ];
    let mut batch = batch("gate", 1, all.len() as u64);
    for (record, marks) in batch.records.iter_mut().zip(all) {
        record.marks = marks;
    }
    let mut feed = archive.subscribe();
    archive.apply(batch).await.unwrap();
    let mut listed = frames(&archive).await;
    listed.reverse();
    for (frame, marks) in listed.iter().zip(all) {
        assert_eq!(frame.marks, marks);
        assert_eq!(archive.read_frame(frame.id).await.unwrap().unwrap().meta, *frame);
        assert_eq!(*feed.recv().await.unwrap(), *frame);
    }
    let since = archive.frames_since(0, None, 9).await.unwrap();
    assert_eq!(since.frames, listed);
}

pub(crate) async fn few_and_many_damaged_frames_are_found(url: &str) {
    let archive = open(url).await;
    archive.apply(damaged_batch("gate", 1, 600, |number| number % 200 == 0)).await.unwrap();
    archive.apply(damaged_batch("door", 1, 3, |number| number == 2)).await.unwrap();
    let ids: Vec<(i64, u64)> = frames(&archive).await.iter().map(|frame| (frame.id, frame.number)).collect();
    let head = HeadKey { bundle: "fashion".into(), head: "anomaly".into(), version: 1 };
    let score = |(id, number): (i64, u64)| {
        let score = Some(number as f64);
        NewScore { id, score, quantile: None, label: None }
    };
    archive.put_scores(&head, &ids.into_iter().map(score).collect::<Vec<_>>()).await.unwrap();
    check_lists(&archive, &[600, 400, 200, 2]).await;
    // More damaged frames than are sorted.
    archive.apply(damaged_batch("pump", 1, 21_000, |_| true)).await.unwrap();
    let query = |device: &str| FrameQuery {
        device: Some(device.into()),
        damaged: Some(true),
        limit: 2,
        ..FrameQuery::default()
    };
    let numbers = async |query: FrameQuery| {
        frames_of(&archive, query).await.iter().map(|frame| frame.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(query("gate")).await, [600, 400, 200]);
    assert_eq!(numbers(FrameQuery { min_score: Some(400.0), ..query("gate") }).await, [600, 400]);
    let all = FrameQuery { damaged: Some(true), limit: 1000, ..FrameQuery::default() };
    assert_eq!(numbers(all).await.len(), 21_004);
}

/// Checks the lists by damage, score and device; `damaged` are the numbers of all damaged frames.
async fn check_lists(archive: &Archive, damaged: &[u64]) {
    let list = async |device: Option<&str>, is_damaged, min_score| {
        let query = FrameQuery {
            device: device.map(Into::into),
            damaged: Some(is_damaged),
            min_score,
            limit: 3,
            ..FrameQuery::default()
        };
        frames_of(archive, query).await.iter().map(|frame| frame.number).collect::<Vec<_>>()
    };
    assert_eq!(list(None, true, None).await, damaged);
    assert_eq!(list(Some("gate"), true, None).await, damaged[..3]);
    assert_eq!(list(Some("door"), true, None).await, [2]);
    assert_eq!(list(None, true, Some(300.0)).await, damaged[..2]);
    assert_eq!(list(Some("gate"), true, Some(500.0)).await, [600]);
    assert_eq!(list(Some("door"), false, None).await, [3, 1]);
    assert_eq!(list(None, false, Some(599.0)).await, [599]);
    assert_eq!(list(None, false, None).await.len(), 603 - damaged.len());
}

pub(crate) async fn marks_are_counted_and_deleted_with_their_frames(url: &str) {
    let settings = Settings { max_age: Some(Duration::from_secs(1)), ..Settings::default() };
    let archive = Archive::open(url, settings).await.unwrap();
    let stored_bytes = async || {
        let devices = archive.devices().await.unwrap();
        devices.iter().map(|device| device.stored_bytes).collect::<Vec<_>>()
    };
    archive.apply(batch("door", 1, 10)).await.unwrap();
    archive.apply(damaged_batch("gate", 1, 10, |number| number <= 4)).await.unwrap();
    let [door, gate] = stored_bytes().await[..] else { panic!("two devices") };
    assert!(gate > door, "{gate} bytes with marks, {door} without");
    let mark = (gate - door) / 4;
    let query = FrameQuery { damaged: Some(true), limit: 9, ..FrameQuery::default() };
    let damaged = frames_of(&archive, query.clone()).await;
    assert!(archive.delete(damaged[0].id).await.unwrap());
    let undamaged = frames(&archive).await.into_iter().find(|frame| &*frame.device == "door").unwrap();
    assert!(archive.delete(undamaged.id).await.unwrap());
    let [door, gate] = stored_bytes().await[..] else { panic!("two devices") };
    assert_eq!(gate, door + 3 * mark);
    assert_eq!(frames_of(&archive, query).await.len(), 3);
    assert_eq!(archive.sweep(i64::MAX / 2).await.unwrap().expired.frames, 18);
    assert_eq!(stored_bytes().await, [0, 0]);
}
