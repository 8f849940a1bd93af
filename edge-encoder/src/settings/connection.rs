//! The keys of a connection to a cloud-decoder: its address, certificates, API key and time limit.

// Doc comments here are the help text, where backticks would be noise.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

#[cfg(feature = "send")]
use std::time::Duration;
use std::{fmt, path::PathBuf};

use clap::Args;
use merge::Merge;
use serde::Deserialize;

use crate::{ApiKey, ProxyAddress, ProxyChoice, SecuritySettings, SettingsError};

/// The value of the key `proxy` for a direct connection.
const NO_PROXY: &str = "none";
#[cfg(feature = "send")]
const DEFAULT_TIMEOUT_SECONDS: u32 = 10;

/// The key `endpoint`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct EndpointArg {
    /// Address of the cloud-decoder, for example http://decoder.example:8080 or https://decoder.example
    #[arg(long, env = "LOPSIDE_ENDPOINT", value_name = "URL")]
    pub endpoint: Option<String>,
}

/// The key `ca`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct CaArg {
    /// Trust certificates of these authorities, as PEM [default: the authorities that Mozilla trusts, built
    /// in]
    #[arg(long, env = "LOPSIDE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// The key `client_cert`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct ClientCertArg {
    /// Client certificate to present to a server that asks for one (mTLS), as PEM
    #[arg(long, env = "LOPSIDE_CLIENT_CERT", value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
}

/// The key `client_key`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct ClientKeyArg {
    /// Private key of the client certificate, as PEM
    #[arg(long, env = "LOPSIDE_CLIENT_KEY", value_name = "FILE")]
    pub client_key: Option<PathBuf>,
}

/// The key `api_key`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct ApiKeyArg {
    /// API key; prefer the variable or the config file, because other users can see a command line. Sent
    /// unencrypted over http://
    #[arg(long, env = "LOPSIDE_API_KEY", value_name = "KEY", hide_env_values = true)]
    pub api_key: Option<ApiKey>,
}

/// The key `proxy`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct ProxyArg {
    /// HTTP proxy on the way to the cloud-decoder, which has to permit CONNECT, for example
    /// http://proxy.example:3128 or http://USER:PASSWORD@proxy.example:3128; none for a direct connection
    /// [default: the variables https_proxy, http_proxy, all_proxy and no_proxy]
    #[arg(long, env = "LOPSIDE_PROXY", value_name = "URL", hide_env_values = true)]
    pub proxy: Option<ProxyValue>,
}

/// The value of the key `proxy`, which may contain a password and is never logged.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ProxyValue(String);

impl From<String> for ProxyValue {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for ProxyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyValue(…)")
    }
}

/// The key `timeout_seconds`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct TimeoutArg {
    /// Time limit for a request, in seconds [default: 10, and for an image at least 3 per megapixel more]
    #[arg(long, env = "LOPSIDE_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub timeout_seconds: Option<u32>,
}

impl EndpointArg {
    /// Returns the address of the cloud-decoder.
    ///
    /// # Errors
    /// [`SettingsError::MissingSetting`] if it is not configured.
    pub(crate) fn into_url(self) -> Result<String, SettingsError> {
        self.endpoint.ok_or(SettingsError::MissingSetting {
            what: "the address of the cloud-decoder",
            flag: "--endpoint URL",
            env: "LOPSIDE_ENDPOINT",
            key: "endpoint",
        })
    }
}

impl ProxyArg {
    /// Returns the choice of the proxy.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] for an address that cannot be used.
    pub(crate) fn into_choice(self) -> Result<ProxyChoice, SettingsError> {
        let Some(ProxyValue(value)) = self.proxy else { return Ok(ProxyChoice::Environment) };
        if value.trim() == NO_PROXY {
            return Ok(ProxyChoice::Direct);
        }
        ProxyAddress::parse(&value).map(ProxyChoice::Address).map_err(|reason| {
            SettingsError::Invalid(format!(
                "the proxy (proxy, LOPSIDE_PROXY, --proxy) cannot be used: {reason}; use an address such as \
                 http://proxy.example:3128, or {NO_PROXY:?} for a direct connection"
            ))
        })
    }
}

#[cfg(feature = "send")]
impl TimeoutArg {
    /// Returns the time limit for a request, 10 s by default and at least 1 s.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS).max(1).into())
    }
}

/// Returns the TLS and authentication settings; the environment names the proxy.
///
/// # Errors
/// [`SettingsError::MissingSetting`] if a client certificate is configured without its key, or a key without its
/// certificate.
pub(crate) fn check_security(
    CaArg { ca }: CaArg,
    ClientCertArg { client_cert }: ClientCertArg,
    ClientKeyArg { client_key }: ClientKeyArg,
    ApiKeyArg { api_key }: ApiKeyArg,
) -> Result<SecuritySettings, SettingsError> {
    let client = match (client_cert, client_key) {
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
    Ok(SecuritySettings { ca, client, api_key, ..SecuritySettings::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_needs_its_key() {
        let cert = ClientCertArg { client_cert: Some("c".into()) };
        let api_key = ApiKeyArg { api_key: Some("k".to_owned().into()) };
        let check = |key| check_security(CaArg::default(), cert.clone(), key, api_key.clone());
        let error = check(ClientKeyArg::default()).unwrap_err().to_string();
        assert!(error.contains("--client-key"), "{error}");
        let security = check(ClientKeyArg { client_key: Some("flag".into()) }).unwrap();
        assert_eq!(
            (security.client, security.api_key),
            (Some(("c".into(), "flag".into())), Some("k".to_owned().into()))
        );
    }

    #[test]
    fn a_proxy_is_an_address_or_none() {
        let choice = |value: &str| ProxyArg { proxy: Some(value.to_owned().into()) }.into_choice();
        assert_eq!(ProxyArg::default().into_choice().unwrap(), ProxyChoice::Environment);
        assert_eq!(choice("none").unwrap(), ProxyChoice::Direct);
        assert!(matches!(choice("proxy:3128").unwrap(), ProxyChoice::Address(_)));
        let error = choice("socks5://user:secret@proxy").unwrap_err().to_string();
        assert!(error.contains("--proxy") && error.contains("socks5://"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(
            !format!("{:?}", ProxyArg { proxy: Some("u:secret@x".to_owned().into()) }).contains("secret")
        );
    }

    #[cfg(feature = "send")]
    #[test]
    fn the_time_limit_is_at_least_a_second() {
        for (timeout_seconds, expected) in [(None, 10), (Some(0), 1), (Some(4), 4)] {
            assert_eq!(TimeoutArg { timeout_seconds }.duration(), Duration::from_secs(expected));
        }
    }
}
