//! Tests of writing, loading and refusing bundles.

use std::{fs, path::Path};

use lopside_bundle::{
    AnyManifest, BundleError, BundlePart, Channels, Digest, Dim, FixedLatentBundle, FixedLatentDraft,
    FixedLatentDraftHead, FixedLatentLayerSpec, FixedLatentManifest, GoldenInputDraft, HeadKind, ImageSpec,
    InputSpec, ModelCost, Quantiles, ScorePartSource, ScorePartSpec, ScoreSpec, TensorSpec, TimeSeriesSpec,
    add_version, fixed_latent_space_id, put_golden_inputs,
};
use lopside_latent::{LatentError, Table, Tables};
use lopside_onnx::{encode_model, proto::ModelProto};
use tempfile::TempDir;

fn tensor(name: &str, extent: u32) -> TensorSpec {
    TensorSpec { name: name.into(), shape: vec![Dim::Symbol("n".into()), Dim::Fixed(extent)] }
}

fn picture() -> ImageSpec {
    ImageSpec::with_uniform_range(2, 2, Channels::Grey, 0.0, 1.0)
}

/// Returns a model without a graph that can be told apart from others.
fn model(name: &str) -> Vec<u8> {
    encode_model(&ModelProto { producer_name: Some(name.into()), ..ModelProto::default() })
}

pub(crate) fn draft() -> FixedLatentDraft {
    FixedLatentDraft {
        name: "toy".into(),
        description: "Two values for four pixels".into(),
        input: InputSpec::Picture(picture()),
        encoder: model("encoder"),
        input_tensor: tensor("image", 4),
        encoder_cost: ModelCost { parameters: 10, macs: 8 },
        latent: vec![FixedLatentLayerSpec { tensor: tensor("latent", 2), gains: vec![4.0, 0.1] }],
        tables: Tables::new(vec![Table::from_counts(-1, &[1, 2, 1]).unwrap(); 2]).unwrap(),
        heads: vec![
            FixedLatentDraftHead {
                name: "reconstruct".into(),
                version: 1,
                kind: HeadKind::Reconstruct(picture()),
                model: model("decoder"),
                inputs: vec!["latent".into()],
                output: tensor("reconstruction", 4),
                cost: ModelCost { parameters: 12, macs: 8 },
            },
            FixedLatentDraftHead {
                name: "classify".into(),
                version: 1,
                kind: HeadKind::Classify { labels: vec!["cat".into(), "dog".into(), "owl".into()] },
                model: model("classifier"),
                inputs: vec!["latent".into()],
                output: tensor("logits", 3),
                cost: ModelCost { parameters: 9, macs: 6 },
            },
        ],
    }
}

fn written() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    draft().write(folder.path(), "# Toy\n").unwrap();
    folder
}

/// Changes the text of the manifest and returns the error message of loading it.
fn after_edit(old: &str, new: &str) -> String {
    let folder = written();
    let path = folder.path().join("bundle.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{old} is not in {text}");
    fs::write(&path, text.replacen(old, new, 1)).unwrap();
    FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap_err().to_string()
}

fn after_file(name: &str, change: impl Fn(&Path)) -> BundleError {
    let folder = written();
    change(&folder.path().join(name));
    FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap_err()
}

#[test]
fn the_manifest_is_golden() {
    // The golden file has the digests of these bytes.
    let mut draft = FixedLatentDraft { encoder: b"encoder model".to_vec(), ..draft() };
    for (head, model) in draft.heads.iter_mut().zip(["decoder model", "classifier model"]) {
        head.model = model.into();
    }
    let folder = tempfile::tempdir().unwrap();
    draft.write(folder.path(), "# Toy\n").unwrap();
    let text = fs::read_to_string(folder.path().join("bundle.json")).unwrap();
    assert_eq!(text, include_str!("../golden/bundle.json"));
}

#[test]
fn a_written_bundle_is_loaded() {
    let folder = written();
    let bundle = FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap();
    assert_eq!(bundle.encoder, model("encoder"));
    assert_eq!(bundle.space.id(), draft().latent_space());
    assert_eq!(bundle.space.tables(), &draft().tables);
    assert_eq!(bundle.heads[1].model, model("classifier"));
    assert_eq!(bundle.manifest.heads.len(), 2);
}

#[test]
fn each_host_reads_only_its_part() {
    let folder = written();
    fs::remove_dir_all(folder.path().join("heads")).unwrap();
    assert!(FixedLatentBundle::load(folder.path(), BundlePart::Encoder).unwrap().heads.is_empty());
    assert!(matches!(FixedLatentBundle::load(folder.path(), BundlePart::Heads), Err(BundleError::Io { .. })));

    let folder = written();
    fs::remove_file(folder.path().join("encoder.onnx")).unwrap();
    assert_eq!(FixedLatentBundle::load(folder.path(), BundlePart::Heads).unwrap().heads.len(), 2);
    assert!(matches!(
        FixedLatentBundle::load(folder.path(), BundlePart::Encoder),
        Err(BundleError::Io { .. })
    ));
}

#[test]
fn a_changed_file_is_named() {
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[0] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    for name in
        ["encoder.onnx", "tables.bin", "heads/reconstruct-1.onnx", "heads/classify-1.onnx", "README.md"]
    {
        assert!(
            matches!(after_file(name, flip), BundleError::DigestMismatch { path, .. } if path == name),
            "{name}"
        );
    }
    let lengthen = |path: &Path| fs::write(path, [0; 100]).unwrap();
    assert!(matches!(after_file("encoder.onnx", lengthen), BundleError::LengthMismatch { expected: 9, .. }));
}

#[test]
fn paths_outside_the_folder_are_refused() {
    for path in ["../encoder.onnx", "/etc/passwd", "heads/../../x", "./encoder.onnx", "", "..\\\\x"] {
        let error = after_edit("\"encoder.onnx\"", &format!("\"{path}\""));
        assert!(error.contains("not a plain relative path"), "{path}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_out_of_the_folder_is_refused() {
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    fs::write(elsewhere.path(), model("encoder")).unwrap();
    let error = after_file("encoder.onnx", |path| {
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), path).unwrap();
    });
    assert!(matches!(error, BundleError::PathOutside { .. }), "{error}");
}

#[test]
fn each_defect_of_the_manifest_is_named() {
    let cases = [
        ("\"schema\": 1", "\"schema\": 2", "schema 2, but this build reads 1"),
        ("\"schema\": 1", "\"schema\": 1, \"extra\": 0", "unknown field `extra`"),
        ("\"name\": \"toy\"", "\"name\": \"Toy!\"", "name: \"Toy!\""),
        ("\"latent_space\": \"", "\"latent_space\": \"x", "latent-space id must be 16"),
        ("\"low\": [\n        0.0", "\"low\": [\n        1.0", "low must be below high"),
        ("\"low\": [", "\"low\": [ -1.0, ", "one per channel"),
        ("\"inputs\": [\n        \"latent\"", "\"inputs\": [\n        \"other\"", "heads[0].inputs"),
        ("\"width\": 2", "\"width\": 3", "encoder.input.shape"),
        ("4.0,", "5.0,", "give"),
        ("\"cat\",", "", "heads[1].output.shape"),
        ("\"name\": \"classify\"", "\"name\": \"reconstruct\"", "version 1 twice"),
        ("\"sha256\": \"", "\"sha256\": \"0", "encoder.model.sha256"),
    ];
    for (old, new, expected) in cases {
        let error = after_edit(old, new);
        assert!(error.contains(expected), "{old} → {new}: {error}");
    }
}

#[test]
fn a_folder_without_a_manifest_is_no_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let error = FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap_err();
    assert!(matches!(error, BundleError::NoManifest { .. }));
}

#[test]
fn the_latent_space_id_depends_on_everything_that_defines_it() {
    let base = draft().latent_space();
    let changed: [fn(&mut FixedLatentDraft); 4] = [
        |d| d.encoder.push(0),
        |d| d.input = InputSpec::Picture(ImageSpec { high: vec![2.0], ..picture() }),
        |d| d.latent[0].gains[1] = 0.2,
        |d| d.tables = Tables::new(vec![Table::from_counts(-1, &[1, 2, 2]).unwrap(); 2]).unwrap(),
    ];
    for change in changed {
        let mut draft = draft();
        change(&mut draft);
        assert_ne!(draft.latent_space(), base);
    }
    let mut heads = draft();
    heads.heads.pop();
    assert_eq!(heads.latent_space(), base, "heads are not part of the latent space");
}

#[test]
fn a_manifest_survives_json() {
    let folder = written();
    let text = fs::read_to_string(folder.path().join("bundle.json")).unwrap();
    let manifest: FixedLatentManifest = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string_pretty(&manifest).unwrap() + "\n", text);
}

/// Returns a draft with windows of a time series, a latent of two layers, and a score head.
fn scored() -> FixedLatentDraft {
    let quantiles = Quantiles::from_samples(&[1.0, 2.0, 3.0], 3).unwrap();
    let part = |name: &str, source| ScorePartSpec {
        name: name.into(),
        source,
        weight: 1.0,
        mean: 0.5,
        deviation: 2.0,
        quantiles: quantiles.clone(),
    };
    let parts = vec![
        part("bits", ScorePartSource::Bits),
        part("re-encoding", ScorePartSource::Column(0)),
        part("error", ScorePartSource::Error),
    ];
    let series = TimeSeriesSpec {
        length: 2,
        stride: 1,
        channels: vec!["volts".into(), "amperes".into()],
        mean: vec![0.0, 1.0],
        deviation: vec![1.0, 2.0],
    };
    let map = |name: &str| TensorSpec {
        shape: vec![Dim::Symbol("n".into()), Dim::Fixed(2), Dim::Fixed(3)],
        ..tensor(name, 0)
    };
    let score = ScoreSpec {
        parts,
        quantiles: quantiles.clone(),
        quantiles_with_input: Some(quantiles),
        threshold: 0.99,
        reconstruction: Some(tensor("reconstruction", 4)),
    };
    let mut draft = draft();
    draft.input = InputSpec::Series(series.clone());
    draft.latent.push(FixedLatentLayerSpec { tensor: map("tap.edges"), gains: vec![1.0, 2.0] });
    draft.tables = Tables::new(vec![Table::from_counts(-1, &[1, 2, 1]).unwrap(); 4]).unwrap();
    draft.heads[0].kind = HeadKind::Series(series);
    draft.heads[0].inputs.push("tap.edges".into());
    draft.heads[1].kind = HeadKind::Score(score);
    draft.heads[1].output = tensor("scores", 1);
    draft
}

#[test]
fn windows_layers_and_scores_survive_writing_and_loading() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = scored().write(folder.path(), "# Toy\n").unwrap();
    let bundle = FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap();
    assert_eq!(bundle.manifest, manifest);
    assert_eq!((bundle.space.layers().len(), bundle.space.len(), bundle.space.prefix_len(1)), (2, 8, 2));
    assert_eq!(bundle.space, scored().build_space().unwrap());
}

#[test]
fn each_defect_of_a_series_a_layer_or_a_score_is_named() {
    type Change = fn(&mut FixedLatentDraft);
    fn score(draft: &mut FixedLatentDraft) -> &mut ScoreSpec {
        match &mut draft.heads[1].kind {
            HeadKind::Score(score) => score,
            other => panic!("{other:?}"),
        }
    }
    fn series(draft: &mut FixedLatentDraft) -> &mut TimeSeriesSpec {
        match &mut draft.input {
            InputSpec::Series(series) => series,
            other => panic!("{other:?}"),
        }
    }
    let cases: [(Change, &str); 15] = [
        (|d| series(d).mean.push(0.0), "one per channel"),
        (|d| series(d).deviation[0] = 0.0, "positive"),
        (|d| series(d).stride = 0, "stride"),
        (|d| series(d).length = 3, "encoder.input.shape"),
        (|d| d.latent.clear(), "latent: a latent"),
        (|d| d.latent[1].tensor.name = "latent".into(), "twice"),
        (|d| d.heads[0].inputs.reverse(), "heads[0].inputs"),
        (|d| score(d).parts[1].source = ScorePartSource::Column(1), "heads[1].kind.parts"),
        (|d| score(d).parts[0].source = ScorePartSource::Column(0), "different sources"),
        (|d| score(d).quantiles_with_input = None, "quantiles_with_input"),
        (|d| score(d).reconstruction = None, "reconstruction"),
        (|d| score(d).reconstruction = Some(tensor("reconstruction", 3)), "kind.reconstruction.shape"),
        (|d| drop(score(d).parts.remove(1)), "one part must be a column"),
        (|d| score(d).threshold = 1.5, "threshold"),
        (|d| score(d).parts[0].deviation = 0.0, "deviation"),
    ];
    for (change, expected) in cases {
        let mut draft = scored();
        change(&mut draft);
        let error = draft.write(tempfile::tempdir().unwrap().path(), "").unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let mut uneven = scored();
    uneven.latent[1].gains.push(1.0);
    assert!(matches!(
        uneven.build_space(),
        Err(BundleError::Latent(LatentError::UnevenRuns { .. } | LatentError::CountMismatch { .. }))
    ));
}

/// Checks the ids listed in `proto/FRAME.md`, all for an empty encoder and an empty table file.
#[test]
fn latent_space_ids_are_golden() {
    let image = ImageSpec {
        low: vec![0.0, -1.0, -2.0],
        high: vec![1.0, 1.0, 2.0],
        ..ImageSpec::with_uniform_range(2, 1, Channels::Rgb, 0.0, 1.0)
    };
    let series = TimeSeriesSpec {
        length: 3,
        stride: 2,
        channels: vec!["volts".into(), "amperes".into()],
        mean: vec![10.0, -1.0],
        deviation: vec![2.0, 0.5],
    };
    let layer = |values: u32, gains: &[f32]| FixedLatentLayerSpec {
        tensor: tensor("z", values),
        gains: gains.to_vec(),
    };
    let (plain, maps, base) =
        (layer(3, &[4.0, 2.0, 0.5]), layer(12, &[1.0, 0.5]), layer(4, &[4.0, 4.0, 4.0, 4.0]));
    let cases = [
        (InputSpec::Picture(image), vec![plain.clone()], "f25ba1a402a6b87a"),
        (InputSpec::Series(series), vec![plain.clone()], "1c5aae27c2bf3184"),
        (InputSpec::Tensor {}, vec![plain], "c289a96bb3e0f739"),
        (InputSpec::Tensor {}, vec![maps.clone()], "63afd775b8f958af"),
        (InputSpec::Tensor {}, vec![base, maps], "d1fe3b2bc28db246"),
    ];
    let empty = Digest::of(b"");
    let x =
        TensorSpec { shape: vec![Dim::Symbol("n".into()), Dim::Fixed(2), Dim::Fixed(3)], ..tensor("x", 0) };
    for (input, latent, expected) in cases {
        let id = fixed_latent_space_id(&empty, &empty, &input, &x, &latent);
        assert_eq!(id.to_string(), expected, "{input:?} {latent:?}");
    }
}

#[test]
fn a_new_version_comes_before_the_earlier_ones_and_changes_nothing_else() {
    let folder = written();
    assert_eq!(add_version(folder.path(), "reconstruct", &model("second")).unwrap(), 2);
    assert_eq!(add_version(folder.path(), "reconstruct", &model("third")).unwrap(), 3);
    let bundle = FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap();
    let heads: Vec<_> = bundle
        .heads
        .iter()
        .map(|head| (head.spec.name.as_str(), head.spec.version, head.model.clone()))
        .collect();
    let expected = [
        ("reconstruct", 3, model("third")),
        ("reconstruct", 2, model("second")),
        ("reconstruct", 1, model("decoder")),
        ("classify", 1, model("classifier")),
    ];
    assert_eq!(heads, expected);
    assert_eq!(bundle.heads[0].spec.cost, bundle.heads[2].spec.cost);
    let error = add_version(folder.path(), "upscale", b"").unwrap_err().to_string();
    assert!(error.contains("no head \"upscale\""), "{error}");
}

fn golden(name: &str, frame: &[u8]) -> GoldenInputDraft {
    GoldenInputDraft { name: name.into(), input: b"picture".to_vec(), frame: frame.to_vec() }
}

#[test]
fn golden_inputs_belong_to_the_device_part_and_change_no_latent_space() {
    let folder = written();
    let previous = FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap().manifest;
    put_golden_inputs(folder.path(), &[golden("a.png", b"frame a"), golden("b.png", b"frame b")]).unwrap();
    put_golden_inputs(folder.path(), &[golden("b.png", b"frame of b")]).unwrap();
    let bundle = FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap();
    assert_eq!(bundle.manifest.latent_space, previous.latent_space);
    let names = |manifest: &FixedLatentManifest| -> Vec<String> {
        manifest.device_files().iter().map(|file| file.path.clone()).collect()
    };
    assert_eq!(names(&previous), ["encoder.onnx", "tables.bin"]);
    let files = ["encoder.onnx", "tables.bin", "golden/b.png", "golden/b.png.lps"];
    assert_eq!(names(&bundle.manifest), files);
    let (input, frame) = bundle.manifest.golden[0].read_verified(folder.path()).unwrap();
    assert_eq!((fs::read(input).unwrap(), frame), (b"picture".to_vec(), b"frame of b".to_vec()));
    assert!(!folder.path().join("golden/a.png").exists());
    let text = fs::read(folder.path().join("bundle.json")).unwrap();
    let parsed = AnyManifest::parse(text).unwrap();
    assert_eq!((parsed.name(), parsed.device_files().len()), ("toy", 4));

    fs::write(folder.path().join("golden/b.png"), "another").unwrap();
    assert!(bundle.manifest.golden[0].read_verified(folder.path()).is_err());
    assert!(FixedLatentBundle::load(folder.path(), BundlePart::Whole).is_err());
    FixedLatentBundle::load(folder.path(), BundlePart::Encoder).unwrap();
}

/// Replaces text in the manifest.
fn edit(folder: &Path, old: &str, new: &str) {
    let path = folder.join("bundle.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{old} is not in {text}");
    fs::write(&path, text.replacen(old, new, 1)).unwrap();
}

#[test]
fn replacing_golden_inputs_removes_no_file_that_is_named_elsewhere() {
    let folder = written();
    let head = folder.path().join("heads/classify-1.onnx");
    for old in ["heads/classify-1.onnx", "heads//classify-1.onnx"] {
        let input = GoldenInputDraft { input: model("classifier"), ..golden("a.png", b"frame") };
        put_golden_inputs(folder.path(), &[input]).unwrap();
        edit(folder.path(), "golden/a.png\"", &format!("{old}\""));
        put_golden_inputs(folder.path(), &[]).unwrap();
        assert!(head.exists(), "{old}");
    }
    let bundle = FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap();
    assert!(bundle.manifest.golden.is_empty() && !folder.path().join("golden/a.png.lps").exists());
}

#[test]
fn a_new_file_never_replaces_another_one() {
    let folder = written();
    let other = "two fields name this file";
    fs::create_dir(folder.path().join("golden")).unwrap();
    fs::rename(folder.path().join("tables.bin"), folder.path().join("golden/tables.bin")).unwrap();
    edit(folder.path(), "\"tables.bin\"", "\"golden/tables.bin\"");
    let error = put_golden_inputs(folder.path(), &[golden("tables.bin", b"frame")]).unwrap_err().to_string();
    assert!(error.contains("golden/tables.bin") && error.contains(other), "{error}");
    fs::rename(folder.path().join("heads/classify-1.onnx"), folder.path().join("heads/reconstruct-2.onnx"))
        .unwrap();
    edit(folder.path(), "heads/classify-1.onnx", "heads/reconstruct-2.onnx");
    let error = add_version(folder.path(), "reconstruct", &model("second")).unwrap_err().to_string();
    assert!(error.contains("heads/reconstruct-2.onnx") && error.contains(other), "{error}");
    FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap();
}

#[test]
fn invalid_golden_inputs_are_refused_and_change_nothing() {
    let folder = written();
    let refusal =
        |drafts: &[GoldenInputDraft]| put_golden_inputs(folder.path(), drafts).unwrap_err().to_string();
    assert!(refusal(&[golden("a", b"1"), golden("a", b"2")]).contains("golden/a is listed twice"));
    assert!(refusal(&vec![golden("a", b""); 9]).contains("at most 8"));
    assert!(refusal(&[golden("../a", b"")]).contains("not a plain relative path"));
    assert!(FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap().manifest.golden.is_empty());
    assert!(AnyManifest::parse(b"{}".to_vec()).is_err());
}
