//! Sources of a real agent: programs, rate limits, and files that end the agent.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use edge_encoder::agent::{AgentReport, ClassReport};
use lopside_delivery::Class;
use lopside_spool::{AppendOutcome, Disk, Options, Spool};

use super::update::{
    agent::Home,
    bundles::{Toy, bundle},
};

/// A cloud that does not exist.
const NO_CLOUD: &str = "http://127.0.0.1:9";

/// Creates a named pipe, which a reader reads until the writer has ended.
fn create_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Fills a spool with records until it does not have space for another segment. Returns the number of records.
fn fill_spool(folder: &Path, budget_bytes: u64) -> u64 {
    let options = Options::new(budget_bytes, 1);
    let mut spool = Spool::open(Disk::open(folder).unwrap(), options).unwrap();
    let record = vec![0; 20_000];
    while spool.try_append(Class::Normal, &record).unwrap() != AppendOutcome::Refused {
        spool.commit().unwrap();
    }
    spool.pending_records(Class::Normal)
}

fn normal_class(report: &AgentReport) -> &ClassReport {
    &report.spool.classes[Class::Normal.index()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_which_there_is_no_space_waits_and_counts_once_it_is_stored() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let mut home = Home::new(NO_CLOUD);
    home.set_spool_keys("megabytes = 1");
    let stored = fill_spool(&home.path("spool"), 1_000_000);
    home.put([1; 4]);
    home.put([2; 4]);
    let agent = home.start(&toy);
    let report = agent.until(|report| report.sources[0].waiting == 2).await;
    let class = normal_class(&report);
    assert_eq!((class.produced, class.pending, class.refused), (stored, stored, 0));
    assert_eq!(report.sources[0].encoded, 2, "a file that is tried again is not counted again");
    agent.stop();

    home.set_spool_keys("megabytes = 2");
    let agent = home.start(&toy);
    let report = agent.until(|report| normal_class(report).pending == stored + 2).await;
    assert_eq!((normal_class(&report).produced, normal_class(&report).refused), (stored + 2, 0));
    let report = agent.until(|report| report.sources[0].waiting == 0).await;
    assert_eq!(report.sources[0].encoded, 2);
    agent.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_does_not_get_the_keys_of_the_agent() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let mut home = Home::new(NO_CLOUD);
    let pipe = home.path("environment");
    create_pipe(&pipe);
    let script = format!("env > {}; exec sleep 1000", pipe.display());
    home.add_tables(&format!("[[source]]\nname = 'camera'\ncommand = ['sh', '-c', {script:?}]\n"));
    let private = [
        ("LOPSIDE_API_KEY", "lps_secret"),
        ("LOPSIDE_CLIENT_SECRET", "secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret"),
        ("NOTIFY_SOCKET", "/nonexistent"),
    ];
    for (name, value) in private {
        home.set_variable(name, value);
    }
    home.set_variable("CAMERA_MODE", "night");
    let agent = home.start(&toy);
    let reading = tokio::task::spawn_blocking(move || fs::read_to_string(pipe).unwrap());
    let environment = reading.await.unwrap();
    assert!(environment.lines().any(|line| line == "CAMERA_MODE=night"), "{environment}");
    assert!(environment.contains("PATH="), "{environment}");
    assert!(!environment.contains("secret"), "{environment}");
    for (name, _) in private {
        assert!(!environment.contains(name), "{name}: {environment}");
    }
    agent.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_the_rate_limit_holds_back_does_not_wait_for_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let mut home = Home::new(NO_CLOUD);
    for (name, pixel) in [("one.pgm", 10), ("two.pgm", 20)] {
        fs::write(home.path(name), [&b"P5 2 2 255\n"[..], &[pixel; 4]].concat()).unwrap();
    }
    let [one, two] = ["one.pgm", "two.pgm"].map(|name| home.path(name).display().to_string());
    // After the second image the program is silent.
    let script = format!("cat {one} {two}; exec sleep 1000");
    home.add_tables(&format!(
        "[[source]]\nname = 'camera'\ncommand = ['sh', '-c', {script:?}]\nmax_rate = 2.0\n"
    ));
    let agent = home.start(&toy);
    let report = agent.until(|report| report.sources.last().is_some_and(|source| source.encoded == 2)).await;
    let source = report.sources.last().unwrap();
    assert_eq!((&source.name[..], source.captured, source.too_fast), ("camera", 2, 0));
    agent.stop();
    assert_eq!(home.frames().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_ended_the_agent_twice_is_set_aside_and_the_others_are_encoded() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let mut home = Home::new(NO_CLOUD);
    (1..=3).for_each(|pixel| home.put([pixel; 4]));
    // The record of two agents that have ended while they read the first file.
    let name = "000000.png";
    let metadata = fs::metadata(home.path("inbox").join(name)).unwrap();
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    let record = format!("2 {} {seconds} {nanoseconds} {} {name}\n", metadata.len(), name.len());
    let list = home.path("inbox/.lopside-reading");
    fs::write(&list, record).unwrap();

    let agent = home.start(&toy);
    let report = agent.until(|report| report.sources[0].encoded == 2 && report.sources[0].failed == 1).await;
    let error = report.sources[0].last_error.clone().unwrap();
    assert!(error.contains("the agent ended twice while it was reading") && error.contains(name), "{error}");
    assert!(home.path("inbox/refused").join(name).exists());
    agent.stop();
    assert_eq!(home.frames().len(), 2);
    // The two others were recorded while they were read, and no longer are.
    assert_eq!(fs::read_to_string(list).unwrap(), "");
}
