//! Cuts external models in two and compares the whole model with the halves in ONNX Runtime, and the encoder in tract.
//! `cargo xtask test` fetches the models and sets `LOPSIDE_MODELS` and `ORT_DYLIB_PATH`.

use std::{env, fs, path::PathBuf, process::Command};

use lopside_onnx::{
    GraphBuilder, decode_model, encode_model,
    proto::{
        ModelProto, NodeProto, StringStringEntryProto, TensorProto,
        tensor_proto::{DataLocation, DataType},
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use training::{
    TrainingError,
    external_model::{Agreement, VerifiedHalves, split},
};

fn variable(name: &str) -> PathBuf {
    let value = env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask test`"));
    value.into()
}

fn model(path: &str) -> ModelProto {
    decode_model(&fs::read(variable("LOPSIDE_MODELS").join(path)).unwrap()).unwrap()
}

fn halves(model: ModelProto, at: &[&str], bind: &[&str]) -> Result<VerifiedHalves, TrainingError> {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    split(model, &owned(at), &owned(bind), &variable("ORT_DYLIB_PATH"))
}

/// Cuts a model, checks that both engines agree and returns the number of values in the latent.
fn verified_latent_len(model: ModelProto, at: &[&str], bind: &[&str]) -> i64 {
    let halves = halves(model, at, bind).unwrap();
    let Agreement::Within { difference } = halves.verification.tract else {
        panic!("{:?}", halves.verification.tract)
    };
    assert!(difference <= 1e-4 && halves.verification.onnx_runtime_difference <= 1e-4);
    let latents = &halves.verification.latents;
    assert_eq!(latents.iter().map(|latent| latent.tensor.as_str()).collect::<Vec<_>>(), at);
    assert!(decode_model(&halves.encoder).is_ok() && decode_model(&halves.decoder).is_ok());
    assert!(halves.encoder_cost.is_ok() && halves.decoder_cost.is_ok(), "{:?}", halves.decoder_cost);
    latents.iter().map(|latent| latent.dims.iter().product::<i64>()).sum()
}

/// Loads a model of ONNX's own tests and replaces its weights, which are constants, by random ones.
fn light(name: &str) -> ModelProto {
    let mut model = model(&format!("onnx/backend/test/data/light/light_{name}.onnx"));
    let graph = model.graph.as_mut().unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let (constants, nodes): (Vec<NodeProto>, Vec<NodeProto>) =
        std::mem::take(&mut graph.node).into_iter().partition(|node| node.op_type() == "ConstantOfShape");
    for node in &constants {
        let shape = graph.initializer.iter().find(|tensor| tensor.name() == node.input[0]).unwrap();
        let dims = integers(shape);
        let name = node.output[0].as_str();
        let variance =
            nodes.iter().any(|node| node.op_type() == "BatchNormalization" && node.input[4] == name);
        let fan_in: i64 = if dims.len() > 1 { dims[1..].iter().product() } else { 1 };
        // This scale keeps magnitudes about the same from layer to layer.
        let scale = if dims.len() > 1 { (6.0 / fan_in as f32).sqrt() } else { 0.1 };
        let count = dims.iter().product::<i64>() as usize;
        let value =
            |_| if variance { rng.random_range(0.5..1.5_f32) } else { rng.random_range(-scale..scale) };
        let raw_data = (0..count).map(value).flat_map(f32::to_le_bytes).collect();
        graph.initializer.push(TensorProto {
            name: Some(name.to_owned()),
            data_type: Some(DataType::Float.into()),
            dims,
            raw_data: Some(raw_data),
            ..TensorProto::default()
        });
    }
    graph.node = nodes;
    // Before version 4, every initializer had to be an input too.
    model.ir_version = Some(4);
    model
}

fn integers(tensor: &TensorProto) -> Vec<i64> {
    if tensor.int64_data.is_empty() {
        tensor.raw_data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
    } else {
        tensor.int64_data.clone()
    }
}

#[test]
fn a_text_detector_is_cut() {
    let path = "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx";
    let bind = ["x=1,3,64,96"];
    assert_eq!(verified_latent_len(model(path), &["depthwise_conv2d_1.tmp_0"], &bind), 32 * 16 * 24);
    assert_eq!(verified_latent_len(model(path), &["conv2d_497.tmp_0"], &bind), 24 * 16 * 24);
}

#[test]
fn a_text_recogniser_is_cut() {
    let path = "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx";
    let bind = ["x.2=48", "p2o.DynamicDimension.1=64"];
    assert_eq!(verified_latent_len(model(path), &["p2o.AveragePool.1"], &bind), 480 * 16 / 2);
    assert_eq!(verified_latent_len(model(path), &["conv2d_207.tmp_0"], &bind), 60 * 8);
}

#[test]
fn an_orientation_classifier_is_cut() {
    let path = "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx";
    assert_eq!(verified_latent_len(model(path), &["conv2d_59.tmp_0"], &["x=1,3,48,192"]), 8 * 6 * 96);
    assert_eq!(verified_latent_len(model(path), &["pool2d_10.tmp_0"], &["x=2,3,48,96"]), 2 * 200);
}

macro_rules! light {
    ($($test:ident: $name:literal at $at:expr, $values:expr;)*) => {
        $(#[test]
        fn $test() {
            assert_eq!(verified_latent_len(light($name), &[$at], &[]), $values);
        })*
    };
}

light! {
    alexnet_is_cut: "bvlc_alexnet" at "r7", 256 * 12 * 12;
    densenet_is_cut: "densenet121" at "r105", 128 * 28 * 28;
    inception_v1_is_cut: "inception_v1" at "r38", 480 * 13 * 13;
    inception_v2_is_cut: "inception_v2" at "r22", 192 * 28 * 28;
    resnet_is_cut: "resnet50" at "r35", 256 * 56 * 56;
    shufflenet_is_cut: "shufflenet" at "r64", 272 * 14 * 14;
    squeezenet_is_cut: "squeezenet" at "r18", 32 * 27 * 27;
    vgg_is_cut: "vgg19" at "r4", 64 * 112 * 112;
    zfnet_is_cut: "zfnet512" at "r7", 256 * 12 * 12;
}

/// Runs `training split` and returns whether it succeeded, its stdout and its stderr.
fn command(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_training")).arg("split").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_lists_picks_and_writes() {
    let path =
        variable("LOPSIDE_MODELS").join("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx");
    let path = path.to_str().unwrap();
    let (success, table, _) = command(&[path, "--bind", "x=1,3,48,192"]);
    assert!(
        success
            && table.contains("60 cuts at one tensor, the best 20")
            && table.contains("*  conv2d_59.tmp_0"),
        "{table}"
    );
    let (_, full_table, _) = command(&[path, "--bind", "x=1,3,48,192", "--all"]);
    assert_eq!(full_table.lines().count(), table.lines().count() + 40);
    let (_, unbound, _) = command(&[path]);
    assert!(
        unbound.contains("[1, 8, x.2/2, x.3/2]") && unbound.contains("unknown: dimension `x.2`"),
        "{unbound}"
    );

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("halves");
    let output_options = ["--out", out.to_str().unwrap(), "--json"];
    let (success, report, stderr) =
        command(&[&[path, "--bind", "x=1,3,48,96", "--max-bytes", "10000"][..], &output_options].concat());
    assert!(success, "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["latents"][0]["bytes"], 9216);
    let sizes = ["encoder.onnx", "decoder.onnx"].map(|name| fs::metadata(out.join(name)).unwrap().len());
    assert!(sizes[0] < sizes[1]);
}

#[test]
fn the_command_refuses_with_a_reason_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("halves");
    let models = variable("LOPSIDE_MODELS");
    let cls = models.join("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx");
    let silero = models.join("silero_vad/data/silero_vad.onnx");
    let noise = folder.path().join("noise.onnx");
    fs::write(&noise, b"no model").unwrap();
    for (model, options, reason) in [
        (&silero, &[][..], "no single tensor separates"),
        (&silero, &["--at", "If_0_outputs_0"], "does not depend on"),
        (&noise, &[], "not an ONNX model"),
        (&cls, &["--at", "nothing"], "no tensor `nothing`"),
        (&cls, &["--at", "conv2d_59.tmp_0"], "dimension `x.2` is open"),
        (&cls, &["--bind", "h=3"], "open dimensions are x.0, x.2, x.3"),
        (&cls, &["--max-bytes", "4", "--bind", "x=1,3,48,192"], "none of the 60 cuts"),
        (&cls, &["--max-bytes", "4"], "binding the inputs' dimensions"),
    ] {
        // Without a cut there is nothing to write.
        let writes_output = options.iter().any(|option| ["--at", "--max-bytes"].contains(option));
        let output_options = ["--out", out.to_str().unwrap()];
        let arguments =
            [&[model.to_str().unwrap()][..], if writes_output { &output_options } else { &[] }, options]
                .concat();
        let (success, _, stderr) = command(&arguments);
        assert!(!success && stderr.contains(reason), "{stderr}");
    }
    assert!(!out.exists());
}

/// The model is `x → Relu a → Sqrt of -1 - a`, which is not a number for any `x`.
#[test]
fn halves_that_cannot_be_compared_are_refused() {
    let mut graph = GraphBuilder::new("nan");
    graph.add_input("x", &["n".into(), 4.into()]);
    let minus = graph.add_initializer("minus", &[1], &[-1.0]).unwrap();
    graph.relu("x", "a");
    graph.add_node("Sub", &[&minus, "a"], "b", &[]);
    graph.add_node("Sqrt", &["b"], "y", &[]);
    graph.add_output("y", &["n".into(), 4.into()]);
    let error = halves(graph.build(), &["a"], &[]).unwrap_err().to_string();
    assert!(error.contains("not finite"), "{error}");
}

#[test]
fn an_encoder_that_tract_cannot_run_requires_a_flag() {
    let mut graph = GraphBuilder::new("two");
    graph.add_input("x", &["n".into(), 4.into()]);
    graph.add_input("y", &["n".into(), 4.into()]);
    graph.add_node("Add", &["x", "y"], "sum", &[]);
    graph.relu("sum", "z");
    graph.add_output("z", &["n".into(), 4.into()]);
    let model = graph.build();
    let halves = halves(model.clone(), &["sum"], &["n=3"]).unwrap();
    let Agreement::Unsupported { reason } = halves.verification.tract else { panic!() };
    assert!(reason.contains("one tensor, but this one reads 2"), "{reason}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, encode_model(&model)).unwrap();
    let out = folder.path().join("out");
    let arguments = [path.to_str().unwrap(), "--at", "sum", "--out", out.to_str().unwrap()];
    let (success, _, stderr) = command(&arguments);
    assert!(!success && stderr.contains("--allow-no-tract") && !out.exists(), "{stderr}");
    assert!(
        command(&[&arguments[..], &["--allow-no-tract"]].concat()).0 && out.join("encoder.onnx").is_file()
    );
}

#[test]
fn two_layers_are_cut() {
    let path = "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx";
    // The tensor that bypasses a residual block, and the output of the block.
    let at = ["elementwise_add_1", "conv2d_73.tmp_0"];
    assert_eq!(verified_latent_len(model(path), &at, &["x=1,3,48,96"]), 2 * 16 * 3 * 48);
}

#[test]
fn external_data_is_read_only_from_the_models_folder() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("w.bin"), [1.0_f32, 2.0, 3.0].map(f32::to_le_bytes).concat()).unwrap();
    fs::write(folder.path().join("secret"), [0; 12]).unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret"), home.join("link")).unwrap();
    let path = home.join("model.onnx");
    let cut = |location: &str, offset: &str| {
        fs::write(&path, encode_model(&scaled(location, offset))).unwrap();
        let out = folder.path().join("out");
        command(&[path.to_str().unwrap(), "--at", "a", "--out", out.to_str().unwrap()])
    };
    let (success, report, stderr) = cut("w.bin", "4");
    assert!(success && report.contains("cut at a [1, 2]"), "{stderr}");
    for (location, offset, reason) in [
        ("link", "0", "leads out"),
        ("../secret", "0", "model's folder"),
        ("w.bin", "8", "beyond"),
        ("none", "0", "No such"),
    ] {
        let (success, _, stderr) = cut(location, offset);
        assert!(!success && stderr.contains(reason), "{stderr}");
    }
}

/// Builds the model `x [n, 2] · w` with a Relu; `w` is in an external file.
fn scaled(location: &str, offset: &str) -> ModelProto {
    let mut graph = GraphBuilder::new("scaled");
    graph.add_input("x", &["n".into(), 2.into()]);
    graph.add_initializer("w", &[2], &[0.0; 2]).unwrap();
    graph.add_node("Mul", &["x", "w"], "a", &[]);
    graph.relu("a", "y");
    graph.add_output("y", &["n".into(), 2.into()]);
    let mut model = graph.build();
    let w = &mut model.graph.as_mut().unwrap().initializer[0];
    w.raw_data = None;
    w.data_location = Some(DataLocation::External.into());
    w.external_data = [("location", location), ("offset", offset)]
        .map(|(key, value)| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) })
        .to_vec();
    model
}
