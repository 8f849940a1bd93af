//! File systems that are read-only at a start, as after an error of the disk. A file system on which files are open
//! for writing cannot be remounted, so the programs are stopped before.

use std::fs;

use super::{
    super::{
        harness::{Device, Site},
        process::run_failing,
    },
    tmpfs::Tmpfs,
};

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_name_a_read_only_file_system_and_work_again_without_it() {
    let Some(disk) = Tmpfs::mount("16m") else { return };
    let site = Site::with_archive_in(disk.path());
    let mut device = Device::new(&site);
    device.spool = disk.path().join("spool");
    device.spool_keys = "megabytes = 16";
    let (cloud, agent) = (site.start(), device.start());
    device.put(0..5);
    agent.until_delivered(5).await;
    agent.stop();
    cloud.stop();
    let agent = device.start();
    device.put(5..8);
    agent.until(|counts| counts.pending == 3).await;
    agent.stop();

    disk.remount("ro");
    let error = run_failing(site.command()).await;
    assert!(error.contains("archive.db") && error.contains("check that"), "{error}");
    let error = run_failing(device.command("run")).await;
    assert!(error.contains("Read-only file system"), "{error}");
    assert!(error.contains(&device.spool.display().to_string()), "the folder is not named: {error}");
    let diagnosis = run_failing(device.command("doctor")).await;
    assert!(diagnosis.contains("Read-only file system") && diagnosis.contains("fix:"), "{diagnosis}");

    disk.remount("rw");
    let (cloud, agent) = (site.start(), device.start());
    device.put(8..10);
    agent.until_delivered(10).await.check(10);
    agent.stop();
    cloud.stop();
    site.archived().await.check_images("gate-7", 0..10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_read_only_after_a_crash_acknowledges_nothing() {
    let Some(disk) = Tmpfs::mount("16m") else { return };
    let site = Site::with_archive_in(disk.path());
    let device = Device::new(&site);
    let (mut cloud, agent) = (site.start(), device.start());
    device.put(0..5);
    agent.until_delivered(5).await;
    // The log of the database stays, so the archive can be read.
    cloud.kill();
    assert!(fs::exists(format!("{}-wal", site.database.display())).unwrap());
    disk.remount("ro");
    device.put(5..10);
    if let Some(mut cloud) = site.try_start(&[]) {
        site.log.until_line(&["the archive does not store frames", "archive.db"]).await;
        agent.until(|counts| (counts.delivered, counts.pending) == (5, 5)).await;
        cloud.kill();
    } else {
        assert!(site.log.has_line(&["archive.db", "check that"]));
        agent.until(|counts| (counts.delivered, counts.pending) == (5, 5)).await;
    }
    disk.remount("rw");
    let cloud = site.start();
    agent.until_delivered(10).await.check(10);
    agent.stop();
    cloud.stop();
    let archived = site.archived().await;
    archived.check_images("gate-7", 0..10);
    assert_eq!(archived.device("gate-7").lost, 0);
}
