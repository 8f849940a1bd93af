//! TLS, client certificates, and certificates that change while the server runs.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use cloud_decoder::transport::{ConnectionLimits, FrontEvent, FrontSettings, TlsFiles};
use http_body_util::BodyExt as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, HandshakeKind, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};

use super::{
    connections::without_timeouts,
    support::{Http2, RunningFront},
};

/// A certificate authority, and the files of a server.
pub(crate) struct Authority {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate and its key, as PEM.
pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    fn identity(&self) -> Identity {
        self.identity_of(SanType::DnsName("localhost".try_into().unwrap()))
    }

    /// Issues a certificate with this name.
    pub(crate) fn identity_of(&self, name: SanType) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names.push(name);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Identity { cert: cert.pem(), key: key.serialize_pem() }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        // The file is replaced atomically: the server must not read and count half a file.
        let temporary = self.folder.path().join("new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, &path).unwrap();
        path
    }

    pub(crate) fn files(&self, client_ca: bool) -> TlsFiles {
        let Identity { cert, key } = self.identity();
        TlsFiles {
            cert: self.write("cert.pem", &cert),
            key: self.write("key.pem", &key),
            client_ca: client_ca.then(|| self.write("ca.pem", &self.issuer.pem())),
        }
    }

    fn client(&self, identity: Option<&Identity>, protocol: &str) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some(Identity { cert, key }) => {
                let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.into()];
        Arc::new(config).into()
    }
}

fn front_settings(tls: TlsFiles) -> FrontSettings {
    FrontSettings { tls: Some(tls), reload_interval: Duration::from_millis(10), ..FrontSettings::default() }
}

async fn connect(front: &RunningFront, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(front.address).await.unwrap();
    client.connect(ServerName::try_from("localhost").unwrap(), socket).await
}

/// Returns the whole response to a request over HTTP/1, or an error. In both cases the connection has ended.
async fn hello(front: &RunningFront, client: &TlsConnector) -> std::io::Result<String> {
    let mut stream = connect(front, client).await?;
    let response = exchange(&mut stream).await;
    // An alert arrives before the server has counted its cause; the end of the connection arrives afterwards.
    let (mut socket, _) = stream.into_inner();
    let _ = socket.read_to_end(&mut Vec::new()).await;
    response
}

async fn exchange(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}

async fn server_certificate(front: &RunningFront, client: &TlsConnector) -> CertificateDer<'static> {
    let stream = connect(front, client).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn both_http_versions_work_over_tls() {
    let authority = Authority::new();
    let front = RunningFront::start(&front_settings(authority.files(false))).await;
    let stream = connect(&front, &authority.client(None, "h2")).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let response = Http2::over(stream).await.get("/hello").await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert!(hello(&front, &authority.client(None, "http/1.1")).await.unwrap().contains("200 OK"));
    // A client without TLS fails at the handshake.
    assert!(!front.get("/hello").await.contains("200 OK"));
    assert_eq!(front.count(FrontEvent::HandshakeFailure), 1);
}

#[tokio::test]
async fn a_handshake_that_stops_halfway_is_closed() {
    let authority = Authority::new();
    let limits = ConnectionLimits { handshake_timeout: Duration::from_millis(50), ..without_timeouts() };
    let front =
        RunningFront::start(&FrontSettings { limits, ..front_settings(authority.files(false)) }).await;
    let mut connection = front.connect().await;
    // A TLS record that announces 512 bytes and contains one.
    connection.0.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    assert_eq!(connection.rest().await, "");
    assert_eq!(front.connect().await.rest().await, "", "a silent connection is closed as well");
    assert_eq!(front.count(FrontEvent::HandshakeTimeout), 2);
}

#[tokio::test]
async fn with_a_client_authority_only_its_clients_are_served() {
    let authority = Authority::new();
    let front = RunningFront::start(&front_settings(authority.files(true))).await;
    let trusted = authority.identity();
    let untrusted = Authority::new().identity();
    assert!(hello(&front, &authority.client(Some(&trusted), "http/1.1")).await.unwrap().contains("200 OK"));
    for client in [authority.client(None, "http/1.1"), authority.client(Some(&untrusted), "http/1.1")] {
        assert!(hello(&front, &client).await.is_err());
    }
    assert_eq!(front.count(FrontEvent::HandshakeFailure), 2);
}

#[tokio::test]
async fn a_client_certificate_is_checked_at_every_connection() {
    let authority = Authority::new();
    for client_ca in [false, true] {
        let front = RunningFront::start(&front_settings(authority.files(client_ca))).await;
        // The client keeps its sessions, as long as the server gives it any.
        let client = authority.client(Some(&authority.identity()), "http/1.1");
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = connect(&front, &client).await.unwrap();
            kinds.push(stream.get_ref().1.handshake_kind());
            // The tickets come with the response.
            assert!(exchange(&mut stream).await.unwrap().contains("200 OK"));
        }
        let second = if client_ca { HandshakeKind::Full } else { HandshakeKind::Resumed };
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(second)], "{client_ca}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let front = RunningFront::start(&front_settings(authority.files(false))).await;
    let client = authority.client(None, "http/1.1");
    let mut reloads = front.stats.subscribe_reloads();
    let first = server_certificate(&front, &client).await;
    let mut open_connection =
        Http2::over(connect(&front, &authority.client(None, "h2")).await.unwrap()).await;

    authority.write("cert.pem", "-----BEGIN CERTIFICATE-----\nnonsense");
    reloads.wait_for(|reloads| reloads.failed == 1).await.unwrap();
    assert_eq!(server_certificate(&front, &client).await, first, "the old certificate remains in use");

    let Identity { cert, key } = authority.identity();
    let failed = reloads.borrow().failed;
    authority.write("cert.pem", &cert);
    reloads.wait_for(|reloads| reloads.failed > failed).await.unwrap();
    assert_eq!(
        server_certificate(&front, &client).await,
        first,
        "the new certificate does not have its key yet"
    );
    authority.write("key.pem", &key);
    reloads.wait_for(|reloads| reloads.done == 1).await.unwrap();
    assert_ne!(server_certificate(&front, &client).await, first);
    assert!(open_connection.get("/hello").await.is_ok(), "open connections are kept");
}
