//! Files of a device that are deleted while its agent works.

use std::{fs, path::PathBuf};

use super::{
    harness::{Device, Site, copy_folder},
    process::run_failing,
};

/// Deletes something while five frames wait in the spool. They are counted as damaged, and the next ones are stored.
async fn check_deleted_frames(delete: fn(&Device)) {
    let site = Site::new();
    let device = Device::new(&site);
    let agent = device.start();
    device.put(0..5);
    agent.until(|counts| counts.pending == 5).await;
    delete(&device);
    device.put(5..8);
    let spool = device.spool.display().to_string();
    device.log.until_line(&["another program has removed or replaced", &spool]).await;
    agent.until(|counts| counts.produced == 8).await;

    let cloud = site.start();
    let counts = agent.until_delivered(3).await;
    assert_eq!(counts.damaged, 5);
    counts.check(3);
    agent.stop();
    cloud.stop();
    site.archived().await.check_images("gate-7", 5..8);
}

fn delete_segment(device: &Device) {
    let entries = fs::read_dir(&device.spool).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let segments: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    assert_eq!(segments.len(), 1, "{segments:?}");
    fs::remove_file(&segments[0]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_in_a_deleted_segment_are_counted() {
    check_deleted_frames(delete_segment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_in_a_deleted_spool_are_counted() {
    check_deleted_frames(|device| fs::remove_dir_all(&device.spool).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_state_file_is_written_again() {
    let site = Site::new();
    let device = Device::new(&site);
    let (cloud, agent) = (site.start(), device.start());
    device.put(0..5);
    agent.until_delivered(5).await;
    fs::remove_file(device.spool.join("state")).unwrap();
    device.put(5..8);
    device.log.until_line(&["another program has removed or replaced", "state"]).await;
    device.put(8..10);
    agent.until_delivered(10).await.check(10);
    agent.stop();
    // The new file has all counts.
    let agent = device.start();
    agent.until_delivered(10).await.check(10);
    agent.stop();
    cloud.stop();
    site.archived().await.check_images("gate-7", 0..10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_bundle_is_named_at_the_next_start() {
    let site = Site::new();
    let mut device = Device::new(&site);
    let original = device.bundle.clone();
    device.bundle = device.path("bundle");
    copy_folder(&original, &device.bundle);
    let (cloud, agent) = (site.start(), device.start());
    device.put(0..3);
    agent.until_delivered(3).await;
    // The agent has everything of the bundle in memory.
    fs::remove_dir_all(&device.bundle).unwrap();
    device.put(3..5);
    agent.until_delivered(5).await;
    agent.stop();

    let error = run_failing(device.command("run")).await;
    assert!(error.contains(&device.bundle.display().to_string()), "{error}");
    copy_folder(&original, &device.bundle);
    let agent = device.start();
    device.put(5..8);
    agent.until_delivered(8).await.check(8);
    agent.stop();
    cloud.stop();
    site.archived().await.check_images("gate-7", 0..8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_inbox_is_named_and_works_again_when_it_is_back() {
    let site = Site::new();
    let device = Device::new(&site);
    let (cloud, agent) = (site.start(), device.start());
    device.put(0..3);
    agent.until_delivered(3).await;
    fs::remove_dir_all(device.inbox()).unwrap();
    let inbox = device.inbox().display().to_string();
    device.log.until_line(&["was moved, removed or unmounted", &inbox]).await;
    fs::create_dir(device.inbox()).unwrap();
    device.put(3..5);
    agent.until_delivered(5).await.check(5);
    agent.stop();
    cloud.stop();
    site.archived().await.check_images("gate-7", 0..5);
}
