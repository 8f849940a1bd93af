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
        let fine = self.max_quality.unwrap_or(quality);
        let coarse = self.min_quality.unwrap_or(fine);
        if !(1..=100).contains(&coarse) || !(coarse..=100).contains(&fine) {
            return Err(SettingsError::Invalid(format!(
                "the range of qualities from {coarse} to {fine} is invalid: use 1 to 100, the lower one as min_quality"
            )));
        }
        let many = self.max_layers.or(layers);
        let few = self.min_layers.or(many);
        if few.is_some_and(|few| few == 0 || many.is_some_and(|many| few > many)) {
            return Err(SettingsError::Invalid(
                "min_layers must be at least 1 and at most max_layers".to_owned(),
            ));
        }
        Ok(RateBounds { quality: [coarse, fine], layers: [few, many], budget_bytes })
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
