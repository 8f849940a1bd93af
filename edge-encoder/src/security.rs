//! How a connection to a cloud-decoder is secured: whom it trusts, and who it says it is.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, ClientTlsConfig, Identity},
};

use crate::{EdgeError, error::io};

/// What secures a connection. By default: an `https://` address has to show a certificate of an authority that
/// Mozilla trusts (the list is built in), and nobody says who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// PEM file of the authorities to trust in place of the built-in ones.
    pub ca: Option<PathBuf>,
    /// PEM files of the certificate to show to the server, and of its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The API key.
    pub api_key: Option<ApiKey>,
}

/// An API key, which no log shows.
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

impl Security {
    /// What an `https://` address needs.
    ///
    /// # Errors
    /// [`EdgeError::Io`] or [`EdgeError::File`] naming the file.
    pub(crate) fn tls(&self) -> Result<ClientTlsConfig, EdgeError> {
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca {
            None => tls.with_webpki_roots(),
            Some(path) => tls.ca_certificate(Certificate::from_pem(pem(path, "CERTIFICATE-----")?)),
        };
        if let Some((cert, key)) = &self.client {
            let cert = pem(cert, "CERTIFICATE-----")?;
            tls = tls.identity(Identity::from_pem(cert, pem(key, "PRIVATE KEY-----")?));
        }
        Ok(tls)
    }

    /// The API key as a header's value, never shown in logs.
    ///
    /// # Errors
    /// [`EdgeError::ApiKey`] when it cannot stand in a header.
    pub(crate) fn bearer(&self) -> Result<Option<MetadataValue<Ascii>>, EdgeError> {
        let Some(ApiKey(key)) = &self.api_key else { return Ok(None) };
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {}", key.trim()).parse().map_err(|_| EdgeError::ApiKey)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Whether a file was named that only TLS has a use for.
    pub(crate) fn needs_tls(&self) -> bool {
        self.ca.is_some() || self.client.is_some()
    }
}

/// A PEM file that holds what its lines should begin with; anything else would be an odd error at the first request.
fn pem(path: &Path, label: &str) -> Result<String, EdgeError> {
    let text = fs::read_to_string(path).map_err(io(path))?;
    if text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(label)) {
        return Ok(text);
    }
    let reason = format!("it is no PEM file with a line -----BEGIN {label}");
    Err(EdgeError::File { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_something_else_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        let security = Security { ca: Some(path.clone()), ..Security::default() };
        let error = security.tls().unwrap_err().to_string();
        assert!(error.contains("key.pem") && error.contains("-----BEGIN CERTIFICATE"), "{error}");
        let missing = Security { ca: Some(path.with_file_name("no.pem")), ..Security::default() };
        assert!(missing.tls().unwrap_err().to_string().contains("no.pem"));
    }

    #[test]
    fn a_key_is_not_shown() {
        let security = Security { api_key: Some("lps_secret\n".to_owned().into()), ..Security::default() };
        assert!(!format!("{security:?} {:?}", security.bearer().unwrap()).contains("secret"));
        assert_eq!(security.bearer().unwrap().unwrap().to_str().unwrap(), "Bearer lps_secret");
        let broken = Security { api_key: Some("a\nb".to_owned().into()), ..Security::default() };
        assert!(broken.bearer().unwrap_err().to_string().contains("LOPSIDE_API_KEY"));
    }
}
