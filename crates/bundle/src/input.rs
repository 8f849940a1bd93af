//! Inputs of an encoder and outputs of a head: images of one size, windows of a time series, or plain
//! tensors.

use serde::{Deserialize, Serialize};

use crate::{
    BundleError,
    check::{check_range, require},
};

/// The preprocessing that turns an input into the encoder's tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum InputSpec {
    /// An image of any size, which is resized to this one.
    Picture(ImageSpec),
    /// A window of a time series.
    Series(TimeSeriesSpec),
    /// 32-bit floats in the shape of the encoder's input tensor, without preprocessing.
    Tensor {},
}

/// An image: converted to these channels, resized to exactly `width × height`, each 8-bit sample mapped
/// linearly from 0…255 to the channel's `low…high`, with one plane after the other. For a head's output, the
/// inverse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The colour planes.
    pub channels: Channels,
    /// The value of sample 0, one per channel.
    pub low: Vec<f32>,
    /// The value of sample 255, one per channel.
    pub high: Vec<f32>,
}

/// The colour planes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// One plane of luma (ITU-R BT.709 weights if it is converted from colour).
    Grey,
    /// Red, green and blue.
    Rgb,
}

/// A window of `length` rows of numbers, `[length, channels]`; one row of a table is a window of length 1.
/// The encoder reads `(number − mean) / deviation`. For a head's output, the inverse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSeriesSpec {
    /// Rows per window.
    pub length: u32,
    /// Rows from the start of one window to the start of the next.
    pub stride: u32,
    /// The names of the channels, 1 to 4096.
    pub channels: Vec<String>,
    /// The mean of each channel.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel, positive.
    pub deviation: Vec<f32>,
}

impl Channels {
    /// Returns the number of planes, 1 or 3.
    #[must_use]
    pub const fn count(self) -> u32 {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

impl ImageSpec {
    /// Creates a specification that maps the samples of all channels to `low…high`.
    #[must_use]
    pub fn with_uniform_range(width: u32, height: u32, channels: Channels, low: f32, high: f32) -> Self {
        let count = channels.count() as usize;
        Self { width, height, channels, low: vec![low; count], high: vec![high; count] }
    }

    /// Returns the number of samples per image.
    #[must_use]
    pub fn samples(&self) -> u64 {
        u64::from(self.width).saturating_mul(u64::from(self.height) * u64::from(self.channels.count()))
    }

    pub(crate) fn check(&self, field: &str) -> Result<(), BundleError> {
        require(self.samples() > 0, field, || "width and height must be at least 1".into())?;
        let count = self.channels.count() as usize;
        require(self.low.len() == count && self.high.len() == count, field, || {
            format!("low and high must have {count} values, one per channel")
        })?;
        self.low.iter().zip(&self.high).try_for_each(|(&low, &high)| check_range(field, low, high))
    }
}

impl TimeSeriesSpec {
    /// Returns the number of values per window.
    #[must_use]
    pub fn samples(&self) -> u64 {
        u64::from(self.length).saturating_mul(self.channels.len() as u64)
    }

    pub(crate) fn check(&self, field: &str) -> Result<(), BundleError> {
        require(self.length > 0 && self.stride > 0, field, || "length and stride must be at least 1".into())?;
        let count = self.channels.len();
        require((1..=4096).contains(&count), field, || "it must have 1 to 4096 channels".into())?;
        require(self.mean.len() == count && self.deviation.len() == count, field, || {
            format!("mean and deviation must have {count} values, one per channel")
        })?;
        require(self.mean.iter().all(|mean| mean.is_finite()), field, || "every mean must be finite".into())?;
        let positive = self.deviation.iter().all(|deviation| deviation.is_finite() && *deviation > 0.0);
        require(positive, field, || "every deviation must be positive and finite".into())
    }
}

impl InputSpec {
    /// Returns the number of values per input; `None` if only the tensor specifies it.
    #[must_use]
    pub fn samples(&self) -> Option<u64> {
        match self {
            Self::Picture(image) => Some(image.samples()),
            Self::Series(series) => Some(series.samples()),
            Self::Tensor {} => None,
        }
    }

    pub(crate) fn check(&self, field: &str) -> Result<(), BundleError> {
        match self {
            Self::Picture(image) => image.check(field),
            Self::Series(series) => series.check(field),
            Self::Tensor {} => Ok(()),
        }
    }
}
