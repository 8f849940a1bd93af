//! A bundle that passes its trial but fails on real inputs is rolled back, and the inputs are encoded
//! nevertheless.

use super::{
    agent::Home,
    bundles::{Toy, bundle, latent_space},
    channel::Channel,
};

const BLACK: [u8; 4] = [0; 4];

#[tokio::test(flavor = "multi_thread")]
async fn failures_roll_back_to_the_previous_bundle_and_lose_no_input() {
    let root = tempfile::tempdir().unwrap();
    let old = bundle(root.path(), "old", Toy::Times(1.0));
    let fragile = bundle(root.path(), "fragile", Toy::Fragile);
    let channel = Channel::start(&fragile);
    let mut home = Home::new(&channel.url);
    let agent = home.start(&old);
    let report = agent.until_uses(latent_space(&fragile)).await;
    assert_eq!(report.update.unwrap().state, "on probation");
    (0..2).for_each(|_| home.put(BLACK));
    agent.until_stored(&home).await;
    agent.until_uses(latent_space(&fragile)).await;
    home.put(BLACK);
    agent.until_stored(&home).await;
    let report = agent.until_uses(latent_space(&old)).await;
    let update = report.update.unwrap();
    assert_eq!((&update.state[..], report.sources[0].failed), ("rolled back", 0));
    assert!(update.refused.unwrap().contains("latent"));
    let downloads = channel.downloads_after(2).await;
    agent.stop();
    assert_eq!(home.frames(), [latent_space(&old); 3]);

    let agent = home.start(&old);
    assert_eq!(channel.downloads_after(3).await, downloads);
    let report = agent.until_uses(latent_space(&old)).await;
    assert_eq!(report.update.unwrap().state, "rolled back");
    assert!(!home.path("updates").join(latent_space(&fragile).to_string()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_input_that_is_encoded_confirms_a_bundle() {
    let root = tempfile::tempdir().unwrap();
    let old = bundle(root.path(), "old", Toy::Times(1.0));
    let fragile = bundle(root.path(), "fragile", Toy::Fragile);
    let channel = Channel::start(&fragile);
    let mut home = Home::new(&channel.url);
    let agent = home.start(&old);
    agent.until_uses(latent_space(&fragile)).await;
    home.put(BLACK);
    agent.until_stored(&home).await;
    home.put([9; 4]);
    agent.until_stored(&home).await;
    agent.until_update(|update| update.state == "confirmed").await;
    agent.stop();
    assert_eq!(home.frames(), [&old, &fragile].map(|folder| latent_space(folder)));
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_without_an_encoded_input_roll_back_to_the_previous_bundle() {
    let root = tempfile::tempdir().unwrap();
    let [old, new] =
        [("old", 1.0), ("new", 2.0)].map(|(name, factor)| bundle(root.path(), name, Toy::Times(factor)));
    let channel = Channel::start(&new);
    let home = Home::new(&channel.url);
    let agent = home.start(&old);
    agent.until_uses(latent_space(&new)).await;
    // Dropping the agent kills it.
    drop(agent);
    for _ in 0..3 {
        let agent = home.start(&old);
        let report = agent.until(|_| true).await;
        assert_eq!(report.update.unwrap().state, "on probation");
        assert_eq!(report.latent_space, Some(latent_space(&new).to_string()));
    }
    let agent = home.start(&old);
    let report = agent.until(|_| true).await;
    assert_eq!(report.latent_space, Some(latent_space(&old).to_string()));
    assert!(report.update.unwrap().refused.unwrap().contains("3 starts"));
}
