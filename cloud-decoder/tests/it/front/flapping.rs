//! Two devices with one name displace each other's connections.

use super::{
    devices::{DeviceUpload, connect},
    process::ServerProcess,
};

#[tokio::test]
async fn two_devices_with_one_name_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("sqlite:{}", folder.path().join("archive.db").display());
    let mut server = ServerProcess::start(&["--archive", &archive, "--archive-scores=false"]);
    let mut uploads = Vec::new();
    for _ in 0..5 {
        let channel = connect(&server.url, None).await;
        uploads.push(DeviceUpload::open(channel, None, "gate-7").await.unwrap());
    }
    let displaced = server.wait_for_log("a newer connection of the device displaces an older one");
    assert!(displaced.contains("gate-7") && displaced.contains("127.0.0.1"), "{displaced}");
    let warning = server.wait_for_log("displaced its own connection more than 3 times");
    assert!(warning.contains("gate-7") && warning.contains("second device with this name"), "{warning}");
}
