use serde::{Deserialize, Serialize};

use super::Shape;

/// The input or output signal of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// An image.
    Picture(ImageSignal),
    /// A time series; a row of a table is a series of length 1.
    Series(SeriesSignal),
}

/// Images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSignal {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Colour channels.
    pub channels: Channels,
    /// Model value of the darkest sample, 0 by default.
    #[serde(default)]
    pub low: f32,
    /// Model value of the brightest sample, 1 by default.
    #[serde(default = "default_high")]
    pub high: f32,
}

/// The colour channels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// One channel.
    Grey,
    /// Red, green and blue, one plane after the other.
    Rgb,
}

/// Time series of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesSignal {
    /// Number of time steps.
    pub length: usize,
    /// Number of values per step.
    pub channels: usize,
}

fn default_high() -> f32 {
    1.0
}

impl Signal {
    /// Returns the shape: `[channels, height, width]` for images, `[length, channels]` for time series.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        match *self {
            Self::Picture(ImageSignal { width, height, channels, .. }) => {
                Shape::Map { channels: channels.count(), height, width }
            }
            Self::Series(SeriesSignal { length, channels }) => Shape::Series { length, channels },
        }
    }
}

impl Channels {
    /// Returns the number of channels.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}
