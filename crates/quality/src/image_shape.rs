use std::fmt;

/// The size in pixels and the channels of an image. Printed as `28×28 grey` or `32×32 RGB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageShape {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// 1 for grey, 3 for RGB.
    pub channels: u8,
}

impl ImageShape {
    /// Returns the number of pixels.
    #[must_use]
    pub fn pixel_count(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = if self.channels == 1 { "grey" } else { "RGB" };
        write!(f, "{}×{} {colour}", self.width, self.height)
    }
}
