//! The model card of a photo bundle, its `README.md`. It holds nothing that changes from run to run, such as times.

use lopside_bundle::picture::PictureManifest;

use super::{evaluate::PhotoEvaluation, run::PhotoRun};

/// The card of a bundle, with its measured figures.
pub(crate) fn write(run: &PhotoRun, manifest: &PictureManifest, figures: &PhotoEvaluation) -> String {
    let (encoder, head) = (manifest.encoder.cost, manifest.heads[0].cost);
    let layers: Vec<String> = manifest
        .layers
        .iter()
        .map(|layer| format!("{} channels at 1/{}", layer.channels, layer.stride))
        .collect();
    format!(
        "# {name}\n\n{description}. The encoder is a lapped orthogonal transform, its lowest bands transformed \
         again twice; the decoder its inverse and, beside it, a residual network. Layers, coarsest first: \
         {layers}.\n\n\
         ## Figures\n\nOn {count} lossless photographs that nothing was learnt from (Debian's \
         `libjxl-testdata`: {pictures}). Bytes are those of whole frames, header, latent-space id and checksum \
         included; PSNR is that of RGB. BD-rate (PCHIP) between the qualities that the anchor reaches at 0.1 and \
         0.8 bits a pixel, mean over the pictures.\n\n{table}\n\
         | | encoder (edge) | decoder (cloud) |\n|---|---|---|\n\
         | parameters | {} | {} |\n| MAC a pixel | {:.0} | {:.0} |\n\n\
         ## Made by\n\n```sh\n{command}\n```\n\n\
         ## Data and licence\n\nThe photographs of the Debian packages `lomiri-wallpapers-16.04` (CC BY-SA), \
         `plasma-workspace-wallpapers` (GPL-2+), `mate-backgrounds` (GPL-2+) and `lxqt-themes` (LGPL-2.1+), as \
         listed with digests by `training data photos`; none of them is part of this bundle. This bundle: MIT OR \
         Apache-2.0.\n",
        encoder.parameters,
        head.parameters,
        encoder.macs_per_pixel,
        head.macs_per_pixel,
        name = manifest.name,
        description = manifest.description,
        layers = layers.join(", "),
        count = figures.pictures.len(),
        pictures = figures.pictures.join(", "),
        table = figures.table(),
        command = command(run),
    )
}

/// The command that makes the same bundle again.
fn command(run: &PhotoRun) -> String {
    let options = &run.options;
    format!(
        "cargo run --release -p training -- data photos --out data/photos\n\
         cargo run --release -p training -- bundle --preset photo --photos data/photos --width {} --blocks {} \
         --steps {} --batch {} --crop {} --learning-rate {} --seed {} --until {} --out bundles/photo",
        options.width,
        options.blocks,
        options.steps,
        options.batch,
        options.crop,
        options.learning_rate,
        options.seed,
        run.done,
    )
}
