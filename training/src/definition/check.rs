//! Checks a definition and builds its blueprint: the rules that span layers and parts.

use super::{
    AnomalyPart, Blueprint, Definition, Operation, Shape, Signal, Stage,
    objective::check_objective,
    rules::{RuleViolation, check_limits, check_name, check_positive, check_weight},
    stages::{ModelPart, StageBuilder},
};

/// Maximum number of weights and biases per model.
const MAX_PARAMETERS: u64 = 1 << 28;
/// Maximum width or height in pixels, or length in time steps.
const MAX_SIDE: usize = 1 << 16;
const MAX_EPOCHS: usize = 100_000;
const MAX_BATCH: usize = 1 << 16;
const MAX_LABELS: usize = 1000;

/// Checks all rules and returns the blueprint of the definition.
pub(super) fn check_definition(definition: Definition) -> Result<Blueprint, RuleViolation> {
    check_name("name", &definition.name)?;
    check_name("bundle", definition.bundle_name())?;
    check_name("data.set", &definition.data.set)?;
    check_signal("input", &definition.input)?;
    check_signal("output", definition.output())?;
    let blueprint = infer_shapes(definition)?;
    check_variational(&blueprint)?;
    check_classifier(&blueprint)?;
    check_objective(&blueprint.definition)?;
    check_positive("frame.bytes", blueprint.definition.frame.bytes)?;
    check_data(&blueprint.definition)?;
    check_anomaly(&blueprint)?;
    check_training(&blueprint.definition)?;
    check_size(&blueprint)?;
    Ok(blueprint)
}

fn check_signal(place: &str, signal: &Signal) -> Result<(), RuleViolation> {
    match signal {
        Signal::Picture(picture) => {
            check_sides(place, [("picture.width", picture.width), ("picture.height", picture.height)])?;
            if picture.low.is_finite() && picture.high.is_finite() && picture.low < picture.high {
                return Ok(());
            }
            let what = format!("samples cannot range from {} to {}", picture.low, picture.high);
            Err(RuleViolation::new(format!("{place}.picture"), what, "set low to a number below high"))
        }
        Signal::Series(series) => {
            check_sides(place, [("series.length", series.length), ("series.channels", series.channels)])
        }
    }
}

fn check_sides(place: &str, sides: [(&str, usize); 2]) -> Result<(), RuleViolation> {
    sides
        .into_iter()
        .try_for_each(|(side, found)| check_limits(&format!("{place}.{side}"), found, 1, MAX_SIDE))
}

fn infer_shapes(definition: Definition) -> Result<Blueprint, RuleViolation> {
    let mut walk = StageBuilder::default();
    let mut encoder = walk.stages(
        ModelPart::Encoder,
        &definition.encoder.layers,
        definition.input.shape(),
        "encoder.layers",
    )?;
    let latent = end_shape(&encoder, "encoder.layers")?;
    let decoder = walk.stages(ModelPart::Decoder, &definition.decoder.layers, latent, "decoder.layers")?;
    let output = end_shape(&decoder, "decoder.layers")?;
    walk.check_joins()?;
    check_output_shape(&definition, output)?;
    let classifier = match &definition.classifier {
        None => Vec::new(),
        Some(classifier) => {
            let stages =
                walk.stages(ModelPart::Classifier, &classifier.layers, latent, "classifier.layers")?;
            end_shape(&stages, "classifier.layers")?;
            stages
        }
    };
    let mut input = definition.input.shape();
    if encoder[0].operation == Operation::Flatten {
        input = encoder.remove(0).output;
    }
    let taps = walk.taps;
    Ok(Blueprint { definition, input, latent, output, taps, encoder, decoder, classifier })
}

/// Returns the output shape of a part's last stage. Fails if the part does not have weights.
fn end_shape(stages: &[Stage], place: &str) -> Result<Shape, RuleViolation> {
    match stages.last() {
        Some(last) if stages.iter().any(|stage| stage.depth() > 0) => Ok(last.next_input()),
        _ => Err(RuleViolation::new(place, "none of these layers has weights", "add a dense or conv layer")),
    }
}

/// Checks that the decoder ends with the output shape, or with its values in one row.
fn check_output_shape(definition: &Definition, found: Shape) -> Result<(), RuleViolation> {
    let wanted = definition.output().shape();
    if found == wanted || found == Shape::Flat(wanted.values()) {
        return Ok(());
    }
    let what = format!("the decoder ends with {found}, but the output is {wanted}");
    let fix = match wanted {
        Shape::Series { .. } => format!("end with a dense layer of {} units", wanted.values()),
        _ => format!(
            "end with a map of {wanted} (channels×height×width) or a row of {} values",
            wanted.values()
        ),
    };
    Err(RuleViolation::new("decoder.layers", what, fix))
}

fn check_variational(blueprint: &Blueprint) -> Result<(), RuleViolation> {
    let Some(variational) = blueprint.definition.variational else { return Ok(()) };
    check_weight("variational.beta", variational.beta)?;
    let Some(last) = blueprint.encoder.last() else { return Ok(()) };
    let linear = matches!(last.operation, Operation::Dense | Operation::Conv { .. });
    if linear && last.activation.is_none() {
        return Ok(());
    }
    let what = format!("`{}` cannot produce a mean and a log-variance", last.label());
    let fix = "end the encoder with a dense or conv layer without activation, or remove [variational]";
    Err(RuleViolation::new(&last.path, what, fix))
}

fn check_classifier(blueprint: &Blueprint) -> Result<(), RuleViolation> {
    let Some(classifier) = &blueprint.definition.classifier else { return Ok(()) };
    let count = classifier.labels.len();
    check_limits("classifier.labels", count, 2, MAX_LABELS)?;
    let mut sorted: Vec<&String> = classifier.labels.iter().collect();
    sorted.sort_unstable();
    if let Some((label, _)) = sorted.iter().zip(&sorted[1..]).find(|(a, b)| a == b) {
        let what = format!("the label `{label}` occurs twice");
        return Err(RuleViolation::new("classifier.labels", what, "use a different label for each class"));
    }
    let last = end_shape(&blueprint.classifier, "classifier.layers")?;
    if last == Shape::Flat(count) {
        return Ok(());
    }
    let what = format!("the classifier ends with {last}, but there are {count} labels");
    let fix = format!("end with a dense layer of {count} units");
    Err(RuleViolation::new("classifier.layers", what, fix))
}

fn check_data(definition: &Definition) -> Result<(), RuleViolation> {
    let data = &definition.data;
    let series = matches!(definition.input, Signal::Series(_));
    if data.labels.is_some() && definition.classifier.is_none() {
        return Err(RuleViolation::new(
            "data.labels",
            "the model does not have a classifier that uses labels",
            "add [classifier], or remove the key",
        ));
    }
    if data.normal.is_some() && series {
        let fix = "remove the key: a time series flags its anomalies itself";
        return Err(RuleViolation::new("data.normal", "a time series does not have classes", fix));
    }
    match (data.stride, &definition.input) {
        (Some(_), Signal::Picture(_)) => {
            Err(RuleViolation::new("data.stride", "images are not cut into windows", "remove the key"))
        }
        (Some(stride), Signal::Series(series)) => check_limits("data.stride", stride, 1, series.length),
        (None, _) => Ok(()),
    }
}

fn check_anomaly(blueprint: &Blueprint) -> Result<(), RuleViolation> {
    let definition = &blueprint.definition;
    let Some(anomaly) = &definition.anomaly else { return Ok(()) };
    let mut parts = anomaly.parts.clone();
    parts.sort_by_key(|part| part.name());
    parts.dedup();
    if parts.len() != anomaly.parts.len() {
        return Err(RuleViolation::new("anomaly.parts", "a part is listed twice", "list each part once"));
    }
    if !anomaly.parts.iter().any(|part| !part.needs_input()) {
        let fix = "add at least one of bits, re-encoding and mahalanobis";
        return Err(RuleViolation::new(
            "anomaly.parts",
            "every part requires the reference input, so a frame alone cannot be scored",
            fix,
        ));
    }
    if !(0.0..=1.0).contains(&anomaly.threshold) {
        let what = format!("{} is not a quantile", anomaly.threshold);
        return Err(RuleViolation::new("anomaly.threshold", what, "use a number from 0 to 1"));
    }
    if !blueprint.taps.is_empty() && anomaly.parts.contains(&AnomalyPart::ReEncoding) {
        let fix = "remove re-encoding from the parts, or remove the taps";
        return Err(RuleViolation::new(
            "anomaly.parts",
            "re-encoding does not support latents with taps",
            fix,
        ));
    }
    let comparable = definition.output().shape() == definition.input.shape();
    if comparable {
        return Ok(());
    }
    let fix = "remove [anomaly], or [output]";
    Err(RuleViolation::new(
        "anomaly",
        "the output cannot be compared with the input, because their shapes differ",
        fix,
    ))
}

fn check_training(definition: &Definition) -> Result<(), RuleViolation> {
    let training = &definition.training;
    check_limits("training.epochs", training.epochs, 1, MAX_EPOCHS)?;
    check_limits("training.batch", training.batch, 1, MAX_BATCH)?;
    check_positive("training.encoder-rate", training.encoder_rate)?;
    check_positive("training.decoder-rate", training.decoder_rate)
}

fn check_size(blueprint: &Blueprint) -> Result<(), RuleViolation> {
    let stages = blueprint.encoder.iter().chain(&blueprint.decoder).chain(&blueprint.classifier);
    let parameters: u64 = stages.map(Stage::parameters).sum();
    if parameters <= MAX_PARAMETERS {
        return Ok(());
    }
    let what = format!("the model has {parameters} parameters, more than the maximum of {MAX_PARAMETERS}");
    Err(RuleViolation::new("encoder, decoder, classifier", what, "use fewer or narrower layers"))
}
