//! Converts a photograph's file to tiles: decodes, halves and cuts it.
//!
//! All arithmetic is in integers, so the same file yields the same tiles on every machine.

use std::{fs, path::Path};

use image::RgbImage;
use lopside_input::{ImagePolicy, decode_image_bytes, image_dimensions};

use crate::{PhotoError, TrainingError, error::io_error};

/// Width and height of a tile in pixels.
pub const TILE_SIDE: usize = 256;
/// Size of a tile in bytes: interleaved RGB8, row-major from the top left.
pub const TILE_BYTES: usize = TILE_SIDE * TILE_SIDE * 3;

/// Decodes a file to 8-bit RGB, as a viewer shows it and as an encoder reads it: upright, in sRGB, over white. Grey is
/// expanded, 16 bits are reduced.
///
/// # Errors
/// [`PhotoError::Decoding`] with `path` when the bytes are damaged or not an image of a known format.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<RgbImage, TrainingError> {
    let read = decode_image_bytes(bytes, &ImagePolicy::default());
    Ok(read
        .map(|read| read.image.into_rgb8())
        .map_err(|source| PhotoError::Decoding { path: path.to_owned(), source })?)
}

/// Returns width and height in pixels when the image is upright, from the header alone.
///
/// # Errors
/// The errors of [`decode`], and [`TrainingError::Io`].
pub(super) fn read_dimensions(path: &Path) -> Result<(u32, u32), TrainingError> {
    let bytes = fs::read(path).map_err(io_error(path))?;
    Ok(image_dimensions(&bytes, &ImagePolicy::default())
        .map_err(|source| PhotoError::Decoding { path: path.to_owned(), source })?)
}

/// Returns whether an image of this size yields tiles.
pub(super) fn is_large_enough((width, height): (u32, u32), halve: bool) -> bool {
    let side = width.min(height) as usize;
    (if halve { side / 2 } else { side }) >= TILE_SIDE
}

/// Averages blocks of 2 x 2 pixels, rounding halves up; drops an odd last row or column. This removes most
/// JPEG artefacts from the photographs: 8 x 8 blocks and subsampled chroma.
pub(super) fn halve(image: &RgbImage) -> RgbImage {
    let (width, height) = (image.width() / 2, image.height() / 2);
    let row_len = image.width() as usize * 3;
    let samples = image.as_raw();
    RgbImage::from_fn(width, height, |x, y| {
        let offset = 2 * y as usize * row_len + 2 * x as usize * 3;
        image::Rgb([0, 1, 2].map(|colour| {
            let sum: u16 = [offset, offset + 3, offset + row_len, offset + row_len + 3]
                .iter()
                .map(|&corner| u16::from(samples[corner + colour]))
                .sum();
            ((sum + 2) / 4) as u8
        }))
    })
}

/// Returns the tiles that cover an image of at least [`TILE_SIDE`] pixels per side, row after row, [`TILE_BYTES`]
/// each. The last tile of each row and column is moved inwards and overlaps its neighbour.
pub(super) fn tiles(image: &RgbImage) -> impl Iterator<Item = Vec<u8>> {
    let columns = tile_starts(image.width() as usize);
    tile_starts(image.height() as usize)
        .into_iter()
        .flat_map(move |y| columns.clone().into_iter().map(move |x| cut_tile(image, x, y)))
}

/// Returns the first pixel of every tile along a side.
fn tile_starts(side: usize) -> Vec<usize> {
    (0..side.div_ceil(TILE_SIDE)).map(|i| (i * TILE_SIDE).min(side - TILE_SIDE)).collect()
}

fn cut_tile(image: &RgbImage, x: usize, y: usize) -> Vec<u8> {
    let row = image.width() as usize * 3;
    let rows = image.as_raw().chunks_exact(row).skip(y).take(TILE_SIDE);
    rows.flat_map(|row| &row[x * 3..(x + TILE_SIDE) * 3]).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, Rgba};

    use super::*;

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn decoded(image: impl Into<DynamicImage>) -> RgbImage {
        decode(&encoded(image, ImageFormat::Png), Path::new("a.png")).unwrap()
    }

    #[test]
    fn hidden_colours_become_white_grey_is_expanded_and_16_bits_are_reduced() {
        let alpha = ImageBuffer::from_pixel(2, 2, Rgba([10_u8, 20, 30, 0]));
        assert_eq!(decoded(alpha).get_pixel(1, 1), &Rgb([255, 255, 255]));
        let grey = ImageBuffer::from_pixel(2, 2, Luma([77_u8]));
        assert_eq!(decoded(grey).get_pixel(0, 1), &Rgb([77, 77, 77]));
        let deep = ImageBuffer::from_pixel(2, 2, Rgb([257_u16, 0, 65535]));
        assert_eq!(decoded(deep).get_pixel(1, 0), &Rgb([1, 0, 255]));
    }

    #[test]
    fn lossless_webp_is_read_under_any_name() {
        let image = RgbImage::from_fn(5, 4, |x, y| Rgb([x as u8, y as u8, 9]));
        let bytes = encoded(image.clone(), ImageFormat::WebP);
        assert_eq!(decode(&bytes, Path::new("a.webp")).unwrap(), image);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        fs::write(&path, bytes).unwrap();
        assert_eq!(read_dimensions(&path).unwrap(), (5, 4));
    }

    #[test]
    fn halving_rounds_half_up_and_drops_the_odd_column() {
        let row = |values: [u8; 5]| values.map(|v| [v, 255 - v, 255]).concat();
        let samples = [row([0, 1, 4, 5, 99]), row([1, 0, 6, 6, 99])].concat();
        let half = halve(&RgbImage::from_raw(5, 2, samples).unwrap());
        assert_eq!(half.dimensions(), (2, 1));
        // (0 + 1 + 1 + 0) / 4 = 0.5 and (4 + 5 + 6 + 6) / 4 = 5.25; mirrored 254.5 and 249.75.
        assert_eq!(half.as_raw(), &[1, 255, 255, 5, 250, 255]);
    }

    #[test]
    fn tiles_cover_the_whole_image_and_stay_inside() {
        assert_eq!(tile_starts(256), [0]);
        assert_eq!(tile_starts(257), [0, 1]);
        assert_eq!(tile_starts(700), [0, 256, 444]);
        let image = RgbImage::from_fn(300, 256, |x, y| Rgb([(x / 2) as u8, y as u8, (x % 7) as u8]));
        let tiles: Vec<_> = tiles(&image).collect();
        assert_eq!(tiles.iter().map(Vec::len).collect::<Vec<_>>(), [TILE_BYTES; 2]);
        for (tile, shift) in tiles.iter().zip([0, 44]) {
            for (index, pixel) in tile.chunks_exact(3).enumerate() {
                let (x, y) = (index % TILE_SIDE + shift, index / TILE_SIDE);
                assert_eq!(pixel, image.get_pixel(x as u32, y as u32).0);
            }
        }
    }

    #[test]
    fn a_damaged_image_is_named() {
        let error = decode(b"no picture", Path::new("folder/broken.jpg")).unwrap_err();
        assert!(error.to_string().contains("folder/broken.jpg"), "{error}");
        let mut truncated = encoded(RgbImage::new(64, 64), ImageFormat::Png);
        truncated.truncate(40);
        assert!(matches!(
            decode(&truncated, Path::new("cut.png")),
            Err(TrainingError::Photo(PhotoError::Decoding { .. }))
        ));
    }

    #[test]
    fn an_image_is_large_enough_for_one_tile() {
        assert!(is_large_enough((512, 600), true) && !is_large_enough((900, 511), true));
        assert!(is_large_enough((256, 256), false) && !is_large_enough((255, 900), false));
    }
}
