use image::{
    DynamicImage, GrayImage, ImageError, RgbImage,
    error::{ParameterError, ParameterErrorKind},
};

use super::yuv::{Component, YuvColour, decode_yuv};
use crate::CaptureError;

/// The largest side, in pixels.
const MAX_SIDE: u32 = 1 << 14;

/// Layout of samples without a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawFormat {
    /// One byte per pixel.
    Grey8,
    /// Red, green and blue, one byte each.
    Rgb24,
    /// Blue, green and red, one byte each.
    Bgr24,
    /// A plane of Y, then U and V at half width and half height, rounded up.
    Yuv420p,
    /// A plane of Y, then U and V at half width, rounded up.
    Yuv422p,
    /// Planes of Y, U and V.
    Yuv444p,
    /// A plane of Y, then U and V alternating, at half width and half height, rounded up.
    Nv12,
    /// Y, U, Y, V for two adjacent pixels; the width must be even.
    Yuyv,
}

/// Images without a header, one directly after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLayout {
    width: u32,
    height: u32,
    format: RawFormat,
    colour: YuvColour,
}

impl RawLayout {
    /// Creates the layout for images of this size in pixels.
    ///
    /// # Errors
    /// [`CaptureError::InvalidSetting`] for a side that is 0 or over 16384, or an odd width with
    /// [`RawFormat::Yuyv`].
    pub fn new(width: u32, height: u32, format: RawFormat) -> Result<Self, CaptureError> {
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            let message = format!(
                "images of {width}×{height} pixels are not supported: each side must be 1 to {MAX_SIDE}"
            );
            return Err(CaptureError::InvalidSetting(message));
        }
        if format == RawFormat::Yuyv && !width.is_multiple_of(2) {
            let message = format!("YUYV images must have an even width, not {width}");
            return Err(CaptureError::InvalidSetting(message));
        }
        Ok(Self { width, height, format, colour: YuvColour::default() })
    }

    /// Sets the meaning of the samples Y, U and V. It has no effect on other formats.
    #[must_use]
    pub fn with_colour(self, colour: YuvColour) -> Self {
        Self { colour, ..self }
    }

    /// Returns width and height in pixels.
    pub(crate) fn dimensions(self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Returns the number of bytes per image.
    #[must_use]
    pub fn image_bytes(self) -> usize {
        let (pixels, half_width) = (self.pixels(), self.half_width());
        match self.format {
            RawFormat::Grey8 => pixels,
            RawFormat::Rgb24 | RawFormat::Bgr24 | RawFormat::Yuv444p => 3 * pixels,
            RawFormat::Yuv420p | RawFormat::Nv12 => {
                pixels + 2 * half_width * self.height.div_ceil(2) as usize
            }
            RawFormat::Yuv422p => pixels + 2 * half_width * self.height as usize,
            RawFormat::Yuyv => 2 * pixels,
        }
    }

    /// Returns the number of bytes per row; only valid if the samples of a pixel are adjacent.
    #[cfg(feature = "v4l")]
    pub(crate) fn row_bytes(self) -> usize {
        self.image_bytes() / self.height as usize
    }

    /// Decodes the image of these samples.
    pub(crate) fn decode(self, samples: Vec<u8>) -> Result<DynamicImage, CaptureError> {
        let has_expected_length = samples.len() == self.image_bytes();
        let image = match self.format {
            _ if !has_expected_length => None,
            RawFormat::Grey8 => GrayImage::from_raw(self.width, self.height, samples).map(Into::into),
            RawFormat::Rgb24 => RgbImage::from_raw(self.width, self.height, samples).map(Into::into),
            RawFormat::Bgr24 => {
                RgbImage::from_raw(self.width, self.height, swap_red_and_blue(samples)).map(Into::into)
            }
            RawFormat::Yuv420p
            | RawFormat::Yuv422p
            | RawFormat::Yuv444p
            | RawFormat::Nv12
            | RawFormat::Yuyv => {
                decode_yuv(self.width, self.height, self.components(&samples), self.colour).map(Into::into)
            }
        };
        image.ok_or_else(|| {
            let mismatch = ParameterError::from_kind(ParameterErrorKind::DimensionMismatch);
            CaptureError::DecodeImage(ImageError::Parameter(mismatch).into())
        })
    }

    fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }

    fn half_width(self) -> usize {
        self.width.div_ceil(2) as usize
    }

    /// Returns the components Y, U and V of an image of the expected length.
    fn components(self, samples: &[u8]) -> [Component<'_>; 3] {
        if self.format == RawFormat::Yuyv {
            let row_bytes = 2 * self.width as usize;
            return [(0, 2, 0), (1, 4, 1), (3, 4, 1)].map(|(first, step, shift)| Component {
                samples: &samples[first..],
                row_bytes,
                step,
                shifts: [shift, 0],
            });
        }
        let (luma, chroma) = samples.split_at(self.pixels());
        let luma = Component { samples: luma, row_bytes: self.width as usize, step: 1, shifts: [0, 0] };
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let (u, v, row_bytes, step, shifts) = match self.format {
            RawFormat::Nv12 => (chroma, &chroma[1..], 2 * self.half_width(), 2, [1, 1]),
            RawFormat::Yuv444p => (u, v, self.width as usize, 1, [0, 0]),
            RawFormat::Yuv422p => (u, v, self.half_width(), 1, [1, 0]),
            _ => (u, v, self.half_width(), 1, [1, 1]),
        };
        let [u, v] = [u, v].map(|samples| Component { samples, row_bytes, step, shifts });
        [luma, u, v]
    }
}

fn swap_red_and_blue(mut samples: Vec<u8>) -> Vec<u8> {
    for pixel in samples.as_chunks_mut::<3>().0 {
        pixel.swap(0, 2);
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: [u8; 3] = [0; 3];
    const WHITE: [u8; 3] = [255; 3];
    /// Red after its samples were rounded to 8 bits.
    const RED: [u8; 3] = [254, 0, 0];

    fn decoded(width: u32, height: u32, format: RawFormat, samples: &[u8]) -> Vec<u8> {
        let layout = RawLayout::new(width, height, format).unwrap();
        assert_eq!(layout.image_bytes(), samples.len(), "{format:?}");
        layout.decode(samples.to_vec()).unwrap().to_rgb8().into_raw()
    }

    #[test]
    fn black_white_and_red_are_decoded_in_every_layout() {
        let three = [BLACK, WHITE, RED].concat();
        for (format, samples) in [
            (RawFormat::Yuv420p, &[16, 235, 81, 128, 90, 128, 240][..]),
            (RawFormat::Yuv422p, &[16, 235, 81, 128, 90, 128, 240]),
            (RawFormat::Yuv444p, &[16, 235, 81, 128, 128, 90, 128, 128, 240]),
            (RawFormat::Nv12, &[16, 235, 81, 128, 128, 90, 240]),
            (RawFormat::Rgb24, &[0, 0, 0, 255, 255, 255, 254, 0, 0]),
            (RawFormat::Bgr24, &[0, 0, 0, 255, 255, 255, 0, 0, 254]),
        ] {
            assert_eq!(decoded(3, 1, format, samples), three, "{format:?}");
        }
        assert_eq!(
            decoded(2, 2, RawFormat::Yuyv, &[16, 128, 235, 128, 81, 90, 81, 240]),
            [BLACK, WHITE, RED, RED].concat()
        );
        assert_eq!(decoded(2, 1, RawFormat::Grey8, &[0, 255]), [BLACK, WHITE].concat());
    }

    #[test]
    fn chroma_of_odd_sizes_belongs_to_the_right_pixels() {
        // Three columns and three rows: the last column and the last row have chroma of their own.
        let luma = [81; 9];
        for (format, chroma) in [
            (RawFormat::Yuv420p, &[128, 90, 128, 90, 128, 240, 128, 240][..]),
            (RawFormat::Nv12, &[128, 128, 90, 240, 128, 128, 90, 240]),
        ] {
            let pixels = decoded(3, 3, format, &[&luma[..], chroma].concat());
            for (index, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
                let is_red = pixel[0] > pixel[1] + 100;
                assert_eq!(is_red, index % 3 == 2, "{format:?} {index}: {pixel:?}");
            }
        }
    }

    #[test]
    fn invalid_sizes_are_refused() {
        for (width, height, format) in
            [(0, 1, RawFormat::Grey8), (1, 16385, RawFormat::Rgb24), (3, 2, RawFormat::Yuyv)]
        {
            assert!(matches!(RawLayout::new(width, height, format), Err(CaptureError::InvalidSetting(_))));
        }
        let raw = RawLayout::new(2, 2, RawFormat::Rgb24).unwrap();
        assert!(matches!(raw.decode(vec![0; 11]), Err(CaptureError::DecodeImage(_))));
    }
}
