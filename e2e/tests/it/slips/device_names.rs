//! Names of devices: one that changes while frames wait, and one that two devices have.

use super::harness::{Device, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_device_sends_its_backlog_under_the_new_name() {
    let site = Site::new();
    let mut device = Device::new(&site);
    let (mut cloud, agent) = (site.start(), device.start());
    device.put(0..5);
    agent.until_delivered(5).await;
    cloud.kill();
    device.put(5..15);
    agent.until(|counts| counts.pending == 10).await;
    agent.stop();

    device.name = "gate-8";
    let (cloud, agent) = (site.start(), device.start());
    device.put(15..18);
    agent.until_delivered(18).await.check(18);
    agent.stop();
    cloud.stop();
    let archived = site.archived().await;
    // What the archive has under the old name is neither lost nor sent again.
    archived.check_images("gate-7", 0..5);
    archived.check_images("gate-8", 5..18);
    for name in ["gate-7", "gate-8"] {
        assert_eq!(archived.device(name).lost, 0, "{name}");
    }
    let names = ["gate-7", "gate-8"];
    assert!(device.log.has_line(&names) || site.log.has_line(&names), "no log names the change");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_of_one_name_both_keep_their_frames() {
    let site = Site::new();
    let devices = [Device::new(&site), Device::new(&site)];
    devices[1].set_machine('2');
    let cloud = site.start();
    let agents = devices.each_ref().map(Device::start);
    devices[0].put(0..10);
    devices[1].put(10..20);
    for agent in &agents {
        agent.until_delivered(10).await;
    }
    site.log.until_line(&["gate-7", "look for a second device with this name"]).await;
    // Also after the two have displaced each other several times.
    devices[0].put(20..25);
    devices[1].put(25..30);
    for agent in agents {
        agent.until_delivered(15).await.check(15);
        agent.stop();
    }
    cloud.stop();
    let archived = site.archived().await;
    archived.check_images("gate-7", 0..30);
    let device = archived.device("gate-7");
    assert_eq!((device.lost, device.conflicts), (0, 0));
    assert!(device.displaced > 0, "{device:?}");
}
