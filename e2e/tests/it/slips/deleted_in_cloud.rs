//! The archive's database, moved or deleted while the server works.

use std::fs;

use super::harness::{Device, Site};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_while_the_database_is_somewhere_else() {
    let site = Site::new();
    let device = Device::new(&site);
    let (cloud, agent) = (site.start(), device.start());
    device.put(0..5);
    agent.until_delivered(5).await;
    let elsewhere = site.database.with_extension("old");
    fs::rename(&site.database, &elsewhere).unwrap();
    device.put(5..10);
    site.log.until_line(&["moved, deleted or replaced", "put them back"]).await;
    agent.until(|counts| (counts.delivered, counts.pending) == (5, 5)).await;
    // The message says that this is enough.
    fs::rename(&elsewhere, &site.database).unwrap();
    agent.until_delivered(10).await.check(10);
    agent.stop();
    cloud.stop();
    let archived = site.archived().await;
    archived.check_images("gate-7", 0..10);
    assert_eq!(archived.device("gate-7").lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_a_deleted_database_come_again() {
    let site = Site::new();
    let device = Device::new(&site);
    let (mut cloud, agent) = (site.start(), device.start());
    device.put(0..5);
    agent.until_delivered(5).await;
    fs::remove_file(&site.database).unwrap();
    device.put(5..10);
    site.log.until_line(&["moved, deleted or replaced", "stop the server and delete"]).await;
    agent.until(|counts| (counts.delivered, counts.pending) == (5, 5)).await;
    // The operator does what the message says, and starts with an empty archive.
    cloud.kill();
    site.remove_archive();
    let cloud = site.start();
    agent.until_delivered(10).await.check(10);
    agent.stop();
    cloud.stop();
    assert!(site.log.has_line(&[
        "frames that were acknowledged are not in the archive",
        "first=1",
        "last=5"
    ]));
    assert!(device.log.has_line(&["has lost frames", "1-5", "sent_again=5", "lost=0"]));
    let archived = site.archived().await;
    archived.check_images("gate-7", 0..10);
    assert_eq!(archived.device("gate-7").lost, 0);
}
