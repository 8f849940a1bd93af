//! The devices that a client may speak for, by its key and by its certificate.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cloud_decoder::{
    auth::{GeneratedKey, Scope, generate_device_key},
    transport::{FrontEvent, FrontSettings, FrontStats, TlsFiles},
};
use lopside_proto::v1::{
    FrameClass, Frames, GetChannelRequest, Hello, UploadRequest, UploadResponse,
    bundle_service_client::BundleServiceClient, ingest_service_client::IngestServiceClient, upload_request,
    upload_response,
};
use rcgen::SanType;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as ClientIdentity},
};

use super::{
    process::ServerProcess,
    service,
    tls::{Authority, Identity},
};

/// A running server with an archive.
struct Cloud {
    url: String,
    stats: Arc<FrontStats>,
    _folder: TempDir,
}

impl Cloud {
    async fn start(keys: &[&GeneratedKey], tls: Option<TlsFiles>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let api_keys = (!keys.is_empty()).then(|| write_keys(folder.path(), keys));
        let front = FrontSettings { api_keys, tls, ..FrontSettings::default() };
        let server = service::start_with(front, |args| {
            args.archive.url = Some(format!("sqlite:{}", folder.path().join("archive.db").display()));
            args.archive.scores = Some(false);
        })
        .await;
        let (url, stats) = (server.url().to_owned(), server.stats());
        tokio::spawn(server.run_until(std::future::pending()));
        Self { url, stats, _folder: folder }
    }
}

fn write_keys(folder: &Path, keys: &[&GeneratedKey]) -> PathBuf {
    let path = folder.join("keys.toml");
    let text: String = keys.iter().map(|key| &key.toml[..]).collect();
    std::fs::write(&path, text).unwrap();
    path
}

/// An open upload of a device.
pub(crate) struct DeviceUpload {
    requests: mpsc::Sender<UploadRequest>,
    pub(crate) responses: Streaming<UploadResponse>,
}

impl DeviceUpload {
    /// Opens an upload, and waits for the welcome.
    pub(crate) async fn open(
        channel: Channel,
        key: Option<&GeneratedKey>,
        device: &str,
    ) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(4);
        let hello = Hello { device: device.to_owned(), spool: 1, ..Hello::default() };
        requests.send(message(upload_request::Message::Hello(hello))).await.unwrap();
        let request = with_key(key, ReceiverStream::new(receiver));
        let mut responses = IngestServiceClient::new(channel).upload(request).await?.into_inner();
        let welcome = responses.message().await?.unwrap().message;
        assert!(matches!(welcome, Some(upload_response::Message::Welcome(_))), "{welcome:?}");
        Ok(Self { requests, responses })
    }

    /// Sends a frame with this number. The server may have ended the upload.
    pub(crate) async fn send_frame(&mut self, number: u64) {
        let frames = Frames {
            epoch: 7,
            class: FrameClass::High.into(),
            first: number,
            captured_ms: 1000,
            lengths: vec![5],
            digests: vec![crc32c::crc32c(b"frame")],
            frames: b"frame"[..].into(),
            ..Frames::default()
        };
        let _ = self.requests.send(message(upload_request::Message::Frames(frames))).await;
    }
}

fn message(message: upload_request::Message) -> UploadRequest {
    UploadRequest { message: Some(message) }
}

fn with_key<T>(key: Option<&GeneratedKey>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(key) = key {
        request.metadata_mut().insert("x-api-key", key.key.parse().unwrap());
    }
    request
}

/// Connects to a server, over TLS if an authority is given, with the certificate of a client.
pub(crate) async fn connect(url: &str, client: Option<(&Authority, &Identity)>) -> Channel {
    let mut endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    if let Some((authority, identity)) = client {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(authority.issuer.pem()))
            .domain_name("localhost")
            .identity(ClientIdentity::from_pem(&identity.cert, &identity.key));
        endpoint = endpoint.tls_config(tls).unwrap();
    }
    endpoint.connect().await.unwrap()
}

/// Returns the code with which the server answers a device that asks for its channel. A device that passes is told
/// that the server does not have channels.
async fn channel_code(channel: Channel, key: Option<&GeneratedKey>, device: &str) -> Code {
    let query = GetChannelRequest {
        channel: "stable".into(),
        device: device.to_owned(),
        ..GetChannelRequest::default()
    };
    BundleServiceClient::new(channel).get_channel(with_key(key, query)).await.unwrap_err().code()
}

fn device_key(name: &str, devices: &[&str]) -> GeneratedKey {
    let devices: Vec<String> = devices.iter().map(|&pattern| pattern.to_owned()).collect();
    generate_device_key(name, &[Scope::Ingest], &devices).unwrap()
}

#[tokio::test]
async fn a_key_speaks_only_for_its_devices() {
    let (gates, any) = (device_key("gates", &["gate-*", "line-3"]), device_key("any", &[]));
    let cloud = Cloud::start(&[&gates, &any], None).await;
    let channel = connect(&cloud.url, None).await;
    for device in ["gate-7", "line-3"] {
        assert!(DeviceUpload::open(channel.clone(), Some(&gates), device).await.is_ok(), "{device}");
        assert_eq!(channel_code(channel.clone(), Some(&gates), device).await, Code::FailedPrecondition);
    }
    let refused = DeviceUpload::open(channel.clone(), Some(&gates), "device-a").await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for named in ["\"gates\"", "\"device-a\"", "\"gate-*\"", "\"line-3\""] {
        assert!(refused.message().contains(named), "{refused}");
    }
    assert_eq!(channel_code(channel.clone(), Some(&gates), "line-30").await, Code::PermissionDenied);
    assert_eq!(cloud.stats.snapshot().count_of(FrontEvent::DeviceForbidden), 2);
    assert!(DeviceUpload::open(channel, Some(&any), "device-a").await.is_ok());
}

#[tokio::test]
async fn a_certificate_speaks_only_for_the_device_that_it_names() {
    let authority = Authority::new();
    let cloud = Cloud::start(&[], Some(authority.files(true))).await;
    let by_dns = SanType::DnsName("gate-7".try_into().unwrap());
    let by_uri = SanType::URI("urn:lopside:device:gate-7".try_into().unwrap());
    for name in [by_dns, by_uri] {
        let identity = authority.identity_of(name);
        let channel = connect(&cloud.url, Some((&authority, &identity))).await;
        assert!(DeviceUpload::open(channel.clone(), None, "gate-7").await.is_ok());
        let refused = DeviceUpload::open(channel.clone(), None, "gate-8").await.err().unwrap();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("gate-7") && refused.message().contains("gate-8"), "{refused}");
        assert_eq!(channel_code(channel.clone(), None, "gate-8").await, Code::PermissionDenied);
        assert_eq!(channel_code(channel, None, "gate-7").await, Code::FailedPrecondition);
    }
    assert_eq!(cloud.stats.snapshot().count_of(FrontEvent::DeviceForbidden), 4);
    let unnamed = authority.identity_of(SanType::IpAddress([127, 0, 0, 1].into()));
    let channel = connect(&cloud.url, Some((&authority, &unnamed))).await;
    assert!(DeviceUpload::open(channel, None, "gate-8").await.is_ok(), "it does not name a device");
}

#[tokio::test]
async fn a_client_with_certificate_and_key_needs_the_permission_of_both() {
    let authority = Authority::new();
    let key = device_key("gates", &["gate-*"]);
    let cloud = Cloud::start(&[&key], Some(authority.files(true))).await;
    for (certified, device, is_permitted) in
        [("gate-7", "gate-7", true), ("gate-7", "gate-8", false), ("line-3", "line-3", false)]
    {
        let identity = authority.identity_of(SanType::DnsName(certified.try_into().unwrap()));
        let channel = connect(&cloud.url, Some((&authority, &identity))).await;
        let upload = DeviceUpload::open(channel, Some(&key), device).await;
        assert_eq!(upload.is_ok(), is_permitted, "{certified} {device}");
    }
}

#[test]
fn the_log_warns_of_keys_for_any_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_keys(folder.path(), &[&device_key("any", &[]), &device_key("gates", &["gate-*"])]);
    let mut server = ServerProcess::start(&["--api-keys", path.to_str().unwrap()]);
    let warning = server.wait_for_log("may upload as any device");
    assert!(warning.contains("\"any\"") && !warning.contains("\"gates\""), "{warning}");
}
