//! The config file, and the precedence flags > environment > file > default.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use lopside_encoder::{EncodeOptions, ImageCodecOptions};
use lopside_latent::image_codec::Quality;
use serde::Deserialize;

use crate::{
    ApiKey, EdgeError, SecuritySettings,
    agent::{AgentSettings, RateTable, SourceTable, SpoolTable, UncheckedSettings, UpdateTable, UplinkTable},
    cli::{ImageCodecArgs, RunArgs, SecurityArgs},
    error::{SettingsError, io_error},
};

const DEFAULT_TIMEOUT_SECONDS: u32 = 10;
const DEFAULT_QUALITY: u8 = 50;

/// The config file. Unknown keys are refused.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    bundle: Option<PathBuf>,
    endpoint: Option<String>,
    out: Option<PathBuf>,
    quality: Option<u8>,
    timeout_seconds: Option<u32>,
    ca: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    api_key: Option<ApiKey>,
    device: Option<String>,
    socket: Option<PathBuf>,
    #[serde(default)]
    spool: SpoolTable,
    #[serde(default)]
    uplink: UplinkTable,
    #[serde(default)]
    rate: RateTable,
    #[serde(default)]
    update: UpdateTable,
    #[serde(default, rename = "source")]
    sources: Vec<SourceTable>,
}

impl ConfigFile {
    /// Reads the file; returns an empty configuration without a path.
    ///
    /// # Errors
    /// [`EdgeError::Io`] or [`SettingsError::InvalidConfig`].
    pub fn read(path: Option<&Path>) -> Result<Self, EdgeError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = fs::read_to_string(path).map_err(io_error(path))?;
        toml::from_str(&text).map_err(|source| {
            SettingsError::InvalidConfig { path: path.to_owned(), reason: source.to_string() }.into()
        })
    }

    /// Returns the folder of the bundle.
    ///
    /// # Errors
    /// [`SettingsError::MissingSetting`] if it is not configured.
    pub fn bundle(&self, flag: Option<PathBuf>) -> Result<PathBuf, SettingsError> {
        flag.or_else(|| self.bundle.clone()).ok_or(SettingsError::MissingSetting {
            what: "the bundle",
            flag: "--bundle DIR",
            env: "LOPSIDE_BUNDLE",
            key: "bundle",
        })
    }

    /// Returns the address of the cloud-decoder.
    ///
    /// # Errors
    /// [`SettingsError::MissingSetting`] if it is not configured.
    pub fn endpoint(&self, flag: Option<String>) -> Result<String, SettingsError> {
        flag.or_else(|| self.endpoint.clone()).ok_or(SettingsError::MissingSetting {
            what: "the address of the cloud-decoder",
            flag: "--endpoint URL",
            env: "LOPSIDE_ENDPOINT",
            key: "endpoint",
        })
    }

    /// Returns the path of the agent's status socket.
    #[must_use]
    pub fn socket(&self, flag: Option<PathBuf>) -> Option<PathBuf> {
        flag.or_else(|| self.socket.clone())
    }

    /// Returns the settings of the agent.
    ///
    /// # Errors
    /// [`SettingsError::MissingSetting`] and [`SettingsError::Invalid`], which name the setting.
    pub fn agent_settings(&self, flags: RunArgs) -> Result<AgentSettings, EdgeError> {
        AgentSettings::new(UncheckedSettings {
            device: flags.device.or_else(|| self.device.clone()),
            endpoint: self.endpoint(flags.endpoint)?,
            security: self.security(flags.security)?,
            spool_folder: flags.spool,
            socket: self.socket(flags.socket),
            channel: flags.channel,
            quality: self.quality(flags.picture.quality)?.get(),
            layers: flags.picture.layers,
            encode: self.encode_options(flags.picture)?,
            spool: &self.spool,
            uplink: &self.uplink,
            rate: &self.rate,
            update: &self.update,
            sources: &self.sources,
        })
    }

    /// Returns the folder for results, `out` by default.
    #[must_use]
    pub fn out(&self, flag: Option<PathBuf>) -> PathBuf {
        flag.or_else(|| self.out.clone()).unwrap_or_else(|| "out".into())
    }

    /// Returns the quality of image codecs, 50 by default.
    ///
    /// # Errors
    /// [`SettingsError::OutOfRange`] if it is not 1 to 100.
    pub fn quality(&self, flag: Option<u8>) -> Result<Quality, SettingsError> {
        let found = flag.or(self.quality).unwrap_or(DEFAULT_QUALITY);
        Quality::new(found).ok_or(SettingsError::OutOfRange { key: "quality", found, allowed: "1 to 100" })
    }

    /// Returns the encode options for bundles of either model kind.
    ///
    /// # Errors
    /// As [`ConfigFile::quality`].
    pub fn encode_options(&self, flags: ImageCodecArgs) -> Result<EncodeOptions, SettingsError> {
        let picture = ImageCodecOptions {
            layers: flags.layers.map(usize::from),
            threads: flags.threads.map_or(1, usize::from),
            ..ImageCodecOptions::new(self.quality(flags.quality)?)
        };
        Ok(EncodeOptions { image_codec: picture, use_fast: flags.fast })
    }

    /// Returns the TLS and authentication settings.
    ///
    /// # Errors
    /// [`SettingsError::MissingSetting`] if a client certificate is configured without its key, or a key without its
    /// certificate.
    pub fn security(&self, flags: SecurityArgs) -> Result<SecuritySettings, SettingsError> {
        let cert = flags.client_cert.or_else(|| self.client_cert.clone());
        let key = flags.client_key.or_else(|| self.client_key.clone());
        let client = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(SettingsError::MissingSetting {
                    what: "the private key of the client certificate",
                    flag: "--client-key FILE",
                    env: "LOPSIDE_CLIENT_KEY",
                    key: "client_key",
                });
            }
            (None, Some(_)) => {
                return Err(SettingsError::MissingSetting {
                    what: "the client certificate of the private key",
                    flag: "--client-cert FILE",
                    env: "LOPSIDE_CLIENT_CERT",
                    key: "client_cert",
                });
            }
        };
        let ca = flags.ca.or_else(|| self.ca.clone());
        Ok(SecuritySettings { ca, client, api_key: flags.api_key.or_else(|| self.api_key.clone()) })
    }

    /// Returns the time limit for a request, 10 s by default and at least 1 s.
    #[must_use]
    pub fn timeout(&self, flag: Option<u32>) -> Duration {
        let seconds = flag.or(self.timeout_seconds).unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        Duration::from_secs(seconds.max(1).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file: ConfigFile =
            toml::from_str("bundle = 'b'\ntimeout_seconds = 3\nendpoint = 'http://a'").unwrap();
        assert_eq!(file.bundle(Some("flag".into())).unwrap(), Path::new("flag"));
        assert_eq!(file.bundle(None).unwrap(), Path::new("b"));
        assert_eq!(file.endpoint(None).unwrap(), "http://a");
        assert_eq!(file.out(None), Path::new("out"));
        assert_eq!(file.timeout(None), Duration::from_secs(3));
        assert_eq!(file.timeout(Some(4)), Duration::from_secs(4));
    }

    #[test]
    fn a_certificate_needs_its_key() {
        let file: ConfigFile = toml::from_str("client_cert = 'c'\napi_key = 'k'").unwrap();
        let error = file.security(SecurityArgs::default()).unwrap_err().to_string();
        assert!(error.contains("--client-key"), "{error}");
        let flags = SecurityArgs { client_key: Some("flag".into()), ..SecurityArgs::default() };
        let security = file.security(flags).unwrap();
        assert_eq!(
            (security.client, security.api_key),
            (Some(("c".into(), "flag".into())), Some("k".to_owned().into()))
        );
    }

    #[test]
    fn a_quality_out_of_range_is_refused() {
        let file: ConfigFile = toml::from_str("quality = 101").unwrap();
        assert!(file.quality(None).unwrap_err().to_string().contains("quality = 101"));
        assert_eq!(file.quality(Some(7)).unwrap().get(), 7);
        assert_eq!(ConfigFile::default().quality(None).unwrap().get(), 50);
    }

    #[test]
    fn what_nobody_named_is_asked_for_with_all_its_names() {
        let error = ConfigFile::default().bundle(None).unwrap_err().to_string();
        for name in ["--bundle", "LOPSIDE_BUNDLE", "bundle ="] {
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.toml");
        fs::write(&path, "bundel = 'x'").unwrap();
        let error = ConfigFile::read(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("edge.toml") && error.contains("bundel"), "{error}");
    }
}
