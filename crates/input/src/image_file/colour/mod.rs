//! The conversion of an image's colours to sRGB.

mod convert;
mod profile;

pub(super) use convert::to_srgb;
pub(super) use profile::ColourSpace;
