use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;
use tokio_rustls::rustls::{
    self, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::parse_x509_certificate;

use super::{
    FrontStats,
    reload::{WatchedFiles, watch_files},
};
use crate::StartError;

/// Files of the server's certificate and of the accepted client certificates. All are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by the intermediate certificates.
    pub cert: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// Certificate authorities of clients. If set, clients without a certificate of one of them are refused.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// [`StartError::Tls`] naming the file and the problem.
    pub fn load_config(&self) -> Result<ServerConfig, StartError> {
        self.load().map(|(config, _)| config)
    }

    /// Reads and checks the files. Returns the end of the validity of the certificate as well, in Unix seconds.
    fn load(&self) -> Result<(ServerConfig, Option<i64>), StartError> {
        let provider = Arc::new(ring::default_provider());
        let (chain, key) = (read_certificates(&self.cert)?, read_private_key(&self.key)?);
        let end = validity_end(&chain);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| tls_error(&self.cert, &error))?
            .with_client_cert_verifier(self.client_verifier(provider)?)
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => tls_error(
                    &self.key,
                    &format!("this key does not belong to the certificate in {}", self.cert.display()),
                ),
                error => tls_error(&self.cert, &error),
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.client_ca.is_some() {
            // A resumed session would carry on a client certificate that has expired since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok((config, end))
    }

    /// Loads the files, and reloads them after changes. A certificate that has expired does not replace one that is still
    /// valid.
    pub(crate) fn watch_config(
        self,
        interval: Duration,
        stats: Arc<FrontStats>,
    ) -> Result<watch::Receiver<Arc<ServerConfig>>, StartError> {
        let files = [&self.cert, &self.key].into_iter().chain(&self.client_ca).cloned().collect();
        let watched = WatchedFiles { description: "certificates", files, interval };
        let certificate = Arc::clone(&stats);
        watch_files(watched, stats, move |previous| self.load_valid(previous.is_some(), &certificate))
    }

    /// Loads the files, and stores the end of the certificate's validity.
    fn load_valid(&self, is_reload: bool, stats: &FrontStats) -> Result<ServerConfig, StartError> {
        let (config, end) = self.load()?;
        let now = unix_seconds();
        let has_expired = |end: Option<i64>| end.is_some_and(|end| end <= now);
        if has_expired(end) {
            if is_reload && !has_expired(*stats.subscribe_certificate_end().borrow()) {
                let reason = "the certificate has expired, and the previous one is still valid: renew it";
                return Err(tls_error(&self.cert, reason));
            }
            tracing::error!(file = %self.cert.display(), "the certificate has expired, and clients refuse it: renew it");
        }
        stats.set_certificate_end(end);
        Ok(config)
    }

    fn client_verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, StartError> {
        let Some(path) = &self.client_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(path)? {
            roots.add(certificate).map_err(|error| tls_error(path, &error))?;
        }
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .map_err(|error| tls_error(path, &error))
    }
}

/// Returns the time at which the first certificate of a chain expires, in Unix seconds; `None` if one of them cannot be
/// parsed.
fn validity_end(chain: &[CertificateDer<'_>]) -> Option<i64> {
    let ends = chain.iter().map(|certificate| {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    ends.collect::<Option<Vec<i64>>>()?.into_iter().min()
}

fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let pem = read_file(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(tls_error(
            path,
            "the file has no certificate: a PEM file contains a line -----BEGIN CERTIFICATE-----",
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(tls_error(path, &error)),
    }
}

fn read_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, StartError> {
    PrivateKeyDer::from_pem_slice(&read_file(path)?).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            tls_error(path, "the file has no private key: a PEM file contains a line -----BEGIN PRIVATE KEY-----; encrypted keys are not supported")
        }
        error => tls_error(path, &error),
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(path).map_err(|error| tls_error(path, &error))
}

fn tls_error(path: &Path, reason: &(impl ToString + ?Sized)) -> StartError {
    StartError::Tls { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    #[test]
    fn invalid_files_are_named_with_the_reason() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let own = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let cert = folder.write("cert.pem", &own.cert.pem());
        let key = folder.write("key.pem", &own.signing_key.serialize_pem());
        let empty = folder.write("empty.pem", "");
        let missing = folder.0.path().join("missing.pem");
        let mismatched = folder.write("strange.pem", &other.serialize_pem());
        let files = TlsFiles { cert: cert.clone(), key: key.clone(), client_ca: Some(cert.clone()) };
        assert!(files.load_config().is_ok());
        for (files, file, reason) in [
            (TlsFiles { cert: missing, ..files.clone() }, "missing.pem", "No such file"),
            (TlsFiles { cert: key.clone(), ..files.clone() }, "key.pem", "no certificate"),
            (TlsFiles { key: cert, ..files.clone() }, "cert.pem", "no private key"),
            (TlsFiles { key: mismatched, ..files.clone() }, "strange.pem", "does not belong"),
            (TlsFiles { client_ca: Some(empty), ..files.clone() }, "empty.pem", "no certificate"),
        ] {
            let error = files.load_config().unwrap_err().to_string();
            assert!(error.contains(file) && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_expired_certificate_does_not_replace_one_that_is_valid() {
        let folder = Folder(tempfile::tempdir().unwrap());
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let key = folder.write("key.pem", &signing_key.serialize_pem());
        let write_until = |year| {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            folder.write("cert.pem", &params.self_signed(&signing_key).unwrap().pem())
        };
        let files = TlsFiles { cert: write_until(2001), key, client_ca: None };
        let stats = FrontStats::default();
        let end = stats.subscribe_certificate_end();
        // A start is possible with any certificate: the clock of the server may be wrong.
        files.load_valid(false, &stats).unwrap();
        assert_eq!(*end.borrow(), Some(978_307_200));
        write_until(2002);
        files.load_valid(true, &stats).unwrap();
        write_until(2100);
        files.load_valid(true, &stats).unwrap();
        assert_eq!(*end.borrow(), Some(4_102_444_800));
        write_until(2001);
        let error = files.load_valid(true, &stats).unwrap_err().to_string();
        assert!(error.contains("cert.pem") && error.contains("has expired"), "{error}");
        assert_eq!(*end.borrow(), Some(4_102_444_800), "the previous one stays in use");
    }
}
