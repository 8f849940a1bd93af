//! Frames are found, and are returned unchanged.

use std::sync::Arc;

use lopside_archive::{
    Archive, ArchiveSummary, Batch, ClockQuality, FrameMeta, FrameQuery, HeadKey, NewRecord, NewScore,
};
use lopside_delivery::{Class, FrameMarks, GeoPoint};

use crate::{START_US, batch, frames, open, record};

pub(crate) async fn a_frame_comes_back_as_it_was_sent(url: &str) {
    let archive = open(url).await;
    let sent = NewRecord {
        captured_us: -5,
        source: "line 2 / Kamera \u{1f4f7}".into(),
        digest: u32::MAX,
        latent_space: [0xff, 0, 1, 2, 3, 4, 5, 6],
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        marks: FrameMarks { is_damaged: true, location: GeoPoint::from_degrees(-33.8, 151.2, Some(-4.5)) },
        frame: (0..=255).collect::<Vec<u8>>().into(),
    };
    let plain = NewRecord { trace: None, frame: Vec::<u8>::new().into(), ..record(0) };
    let name = ("gate-7", u64::MAX, Class::High, i64::MAX as u64 - 2);
    archive
        .apply(Batch {
            records: vec![sent.clone(), plain.clone()],
            ..Batch::new(name.0, name.1, name.2, name.3)
        })
        .await
        .unwrap();
    let listed = frames(&archive).await;
    // The first frame is listed by its arrival, because nothing was captured before 1970.
    for (meta, sent, number) in [(&listed[0], sent, name.3), (&listed[1], plain, name.3 + 1)] {
        let is_impossible = sent.captured_us < 0;
        let clock = if is_impossible { ClockQuality::Impossible } else { ClockQuality::Unknown };
        let frame = archive.read_frame(meta.id).await.unwrap().unwrap();
        assert_eq!(frame.bytes, sent.frame);
        assert!(frame.meta.received_us > START_US - 365 * 86_400_000_000);
        assert_eq!(frame.meta, *meta);
        let expected = FrameMeta {
            id: meta.id,
            device: name.0.into(),
            epoch: name.1,
            class: name.2,
            number,
            captured_us: sent.captured_us,
            corrected_us: if is_impossible { meta.received_us } else { sent.captured_us },
            clock,
            received_us: meta.received_us,
            source: sent.source,
            digest: sent.digest,
            latent_space: sent.latent_space,
            trace: sent.trace,
            marks: sent.marks,
            bytes: sent.frame.len() as u64,
            score: None,
        };
        assert_eq!(*meta, expected);
    }
    assert_eq!(archive.read_frame(listed[1].id + 1).await.unwrap(), None);
}

pub(crate) async fn pages_list_all_frames_newest_first(url: &str) {
    let archive = open(url).await;
    // Groups of four frames have the same capture time.
    for device in ["a", "b", "c", "d"] {
        archive.apply(batch(device, 1, 25)).await.unwrap();
    }
    let mut query = FrameQuery { limit: 7, ..FrameQuery::default() };
    let mut listed = Vec::new();
    loop {
        let page = archive.list_frames(&query).await.unwrap();
        listed.extend(page.frames.iter().map(|frame| (frame.captured_us, frame.id)));
        let Some(next) = page.next else { break };
        assert_eq!(page.frames.len(), 7);
        query.after = Some(next.to_string().parse().unwrap());
        // Newer frames that arrive meanwhile do not shift the pages.
        archive.apply(batch("late", 100 + listed.len() as u64, 100 + listed.len() as u64)).await.unwrap();
    }
    assert_eq!(listed.len(), 100);
    assert!(listed.is_sorted_by(|a, b| a > b), "{listed:?}");
}

pub(crate) async fn a_list_is_limited_to_a_device_and_a_time_range(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 9)).await.unwrap();
    archive.apply(batch("door", 5, 6)).await.unwrap();
    let time = |number: i64| Some(START_US + number * 1_000_000);
    let list = async |device: Option<&str>, from_us, to_us| {
        let query = FrameQuery {
            device: device.map(Into::into),
            from_us,
            to_us,
            limit: 100,
            ..FrameQuery::default()
        };
        let page = archive.list_frames(&query).await.unwrap();
        page.frames.into_iter().map(|frame| (frame.device, frame.number)).collect::<Vec<_>>()
    };
    let expected = |device: &str, numbers: &[u64]| {
        numbers.iter().map(|number| (Arc::<str>::from(device), *number)).collect::<Vec<_>>()
    };
    assert_eq!(list(Some("gate"), time(4), time(7)).await, expected("gate", &[6, 5, 4]));
    assert_eq!(list(Some("door"), None, None).await, expected("door", &[6, 5]));
    assert_eq!(list(None, time(9), None).await, expected("gate", &[9]));
    assert_eq!(list(None, None, time(3)).await, expected("gate", &[2, 1]));
    assert_eq!(list(Some("nobody"), None, None).await, []);
}

/// Archives the frames 1 to `last` of a device and scores them in the order of their ids.
async fn scored(archive: &Archive, device: &str, last: u64) {
    archive.apply(batch(device, 1, last)).await.unwrap();
    let head = HeadKey { bundle: "fashion".into(), head: "anomaly".into(), version: 1 };
    let unscored = archive.unscored_frames(&head, &[*b"space-01"], 10_000).await.unwrap();
    let first = unscored.iter().map(|frame| frame.id).min().unwrap();
    let scores = unscored.iter().map(|frame| NewScore {
        id: frame.id,
        score: Some((frame.id - first + 1) as f64),
        quantile: None,
        label: None,
    });
    archive.put_scores(&head, &scores.collect::<Vec<_>>()).await.unwrap();
}

pub(crate) async fn few_and_many_frames_with_a_high_score_are_found(url: &str) {
    let archive = open(url).await;
    scored(&archive, "gate", 3000).await;
    scored(&archive, "door", 40).await;
    archive.apply(batch("unscored", 1, 5)).await.unwrap();
    let list = async |device: Option<&str>, min_score: f64, limit: u32| {
        let device = device.map(Into::into);
        let query = FrameQuery { device, min_score: Some(min_score), limit, ..FrameQuery::default() };
        let page = archive.list_frames(&query).await.unwrap();
        assert!(page.frames.iter().all(|frame| frame.score.as_ref().unwrap().score >= min_score));
        page.frames.into_iter().map(|frame| frame.number).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 2996.0, 3).await, [3000, 2999, 2998], "few");
    assert_eq!(list(None, 2999.5, 3).await, [3000]);
    assert_eq!(list(Some("door"), 39.0, 3).await, [40, 39]);
    assert_eq!(list(None, 10.0, 3).await, [3000, 2999, 2998], "many");
    assert_eq!(list(Some("gate"), 10.0, 1000).await.len(), 1000);
    assert_eq!(list(None, 4000.0, 3).await, [0; 0]);
}

pub(crate) async fn the_bytes_of_several_frames_are_read_together(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 1, 9)).await.unwrap();
    let listed = frames(&archive).await;
    let mut ids: Vec<i64> =
        listed.iter().filter(|frame| frame.number % 2 == 1).map(|frame| frame.id).collect();
    archive.delete(ids[0]).await.unwrap();
    let mut found = archive.read_frame_bytes(&ids).await.unwrap();
    found.sort_unstable();
    ids.remove(0);
    ids.sort_unstable();
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    let bytes: Vec<_> = found.into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(bytes, [1, 3, 5, 7].map(|number| record(number).frame));
    assert_eq!(archive.read_frame_bytes(&[]).await.unwrap(), []);
}

pub(crate) async fn later_frames_are_listed_in_order_of_arrival(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 5, 9)).await.unwrap();
    archive.apply(batch("door", 1, 4)).await.unwrap();
    let mut ids: Vec<i64> = frames(&archive).await.iter().map(|frame| frame.id).collect();
    ids.sort_unstable();
    let list = async |after: i64, device: Option<&str>, limit: u32| {
        let page = archive.frames_since(after, device, limit).await.unwrap();
        (page.frames.iter().map(|frame| frame.id).collect::<Vec<_>>(), page.remaining)
    };
    assert_eq!(list(0, None, 100).await, (ids.clone(), 0));
    assert_eq!(list(ids[2], None, 3).await, (ids[3..6].to_vec(), 3));
    assert_eq!(list(ids[1], Some("gate"), 3).await, (ids[2..5].to_vec(), 0));
    assert_eq!(list(ids[1], Some("door"), 1).await, (ids[5..6].to_vec(), 3));
    assert_eq!(list(ids[8], None, 3).await, (vec![], 0));
    assert_eq!(list(0, Some("nobody"), 3).await, (vec![], 0));
}

pub(crate) async fn a_list_of_no_later_frames_counts_all_of_them(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("gate", 5, 9)).await.unwrap();
    archive.apply(batch("door", 1, 4)).await.unwrap();
    let last = frames(&archive).await.iter().map(|frame| frame.id).max().unwrap();
    for (after, device, expected) in
        [(0, None, 9), (0, Some("gate"), 5), (last - 1, None, 1), (last, None, 0), (0, Some("nobody"), 0)]
    {
        let page = archive.frames_since(after, device, 0).await.unwrap();
        assert_eq!((page.frames.len(), page.remaining), (0, expected), "{after} {device:?}");
    }
}

pub(crate) async fn devices_are_listed_in_pages(url: &str) {
    let archive = open(url).await;
    let names = ["a", "b", "gate-1", "gate-2", "z~"];
    for device in names {
        archive.apply(batch(device, 1, 2)).await.unwrap();
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = archive.list_devices(2, after.as_ref()).await.unwrap();
        listed.extend(page.devices);
        let Some(next) = page.next else { break };
        after = Some(next.to_string().parse().unwrap());
        // A device that is added before the position does not move others to another page.
        archive.apply(batch(&format!("A{}", listed.len()), 1, 1)).await.unwrap();
    }
    assert_eq!(listed.iter().map(|device| &device.name[..]).collect::<Vec<_>>(), names);
    let all = archive.devices().await.unwrap();
    assert_eq!(archive.list_devices(1000, None).await.unwrap().devices, all);
    assert_eq!(archive.list_devices(0, None).await.unwrap().devices, all[..1]);
}

pub(crate) async fn the_summary_has_the_sums_over_all_devices(url: &str) {
    let archive = open(url).await;
    let disk_bytes = archive.size_bytes().await.unwrap();
    let empty = ArchiveSummary { disk_bytes, ..ArchiveSummary::default() };
    assert_eq!(archive.summary(i64::MAX).await.unwrap(), empty);
    archive.apply(batch("gate", 1, 3)).await.unwrap();
    archive.apply(batch("door", 1, 1)).await.unwrap();
    let mut conflicting = batch("gate", 3, 3);
    conflicting.records[0].digest ^= 1;
    archive.apply(conflicting).await.unwrap_err();
    let newest_received_us = frames(&archive).await.iter().map(|frame| frame.received_us).max();
    let expected = ArchiveSummary {
        devices: 2,
        frames: 4,
        bytes: 40,
        disk_bytes: archive.size_bytes().await.unwrap(),
        conflicting: 1,
        newest_received_us,
        ..ArchiveSummary::default()
    };
    assert_eq!(archive.summary(0).await.unwrap(), expected);
    assert_eq!(archive.summary(i64::MAX).await.unwrap(), ArchiveSummary { silent: 2, ..expected });
}
