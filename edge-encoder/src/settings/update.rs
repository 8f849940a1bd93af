use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::Args;
use lopside_encoder::EncodeOptions;
use merge::Merge;
use serde::Deserialize;

use crate::{SettingsError, TrialLimits, agent::UpdateSettings};

const DEFAULT_FOLDER: &str = "bundles";
const DEFAULT_EVERY_MINUTES: f64 = 60.0;
const SECONDS_PER_MINUTE: f64 = 60.0;
const MAX_CHANNEL_BYTES: usize = 64;
/// Half of what the systemd unit allows, because the agent continues to encode during a trial.
const DEFAULT_TRIAL_MEMORY_MB: u64 = 512;
const DEFAULT_TRIAL_SECONDS: u64 = 120;
const TRIAL_MEMORY_MB: RangeInclusive<u64> = 32..=1_000_000;
const TRIAL_SECONDS: RangeInclusive<u64> = 1..=86_400;
const BYTES_PER_MB: u64 = 1_000_000;

/// The table `update`.
#[derive(Debug, Default, Args, Deserialize, Merge)]
#[serde(deny_unknown_fields, default)]
#[merge(strategy = merge::option::overwrite_none)]
pub(crate) struct UpdateTable {
    /// Channel whose bundles the cloud-decoder delivers to this device over the air [default: none, the
    /// bundle stays]
    #[arg(long, env = "LOPSIDE_CHANNEL", value_name = "NAME")]
    channel: Option<String>,
    #[arg(skip)]
    folder: Option<PathBuf>,
    #[arg(skip)]
    every_minutes: Option<f64>,
    #[arg(skip)]
    trial_memory_mb: Option<u64>,
    #[arg(skip)]
    trial_seconds: Option<u64>,
}

impl UpdateTable {
    /// Returns the settings of updates, whose bundles encode with these options; `None` without a channel.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`], which names the invalid setting.
    pub(crate) fn into_settings(
        self,
        encode: EncodeOptions,
    ) -> Result<Option<UpdateSettings>, SettingsError> {
        let Some(channel) = self.channel else { return Ok(None) };
        if !(1..=MAX_CHANNEL_BYTES).contains(&channel.len())
            || !channel.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(SettingsError::Invalid(format!(
                "{channel:?} is not a valid channel name: use 1 to {MAX_CHANNEL_BYTES} visible ASCII characters"
            )));
        }
        let trial = trial_limits(self.trial_memory_mb, self.trial_seconds)?;
        let minutes = self.every_minutes.unwrap_or(DEFAULT_EVERY_MINUTES);
        let interval = Duration::try_from_secs_f64(minutes * SECONDS_PER_MINUTE)
            .ok()
            .filter(|interval| !interval.is_zero());
        Ok(Some(UpdateSettings {
            channel,
            folder: self.folder.unwrap_or_else(|| DEFAULT_FOLDER.into()),
            poll_interval: interval.ok_or_else(|| {
                SettingsError::Invalid(format!(
                    "every_minutes = {minutes} is invalid: use a number of minutes over 0"
                ))
            })?,
            encode,
            trial,
        }))
    }
}

fn trial_limits(memory_mb: Option<u64>, seconds: Option<u64>) -> Result<TrialLimits, SettingsError> {
    let memory_mb = memory_mb.unwrap_or(DEFAULT_TRIAL_MEMORY_MB);
    let seconds = seconds.unwrap_or(DEFAULT_TRIAL_SECONDS);
    check_range("trial_memory_mb", memory_mb, &TRIAL_MEMORY_MB)?;
    check_range("trial_seconds", seconds, &TRIAL_SECONDS)?;
    Ok(TrialLimits { memory_bytes: memory_mb * BYTES_PER_MB, time: Duration::from_secs(seconds) })
}

fn check_range(key: &str, found: u64, allowed: &RangeInclusive<u64>) -> Result<(), SettingsError> {
    if allowed.contains(&found) {
        return Ok(());
    }
    let (first, last) = (allowed.start(), allowed.end());
    Err(SettingsError::Invalid(format!("{key} = {found} is out of range: use {first} to {last}")))
}

#[cfg(test)]
mod tests {
    use lopside_encoder::ImageCodecOptions;
    use lopside_latent::image_codec::Quality;

    use super::*;

    fn settings(text: &str, flag: Option<&str>) -> Result<Option<UpdateSettings>, String> {
        let mut table = UpdateTable { channel: flag.map(str::to_owned), ..UpdateTable::default() };
        table.merge(toml::from_str(text).map_err(|error| error.to_string())?);
        let image_codec = ImageCodecOptions::new(Quality::new(50).unwrap());
        let encode = EncodeOptions { image_codec, use_fast: false };
        table.into_settings(encode).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_channel_updates_are_disabled() {
        assert!(settings("every_minutes = 5", None).unwrap().is_none());
        let found = settings("channel = 'stable'\nevery_minutes = 0.5", None).unwrap().unwrap();
        assert_eq!((&found.channel[..], found.poll_interval), ("stable", Duration::from_secs(30)));
        assert_eq!(settings("channel = 'stable'", Some("beta")).unwrap().unwrap().channel, "beta");
    }

    #[test]
    fn the_limits_of_a_trial_have_defaults() {
        let trial = |text: &str| settings(&format!("channel = 'a'\n{text}"), None).unwrap().unwrap().trial;
        let default = TrialLimits { memory_bytes: 512_000_000, time: Duration::from_mins(2) };
        assert_eq!(trial(""), default);
        let expected = TrialLimits { memory_bytes: 64_000_000, time: Duration::from_secs(5) };
        assert_eq!(trial("trial_memory_mb = 64\ntrial_seconds = 5"), expected);
    }

    #[test]
    fn invalid_settings_are_refused_with_the_reason() {
        for (text, expected) in [
            ("channel = ''", "visible ASCII"),
            ("channel = 'two words'", "visible ASCII"),
            ("channel = 'a'\nevery_minutes = 0.0", "every_minutes"),
            ("channel = 'a'\nevery_minutes = -1.0", "every_minutes"),
            ("channel = 'a'\ntrial_memory_mb = 31", "32 to 1000000"),
            ("channel = 'a'\ntrial_seconds = 0", "1 to 86400"),
            ("chanel = 'a'", "chanel"),
        ] {
            let error = settings(text, None).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
