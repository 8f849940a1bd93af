//! Tests that burn, ONNX Runtime and tract compute the same for every kind of layer and for whole models, and
//! that the costs are those of the blueprint.

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use lopside_onnx::{Cost, decode_model, encode_model, metadata_value, model_cost, proto::ModelProto};
use serde::Deserialize;

use super::*;
use crate::{
    agree,
    definition::{Definition, PRESETS, Stage},
    density::LatentDensity,
    engines::{self, OrtModel, TensorValues, TractModel},
    split,
};

/// Samples per batch.
const SAMPLES: usize = 3;

fn blueprint(text: &str) -> Blueprint {
    Definition::parse(text, "test").unwrap().check("test").unwrap()
}

fn preset(name: &str) -> Net {
    Net::new(&Definition::find(name).unwrap().check(name).unwrap(), &Device::flex())
}

/// Builds a model with these encoder and decoder layers.
fn model(input: &str, encoder: &str, decoder: &str) -> Net {
    let text = format!(
        r#"
name = "test"
description = "one of each"
[data]
set = "none"
[input]
{input}
[encoder]
layers = [{encoder}]
[decoder]
layers = [{decoder}]
activation = "identity"
[training]
epochs = 1
batch = 1
encoder-rate = 0.1
decoder-rate = 0.1
seed = 1
"#
    );
    Net::new(&blueprint(&text), &Device::flex())
}

fn values(tensor: Tensor<2>, shape: crate::definition::Shape) -> TensorValues {
    let dims = std::iter::once(tensor.dims()[0]).chain(shape.dims()).collect();
    TensorValues { dims, values: tensor.into_data().try_to_vec().unwrap() }
}

/// Runs a model in both engines.
fn run_engines(model: &ModelProto, inputs: &[TensorValues]) -> [Vec<TensorValues>; 2] {
    let bytes = encode_model(model);
    let library = std::env::var("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`");
    let runtime = engines::load_cpu_runtime(library.as_ref()).unwrap();
    let dims: Vec<Vec<usize>> = inputs.iter().map(|input| input.dims.clone()).collect();
    [
        OrtModel::new(&runtime, "test", &bytes).unwrap().run_each(inputs).unwrap(),
        TractModel::new("test", &bytes, &dims).unwrap().run_each(inputs).unwrap(),
    ]
}

/// Asserts that burn, ONNX Runtime and tract agree on the whole model and its halves, and that the costs are
/// those of the stages.
fn assert_agrees(net: &Net) {
    let blueprint = net.blueprint();
    let distribution = Distribution::Uniform(-1.0, 1.0);
    let input = Tensor::<2>::random([SAMPLES, blueprint.input.values()], distribution, &Device::flex());
    let encoded = net.encode(input.clone());
    let mut latents = vec![values(encoded.latent.clone(), blueprint.latent)];
    let taps = encoded.taps.iter().zip(&blueprint.taps);
    latents.extend(taps.map(|(row, tap)| values(row.clone(), tap.shape)));
    let output = net.reconstruct(encoded.latent.clone(), &encoded.taps);
    let mut outputs = vec![values(output, blueprint.output)];
    if let Some(logits) = net.classify(encoded.latent) {
        let labels = logits.dims()[1];
        outputs.push(values(logits, crate::definition::Shape::Flat(labels)));
    }
    let input = [values(input, blueprint.input)];
    let expected = [
        ("whole", net.whole_model().unwrap(), &input[..], &outputs[..]),
        ("encoder", net.encoder_half().unwrap(), &input, &latents),
        ("decoder", net.decoder_half().unwrap(), &latents, &outputs[..1]),
    ];
    for (name, model, inputs, outputs) in expected {
        for found in run_engines(&model, inputs) {
            agree::compare_outputs(name, outputs, &found).unwrap();
        }
    }
    assert_costs(net);
}

fn assert_costs(net: &Net) {
    let blueprint = net.blueprint();
    let expected_cost = |stages: &[Stage]| Cost {
        parameters: stages.iter().map(Stage::parameters).sum(),
        macs: stages.iter().map(Stage::macs).sum(),
    };
    // The constants of a gelu do not count as parameters of the model.
    let gelus =
        |stages: &[Stage]| 3 * stages.iter().filter(|stage| stage.label().contains("gelu")).count() as u64;
    for (model, stages) in
        [(net.encoder_half().unwrap(), &blueprint.encoder), (net.decoder_half().unwrap(), &blueprint.decoder)]
    {
        let found = model_cost(&model, &[("n", 1)]).unwrap();
        let expected = expected_cost(stages);
        assert_eq!((found.macs, found.parameters - gelus(stages)), (expected.macs, expected.parameters));
    }
}

const IMAGE_INPUT: &str = r#"picture = { width = 9, height = 7, channels = "rgb" }"#;
const DENSE: &str = r#"{ layer = "dense", units = 189 }"#;

/// Tests an encoder that begins with this layer and ends in a row.
fn assert_layer(layer: &str) {
    let encoder = format!(r#"{{ {layer} }}, {{ layer = "flatten" }}, {{ layer = "dense", units = 4 }}"#);
    assert_agrees(&model(IMAGE_INPUT, &encoder, DENSE));
}

#[test]
fn convolutions_of_odd_and_even_sizes_agree() {
    for kernel in [1, 2, 3, 4, 5] {
        for stride in [1, 2, 3] {
            assert_layer(&format!(r#"layer = "conv", channels = 5, kernel = {kernel}, stride = {stride}"#));
        }
    }
}

#[test]
fn transposed_convolutions_of_odd_and_even_sizes_agree() {
    for (kernel, stride) in
        [(1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (3, 2), (4, 2), (5, 2), (3, 3), (5, 3), (4, 3)]
    {
        assert_layer(&format!(
            r#"layer = "conv-transpose", channels = 2, kernel = {kernel}, stride = {stride}"#
        ));
    }
}

#[test]
fn sub_pixels_agree() {
    for factor in [1, 2, 3] {
        assert_layer(&format!(
            r#"layer = "sub-pixel", channels = 2, factor = {factor}, kernel = 3, activation = "relu""#
        ));
    }
}

#[test]
fn activations_agree() {
    for activation in ["relu", "gelu", "sigmoid", "tanh"] {
        assert_layer(&format!(r#"layer = "conv", channels = 5, kernel = 3, activation = "{activation}""#));
    }
}

#[test]
fn residuals_and_nested_residuals_agree() {
    let conv = r#"{ layer = "conv", channels = 3, kernel = 3, activation = "tanh" }"#;
    assert_layer(&format!(r#"layer = "residual", repeat = 3, layers = [{conv}, {conv}]"#));
    assert_layer(&format!(
        r#"layer = "residual", layers = [{conv}, {{ layer = "residual", repeat = 2, layers = [{conv}] }}]"#
    ));
}

#[test]
fn recurrent_layers_agree() {
    for cell in ["gru", "lstm"] {
        for layers in [1, 2, 3] {
            let encoder = format!(
                r#"{{ layer = "{cell}", units = 6, layers = {layers} }}, {{ layer = "dense", units = 4 }}"#
            );
            let decoder = r#"{ layer = "dense", units = 22 }"#;
            assert_agrees(&model("series = { length = 11, channels = 2 }", &encoder, decoder));
            assert_agrees(&model("series = { length = 22, channels = 1 }", &encoder, decoder));
            assert_agrees(&model("series = { length = 1, channels = 22 }", &encoder, decoder));
        }
    }
}

#[test]
fn a_latent_may_end_with_recurrent_states_or_be_a_map() {
    let series = "series = { length = 5, channels = 2 }";
    assert_agrees(&model(series, r#"{ layer = "gru", units = 3 }"#, r#"{ layer = "dense", units = 10 }"#));
    let conv = r#"{ layer = "conv", channels = 2, kernel = 3, stride = 2 }"#;
    assert_agrees(&model(IMAGE_INPUT, conv, &format!(r#"{{ layer = "flatten" }}, {DENSE}"#)));
    assert_agrees(&model(IMAGE_INPUT, conv, &format!(r#"{conv}, {{ layer = "flatten" }}, {DENSE}"#)));
    let flat = r#"{ layer = "conv", channels = 2, kernel = 3 }, { layer = "flatten" }"#;
    assert_agrees(&model(IMAGE_INPUT, flat, DENSE));
}

#[test]
fn a_reshape_keeps_the_order_of_values() {
    let encoder = r#"{ layer = "flatten" }, { layer = "reshape", channels = 7, height = 9, width = 3 },
        { layer = "conv", channels = 2, kernel = 3 }"#;
    assert_agrees(&model(IMAGE_INPUT, encoder, &format!(r#"{{ layer = "flatten" }}, {DENSE}"#)));
}

#[test]
fn several_taps_are_joined_at_their_layers() {
    let encoder = r#"
        { layer = "conv", channels = 3, kernel = 3, activation = "relu" },
        { layer = "tap", name = "fine", channels = 1 },
        { layer = "conv", channels = 4, kernel = 3, stride = 2, activation = "relu" },
        { layer = "tap", name = "coarse", channels = 2 },
        { layer = "conv", channels = 2, kernel = 3 }"#;
    let decoder = r#"
        { layer = "join", tap = "coarse" },
        { layer = "conv-transpose", channels = 3, kernel = 4, stride = 2 },
        { layer = "join", tap = "fine" }, { layer = "join", tap = "fine" },
        { layer = "conv", channels = 1, kernel = 3 }"#;
    assert_agrees(&model(r#"picture = { width = 6, height = 8, channels = "grey" }"#, encoder, decoder));
}

#[test]
fn every_preset_agrees() {
    for (name, _) in PRESETS {
        assert_agrees(&preset(name));
    }
}

#[test]
fn whole_and_halves_of_every_preset_agree() {
    let library = std::env::var("ORT_DYLIB_PATH").unwrap();
    let runtime = engines::load_cpu_runtime(library.as_ref()).unwrap();
    for (name, _) in PRESETS {
        let net = preset(name);
        let whole = encode_model(&net.whole_model().unwrap());
        agree::check_export(net.blueprint(), &whole, &split::split_model(&whole, &net).unwrap(), &runtime)
            .unwrap();
    }
}

#[test]
fn a_cut_gives_the_same_halves_as_separate_exports() {
    for name in ["fashion-dense", "fashion-conv", "series-gru"] {
        let net = preset(name);
        let halves = split::split_model(&encode_model(&net.whole_model().unwrap()), &net).unwrap();
        assert!(halves.encoder == encode_model(&net.encoder_half().unwrap()), "{name}");
        assert!(halves.decoder == encode_model(&net.decoder_half().unwrap()), "{name}");
    }
}

#[test]
fn a_distribution_has_a_log_variance_that_is_not_exported() {
    let net = preset("fashion-vae");
    let input = Tensor::<2>::random([SAMPLES, 784], Distribution::Uniform(0.0, 1.0), &Device::flex());
    let encoded = net.encode(input);
    assert_eq!(encoded.log_variance.unwrap().dims(), encoded.latent.dims());
    let exported: u64 = net.blueprint().encoder.iter().map(Stage::parameters).sum();
    assert_eq!(net.encoder.num_params() as u64, exported + 784 * 16 + 16);
    assert_eq!(model_cost(&net.encoder_half().unwrap(), &[("n", 1)]).unwrap().parameters, exported);
}

#[test]
fn each_part_has_its_own_parameters() {
    let net = preset("fashion-multitask");
    let blueprint = net.blueprint();
    let sum = |stages: &[Stage]| stages.iter().map(Stage::parameters).sum::<u64>() as usize;
    assert_eq!(net.encoder.num_params(), sum(&blueprint.encoder));
    assert_eq!(net.decoder.num_params(), sum(&blueprint.decoder));
    assert_eq!(net.classifier.as_ref().unwrap().num_params(), sum(&blueprint.classifier));
}

#[test]
fn a_score_head_agrees_with_burn() {
    let net = preset("shuttle");
    let values_of = |tensor: Tensor<2>| -> Vec<f32> { tensor.into_data().try_to_vec().unwrap() };
    let device = Device::flex();
    let normal = Tensor::<2>::random([200, 9], Distribution::Normal(0.0, 1.0), &device);
    let density = LatentDensity::fit(&values_of(net.encode(normal).latent), 4).unwrap();
    let input = Tensor::<2>::random([SAMPLES, 9], Distribution::Normal(0.0, 2.0), &device);
    let latent = net.encode(input).latent;
    let row = |values: &[f32]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [1, 4]), &device);
    let re_encoded = net.encode(net.reconstruct(latent.clone(), &[])).latent;
    let difference = (latent.clone() - re_encoded) / row(&density.deviation);
    let whitening = TensorData::new(density.whitening.clone(), [4, 4]);
    let whitened = (latent.clone() - row(&density.mean)).matmul(Tensor::from_data(whitening, &device));
    let expected = [difference, whitened].map(|distance| values_of(distance.square().mean_dim(1)));
    let head = net.score_head(&density).unwrap();
    for outputs in run_engines(&head, &[values(latent, net.blueprint().latent)]) {
        let scores = outputs.iter().find(|output| output.dims == [SAMPLES, 2]).unwrap();
        for (sample, part_scores) in scores.values.chunks(2).enumerate() {
            for (column, &value) in part_scores.iter().enumerate() {
                let burn = expected[column][sample];
                assert!((value - burn).abs() <= 1e-4 * burn.max(1.0), "{sample} {column}: {value} {burn}");
            }
        }
    }
}

#[derive(Deserialize)]
struct Shipped {
    name: String,
    description: String,
}

/// The shipped bundle was made by an earlier exporter: only the values of the weights may differ.
#[test]
fn the_dense_preset_exports_the_shipped_bundle() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundles/fashion");
    let manifest: Shipped =
        serde_json::from_slice(&std::fs::read(folder.join("bundle.json")).unwrap()).unwrap();
    let net = preset("fashion-dense");
    let definition = &net.blueprint().definition;
    assert_eq!(
        (manifest.name.as_str(), &manifest.description),
        (definition.bundle_name(), &definition.description)
    );
    let blank = |mut model: ModelProto| {
        for tensor in &mut model.graph.as_mut().unwrap().initializer {
            tensor.raw_data = tensor.raw_data.take().map(|bytes| vec![0; bytes.len()]);
        }
        model
    };
    let shipped = |file: &str| decode_model(&std::fs::read(folder.join(file)).unwrap()).unwrap();
    assert_eq!(
        encode_model(&blank(net.encoder_half().unwrap())),
        encode_model(&blank(shipped("encoder.onnx")))
    );
    let head = shipped("heads/reconstruct-1.onnx");
    let mut decoder = net.decoder_half().unwrap();
    stamp_latent_space(&mut decoder, metadata_value(&head, lopside_bundle::LATENT_SPACE_KEY).unwrap());
    assert_eq!(encode_model(&blank(decoder)), encode_model(&blank(head)));
}
