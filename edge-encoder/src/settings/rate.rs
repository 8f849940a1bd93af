use merge::Merge;
use serde::Deserialize;

use super::image_codec::ImageCodecArgs;
use crate::{SettingsError, agent::RateBounds};

/// The table `rate`: bounds between which quality and layers follow the link.
#[derive(Debug, Default, Deserialize, Merge)]
#[serde(deny_unknown_fields, default)]
#[merge(strategy = merge::option::overwrite_none)]
pub(crate) struct RateTable {
    min_quality: Option<u8>,
    max_quality: Option<u8>,
    min_layers: Option<u8>,
    max_layers: Option<u8>,
}

impl RateTable {
    /// Returns the upper bounds that the flags for quality and layers set, so that they take precedence over those of
    /// the file.
    pub(crate) fn from_flags(flags: ImageCodecArgs) -> Self {
        Self { max_quality: flags.quality, max_layers: flags.layers, ..Self::default() }
    }

    /// Returns the bounds; without a maximum they end at this quality and number of layers, where `None` is all layers.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] if a bound is out of range, or a minimum is above its maximum.
    pub(crate) fn bounds(
        &self,
        quality: u8,
        layers: Option<u8>,
        budget_bytes: u64,
    ) -> Result<RateBounds, SettingsError> {
        let max_quality = self.max_quality.unwrap_or(quality);
        let min_quality = self.min_quality.unwrap_or(max_quality);
        if !(1..=100).contains(&min_quality) || !(min_quality..=100).contains(&max_quality) {
            return Err(SettingsError::Invalid(format!(
                "the range of qualities from {min_quality} to {max_quality} is invalid: use 1 to 100, the lower one as min_quality"
            )));
        }
        let max_layers = self.max_layers.or(layers);
        let min_layers = self.min_layers.or(max_layers);
        if min_layers.is_some_and(|min_layers| {
            min_layers == 0 || max_layers.is_some_and(|max_layers| min_layers > max_layers)
        }) {
            return Err(SettingsError::Invalid(
                "min_layers must be at least 1 and at most max_layers".to_owned(),
            ));
        }
        Ok(RateBounds { quality: [min_quality, max_quality], layers: [min_layers, max_layers], budget_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_follows_the_link_only_where_bounds_are_given() {
        let bounds = |text: &str| {
            let table: RateTable = toml::from_str(text).unwrap();
            table.bounds(60, None, 1).map(|bounds| bounds.quality).map_err(|error| error.to_string())
        };
        assert_eq!(bounds("").unwrap(), [60, 60]);
        assert_eq!(bounds("min_quality = 20").unwrap(), [20, 60]);
        assert_eq!(bounds("min_quality = 20\nmax_quality = 90").unwrap(), [20, 90]);
        assert!(bounds("min_quality = 70").unwrap_err().contains("from 70 to 60"));
    }
}
