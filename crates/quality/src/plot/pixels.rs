//! A backend of plotters for pixels in memory. Shapes are drawn by plotters' own rasteriser; text is drawn
//! with the glyphs of this crate, because plotters' own text requires system fonts.

use std::convert::Infallible;

use image::{Rgb, RgbImage};
use plotters::prelude::DrawingBackend;
use plotters_backend::{
    BackendColor, BackendCoord, BackendTextStyle, DrawingErrorKind,
    text_anchor::{HPos, VPos},
};

use crate::glyphs::{RasterHeight, glyph_width, raster_glyph};

/// Minimum text size for the large glyphs, in pixels.
const LARGE_TEXT_SIZE: f64 = 20.0;

type DrawResult = Result<(), DrawingErrorKind<Infallible>>;

pub(super) struct PixelBackend<'a> {
    pixels: &'a mut RgbImage,
}

impl<'a> PixelBackend<'a> {
    pub(super) fn new(pixels: &'a mut RgbImage) -> Self {
        Self { pixels }
    }

    fn blend_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        let Some(Rgb(samples)) = self.pixels.get_pixel_mut_checked(x, y) else { return };
        let (red, green, blue) = colour.rgb;
        for (sample, ink) in samples.iter_mut().zip([red, green, blue]) {
            let mixed = f64::from(*sample) * (1.0 - colour.alpha) + f64::from(ink) * colour.alpha;
            *sample = mixed.round() as u8;
        }
    }
}

impl DrawingBackend for PixelBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.pixels.dimensions()
    }

    fn ensure_prepared(&mut self) -> DrawResult {
        Ok(())
    }

    fn present(&mut self) -> DrawResult {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, colour: BackendColor) -> DrawResult {
        self.blend_pixel(point, colour);
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        position: BackendCoord,
    ) -> DrawResult {
        let height = glyph_height(style);
        let corner = corner(text, style);
        let advance = glyph_width(height);
        for (index, glyph) in text.chars().filter_map(|letter| raster_glyph(letter, height)).enumerate() {
            for (y, row) in glyph.rows().enumerate() {
                for (x, &ink) in row.iter().enumerate() {
                    let (x, y) = (corner.0 + (index * advance + x) as i32, corner.1 + y as i32);
                    let (x, y) = style.transform().transform(x, y);
                    self.blend_pixel(
                        (position.0 + x, position.1 + y),
                        style.color().mix(f64::from(ink) / 255.0),
                    );
                }
            }
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        Ok(text_size(text, style))
    }
}

/// Returns the upper left corner of the text relative to its anchor, before rotation.
fn corner<S: BackendTextStyle>(text: &str, style: &S) -> BackendCoord {
    let (width, height) = text_size(text, style);
    let (width, height) = (width as i32, height as i32);
    let x = match style.anchor().h_pos {
        HPos::Left => 0,
        HPos::Center => -width / 2,
        HPos::Right => -width,
    };
    let y = match style.anchor().v_pos {
        VPos::Top => 0,
        VPos::Center => -height / 2,
        VPos::Bottom => -height,
    };
    (x, y)
}

/// Returns the width and height of the text in pixels, before rotation.
fn text_size<S: BackendTextStyle>(text: &str, style: &S) -> (u32, u32) {
    let height = glyph_height(style);
    let width = text.chars().count() * glyph_width(height);
    (width as u32, height.val() as u32)
}

fn glyph_height<S: BackendTextStyle>(style: &S) -> RasterHeight {
    if style.size() >= LARGE_TEXT_SIZE { RasterHeight::Size24 } else { RasterHeight::Size16 }
}
