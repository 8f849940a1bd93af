use image::{
    DynamicImage, GrayImage, ImageError, RgbImage,
    error::{ParameterError, ParameterErrorKind},
};

use super::split::{SplitItem, StreamSplitter};
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
    /// A plane of Y, then U and V at half width and half height, rounded up; BT.601, limited range.
    Yuv420p,
    /// Y, U, Y, V for two adjacent pixels; BT.601, limited range; the width must be even.
    Yuyv,
}

/// Images without a header, one directly after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLayout {
    width: u32,
    height: u32,
    format: RawFormat,
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
        Ok(Self { width, height, format })
    }

    /// Returns width and height in pixels.
    pub(crate) fn dimensions(self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Returns the number of bytes per image.
    #[must_use]
    pub fn image_bytes(self) -> usize {
        let pixels = self.width as usize * self.height as usize;
        match self.format {
            RawFormat::Grey8 => pixels,
            RawFormat::Rgb24 => 3 * pixels,
            RawFormat::Yuv420p => pixels + 2 * self.chroma_width() * self.height.div_ceil(2) as usize,
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
            RawFormat::Yuv420p => Some(self.decode_yuv420p(&samples).into()),
            RawFormat::Yuyv => Some(self.decode_yuyv(&samples).into()),
        };
        image.ok_or_else(|| {
            let mismatch = ParameterError::from_kind(ParameterErrorKind::DimensionMismatch);
            CaptureError::DecodeImage(ImageError::Parameter(mismatch).into())
        })
    }

    fn chroma_width(self) -> usize {
        self.width.div_ceil(2) as usize
    }

    fn decode_yuv420p(self, samples: &[u8]) -> RgbImage {
        let (luma, chroma) = samples.split_at(self.width as usize * self.height as usize);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        RgbImage::from_fn(self.width, self.height, |x, y| {
            let chroma_index = (y / 2) as usize * self.chroma_width() + (x / 2) as usize;
            yuv_to_rgb(luma[y as usize * self.width as usize + x as usize], u[chroma_index], v[chroma_index])
        })
    }

    fn decode_yuyv(self, samples: &[u8]) -> RgbImage {
        RgbImage::from_fn(self.width, self.height, |x, y| {
            let pair = 2 * (y as usize * self.width as usize + (x & !1) as usize);
            yuv_to_rgb(samples[pair + 2 * (x & 1) as usize], samples[pair + 1], samples[pair + 3])
        })
    }
}

impl StreamSplitter for RawLayout {
    fn split(&mut self, bytes: &[u8]) -> SplitItem {
        if bytes.len() < self.image_bytes() {
            SplitItem::NeedsMore
        } else {
            SplitItem::Complete(self.image_bytes())
        }
    }

    fn give_up(&mut self, bytes: &[u8]) -> SplitItem {
        SplitItem::Damaged(bytes.len())
    }
}

/// Converts BT.601 of limited range with the coefficients of ITU-R BT.601-7 rounded to 8 fractional bits.
fn yuv_to_rgb(y: u8, u: u8, v: u8) -> image::Rgb<u8> {
    let (y, u, v) = (298 * (i32::from(y) - 16), i32::from(u) - 128, i32::from(v) - 128);
    let sums = [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u];
    image::Rgb(sums.map(|sum| ((sum + 128) >> 8).clamp(0, 255) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_white_and_red_are_decoded_in_both_layouts() {
        let red = [81, 90, 240];
        let planes = RawLayout::new(3, 1, RawFormat::Yuv420p).unwrap();
        assert_eq!(planes.image_bytes(), 7);
        let image = planes.decode(vec![16, 235, red[0], 128, red[1], 128, red[2]]).unwrap().to_rgb8();
        assert_eq!(image.into_raw(), [0, 0, 0, 255, 255, 255, 255, 0, 0]);
        let packed = RawLayout::new(2, 2, RawFormat::Yuyv).unwrap();
        let samples = vec![16, 128, 235, 128, red[0], red[1], red[0], red[2]];
        let image = packed.decode(samples).unwrap().to_rgb8();
        assert_eq!(image.into_raw(), [0, 0, 0, 255, 255, 255, 255, 0, 0, 255, 0, 0]);
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
