//! Full disks: of the archive, and of a device.

use super::{
    super::{
        harness::{Device, Site},
        oracle::Counts,
    },
    tmpfs::Tmpfs,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_archive_delays_frames_until_there_is_space() {
    let Some(disk) = Tmpfs::mount("8m") else { return };
    let site = Site::with_archive_in(disk.path());
    let device = Device::new(&site);
    let (cloud, agent) = (site.start(), device.start());
    device.put(0..5);
    agent.until_delivered(5).await;
    disk.fill();
    device.put(5..10);
    site.log.until_line(&["the disk of the archive", "is full", "free some space"]).await;
    agent.until(|counts| (counts.delivered, counts.pending) == (5, 5)).await;
    // The same server works again.
    disk.free();
    agent.until_delivered(10).await.check(10);
    assert!(site.log.has_line(&["the archive stores frames again"]));
    agent.stop();
    cloud.stop();
    let archived = site.archived().await;
    archived.check_images("gate-7", 0..10);
    assert_eq!(archived.device("gate-7").lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_a_device_refuses_frames_until_there_is_space() {
    let Some(disk) = Tmpfs::mount("4m") else { return };
    let site = Site::new();
    // The spool may take more than the disk has, in segments of one megabyte.
    let mut device = Device::new(&site);
    device.spool = disk.path().join("spool");
    device.spool_keys = "megabytes = 16";
    let agent = device.start();
    device.put(0..3);
    agent.until(|counts| counts.pending == 3).await;
    disk.fill();
    // The space of the open segment is reserved.
    device.put(3..6);
    agent.until(|counts| counts.pending == 6).await;
    agent.stop();
    let agent = device.start();
    // The new agent has given back what the segment did not use.
    agent.until(|counts| counts.pending == 6).await;
    disk.fill();
    device.put(6..8);
    device.log.until_line(&["the spool is full", "the file waits"]).await;
    let report = agent.until_report(|report| report.sources[0].waiting == 2).await;
    assert_eq!(Counts::sum(&report).refused, 0);

    let cloud = site.start();
    agent.until_delivered(6).await;
    // The files that were refused still wait in the inbox. The agent works again without a new one.
    disk.free();
    let counts = agent.until_delivered(8).await;
    counts.check(8);
    agent.stop();
    cloud.stop();
    site.archived().await.check_images("gate-7", 0..8);
}
