//! Bitmap glyphs: Noto Sans Mono, rasterised in advance at two sizes, so that no system font is needed.

use noto_sans_mono_bitmap::{FontWeight, RasterizedChar, get_raster, get_raster_width};

pub(crate) use noto_sans_mono_bitmap::RasterHeight;

const WEIGHT: FontWeight = FontWeight::Regular;
/// Replacement for characters outside Latin-1, for which glyphs are missing.
const REPLACEMENT: char = '?';

/// Returns the coverage of a character row by row, 0 to 255.
pub(crate) fn raster_glyph(letter: char, height: RasterHeight) -> Option<RasterizedChar> {
    get_raster(letter, WEIGHT, height).or_else(|| get_raster(REPLACEMENT, WEIGHT, height))
}

/// Returns the width of every character, in pixels.
pub(crate) fn glyph_width(height: RasterHeight) -> usize {
    get_raster_width(WEIGHT, height)
}
