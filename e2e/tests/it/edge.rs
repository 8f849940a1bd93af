//! edge-encoder without a server: frames, inspection, configuration, errors.

use std::{fs, path::Path};

use lopside_e2e::{binary_command, frames_as_text, in_clone, run_failing, run_stdout};
use serde_json::Value;

const NAME: &str = "edge-encoder";

fn encode(inputs: &Path, out: &Path) -> String {
    run_stdout(
        binary_command(NAME)
            .arg("encode")
            .arg("--bundle")
            .arg(in_clone("bundles/fashion"))
            .arg("--out")
            .arg(out)
            .arg(inputs),
    )
}

/// The golden file has one line per sample: the name and the bytes of the frame. Other processors are checked
/// against the same file.
#[test]
fn the_frames_of_the_samples_match_the_golden_file() {
    let out = tempfile::tempdir().unwrap();
    encode(&in_clone("samples/fashion"), out.path());
    let lines = frames_as_text(out.path());
    assert_eq!(lines.lines().count(), 16);
    assert_eq!(lines, include_str!("../../golden/fashion-frames.txt"), "found:\n{lines}");
}

#[test]
fn every_kind_of_input_gives_the_same_frame() {
    let inputs = tempfile::tempdir().unwrap();
    let image = image::open(in_clone("samples/fashion/00-ankle-boot.png")).unwrap().to_luma8();
    image.save(inputs.path().join("a.png")).unwrap();
    image.save(inputs.path().join("b.pgm")).unwrap();
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28][..], image.as_raw()].concat();
    fs::write(inputs.path().join("c-idx3-ubyte"), idx).unwrap();
    fs::write(inputs.path().join("d.npy"), npy("|u1", "(28, 28)", image.as_raw())).unwrap();
    let floats: Vec<u8> =
        image.as_raw().iter().flat_map(|&sample| (f32::from(sample) / 255.0).to_le_bytes()).collect();
    fs::write(inputs.path().join("e.npy"), npy("<f4", "(1, 28, 28)", &floats)).unwrap();
    fs::write(inputs.path().join("not-a-picture.txt"), "left alone").unwrap();
    let out = tempfile::tempdir().unwrap();
    encode(inputs.path(), out.path());
    let frame = |name: &str| fs::read(out.path().join(name)).unwrap();
    for name in ["b.lps", "c-00000.lps", "d.lps", "e-00000.lps"] {
        assert_eq!(frame(name), frame("a.lps"), "{name}");
    }
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 5);
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), data].concat()
}

#[test]
fn a_large_colour_photograph_is_resized_and_greyed() {
    let inputs = tempfile::tempdir().unwrap();
    let save =
        |name: &str, image: &dyn Fn() -> image::DynamicImage| image().save(inputs.path().join(name)).unwrap();
    let colour = image::Rgb([123, 45, 67]);
    // ITU-R BT.709: 0.2126 R + 0.7152 G + 0.0722 B = 63.2.
    save("colour.png", &|| image::RgbImage::from_pixel(320, 200, colour).into());
    save("grey.pgm", &|| image::GrayImage::from_pixel(28, 28, image::Luma([63])).into());
    let halves = |width, height, dark: u8, light: u8| {
        image::GrayImage::from_fn(width, height, |x, _| {
            image::Luma([if x < width / 2 { dark } else { light }])
        })
    };
    save("large.png", &|| image::DynamicImage::from(halves(320, 200, 20, 220)).to_rgb8().into());
    save("small.pgm", &|| halves(28, 28, 20, 220).into());
    save("mirrored.pgm", &|| halves(28, 28, 220, 20).into());
    let out = tempfile::tempdir().unwrap();
    encode(inputs.path(), out.path());
    let frame = |name: &str| fs::read(out.path().join(name)).unwrap();
    assert_eq!(frame("colour.lps"), frame("grey.lps"));
    let integers = |name: &str| {
        let mut inspect = binary_command(NAME);
        inspect.arg("inspect").arg(out.path().join(name)).arg("--json");
        let inspection: Value =
            serde_json::from_str(&run_stdout(inspect.arg("--bundle").arg(in_clone("bundles/fashion"))))
                .unwrap();
        let integers = inspection["integers"].as_array().unwrap().iter();
        integers.map(|integer| integer.as_i64().unwrap()).collect::<Vec<_>>()
    };
    let largest_difference =
        |a: &str, b: &str| integers(a).iter().zip(integers(b)).map(|(a, b)| (a - b).abs()).max().unwrap();
    // The filter mixes only the two columns beside the edge.
    assert!(largest_difference("large.lps", "small.lps") <= 1);
    assert!(largest_difference("large.lps", "mirrored.lps") > 1);
}

#[test]
fn inspect_shows_the_contents_of_a_frame_and_refuses_a_damaged_one() {
    let out = tempfile::tempdir().unwrap();
    encode(&in_clone("samples/fashion/00-ankle-boot.png"), out.path());
    let frame = out.path().join("00-ankle-boot.lps");
    let inspect = |with_bundle: bool| {
        let mut command = binary_command(NAME);
        command.arg("inspect").arg(&frame).arg("--json");
        if with_bundle {
            command.arg("--bundle").arg(in_clone("bundles/fashion"));
        }
        command
    };
    let plain: Value = serde_json::from_str(&run_stdout(&mut inspect(false))).unwrap();
    assert_eq!(plain["shape"], serde_json::json!([32]));
    assert_eq!(plain["bytes"], fs::metadata(&frame).unwrap().len());
    assert_eq!(plain["integers"], Value::Null);
    let full: Value = serde_json::from_str(&run_stdout(&mut inspect(true))).unwrap();
    assert_eq!(full["integers"].as_array().unwrap().len(), 32);

    let mut bytes = fs::read(&frame).unwrap();
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    fs::write(&frame, bytes).unwrap();
    assert!(run_failing(&mut inspect(false)).contains("damaged in transit"));
}

#[test]
fn settings_come_from_flags_then_the_environment_then_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let bundle = in_clone("bundles/fashion").canonicalize().unwrap();
    fs::write(path("edge.toml"), format!("bundle = {bundle:?}\nout = {:?}\n", path("file"))).unwrap();
    let command = || {
        let mut command = binary_command(NAME);
        command.env("LOPSIDE_CONFIG", path("edge.toml"));
        command.arg("encode").arg(in_clone("samples/fashion/00-ankle-boot.png"));
        command
    };
    let _ = run_stdout(&mut command());
    let _ = run_stdout(command().env("LOPSIDE_OUT", path("env")));
    let _ = run_stdout(command().env("LOPSIDE_OUT", path("env2")).arg("--out").arg(path("flag")));
    for (name, exists) in [("file", true), ("env", true), ("flag", true), ("env2", false)] {
        assert_eq!(path(name).join("00-ankle-boot.lps").is_file(), exists, "{name}");
    }
}

#[test]
fn refusals_name_the_cause_and_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("broken.png"), "no picture").unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let sample = in_clone("samples/fashion/00-ankle-boot.png");
    let bundle = in_clone("bundles/fashion");
    let cases = [
        (None, sample.clone(), "--bundle DIR"),
        (Some(folder.path().to_owned()), sample.clone(), "no bundle.json"),
        (Some(bundle.clone()), folder.path().join("broken.png"), "broken.png"),
        (Some(bundle.clone()), folder.path().join("empty"), "no images found in"),
        (Some(bundle.clone()), folder.path().join("absent.png"), "absent.png"),
        (Some(bundle), in_clone("Cargo.toml"), ".png"),
    ];
    for (bundle, input, expected) in cases {
        let mut command = binary_command(NAME);
        command.arg("encode").arg("--out").arg(folder.path().join("out")).arg(input);
        if let Some(bundle) = bundle {
            command.arg("--bundle").arg(bundle);
        }
        let error = run_failing(&mut command);
        assert!(error.contains(expected) && error.lines().count() == 1, "{expected}: {error}");
    }
}

#[test]
fn bench_measures_every_stage() {
    let text = run_stdout(
        binary_command(NAME)
            .args(["bench", "--runs", "20", "--json", "--bundle"])
            .arg(in_clone("bundles/fashion"))
            .arg(in_clone("samples/fashion")),
    );
    let figures: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(figures["inputs"], 16);
    for key in ["median_model_us", "median_code_us", "median_total_us", "mean_frame_bytes"] {
        assert!(figures[key].as_f64().unwrap() > 0.0, "{key}");
    }
}
