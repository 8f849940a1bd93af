//! The section on the head in the model card of its bundle. The rest of the card stays the same.

use std::{fs, path::Path};

use lopside_bundle::picture::put_card;

use super::{
    super::{
        card::{options, stages},
        illustration::{Illustration, Size, side_by_side},
        run::PhotoRun,
    },
    figures::Upscaling,
};
use crate::{TrainingError, error::io, split};

/// Heading of the section.
const HEADING: &str = "## Twice the size\n";
/// Heading of the section that follows it.
const NEXT: &str = "## Made by\n";
/// File name of the image.
const PICTURE: &str = "upscale.png";
/// Limits on the image.
const SIZE: Size = Size { crop: 120, limit: 200_000 };

/// Writes the section with measured figures, in place of an earlier one, and the image beside the card.
pub(super) fn put(folder: &Path, run: &PhotoRun, figures: &Upscaling) -> Result<(), TrainingError> {
    let caption =
        "From left to right: the photograph, `reconstruct` enlarged (bicubic), `upscale`; quality 70";
    let picture = side_by_side(PICTURE, caption, &figures.shown, SIZE)?;
    if let Some(picture) = &picture {
        split::write(folder, picture.file, &picture.bytes)?;
    }
    let path = folder.join("README.md");
    let card = fs::read_to_string(&path).map_err(io(&path))?;
    put_card(folder, &with(&card, &section(run, figures, picture.as_ref())))?;
    Ok(())
}

fn section(run: &PhotoRun, figures: &Upscaling, picture: Option<&Illustration>) -> String {
    let shown = picture.map_or_else(String::new, |picture| {
        let Illustration { file, caption, .. } = picture;
        format!("![{caption}]({file})\n\nThe image shows parts of test photographs that are CC0-1.0.\n\n")
    });
    format!(
        "{HEADING}\nThe head `upscale` decodes the same frames to images of twice the width and height. \
         {count} photographs are the ground truth, and the edge encodes them at half the size (the mean of every 2×2 \
         pixels). For comparison, the output of `reconstruct` and the halved photographs themselves, without coding, \
         are enlarged by bicubic interpolation (Catmull–Rom). PSNR is computed over RGB; all figures are means over the \
         images.\n\n{table}\n\
         {parameters} parameters, {macs:.0} MAC per pixel of the encoder's input.\n\n{shown}\
         ```sh\n{command}\n```\n\n",
        count = figures.pictures.len(),
        table = figures.table(),
        parameters = figures.cost.parameters,
        macs = figures.cost.macs_per_pixel,
        command = command(run),
    )
}

/// Returns the command that reproduces the head, starting from the last run of the commands in the card.
fn command(run: &PhotoRun) -> String {
    let origin = &run.origin;
    let whole = origin.done == origin.options.steps;
    let until = if whole { String::new() } else { format!(" --until {}", origin.done) };
    format!(
        "cargo run --release -p training -- upscale --bundle bundles/photo --run runs/photo-{} \
         --photos data/photos{}{until}",
        stages(run).len() - 1,
        options(&origin.options)
    )
}

/// Returns the card with this section: in place of an earlier one, or before the section on how the bundle
/// was made, or at the end.
fn with(card: &str, section: &str) -> String {
    let (before, after) = match card.split_once(HEADING) {
        Some((before, after)) => (before, after.find("\n## ").map_or("", |end| &after[end + 1..])),
        None => card.split_at(card.find(NEXT).unwrap_or(card.len())),
    };
    format!("{}\n\n{}\n\n{after}", before.trim_end(), section.trim_end()).trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "## Twice the size\n\nGood.\n\n";
    const BETTER: &str = "## Twice the size\n\nBetter.\n\n";

    #[test]
    fn the_section_comes_before_how_the_bundle_was_made_and_is_replaced() {
        let card = "# photo\n\n## Figures\n\nMany.\n\n## Made by\n\nHand.\n";
        let first = with(card, GOOD);
        let expected =
            "# photo\n\n## Figures\n\nMany.\n\n## Twice the size\n\nGood.\n\n## Made by\n\nHand.\n";
        assert_eq!(first, expected);
        assert_eq!(with(&first, BETTER), expected.replace("Good", "Better"));
    }

    #[test]
    fn a_draft_gets_it_last() {
        let first = with("# Draft\n", GOOD);
        assert_eq!(first, "# Draft\n\n## Twice the size\n\nGood.\n");
        assert_eq!(with(&first, BETTER), first.replace("Good", "Better"));
    }
}
