//! The section on the head in the model card of its bundle. The rest of the card stays the same.

use std::{fs, path::Path};

use lopside_bundle::image_codec::put_model_card;

use super::{
    super::{
        card::{option_arguments, training_stages},
        illustration::{CardImage, SheetLimits, side_by_side},
        run::PhotoRun,
    },
    figures::UpscalingReport,
};
use crate::{TrainingError, error::io_error, split};

/// Heading of the section.
const HEADING: &str = "## Twice the size\n";
/// Heading of the section that follows it.
const NEXT_HEADING: &str = "## Made by\n";
/// File name of the image.
const IMAGE_FILE: &str = "upscale.png";
/// Limits on the image.
const SHEET_LIMITS: SheetLimits = SheetLimits { crop_side: 120, limit_bytes: 200_000 };

/// Writes the section with measured figures, in place of an earlier one, and the image beside the card.
pub(super) fn write_section(
    folder: &Path,
    run: &PhotoRun,
    figures: &UpscalingReport,
) -> Result<(), TrainingError> {
    let caption =
        "From left to right: the photograph, `reconstruct` enlarged (bicubic), `upscale`; quality 70";
    let image = side_by_side(IMAGE_FILE, caption, &figures.shown, SHEET_LIMITS)?;
    if let Some(image) = &image {
        split::write_file(folder, image.file, &image.bytes)?;
    }
    let path = folder.join("README.md");
    let card = fs::read_to_string(&path).map_err(io_error(&path))?;
    put_model_card(folder, &insert_section(&card, &format_section(run, figures, image.as_ref())))?;
    Ok(())
}

fn format_section(run: &PhotoRun, figures: &UpscalingReport, image: Option<&CardImage>) -> String {
    let image_link = image.map_or_else(String::new, |image| {
        let CardImage { file, caption, .. } = image;
        format!("![{caption}]({file})\n\nThe image shows parts of test photographs that are CC0-1.0.\n\n")
    });
    format!(
        "{HEADING}\nThe head `upscale` decodes the same frames to images of twice the width and height. \
         {count} photographs are the ground truth, and the edge encodes them at half the size (the mean of every 2×2 \
         pixels). For comparison, the output of `reconstruct` and the halved photographs themselves, without coding, \
         are enlarged by bicubic interpolation (Catmull–Rom). PSNR is computed over RGB; all figures are means over the \
         images.\n\n{table}\n\
         {parameters} parameters, {macs:.0} MAC per pixel of the encoder's input.\n\n{image_link}\
         ```sh\n{command}\n```\n\n",
        count = figures.pictures.len(),
        table = figures.table(),
        parameters = figures.cost.parameters,
        macs = figures.cost.macs_per_pixel,
        command = reproduction_command(run),
    )
}

/// Returns the command that reproduces the head, starting from the last run of the commands in the card.
fn reproduction_command(run: &PhotoRun) -> String {
    let origin = &run.origin;
    let is_complete = origin.done == origin.options.steps;
    let until = if is_complete { String::new() } else { format!(" --until {}", origin.done) };
    format!(
        "cargo run --release -p training -- upscale --bundle bundles/photo --run runs/photo-{} \
         --photos data/photos{}{until}",
        training_stages(run).len() - 1,
        option_arguments(&origin.options)
    )
}

/// Returns the card with this section: in place of an earlier one, or before the section on how the bundle
/// was made, or at the end.
fn insert_section(card: &str, section: &str) -> String {
    let (before, after) = match card.split_once(HEADING) {
        Some((before, after)) => (before, after.find("\n## ").map_or("", |end| &after[end + 1..])),
        None => card.split_at(card.find(NEXT_HEADING).unwrap_or(card.len())),
    };
    format!("{}\n\n{}\n\n{after}", before.trim_end(), section.trim_end()).trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "## Twice the size\n\nGood.\n\n";
    const BETTER: &str = "## Twice the size\n\nBetter.\n\n";

    #[test]
    fn the_section_is_inserted_before_made_by_and_replaced() {
        let card = "# photo\n\n## Figures\n\nMany.\n\n## Made by\n\nHand.\n";
        let first = insert_section(card, GOOD);
        let expected =
            "# photo\n\n## Figures\n\nMany.\n\n## Twice the size\n\nGood.\n\n## Made by\n\nHand.\n";
        assert_eq!(first, expected);
        assert_eq!(insert_section(&first, BETTER), expected.replace("Good", "Better"));
    }

    #[test]
    fn a_draft_gets_the_section_at_its_end() {
        let first = insert_section("# Draft\n", GOOD);
        assert_eq!(first, "# Draft\n\n## Twice the size\n\nGood.\n");
        assert_eq!(insert_section(&first, BETTER), first.replace("Good", "Better"));
    }
}
