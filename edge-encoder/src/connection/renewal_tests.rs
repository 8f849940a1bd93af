//! Certificates that are renewed, or expire, between two connections.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        HandshakeKind, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};

use super::{CloudTarget, SecuritySettings, WireCounters};
use crate::EdgeError;

/// A certificate authority, and the files of a client.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// The certificate that the client presented, and the kind of the handshake.
type Handshake = (Vec<u8>, Option<HandshakeKind>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    /// Issues a certificate that is valid until this year, and returns it with its key, as PEM.
    fn issue(&self, last_year: i32) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names.push(SanType::DnsName("localhost".try_into().unwrap()));
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(last_year, 1, 1));
        [params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem()]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a new certificate and key of the client, and returns the certificate.
    fn renew_client(&self) -> Vec<u8> {
        let [cert, key] = self.issue(2100);
        fs::write(self.path("cert.pem"), &cert).unwrap();
        fs::write(self.path("key.pem"), key).unwrap();
        CertificateDer::from_pem_slice(cert.as_bytes()).unwrap().to_vec()
    }

    /// Returns the settings of the client.
    fn client(&self) -> SecuritySettings {
        let ca = self.path("ca.pem");
        fs::write(&ca, self.issuer.pem()).unwrap();
        let client = Some((self.path("cert.pem"), self.path("key.pem")));
        SecuritySettings { ca: Some(ca), client, ..SecuritySettings::default() }
    }

    /// Returns the configuration of a server that asks for client certificates, with a certificate that is valid until
    /// this year.
    fn server(&self, last_year: i32) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let [cert, key] = self.issue(last_year);
        let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![cert], PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

/// Starts a server that uses each of these configurations for one connection, and returns its address.
async fn start_server(configs: Vec<ServerConfig>) -> (String, mpsc::Receiver<Handshake>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (sender, handshakes) = mpsc::channel(configs.len());
    tokio::spawn(async move {
        let mut open = Vec::new();
        for config in configs {
            let (socket, _) = listener.accept().await.unwrap();
            // The client breaks off the handshake if it refuses the certificate.
            let Ok(stream) = TlsAcceptor::from(Arc::new(config)).accept(socket).await else { continue };
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().unwrap()[0].to_vec();
            sender.send((certificate, session.handshake_kind())).await.unwrap();
            open.push(stream);
        }
        // The connections stay open until the test has ended.
        sender.closed().await;
    });
    (url, handshakes)
}

async fn connect(target: &CloudTarget) -> Result<tonic::transport::Channel, EdgeError> {
    target.connect(&WireCounters::default(), Some(Duration::from_secs(10))).await
}

#[tokio::test]
async fn renewed_files_are_used_at_the_next_connection_which_resumes_nothing() {
    let authority = Authority::new();
    let (url, mut handshakes) = start_server(vec![authority.server(2100), authority.server(2100)]).await;
    let first = authority.renew_client();
    let target = CloudTarget::new(&url, &authority.client()).unwrap();
    let _channel = connect(&target).await.unwrap();
    assert_eq!(handshakes.recv().await.unwrap(), (first.clone(), Some(HandshakeKind::Full)));
    let second = authority.renew_client();
    assert_ne!(first, second);
    let _channel = connect(&target).await.unwrap();
    assert_eq!(handshakes.recv().await.unwrap(), (second, Some(HandshakeKind::Full)));
}

#[tokio::test]
async fn a_server_certificate_that_has_expired_since_the_last_connection_is_refused() {
    let authority = Authority::new();
    let valid = authority.server(2100);
    let mut expired = authority.server(2001);
    // A client that resumed its session would not see the certificate.
    expired.session_storage = Arc::clone(&valid.session_storage);
    let (url, mut handshakes) = start_server(vec![valid, expired]).await;
    authority.renew_client();
    let target = CloudTarget::new(&url, &authority.client()).unwrap();
    let _channel = connect(&target).await.unwrap();
    handshakes.recv().await.unwrap();
    let error = connect(&target).await.unwrap_err().to_string();
    assert!(error.contains("expired"), "{error}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_later_is_named_and_its_return_is_noticed() {
    let authority = Authority::new();
    let (url, mut handshakes) = start_server(vec![authority.server(2100)]).await;
    authority.renew_client();
    let target = CloudTarget::new(&url, &authority.client()).unwrap();
    let [from, to] = ["key.pem", "away.pem"].map(|name| authority.path(name));
    fs::rename(&from, &to).unwrap();
    let error = connect(&target).await.unwrap_err().to_string();
    assert!(error.contains("key.pem"), "{error}");
    fs::rename(&to, &from).unwrap();
    let _channel = connect(&target).await.unwrap();
    assert!(handshakes.recv().await.is_some());
}
