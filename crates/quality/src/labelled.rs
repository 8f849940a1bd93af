//! Sheets of images side by side, each below a label.
//!
//! ```text
//! margin 8
//! original          JPEG, 9,310 bytes      a label is cut off at the right edge of its cell
//! ┌─────────┐       ┌─────────┐
//! │         │ margin│         │            every cell has the width and height of the largest image
//! └─────────┘   8   └─────────┘
//! margin 8
//! ```

use std::path::Path;

use image::{DynamicImage, Rgb, RgbImage, imageops};

use crate::{
    QualityError,
    glyphs::{RasterHeight, glyph_width, raster_glyph},
    image_view::ImageView,
    sheet,
};

const MARGIN: u32 = 8;
const BACKGROUND: Rgb<u8> = Rgb([255; 3]);
const TEXT_HEIGHT: RasterHeight = RasterHeight::Size24;
const LABEL_HEIGHT: u32 = TEXT_HEIGHT as u32 + MARGIN / 2;

/// Images at their original size, filled row by row.
#[derive(Debug, Clone)]
pub struct LabelledSheet {
    columns: u32,
    /// Width and height of the cells in pixels: at least those of the largest image so far.
    cell_size: (u32, u32),
    cells: Vec<(String, RgbImage)>,
}

impl LabelledSheet {
    /// Creates an empty sheet with `columns` images per row.
    ///
    /// # Errors
    /// [`QualityError::InvalidGrid`] when `columns` is 0.
    pub fn new(columns: u32) -> Result<Self, QualityError> {
        if columns == 0 {
            return Err(QualityError::InvalidGrid { columns, scale: 1 });
        }
        Ok(Self { columns, cell_size: (0, 0), cells: Vec::new() })
    }

    /// Adds an image. Characters of the label outside Latin-1 are drawn as question marks.
    ///
    /// # Errors
    /// [`QualityError::UnsupportedColour`] or [`QualityError::EmptyImage`] for an unsupported image,
    /// [`QualityError::SheetTooLarge`] when the sheet would have more than
    /// [`MAX_SHEET_PIXELS`](crate::MAX_SHEET_PIXELS) pixels. The sheet is unchanged after an error.
    pub fn push(&mut self, label: &str, image: &DynamicImage) -> Result<(), QualityError> {
        let shape = ImageView::new(image)?.shape;
        let cell = (self.cell_size.0.max(shape.width), self.cell_size.1.max(shape.height));
        sheet::check_size(self.size(cell, self.cells.len() as u64 + 1))?;
        self.cell_size = cell;
        self.cells.push((label.to_owned(), image.to_rgb8()));
        Ok(())
    }

    /// Renders the sheet; without images it is a square of margin.
    #[must_use]
    pub fn render(&self) -> RgbImage {
        let (width, height) = self.size(self.cell_size, self.cells.len() as u64);
        let mut sheet = RgbImage::from_pixel(width as u32, height as u32, BACKGROUND);
        for (index, (label, image)) in self.cells.iter().enumerate() {
            let (column, row) = (index as u32 % self.columns, index as u32 / self.columns);
            let x = MARGIN + column * (self.cell_size.0 + MARGIN);
            let y = MARGIN + row * (LABEL_HEIGHT + self.cell_size.1 + MARGIN);
            draw_text(&mut sheet, label, (x, y), self.cell_size.0);
            imageops::replace(&mut sheet, image, i64::from(x), i64::from(y + LABEL_HEIGHT));
        }
        sheet
    }

    /// Writes the sheet as a PNG file and replaces any file at that path.
    ///
    /// # Errors
    /// [`QualityError::SaveFailed`] when the file cannot be written, [`QualityError::CodecFailed`] when the PNG encoder
    /// fails.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<(), QualityError> {
        sheet::save_sheet(path.as_ref(), self.render())
    }

    /// Returns the width and height of a sheet in pixels.
    fn size(&self, cell: (u32, u32), cells: u64) -> (u64, u64) {
        let (columns, margin) = (u64::from(self.columns), u64::from(MARGIN));
        let cell_width = u64::from(cell.0) + margin;
        let cell_height = u64::from(LABEL_HEIGHT) + u64::from(cell.1) + margin;
        (margin + cell_width * cells.min(columns), margin + cell_height * cells.div_ceil(columns))
    }
}

/// Draws a line of text in black, with as many characters as fit into `width` pixels.
fn draw_text(sheet: &mut RgbImage, text: &str, (left, top): (u32, u32), width: u32) {
    let advance = glyph_width(TEXT_HEIGHT) as u32;
    let visible = text.chars().take((width / advance) as usize);
    for (x, letter) in (left..).step_by(advance as usize).zip(visible) {
        let Some(glyph) = raster_glyph(letter, TEXT_HEIGHT) else { continue };
        for (y, row) in (top..).zip(glyph.rows()) {
            for (x, ink) in (x..).zip(row) {
                sheet.put_pixel(x, y, Rgb([255 - ink; 3]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(width: u32, height: u32, level: u8) -> DynamicImage {
        RgbImage::from_pixel(width, height, Rgb([level; 3])).into()
    }

    /// Returns the number of dark pixels in a rectangle.
    fn ink(sheet: &RgbImage, (left, top): (u32, u32), (width, height): (u32, u32)) -> usize {
        let part = imageops::crop_imm(sheet, left, top, width, height).to_image();
        part.pixels().filter(|pixel| pixel.0[0] < 128).count()
    }

    #[test]
    fn images_are_in_rows_under_their_labels() {
        let mut sheet = LabelledSheet::new(2).unwrap();
        for (label, level) in [("original", 200), ("", 201), ("J", 202)] {
            sheet.push(label, &flat(150, 40, level)).unwrap();
        }
        let sheet = sheet.render();
        assert_eq!(sheet.dimensions(), (8 + 2 * 158, 8 + 2 * (LABEL_HEIGHT + 48)));
        let second = 8 + LABEL_HEIGHT + 48;
        for (level, x, y) in [(200, 8, 8), (201, 166, 8), (202, 8, second)] {
            assert_eq!(sheet.get_pixel(x, y + LABEL_HEIGHT).0, [level; 3]);
            assert_eq!(sheet.get_pixel(x + 149, y + LABEL_HEIGHT + 39).0, [level; 3]);
            assert_eq!(*sheet.get_pixel(x + 150, y + LABEL_HEIGHT), BACKGROUND);
        }
        let label = (150, LABEL_HEIGHT);
        assert!(ink(&sheet, (8, 8), label) > ink(&sheet, (8, second), label));
        assert!(ink(&sheet, (8, second), label) > 10);
        assert_eq!(ink(&sheet, (166, 8), label), 0);
    }

    #[test]
    fn a_label_is_clipped_to_its_cell() {
        let mut sheet = LabelledSheet::new(1).unwrap();
        sheet.push("mmmmmmmmmmmmmmmm → ∞", &flat(60, 10, 255)).unwrap();
        let sheet = sheet.render();
        assert!(ink(&sheet, (8, 8), (60, LABEL_HEIGHT)) > 100);
        assert_eq!(ink(&sheet, (68, 0), (8, sheet.height())), 0);
    }

    #[test]
    fn an_oversized_image_is_refused_and_changes_nothing() {
        let error = LabelledSheet::new(0).unwrap_err();
        assert_eq!(error, QualityError::InvalidGrid { columns: 0, scale: 1 });
        let mut sheet = LabelledSheet::new(3).unwrap();
        assert_eq!(sheet.render().dimensions(), (8, 8));
        sheet.push("small", &flat(10, 10, 0)).unwrap();
        let previous = sheet.render();
        let error = sheet.push("large", &flat(8000, 4000, 0)).unwrap_err();
        assert!(matches!(error, QualityError::SheetTooLarge { width: 16_024, .. }), "{error}");
        assert!(sheet.push("alpha", &DynamicImage::new_rgba8(1, 1)).is_err());
        assert_eq!(sheet.render(), previous);
    }

    #[test]
    fn the_file_holds_the_rendered_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let mut sheet = LabelledSheet::new(1).unwrap();
        sheet.push("one", &flat(30, 20, 90)).unwrap();
        let path = folder.path().join("sheet.png");
        sheet.save_png(&path).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8(), sheet.render());
        let error = sheet.save_png(folder.path().join("missing/sheet.png")).unwrap_err();
        assert!(error.to_string().contains("missing/sheet.png"), "{error}");
    }
}
