//! Synthetic images, identical on every machine.

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};

/// Size of the photograph, in pixels.
const PHOTOGRAPH_WIDTH: u32 = 1152;
const PHOTOGRAPH_HEIGHT: u32 = 868;

/// Returns a gradient from black to white along the diagonal.
pub(super) fn gradient(width: u32, height: u32) -> DynamicImage {
    GrayImage::from_fn(width, height, |x, y| Luma([(255 * (x + y) / (width + height)) as u8])).into()
}

/// Returns an image of one megapixel that costs about as much as a photograph: a sky that hardly changes,
/// hills with an edge, and ground with texture at every scale.
pub(super) fn photograph() -> DynamicImage {
    RgbImage::from_fn(PHOTOGRAPH_WIDTH, PHOTOGRAPH_HEIGHT, |x, y| {
        let hills = PHOTOGRAPH_HEIGHT * 2 / 5 + octaves(x, 0, 8) / 2;
        if y < hills {
            let haze = 60 * y / PHOTOGRAPH_HEIGHT;
            return Rgb([110 + haze, 150 + haze, 225 - haze / 2].map(|sample| sample as u8));
        }
        let texture = octaves(x, y, 7);
        let light = (2 * texture + 60 * y / PHOTOGRAPH_HEIGHT).saturating_sub(150);
        Rgb([light * 9 / 10, light, light * 6 / 10].map(|sample| sample.min(255) as u8))
    })
    .into()
}

/// Returns noise of increasingly fine scales, 0 to 255: the coarsest has cells of `1 << coarsest` pixels, and
/// each next one is half as large and three quarters as strong.
fn octaves(x: u32, y: u32, coarsest: u32) -> u32 {
    (0..=coarsest)
        .map(|octave| (64 * 3_u32.pow(octave) * noise(x, y, coarsest - octave)) >> (2 * octave + 8))
        .sum()
}

/// Interpolates between random values at the corners of cells of `1 << scale` pixels: 0 to 255.
fn noise(x: u32, y: u32, scale: u32) -> u32 {
    let (column, row) = (x >> scale, y >> scale);
    let (right, down) = (x - (column << scale), y - (row << scale));
    let [upper, lower] = [row, row + 1].map(|row| {
        let corners = [column, column + 1].map(|column| corner_hash(column, row, scale));
        interpolate_corners(corners, right, scale)
    });
    interpolate_corners([upper, lower], down, scale)
}

/// Interpolates between two corners that are `1 << scale` pixels apart, at pixel `offset`.
fn interpolate_corners([first, second]: [u32; 2], offset: u32, scale: u32) -> u32 {
    ((first << scale) + second * offset - first * offset) >> scale
}

/// Returns a hash of three numbers, 0 to 255.
fn corner_hash(x: u32, y: u32, scale: u32) -> u32 {
    let mut hash =
        x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ scale.wrapping_mul(0xc2b2_ae3d);
    hash = (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d);
    hash = (hash ^ hash >> 12).wrapping_mul(0x297a_2d39);
    (hash ^ hash >> 15) >> 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_photograph_is_a_megapixel_with_smooth_and_rough_parts() {
        let image = photograph().to_rgb8();
        assert!((990_000..1_010_000).contains(&(image.width() * image.height())));
        let roughness = |y: u32| {
            let steps = (1..PHOTOGRAPH_WIDTH)
                .map(|x| image.get_pixel(x, y)[1].abs_diff(image.get_pixel(x - 1, y)[1]));
            steps.map(u64::from).sum::<u64>()
        };
        let (sky, ground) = (roughness(10), roughness(PHOTOGRAPH_HEIGHT - 10));
        assert!(sky < 10 && ground > 2 * u64::from(PHOTOGRAPH_WIDTH), "{sky} {ground}");
    }
}
