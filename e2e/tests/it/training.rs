//! A tiny training run through the real binary, on shifted sample images: every step, resuming, and identical
//! bytes from the same seed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lopside_e2e::{binary_command, in_clone, run_command, run_failing, run_stdout};
use serde_json::Value;
use tempfile::TempDir;

/// Maximum shift of the training images: every sample, moved by −2 to 2 pixels in both directions.
const SHIFTS: i64 = 2;

/// Writes the four IDX files into a temporary folder.
fn data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut paths: Vec<_> =
        fs::read_dir(in_clone("samples/fashion")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let samples: Vec<_> = paths.iter().map(|path| image::open(path).unwrap().to_luma8()).collect();
    let shifted = |dx: i64, dy: i64| {
        samples.iter().map(move |sample| {
            let mut canvas = image::GrayImage::new(28, 28);
            image::imageops::overlay(&mut canvas, sample, dx, dy);
            canvas.into_raw()
        })
    };
    let train: Vec<Vec<u8>> = (-SHIFTS..=SHIFTS)
        .flat_map(|dx| (-SHIFTS..=SHIFTS).flat_map(move |dy| shifted(dx, dy).collect::<Vec<_>>()))
        .collect();
    write(folder.path(), "train", &train);
    write(folder.path(), "t10k", &shifted(0, 0).collect::<Vec<_>>());
    folder
}

fn write(folder: &Path, prefix: &str, samples: &[Vec<u8>]) {
    let count = (samples.len() as u32).to_be_bytes();
    let images = [&[0, 0, 8, 3][..], &count, &28_u32.to_be_bytes(), &28_u32.to_be_bytes(), &samples.concat()];
    fs::write(folder.join(format!("{prefix}-images-idx3-ubyte")), images.concat()).unwrap();
    let labels = [&[0, 0, 8, 1][..], &count, &vec![0; samples.len()]];
    fs::write(folder.join(format!("{prefix}-labels-idx1-ubyte")), labels.concat()).unwrap();
}

fn training(step: &str, data: &Path, run: &Path) -> Command {
    let mut command = binary_command("training");
    command.arg(step).arg("--data").arg(data).arg("--run").arg(run);
    command
}

/// Returns all files of a bundle by name.
fn files(bundle: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let names = ["bundle.json", "encoder.onnx", "tables.bin", "heads/reconstruct-1.onnx", "README.md"];
    names.iter().map(|name| ((*name).into(), fs::read(bundle.join(name)).unwrap())).collect()
}

fn bundle(data: &Path, folder: &Path, args: &[&str]) -> BTreeMap<PathBuf, Vec<u8>> {
    let out = folder.join("bundle");
    let mut command = training("bundle", data, &folder.join("run"));
    let text = run_stdout(command.args(["--epochs", "4", "--batch", "16"]).args(args).arg("--out").arg(&out));
    assert!(text.contains("through real frames") && text.contains("PCA, 32 components"), "{text}");
    files(&out)
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let data = data();
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let first = bundle(data.path(), folders[0].path(), &["--seed", "5"]);
    let repeated = bundle(data.path(), folders[1].path(), &["--seed", "5"]);
    let other = bundle(data.path(), folders[2].path(), &["--seed", "6"]);
    assert!(first == repeated, "the bundles of one seed differ");
    assert_ne!(first[Path::new("encoder.onnx")], other[Path::new("encoder.onnx")]);

    let run = folders[0].path().join("run");
    let metrics: Value =
        serde_json::from_str(&fs::read_to_string(run.join("metrics.json")).unwrap()).unwrap();
    let losses: Vec<f64> = metrics["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epoch| epoch["train_loss"].as_f64().unwrap())
        .collect();
    assert_eq!(losses.len(), 4);
    assert!(losses[3] < 0.7 * losses[0], "{losses:?}");
    assert!(fs::read_to_string(run.join("loss.svg")).unwrap().contains("<svg"));
    let evaluation: Value =
        serde_json::from_str(&fs::read_to_string(run.join("evaluation.json")).unwrap()).unwrap();
    assert_eq!(evaluation["encoder"]["macs"], 784 * 256 + 256 * 32);
    assert_eq!(evaluation["decoder"]["macs"], 32 * 128 + 128 * 256 + 256 * 784);
    assert!(evaluation["frame"]["mean"].as_f64().unwrap() < 32.0, "{evaluation}");
}

#[test]
fn a_resumed_training_ends_where_an_uninterrupted_one_does() {
    let data = data();
    let (uninterrupted, resumed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let train = |run: &Path, args: &[&str]| {
        run_command(training("train", data.path(), run).args(["--epochs", "3", "--loss", "bce"]).args(args))
    };
    assert!(train(uninterrupted.path(), &[]).status.success());
    // The second run is killed as soon as it has saved an epoch.
    let mut interrupted = training("train", data.path(), resumed.path());
    let mut child = interrupted.args(["--epochs", "3", "--loss", "bce"]).spawn().unwrap();
    while !resumed.path().join("metrics.json").is_file() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait().unwrap();
    assert!(train(resumed.path(), &["--resume"]).status.success());
    for run in [uninterrupted.path(), resumed.path()] {
        assert!(run_command(binary_command("training").args(["export", "--run"]).arg(run)).status.success());
    }
    let model = |run: &Path| fs::read(run.join("whole.onnx")).unwrap();
    assert!(model(uninterrupted.path()) == model(resumed.path()), "the models differ");

    let other = train(resumed.path(), &["--resume", "--seed", "9"]);
    let error = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!other.status.success() && error.contains("was trained with"), "{error}");
}

#[test]
fn missing_files_are_reported_with_the_step_that_creates_them() {
    let empty = tempfile::tempdir().unwrap();
    let run = empty.path().join("run");
    let cases = [
        (run_failing(&mut training("train", empty.path(), &run)), "apt-get install dataset-fashion-mnist"),
        (run_failing(binary_command("training").args(["export", "--run"]).arg(&run)), "training train --run"),
        (
            run_failing(
                binary_command("training")
                    .args(["evaluate", "--bundle"])
                    .arg(&run)
                    .arg("--data")
                    .arg(data().path()),
            ),
            "no bundle.json",
        ),
        (run_failing(training("train", data().path(), &run).args(["--device", "wgpu"])), "--features wgpu"),
    ];
    for (error, expected) in cases {
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
