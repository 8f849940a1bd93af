//! Contact sheets.
//!
//! ```text
//! margin 8
//! ┌─────────┐        ┌─────────┐   every cell: the input above its reconstruction, with a gap of 2 pixels
//! │ top     │ margin │ top     │   every image: enlarged, in the upper left corner of its half cell
//! ├─────────┤   8    ├─────────┤   half a cell: as wide as the widest and as high as the highest image
//! │ bottom  │        │ bottom  │
//! └─────────┘        └─────────┘
//! margin 8
//! ```

use std::{fs, path::Path};

use image::{DynamicImage, Rgb, RgbImage};

use crate::{QualityError, baselines, image_view::ImageView};

/// Maximum size of a sheet in pixels: 64 megapixels, 192 MB when rendered.
pub const MAX_SHEET_PIXELS: u64 = 64_000_000;

const MARGIN: u32 = 8;
const GAP: u32 = 2;
const BACKGROUND: Rgb<u8> = Rgb([224; 3]);

/// Pairs of images side by side, inputs above reconstructions, filled row by row.
#[derive(Debug, Clone)]
pub struct ContactSheet {
    columns: u32,
    scale: u32,
    /// Width and height of the largest image so far, before scaling.
    largest: (u32, u32),
    pairs: Vec<[RgbImage; 2]>,
}

impl ContactSheet {
    /// Creates an empty sheet with `columns` pairs per row; each image pixel becomes a square of `scale` ×
    /// `scale` sheet pixels.
    ///
    /// # Errors
    /// [`QualityError::InvalidGrid`] when either argument is 0.
    pub fn new(columns: u32, scale: u32) -> Result<Self, QualityError> {
        if columns == 0 || scale == 0 {
            return Err(QualityError::InvalidGrid { columns, scale });
        }
        Ok(Self { columns, scale, largest: (0, 0), pairs: Vec::new() })
    }

    /// Adds a cell with `top`, the input, above `bottom`, its reconstruction. Images may differ in size,
    /// within a cell and between cells.
    ///
    /// # Errors
    /// [`QualityError::UnsupportedColour`] or [`QualityError::EmptyImage`] for an unsupported image,
    /// [`QualityError::SheetTooLarge`] when the sheet would have more than [`MAX_SHEET_PIXELS`] pixels. The
    /// sheet is unchanged after an error.
    pub fn push_pair(&mut self, top: &DynamicImage, bottom: &DynamicImage) -> Result<(), QualityError> {
        let shapes = [ImageView::new(top)?.shape, ImageView::new(bottom)?.shape];
        let largest = shapes
            .iter()
            .fold(self.largest, |(width, height), shape| (width.max(shape.width), height.max(shape.height)));
        check_size(self.size(largest, self.pairs.len() as u64 + 1))?;
        self.largest = largest;
        self.pairs.push([top.to_rgb8(), bottom.to_rgb8()]);
        Ok(())
    }

    /// Returns whether the sheet is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Renders the sheet; without cells it is a square of margin.
    #[must_use]
    pub fn render(&self) -> RgbImage {
        let (width, height) = self.size(self.largest, self.pairs.len() as u64);
        let mut sheet = RgbImage::from_pixel(width as u32, height as u32, BACKGROUND);
        for (index, [top, bottom]) in self.pairs.iter().enumerate() {
            let (x, y) = self.corner(index as u32);
            self.draw_image(&mut sheet, top, (x, y));
            self.draw_image(&mut sheet, bottom, (x, y + self.largest.1 * self.scale + GAP));
        }
        sheet
    }

    /// Returns the sheet as a PNG file.
    ///
    /// # Errors
    /// [`QualityError::CodecFailed`] when the PNG encoder fails.
    pub fn to_png(&self) -> Result<Vec<u8>, QualityError> {
        encode(self.render())
    }

    /// Writes the sheet as a PNG file and replaces any file at that path.
    ///
    /// # Errors
    /// [`QualityError::SaveFailed`] when the file cannot be written, [`QualityError::CodecFailed`] when the PNG encoder
    /// fails.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<(), QualityError> {
        save_sheet(path.as_ref(), self.render())
    }

    /// Returns the width and height of a sheet in pixels. Both saturate, because they are computed before the
    /// size limit is checked.
    fn size(&self, (width, height): (u32, u32), pairs: u64) -> (u64, u64) {
        let (columns, scale) = (u64::from(self.columns), u64::from(self.scale));
        let cell_width = (u64::from(width) * scale).saturating_add(u64::from(MARGIN));
        let cell_height =
            (u64::from(height) * scale).saturating_mul(2).saturating_add(u64::from(GAP + MARGIN));
        (side_length(cell_width, pairs.min(columns)), side_length(cell_height, pairs.div_ceil(columns)))
    }

    /// Returns the upper left corner of a cell, in sheet pixels.
    fn corner(&self, index: u32) -> (u32, u32) {
        let (width, height) = (self.largest.0 * self.scale, self.largest.1 * self.scale);
        let x = MARGIN + index % self.columns * (width + MARGIN);
        let y = MARGIN + index / self.columns * (2 * height + GAP + MARGIN);
        (x, y)
    }

    fn draw_image(&self, sheet: &mut RgbImage, image: &RgbImage, (left, top): (u32, u32)) {
        for y in 0..image.height() * self.scale {
            for x in 0..image.width() * self.scale {
                let pixel = image.get_pixel(x / self.scale, y / self.scale);
                sheet.put_pixel(left + x, top + y, *pixel);
            }
        }
    }
}

/// Returns the length of a sheet's side with this many cells, each of which includes one margin.
fn side_length(cell: u64, cells: u64) -> u64 {
    cell.saturating_mul(cells).saturating_add(u64::from(MARGIN))
}

/// Checks that a sheet of this width and height is within [`MAX_SHEET_PIXELS`].
pub(crate) fn check_size((width, height): (u64, u64)) -> Result<(), QualityError> {
    let limit = MAX_SHEET_PIXELS;
    let is_within_limit = width.saturating_mul(height) <= limit;
    if is_within_limit { Ok(()) } else { Err(QualityError::SheetTooLarge { width, height, limit }) }
}

/// Writes a sheet as a PNG file and replaces any file at that path.
pub(crate) fn save_sheet(path: &Path, sheet: RgbImage) -> Result<(), QualityError> {
    fs::write(path, encode(sheet)?)
        .map_err(|error| QualityError::SaveFailed { path: path.to_owned(), reason: error.to_string() })
}

fn encode(sheet: RgbImage) -> Result<Vec<u8>, QualityError> {
    baselines::png_encode(&ImageView::new(&DynamicImage::ImageRgb8(sheet))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma};

    fn flat(width: u32, height: u32, level: u8) -> DynamicImage {
        DynamicImage::ImageLuma8(GrayImage::from_pixel(width, height, Luma([level])))
    }

    fn sheet_of(pairs: u8, columns: u32, scale: u32) -> ContactSheet {
        let mut sheet = ContactSheet::new(columns, scale).unwrap();
        for level in 0..pairs {
            sheet.push_pair(&flat(4, 3, level), &flat(4, 3, 100 + level)).unwrap();
        }
        sheet
    }

    #[test]
    fn cells_are_in_rows_with_inputs_above() {
        let sheet = sheet_of(3, 2, 5).render();
        // Two cells of 20 and three margins of 8; two rows of 15 + 2 + 15 and three margins.
        assert_eq!(sheet.dimensions(), (64, 88));
        for (level, x, y) in [(0, 8, 8), (1, 36, 8), (2, 8, 48)] {
            for (dx, dy) in [(0, 0), (19, 14)] {
                assert_eq!(sheet.get_pixel(x + dx, y + dy).0, [level; 3]);
                assert_eq!(sheet.get_pixel(x + dx, y + 17 + dy).0, [100 + level; 3]);
            }
            for (dx, dy) in [(0, 15), (0, 16), (20, 0), (0, 32)] {
                assert_eq!(*sheet.get_pixel(x + dx, y + dy), BACKGROUND);
            }
            assert_eq!(*sheet.get_pixel(x - 1, y - 1), BACKGROUND);
        }
        assert_eq!(*sheet.get_pixel(40, 50), BACKGROUND, "the fourth cell is empty");
    }

    #[test]
    fn pixels_are_enlarged_without_blur() {
        let mut sheet = ContactSheet::new(1, 3).unwrap();
        let checkerboard = GrayImage::from_fn(2, 2, |x, y| Luma([if x == y { 250 } else { 10 }]));
        sheet.push_pair(&DynamicImage::ImageLuma8(checkerboard), &flat(1, 1, 7)).unwrap();
        let sheet = sheet.render();
        for (x, y) in (0..6).flat_map(|y| (0..6).map(move |x| (x, y))) {
            let expected = if x / 3 == y / 3 { 250 } else { 10 };
            assert_eq!(sheet.get_pixel(MARGIN + x, MARGIN + y).0, [expected; 3]);
        }
    }

    #[test]
    fn every_cell_has_the_size_of_the_largest_image() {
        let mut sheet = ContactSheet::new(9, 1).unwrap();
        sheet.push_pair(&flat(10, 2, 1), &flat(3, 6, 2)).unwrap();
        sheet.push_pair(&flat(1, 1, 3), &flat(1, 1, 4)).unwrap();
        let sheet = sheet.render();
        assert_eq!(sheet.dimensions(), (8 + 2 * 18, 8 + 6 + 2 + 6 + 8));
        assert_eq!(sheet.get_pixel(26, 8).0, [3; 3]);
        assert_eq!(sheet.get_pixel(26, 16).0, [4; 3]);
        assert_eq!(*sheet.get_pixel(27, 8), BACKGROUND);
    }

    #[test]
    fn an_empty_sheet_is_only_margin() {
        assert_eq!(sheet_of(0, 4, 2).render(), RgbImage::from_pixel(8, 8, BACKGROUND));
    }

    #[test]
    fn an_oversized_pair_is_refused_and_changes_nothing() {
        assert_eq!(ContactSheet::new(0, 2).unwrap_err(), QualityError::InvalidGrid { columns: 0, scale: 2 });
        assert_eq!(ContactSheet::new(2, 0).unwrap_err(), QualityError::InvalidGrid { columns: 2, scale: 0 });
        let mut sheet = sheet_of(1, 2, 1_000);
        let previous = sheet.size(sheet.largest, 1);
        let error = sheet.push_pair(&flat(4, 3, 0), &flat(6, 6, 0)).unwrap_err();
        assert!(
            matches!(error, QualityError::SheetTooLarge { width: 12_024, height: 12_018, .. }),
            "{error}"
        );
        assert_eq!((sheet.pairs.len(), sheet.size(sheet.largest, 1)), (1, previous));
        let huge = ContactSheet::new(u32::MAX, u32::MAX).unwrap();
        let error = check_size(huge.size((u32::MAX, u32::MAX), u64::MAX)).unwrap_err();
        assert!(matches!(error, QualityError::SheetTooLarge { .. }));
    }

    #[test]
    fn the_file_holds_the_rendered_pixels() {
        let directory = tempfile::tempdir().unwrap();
        let sheet = sheet_of(3, 2, 2);
        let path = directory.path().join("sheet.png");
        sheet.save_png(&path).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8(), sheet.render());
        let error = sheet.save_png(directory.path().join("missing/sheet.png")).unwrap_err();
        assert!(error.to_string().contains("missing/sheet.png"), "{error}");
    }
}
