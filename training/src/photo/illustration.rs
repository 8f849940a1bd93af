//! The images of the model card. They are small and the same from run to run.

use std::{io::Cursor, path::Path};

use image::{
    DynamicImage, ExtendedColorType, ImageEncoder as _, RgbImage,
    codecs::png::{CompressionType, FilterType, PngEncoder},
    imageops,
};
use lopside_quality::{QualityAxis, RdCurve, RdPlot};

use crate::{TrainingError, photos};

/// File name of the side-by-side image, in the evaluation's folder and in a bundle.
pub(crate) const SIDE_BY_SIDE: &str = "side-by-side.png";
/// Side of the card's crops, in pixels.
const CROP_SIDE: u32 = 240;
/// Limit on the size of the card's side-by-side image, in bytes.
const LIMIT_BYTES: usize = 1_000_000;
/// The licence that allows parts of a photograph in a bundle without conditions.
const UNCONDITIONAL_LICENCE: &str = "CC0-1.0";

/// An image of the card.
#[derive(Debug, Clone)]
pub(crate) struct CardImage {
    /// The file name.
    pub(crate) file: &'static str,
    /// The caption of the image.
    pub(crate) caption: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// One test photograph, as the original and as decoded by the codecs.
#[derive(Debug, Clone)]
pub(crate) struct SheetRow {
    /// Name of the photograph.
    pub(crate) name: String,
    /// The original, followed by the decoded images.
    pub(crate) images: Vec<DynamicImage>,
}

/// Returns the curves, and a side-by-side image of the photographs that are allowed in a bundle, if it is
/// small enough.
pub(crate) fn card_images(means: &[RdCurve], rows: &[SheetRow]) -> Result<Vec<CardImage>, TrainingError> {
    let psnr = "PSNR over bits per pixel, mean over the images";
    let ms_ssim = "MS-SSIM over bits per pixel, mean over the images";
    let mut images: Vec<CardImage> = vec![
        draw_curves(means, "psnr.svg", psnr, QualityAxis::Psnr)?,
        draw_curves(means, "ms-ssim.svg", ms_ssim, QualityAxis::MsSsim)?,
    ];
    let caption = "From left to right: the original, Lopside, JPEG and WebP at equal bytes";
    images.extend(side_by_side(
        SIDE_BY_SIDE,
        caption,
        rows,
        SheetLimits { crop_side: CROP_SIDE, limit_bytes: LIMIT_BYTES },
    )?);
    Ok(images)
}

fn draw_curves(
    means: &[RdCurve],
    file: &'static str,
    caption: &'static str,
    quality: QualityAxis,
) -> Result<CardImage, TrainingError> {
    let plot = RdPlot { quality, ..psnr_plot(means) };
    Ok(CardImage { file, caption, bytes: plot.svg()?.into_bytes() })
}

/// Limits on the size of a side-by-side image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SheetLimits {
    /// Side of each part, in pixels.
    pub(crate) crop_side: u32,
    /// Limit on the file's size, in bytes; the file must be smaller.
    pub(crate) limit_bytes: usize,
}

/// Returns a side-by-side image of the photographs that are allowed in a bundle; `None` if there are none, or
/// if the file is too large.
pub(crate) fn side_by_side(
    file: &'static str,
    caption: &'static str,
    rows: &[SheetRow],
    limits: SheetLimits,
) -> Result<Option<CardImage>, TrainingError> {
    let unconditional: Vec<&SheetRow> = rows.iter().filter(|row| is_free(&row.name)).collect();
    if unconditional.is_empty() {
        return Ok(None);
    }
    let bytes = encode_png(&contact_sheet(&unconditional, limits.crop_side), Path::new(file))?;
    Ok((bytes.len() < limits.limit_bytes).then_some(CardImage { file, caption, bytes }))
}

/// Returns a plot of PSNR over bits per pixel.
pub(crate) fn psnr_plot(means: &[RdCurve]) -> RdPlot<'_> {
    RdPlot::new("Mean over the images", means)
}

fn is_free(name: &str) -> bool {
    photos::all_photos().any(|photo| photo.name == name && photo.licence == UNCONDITIONAL_LICENCE)
}

/// Returns a contact sheet with one row per photograph: the central parts of its images, `side` pixels
/// square.
pub(crate) fn contact_sheet(rows: &[&SheetRow], side: u32) -> RgbImage {
    let columns = rows.iter().map(|row| row.images.len()).max().unwrap_or(0);
    let mut sheet = RgbImage::new(columns as u32 * side, rows.len() as u32 * side);
    for (row_index, row) in rows.iter().enumerate() {
        for (column_index, image) in row.images.iter().enumerate() {
            let x = image.width().saturating_sub(side) / 2;
            let y = image.height().saturating_sub(side) / 2;
            let crop = image.crop_imm(x, y, side, side).to_rgb8();
            let (left, top) = (column_index as u32 * side, row_index as u32 * side);
            imageops::replace(&mut sheet, &crop, i64::from(left), i64::from(top));
        }
    }
    sheet
}

/// Encodes a PNG file as small as possible. `path` only appears in the error.
pub(crate) fn encode_png(image: &RgbImage, path: &Path) -> Result<Vec<u8>, TrainingError> {
    let mut bytes = Cursor::new(Vec::new());
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive)
        .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(|error| TrainingError::Draw { path: path.to_owned(), reason: error.to_string() })?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use lopside_quality::RdPoint;

    use super::*;

    fn row(name: &str) -> SheetRow {
        let image = |level| DynamicImage::from(RgbImage::from_pixel(500, 300, Rgb([level; 3])));
        SheetRow { name: name.into(), images: [10, 20, 30, 40].map(image).to_vec() }
    }

    fn means() -> Vec<RdCurve> {
        let points = [(0.1, 28.0), (0.4, 33.0)].map(|(bpp, psnr)| RdPoint {
            quality_setting: 1,
            bpp,
            psnr,
            ms_ssim: Some(0.9 + bpp / 10.0),
        });
        vec![RdCurve { codec: "Lopside photo".into(), points: points.to_vec() }]
    }

    #[test]
    fn rows_and_columns_have_their_positions() {
        let rows = [row("a"), row("b")];
        let sheet = contact_sheet(&rows.iter().collect::<Vec<_>>(), 50);
        assert_eq!(sheet.dimensions(), (200, 100));
        for (x, level) in [(0, 10), (50, 20), (149, 30), (199, 40)] {
            assert_eq!((sheet.get_pixel(x, 0).0, sheet.get_pixel(x, 99).0), ([level; 3], [level; 3]));
        }
    }

    #[test]
    fn only_photographs_without_conditions_are_shown() {
        let files = |names: &[&str]| {
            let rows: Vec<SheetRow> = names.iter().map(|name| row(name)).collect();
            let images = card_images(&means(), &rows).unwrap();
            images.iter().map(|illustration| illustration.file).collect::<Vec<_>>()
        };
        assert_eq!(files(&["libjxl-flower.png", "my-own.png"]), ["psnr.svg", "ms-ssim.svg"]);
        let images = files(&["libjxl-flower.png", "libjxl-u76c0g_bliznaca.png"]);
        assert_eq!(images, ["psnr.svg", "ms-ssim.svg", SIDE_BY_SIDE]);
    }

    #[test]
    fn card_images_are_deterministic() {
        let bytes = || {
            let images = card_images(&means(), &[row("libjxl-u76c0g_bliznaca.png")]).unwrap();
            images.into_iter().map(|illustration| illustration.bytes).collect::<Vec<_>>()
        };
        assert_eq!(bytes(), bytes());
    }
}
