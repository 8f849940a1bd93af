//! An archive that is restored from an older copy: what was acknowledged since comes again from the device, or is
//! reported as lost by both ends.

use super::{
    harness::{Device, Site},
    oracle::{Archived, Counts},
};

/// What is known after the archive was set back from ten frames to four, and the device has sent three more.
struct Outcome {
    site: Site,
    device: Device,
    counts: Counts,
    archived: Archived,
}

/// Sets the archive back while the agent is stopped. `spool_keys` are keys of the config file, and `lost` is the
/// number of frames that cannot come again.
async fn set_back(spool_keys: &'static str, lost: u64) -> Outcome {
    let site = Site::new();
    let mut device = Device::new(&site);
    device.spool_keys = spool_keys;
    for (numbers, delivered) in [(0..4, 4), (4..10, 10)] {
        let (cloud, agent) = (site.start(), device.start());
        device.put(numbers);
        agent.until_delivered(delivered).await;
        agent.stop();
        cloud.stop();
        if delivered == 4 {
            site.back_up();
        }
    }
    site.restore();

    let (cloud, agent) = (site.start(), device.start());
    device.put(10..13);
    let is_done = |counts: &Counts| counts.delivered == 13 && counts.pending == 0 && counts.lost == lost;
    let counts = agent.until(is_done).await;
    agent.stop();
    cloud.stop();
    let archived = site.archived().await;
    assert_eq!(archived.device("gate-7").lost, lost, "the list of devices");
    let report = ["frames that were acknowledged are not in the archive", "gate-7", "first=5", "last=10"];
    assert!(site.log.has_line(&report));
    Outcome { site, device, counts, archived }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_the_device_has_kept_come_again() {
    let outcome = set_back("keep_delivered_mb = 16", 0).await;
    assert!(outcome.device.log.has_line(&["has lost frames", "5-10", "sent_again=6", "lost=0"]));
    outcome.counts.check(13);
    outcome.archived.check_images("gate-7", 0..13);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_the_device_has_not_kept_are_reported_by_both_ends() {
    let outcome = set_back("keep_delivered_mb = 0", 6).await;
    assert!(outcome.device.log.has_line(&["has lost frames", "5-10", "sent_again=0", "lost=6"]));
    outcome.counts.check(7);
    outcome.archived.check_images("gate-7", (0..4).chain(10..13));

    // The loss is reported again on each connection, and counted once.
    let (cloud, agent) = (outcome.site.start(), outcome.device.start());
    outcome.device.put(13..15);
    let counts = agent.until_delivered(15).await;
    assert_eq!(counts.lost, 6);
    counts.check(9);
    agent.stop();
    cloud.stop();
    let archived = outcome.site.archived().await;
    assert_eq!(archived.device("gate-7").lost, 6);
    archived.check_images("gate-7", (0..4).chain(10..15));
}
