//! What an encoder takes, and a head gives back: pictures of one size, windows of numbers, or tensors as they are.

use serde::{Deserialize, Serialize};

use crate::{
    BundleError,
    check::{check_range, require},
};

/// How an input becomes the encoder's tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum InputSpec {
    /// A picture of any size, turned into one of this.
    Picture(PictureSpec),
    /// A window of measurements.
    Series(SeriesSpec),
    /// 32-bit floats in the shape of the encoder's input tensor, as they are.
    Tensor {},
}

/// A picture: turned to the wanted channels, resized to exactly `width × height`, and each 8-bit sample mapped
/// linearly from 0…255 to the channel's `low…high`, planes one after the other. Of a head's output, the way back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureSpec {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Grey or RGB.
    pub channels: Channels,
    /// The value of sample 0, one a channel.
    pub low: Vec<f32>,
    /// The value of sample 255, one a channel.
    pub high: Vec<f32>,
}

/// The colour planes of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// One plane of luma (ITU-R BT.709 weights when it is made from colour).
    Grey,
    /// Red, green and blue.
    Rgb,
}

/// A window of `length` rows of numbers, `[length, channels]`; a row of a table is a window of length 1. The encoder
/// sees `(number − mean) / deviation`. Of a head's output, the way back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesSpec {
    /// Rows of a window.
    pub length: u32,
    /// Rows from the start of a window to the start of the next.
    pub stride: u32,
    /// The channels' names, 1 to 4096.
    pub channels: Vec<String>,
    /// The mean of each channel.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel, positive.
    pub deviation: Vec<f32>,
}

impl Channels {
    /// 1 or 3.
    #[must_use]
    pub const fn count(self) -> u32 {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

impl PictureSpec {
    /// A picture whose channels all have samples of `low` to `high`.
    #[must_use]
    pub fn uniform(width: u32, height: u32, channels: Channels, low: f32, high: f32) -> Self {
        let each = |value| vec![value; channels.count() as usize];
        Self { width, height, channels, low: each(low), high: each(high) }
    }

    /// Samples of one picture.
    #[must_use]
    pub fn samples(&self) -> u64 {
        u64::from(self.width).saturating_mul(u64::from(self.height) * u64::from(self.channels.count()))
    }

    pub(crate) fn check(&self, field: &str) -> Result<(), BundleError> {
        require(self.samples() > 0, field, || "width and height must be at least 1".into())?;
        let count = self.channels.count() as usize;
        require(self.low.len() == count && self.high.len() == count, field, || {
            format!("low and high must have {count} values, one a channel")
        })?;
        self.low.iter().zip(&self.high).try_for_each(|(&low, &high)| check_range(field, low, high))
    }
}

impl SeriesSpec {
    /// Numbers of one window.
    #[must_use]
    pub fn samples(&self) -> u64 {
        u64::from(self.length).saturating_mul(self.channels.len() as u64)
    }

    pub(crate) fn check(&self, field: &str) -> Result<(), BundleError> {
        require(self.length > 0 && self.stride > 0, field, || "length and stride must be at least 1".into())?;
        let count = self.channels.len();
        require((1..=4096).contains(&count), field, || "it must have 1 to 4096 channels".into())?;
        require(self.mean.len() == count && self.deviation.len() == count, field, || {
            format!("mean and deviation must have {count} values, one a channel")
        })?;
        let good = |deviation: &f32| deviation.is_finite() && *deviation > 0.0;
        require(self.mean.iter().all(|mean| mean.is_finite()), field, || "a mean is not finite".into())?;
        require(self.deviation.iter().all(good), field, || "a deviation is not positive and finite".into())
    }
}

impl InputSpec {
    /// Values of one input; `None` when only the tensor says.
    #[must_use]
    pub fn samples(&self) -> Option<u64> {
        match self {
            Self::Picture(picture) => Some(picture.samples()),
            Self::Series(series) => Some(series.samples()),
            Self::Tensor {} => None,
        }
    }

    pub(crate) fn check(&self, field: &str) -> Result<(), BundleError> {
        match self {
            Self::Picture(picture) => picture.check(field),
            Self::Series(series) => series.check(field),
            Self::Tensor {} => Ok(()),
        }
    }
}
