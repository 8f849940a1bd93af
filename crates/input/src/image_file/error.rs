use std::io;

use image::ImageError;

/// Advice for an image of which nothing can be shown.
pub(super) const TRANSFER_AGAIN: &str = "Transfer the file again";
/// Advice for an image whose pixels before the damage can be shown.
pub(super) const TRANSFER_AGAIN_OR_MARK: &str = "Transfer the file again, or let damaged images be read and marked with \
                                                 `damaged_images = \"mark\"`";

/// Reason why an image is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The format is known, but the header or the structure of the file is invalid, or of a variant that is not read.
    #[error(
        "{0}: the file is damaged, or of a variant that is not read. Transfer it again, or convert it to JPEG or PNG"
    )]
    Decode(#[from] ImageError),
    /// The content is not an image of a known format.
    #[error(
        "the content is not an image of a known format (it begins with {first:02x?}): supply JPEG, PNG, WebP, BMP, TIFF, \
         GIF, QOI or PNM"
    )]
    UnknownFormat {
        /// The first bytes, at most eight.
        first: Vec<u8>,
    },
    /// The format is known, but images of its kind are not read.
    #[error("{kind} is not supported: {fix}")]
    Unsupported {
        /// The format or the kind of the image, such as `HEIC`.
        kind: &'static str,
        /// Advice how to convert the image.
        fix: &'static str,
    },
    /// The header is valid, but the data of the pixels is cut off or damaged.
    #[error("the image is damaged or cut off: {reason}. {fix}")]
    Damaged {
        /// The damage.
        reason: String,
        /// Advice for the operator.
        fix: &'static str,
    },
    /// The header is valid, but declares an image without pixels.
    #[error(
        "an image of {width}×{height} pixels has nothing to show: the file was not written completely. Write it again"
    )]
    NoPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The image has more pixels than allowed.
    #[error(
        "an image of {width}×{height} pixels is over the limit of {limit} pixels per image: scale it down, or cut it \
         into parts"
    )]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Maximum number of pixels.
        limit: u64,
    },
    /// A side of the image is longer than allowed.
    #[error(
        "an image of {width}×{height} pixels is over the limit of {limit} pixels per side: scale it down, or cut it into \
         parts"
    )]
    SideTooLong {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The longest side that is allowed, in pixels.
        limit: u32,
    },
    /// The file is longer than an image of the allowed size can be.
    #[error("an image file of {bytes} bytes is over the limit of {limit} bytes: scale the image down")]
    FileTooLong {
        /// Length of the file in bytes.
        bytes: u64,
        /// Maximum length in bytes.
        limit: u64,
    },
}

impl ImageFileError {
    /// Returns the error of an image of which nothing can be shown.
    pub(super) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged { reason: reason.into(), fix: TRANSFER_AGAIN }
    }

    /// Returns a stable name of the reason for counters and reports: `unreadable`, `invalid`, `unknown-format`,
    /// `unsupported`, `damaged` or `too-large`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Io(_) => "unreadable",
            Self::Decode(_) | Self::NoPixels { .. } => "invalid",
            Self::UnknownFormat { .. } => "unknown-format",
            Self::Unsupported { .. } => "unsupported",
            Self::Damaged { .. } => "damaged",
            Self::TooManyPixels { .. } | Self::SideTooLong { .. } | Self::FileTooLong { .. } => "too-large",
        }
    }
}
