//! A process that applies batches and is killed repeatedly while it does so.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use lopside_archive::{Archive, Batch, FrameQuery};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;

use crate::{batch, known, open};

const URL: &str = "LOPSIDE_ARCHIVE_TEST_URL";
const ROUND: &str = "LOPSIDE_ARCHIVE_TEST_ROUND";
const ROUNDS: u64 = 15;
const DEVICES: u64 = 6;
/// Number of records per batch. Batch `n` of a stream begins at number `n * SIZE + 1`.
const SIZE: u64 = 20;

fn device(index: u64) -> String {
    format!("device-{index}")
}

fn batch_of(index: u64, round: u64, part: u64) -> Batch {
    Batch { epoch: round, ..batch(&device(index), part * SIZE + 1, (part + 1) * SIZE) }
}

/// The process to be killed. Several devices apply batches and print on stdout those that were answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started and killed by the other test"]
async fn child() {
    let round: u64 = env::var(ROUND).unwrap().parse().unwrap();
    let archive = open(&env::var(URL).unwrap()).await;
    let mut devices = JoinSet::new();
    for index in 0..DEVICES {
        let archive = archive.clone();
        devices.spawn(async move {
            for part in 0.. {
                archive.apply(batch_of(index, round, part)).await.unwrap();
                // Written at once, so that the lines of the devices do not mix.
                let line = format!("applied {index} {part}\n");
                std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
            }
        });
    }
    devices.join_all().await;
}

fn start(url: &str, round: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--ignored", "--nocapture"])
        .env(URL, url)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs the child until it has answered this number of batches, and returns the answered ones, by device and
/// part.
fn run_and_kill(url: &str, round: u64, min_answers: usize) -> BTreeSet<(u64, u64)> {
    let mut process = start(url, round);
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut answered = BTreeSet::new();
    while answered.len() < min_answers {
        answered.extend(parse(&lines.next().unwrap().unwrap()));
    }
    process.kill().unwrap();
    // Lines that it printed before it was killed count as well.
    answered.extend(lines.map_while(Result::ok).filter_map(|line| parse(&line)));
    process.wait().unwrap();
    answered
}

fn parse(line: &str) -> Option<(u64, u64)> {
    let (device, part) = line.strip_prefix("applied ")?.split_once(' ')?;
    Some((device.parse().ok()?, part.parse().ok()?))
}

/// Returns the numbers of a device's frames of one round.
async fn archived(archive: &Archive, index: u64, round: u64) -> Vec<u64> {
    let mut query = FrameQuery { device: Some(device(index)), limit: 1000, ..FrameQuery::default() };
    let mut numbers = Vec::new();
    loop {
        let page = archive.list_frames(&query).await.unwrap();
        let frames = page.frames.iter().filter(|frame| frame.epoch == round);
        numbers.extend(frames.map(|frame| frame.number));
        query.after = page.next;
        if query.after.is_none() {
            numbers.sort_unstable();
            return numbers;
        }
    }
}

/// Checks that every answered batch is archived, that batches are complete, and that the watermark matches
/// the archived frames.
async fn check(archive: &Archive, round: u64, answered: &BTreeSet<(u64, u64)>) {
    for index in 0..DEVICES {
        let numbers = archived(archive, index, round).await;
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "device {index}");
        assert_eq!(numbers.len() as u64 % SIZE, 0, "device {index}: a batch is archived only in part");
        let parts = numbers.len() as u64 / SIZE;
        let last = answered.iter().filter(|(other, _)| *other == index).map(|(_, part)| *part).max();
        assert!(
            last.is_none_or(|last| last < parts),
            "device {index}: {last:?} was answered, but {parts} are archived"
        );
        // A device sends batches again that were not answered.
        for part in last.unwrap_or(0)..parts + 2 {
            let outcome = archive.apply(batch_of(index, round, part)).await.unwrap();
            let expected = if part < parts { (0, SIZE) } else { (SIZE, 0) };
            assert_eq!((outcome.applied, outcome.replayed), expected, "device {index}, part {part}");
        }
    }
}

#[tokio::test]
async fn answered_batches_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("archive.db");
    let url = path.display().to_string();
    let mut rng = StdRng::seed_from_u64(5);
    for round in 1..=ROUNDS {
        let answered = run_and_kill(&url, round, rng.random_range(1..150));
        let archive = open(&url).await;
        check(&archive, round, &answered).await;
        archive.close().await;
    }
    let archive = open(&url).await;
    for device in archive.devices().await.unwrap() {
        assert_eq!((device.applied, device.bytes), (device.frames, 10 * device.frames), "{}", device.name);
    }
    assert!(!known(&archive, &device(0), 0, 1).await.is_empty());
}
