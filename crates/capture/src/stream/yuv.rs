//! Luma and chroma as red, green and blue.

use image::RgbImage;

/// Number of fractional bits of the coefficients.
const FRACTION_BITS: u32 = 14;
/// The chroma sample of grey.
const GREY: i32 = 128;

/// The meaning of the samples Y, U and V, which raw images do not say: BT.601 with limited range by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct YuvColour {
    /// The matrix.
    pub matrix: YuvMatrix,
    /// The range of the samples.
    pub range: YuvRange,
}

/// The matrix between RGB and Y, U and V.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum YuvMatrix {
    /// ITU-R BT.601: webcams, and most video of less than 720 lines.
    #[default]
    Bt601,
    /// ITU-R BT.709: video of 720 lines and more.
    Bt709,
}

/// The range of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum YuvRange {
    /// Y from 16 to 235, U and V from 16 to 240.
    #[default]
    Limited,
    /// 0 to 255, as in JPEG.
    Full,
}

/// One of the components of an image: where its samples are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Component<'a> {
    /// The samples, from the first of this component on.
    pub(crate) samples: &'a [u8],
    /// Bytes from one row to the next.
    pub(crate) row_bytes: usize,
    /// Bytes from one sample to the next.
    pub(crate) step: usize,
    /// Binary logarithms of the number of pixels per sample, across and down.
    pub(crate) shifts: [u32; 2],
}

impl<'a> Component<'a> {
    fn row(self, y: u32) -> &'a [u8] {
        &self.samples[(y >> self.shifts[1]) as usize * self.row_bytes..]
    }

    fn column(self, x: u32) -> usize {
        (x >> self.shifts[0]) as usize * self.step
    }
}

/// The coefficients of a conversion, in units of 2^-14.
#[derive(Debug, Clone, Copy)]
struct Coefficients {
    luma_offset: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Coefficients {
    /// Returns the coefficients of ITU-R BT.601-7 and BT.709-6, scaled to 8-bit samples.
    const fn new(colour: YuvColour) -> Self {
        match (colour.matrix, colour.range) {
            (YuvMatrix::Bt601, YuvRange::Limited) => {
                Self::from_integers(16, [19077, 26149, 6419, 13320, 33050])
            }
            (YuvMatrix::Bt601, YuvRange::Full) => Self::from_integers(0, [16384, 22970, 5638, 11700, 29032]),
            (YuvMatrix::Bt709, YuvRange::Limited) => {
                Self::from_integers(16, [19077, 29372, 3494, 8731, 34610])
            }
            (YuvMatrix::Bt709, YuvRange::Full) => Self::from_integers(0, [16384, 25802, 3069, 7670, 30402]),
        }
    }

    const fn from_integers(luma_offset: i32, [luma, red_v, green_u, green_v, blue_u]: [i32; 5]) -> Self {
        Self { luma_offset, luma, red_v, green_u, green_v, blue_u }
    }

    fn rgb(self, y: u8, u: u8, v: u8) -> [u8; 3] {
        let y = self.luma * (i32::from(y) - self.luma_offset);
        let (u, v) = (i32::from(u) - GREY, i32::from(v) - GREY);
        let sums = [y + self.red_v * v, y - self.green_u * u - self.green_v * v, y + self.blue_u * u];
        sums.map(|sum| ((sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS).clamp(0, 255) as u8)
    }
}

/// Decodes an image of this size from its components Y, U and V, which must have samples for all pixels.
pub(crate) fn decode_yuv(
    width: u32,
    height: u32,
    components: [Component<'_>; 3],
    colour: YuvColour,
) -> Option<RgbImage> {
    let coefficients = Coefficients::new(colour);
    let mut samples = Vec::with_capacity(3 * width as usize * height as usize);
    for y in 0..height {
        let rows = components.map(|component| component.row(y));
        for x in 0..width {
            let [y, u, v] = [0, 1, 2].map(|index| rows[index][components[index].column(x)]);
            samples.extend(coefficients.rgb(y, u, v));
        }
    }
    RgbImage::from_raw(width, height, samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_white_and_red_are_the_same_in_every_colour() {
        use YuvMatrix::{Bt601, Bt709};
        use YuvRange::{Full, Limited};
        // Red by the formulas of the recommendations, rounded to 8 bits.
        for (matrix, range, black, white, red) in [
            (Bt601, Limited, 16, 235, [81, 90, 240]),
            (Bt601, Full, 0, 255, [76, 85, 255]),
            (Bt709, Limited, 16, 235, [63, 102, 240]),
            (Bt709, Full, 0, 255, [54, 99, 255]),
        ] {
            let coefficients = Coefficients::new(YuvColour { matrix, range });
            assert_eq!(coefficients.rgb(black, 128, 128), [0; 3], "{matrix:?} {range:?}");
            assert_eq!(coefficients.rgb(white, 128, 128), [255; 3], "{matrix:?} {range:?}");
            let [r, g, b] = coefficients.rgb(red[0], red[1], red[2]);
            assert!(r >= 253 && g <= 2 && b <= 2, "{matrix:?} {range:?}: {r} {g} {b}");
        }
    }
}
