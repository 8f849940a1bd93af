//! Invalid offers are refused with the reason, and not downloaded again.

use std::fs;

use lopside_bundle::Digest;

use super::{
    agent::Home,
    bundles::{Toy, bundle, latent_space, remove_golden, restore_golden, set_wrong_golden},
    channel::{Channel, TransferFault},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_fails_its_golden_inputs_is_refused_until_it_is_corrected() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] =
        [("old", 1.0), ("new", 2.0)].map(|(name, factor)| bundle(root.path(), name, Toy::Times(factor)));
    set_wrong_golden(&new);
    let channel = Channel::start(&new);
    let home = Home::new(&channel.url);
    let agent = home.start(&old);
    let report = agent.until_update(|update| update.refused.is_some()).await;
    let refused = report.refused.unwrap();
    assert!(refused.contains("golden/bright.png") && refused.contains("4 of 4 values differ"), "{refused}");
    assert_eq!(report.state, "configured");
    let downloads = channel.downloads_after(1).await;
    assert_eq!(channel.downloads_after(2).await, downloads);
    agent.stop();
    let agent = home.start(&old);
    assert_eq!(channel.downloads_after(3).await, downloads);
    agent.until_uses(latent_space(&old)).await;

    restore_golden(&new);
    agent.until_uses(latent_space(&new)).await;
    let report = agent.until_update(|update| update.state == "on probation").await;
    assert_eq!(report.refused, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_cannot_be_tried_or_takes_other_inputs_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let old = bundle(root.path(), "old", Toy::Times(1.0));
    let untried = bundle(root.path(), "untried", Toy::Times(2.0));
    remove_golden(&untried);
    let window = bundle(root.path(), "window", Toy::Window);
    let channel = Channel::start(&untried);
    let home = Home::new(&channel.url);
    let agent = home.start(&old);
    let refused = |expected: &'static str| {
        agent.until_update(move |update| {
            update.refused.as_ref().is_some_and(|refused| refused.contains(expected))
        })
    };
    refused("training golden --bundle").await;
    // The bundle.json alone shows it.
    assert_eq!(channel.requests().downloads.len(), 1);
    channel.offer(&window, TransferFault::None);
    refused("takes windows of 1 rows of the channels a, b, c, d, one every 1 rows, but the sources deliver images")
        .await;
    let report = agent.until_uses(latent_space(&old)).await;
    assert!(report.to_text().contains("refused: toy"), "{}", report.to_text());
    let bundles = fs::read_dir(home.path("updates")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut bundles: Vec<_> = bundles.collect();
    bundles.sort();
    assert_eq!(bundles, ["download", "lock", "state.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_ended_the_agent_is_not_tried_again() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] =
        [("old", 1.0), ("new", 2.0)].map(|(name, factor)| bundle(root.path(), name, Toy::Times(factor)));
    let channel = Channel::start(&new);
    let home = Home::new(&channel.url);
    let manifest = Digest::of(&fs::read(new.join("bundle.json")).unwrap());
    let trial = format!(
        r#"{{"bundle": "toy", "latent_space": "{}", "manifest": "{}"}}"#,
        latent_space(&new),
        manifest.as_str()
    );
    let text = format!(
        r#"{{"schema": 1, "state": {{"current": null, "previous": null, "trial": {trial}, "probation": null, "refused": []}}}}"#
    );
    fs::create_dir(home.path("updates")).unwrap();
    fs::write(home.path("updates/state.json"), text).unwrap();
    let agent = home.start(&old);
    let report = agent.until_update(|update| update.refused.is_some()).await;
    assert!(report.refused.unwrap().contains("the agent ended during its trial"));
    assert_eq!(channel.downloads_after(2).await, 0);
}
