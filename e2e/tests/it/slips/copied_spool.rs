//! Spools whose history forks: a card that was cloned, and a root file system that forgets its changes at each boot.

use std::fs;

use super::harness::{Device, Site, copy_folder};

/// Copies the spool of a device to a second device of the same name on machine `digit`, and lets both work at the
/// same time. The log of the copy must contain `logged`.
async fn check_clone(digit: char, logged: &str) {
    let site = Site::new();
    let original = Device::new(&site);
    let (mut cloud, agent) = (site.start(), original.start());
    original.put(0..5);
    agent.until_delivered(5).await;
    cloud.kill();
    original.put(5..8);
    agent.until(|counts| counts.pending == 3).await;
    agent.stop();
    let copy = Device::new(&site);
    copy.set_machine(digit);
    copy_folder(&original.spool, &copy.spool);

    // The original uses the numbers that the copy will use as well.
    let (cloud, first) = (site.start(), original.start());
    original.put(8..12);
    first.until_delivered(12).await;
    let second = copy.start();
    copy.put(12..16);
    second.until_delivered(12).await;
    copy.log.until_line(&[logged]).await;
    assert_eq!(second.report().spool.renamed, 1);

    original.put(16..20);
    copy.put(20..24);
    for agent in [first, second] {
        agent.until_delivered(16).await.check(16);
        agent.stop();
    }
    cloud.stop();
    let archived = site.archived().await;
    // The three frames that both spools had are archived once.
    archived.check_images("gate-7", 0..24);
    assert_eq!(archived.device("gate-7").lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_card_in_another_machine_loses_nothing() {
    Box::pin(check_clone('2', "last used on another machine")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_card_with_the_same_machine_id_loses_nothing() {
    Box::pin(check_clone('1', "copied or set back")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_file_system_that_resets_at_each_boot_loses_nothing() {
    let site = Site::new();
    let device = Device::new(&site);
    let agent = device.start();
    device.put(0..5);
    agent.until(|counts| counts.pending == 5).await;
    agent.stop();
    let root = device.path("root");
    copy_folder(&device.spool, &root);

    let cloud = site.start();
    for boot in 0..3 {
        fs::remove_dir_all(&device.spool).unwrap();
        copy_folder(&root, &device.spool);
        let agent = device.start();
        let first = 5 + 5 * boot;
        device.put(first..first + 5);
        // The five frames of the root are delivered at each boot.
        agent.until_delivered(10).await.check(10);
        assert_eq!(agent.report().spool.renamed, u64::from(boot > 0), "boot {boot}");
        agent.stop();
    }
    cloud.stop();
    assert!(device.log.has_line(&["copied or set back"]));
    let archived = site.archived().await;
    archived.check_images("gate-7", 0..20);
    assert_eq!(archived.device("gate-7").lost, 0);
}
