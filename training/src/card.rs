//! The model card, `README.md` of a bundle. It holds nothing that changes from run to run, such as times.

use crate::{
    Evaluation, Loss,
    definition::{Blueprint, Definition, Stage},
};

/// The card of a bundle that a definition and a frame budget made, with its measured figures.
pub(crate) fn write(
    blueprint: &Blueprint,
    frame_bytes: f64,
    difference: f32,
    evaluation: &Evaluation,
) -> String {
    let definition = &blueprint.definition;
    let Evaluation { encoder, decoder, pictures, latent_values, .. } = evaluation;
    format!(
        "# {name}\n\n{description}. Preset `{preset}`: encoder {encoder_widths}, decoder {decoder_widths}; every number of the latent is rounded to a step of its own and range coded.\n\n\
         ## Figures\n\nOn the {pictures} test pictures of Fashion-MNIST, which nothing was learnt from. Frames are \
         whole: header, latent-space id and checksum. MSE is over samples of 0 to 1, PSNR is that of the mean \
         MSE. JPEG (optimised Huffman tables) at quality 1 and WebP at quality 0 are the smallest they can do.\n\n\
         {table}\n\
         | | encoder (edge) | decoder (cloud) |\n|---|---|---|\n\
         | parameters | {} | {} |\n| MAC a picture | {} | {} |\n\n\
         {latent_values} latent values. The whole model and its two halves agree to {limit:e} in ONNX Runtime and \
         in tract (seen: {seen}).\n\n\
         ## Made by\n\n```sh\n{command}\n```\n\nThe same seed on the same kind of machine gives the same bytes. \
         Trained on 54,000 of the 60,000 training pictures, validated on the other 6,000; gains and tables are \
         counted on all 60,000.\n\n\
         ## Data and licence\n\nFashion-MNIST (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747), MIT, as packaged \
         in Debian's `dataset-fashion-mnist`. This bundle: MIT OR Apache-2.0.\n",
        encoder.parameters,
        decoder.parameters,
        encoder.macs,
        decoder.macs,
        name = definition.bundle_name(),
        description = definition.description,
        preset = definition.name,
        encoder_widths = widths(&blueprint.encoder),
        decoder_widths = widths(&blueprint.decoder),
        table = evaluation.table(),
        limit = crate::agree::TOLERANCE,
        seen = if difference < 1e-5 { "below 1e-5".to_owned() } else { format!("{difference:.0e}") },
        command = command(definition, frame_bytes),
    )
}

/// The command that makes the same bundle again.
fn command(definition: &Definition, frame_bytes: f64) -> String {
    let loss = match definition.objective.reconstruction.loss {
        Loss::Mse => "mse",
        Loss::Bce => "bce",
    };
    let training = &definition.training;
    format!(
        "cargo run --release -p training -- bundle --preset {} --loss {loss} --epochs {} --batch {} \
         --encoder-rate {} --decoder-rate {} --seed {} --frame-bytes {frame_bytes} --out bundles/{}",
        definition.name,
        training.epochs,
        training.batch,
        training.encoder_rate,
        training.decoder_rate,
        training.seed,
        definition.bundle_name(),
    )
}

/// The shapes between the layers.
fn widths(stages: &[Stage]) -> String {
    let first = stages.first().map(|stage| stage.input);
    let shapes = first.into_iter().chain(stages.iter().map(Stage::next));
    shapes.map(|shape| shape.to_string()).collect::<Vec<_>>().join(" → ")
}
