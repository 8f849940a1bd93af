//! The list of one device is merged from its runs.

use std::path::Path;

use lopside_archive::{Archive, Batch, FrameMeta, FrameQuery, HeadKey, NewScore, Settings};
use lopside_delivery::{Class, FrameMarks};
use proptest::prelude::*;

use crate::{START_US, batch, frames, frames_of, open};

const SECOND_US: i64 = 1_000_000;
const DEVICES: [&str; 2] = ["gate", "door"];

/// A batch of a device and class: its records, with the milliseconds from the start at which each was captured.
#[derive(Debug, Clone)]
struct BatchStep {
    device: usize,
    class: Class,
    times_ms: Vec<i64>,
}

/// A query, with times in milliseconds from the start.
#[derive(Debug, Clone)]
struct QueryStep {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    min_score: Option<f64>,
    damaged: Option<bool>,
    limit: u32,
}

fn batch_step() -> impl Strategy<Value = BatchStep> {
    // Many frames have the same time, and runs are divided at each quarter of an hour.
    let time_ms = prop_oneof![4 => 0..5_i64, 4 => 0..20_000_i64, 1 => 0..4_000_000_i64];
    let class = prop::sample::select(vec![Class::Normal, Class::High]);
    (0..DEVICES.len(), class, prop::collection::vec(time_ms, 1..20), any::<bool>()).prop_map(
        |(device, class, mut times_ms, is_sorted)| {
            if is_sorted {
                times_ms.sort_unstable();
            }
            BatchStep { device, class, times_ms }
        },
    )
}

fn query_step() -> impl Strategy<Value = QueryStep> {
    let time_ms = || prop::option::of(prop_oneof![0..6_i64, 0..20_000_i64, 0..4_000_000_i64]);
    let min_score = prop::option::of(0..4_u32).prop_map(|score| score.map(f64::from));
    let damaged = prop::option::of(any::<bool>());
    (time_ms(), time_ms(), min_score, damaged, 1..12_u32).prop_map(
        |(from_ms, to_ms, min_score, damaged, limit)| QueryStep { from_ms, to_ms, min_score, damaged, limit },
    )
}

/// Archives the batches, in which every third frame is of a damaged input, scores every second frame, and deletes a few.
async fn fill(archive: &Archive, steps: &[BatchStep]) {
    let mut next = [[1_u64; 2]; DEVICES.len()];
    for BatchStep { device, class, times_ms } in steps {
        let first = &mut next[*device][usize::from(*class == Class::High)];
        let last = *first + times_ms.len() as u64 - 1;
        let mut batch = Batch { class: *class, ..batch(DEVICES[*device], *first, last) };
        for (record, time_ms) in batch.records.iter_mut().zip(times_ms) {
            record.captured_us = START_US + 1000 * time_ms;
            record.marks = FrameMarks { is_damaged: record.digest % 3 == 0, location: None };
        }
        *first = last + 1;
        archive.apply(batch).await.unwrap();
    }
    let ids: Vec<i64> = frames(archive).await.iter().map(|frame| frame.id).collect();
    let head = HeadKey { bundle: "fashion".into(), head: "anomaly".into(), version: 1 };
    let scored = ids.iter().filter(|id| *id % 2 == 0);
    let score = |id: i64| NewScore { id, score: Some((id % 5) as f64), quantile: None, label: None };
    archive.put_scores(&head, &scored.map(|id| score(*id)).collect::<Vec<_>>()).await.unwrap();
    for id in ids.iter().filter(|id| *id % 17 == 0) {
        archive.delete(*id).await.unwrap();
    }
}

fn matches(frame: &FrameMeta, device: &str, query: &FrameQuery) -> bool {
    let has_score = match (query.min_score, &frame.score) {
        (None, _) => true,
        (Some(min_score), Some(score)) => score.score >= min_score,
        (Some(_), None) => false,
    };
    &*frame.device == device
        && query.from_us.is_none_or(|from_us| frame.captured_us >= from_us)
        && query.to_us.is_none_or(|to_us| frame.captured_us < to_us)
        && query.damaged.is_none_or(|damaged| frame.marks.is_damaged == damaged)
        && has_score
}

async fn check(path: &Path, steps: &[BatchStep], queries: Vec<QueryStep>) {
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let archive = Archive::open(&path.display().to_string(), settings).await.unwrap();
    fill(&archive, steps).await;
    let all = frames(&archive).await;
    assert!(all.is_sorted_by(|a, b| (a.captured_us, a.id) > (b.captured_us, b.id)));
    for QueryStep { from_ms, to_ms, min_score, damaged, limit } in queries {
        for device in DEVICES {
            let query = FrameQuery {
                device: Some(device.into()),
                from_us: from_ms.map(|ms| START_US + 1000 * ms),
                to_us: to_ms.map(|ms| START_US + 1000 * ms),
                min_score,
                damaged,
                limit,
                after: None,
            };
            let expected: Vec<&FrameMeta> =
                all.iter().filter(|frame| matches(frame, device, &query)).collect();
            let listed = frames_of(&archive, query.clone()).await;
            assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{query:?}");
        }
    }
    archive.close().await;
}

pub(crate) async fn pages_of_a_device_merge_its_classes(url: &str) {
    let archive = open(url).await;
    // The backlog of one class arrives after the frames of the other one, from the same two hours. Each batch has more
    // frames than a run, and from several quarters of an hour.
    let mut high = Batch { class: Class::High, ..batch("gate", 1, 700) };
    let mut normal = batch("gate", 1, 700);
    for (record, number) in high.records.iter_mut().zip(0..) {
        record.captured_us = START_US + 10 * SECOND_US * number;
    }
    for (record, number) in normal.records.iter_mut().zip(0..) {
        record.captured_us = START_US + 10 * SECOND_US * (number / 2);
    }
    archive.apply(high).await.unwrap();
    archive.apply(batch("door", 1, 100)).await.unwrap();
    archive.apply(normal).await.unwrap();
    let all = frames(&archive).await;
    let expected: Vec<FrameMeta> = all.into_iter().filter(|frame| &*frame.device == "gate").collect();
    assert_eq!(expected.len(), 1400);
    for limit in [99, 1000] {
        let query = FrameQuery { device: Some("gate".into()), limit, ..FrameQuery::default() };
        assert_eq!(frames_of(&archive, query).await, expected, "{limit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_list_of_a_device_is_a_part_of_the_list_of_all(
        steps in prop::collection::vec(batch_step(), 1..12),
        queries in prop::collection::vec(query_step(), 1..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(&folder.path().join("archive.db"), &steps, queries));
    }
}
