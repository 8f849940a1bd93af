//! Starts of an agent after its device was renamed, or its bundle deleted.

use std::fs;

use super::update::{
    agent::Home,
    bundles::{Toy, bundle},
};

/// A cloud that does not exist.
const NO_CLOUD: &str = "http://127.0.0.1:9";

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_device_keeps_its_frames_and_logs_both_names() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let mut home = Home::new(NO_CLOUD);
    let log = home.path("log");
    for (name, is_renamed) in [("gate-7", false), ("gate-8", true), ("gate-8", false)] {
        home.set_variable("LOPSIDE_DEVICE_NAME", name);
        let agent = home.start_logging(&toy, fs::File::create(&log).unwrap());
        home.put([9; 4]);
        agent.until_stored(&home).await;
        agent.stop();
        let log = fs::read_to_string(&log).unwrap();
        let is_logged = log.lines().any(|line| line.contains("gate-7") && line.contains("gate-8"));
        assert_eq!(is_logged, is_renamed, "{log}");
    }
    assert_eq!(home.frames().len(), 3);
}

#[test]
fn an_agent_without_its_bundle_says_that_frames_are_kept() {
    let home = Home::new(NO_CLOUD);
    let missing = home.path("bundle");
    let error = home.refused(&missing, &[]);
    let expected = [&missing.display().to_string()[..], "the frames in its spool are kept", "bundle is back"];
    assert!(expected.iter().all(|part| error.contains(part)), "{error}");
}
