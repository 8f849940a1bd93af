use serde::{Deserialize, Serialize};

use super::Shape;

/// What a model sees or makes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// A picture.
    Picture(Picture),
    /// A series of measurements; a row of a table is a series of length 1.
    Series(Series),
}

/// Pictures of one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Its colours.
    pub channels: Channels,
    /// What the darkest sample becomes.
    #[serde(default)]
    pub low: f32,
    /// What the brightest sample becomes.
    #[serde(default = "one")]
    pub high: f32,
}

/// The colours of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// One channel.
    Grey,
    /// Red, green, blue, one plane after the other.
    Rgb,
}

/// Series of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Steps.
    pub length: usize,
    /// Values a step.
    pub channels: usize,
}

fn one() -> f32 {
    1.0
}

impl Signal {
    /// Its shape: planes, rows, columns of a picture; steps, channels of a series.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        match *self {
            Self::Picture(Picture { width, height, channels, .. }) => {
                Shape::Map { channels: channels.count(), height, width }
            }
            Self::Series(Series { length, channels }) => Shape::Series { length, channels },
        }
    }
}

impl Channels {
    /// How many.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}
