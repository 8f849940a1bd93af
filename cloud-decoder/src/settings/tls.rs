use std::path::PathBuf;

use clap::Args;
use merge::Merge;
use serde::Deserialize;

use crate::{StartError, transport::TlsFiles};

/// Options of TLS, as flags, environment variables and the config file's table `tls`.
#[derive(Debug, Default, Args, Deserialize, Merge)]
#[command(next_help_heading = "Access")]
#[serde(default, deny_unknown_fields)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct TlsArgs {
    /// Certificate chain of the server as PEM; enables TLS for gRPC and REST. Reloaded after changes
    #[arg(long = "tls-cert", env = "LOPSIDE_TLS_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Private key of the certificate as PEM
    #[arg(long = "tls-key", env = "LOPSIDE_TLS_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Certificate authorities as PEM; only clients with a certificate of one of them are accepted (mTLS)
    #[arg(long = "tls-client-ca", env = "LOPSIDE_TLS_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// Returns the files; `None` without TLS.
    ///
    /// # Errors
    /// [`StartError::IncompleteTls`] without a certificate or without its key.
    pub(super) fn resolve(&self) -> Result<Option<TlsFiles>, StartError> {
        match (&self.cert, &self.key, &self.client_ca) {
            (Some(cert), Some(key), client_ca) => {
                Ok(Some(TlsFiles { cert: cert.clone(), key: key.clone(), client_ca: client_ca.clone() }))
            }
            (None, None, None) => Ok(None),
            (None, _, _) => {
                Err(StartError::IncompleteTls { flag: "--tls-cert", env: "LOPSIDE_TLS_CERT", key: "cert" })
            }
            (_, None, _) => {
                Err(StartError::IncompleteTls { flag: "--tls-key", env: "LOPSIDE_TLS_KEY", key: "key" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_needs_its_key_and_client_certificates_need_both() {
        let resolve = |text: &str| toml::from_str::<TlsArgs>(text).unwrap().resolve();
        assert!(resolve("").unwrap().is_none());
        assert!(resolve("cert = 'c'\nkey = 'k'").unwrap().is_some());
        for (text, flag, env) in [
            ("cert = 'c'", "--tls-key", "LOPSIDE_TLS_KEY"),
            ("key = 'k'", "--tls-cert", "LOPSIDE_TLS_CERT"),
            ("client_ca = 'a'", "--tls-cert", "LOPSIDE_TLS_CERT"),
        ] {
            let error = resolve(text).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains(env), "{error}");
        }
    }
}
