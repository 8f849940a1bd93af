use crate::limits::InputLimits;

/// The rules that decide how the file of an image becomes pixels. All programs read images by the same rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImagePolicy {
    /// Limits on the size of an image and of its file.
    pub limits: InputLimits,
    /// The colour behind transparent pixels: red, green and blue, in sRGB; white by default.
    pub background: [u8; 3],
    /// The treatment of images whose data is cut off or damaged.
    pub damaged: DamagedImages,
}

impl Default for ImagePolicy {
    fn default() -> Self {
        Self { limits: InputLimits::default(), background: [255; 3], damaged: DamagedImages::default() }
    }
}

impl ImagePolicy {
    /// Returns the default policy with other limits.
    #[must_use]
    pub fn with_limits(limits: InputLimits) -> Self {
        Self { limits, ..Self::default() }
    }
}

/// The treatment of images whose data is cut off or damaged, although the pixels before the damage can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DamagedImages {
    /// They are refused.
    #[default]
    Refuse,
    /// They are read as far as possible, and marked in [`ImageNotes::damaged`](super::ImageNotes::damaged). The
    /// missing part is grey in a JPEG file. Formats without a decoder that goes on after damage are refused.
    Mark,
}
