use std::{path::PathBuf, time::Duration};

use lopside_encoder::EncodeOptions;
use serde::Deserialize;

use crate::{EdgeError, agent::settings::invalid_setting};

const DEFAULT_FOLDER: &str = "bundles";
const DEFAULT_EVERY_MINUTES: f64 = 60.0;
const SECONDS_PER_MINUTE: f64 = 60.0;
const MAX_CHANNEL_BYTES: usize = 64;

/// Settings of updates over the air.
#[derive(Debug, Clone)]
pub struct UpdateSettings {
    /// The channel's name: 1 to 64 visible ASCII characters.
    pub channel: String,
    /// The folder for installed bundles.
    pub folder: PathBuf,
    /// Approximate interval between polls of the channel.
    pub poll_interval: Duration,
    /// Encode options of the installed bundles.
    pub encode: EncodeOptions,
}

/// The table `update` of the config file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpdateTable {
    channel: Option<String>,
    folder: Option<PathBuf>,
    every_minutes: Option<f64>,
}

impl UpdateTable {
    /// Checks the table; the channel of the flag takes precedence over the table's. Returns `None` without a
    /// channel.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`](crate::SettingsError::Invalid), which names the invalid setting.
    pub(crate) fn settings(
        &self,
        channel: Option<String>,
        encode: EncodeOptions,
    ) -> Result<Option<UpdateSettings>, EdgeError> {
        let Some(channel) = channel.or_else(|| self.channel.clone()) else { return Ok(None) };
        if !(1..=MAX_CHANNEL_BYTES).contains(&channel.len())
            || !channel.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(invalid_setting(format!(
                "{channel:?} is not a valid channel name: use 1 to {MAX_CHANNEL_BYTES} visible ASCII characters"
            )));
        }
        let minutes = self.every_minutes.unwrap_or(DEFAULT_EVERY_MINUTES);
        let every =
            Duration::try_from_secs_f64(minutes * SECONDS_PER_MINUTE).ok().filter(|every| !every.is_zero());
        Ok(Some(UpdateSettings {
            channel,
            folder: self.folder.clone().unwrap_or_else(|| DEFAULT_FOLDER.into()),
            poll_interval: every.ok_or_else(|| {
                invalid_setting(format!(
                    "every_minutes = {minutes} is invalid: use a number of minutes over 0"
                ))
            })?,
            encode,
        }))
    }
}

#[cfg(test)]
mod tests {
    use lopside_latent::image_codec::Quality;

    use super::*;
    use lopside_encoder::ImageCodecOptions;

    fn settings(text: &str, flag: Option<&str>) -> Result<Option<UpdateSettings>, String> {
        let table: UpdateTable = toml::from_str(text).map_err(|error| error.to_string())?;
        let picture = ImageCodecOptions::new(Quality::new(50).unwrap());
        let encode = EncodeOptions { image_codec: picture, use_fast: false };
        table.settings(flag.map(str::to_owned), encode).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_channel_nothing_is_asked_for() {
        assert!(settings("every_minutes = 5", None).unwrap().is_none());
        let found = settings("channel = 'stable'\nevery_minutes = 0.5", None).unwrap().unwrap();
        assert_eq!((&found.channel[..], found.poll_interval), ("stable", Duration::from_secs(30)));
        assert_eq!(settings("channel = 'stable'", Some("beta")).unwrap().unwrap().channel, "beta");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        for (text, expected) in [
            ("channel = ''", "visible ASCII"),
            ("channel = 'two words'", "visible ASCII"),
            ("channel = 'a'\nevery_minutes = 0.0", "every_minutes"),
            ("channel = 'a'\nevery_minutes = -1.0", "every_minutes"),
            ("chanel = 'a'", "chanel"),
        ] {
            let error = settings(text, None).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
