//! Settings of a connection to a cloud-decoder: trusted authorities, client certificate, API key, and the proxy on the way.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, ClientTlsConfig, Identity},
};

use super::ProxyChoice;
use crate::{
    EdgeError,
    error::{ConnectionError, io_error},
};

/// Settings of a connection. By default, the server of an `https://` address must present a certificate of an
/// authority that Mozilla trusts (the list is built in), the client does not authenticate, and the environment may name
/// a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecuritySettings {
    /// PEM file of the authorities to trust instead of the built-in ones.
    pub ca: Option<PathBuf>,
    /// PEM files of the client certificate and of its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The API key.
    pub api_key: Option<ApiKey>,
    /// The proxy on the way.
    pub proxy: ProxyChoice,
}

/// An API key, which is never logged.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ApiKey(String);

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl SecuritySettings {
    /// Returns the TLS configuration for an `https://` address. The files are read again each time, because certificates
    /// are renewed. A new configuration does not resume the sessions of another one, so each handshake checks that the
    /// certificates of both ends are still valid.
    ///
    /// # Errors
    /// [`EdgeError::Io`] or [`EdgeError::InvalidFile`], which name the file.
    pub(crate) fn tls_config(&self) -> Result<ClientTlsConfig, EdgeError> {
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca {
            None => tls.with_webpki_roots(),
            Some(path) => tls.ca_certificate(Certificate::from_pem(read_pem(path, "CERTIFICATE-----")?)),
        };
        if let Some((cert, key)) = &self.client {
            let cert = read_pem(cert, "CERTIFICATE-----")?;
            tls = tls.identity(Identity::from_pem(cert, read_pem(key, "PRIVATE KEY-----")?));
        }
        Ok(tls)
    }

    /// Returns the API key as the value of an `authorization` header, marked as sensitive.
    ///
    /// # Errors
    /// [`ConnectionError::InvalidApiKey`] if it contains characters that a header cannot carry.
    pub(crate) fn bearer(&self) -> Result<Option<MetadataValue<Ascii>>, EdgeError> {
        let Some(ApiKey(key)) = &self.api_key else { return Ok(None) };
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {}", key.trim()).parse().map_err(|_| ConnectionError::InvalidApiKey)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Returns whether a configured file requires TLS.
    pub(crate) fn needs_tls(&self) -> bool {
        self.ca.is_some() || self.client.is_some()
    }
}

/// Reads a PEM file and checks its label; otherwise a wrong file would cause an obscure error at the first
/// request.
fn read_pem(path: &Path, label: &str) -> Result<String, EdgeError> {
    let text = fs::read_to_string(path).map_err(io_error(path))?;
    if text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(label)) {
        return Ok(text);
    }
    let reason = format!("it is not a PEM file with a line -----BEGIN {label}");
    Err(EdgeError::InvalidFile { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_pem_file_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        let security = SecuritySettings { ca: Some(path.clone()), ..SecuritySettings::default() };
        let error = security.tls_config().unwrap_err().to_string();
        assert!(error.contains("key.pem") && error.contains("-----BEGIN CERTIFICATE"), "{error}");
        let missing =
            SecuritySettings { ca: Some(path.with_file_name("no.pem")), ..SecuritySettings::default() };
        assert!(missing.tls_config().unwrap_err().to_string().contains("no.pem"));
    }

    #[test]
    fn a_key_is_not_shown() {
        let security = SecuritySettings {
            api_key: Some("lps_secret\n".to_owned().into()),
            ..SecuritySettings::default()
        };
        assert!(!format!("{security:?} {:?}", security.bearer().unwrap()).contains("secret"));
        assert_eq!(security.bearer().unwrap().unwrap().to_str().unwrap(), "Bearer lps_secret");
        let broken =
            SecuritySettings { api_key: Some("a\nb".to_owned().into()), ..SecuritySettings::default() };
        assert!(broken.bearer().unwrap_err().to_string().contains("LOPSIDE_API_KEY"));
    }
}
