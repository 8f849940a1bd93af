//! The model card of a photo bundle, its `README.md`, and the images in it. It does not contain anything that
//! changes from run to run, such as times.

use std::path::Path;

use lopside_bundle::image_codec::{ImageCodecDraft, ImageCodecManifest};

use super::{
    DistortionMeasure, PhotoOptions, TrainedParts,
    evaluate::PhotoEvaluation,
    illustration::SIDE_BY_SIDE,
    run::{PhotoRun, TrainingOrigin},
};
use crate::{TrainingError, split};

/// Writes the draft to `folder` with its card and measured figures, and the card's images beside it. The
/// manifest does not name these images, so neither edge nor cloud reads them.
pub(crate) fn write_card(
    folder: &Path,
    draft: &ImageCodecDraft,
    run: &PhotoRun,
    manifest: &ImageCodecManifest,
    figures: &PhotoEvaluation,
) -> Result<(), TrainingError> {
    for illustration in &figures.illustrations {
        split::write_file(folder, illustration.file, &illustration.bytes)?;
    }
    draft.write(folder, &format_card(run, manifest, figures))?;
    Ok(())
}

fn format_card(run: &PhotoRun, manifest: &ImageCodecManifest, figures: &PhotoEvaluation) -> String {
    let layers: Vec<String> = manifest
        .layers
        .iter()
        .map(|layer| format!("{} channels at 1/{}", layer.channels, layer.stride))
        .collect();
    format!(
        "# {name}\n\n{description}. The encoder is a linear transform; its training started from a lapped \
         orthogonal transform, and its lowest bands are transformed twice more. The decoder is the sum of another \
         linear transform and a residual network. Layers, coarsest first: {layers}.\n\n\
         ## Figures\n\nMeasured on {count} lossless photographs that were not used in training (Debian's \
         `libjxl-testdata`: {pictures}). Bytes are those of whole frames, including header, latent-space id and \
         checksum; PSNR is computed over RGB. BD-rates (PCHIP) cover the qualities that the anchor reaches between 0.1 \
         and 0.8 bits per pixel and that the codec reaches too; they are means over the images.\n\n{bd_rates}\n{costs}\n{shown}\
         ## Made by\n\n```sh\n{commands}\n```\n\n\
         ## Data and licence\n\nThe photographs of the Debian packages `lomiri-wallpapers-16.04` (CC BY-SA), \
         `plasma-workspace-wallpapers` (GPL-2+), `mate-backgrounds` (GPL-2+) and `lxqt-themes` (LGPL-2.1+), as \
         listed with digests by `training data photos`; none of them is part of this bundle.{parts} This bundle: \
         MIT OR Apache-2.0.\n",
        name = manifest.name,
        description = manifest.description,
        layers = layers.join(", "),
        count = figures.pictures.len(),
        pictures = figures.pictures.join(", "),
        bd_rates = figures.bd_rates(),
        costs = figures.costs(),
        shown = image_links(figures),
        parts = parts_notice(figures),
        commands = reproduction_commands(run),
    )
}

fn image_links(figures: &PhotoEvaluation) -> String {
    figures
        .illustrations
        .iter()
        .map(|illustration| format!("![{}]({})\n\n", illustration.caption, illustration.file))
        .collect()
}

/// Returns a sentence about the origin of photographs in the bundle; empty if the bundle does not contain
/// any.
fn parts_notice(figures: &PhotoEvaluation) -> String {
    let has_sheet = figures.illustrations.iter().any(|illustration| illustration.file == SIDE_BY_SIDE);
    let notice = format!(" `{SIDE_BY_SIDE}` shows parts of those test photographs that are CC0-1.0.");
    if has_sheet { notice } else { String::new() }
}

/// Returns a training and those that it started from, latest first.
pub(super) fn training_stages(run: &PhotoRun) -> Vec<&TrainingOrigin> {
    std::iter::successors(Some(&run.origin), |stage| stage.from.as_deref()).collect()
}

/// Returns the commands that reproduce the bundle.
fn reproduction_commands(run: &PhotoRun) -> String {
    let stages = training_stages(run);
    let count = stages.len() - 1;
    let first = "data photos --out data/photos".to_owned();
    let stages = stages.iter().rev().enumerate().map(|(number, stage)| {
        let last = number == count;
        let command = if last { "bundle" } else { "train" };
        let from = if number > 0 { format!(" --from runs/photo-{number}") } else { String::new() };
        let out = if last { " --out bundles/photo" } else { "" };
        format!("{command} --run runs/photo-{}{from}{}{out}", number + 1, stage_arguments(stage))
    });
    let lines = std::iter::once(first).chain(stages);
    lines.map(|line| format!("cargo run --release -p training -- {line}")).collect::<Vec<_>>().join("\n")
}

fn stage_arguments(stage: &TrainingOrigin) -> String {
    let trained = if stage.options.trained == TrainedParts::Decoder { " --decoder-only" } else { "" };
    format!(
        " --preset photo --photos data/photos{}{trained} --until {}",
        option_arguments(&stage.options),
        stage.done
    )
}

/// Returns the options that all commands that train a photo model have in common.
pub(super) fn option_arguments(options: &PhotoOptions) -> String {
    let PhotoOptions {
        width,
        blocks,
        steps,
        batch,
        crop,
        learning_rate,
        seed,
        distortion,
        // Each command has its own options for these.
        trained: _,
        scale: _,
    } = options;
    let distortion = if *distortion == DistortionMeasure::MsSsim { " --distortion ms-ssim" } else { "" };
    format!(
        " --width {width} --blocks {blocks} --steps {steps} --batch {batch} --crop {crop} \
         --learning-rate {learning_rate} --seed {seed}{distortion}"
    )
}

#[cfg(test)]
mod tests {
    use super::{super::report::tests::figures, *};
    use crate::photo::illustration::CardImage;

    #[test]
    fn the_card_links_the_images_beside_it() {
        let mut figures = figures();
        assert!(image_links(&figures).is_empty() && parts_notice(&figures).is_empty());
        let card_image = |file, caption| CardImage { file, caption, bytes: Vec::new() };
        figures.illustrations = vec![card_image("psnr.svg", "PSNR"), card_image(SIDE_BY_SIDE, "Pictures")];
        assert_eq!(image_links(&figures), "![PSNR](psnr.svg)\n\n![Pictures](side-by-side.png)\n\n");
        assert!(parts_notice(&figures).contains("CC0-1.0"));
    }
}
