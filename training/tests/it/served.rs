//! Makes bundles from external models: the command calibrates, the edge encodes and the cloud answers.
//! `cargo xtask test` fetches the models and sets `LOPSIDE_MODELS` and `ORT_DYLIB_PATH`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use image::GrayImage;
use lopside_bundle::{BundlePart, FixedLatentBundle, HeadKind, InputSpec};
use lopside_decoder::{
    BatchSettings, DecodeRequest, Decoder, Device, OutputFormat, OutputRequest, OutputValue, Registry,
    Runtime,
};
use lopside_encoder::{FixedLatentEncoder, source::EncoderInput};
use lopside_latent::{IdOnWire, Limits};
use lopside_onnx::{Dim, GraphBuilder, encode_model, proto::ModelProto};
use ort::value::TensorRef;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value as Json;

const BATCH: &str = "n";

fn variable(name: &str) -> PathBuf {
    let value = env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask test`"));
    value.into()
}

fn runtime() -> Runtime {
    Runtime::load(&variable("ORT_DYLIB_PATH"), Device::Cpu, 1).unwrap()
}

/// Runs `training split MODEL … --calibrate INPUTS … --out OUT` and returns its report, or stderr as the error.
fn split(model: &Path, inputs: &Path, out: &Path, options: &[&str]) -> Result<Json, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_training"));
    command.arg("split").arg(model).arg("--calibrate").arg(inputs).arg("--out").arg(out).arg("--json");
    let output = command.args(options).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let report = fs::read(out.join("split.json")).unwrap();
    assert_eq!(report, output.stdout);
    Ok(serde_json::from_slice(&report).unwrap())
}

/// A bundle, loaded by the edge's encoder and by the cloud's decoder.
struct Served {
    encoder: FixedLatentEncoder,
    decoder: Decoder,
    bundle: FixedLatentBundle,
}

impl Served {
    fn new(folder: &Path) -> Self {
        let bundle = FixedLatentBundle::load(folder, BundlePart::Whole).unwrap();
        let registry = Registry::load(&[folder.to_owned()], &runtime(), BatchSettings::default()).unwrap();
        let decoder = Decoder::new(Arc::new(registry), Limits::default());
        Self { encoder: FixedLatentEncoder::new(&bundle).unwrap(), decoder, bundle }
    }

    /// Sends these inputs in one request and returns one answer per input.
    fn decode(&self, inputs: &[EncoderInput], head: &str, format: OutputFormat) -> Vec<OutputValue> {
        let frame = |input| self.encoder.encode_input(input, None, IdOnWire::Present).unwrap().frame;
        let frames: Vec<Vec<u8>> = inputs.iter().map(frame).collect();
        let requests = [OutputRequest { head: head.to_owned(), version: None, format }];
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let request = DecodeRequest { outputs: &requests, ..DecodeRequest::new(&frames) };
        let outputs = tokio.block_on(self.decoder.decode(request)).unwrap();
        outputs.into_iter().map(|mut outputs| outputs.remove(0).value).collect()
    }

    fn tensors(&self, inputs: &[EncoderInput], head: &str) -> Vec<f32> {
        let values = |value| match value {
            OutputValue::Tensor { values, .. } => values,
            other => panic!("{other:?}"),
        };
        self.decode(inputs, head, OutputFormat::Tensor).into_iter().flat_map(values).collect()
    }
}

/// Runs a whole model on the items one by one and returns one of its outputs.
fn run_whole_model(model: &[u8], output: &str, dims: &[usize], items: &[Vec<f32>]) -> Vec<f32> {
    let mut session = runtime().session(model).unwrap();
    let shape: Vec<usize> = std::iter::once(1).chain(dims.iter().copied()).collect();
    let mut values = Vec::new();
    for item in items {
        let tensor = TensorRef::from_array_view((shape.clone(), item.as_slice())).unwrap();
        let outputs = session.run(ort::inputs![tensor]).unwrap();
        values.extend(outputs[output].try_extract_tensor::<f32>().unwrap().1);
    }
    values
}

fn relative_rms(expected: &[f32], found: &[f32]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let sum = |values: Vec<f32>| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
    let error = sum(expected.iter().zip(found).map(|(a, b)| a - b).collect());
    (error / sum(expected.to_vec())).sqrt()
}

/// Adds a convolution whose random weights are seeded by its name.
fn conv(
    graph: &mut GraphBuilder,
    x: &str,
    (inputs, outputs, kernel): (i64, i64, i64),
    stride: i64,
    name: &str,
) -> String {
    let weight = weight(graph, &[outputs, inputs, kernel, kernel], &format!("{name}.w"));
    graph.conv(x, &weight, "", stride, 0, name)
}

fn weight(graph: &mut GraphBuilder, dims: &[i64], name: &str) -> String {
    let count: i64 = dims.iter().product();
    let mut rng = StdRng::seed_from_u64(name.bytes().map(u64::from).sum());
    let scale = (6.0 / (count / dims[0]) as f32).sqrt();
    let data: Vec<f32> = (0..count).map(|_| rng.random_range(-scale..scale)).collect();
    graph.add_initializer(name, dims, &data).unwrap()
}

/// Builds a model from `x [n, 1, 16, 16]` to two tensors for the cut, `base [n, 6, 4, 4]` and `fine [n, 2, 8, 8]`,
/// and back.
fn autoencoder(batch: &Dim, reshape: Option<i64>) -> ModelProto {
    let mut graph = GraphBuilder::new("autoencoder");
    let shape = [batch.clone(), 1.into(), 16.into(), 16.into()];
    graph.add_input("x", &shape);
    let fine = conv(&mut graph, "x", (1, 2, 2), 2, "fine.conv");
    let fine = graph.relu(&fine, "fine");
    let base = conv(&mut graph, &fine, (2, 6, 2), 2, "base");
    let base = match reshape {
        Some(batch) => graph.reshape(&base, &[batch, 6, 16], "rows"),
        None => base,
    };
    let base = graph.relu(&base, "hidden");
    let base = graph.reshape(&base, &[-1, 6, 4, 4], "maps");
    let upsampled = weight(&mut graph, &[6, 2, 2, 2], "up.w");
    let upsampled = graph.conv_transpose(&base, &upsampled, 2, 0, "up");
    let sum = graph.add_node("Add", &[&upsampled, &fine], "sum", &[]);
    let output = weight(&mut graph, &[2, 1, 2, 2], "last.w");
    let output = graph.conv_transpose(&sum, &output, 2, 0, "last");
    let y = graph.sigmoid(&output, "Again.0");
    graph.add_output(&y, &shape);
    graph.build()
}

fn write_images(folder: &Path, count: u32, (width, height): (u32, u32)) {
    fs::create_dir_all(folder).unwrap();
    for index in 0..count {
        let image = GrayImage::from_fn(width, height, |x, y| {
            let inside = (x + 3 * index) % width < width / 2 && (y + index) % height < height / 2;
            [if inside { 200 } else { (7 * index) as u8 + (x * y % 11) as u8 }].into()
        });
        image.save(folder.join(format!("{index:03}.png"))).unwrap();
    }
}

/// Returns the images of a folder, and the samples that the encoder receives for them.
fn read_inputs(folder: &Path, spec: &InputSpec) -> (Vec<EncoderInput>, Vec<Vec<f32>>) {
    let InputSpec::Picture(spec) = spec else { panic!("{spec:?}") };
    let inputs = lopside_encoder::source::open_inputs(&[folder.to_owned()]).unwrap();
    let inputs: Vec<EncoderInput> = inputs.map(|named| named.unwrap().input).collect();
    let samples = |input: &EncoderInput| match input {
        EncoderInput::Image(image) => {
            lopside_input::image_samples(&lopside_input::to_model_image(image, spec), spec)
        }
        EncoderInput::Values(_) => panic!(),
    };
    let samples = inputs.iter().map(samples).collect();
    (inputs, samples)
}

/// Returns every fourth item, which the command keeps for testing.
fn test_rows<T: Clone>(items: &[T]) -> Vec<T> {
    items.iter().skip(3).step_by(4).cloned().collect()
}

#[test]
fn an_autoencoder_is_served_with_one_and_with_two_layers() {
    let folder = tempfile::tempdir().unwrap();
    let (model, inputs) = (folder.path().join("My Model.onnx"), folder.path().join("pictures"));
    let bytes = encode_model(&autoencoder(&BATCH.into(), None));
    fs::write(&model, &bytes).unwrap();
    write_images(&inputs, 24, (20, 30));
    for (at, layers) in [(&["--at", "fine"][..], 1), (&["--at", "base", "--at", "fine"], 2)] {
        let out = folder.path().join(format!("bundle-{layers}"));
        let options = [at, &["--reconstruct", "--bits", "5", "--mean", "0.5", "--std", "0.25"]].concat();
        let report = split(&model, &inputs, &out, &options).unwrap();
        let bundle = &report["bundle"];
        assert_eq!(bundle["name"], "my-model");
        assert_eq!((&bundle["calibration_inputs"], &bundle["test_inputs"]), (&18.into(), &6.into()));
        assert_eq!(
            (&bundle["one_by_one"], bundle["layers"].as_array().unwrap().len()),
            (&Json::Null, layers)
        );
        assert_eq!(bundle["heads"][0]["kind"], "reconstruct");

        let served = Served::new(&out);
        let (images, samples) = read_inputs(&inputs, &served.bundle.manifest.input);
        let expected = run_whole_model(&bytes, "Again.0", &[1, 16, 16], &test_rows(&samples));
        let found = served.tensors(&test_rows(&images), "reconstruct");
        let (error, reported) =
            (relative_rms(&expected, &found), bundle["chosen"]["outputs"][0]["relative_rms"].as_f64());
        assert!((error - reported.unwrap()).abs() < 1e-3 && error < 0.2, "{error} {reported:?}");
        let png_images = served.decode(&images[..2], "", OutputFormat::Natural);
        assert!(png_images.iter().all(|value| matches!(value, OutputValue::Png(_))));
        assert_falling(&bundle["sweep"]);
        let card = fs::read_to_string(out.join("README.md")).unwrap();
        assert!(card.contains("`My Model.onnx`, SHA-256 ") && card.contains("--bits 5"), "{card}");
    }
}

/// Checks that more bits make larger frames and, over the whole sweep, smaller errors. With a nonlinear decoder, the
/// error may rise from one point to the next.
fn assert_falling(sweep: &Json) {
    let points = sweep.as_array().unwrap();
    let error = |point: &Json| point["outputs"][0]["relative_rms"].as_f64().unwrap();
    for pair in points.windows(2) {
        let grows = |key: &str| pair[0][key].as_f64().unwrap() < pair[1][key].as_f64().unwrap();
        assert!(grows("bits_a_value") && grows("frame_bytes"), "{pair:?}");
    }
    assert!(points.len() == 6 && error(&points[5]) < error(&points[0]) / 4.0, "{points:?}");
}

/// The model has a fixed batch of 1, so the cloud runs the frames of a request one after the other.
#[test]
fn a_model_with_a_batch_of_one_is_served_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (model, inputs) = (folder.path().join("one.onnx"), folder.path().join("inputs.npz"));
    let bytes = encode_model(&autoencoder(&1.into(), Some(1)));
    fs::write(&model, &bytes).unwrap();
    let mut rng = StdRng::seed_from_u64(5);
    let items: Vec<Vec<f32>> = (0..12).map(|_| (0..256).map(|_| rng.random()).collect()).collect();
    npz(&inputs, &[12, 1, 16, 16], &items.concat());
    let out = folder.path().join("bundle");
    let report = split(&model, &inputs, &out, &["--at", "base", "--at", "fine", "--name", "one"]).unwrap();
    let reason = report["bundle"]["one_by_one"].as_str().unwrap();
    assert!(reason.contains("Reshape") || reason.contains("batch"), "{reason}");
    assert!(fs::read_to_string(out.join("README.md")).unwrap().contains("one item at a time"));

    let served = Served::new(&out);
    assert!(matches!(served.bundle.manifest.input, InputSpec::Tensor {}));
    assert!(matches!(served.bundle.manifest.heads[0].kind, HeadKind::Tensor {}));
    let inputs: Vec<EncoderInput> = items.iter().cloned().map(EncoderInput::Values).collect();
    let expected = run_whole_model(&bytes, "Again.0", &[1, 16, 16], &test_rows(&items));
    let found = served.tensors(&test_rows(&inputs), "again-0");
    let reported = report["bundle"]["chosen"]["outputs"][0]["relative_rms"].as_f64().unwrap();
    assert!((relative_rms(&expected, &found) - reported).abs() < 1e-3, "{reported}");
}

/// Writes an `.npz` file with one array, like `numpy.savez`.
fn npz(path: &Path, shape: &[usize], values: &[f32]) {
    let shape: Vec<String> = shape.iter().map(|dim| format!("{dim},")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape.concat());
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    let values = values.iter().flat_map(|value| value.to_le_bytes());
    let array: Vec<u8> =
        b"\x93NUMPY\x01\x00".iter().copied().chain(length).chain(header.bytes()).chain(values).collect();
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    archive.start_file("arr_0.npy", zip::write::FileOptions::default()).unwrap();
    std::io::Write::write_all(&mut archive, &array).unwrap();
    archive.finish().unwrap();
}

#[test]
fn an_orientation_classifier_is_served_with_the_whole_models_classes() {
    let model =
        variable("LOPSIDE_MODELS").join("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx");
    let folder = tempfile::tempdir().unwrap();
    let (inputs, labels) = (folder.path().join("pictures"), folder.path().join("labels.txt"));
    write_images(&inputs, 16, (192, 48));
    fs::write(&labels, "upright\nturned\n").unwrap();
    let out = folder.path().join("bundle");
    let at = ["--bind", "x=1,3,48,192", "--at", "elementwise_add_1", "--at", "conv2d_73.tmp_0"];
    let options = ["--mean", "0.5", "--std", "0.5", "--labels", labels.to_str().unwrap()];
    let report = split(&model, &inputs, &out, &[&at[..], &options].concat()).unwrap();
    let bundle = &report["bundle"];
    assert_eq!(bundle["heads"][0]["kind"], "classify");
    assert_eq!(bundle["one_by_one"], Json::Null);
    assert_falling(&bundle["sweep"]);

    let served = Served::new(&out);
    let (images, samples) = read_inputs(&inputs, &served.bundle.manifest.input);
    let scores = served.decode(&images, "classify", OutputFormat::ClassScores);
    let bytes = fs::read(&model).unwrap();
    let session = runtime().session(&bytes).unwrap();
    let output = session.outputs()[0].name().to_owned();
    let expected = run_whole_model(&bytes, &output, &[3, 48, 192], &samples);
    for (score, expected) in scores.iter().zip(expected.chunks(2)) {
        let OutputValue::ClassScores(score) = score else { panic!("{score:?}") };
        let upright = score.iter().find(|(label, _)| label == "upright").unwrap().1;
        assert!((upright - expected[0]).abs() < 0.05, "{score:?} {expected:?}");
    }
    let agreement = bundle["chosen"]["outputs"][0]["top1_agreement"].as_f64().unwrap();
    assert!(agreement >= 0.75, "{agreement}");
}

#[test]
fn invalid_bundles_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (model, inputs) = (folder.path().join("model.onnx"), folder.path().join("pictures"));
    fs::write(&model, encode_model(&autoencoder(&BATCH.into(), None))).unwrap();
    write_images(&inputs, 3, (16, 16));
    let labels = folder.path().join("labels.txt");
    fs::write(&labels, "a\nb\n").unwrap();
    let wrong = folder.path().join("wrong.npz");
    npz(&wrong, &[2, 1, 4, 4], &[0.0; 32]);
    let noise = folder.path().join("noise.npz");
    fs::write(&noise, "noise").unwrap();
    let out = folder.path().join("bundle");
    for (inputs, options, reason) in [
        (&inputs, &["--labels", labels.to_str().unwrap()][..], "no output is [n, 2]"),
        (&inputs, &["--mean", "1,2"], "--mean has 2 values for 1 channels"),
        (&inputs, &["--std", "0"], "--std must be"),
        (&inputs, &["--bits", "0.000001"], "no quantisation step reaches"),
        (&inputs, &["--name", "No Name"], "name"),
        (&inputs, &["--bits", "3", "--frame-bytes", "9"], "cannot be used with"),
        (&wrong, &[], "shape [2, 1, 4, 4] is not [1, 16, 16]"),
        (&noise, &[], "not a readable .npz file"),
        (&folder.path().join("none"), &[], "none"),
    ] {
        let arguments = [&["--at", "fine"][..], options].concat();
        let error = split(&model, inputs, &out, &arguments).unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert!(!out.join("bundle.json").exists());
    }
}
