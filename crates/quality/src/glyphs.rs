//! Letters as pixels: Noto Sans Mono drawn beforehand in two sizes, so that no font of the system is asked for.

use noto_sans_mono_bitmap::{FontWeight, RasterizedChar, get_raster, get_raster_width};

pub(crate) use noto_sans_mono_bitmap::RasterHeight;

const WEIGHT: FontWeight = FontWeight::Regular;
/// Stands for what the glyphs do not have: they have Latin-1.
const UNKNOWN: char = '?';

/// The ink of a letter, row by row, 0 to 255.
pub(crate) fn glyph(letter: char, height: RasterHeight) -> Option<RasterizedChar> {
    get_raster(letter, WEIGHT, height).or_else(|| get_raster(UNKNOWN, WEIGHT, height))
}

/// How wide every letter is, in pixels.
pub(crate) fn advance(height: RasterHeight) -> usize {
    get_raster_width(WEIGHT, height)
}
