use lopside_capture::stream::{RawFormat, RawLayout, StreamFormat, YuvColour, YuvMatrix, YuvRange};
use serde::Deserialize;

use crate::{EdgeError, SettingsError};

/// The keys of a source that describe a stream of images.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamKeys {
    pub(super) format: FormatValue,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) yuv_matrix: MatrixValue,
    pub(super) yuv_range: RangeValue,
}

/// A value of the key `format`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FormatValue {
    #[default]
    Auto,
    Mjpeg,
    Pnm,
    Png,
    Y4m,
    Grey8,
    Rgb24,
    Bgr24,
    Yuv420p,
    Yuv422p,
    Yuv444p,
    Nv12,
    Yuyv,
}

/// A value of the key `yuv_matrix`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MatrixValue {
    #[default]
    Bt601,
    Bt709,
}

/// A value of the key `yuv_range`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RangeValue {
    #[default]
    Limited,
    Full,
}

impl StreamKeys {
    /// Returns the format of the stream.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for raw images without a size, and the error of a size that is not supported.
    pub(super) fn stream_format(&self) -> Result<StreamFormat, EdgeError> {
        match self.format {
            FormatValue::Auto => Ok(StreamFormat::Auto),
            FormatValue::Mjpeg => Ok(StreamFormat::Mjpeg),
            FormatValue::Pnm => Ok(StreamFormat::Pnm),
            FormatValue::Png => Ok(StreamFormat::Png),
            FormatValue::Y4m => Ok(StreamFormat::Y4m),
            FormatValue::Grey8 => self.raw_format(RawFormat::Grey8),
            FormatValue::Rgb24 => self.raw_format(RawFormat::Rgb24),
            FormatValue::Bgr24 => self.raw_format(RawFormat::Bgr24),
            FormatValue::Yuv420p => self.raw_format(RawFormat::Yuv420p),
            FormatValue::Yuv422p => self.raw_format(RawFormat::Yuv422p),
            FormatValue::Yuv444p => self.raw_format(RawFormat::Yuv444p),
            FormatValue::Nv12 => self.raw_format(RawFormat::Nv12),
            FormatValue::Yuyv => self.raw_format(RawFormat::Yuyv),
        }
    }

    fn raw_format(&self, format: RawFormat) -> Result<StreamFormat, EdgeError> {
        let (Some(width), Some(height)) = (self.width, self.height) else {
            return Err(SettingsError::Invalid("raw images need width and height".to_owned()).into());
        };
        let colour = YuvColour { matrix: self.yuv_matrix.into(), range: self.yuv_range.into() };
        Ok(StreamFormat::Raw(RawLayout::new(width, height, format)?.with_colour(colour)))
    }
}

impl From<MatrixValue> for YuvMatrix {
    fn from(value: MatrixValue) -> Self {
        match value {
            MatrixValue::Bt601 => Self::Bt601,
            MatrixValue::Bt709 => Self::Bt709,
        }
    }
}

impl From<RangeValue> for YuvRange {
    fn from(value: RangeValue) -> Self {
        match value {
            RangeValue::Limited => Self::Limited,
            RangeValue::Full => Self::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys, as in the table of a source.
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Table {
        format: FormatValue,
        yuv_matrix: MatrixValue,
        yuv_range: RangeValue,
    }

    fn format(text: &str, size: Option<[u32; 2]>) -> Result<StreamFormat, String> {
        let Table { format, yuv_matrix, yuv_range } =
            toml::from_str(text).map_err(|error| error.to_string())?;
        let [width, height] = [0, 1].map(|side| size.map(|size| size[side]));
        let keys = StreamKeys { format, width, height, yuv_matrix, yuv_range };
        keys.stream_format().map_err(|error| error.to_string())
    }

    #[test]
    fn every_format_has_its_meaning() {
        let raw = |format| StreamFormat::Raw(RawLayout::new(4, 2, format).unwrap());
        for (text, expected) in [
            ("auto", StreamFormat::Auto),
            ("mjpeg", StreamFormat::Mjpeg),
            ("pnm", StreamFormat::Pnm),
            ("png", StreamFormat::Png),
            ("y4m", StreamFormat::Y4m),
            ("grey8", raw(RawFormat::Grey8)),
            ("rgb24", raw(RawFormat::Rgb24)),
            ("bgr24", raw(RawFormat::Bgr24)),
            ("yuv420p", raw(RawFormat::Yuv420p)),
            ("yuv422p", raw(RawFormat::Yuv422p)),
            ("yuv444p", raw(RawFormat::Yuv444p)),
            ("nv12", raw(RawFormat::Nv12)),
            ("yuyv", raw(RawFormat::Yuyv)),
        ] {
            assert_eq!(format(&format!("format = '{text}'"), Some([4, 2])), Ok(expected));
        }
        assert_eq!(format("", None), Ok(StreamFormat::Auto));
    }

    #[test]
    fn the_meaning_of_yuv_samples_is_configured() {
        let text = "format = 'nv12'\nyuv_matrix = 'bt709'\nyuv_range = 'full'";
        let colour = YuvColour { matrix: YuvMatrix::Bt709, range: YuvRange::Full };
        let expected = RawLayout::new(4, 2, RawFormat::Nv12).unwrap().with_colour(colour);
        assert_eq!(format(text, Some([4, 2])), Ok(StreamFormat::Raw(expected)));
    }

    #[test]
    fn an_invalid_stream_is_refused_with_the_reason() {
        for (text, size, expected) in [
            ("format = 'rgb24'", None, "width and height"),
            ("format = 'yuyv'", Some([3, 2]), "even width"),
            ("format = 'avi'", None, "mjpeg"),
            ("yuv_range = 'half'", None, "`limited` or `full`"),
        ] {
            let error = format(text, size).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
