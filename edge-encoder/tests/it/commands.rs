//! Tests of the commands with the bundle of an image codec.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, Output},
};

use super::support::{SMALL, hash};
use image::{Rgb, RgbImage};
use serde_json::Value as Json;

pub(super) fn test_image() -> RgbImage {
    RgbImage::from_fn(900, 60, |x, y| Rgb([0, 1, 2].map(|c| (x / 5 + y + hash(x * 60 + y + c) % 16) as u8)))
}

/// Creates a folder with a bundle and an image.
pub(super) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let _ = SMALL.bundle(&folder.path().join("bundle"));
    test_image().save(folder.path().join("view.ppm")).unwrap();
    folder
}

pub(super) fn edge(folder: &Path, command: &str, args: &[&str]) -> Output {
    let mut edge = Command::new(env!("CARGO_BIN_EXE_edge-encoder"));
    for name in ["LOPSIDE_BUNDLE", "LOPSIDE_CONFIG", "LOPSIDE_OUT", "LOPSIDE_QUALITY"] {
        edge.env_remove(name);
    }
    edge.current_dir(folder).arg(command).args(args).output().unwrap()
}

pub(super) fn json(output: &Output) -> Json {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_frame_of_an_image_codec_is_inspected() {
    let folder = folder();
    let encode =
        ["--bundle", "bundle", "--quality", "70", "--layers", "2", "--threads", "2", "--json", "view.ppm"];
    assert_eq!(json(&edge(folder.path(), "encode", &encode))["frames"], 1);
    let found = json(&edge(folder.path(), "inspect", &["--json", "out/view.lps"]));
    assert_eq!(
        (&found["version"], &found["quality"], &found["grey"]),
        (&2.into(), &70.into(), &false.into())
    );
    assert_eq!((&found["width"], &found["height"]), (&900.into(), &60.into()));
    assert_eq!(found["layers"].as_array().unwrap().len(), 2);
    assert_eq!(found["layers"][0]["integers"], Json::Null);
    let found = json(&edge(folder.path(), "inspect", &["--bundle", "bundle", "--json", "out/view.lps"]));
    assert_eq!(found["layers"][1]["integers"]["stride"], 16);
    let text = edge(folder.path(), "inspect", &["--bundle", "bundle", "out/view.lps"]).stdout;
    assert!(String::from_utf8(text).unwrap().contains("900×60 RGB, quality 70"));
}

#[test]
fn the_quality_comes_from_flag_or_file() {
    let folder = folder();
    fs::write(folder.path().join("edge.toml"), "bundle = 'bundle'\nquality = 20\n").unwrap();
    let quality = |args: &[&str]| {
        let args = [&["--config", "edge.toml", "view.ppm"], args].concat();
        assert!(edge(folder.path(), "encode", &args).status.success());
        json(&edge(folder.path(), "inspect", &["--json", "out/view.lps"]))["quality"].clone()
    };
    assert_eq!([quality(&[]), quality(&["--quality", "90"])], [20, 90]);
}

#[test]
fn bench_reports_figures_per_megapixel() {
    let folder = folder();
    let found = json(&edge(folder.path(), "bench", &["--bundle", "bundle", "--runs", "1", "--json"]));
    for key in ["median_model_ms_per_megapixel", "median_code_ms_per_megapixel", "megapixels_per_second"] {
        assert!(found[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert!((found["mean_megapixels"].as_f64().unwrap() - 1.0).abs() < 0.01);
}

#[test]
fn unsupported_options_are_refused() {
    let folder = folder();
    let refused = |args: &[&str]| {
        let output = edge(folder.path(), "encode", &[args, &["view.ppm"]].concat());
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let error = refused(&["--bundle", "bundle", "--layers", "7"]);
    assert!(error.contains("7 layers") && error.contains("1 to 3"), "{error}");
    let fixed_latent = concat!(env!("CARGO_MANIFEST_DIR"), "/../bundles/fashion");
    let error = refused(&["--bundle", fixed_latent, "--quality", "70"]);
    assert!(error.contains("--quality") && error.contains("fixed-latent"), "{error}");
    assert!(refused(&["--bundle", "bundle", "--quality", "0"]).contains("1..=100"));
}

/// Returns the names of the files in the folder `out`, with those of its folders.
fn outputs(folder: &Path) -> Vec<String> {
    fn collect(root: &Path, folder: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, names);
            } else {
                names.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let (mut names, root) = (Vec::new(), folder.join("out"));
    collect(&root, &root, &mut names);
    names.sort();
    names
}

#[test]
fn inputs_of_one_name_have_outputs_of_their_own() {
    let folder = folder();
    for part in ["a", "b"] {
        fs::create_dir(folder.path().join(part)).unwrap();
        test_image().save(folder.path().join(part).join("x.ppm")).unwrap();
    }
    test_image().save(folder.path().join("view.png")).unwrap();
    let inputs = ["--bundle", "bundle", "--json", "a/x.ppm", "b", "view.ppm", "view.png", "a"];
    let found = json(&edge(folder.path(), "encode", &inputs));
    assert_eq!((&found["frames"], &found["replaced"]), (&4.into(), &0.into()));
    assert_eq!(outputs(folder.path()), ["a/x.lps", "b/x.lps", "view.png.lps", "view.ppm.lps"]);
    // The same run replaces its files, and says so.
    assert_eq!(json(&edge(folder.path(), "encode", &inputs))["replaced"], 4);
}

#[test]
fn a_run_goes_on_after_inputs_that_fail_and_lists_them() {
    let folder = folder();
    let batch = folder.path().join("batch");
    fs::create_dir_all(batch.join("older")).unwrap();
    test_image().save(batch.join("1-good.ppm")).unwrap();
    fs::write(batch.join("2-bad.png"), "no image").unwrap();
    fs::copy(batch.join("1-good.ppm"), batch.join(OsStr::from_bytes(b"3-caf\xe9.ppm"))).unwrap();
    fs::copy(batch.join("1-good.ppm"), batch.join("4-bare")).unwrap();
    fs::write(batch.join("5-notes.txt"), "no image").unwrap();
    assert!(Command::new("mkfifo").arg(batch.join("6-pipe.png")).status().unwrap().success());
    let output = edge(folder.path(), "encode", &["--bundle", "bundle", "--json", "batch", "absent.png"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(outputs(folder.path()), ["1-good.lps", "3-caf%E9.lps", "4-bare.lps"]);
    let found: Json = serde_json::from_slice(&output.stdout).unwrap();
    let inputs = |key: &str| -> Vec<String> {
        let findings = found[key].as_array().unwrap().iter();
        findings.map(|finding| finding["input"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found["frames"], 3);
    assert_eq!(inputs("failed"), ["batch/2-bad.png", "batch/6-pipe.png", "absent.png"]);
    assert_eq!(inputs("skipped"), ["batch/5-notes.txt", "batch/older"]);
    let error = String::from_utf8(output.stderr).unwrap();
    for part in
        ["failed batch/2-bad.png: ", "failed absent.png: ", "skipped batch/5-notes.txt: ", "3 inputs failed"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(error.matches("batch/2-bad.png").count(), 1, "{error}");
}

#[test]
fn a_run_ends_when_no_output_can_be_written() {
    let folder = folder();
    fs::write(folder.path().join("out"), "a file and not a folder").unwrap();
    let output = edge(folder.path(), "encode", &["--bundle", "bundle", "view.ppm", "bundle/encoder.onnx"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("files that were not read, because the run ended early: 1"), "{error}");
}

#[test]
fn an_array_without_images_is_an_error() {
    let folder = folder();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 8, 8), }";
    let mut array = b"\x93NUMPY\x01\x00".to_vec();
    array.extend_from_slice(&118_u16.to_le_bytes());
    array.extend_from_slice(format!("{header:<117}\n").as_bytes());
    fs::write(folder.path().join("none.npy"), array).unwrap();
    fs::write(folder.path().join("none-idx3-ubyte"), [0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8])
        .unwrap();
    for (command, input) in [("encode", "none.npy"), ("encode", "none-idx3-ubyte"), ("bench", "none.npy")] {
        let output = edge(folder.path(), command, &["--bundle", "bundle", "--json", input]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains("contains no inputs"),
            "{command} {input}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn images_over_the_configured_limit_are_refused() {
    let folder = folder();
    RgbImage::new(1100, 1000).save(folder.path().join("large.ppm")).unwrap();
    let config = "bundle = 'bundle'\n[images]\nmax_megapixels = 1\n";
    fs::write(folder.path().join("edge.toml"), config).unwrap();
    let output = edge(folder.path(), "encode", &["--config", "edge.toml", "large.ppm", "view.ppm"]);
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("large.ppm") && error.contains("limit of 1000000 pixels"), "{error}");
    assert_eq!(outputs(folder.path()), ["view.lps"]);
}
