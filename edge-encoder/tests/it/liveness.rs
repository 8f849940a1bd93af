//! Sources that hang, and programs of an agent that was killed.

use std::{fs, process::Command};

use super::update::{
    agent::Home,
    bundles::{Toy, bundle},
};

/// A cloud that does not exist.
const NO_CLOUD: &str = "http://127.0.0.1:9";

/// Returns the environment of an agent with a program that delivers an image and then runs this script.
fn home_with_program(script: &str, keys: &str) -> Home {
    let mut home = Home::new(NO_CLOUD);
    let image = home.path("image.pgm");
    fs::write(&image, [&b"P5 2 2 255\n"[..], &[9; 4]].concat()).unwrap();
    let script = format!("cat {}; {script}", image.display());
    home.add_tables(&format!("[[source]]\nname = 'camera'\ncommand = ['sh', '-c', {script:?}]\n{keys}"));
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_hangs_is_started_again_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let home = home_with_program("exec sleep 1000", "silence_seconds = 0.5\n");
    let agent = home.start(&toy);
    let report = agent
        .until(|report| {
            report.sources.last().is_some_and(|source| source.restarts >= 1 && source.encoded >= 2)
        })
        .await;
    let source = report.sources.last().unwrap();
    assert_eq!((source.failed, source.has_ended), (0, false));
    assert!(source.last_error.clone().unwrap().contains("silence_seconds"), "{source:?}");
    agent.until(|report| report.sources.last().is_some_and(|source| source.is_silent)).await;
    let (verdict, _) = home.doctor(&toy, "running source camera");
    assert_eq!(verdict, "poor");
    agent.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_of_a_killed_agent_are_ended() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let fifos = tempfile::tempdir().unwrap();
    let pipe = fifos.path().join("alive");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Neither the program nor its child ends by itself, and both hold the pipe open.
    let script = format!("trap \"\" TERM; exec 3> {}; sleep 1000 & wait; sleep 1000", pipe.display());
    let home = home_with_program(&script, "");
    let agent = home.start(&toy);
    let reading = tokio::task::spawn_blocking(move || fs::read_to_string(pipe).unwrap());
    agent.until(|report| report.sources.last().is_some_and(|source| source.encoded == 1)).await;
    // Dropping it kills it.
    drop(agent);
    assert_eq!(reading.await.unwrap(), "", "a process still holds the pipe open");
}

#[test]
fn doctor_names_a_program_whose_silence_would_not_be_noticed() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    for (keys, expected) in
        [("", "poor"), ("silence_seconds = 60.0\n", "good"), ("silence_seconds = 0.0\n", "good")]
    {
        let home = home_with_program("exec sleep 1000", keys);
        assert_eq!(home.doctor(&toy, "source camera").0, expected, "{keys}");
    }
}
