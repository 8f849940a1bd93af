//! Valid offers are installed, and no input is lost.

use std::fs;

use super::{
    agent::Home,
    bundles::{Toy, bundle, latent_space},
    channel::{Channel, TransferFault},
};

#[tokio::test(flavor = "multi_thread")]
async fn another_bundle_replaces_the_current_one_between_two_inputs() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] =
        [("old", 1.0), ("new", 2.0)].map(|(name, factor)| bundle(root.path(), name, Toy::Times(factor)));
    let [old_id, new_id] = [&old, &new].map(|folder| latent_space(folder));
    let channel = Channel::start(&old);
    let mut home = Home::new(&channel.url);
    let agent = home.start(&old);
    (1..=5).for_each(|pixel| home.put([pixel; 4]));
    agent.until_stored(&home).await;
    // The channel offers the bundle that is in use, so nothing is downloaded.
    assert_eq!(channel.downloads_after(2).await, 0);
    let report = agent.until_update(|update| update.offered.is_some()).await;
    assert_eq!((&report.state[..], report.offered), ("configured", Some(old_id.to_string())));

    channel.offer(&new, TransferFault::None);
    loop {
        home.put([7; 4]);
        let report = agent.until_stored(&home).await;
        if report.latent_space == Some(new_id.to_string()) {
            break;
        }
    }
    (1..=5).for_each(|pixel| home.put([pixel; 4]));
    let report = agent.until_stored(&home).await;
    assert!(
        report.to_text().contains(&new_id.to_string()) && report.to_text().contains("bundle: confirmed"),
        "{}",
        report.to_text()
    );
    channel.until_polled_by(new_id).await;
    agent.stop();

    let frames = home.frames();
    let swap_index = frames.iter().position(|id| *id == new_id).unwrap();
    assert_eq!(frames.len(), home.count());
    assert!(swap_index >= 5 && frames.len() - swap_index >= 5);
    assert!(frames[..swap_index].iter().all(|id| *id == old_id));
    assert!(frames[swap_index..].iter().all(|id| *id == new_id));
    assert_eq!(channel.requests().polls[0][..], old_id.as_bytes()[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_download_is_resumed() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] =
        [("old", 1.0), ("new", 2.0)].map(|(name, factor)| bundle(root.path(), name, Toy::Times(factor)));
    let channel = Channel::start(&new);
    channel.offer(&new, TransferFault::Cut);
    let home = Home::new(&channel.url);
    let agent = home.start(&old);
    let report = agent.until_update(|update| update.last_error.is_some()).await;
    assert!(report.last_error.unwrap().contains("the stream ended after"));
    agent.until_uses(latent_space(&new)).await;
    let offsets: Vec<u64> = channel
        .requests()
        .downloads
        .into_iter()
        .filter(|(path, _)| path == "encoder.onnx")
        .map(|(_, offset)| offset)
        .collect();
    assert!(offsets.len() > 1 && offsets.iter().zip(0..).all(|(found, i)| *found == 50 * i), "{offsets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_downloaded_again_and_never_used() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] =
        [("old", 1.0), ("new", 2.0)].map(|(name, factor)| bundle(root.path(), name, Toy::Times(factor)));
    let channel = Channel::start(&new);
    channel.offer(&new, TransferFault::Damaged);
    let home = Home::new(&channel.url);
    let agent = home.start(&old);
    let report = agent.until_update(|update| update.last_error.is_some()).await;
    assert!(report.last_error.as_ref().unwrap().contains("encoder.onnx: its SHA-256 is"), "{report:?}");
    channel.downloads_after(2).await;
    let installed = home.path("updates").join(latent_space(&new).to_string());
    assert!(!installed.exists() && report.refused.is_none());
    channel.offer(&new, TransferFault::None);
    agent.until_uses(latent_space(&new)).await;
    assert!(installed.join("golden/bright.png").exists());
    // The downloads are removed once the bundle is assembled.
    channel.downloads_after(2).await;
    assert_eq!(fs::read_dir(home.path("updates/download")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_uses_the_installed_bundle() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] =
        [("old", 1.0), ("new", 2.0)].map(|(name, factor)| bundle(root.path(), name, Toy::Times(factor)));
    let channel = Channel::start(&new);
    let mut home = Home::new(&channel.url);
    let agent = home.start(&old);
    agent.until_uses(latent_space(&new)).await;
    home.put([9; 4]);
    agent.until_update(|update| update.state == "confirmed").await;
    agent.until_stored(&home).await;
    agent.stop();
    let agent = home.start(&old);
    let report = agent.until(|_| true).await;
    assert_eq!(report.latent_space, Some(latent_space(&new).to_string()));
    assert_eq!(report.update.unwrap().state, "confirmed");
    agent.stop();

    // The disk damages the bundle: the configured one encodes until the bundle is downloaded again.
    let encoder = home.path("updates").join(latent_space(&new).to_string()).join("encoder.onnx");
    let mut bytes = fs::read(&encoder).unwrap();
    bytes[20] ^= 1;
    fs::write(&encoder, bytes).unwrap();
    channel.offer(&old, TransferFault::None);
    let agent = home.start(&old);
    let report = agent.until_uses(latent_space(&old)).await;
    assert_eq!(report.update.unwrap().state, "configured");
    channel.offer(&new, TransferFault::None);
    agent.until_uses(latent_space(&new)).await;
    agent.stop();
    assert_eq!(home.frames(), [latent_space(&new)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_checks_the_channel_and_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let old = bundle(root.path(), "old", Toy::Times(1.0));
    let home = Home::new(&Channel::start(&old).url);
    let findings = tokio::task::spawn_blocking(move || {
        let present = ["channel", "bundles"].map(|subject| home.doctor(&old, subject));
        fs::remove_dir_all(home.path("updates")).unwrap();
        fs::write(home.path("updates"), "a file").unwrap();
        (present, home.doctor(&old, "bundles"), Home::new("http://127.0.0.1:9").doctor(&old, "channel"))
    });
    let ([channel, folder], no_folder, no_cloud) = findings.await.unwrap();
    assert_eq!((&channel.0[..], &folder.0[..]), ("good", "good"));
    assert!(channel.1.starts_with("stable offers \"toy\": 5 files with"), "{}", channel.1);
    assert_eq!((&no_folder.0[..], &no_cloud.0[..]), ("bad", "poor"));
}
