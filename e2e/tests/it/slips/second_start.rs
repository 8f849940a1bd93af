//! A second start of the agent with the config file of one that works, and the other commands beside it.

use std::{fs, path::Path};

use lopside_e2e::run_stdout;
use serde_json::Value;

use super::{
    harness::{Device, Site},
    process::run_failing,
};

fn file_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_is_refused_and_changes_nothing() {
    let site = Site::new();
    let device = Device::new(&site);
    let (mut cloud, agent) = (site.start(), device.start());
    device.put(0..5);
    agent.until_delivered(5).await;
    let files = file_names(&device.spool);

    let refused = run_failing(device.command("run")).await;
    assert!(refused.contains("another agent answers") && refused.contains("stop it"), "{refused}");
    // With another socket, the spool itself is what the two agents would share.
    let mut second = device.command("run");
    second.arg("--socket").arg(device.path("second.sock"));
    let refused = run_failing(second).await;
    assert!(
        refused.contains("the spool is in use by") && refused.contains("configure another folder"),
        "{refused}"
    );
    assert_eq!(file_names(&device.spool), files);

    cloud.kill();
    device.put(5..15);
    agent.until(|counts| counts.pending == 10).await;
    let cloud = site.start();
    agent.until_delivered(15).await.check(15);
    agent.stop();
    cloud.stop();
    site.archived().await.check_images("gate-7", 0..15);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_doctor_beside_a_working_agent_change_nothing() {
    let site = Site::new();
    let device = Device::new(&site);
    let (cloud, agent) = (site.start(), device.start());
    device.put(0..5);
    agent.until_delivered(5).await;
    let (files, connections) = (file_names(&device.spool), agent.report().uplink.connections);

    let status: Value = serde_json::from_str(&run_stdout(device.command("status").arg("--json"))).unwrap();
    assert_eq!(status["device"], "gate-7");
    let diagnosis = run_stdout(&mut device.command("doctor"));
    assert!(diagnosis.contains("accepts frames"), "{diagnosis}");
    assert_eq!((file_names(&device.spool), agent.report().uplink.connections), (files, connections));

    device.put(5..10);
    agent.until_delivered(10).await.check(10);
    agent.stop();
    cloud.stop();
    site.archived().await.check_images("gate-7", 0..10);
}
