//! Checks a definition and builds its blueprint: the rules that span layers and parts.

use super::{
    AnomalyPart, Blueprint, Consistency, Contrastive, ContrastiveKind, Definition, Operation,
    OutputActivation, Shape, Signal, Stage,
    stages::{Part, Walk},
};
use crate::Loss;

/// Maximum number of weights and biases per model.
const MAX_PARAMETERS: u64 = 1 << 28;
/// Maximum width or height in pixels, or length in time steps.
const MAX_SIDE: usize = 1 << 16;
const MAX_EPOCHS: usize = 100_000;
const MAX_BATCH: usize = 1 << 16;
const MAX_LABELS: usize = 1000;

/// A violated rule: the path in the definition, the problem and the fix.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: String,
    pub(super) what: String,
    pub(super) fix: String,
}

impl Fault {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), fix: fix.into() }
    }
}

/// Checks all rules and returns the blueprint of the definition.
pub(super) fn check(definition: Definition) -> Result<Blueprint, Fault> {
    name("name", &definition.name)?;
    name("bundle", definition.bundle_name())?;
    name("data.set", &definition.data.set)?;
    signal("input", &definition.input)?;
    signal("output", definition.output())?;
    let blueprint = shapes(definition)?;
    variational(&blueprint)?;
    classifier(&blueprint)?;
    objective(&blueprint.definition)?;
    positive("frame.bytes", blueprint.definition.frame.bytes)?;
    data(&blueprint.definition)?;
    anomaly(&blueprint)?;
    training(&blueprint.definition)?;
    size(&blueprint)?;
    Ok(blueprint)
}

/// Checks that a text has 1 to 64 of the characters a–z, 0–9 and -.
pub(super) fn name(place: &str, text: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(());
    }
    let what = format!("`{}` is not a valid name", text.chars().take(80).collect::<String>().escape_debug());
    Err(Fault::new(place, what, "use 1 to 64 characters from a–z, 0–9 and -"))
}

fn signal(place: &str, signal: &Signal) -> Result<(), Fault> {
    let sides = |pairs: [(&str, usize); 2]| {
        pairs.into_iter().try_for_each(|(side, found)| within(&format!("{place}.{side}"), found, 1, MAX_SIDE))
    };
    match signal {
        Signal::Picture(picture) => {
            sides([("picture.width", picture.width), ("picture.height", picture.height)])?;
            if picture.low.is_finite() && picture.high.is_finite() && picture.low < picture.high {
                return Ok(());
            }
            let what = format!("samples cannot range from {} to {}", picture.low, picture.high);
            Err(Fault::new(format!("{place}.picture"), what, "set low to a number below high"))
        }
        Signal::Series(series) => {
            sides([("series.length", series.length), ("series.channels", series.channels)])
        }
    }
}

fn shapes(definition: Definition) -> Result<Blueprint, Fault> {
    let mut walk = Walk::default();
    let mut encoder =
        walk.stages(Part::Encoder, &definition.encoder.layers, definition.input.shape(), "encoder.layers")?;
    let latent = end(&encoder, "encoder.layers")?;
    let decoder = walk.stages(Part::Decoder, &definition.decoder.layers, latent, "decoder.layers")?;
    let output = end(&decoder, "decoder.layers")?;
    walk.all_joined()?;
    reaches(&definition, output)?;
    let classifier = match &definition.classifier {
        None => Vec::new(),
        Some(classifier) => {
            let stages = walk.stages(Part::Classifier, &classifier.layers, latent, "classifier.layers")?;
            end(&stages, "classifier.layers")?;
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
fn end(stages: &[Stage], place: &str) -> Result<Shape, Fault> {
    match stages.last() {
        Some(last) if stages.iter().any(|stage| stage.depth() > 0) => Ok(last.next()),
        _ => Err(Fault::new(place, "none of these layers has weights", "add a dense or conv layer")),
    }
}

/// Checks that the decoder ends with the output shape, or with its values in one row.
fn reaches(definition: &Definition, found: Shape) -> Result<(), Fault> {
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
    Err(Fault::new("decoder.layers", what, fix))
}

fn variational(blueprint: &Blueprint) -> Result<(), Fault> {
    let Some(variational) = blueprint.definition.variational else { return Ok(()) };
    weight("variational.beta", variational.beta)?;
    let Some(last) = blueprint.encoder.last() else { return Ok(()) };
    let linear = matches!(last.operation, Operation::Dense | Operation::Conv { .. });
    if linear && last.activation.is_none() {
        return Ok(());
    }
    let what = format!("`{}` cannot produce a mean and a log-variance", last.label());
    let fix = "end the encoder with a dense or conv layer without activation, or remove [variational]";
    Err(Fault::new(&last.place, what, fix))
}

fn classifier(blueprint: &Blueprint) -> Result<(), Fault> {
    let Some(classifier) = &blueprint.definition.classifier else { return Ok(()) };
    let count = classifier.labels.len();
    within("classifier.labels", count, 2, MAX_LABELS)?;
    let mut sorted: Vec<&String> = classifier.labels.iter().collect();
    sorted.sort_unstable();
    if let Some((label, _)) = sorted.iter().zip(&sorted[1..]).find(|(a, b)| a == b) {
        let what = format!("the label `{label}` occurs twice");
        return Err(Fault::new("classifier.labels", what, "use a different label for each class"));
    }
    let last = end(&blueprint.classifier, "classifier.layers")?;
    if last == Shape::Flat(count) {
        return Ok(());
    }
    let what = format!("the classifier ends with {last}, but there are {count} labels");
    let fix = format!("end with a dense layer of {count} units");
    Err(Fault::new("classifier.layers", what, fix))
}

fn objective(definition: &Definition) -> Result<(), Fault> {
    let objective = &definition.objective;
    weight("objective.reconstruction.weight", objective.reconstruction.weight)?;
    weight("objective.sparsity", objective.sparsity)?;
    weight("objective.classification", objective.classification)?;
    range(definition)?;
    match (&definition.classifier, objective.classification > 0.0) {
        (None, true) => {
            let fix = "add [classifier] with labels and layers, or set the weight to 0";
            return Err(Fault::new("objective.classification", "the model does not have a classifier", fix));
        }
        (Some(_), false) => {
            let fix = "set objective.classification above 0, or remove [classifier]";
            return Err(Fault::new("classifier", "no loss trains the classifier", fix));
        }
        _ => {}
    }
    if let Some(contrastive) = &objective.contrastive {
        self::contrastive(definition, contrastive)?;
    }
    if let Some(consistency) = &objective.consistency {
        self::consistency(definition, consistency)?;
    }
    let learns = objective.reconstruction.weight > 0.0;
    if learns {
        return Ok(());
    }
    let fix = "set the weight above 0";
    Err(Fault::new("objective.reconstruction.weight", "no loss trains the decoder", fix))
}

fn data(definition: &Definition) -> Result<(), Fault> {
    let data = &definition.data;
    let series = matches!(definition.input, Signal::Series(_));
    if data.labels.is_some() && definition.classifier.is_none() {
        return Err(Fault::new(
            "data.labels",
            "the model does not have a classifier that uses labels",
            "add [classifier], or remove the key",
        ));
    }
    if data.normal.is_some() && series {
        let fix = "remove the key: a time series flags its anomalies itself";
        return Err(Fault::new("data.normal", "a time series does not have classes", fix));
    }
    match (data.stride, &definition.input) {
        (Some(_), Signal::Picture(_)) => {
            Err(Fault::new("data.stride", "images are not cut into windows", "remove the key"))
        }
        (Some(stride), Signal::Series(series)) => within("data.stride", stride, 1, series.length),
        (None, _) => Ok(()),
    }
}

fn anomaly(blueprint: &Blueprint) -> Result<(), Fault> {
    let definition = &blueprint.definition;
    let Some(anomaly) = &definition.anomaly else { return Ok(()) };
    let mut parts = anomaly.parts.clone();
    parts.sort_by_key(|part| part.name());
    parts.dedup();
    if parts.len() != anomaly.parts.len() {
        return Err(Fault::new("anomaly.parts", "a part is listed twice", "list each part once"));
    }
    if !anomaly.parts.iter().any(|part| !part.needs_input()) {
        let fix = "add at least one of bits, re-encoding and mahalanobis";
        return Err(Fault::new(
            "anomaly.parts",
            "every part requires the reference input, so a frame alone cannot be scored",
            fix,
        ));
    }
    if !(0.0..=1.0).contains(&anomaly.threshold) {
        let what = format!("{} is not a quantile", anomaly.threshold);
        return Err(Fault::new("anomaly.threshold", what, "use a number from 0 to 1"));
    }
    if !blueprint.taps.is_empty() && anomaly.parts.contains(&AnomalyPart::ReEncoding) {
        let fix = "remove re-encoding from the parts, or remove the taps";
        return Err(Fault::new("anomaly.parts", "re-encoding does not support latents with taps", fix));
    }
    let comparable = definition.output().shape() == definition.input.shape();
    if comparable {
        return Ok(());
    }
    let fix = "remove [anomaly], or [output]";
    Err(Fault::new(
        "anomaly",
        "the output cannot be compared with the input, because their shapes differ",
        fix,
    ))
}

/// Checks that cross-entropy is used with a sigmoid, and a sigmoid with image samples from 0 to 1.
fn range(definition: &Definition) -> Result<(), Fault> {
    let sigmoid = definition.decoder.activation == OutputActivation::Sigmoid;
    if definition.objective.reconstruction.loss == Loss::Bce && !sigmoid {
        let fix = "use decoder.activation = \"sigmoid\", or loss = \"mse\"";
        return Err(Fault::new("objective.reconstruction.loss", "bce requires outputs from 0 to 1", fix));
    }
    let Signal::Picture(picture) = definition.output() else { return Ok(()) };
    #[allow(clippy::float_cmp)] // The numbers as they were written.
    let unit = picture.low == 0.0 && picture.high == 1.0;
    if !sigmoid || unit {
        return Ok(());
    }
    let what = format!("a sigmoid cannot produce samples from {} to {}", picture.low, picture.high);
    Err(Fault::new("decoder.activation", what, "use \"identity\", or low = 0.0 and high = 1.0"))
}

fn consistency(definition: &Definition, consistency: &Consistency) -> Result<(), Fault> {
    let place = |key: &str| format!("objective.consistency.{key}");
    weight(&place("weight"), consistency.weight)?;
    if !(0.0..=1.0).contains(&consistency.threshold) {
        let what = format!("{} is not a probability", consistency.threshold);
        return Err(Fault::new(place("threshold"), what, "use a number from 0 to 1"));
    }
    if definition.classifier.is_none() {
        return Err(Fault::new(
            "objective.consistency",
            "the model does not have a classifier",
            "add [classifier], or remove the key",
        ));
    }
    if consistency.flip && matches!(definition.input, Signal::Series(_)) {
        return Err(Fault::new(place("flip"), "a time series cannot be mirrored", "remove the key"));
    }
    Ok(())
}

fn contrastive(definition: &Definition, contrastive: &Contrastive) -> Result<(), Fault> {
    let place = |key: &str| format!("objective.contrastive.{key}");
    weight(&place("weight"), contrastive.weight)?;
    positive(&place("temperature"), contrastive.temperature)?;
    if contrastive.kind == ContrastiveKind::Supervised && definition.classifier.is_none() {
        let fix = "add [classifier] with labels, or use kind = \"nt-xent\"";
        return Err(Fault::new(place("kind"), "a supervised loss requires labels", fix));
    }
    if contrastive.flip && matches!(definition.input, Signal::Series(_)) {
        return Err(Fault::new(place("flip"), "a time series cannot be mirrored", "remove the key"));
    }
    if definition.training.batch < 2 {
        let what = "a contrastive loss compares the samples of a batch, but the batch has only one";
        return Err(Fault::new("training.batch", what, "use 2 or more"));
    }
    Ok(())
}

fn training(definition: &Definition) -> Result<(), Fault> {
    let training = &definition.training;
    within("training.epochs", training.epochs, 1, MAX_EPOCHS)?;
    within("training.batch", training.batch, 1, MAX_BATCH)?;
    positive("training.encoder-rate", training.encoder_rate)?;
    positive("training.decoder-rate", training.decoder_rate)
}

fn size(blueprint: &Blueprint) -> Result<(), Fault> {
    let stages = blueprint.encoder.iter().chain(&blueprint.decoder).chain(&blueprint.classifier);
    let parameters: u64 = stages.map(Stage::parameters).sum();
    if parameters <= MAX_PARAMETERS {
        return Ok(());
    }
    let what = format!("the model has {parameters} parameters, more than the maximum of {MAX_PARAMETERS}");
    Err(Fault::new("encoder, decoder, classifier", what, "use fewer or narrower layers"))
}

/// Checks that a number is between two limits, both included.
pub(super) fn within(place: &str, found: usize, least: usize, most: usize) -> Result<(), Fault> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(Fault::new(place, format!("{found} is out of range"), format!("use {least} to {most}")))
}

fn weight(place: &str, found: f64) -> Result<(), Fault> {
    if found.is_finite() && found >= 0.0 {
        return Ok(());
    }
    Err(Fault::new(place, format!("{found} is not a valid weight"), "use a finite number, 0 or more"))
}

fn positive(place: &str, found: f64) -> Result<(), Fault> {
    if found.is_finite() && found > 0.0 {
        return Ok(());
    }
    Err(Fault::new(place, format!("{found} is not above 0"), "use a finite number above 0"))
}
