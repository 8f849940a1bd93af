//! Times of capture come from clocks of devices, which may be wrong.

use lopside_archive::{Archive, Batch, ClockQuality, DeviceClock, FrameMeta, FrameQuery, NewConnection};

use crate::{START_US, batch, frames, open};

const SECOND_US: i64 = 1_000_000;
const HOUR_MS: i64 = 3_600_000;

/// Returns a batch of a device whose clock has an offset.
fn with_offset(device: &str, offset_ms: i64, first: u64, last: u64) -> Batch {
    let clock = DeviceClock { offset_ms: Some(offset_ms), quality: ClockQuality::Synchronised };
    Batch { clock, ..batch(device, first, last) }
}

/// Returns the devices and numbers of listed frames.
fn names(frames: &[FrameMeta]) -> Vec<(&str, u64)> {
    frames.iter().map(|frame| (&*frame.device, frame.number)).collect()
}

async fn list(archive: &Archive, from_us: Option<i64>, to_us: Option<i64>) -> Vec<FrameMeta> {
    let query = FrameQuery { from_us, to_us, limit: 100, ..FrameQuery::default() };
    archive.list_frames(&query).await.unwrap().frames
}

pub(crate) async fn times_of_capture_are_corrected_by_the_offset(url: &str) {
    let archive = open(url).await;
    let mut feed = archive.subscribe();
    // The clock of the gate is an hour slow, that of the lift 10 s fast, and that of the door hardly differs.
    archive.apply(with_offset("gate", HOUR_MS, 1, 2)).await.unwrap();
    archive.apply(with_offset("lift", -10_000, 11, 12)).await.unwrap();
    archive.apply(with_offset("door", 1999, 1, 3)).await.unwrap();
    let listed = frames(&archive).await;
    assert_eq!(
        names(&listed),
        [("gate", 2), ("gate", 1), ("door", 3), ("door", 2), ("lift", 12), ("door", 1), ("lift", 11)],
        "of frames with the same time, the one archived last comes first"
    );
    for frame in &listed {
        let captured_us = START_US + frame.number as i64 * SECOND_US;
        let correction_us = match &*frame.device {
            "gate" => HOUR_MS * 1000,
            "lift" => -10 * SECOND_US,
            _ => 0,
        };
        assert_eq!((frame.captured_us, frame.corrected_us), (captured_us, captured_us + correction_us));
        assert_eq!(frame.clock, ClockQuality::Synchronised);
        assert_eq!(archive.read_frame(frame.id).await.unwrap().unwrap().meta, *frame);
    }
    let mut published = Vec::new();
    for _ in &listed {
        published.push(FrameMeta::clone(&feed.recv().await.unwrap()));
    }
    let mut by_id = listed.clone();
    by_id.sort_by_key(|frame| frame.id);
    assert_eq!(published, by_id);

    let time = |seconds: i64| Some(START_US + seconds * SECOND_US);
    assert_eq!(names(&list(&archive, time(2), time(3)).await), [("door", 2), ("lift", 12)]);
    assert_eq!(names(&list(&archive, time(60), None).await), [("gate", 2), ("gate", 1)]);
    let query =
        FrameQuery { device: Some("gate".into()), to_us: time(60), limit: 9, ..FrameQuery::default() };
    assert_eq!(archive.list_frames(&query).await.unwrap().frames, []);
}

pub(crate) async fn impossible_times_are_listed_by_the_arrival(url: &str) {
    let archive = open(url).await;
    archive.apply(batch("door", 1, 2)).await.unwrap();
    let start_us = frames(&archive).await[0].received_us;
    // A device without a battery has captured frames before a time server set its clock.
    let mut waiting = with_offset("gate", 0, 1, 3);
    waiting.records[0].captured_us = 60 * SECOND_US;
    waiting.records[1].captured_us = 253_370_764_800 * SECOND_US;
    archive.apply(waiting).await.unwrap();
    let listed = frames(&archive).await;
    assert_eq!(names(&listed), [("gate", 2), ("gate", 1), ("gate", 3), ("door", 2), ("door", 1)]);
    for frame in &listed[..2] {
        assert_eq!((frame.clock, frame.corrected_us), (ClockQuality::Impossible, frame.received_us));
    }
    assert_eq!(listed[1].captured_us, 60 * SECOND_US, "the stated time is kept");
    assert_eq!((listed[2].clock, listed[3].clock), (ClockQuality::Synchronised, ClockQuality::Unknown));
    assert_eq!(names(&list(&archive, Some(start_us - SECOND_US), None).await), [("gate", 2), ("gate", 1)]);
    assert_eq!(list(&archive, None, Some(120 * SECOND_US)).await, []);
}

pub(crate) async fn times_with_microseconds_come_back(url: &str) {
    let archive = open(url).await;
    let mut batch = with_offset("gate", HOUR_MS, 1, 4);
    for (record, captured_us) in
        batch.records.iter_mut().zip([START_US + 1, START_US + 999, i64::MAX, i64::MIN])
    {
        record.captured_us = captured_us;
    }
    archive.apply(batch).await.unwrap();
    let mut captured: Vec<i64> = frames(&archive).await.iter().map(|frame| frame.captured_us).collect();
    captured.sort_unstable();
    assert_eq!(captured, [i64::MIN, START_US + 1, START_US + 999, i64::MAX]);
}

pub(crate) async fn a_device_shows_the_clock_of_its_last_connection(url: &str) {
    let archive = open(url).await;
    let clock = async || archive.devices().await.unwrap()[0].clock;
    archive.apply(batch("gate", 1, 1)).await.unwrap();
    assert_eq!(clock().await, DeviceClock::default());
    for (offset_ms, quality) in [
        (Some(-HOUR_MS), ClockQuality::Unsynchronised),
        (Some(3), ClockQuality::Synchronised),
        (Some(i64::MAX), ClockQuality::Unknown),
        (None, ClockQuality::Unknown),
    ] {
        let connected = DeviceClock { offset_ms, quality };
        let connection = NewConnection { clock: connected, ..NewConnection::new("gate") };
        archive.register_connection(connection).await.unwrap();
        assert_eq!(clock().await, connected);
        archive.apply(with_offset("gate", 77_000, 1, 2)).await.unwrap();
        assert_eq!(clock().await, connected, "frames do not change it");
    }
}
