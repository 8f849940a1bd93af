use std::fmt;

use serde::Serialize;

/// The shape of one sample between two layers, without the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A row of this many values.
    Flat(usize),
    /// A time series.
    Series {
        /// Number of time steps.
        length: usize,
        /// Number of values per step.
        channels: usize,
    },
    /// Feature maps.
    Map {
        /// Number of maps.
        channels: usize,
        /// Number of rows.
        height: usize,
        /// Number of columns.
        width: usize,
    },
}

impl Shape {
    /// Returns the dimensions, slowest first.
    #[must_use]
    pub fn dims(&self) -> Vec<usize> {
        match *self {
            Self::Flat(values) => vec![values],
            Self::Series { length, channels } => vec![length, channels],
            Self::Map { channels, height, width } => vec![channels, height, width],
        }
    }

    /// Returns the number of values.
    #[must_use]
    pub fn values(&self) -> usize {
        self.dims().into_iter().fold(1, usize::saturating_mul)
    }

    /// Returns the units of a row, or the channels of a map or series.
    #[must_use]
    pub const fn width(&self) -> usize {
        match *self {
            Self::Flat(values) => values,
            Self::Series { channels, .. } | Self::Map { channels, .. } => channels,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.dims().iter().map(usize::to_string).collect();
        f.write_str(&dims.join("×"))
    }
}
