//! Models that others made, cut in two and run: whole against halves in ONNX Runtime, the encoder in tract too.
//! `cargo xtask test` fetches the models and sets `LOPSIDE_MODELS` and `ORT_DYLIB_PATH`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{env, fs, path::PathBuf};

use lopside_onnx::{
    decode,
    proto::{ModelProto, NodeProto, TensorProto, tensor_proto::DataType},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use training::{
    TrainingError,
    own::{Agreement, Halves, split},
};

fn variable(name: &str) -> PathBuf {
    let value = env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask test`"));
    value.into()
}

fn model(path: &str) -> ModelProto {
    decode(&fs::read(variable("LOPSIDE_MODELS").join(path)).unwrap()).unwrap()
}

fn halves(model: ModelProto, at: &[&str], bind: &[&str]) -> Result<Halves, TrainingError> {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    split(model, &owned(at), &owned(bind), &variable("ORT_DYLIB_PATH"))
}

/// Cuts and checks that both engines agree; how many values the latent has.
fn agreed(model: ModelProto, at: &[&str], bind: &[&str]) -> i64 {
    let halves = halves(model, at, bind).unwrap();
    let Agreement::Within { difference } = halves.verification.tract else {
        panic!("{:?}", halves.verification.tract)
    };
    assert!(difference <= 1e-4 && halves.verification.onnx_runtime <= 1e-4);
    let latents = &halves.verification.latents;
    assert_eq!(latents.iter().map(|latent| latent.tensor.as_str()).collect::<Vec<_>>(), at);
    assert!(decode(&halves.encoder).is_ok() && decode(&halves.decoder).is_ok());
    assert!(halves.encoder_cost.is_ok() && halves.decoder_cost.is_ok(), "{:?}", halves.decoder_cost);
    latents.iter().map(|latent| latent.dims.iter().product::<i64>()).sum()
}

/// A model of ONNX's own tests, whose weights are constants, with random weights in their place.
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
        // Magnitudes stay about the same from layer to layer.
        let scale = if dims.len() > 1 { (6.0 / fan_in as f32).sqrt() } else { 0.1 };
        let count = dims.iter().product::<i64>() as usize;
        let value = |_| match variance {
            true => rng.random_range(0.5..1.5_f32),
            false => rng.random_range(-scale..scale),
        };
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
    // Before version 4 every initializer is an input too.
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
    assert_eq!(agreed(model(path), &["depthwise_conv2d_1.tmp_0"], &bind), 32 * 16 * 24);
    assert_eq!(agreed(model(path), &["conv2d_497.tmp_0"], &bind), 24 * 16 * 24);
}

#[test]
fn a_text_recogniser_is_cut() {
    let path = "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx";
    let bind = ["x.2=48", "p2o.DynamicDimension.1=64"];
    assert_eq!(agreed(model(path), &["p2o.AveragePool.1"], &bind), 480 * 16 / 2);
    assert_eq!(agreed(model(path), &["conv2d_207.tmp_0"], &bind), 60 * 8);
}

#[test]
fn an_orientation_classifier_is_cut() {
    let path = "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx";
    assert_eq!(agreed(model(path), &["conv2d_59.tmp_0"], &["x=1,3,48,192"]), 8 * 6 * 96);
    assert_eq!(agreed(model(path), &["pool2d_10.tmp_0"], &["x=2,3,48,96"]), 2 * 200);
}

macro_rules! light {
    ($($test:ident: $name:literal at $at:expr, $values:expr;)*) => {
        $(#[test]
        fn $test() {
            assert_eq!(agreed(light($name), &[$at], &[]), $values);
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
