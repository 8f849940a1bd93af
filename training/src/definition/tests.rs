use super::*;

/// A small model with every part.
const MODEL: &str = r#"
name = "small"
description = "a small one"
[data]
set = "made-up"
normal = 3
[input]
picture = { width = 6, height = 8, channels = "rgb" }
[encoder]
layers = [
  { layer = "conv", channels = 4, kernel = 3, stride = 2, activation = "relu" },
  { layer = "tap", name = "edges", channels = 2 },
  { layer = "residual", repeat = 2, layers = [{ layer = "conv", channels = 4, kernel = 3 }] },
  { layer = "flatten" },
  { layer = "dense", units = 5 },
]
[decoder]
layers = [
  { layer = "dense", units = 24, activation = "relu" },
  { layer = "reshape", channels = 2, height = 4, width = 3 },
  { layer = "join", tap = "edges" },
  { layer = "conv-transpose", channels = 3, kernel = 4, stride = 2 },
]
activation = "sigmoid"
[classifier]
labels = ["a", "b"]
layers = [{ layer = "dense", units = 2 }]
[variational]
beta = 0.5
[objective]
reconstruction = { loss = "bce", weight = 2.0 }
classification = 0.1
contrastive = { kind = "supervised", weight = 0.1 }
[training]
epochs = 2
batch = 8
encoder-rate = 0.01
decoder-rate = 0.02
seed = 4
"#;

fn check(text: &str) -> Result<Blueprint, TrainingError> {
    Definition::parse(text, "small.toml")?.check("small.toml")
}

/// Returns the path and the whole message of the error after these replacements.
fn violation_after(replacements: &[(&str, &str)]) -> (String, String) {
    let mut text = MODEL.to_owned();
    for (from, to) in replacements {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let error = check(&text).unwrap_err();
    let message = error.to_string();
    let TrainingError::Definition(DefinitionError::RuleViolation { file, place: path, .. }) = error else {
        panic!("{message}")
    };
    assert_eq!(file, "small.toml");
    (path, message)
}

/// Asserts that the model is rejected at `path` after these replacements, with these fragments in the message.
fn assert_refused(replacements: &[(&str, &str)], path: &str, fragments: &[&str]) {
    let (found, message) = violation_after(replacements);
    assert_eq!(found, path, "{message}");
    for fragment in fragments {
        assert!(message.contains(fragment), "{fragment}: {message}");
    }
}

#[test]
fn shapes_are_inferred() {
    let blueprint = check(MODEL).unwrap();
    assert_eq!(blueprint.input, Shape::Map { channels: 3, height: 8, width: 6 });
    assert_eq!(blueprint.latent, Shape::Flat(5));
    assert_eq!(blueprint.output, Shape::Map { channels: 3, height: 8, width: 6 });
    let shape = Shape::Map { channels: 2, height: 4, width: 3 };
    assert_eq!(blueprint.taps, [Tap { name: "edges".into(), shape }]);
    let shapes: Vec<String> = blueprint.decoder.iter().map(|stage| stage.output.to_string()).collect();
    assert_eq!(shapes, ["24", "2×4×3", "4×4×3", "3×8×6"]);
    assert_eq!(blueprint.encoder[2].path, "encoder.layers[2]");
    let parameters: Vec<u64> = blueprint.encoder.iter().map(Stage::parameters).collect();
    assert_eq!(parameters, [3 * 4 * 9 + 4, 4 * 2 + 2, 2 * (4 * 4 * 9 + 4), 0, 48 * 5 + 5]);
    assert_eq!(blueprint.encoder[2].depth(), 2);
}

#[test]
fn every_preset_is_a_definition_of_its_name() {
    for (name, _) in PRESETS {
        let definition = Definition::find(name).unwrap();
        assert_eq!(definition.name, name);
        definition.check(name).unwrap();
    }
}

#[test]
fn a_definition_survives_json() {
    let definition = Definition::parse(MODEL, "x").unwrap();
    assert_eq!(definition.data.normal, Some(3));
    let json = serde_json::to_string(&definition).unwrap();
    assert_eq!(serde_json::from_str::<Definition>(&json).unwrap(), definition);
}

#[test]
fn a_model_is_a_preset_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.toml");
    assert!(matches!(Definition::find(path.to_str().unwrap()), Err(TrainingError::Io { .. })));
    fs::write(&path, MODEL).unwrap();
    assert_eq!(Definition::find(path.to_str().unwrap()).unwrap().name, "small");
    let message = Definition::find("fashion-dens").unwrap_err().to_string();
    assert!(message.contains("fashion-dense, fashion-conv"), "{message}");
}

#[test]
fn invalid_toml_is_named_with_its_line() {
    for (from, to, fragment) in [
        ("units = 5", "unit = 5", "unit"),
        ("epochs = 2", "epochs = 2\nepoch = 3", "unknown field `epoch`"),
        ("\"flatten\" }", "\"flatten\", units = 3 }", "units"),
        ("layer = \"flatten\"", "layer = \"flat\"", "unknown variant `flat`"),
        ("\"rgb\" }", "\"rgb\" }\nseries = { length = 3, channels = 1 }", "line"),
        ("beta = 0.5", "beta =", "line"),
    ] {
        let error = check(&MODEL.replace(from, to)).unwrap_err();
        let message = error.to_string();
        let is_toml_error = matches!(error, TrainingError::Definition(DefinitionError::InvalidToml { .. }));
        assert!(is_toml_error, "{message}");
        assert!(message.starts_with("small.toml: ") && message.contains("line "), "{message}");
        assert!(message.contains(fragment), "{message}");
    }
}

#[test]
fn names_are_short_and_plain() {
    assert_refused(&[("name = \"small\"", "name = \"Small\"")], "name", &["`Small`", "a–z"]);
    assert_refused(&[("name = \"small\"", "name = \"small\"\nbundle = \"\"")], "bundle", &["1 to 64"]);
    assert_refused(&[("\"made-up\"", "\"../x\"")], "data.set", &["`../x`"]);
    assert_refused(&[("name = \"edges\"", "name = \"e/\"")], "encoder.layers[1].name", &["a–z"]);
}

#[test]
fn signals_have_a_size_and_a_range() {
    assert_refused(&[("width = 6", "width = 0")], "input.picture.width", &["1 to 65536"]);
    let range = ("channels = \"rgb\"", "channels = \"rgb\", low = 1.0");
    assert_refused(&[range], "input.picture", &["from 1 to 1", "below high"]);
    let range = ("channels = \"rgb\"", "channels = \"rgb\", low = nan");
    assert_refused(&[range], "input.picture", &["NaN"]);
    let series =
        ("picture = { width = 6, height = 8, channels = \"rgb\" }", "series = { length = 0, channels = 1 }");
    assert_refused(&[series], "input.series.length", &["0 is out of range"]);
}

#[test]
fn a_part_without_weights_is_refused() {
    let (encoder, rest) = MODEL.split_once("[encoder]").unwrap();
    let (_, rest) = rest.split_once("[decoder]").unwrap();
    let text = format!("{encoder}[encoder]\nlayers = [{{ layer = \"flatten\" }}]\n[decoder]{rest}");
    let message = check(&text).unwrap_err().to_string();
    assert!(message.contains("encoder.layers: none of these layers has weights: add a dense"), "{message}");
    let inner = "[{ layer = \"conv\", channels = 4, kernel = 3 }]";
    assert_refused(&[(inner, "[]")], "encoder.layers[2].layers", &["none of these layers has weights"]);
}

#[test]
fn layers_out_of_range_are_refused() {
    assert_refused(&[("units = 5", "units = 0")], "encoder.layers[4].units", &["1 to 65536"]);
    assert_refused(&[("units = 5", "units = 70000")], "encoder.layers[4].units", &["1 to 65536"]);
    assert_refused(&[("stride = 2, act", "stride = 9, act")], "encoder.layers[0].stride", &["1 to 6"]);
    assert_refused(&[("kernel = 3, stride", "kernel = 0, stride")], "encoder.layers[0].kernel", &["1 to 31"]);
    assert_refused(&[("repeat = 2", "repeat = 0")], "encoder.layers[2].repeat", &["1 to 1024"]);
    let path = "encoder.layers[2].layers[0]";
    assert_refused(&[("repeat = 2", "repeat = 1024")], path, &["more than 1024 layers"]);
    let huge = [("width = 6", "width = 6000"), ("height = 8", "height = 8000")];
    assert_refused(&huge, "encoder.layers[0]", &["more than 16777216 values"]);
    let wide = [("units = 24", "units = 65536, activation = \"relu\" }, { layer = \"dense\", units = 65536")];
    assert_refused(&wide, "decoder.layers[2]", &["has 65536 values"]);
}

#[test]
fn too_many_parameters_are_refused() {
    let wide = "units = 65536 }, { layer = \"dense\", units = 65536 }, { layer = \"dense\", units = 24";
    assert_refused(&[("units = 24", wide)], "encoder, decoder, classifier", &["maximum of 268435456"]);
}

#[test]
fn nested_residuals_have_a_limit() {
    let mut inner = "{ layer = \"conv\", channels = 4, kernel = 3 }".to_owned();
    for _ in 0..4 {
        inner = format!("{{ layer = \"residual\", layers = [{inner}] }}");
    }
    let (_, message) =
        violation_after(&[("[{ layer = \"conv\", channels = 4, kernel = 3 }]", &format!("[{inner}]"))]);
    assert!(message.contains("nested residual layers: 5 is out of range"), "{message}");
}

#[test]
fn a_dense_layer_needs_a_row() {
    let (path, message) = violation_after(&[("  { layer = \"flatten\" },\n", "")]);
    assert_eq!(path, "encoder.layers[3]");
    assert!(message.contains("but its input is 4×4×3: put { layer = \"flatten\" } before it"), "{message}");
}

#[test]
fn a_convolution_needs_a_map() {
    let reshape = "  { layer = \"reshape\", channels = 2, height = 4, width = 3 },\n";
    assert_refused(
        &[(reshape, "")],
        "decoder.layers[1]",
        &["requires a map, but its input is 24", "reshape"],
    );
    let series =
        ("picture = { width = 6, height = 8, channels = \"rgb\" }", "series = { length = 9, channels = 1 }");
    assert_refused(
        &[series],
        "encoder.layers[0]",
        &["requires a map, but its input is 9×1", "gru, lstm, or flatten"],
    );
}

#[test]
fn a_kernel_fits_the_map() {
    let kernel = ("kernel = 3, stride = 2", "kernel = 7, stride = 2");
    assert_refused(&[kernel], "encoder.layers[0]", &["larger than the map of 8×6", "at most 6"]);
    let kernel = ("kernel = 4, stride = 2", "kernel = 1, stride = 2");
    assert_refused(&[kernel], "decoder.layers[3]", &["gaps at a stride of 2", "2 or more"]);
}

#[test]
fn a_sub_pixel_layer_has_a_factor() {
    let layer = |factor: usize| format!("\"sub-pixel\", channels = 3, kernel = 3, factor = {factor}");
    let old = "\"conv-transpose\", channels = 3, kernel = 4, stride = 2";
    assert!(check(&MODEL.replace(old, &layer(2))).is_ok());
    assert_refused(&[(old, &layer(17))], "decoder.layers[3].factor", &["1 to 16"]);
}

#[test]
fn residual_shapes_agree() {
    let old = "[{ layer = \"conv\", channels = 4, kernel = 3 }]";
    let new = "[{ layer = \"conv\", channels = 6, kernel = 3 }]";
    assert_refused(
        &[(old, new)],
        "encoder.layers[2].layers",
        &["the input is 4×4×3 and the output is 6×4×3", "output 4×4×3"],
    );
}

#[test]
fn a_row_is_not_flattened_again() {
    let twice = ("{ layer = \"flatten\" },", "{ layer = \"flatten\" }, { layer = \"flatten\" },");
    assert_refused(&[twice], "encoder.layers[4]", &["already in one row", "remove the layer"]);
}

#[test]
fn a_reshape_keeps_the_values() {
    assert_refused(
        &[("width = 3 }", "width = 4 }")],
        "decoder.layers[1]",
        &["24 has 24 values, but 2×4×4 has 32"],
    );
}

#[test]
fn recurrent_layers_read_series_in_the_encoder() {
    let dense = "{ layer = \"dense\", units = 24, activation = \"relu\" }";
    assert_refused(&[(dense, "{ layer = \"gru\", units = 24 }")], "decoder.layers[0]", &["feed-forward"]);
    let dense = "{ layer = \"dense\", units = 5 }";
    assert_refused(
        &[(dense, "{ layer = \"lstm\", units = 5 }")],
        "encoder.layers[4]",
        &["requires a time series, but its input is 48"],
    );
    assert_refused(
        &[(dense, "{ layer = \"lstm\", units = 5, layers = 9 }")],
        "encoder.layers[4].layers",
        &["1 to 8"],
    );
}

#[test]
fn taps_are_unique_and_on_the_encoders_main_path() {
    let tap = "{ layer = \"tap\", name = \"edges\", channels = 2 },";
    assert_refused(&[(tap, &format!("{tap}{tap}"))], "encoder.layers[2]", &["already named `edges`"]);
    let join = "{ layer = \"join\", tap = \"edges\" },";
    assert_refused(&[(join, tap)], "decoder.layers[2]", &["must be on the encoder's main path"]);
    let conv = "{ layer = \"conv\", channels = 4, kernel = 3 }]";
    let inside = format!("{}{conv}", tap.replace("edges", "inner"));
    assert_refused(&[(conv, &inside)], "encoder.layers[2].layers[0]", &["directly into encoder.layers"]);
    assert_refused(
        &[(join, "")],
        "encoder.layers[1]",
        &["no decoder layer joins tap `edges`", "remove the tap"],
    );
}

#[test]
fn joins_require_a_known_tap_of_equal_size() {
    assert_refused(
        &[("tap = \"edges\"", "tap = \"corners\"")],
        "decoder.layers[2]",
        &["a tap `corners`; its taps: edges"],
    );
    let later = [
        ("  { layer = \"join\", tap = \"edges\" },\n", ""),
        ("kernel = 4, stride = 2 },", "kernel = 4, stride = 2 }, { layer = \"join\", tap = \"edges\" },"),
    ];
    assert_refused(&later, "decoder.layers[3]", &["4 rows of 3, but the decoder's map has 8 rows of 6"]);
    let classifier = "layers = [{ layer = \"dense\", units = 2 }]";
    let join = "layers = [{ layer = \"join\", tap = \"edges\" }]";
    assert_refused(&[(classifier, join)], "classifier.layers[0]", &["directly into decoder.layers"]);
}

#[test]
fn the_decoder_ends_at_the_output() {
    let old = "\"conv-transpose\", channels = 3";
    let new = "\"conv-transpose\", channels = 1";
    assert_refused(
        &[(old, new)],
        "decoder.layers",
        &["ends with 1×8×6, but the output is 3×8×6", "144 values"],
    );
    let series = ("[encoder]", "[output]\nseries = { length = 144, channels = 2 }\n[encoder]");
    assert_refused(&[series], "decoder.layers", &["a dense layer of 288 units"]);
}

#[test]
fn the_classifier_has_one_logit_per_label() {
    let dense = "layers = [{ layer = \"dense\", units = 2 }]";
    assert_refused(
        &[(dense, "layers = [{ layer = \"dense\", units = 3 }]")],
        "classifier.layers",
        &["dense layer of 2"],
    );
    assert_refused(&[("[\"a\", \"b\"]", "[\"a\"]")], "classifier.labels", &["1 is out of range"]);
    assert_refused(&[("[\"a\", \"b\"]", "[\"a\", \"a\"]")], "classifier.labels", &["`a` occurs twice"]);
    assert_refused(
        &[("classification = 0.1", "classification = 0.0")],
        "classifier",
        &["no loss trains the classifier"],
    );
}

#[test]
fn a_variational_encoder_ends_with_a_linear_layer() {
    let relu = ("units = 5 }", "units = 5, activation = \"relu\" }");
    assert_refused(&[relu], "encoder.layers[4]", &["`dense, relu`", "without activation"]);
    assert_refused(&[("beta = 0.5", "beta = -1.0")], "variational.beta", &["-1 is not a valid weight"]);
}

#[test]
fn weights_are_finite_and_some_loss_trains_the_decoder() {
    let weight = |weight: &str| format!("weight = {weight} }}\nclassification");
    let old = "weight = 2.0 }\nclassification";
    let path = "objective.reconstruction.weight";
    assert_refused(&[(old, &weight("inf"))], path, &["inf is not a valid weight", "0 or more"]);
    assert_refused(&[(old, &weight("0.0"))], path, &["no loss trains the decoder"]);
    assert_refused(&[("classification = 0.1", "classification = nan")], "objective.classification", &["NaN"]);
    let sparse = ("classification = 0.1", "classification = 0.1\nsparsity = -0.5");
    assert_refused(&[sparse], "objective.sparsity", &["-0.5"]);
}

#[test]
fn objectives_have_the_parts_they_need() {
    let (before, rest) = MODEL.split_once("[classifier]").unwrap();
    let (_, rest) = rest.split_once("[variational]").unwrap();
    let message = check(&format!("{before}[variational]{rest}")).unwrap_err().to_string();
    assert!(message.contains("objective.classification: the model does not have a classifier"), "{message}");
    let unclassified = rest.replace("classification = 0.1", "");
    let message = check(&format!("{before}[variational]{unclassified}")).unwrap_err().to_string();
    assert!(message.contains("objective.contrastive.kind: a supervised loss requires labels"), "{message}");
    let cold = ("weight = 0.1 }", "weight = 0.1, temperature = 0.0 }");
    assert_refused(&[cold], "objective.contrastive.temperature", &["above 0"]);
    assert_refused(&[("batch = 8", "batch = 1")], "training.batch", &["compares the samples"]);
}

#[test]
fn a_series_has_no_mirror_image() {
    let text = include_str!("../../presets/series-gru.toml");
    let contrastive = "contrastive = { kind = \"nt-xent\", weight = 0.1, flip = true }\n\n[frame]";
    let error = check(&text.replace("[frame]", contrastive)).unwrap_err().to_string();
    assert!(error.contains("objective.contrastive.flip: a time series cannot be mirrored"), "{error}");
}

#[test]
fn data_and_anomaly_keys_require_a_matching_model() {
    let dense = include_str!("../../presets/fashion-dense.toml");
    let error_with = |text: &str, set: &str, line: &str| {
        let set_line = format!("set = \"{set}\"");
        assert!(text.contains(&set_line), "{set}");
        check(&text.replacen(&set_line, &format!("{set_line}\n{line}"), 1)).unwrap_err().to_string()
    };
    for (line, expected) in [
        ("labels = 10", "data.labels: the model does not have a classifier"),
        ("stride = 2", "data.stride: images are not cut into windows"),
        ("table = { decimal = ',' }", "data.table: images do not come from tables"),
        ("normals = 2", "unknown field `normals`"),
    ] {
        let error = error_with(dense, "fashion-mnist", line);
        assert!(error.contains(expected), "{line}: {error}");
    }
    let series = include_str!("../../presets/series-gru.toml");
    for (line, expected) in [
        ("normal = 1", "data.normal: a time series does not have classes"),
        ("stride = 129", "data.stride: 129 is out of range"),
        ("table = { time = ['t'] }", "data.table: time needs max_gap_seconds"),
    ] {
        let error = error_with(series, "series", line);
        assert!(error.contains(expected), "{line}: {error}");
    }
    let parts = "parts = [\"re-encoding\", \"mahalanobis\", \"error\", \"relative-error\"]";
    for (other, expected) in [
        ("parts = [\"error\"]", "a frame alone cannot be scored"),
        ("parts = [\"bits\", \"bits\"]", "a part is listed twice"),
        ("parts = [\"bits\"]\nthreshold = 1.5", "anomaly.threshold: 1.5 is not a quantile"),
        ("parts = [\"depth\"]", "unknown variant `depth`"),
    ] {
        assert!(series.contains(parts));
        let error = check(&series.replace(parts, other)).unwrap_err().to_string();
        assert!(error.contains(expected), "{other}: {error}");
    }
    let consistency = "consistency = { weight = 0.1, threshold = 2.0 }";
    let semi = include_str!("../../presets/fashion-semi.toml");
    let original = "consistency = { weight = 0.1, threshold = 0.95, shift = 1 }";
    assert!(semi.contains(original));
    let error = check(&semi.replace(original, consistency)).unwrap_err().to_string();
    assert!(error.contains("objective.consistency.threshold: 2 is not a probability"), "{error}");
}

#[test]
fn a_sigmoid_has_samples_of_0_to_1() {
    assert_refused(
        &[("\"sigmoid\"", "\"identity\"")],
        "objective.reconstruction.loss",
        &["bce requires outputs from 0 to 1"],
    );
    let low = ("channels = \"rgb\"", "channels = \"rgb\", low = -1.0");
    assert_refused(&[low], "decoder.activation", &["samples from -1 to 1", "identity"]);
}

#[test]
fn training_has_limits() {
    assert_refused(&[("epochs = 2", "epochs = 0")], "training.epochs", &["1 to 100000"]);
    assert_refused(&[("batch = 8", "batch = 100000")], "training.batch", &["1 to 65536"]);
    assert_refused(&[("encoder-rate = 0.01", "encoder-rate = 0.0")], "training.encoder-rate", &["above 0"]);
    assert_refused(&[("decoder-rate = 0.02", "decoder-rate = inf")], "training.decoder-rate", &["inf"]);
}
