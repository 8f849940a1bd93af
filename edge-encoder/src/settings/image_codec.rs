use clap::Args;
use lopside_encoder::{EncodeOptions, ImageCodecOptions};
use lopside_latent::image_codec::Quality;
use merge::Merge;
use serde::Deserialize;

use crate::SettingsError;

const DEFAULT_QUALITY: u8 = 50;

/// The key `quality`, and further options of image codecs. Other bundles support only the layers. Flattened last,
/// because its heading stays in effect.
#[derive(Debug, Clone, Copy, Default, Args, Deserialize, Merge)]
#[command(next_help_heading = "Image codecs")]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct ImageCodecArgs {
    /// Quality of the quantisation, 1 to 100 [default: 50]
    #[arg(long, env = "LOPSIDE_QUALITY", value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,
    /// Number of layers per frame, the base or coarsest layer first; also for other bundles with several
    /// layers [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    #[serde(skip)]
    pub layers: Option<u8>,
    /// Use the fast encoder, which halves the image first and computes only its lowest bands: a fraction of
    /// the work, for low qualities. Above 50, the frame of an image with fine detail has a lower quality than
    /// requested, because more bytes would not show more of it
    #[arg(long)]
    #[serde(skip)]
    #[merge(strategy = merge::bool::overwrite_false)]
    pub fast: bool,
    /// Number of threads that run the encoder [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    #[serde(skip)]
    pub threads: Option<u8>,
}

impl ImageCodecArgs {
    /// Returns the quality of image codecs, 50 by default.
    ///
    /// # Errors
    /// [`SettingsError::OutOfRange`] if it is not 1 to 100.
    pub(crate) fn quality(self) -> Result<Quality, SettingsError> {
        let found = self.quality.unwrap_or(DEFAULT_QUALITY);
        Quality::new(found).ok_or(SettingsError::OutOfRange { key: "quality", found, allowed: "1 to 100" })
    }

    /// Returns the encode options for bundles of either model kind.
    ///
    /// # Errors
    /// As [`Self::quality()`].
    pub(crate) fn encode_options(self) -> Result<EncodeOptions, SettingsError> {
        let image_codec = ImageCodecOptions {
            layers: self.layers.map(usize::from),
            threads: self.threads.map_or(1, usize::from),
            ..ImageCodecOptions::new(self.quality()?)
        };
        Ok(EncodeOptions { image_codec, use_fast: self.fast })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quality_out_of_range_is_refused() {
        let quality = |quality| ImageCodecArgs { quality, ..ImageCodecArgs::default() }.quality();
        assert!(quality(Some(101)).unwrap_err().to_string().contains("quality = 101"));
        assert_eq!(quality(Some(7)).unwrap().get(), 7);
        assert_eq!(quality(None).unwrap().get(), 50);
    }

    #[test]
    fn flags_stay_when_the_file_is_merged() {
        let mut flags = ImageCodecArgs { layers: Some(2), fast: true, ..ImageCodecArgs::default() };
        flags.merge(ImageCodecArgs { quality: Some(20), ..ImageCodecArgs::default() });
        let options = flags.encode_options().unwrap();
        assert_eq!((options.image_codec.quality.get(), options.image_codec.layers), (20, Some(2)));
        assert!(options.use_fast);
    }
}
