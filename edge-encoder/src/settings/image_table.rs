use lopside_encoder::{ImagePolicy, InputLimits};
use merge::Merge;
use serde::Deserialize;

use crate::{
    SettingsError,
    agent::{ImageSettings, OversizedImages},
};

const PIXELS_PER_MEGAPIXEL: u64 = 1_000_000;

/// The table `images`, which has no flags.
#[derive(Debug, Default, Deserialize, Merge)]
#[serde(deny_unknown_fields, default)]
#[merge(strategy = merge::option::overwrite_none)]
pub(crate) struct ImagesTable {
    location: Option<bool>,
    max_megapixels: Option<u32>,
    too_large: Option<TooLargeValue>,
}

/// A value of the key `too_large`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TooLargeValue {
    Refuse,
    Scale,
}

impl ImagesTable {
    /// Returns the settings of images that are read by this policy, whose limit on pixels the table may replace.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for a limit of 0.
    pub(crate) fn settings(&self, policy: ImagePolicy) -> Result<ImageSettings, SettingsError> {
        let max_pixels = match self.max_megapixels {
            Some(0) => {
                let reason = "max_megapixels = 0 in [images] would refuse every image: use 1 or more";
                return Err(SettingsError::Invalid(reason.to_owned()));
            }
            Some(megapixels) => u64::from(megapixels) * PIXELS_PER_MEGAPIXEL,
            None => policy.limits.max_pixels,
        };
        let oversized = match self.too_large {
            Some(TooLargeValue::Scale) => OversizedImages::Scale,
            Some(TooLargeValue::Refuse) | None => OversizedImages::Refuse,
        };
        let policy = ImagePolicy { limits: InputLimits { max_pixels, ..policy.limits }, ..policy };
        Ok(ImageSettings { policy, keep_location: self.location.unwrap_or(false), oversized })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<ImageSettings, String> {
        let table: ImagesTable = toml::from_str(text).map_err(|error| error.to_string())?;
        table.settings(ImagePolicy::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_table_decides_what_is_sent_and_what_is_too_large() {
        let default = settings("").unwrap();
        assert_eq!((default.policy, default.keep_location), (ImagePolicy::default(), false));
        assert_eq!(default.oversized, OversizedImages::Refuse);
        let other = settings("location = true\nmax_megapixels = 12\ntoo_large = 'scale'").unwrap();
        assert_eq!((other.policy.limits.max_pixels, other.keep_location), (12_000_000, true));
        assert_eq!(other.oversized, OversizedImages::Scale);
    }

    #[test]
    fn invalid_values_are_refused_with_their_key() {
        for (text, expected) in [
            ("too_large = 'crop'", "`refuse` or `scale`"),
            ("max_megapixels = 0", "max_megapixels = 0"),
            ("max_megapixel = 1", "max_megapixel"),
        ] {
            let error = settings(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
