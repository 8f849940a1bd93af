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

fn check_signal(path: &str, signal: &Signal) -> Result<(), RuleViolation> {
    match signal {
        Signal::Picture(image) => {
            check_sides(path, [("picture.width", image.width), ("picture.height", image.height)])?;
            if image.low.is_finite() && image.high.is_finite() && image.low < image.high {
                return Ok(());
            }
            let problem = format!("samples cannot range from {} to {}", image.low, image.high);
            Err(RuleViolation::new(format!("{path}.picture"), problem, "set low to a number below high"))
        }
        Signal::Series(series) => {
            check_sides(path, [("series.length", series.length), ("series.channels", series.channels)])
        }
    }
}

fn check_sides(path: &str, sides: [(&str, usize); 2]) -> Result<(), RuleViolation> {
    sides
        .into_iter()
        .try_for_each(|(side, found)| check_limits(&format!("{path}.{side}"), found, 1, MAX_SIDE))
}

fn infer_shapes(definition: Definition) -> Result<Blueprint, RuleViolation> {
    let mut builder = StageBuilder::default();
    let mut encoder = builder.stages(
        ModelPart::Encoder,
        &definition.encoder.layers,
        definition.input.shape(),
        "encoder.layers",
    )?;
    let latent = end_shape(&encoder, "encoder.layers")?;
    let decoder = builder.stages(ModelPart::Decoder, &definition.decoder.layers, latent, "decoder.layers")?;
    let output = end_shape(&decoder, "decoder.layers")?;
    builder.check_joins()?;
    check_output_shape(&definition, output)?;
    let classifier = match &definition.classifier {
        None => Vec::new(),
        Some(classifier) => {
            let stages =
                builder.stages(ModelPart::Classifier, &classifier.layers, latent, "classifier.layers")?;
            end_shape(&stages, "classifier.layers")?;
            stages
        }
    };
    let mut input = definition.input.shape();
    if encoder[0].operation == Operation::Flatten {
        input = encoder.remove(0).output;
    }
    let taps = builder.taps;
    Ok(Blueprint { definition, input, latent, output, taps, encoder, decoder, classifier })
}

/// Returns the output shape of a part's last stage. Fails if the part does not have weights.
fn end_shape(stages: &[Stage], path: &str) -> Result<Shape, RuleViolation> {
    match stages.last() {
        Some(last) if stages.iter().any(|stage| stage.depth() > 0) => Ok(last.next_input()),
        _ => Err(RuleViolation::new(path, "none of these layers has weights", "add a dense or conv layer")),
    }
}

/// Checks that the decoder ends with the output shape, or with its values in one row.
fn check_output_shape(definition: &Definition, found: Shape) -> Result<(), RuleViolation> {
    let expected = definition.output().shape();
    if found == expected || found == Shape::Flat(expected.values()) {
        return Ok(());
    }
    let problem = format!("the decoder ends with {found}, but the output is {expected}");
    let fix = match expected {
        Shape::Series { .. } => format!("end with a dense layer of {} units", expected.values()),
        _ => format!(
            "end with a map of {expected} (channels×height×width) or a row of {} values",
            expected.values()
        ),
    };
    Err(RuleViolation::new("decoder.layers", problem, fix))
}

fn check_variational(blueprint: &Blueprint) -> Result<(), RuleViolation> {
    let Some(variational) = blueprint.definition.variational else { return Ok(()) };
    check_weight("variational.beta", variational.beta)?;
    let Some(last) = blueprint.encoder.last() else { return Ok(()) };
    let is_linear = matches!(last.operation, Operation::Dense | Operation::Conv { .. });
    if is_linear && last.activation.is_none() {
        return Ok(());
    }
    let problem = format!("`{}` cannot produce a mean and a log-variance", last.label());
    let fix = "end the encoder with a dense or conv layer without activation, or remove [variational]";
    Err(RuleViolation::new(&last.path, problem, fix))
}

fn check_classifier(blueprint: &Blueprint) -> Result<(), RuleViolation> {
    let Some(classifier) = &blueprint.definition.classifier else { return Ok(()) };
    let count = classifier.labels.len();
    check_limits("classifier.labels", count, 2, MAX_LABELS)?;
    let mut sorted: Vec<&String> = classifier.labels.iter().collect();
    sorted.sort_unstable();
    if let Some((label, _)) = sorted.iter().zip(&sorted[1..]).find(|(a, b)| a == b) {
        let problem = format!("the label `{label}` occurs twice");
        return Err(RuleViolation::new("classifier.labels", problem, "use a different label for each class"));
    }
    let last = end_shape(&blueprint.classifier, "classifier.layers")?;
    if last == Shape::Flat(count) {
        return Ok(());
    }
    let problem = format!("the classifier ends with {last}, but there are {count} labels");
    let fix = format!("end with a dense layer of {count} units");
    Err(RuleViolation::new("classifier.layers", problem, fix))
}

fn check_data(definition: &Definition) -> Result<(), RuleViolation> {
    let data = &definition.data;
    let is_series = matches!(definition.input, Signal::Series(_));
    if data.labels.is_some() && definition.classifier.is_none() {
        return Err(RuleViolation::new(
            "data.labels",
            "the model does not have a classifier that uses labels",
            "add [classifier], or remove the key",
        ));
    }
    if data.normal.is_some() && is_series {
        let fix = "remove the key: a time series flags its anomalies itself";
        return Err(RuleViolation::new("data.normal", "a time series does not have classes", fix));
    }
    check_table(definition)?;
    match (data.stride, &definition.input) {
        (Some(_), Signal::Picture(_)) => {
            Err(RuleViolation::new("data.stride", "images are not cut into windows", "remove the key"))
        }
        (Some(stride), Signal::Series(series)) => check_limits("data.stride", stride, 1, series.length),
        (None, _) => Ok(()),
    }
}

/// Checks the form of the tables that devices read.
fn check_table(definition: &Definition) -> Result<(), RuleViolation> {
    let Some(table) = &definition.data.table else { return Ok(()) };
    let problem = match &definition.input {
        Signal::Picture(_) => Some("images do not come from tables".to_owned()),
        Signal::Series(series) => table.problem(series.channels),
    };
    let fix = "correct the key, or remove it";
    problem.map_or(Ok(()), |problem| Err(RuleViolation::new("data.table", problem, fix)))
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
        let problem = format!("{} is not a quantile", anomaly.threshold);
        return Err(RuleViolation::new("anomaly.threshold", problem, "use a number from 0 to 1"));
    }
    if !blueprint.taps.is_empty() && anomaly.parts.contains(&AnomalyPart::ReEncoding) {
        let fix = "remove re-encoding from the parts, or remove the taps";
        return Err(RuleViolation::new(
            "anomaly.parts",
            "re-encoding does not support latents with taps",
            fix,
        ));
    }
    let is_comparable = definition.output().shape() == definition.input.shape();
    if is_comparable {
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
    let problem = format!("the model has {parameters} parameters, more than the maximum of {MAX_PARAMETERS}");
    Err(RuleViolation::new("encoder, decoder, classifier", problem, "use fewer or narrower layers"))
}
