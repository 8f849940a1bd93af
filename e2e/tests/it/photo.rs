//! A photo model from scratch: a tiny training run on synthetic photographs, which is resumed and calibrated.
//! The decoder is trained further, another decoder is trained for twice the size, and frames pass through
//! both binaries.

use std::{fs, path::Path};

use image::{DynamicImage, Rgb, RgbImage, imageops::FilterType};
use lopside_e2e::{CloudDecoder, binary_command, run_failing, run_stdout};
use lopside_quality::psnr;
use serde_json::Value;

/// Returns smooth gradients with edges and some noise, at positions that depend on `seed`.
fn photograph(seed: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = ((x + 37 * seed) as f32 / 61.0).sin() * ((y + 11 * seed) as f32 / 47.0).cos();
        let edge = if (x + y / 2 + 50 * seed) % 190 < 60 { 40.0 } else { 0.0 };
        let noise = (x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ seed) % 13;
        let grey = 110.0 + 70.0 * wave + edge + noise as f32;
        Rgb([grey, grey * 0.8 + 20.0, 220.0 - grey * 0.6].map(|v| v.clamp(0.0, 255.0) as u8))
    })
}

fn photographs(folder: &Path) {
    for seed in 0..4 {
        photograph(seed, 640, 560).save(folder.join(format!("photo-{seed}.png"))).unwrap();
    }
}

fn train(photos: &Path, run: &Path, args: &[&str]) {
    let mut command = binary_command("training");
    command.args(["train", "--preset", "photo", "--photos"]).arg(photos).arg("--run").arg(run);
    let options = ["--width", "8", "--blocks", "1", "--batch", "2", "--crop", "64", "--steps", "6"];
    let _ = run_stdout(command.args(options).args(args));
}

fn metrics(run: &Path) -> Value {
    serde_json::from_slice(&fs::read(run.join("metrics.json")).unwrap()).unwrap()
}

#[test]
fn a_photo_model_is_trained_calibrated_and_served() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, uninterrupted, resumed) =
        (folder.path().join("photos"), folder.path().join("whole"), folder.path().join("parts"));
    fs::create_dir(&photos).unwrap();
    photographs(&photos);
    train(&photos, &uninterrupted, &[]);
    train(&photos, &resumed, &["--until", "3"]);
    train(&photos, &resumed, &["--resume"]);
    let last = |run: &Path| metrics(run)["points"].as_array().unwrap().last().unwrap()["psnr"].clone();
    assert_eq!(
        last(&uninterrupted),
        last(&resumed),
        "a resumed training run must end like an uninterrupted one"
    );

    let bundle = folder.path().join("bundle");
    let mut calibrate = binary_command("training");
    calibrate.args(["calibrate", "--run"]).arg(&uninterrupted).arg("--photos").arg(&photos);
    let _ = run_stdout(calibrate.arg("--out").arg(&bundle));
    let manifest: Value = serde_json::from_slice(&fs::read(bundle.join("bundle.json")).unwrap()).unwrap();
    let cost = manifest["encoder"]["cost"]["macs_per_pixel"].as_f64().unwrap();
    assert!(cost <= 1200.0, "{cost}");
    let fast = manifest["encoder"]["fast"]["cost"]["macs_per_pixel"].as_f64().unwrap();
    assert!(fast * 10.0 < cost, "{fast}");

    let mut finetune = binary_command("training");
    finetune.args(["finetune-decoder", "--run"]).arg(&uninterrupted).arg("--bundle").arg(&bundle);
    finetune.arg("--photos").arg(&photos).arg("--out").arg(folder.path().join("finetuned"));
    let _ = run_stdout(finetune.args(["--steps", "4", "--batch", "2", "--crop", "64"]));
    let after: Value = serde_json::from_slice(&fs::read(bundle.join("bundle.json")).unwrap()).unwrap();
    assert_eq!(after["latent_space"], manifest["latent_space"]);
    assert_eq!(after["encoder"], manifest["encoder"]);
    let versions: Vec<_> =
        after["heads"].as_array().unwrap().iter().map(|head| head["version"].clone()).collect();
    assert_eq!(versions, [2, 1]);

    upscale(&photos, &uninterrupted, &bundle, &folder.path().join("upscaled"));
    let image_path = folder.path().join("new.png");
    photograph(9, 333, 251).save(&image_path).unwrap();
    let cloud = CloudDecoder::start(&[&bundle]);
    let out = folder.path().join("out");
    let mut bytes = Vec::new();
    let settings: [(&[&str], f64); 3] =
        [(&["--quality", "20"], 26.0), (&["--quality", "80"], 36.0), (&["--quality", "20", "--fast"], 25.0)];
    for (options, min_psnr) in settings {
        let mut send = binary_command("edge-encoder");
        send.arg("send").args(options).arg("--endpoint").arg(&cloud.url).arg("--bundle").arg(&bundle);
        let _ = run_stdout(send.arg("--out").arg(&out).arg(&image_path));
        let (before, after) = (image::open(&image_path).unwrap(), image::open(out.join("new.png")).unwrap());
        let psnr = psnr(&before, &DynamicImage::from(after.to_rgb8())).unwrap();
        assert!(psnr > min_psnr, "{options:?}: {psnr} dB");
        let report: Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
        bytes.push(report["pictures"][0]["frame_bytes"].as_u64().unwrap());
    }
    assert!(bytes[0] * 3 < bytes[1], "{bytes:?}");
    // The fast encoder omits the finest bands.
    assert!(bytes[2] < bytes[0] * 11 / 10, "{bytes:?}");
    check_upscaled(&cloud, &bundle, &image_path, &out);
}

/// Adds the head `upscale` and checks that the rest of the bundle is unchanged.
fn upscale(photos: &Path, start: &Path, bundle: &Path, run: &Path) {
    let manifest = || -> Value {
        let text = fs::read_to_string(bundle.join("bundle.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let before = manifest();
    let command = |until: &str| {
        let mut command = binary_command("training");
        command.args(["upscale", "--run"]).arg(start).arg("--bundle").arg(bundle).arg("--out").arg(run);
        command.args(["--steps", "4", "--batch", "2", "--crop", "64", "--blocks", "1", "--until", until]);
        command.arg("--photos").arg(photos);
        command
    };
    let table = run_stdout(&mut command("2"));
    assert!(table.lines().any(|line| line.starts_with("| 45 | ")), "{table}");
    let _ = run_stdout(command("4").arg("--resume"));
    let after = manifest();
    for key in ["latent_space", "encoder", "contexts", "quantiser"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    let heads = |manifest: &Value| manifest["heads"].as_array().unwrap().clone();
    let old_count = heads(&before).len();
    assert_eq!(heads(&after)[..old_count], heads(&before));
    let added: Vec<_> = heads(&after)[old_count..]
        .iter()
        .map(|head| (head["name"].clone(), head["version"].clone(), head["scale"].clone()))
        .collect();
    assert_eq!(added, [("upscale".into(), 2.into(), 2.into()), ("upscale".into(), 1.into(), 2.into())]);
    let card = fs::read_to_string(bundle.join("README.md")).unwrap();
    assert_eq!(card.matches("## Twice the size").count(), 1);
    assert!(card.contains("training -- upscale") && card.contains(table.lines().next().unwrap()), "{card}");
}

/// Checks that an image with odd sides is returned at twice the size.
fn check_upscaled(cloud: &CloudDecoder, bundle: &Path, image_path: &Path, out: &Path) {
    let mut send = binary_command("edge-encoder");
    send.args(["send", "--head", "upscale", "--endpoint", &cloud.url, "--bundle"]).arg(bundle);
    let report = run_stdout(send.arg("--json").arg("--out").arg(out).arg(image_path));
    let row = serde_json::from_str::<Value>(&report).unwrap()["pictures"][0].clone();
    assert!(row["frame_bytes"].as_u64().unwrap() > 0 && row.get("psnr_db").is_none(), "{row}");
    let (small, large) = (image::open(image_path).unwrap(), image::open(out.join("new.png")).unwrap());
    assert_eq!((large.width(), large.height()), (2 * 333, 2 * 251));
    let enlarged = small.resize_exact(large.width(), large.height(), FilterType::CatmullRom);
    let psnr = psnr(&enlarged, &DynamicImage::from(large.to_rgb8())).unwrap();
    assert!(psnr > 28.0, "{psnr} dB");
    let mut send = binary_command("edge-encoder");
    send.args(["send", "--head", "sharpen", "--endpoint", &cloud.url, "--bundle"]).arg(bundle);
    let error = run_failing(send.arg("--out").arg(out).arg(image_path));
    assert!(error.contains("sharpen") && error.contains("upscale"), "{error}");
}
