//! What frames occupy on disk, in a SQLite file.

use std::{fs, path::Path};

use lopside_archive::{Archive, Settings};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{START_US, batch, frames, open, sqlite_file::file};

/// Size of a small frame in bytes.
const FRAME_BYTES: usize = 27;
const FRAMES: u64 = 20_000;

/// Archives small frames, and returns the bytes by which the archive grows, and those that are attributed to the device,
/// as ratios to the bytes of the frames. `source_of` returns the source of the frame with a number.
async fn growth(source_of: impl Fn(u64) -> &'static str) -> (f64, f64) {
    let (_folder, _path, url) = file();
    let archive = open(&url).await;
    let before = archive.size_bytes().await.unwrap();
    let mut rng = StdRng::seed_from_u64(7);
    for first in (1..=FRAMES).step_by(500) {
        let mut batch = batch("gate", first, first + 499);
        for (record, number) in batch.records.iter_mut().zip(first..) {
            record.digest = rng.random();
            record.source = source_of(number).into();
            record.frame = (0..FRAME_BYTES).map(|_| rng.random()).collect::<Vec<u8>>().into();
        }
        archive.apply(batch).await.unwrap();
    }
    let device = archive.devices().await.unwrap().remove(0);
    assert_eq!((device.frames, device.bytes), (FRAMES, FRAMES * FRAME_BYTES as u64));
    let grown = archive.size_bytes().await.unwrap() - before;
    (grown as f64 / device.bytes as f64, device.stored_bytes as f64 / device.bytes as f64)
}

#[tokio::test]
async fn small_frames_occupy_two_and_a_half_times_their_bytes() {
    let (grown, attributed) = growth(|_| "camera").await;
    // It was 5.8 when each frame had a row with its source, its stream and its latent space, and five indices.
    assert!(grown < 2.6, "{grown}");
    assert!((attributed / grown - 1.0).abs() < 0.1, "{attributed} instead of {grown}");
}

#[tokio::test]
async fn frames_that_share_nothing_with_their_neighbours_are_attributed_as_well() {
    let (grown, attributed) = growth(|number| if number % 2 == 0 { "camera" } else { "pump" }).await;
    assert!(grown < 7.0, "{grown}");
    assert!((attributed / grown - 1.0).abs() < 0.1, "{attributed} instead of {grown}");
}

#[tokio::test]
async fn a_file_shrinks_when_frames_are_deleted() {
    let (_folder, path, url) = file();
    let archive = open(&url).await;
    let mut batch = batch("gate", 1, 500);
    for record in &mut batch.records {
        record.frame = vec![1; 10_000].into();
    }
    archive.apply(batch).await.unwrap();
    archive.close().await;
    let before = file_bytes(&path);
    assert!(before > 5_000_000, "{before}");
    let settings = Settings { max_device_frames: Some(50), ..Settings::default() };
    let archive = Archive::open(&url, settings).await.unwrap();
    let size = archive.size_bytes().await.unwrap();
    archive.sweep(START_US).await.unwrap();
    assert!(archive.size_bytes().await.unwrap() < size / 4);
    archive.close().await;
    assert!(file_bytes(&path) < before / 4, "{} of {before}", file_bytes(&path));
    assert_eq!(frames(&open(&url).await).await.len(), 50);
}

#[tokio::test]
async fn the_names_of_sources_count_and_are_deleted() {
    let (_folder, _path, url) = file();
    let settings = Settings { max_bytes: Some(1_000_000), ..Settings::default() };
    let archive = Archive::open(&url, settings).await.unwrap();
    // Frames without bytes, each with a long name of its source.
    let mut batch = batch("gate", 1, 500);
    for (record, number) in batch.records.iter_mut().zip(0..) {
        record.frame = Vec::<u8>::new().into();
        record.source = format!("{number:04096}").into();
    }
    archive.apply(batch).await.unwrap();
    let device = archive.devices().await.unwrap().remove(0);
    assert_eq!(device.bytes, 0);
    assert!(device.stored_bytes > 500 * 4096 && archive.size_bytes().await.unwrap() > 500 * 4096);
    let report = archive.sweep(START_US).await.unwrap();
    assert!(report.over_size.frames > 250, "{report:?}");
    assert!(archive.size_bytes().await.unwrap() <= 1_000_000);
    let left = frames(&archive).await;
    assert!(!left.is_empty(), "{report:?}");
    assert!(left.iter().all(|frame| frame.source.len() == 4096), "{:?}", left[0].source.len());
}

/// Returns the size of a file.
fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}
