//! Bundles that would harm the process that opens them: each is tried in another one, and refused with its reason.

use std::{fs, path::Path, process::Command, time::Duration};

use serde_json::Value as Json;
use tokio::time::{interval, timeout};

use super::{
    agent::Home,
    bundles::{Toy, bundle, latent_space},
    channel::Channel,
};

/// Returns the state file of the agent.
fn state(home: &Home) -> Json {
    let text = fs::read(home.path("updates/state.json")).unwrap_or_else(|_| b"{}".to_vec());
    serde_json::from_slice::<Json>(&text).unwrap()["state"].take()
}

/// Waits until the trial of a bundle has begun.
async fn until_tried(home: &Home) {
    let polling = timeout(Duration::from_mins(1), async {
        let mut ticks = interval(Duration::from_millis(10));
        while !state(home)["trial"].is_object() {
            ticks.tick().await;
        }
    });
    polling.await.unwrap();
}

fn try_bundle(folder: &Path, memory_bytes: &str) -> Json {
    let output = Command::new(env!("CARGO_BIN_EXE_edge-encoder"))
        .args(["try-bundle", "--memory-bytes", memory_bytes, "--seconds", "60", "--threads", "1"])
        .arg(folder)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmful_bundle_is_refused_with_its_reason_and_the_agent_continues_to_work() {
    for (toy, limits, expected) in [
        (Toy::Huge, "trial_memory_mb = 128\n", "needs more than 128 MB of memory"),
        (Toy::Panicking, "", "attempt to divide by zero"),
        (Toy::Slow, "trial_seconds = 1\n", "did not end within 1 s"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let old = bundle(root.path(), "old", Toy::Times(1.0));
        let channel = Channel::start(&bundle(root.path(), "harmful", toy));
        let mut home = Home::new(&channel.url);
        home.add_update_keys(limits);
        let agent = home.start(&old);
        let report = agent.until_update(|update| update.refused.is_some()).await;
        let refused = report.refused.unwrap();
        assert!(refused.contains(expected), "{toy:?}: {refused}");
        assert_eq!(report.state, "configured", "{toy:?}");
        home.put([7; 4]);
        agent.until_stored(&home).await;
        let downloads = channel.downloads_after(1).await;
        assert_eq!(channel.downloads_after(2).await, downloads, "{toy:?}");
        // The same process has survived the trial.
        agent.stop();
        assert_eq!(home.frames(), [latent_space(&old)], "{toy:?}");
        let found = state(&home);
        assert!(found["refused"][0]["reason"].as_str().unwrap().contains(expected), "{toy:?}: {found}");
        assert_eq!(found["trial"], Json::Null, "{toy:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_a_stop_of_the_agent_breaks_off_does_not_refuse_the_bundle() {
    let root = tempfile::tempdir().unwrap();
    let old = bundle(root.path(), "old", Toy::Times(1.0));
    let channel = Channel::start(&bundle(root.path(), "slow", Toy::Slow));
    let mut home = Home::new(&channel.url);
    home.add_update_keys("trial_seconds = 3600\n");
    let agent = home.start(&old);
    until_tried(&home).await;
    agent.stop();
    let found = state(&home);
    assert_eq!((&found["trial"], &found["refused"]), (&Json::Null, &Json::Array(Vec::new())));
}

#[test]
fn the_command_of_a_trial_answers_in_json_and_is_not_shown() {
    let root = tempfile::tempdir().unwrap();
    let good = bundle(root.path(), "good", Toy::Times(2.0));
    let passed = try_bundle(&good, "256000000");
    assert_eq!(passed["outcome"], "passed");
    let peak = passed["peak_memory_bytes"].as_u64().unwrap();
    assert!((1 << 20..256_000_000).contains(&peak) && passed["elapsed_ms"].is_f64(), "{passed}");
    fs::write(good.join("encoder.onnx"), "changed").unwrap();
    assert_eq!(try_bundle(&good, "256000000")["outcome"], "damaged");
    let help = Command::new(env!("CARGO_BIN_EXE_edge-encoder")).arg("--help").output().unwrap();
    assert!(!String::from_utf8(help.stdout).unwrap().contains("try-bundle"));
}
