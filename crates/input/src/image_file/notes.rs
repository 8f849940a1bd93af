use std::{fmt, time::SystemTime};

use image::DynamicImage;

/// An image as a viewer shows it, and the facts about its file that are not pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadImage {
    /// The pixels: in sRGB, upright, without an alpha channel; grey or RGB; of 8 bits, or of 16 bits if the file has
    /// more than 8.
    pub image: DynamicImage,
    /// The facts that are not pixels.
    pub notes: ImageNotes,
}

/// The facts about the file of an image that are not pixels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageNotes {
    /// Whether the data is cut off or damaged, so that a part of the pixels is missing or wrong.
    pub damaged: bool,
    /// The time at which the image was taken, from EXIF. Without an offset in the file, the time is the local time of
    /// this machine. `None` if the file does not say it.
    pub captured_at: Option<SystemTime>,
    /// The place at which the image was taken, from EXIF; `None` if the file does not say it.
    pub location: Option<Location>,
    /// What was unusual about the file, each kind once.
    pub warnings: Vec<ImageWarning>,
}

impl ImageNotes {
    /// Adds a warning unless there is one of this kind.
    pub(crate) fn warn(&mut self, warning: ImageWarning) {
        if !self.warnings.iter().any(|known| known.name() == warning.name()) {
            self.warnings.push(warning);
        }
    }
}

/// A place on the Earth (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// Latitude in degrees, -90 to 90; north is positive.
    pub latitude: f64,
    /// Longitude in degrees, -180 to 180; east is positive.
    pub longitude: f64,
    /// Height above sea level in metres, if it is known.
    pub altitude: Option<f64>,
}

/// An unusual property of a file that was read nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageWarning {
    /// Bytes before the image were skipped, such as the header of an HTTP multipart stream.
    LeadingBytes {
        /// Number of skipped bytes.
        count: usize,
    },
    /// The JPEG data has no Huffman tables; those of ITU-T T.81, annex K, were used.
    StandardHuffmanTables,
    /// The transfer function is one of high dynamic range. Its range is reduced to that of sRGB.
    HighDynamicRange {
        /// The transfer function: `PQ` or `HLG`.
        transfer: &'static str,
    },
    /// The colour profile is damaged or of an unknown kind; the samples are taken as sRGB.
    ColourProfileIgnored {
        /// The reason.
        reason: String,
    },
    /// The EXIF block is damaged, so that orientation, time or place may be missing.
    DamagedExif {
        /// The reason.
        reason: String,
    },
    /// The file contains several images; the first one was read.
    FirstOfSeveral,
}

impl ImageWarning {
    /// Returns a stable name for counters and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::LeadingBytes { .. } => "leading-bytes",
            Self::StandardHuffmanTables => "standard-huffman-tables",
            Self::HighDynamicRange { .. } => "high-dynamic-range",
            Self::ColourProfileIgnored { .. } => "colour-profile-ignored",
            Self::DamagedExif { .. } => "damaged-exif",
            Self::FirstOfSeveral => "first-of-several",
        }
    }
}

impl fmt::Display for ImageWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeadingBytes { count } => write!(formatter, "{count} bytes before the image were skipped"),
            Self::StandardHuffmanTables => {
                formatter.write_str("the JPEG data has no Huffman tables; the standard tables were used")
            }
            Self::HighDynamicRange { transfer } => {
                write!(formatter, "the image has high dynamic range ({transfer}), which was reduced to sRGB")
            }
            Self::ColourProfileIgnored { reason } => {
                write!(formatter, "the colour profile was ignored, and the colours may be wrong: {reason}")
            }
            Self::DamagedExif { reason } => write!(
                formatter,
                "the EXIF block is damaged, and orientation, time and place may be missing: {reason}"
            ),
            Self::FirstOfSeveral => {
                formatter.write_str("the file contains several images; only the first was read")
            }
        }
    }
}
