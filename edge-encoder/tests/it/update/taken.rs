//! Valid offers are installed, and no input is lost.

use std::fs;

use super::{
    agent::Home,
    bundles::{Toy, bundle, latent_space},
    channel::{Channel, Way},
};

#[tokio::test(flavor = "multi_thread")]
async fn another_bundle_takes_over_between_two_inputs() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] = [("old", 1.0), ("new", 2.0)].map(|(name, by)| bundle(root.path(), name, Toy::Times(by)));
    let [before, after] = [&old, &new].map(|folder| latent_space(folder));
    let channel = Channel::start(&old);
    let mut home = Home::new(&channel.url);
    let agent = home.start(&old);
    (1..=5).for_each(|pixel| home.put([pixel; 4]));
    agent.until_stored(&home).await;
    // The channel offers the bundle that is in use, so nothing is downloaded.
    assert_eq!(channel.downloads_after(2).await, 0);
    let report = agent.until_update(|update| update.offered.is_some()).await;
    assert_eq!((&report.state[..], report.offered), ("configured", Some(before.to_string())));

    channel.offer(&new, Way::Fine);
    loop {
        home.put([7; 4]);
        let report = agent.until_stored(&home).await;
        if report.latent_space == Some(after.to_string()) {
            break;
        }
    }
    (1..=5).for_each(|pixel| home.put([pixel; 4]));
    let report = agent.until_stored(&home).await;
    assert!(
        report.to_text().contains(&after.to_string()) && report.to_text().contains("bundle: confirmed"),
        "{}",
        report.to_text()
    );
    channel.until_asked_by(after).await;
    agent.stop();

    let frames = home.frames();
    let taken_over = frames.iter().position(|id| *id == after).unwrap();
    assert_eq!(frames.len(), home.count());
    assert!(taken_over >= 5 && frames.len() - taken_over >= 5);
    assert!(frames[..taken_over].iter().all(|id| *id == before));
    assert!(frames[taken_over..].iter().all(|id| *id == after));
    assert_eq!(channel.seen().asked[0][..], before.as_bytes()[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_goes_on_where_it_ended() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] = [("old", 1.0), ("new", 2.0)].map(|(name, by)| bundle(root.path(), name, Toy::Times(by)));
    let channel = Channel::start(&new);
    channel.offer(&new, Way::Cut);
    let home = Home::new(&channel.url);
    let agent = home.start(&old);
    let report = agent.until_update(|update| update.last_error.is_some()).await;
    assert!(report.last_error.unwrap().contains("the stream ended after"));
    agent.until_uses(latent_space(&new)).await;
    let offsets: Vec<u64> = channel
        .seen()
        .downloads
        .into_iter()
        .filter(|(path, _)| path == "encoder.onnx")
        .map(|(_, at)| at)
        .collect();
    assert!(offsets.len() > 1 && offsets.iter().zip(0..).all(|(found, at)| *found == 50 * at), "{offsets:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_asked_for_again_and_never_used() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] = [("old", 1.0), ("new", 2.0)].map(|(name, by)| bundle(root.path(), name, Toy::Times(by)));
    let channel = Channel::start(&new);
    channel.offer(&new, Way::Damaged);
    let home = Home::new(&channel.url);
    let agent = home.start(&old);
    let report = agent.until_update(|update| update.last_error.is_some()).await;
    assert!(report.last_error.as_ref().unwrap().contains("encoder.onnx: its SHA-256 is"), "{report:?}");
    channel.downloads_after(2).await;
    let installed = home.path("updates").join(latent_space(&new).to_string());
    assert!(!installed.exists() && report.refused.is_none());
    channel.offer(&new, Way::Fine);
    agent.until_uses(latent_space(&new)).await;
    assert!(installed.join("golden/bright.png").exists());
    // The downloads are removed once the bundle is assembled.
    channel.downloads_after(2).await;
    assert_eq!(fs::read_dir(home.path("updates/download")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_uses_what_came_over_the_air() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] = [("old", 1.0), ("new", 2.0)].map(|(name, by)| bundle(root.path(), name, Toy::Times(by)));
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
    channel.offer(&old, Way::Fine);
    let agent = home.start(&old);
    let report = agent.until_uses(latent_space(&old)).await;
    assert_eq!(report.update.unwrap().state, "configured");
    channel.offer(&new, Way::Fine);
    agent.until_uses(latent_space(&new)).await;
    agent.stop();
    assert_eq!(home.frames(), [latent_space(&new)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_the_channel_and_writes_into_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let old = bundle(root.path(), "old", Toy::Times(1.0));
    let home = Home::new(&Channel::start(&old).url);
    let looked = tokio::task::spawn_blocking(move || {
        let there = ["channel", "bundles"].map(|what| home.doctor(&old, what));
        fs::remove_dir_all(home.path("updates")).unwrap();
        fs::write(home.path("updates"), "a file").unwrap();
        (there, home.doctor(&old, "bundles"), Home::new("http://127.0.0.1:9").doctor(&old, "channel"))
    });
    let ([channel, folder], no_folder, no_cloud) = looked.await.unwrap();
    assert_eq!((&channel.0[..], &folder.0[..]), ("good", "good"));
    assert!(channel.1.starts_with("stable offers \"toy\": 5 files with"), "{}", channel.1);
    assert_eq!((&no_folder.0[..], &no_cloud.0[..]), ("bad", "poor"));
}
