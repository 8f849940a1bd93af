//! Runs heads in 16-bit floats as the server does. `cargo xtask test` sets `ORT_DYLIB_PATH`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use lopside_bundle::{
    BundlePart, FixedLatentBundle,
    image_codec::{AnyBundle, ImageCodecBundle},
};
use lopside_decoder::{
    BatchSettings, DecodeRequest, Decoder, Device, ImageCodecDecoder, OutputFormat, OutputRequest,
    OutputValue, Registry, Runtime,
};
use lopside_latent::{
    IdOnWire, Limits,
    image_codec::{ImageCodecHeader, Quality},
};
use tempfile::TempDir;

fn runtime() -> Runtime {
    let library = env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`");
    Runtime::load(Path::new(&library), Device::Cpu, 1).unwrap()
}

/// Copies a bundle of the repository to a temporary folder and returns both paths.
fn copy(name: &str) -> (TempDir, PathBuf) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundles").join(name);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join(name);
    for file in walk(&source) {
        let copy = target.join(file.strip_prefix(&source).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&file, copy).unwrap();
    }
    (folder, target)
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn fp16(bundle: &Path, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_training"));
    command.arg("fp16").arg("--bundle").arg(bundle).args(options).output().unwrap()
}

/// Returns the peak signal-to-noise ratio in dB, for samples with a range of 1.
fn psnr(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    -10.0 * (sum / a.len() as f64).log10()
}

#[test]
fn a_fixed_latent_head_runs_in_both_versions() {
    let (_folder, bundle) = copy("fashion");
    let output = fp16(&bundle, &["--head", "reconstruct"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let loaded = FixedLatentBundle::load(&bundle, BundlePart::Whole).unwrap();
    let [new, old] = [&loaded.heads[0], &loaded.heads[1]];
    assert_eq!((new.spec.version, old.spec.version), (2, 1));
    let [small, large] = [new, old].map(|head| head.model.len() as f64);
    assert!(small < 0.55 * large, "{small} of {large} bytes");

    let registry =
        Registry::load(std::slice::from_ref(&bundle), &runtime(), BatchSettings::default()).unwrap();
    let decoder = Decoder::new(Arc::new(registry), Limits::default());
    let integers: Vec<i32> = (0..loaded.space.len() as i32).map(|index| index * 7 % 5 - 2).collect();
    let frames = [loaded.space.encode_integers(&integers, IdOnWire::Present).unwrap()];
    let requests = [None, Some(1)].map(|version| OutputRequest {
        head: "reconstruct".into(),
        version,
        format: OutputFormat::Tensor,
    });
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let request = DecodeRequest { outputs: &requests, ..DecodeRequest::new(&frames) };
    let [new, old] = tokio.block_on(decoder.decode(request)).unwrap().remove(0).try_into().unwrap();
    assert_eq!((new.version, old.version), (2, 1));
    let (OutputValue::Tensor { values: new, .. }, OutputValue::Tensor { values: old, .. }) =
        (new.value, old.value)
    else {
        panic!("the heads did not answer with tensors")
    };
    assert_ne!(new, old);
    let psnr = psnr(&new, &old);
    assert!(psnr > 60.0, "{psnr} dB");
}

#[test]
fn image_codec_heads_keep_their_quality() {
    let (_folder, folder) = copy("photo");
    let load = || -> ImageCodecBundle {
        let AnyBundle::ImageCodec(bundle) = AnyBundle::load(&folder, BundlePart::Whole).unwrap() else {
            panic!()
        };
        bundle
    };
    let before = load();
    let output = fp16(&folder, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let after = load();
    assert_eq!(after.heads.len(), 2 * before.heads.len());
    assert_eq!(after.manifest.latent_space, before.manifest.latent_space);

    let header =
        ImageCodecHeader { width: 90, height: 70, is_grey: false, quality: Quality::new(60).unwrap() };
    let layer = |layer: usize| {
        let count = before.space.layout().elements(layer, header.width, header.height);
        (0..count).map(|index| if index % 9 == 0 { (index * 31 % 7) as i16 - 3 } else { 0 }).collect()
    };
    let layers: Vec<Vec<i16>> = (0..before.manifest.layers.len()).map(layer).collect();
    let frame = before.space.encode_integers(header, &layers, IdOnWire::Present).unwrap();
    for head in &before.manifest.heads {
        let [old, new] = [&before, &after].map(|bundle| {
            let mut decoder = ImageCodecDecoder::new(&runtime(), bundle, &head.name).unwrap();
            decoder.decode(&frame).unwrap().to_rgb32f().into_raw()
        });
        let psnr = psnr(&new, &old);
        assert!(psnr > 50.0, "{}: {psnr} dB", head.name);
    }
}

#[test]
fn an_unknown_head_is_refused_with_the_known_names() {
    let (_folder, bundle) = copy("fashion");
    let before = fs::read(bundle.join("bundle.json")).unwrap();
    let output = fp16(&bundle, &["--head", "upscale"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("not have a head \"upscale\": use one of reconstruct"), "{error}");
    assert_eq!(fs::read(bundle.join("bundle.json")).unwrap(), before);
}
