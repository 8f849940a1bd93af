//! A server with channels in this process, and a device that queries it.

use std::{env, fs, net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use cloud_decoder::{ServeArgs, Settings, serve, transport::FrontStats};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_decoder::{Device, Registry};
use lopside_proto::v1::{
    BundleFile, DownloadRequest, GetChannelRequest, GetChannelResponse,
    bundle_service_client::BundleServiceClient,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Status, transport::Channel};

use super::bundle;

/// The encoder of version 1 of `toy`, which is large.
pub(crate) const OLD: &[u8] = &[7; (2 << 20) + 5];
/// The encoder of version 2 of `toy`.
pub(crate) const NEW: &[u8] = b"new encoder";

/// A running server of two versions of `toy`; stopped when dropped.
pub(crate) struct Cloud {
    pub(crate) url: String,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stats: Arc<FrontStats>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
    folder: TempDir,
}

impl Cloud {
    /// Starts a server with a channel file of this content.
    pub(crate) async fn start(channels: &str) -> Self {
        Self::start_with(Some(channels), |_| {}).await
    }

    pub(crate) async fn start_with(channels: Option<&str>, configure: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        bundle::write(&folder.path().join("bundles/toy/1"), "toy", OLD);
        bundle::write(&folder.path().join("bundles/toy/2"), "toy", NEW);
        let path = folder.path().join("channels.toml");
        if let Some(channels) = channels {
            fs::write(&path, channels).unwrap();
        }
        let library = env::var_os("ORT_DYLIB_PATH");
        let mut args = ServeArgs {
            bundles: vec![folder.path().join("bundles")],
            listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
            device: Some(Device::Cpu),
            onnxruntime: Some(library.expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`").into()),
            threads: Some(1),
            channels: channels.map(|_| path),
            ..ServeArgs::default()
        };
        args.archive.url = Some(format!("sqlite:{}", folder.path().join("archive.db").display()));
        args.archive.scores = Some(false);
        let mut settings = Settings::merge(args).unwrap();
        settings.front.reload_interval = Duration::from_millis(10);
        configure(&mut settings);
        let server = serve::start_server(&settings).await.unwrap();
        let (url, registry, stats) = (server.url().to_owned(), server.registry(), server.stats());
        let (stop, stop_receiver) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run_until(async {
            let _ = stop_receiver.await;
        }));
        Self { url, registry, stats, stop: Some(stop), task, folder }
    }

    /// Returns the path of a file of a version of `toy`.
    pub(crate) fn file(&self, version: u32, name: &str) -> PathBuf {
        self.folder.path().join(format!("bundles/toy/{version}")).join(name)
    }

    /// Replaces the channel file.
    pub(crate) fn write_channels(&self, text: &str) {
        let (path, temporary) = (self.folder.path().join("channels.toml"), self.folder.path().join("new"));
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, path).unwrap();
    }

    pub(crate) async fn client(&self) -> BundleServiceClient<Channel> {
        BundleServiceClient::connect(self.url.clone()).await.unwrap()
    }

    /// Returns the offer of a channel to a device with the old encoder.
    pub(crate) async fn offer(&self, channel: &str) -> Result<GetChannelResponse, Status> {
        let response = self.client().await.get_channel(channel_request(channel)).await;
        response.map(tonic::Response::into_inner)
    }

    /// Downloads a file and returns its chunks.
    pub(crate) async fn download(&self, sha256: &[u8], offset: u64) -> Result<Vec<Vec<u8>>, Status> {
        let request = DownloadRequest { sha256: sha256.to_vec(), offset };
        let mut stream = self.client().await.download(request).await?.into_inner();
        let mut chunks = Vec::new();
        while let Some(chunk) = stream.message().await? {
            chunks.push(chunk.bytes);
        }
        Ok(chunks)
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let (mut parts, body) = request.into_parts();
        parts.uri = format!("{}{}", self.url, parts.uri).parse().unwrap();
        let response = client.request(Request::from_parts(parts, body)).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await.1
    }

    pub(crate) async fn post(&self, path: &str) -> StatusCode {
        self.send(Request::post(path).body(Body::empty()).unwrap()).await.0
    }
}

/// Returns the lines of a channel of `toy` in the channel file.
pub(crate) fn channel(name: &str, version: Option<u32>) -> String {
    let version = version.map(|version| format!("version = {version}\n")).unwrap_or_default();
    format!("[[channel]]\nname = '{name}'\nbundle = 'toy'\n{version}")
}

/// Returns the query of a device with the old encoder.
pub(crate) fn channel_request(channel: &str) -> GetChannelRequest {
    let latent_space = bundle::space(OLD).as_bytes().to_vec();
    GetChannelRequest { channel: channel.into(), device: "gate-7".into(), latent_space }
}

/// Returns the SHA-256 digest of these bytes.
pub(crate) fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// Returns the paths of the files of an offer.
pub(crate) fn paths(files: &[BundleFile]) -> Vec<&str> {
    files.iter().map(|file| &file.path[..]).collect()
}
