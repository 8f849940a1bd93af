//! A cloud whose channel offers the bundle of a folder, and may damage it during the transfer.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use lopside_bundle::{AnyManifest, Digest};
use lopside_latent::LatentSpaceId;
use lopside_proto::v1::{
    BundleFile, DownloadRequest, DownloadResponse, GetChannelRequest, GetChannelResponse,
    bundle_service_server::{BundleService, BundleServiceServer},
};
use tokio::sync::watch;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Bytes per message, fewer than any file has.
const CHUNK_BYTES: usize = 50;

/// Treatment of the files during the transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TransferFault {
    #[default]
    None,
    /// One bit of each encoder is changed.
    Damaged,
    /// Each stream ends after its first message.
    Cut,
}

/// The received requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReceivedRequests {
    /// The latent spaces in the polls of the channel.
    pub(crate) polls: Vec<Vec<u8>>,
    /// The path and the start offset of each download.
    pub(crate) downloads: Vec<(String, u64)>,
}

/// The cloud.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) url: String,
    offered: Arc<Mutex<(PathBuf, TransferFault)>>,
    requests: watch::Sender<ReceivedRequests>,
}

impl Channel {
    /// Starts a cloud that offers this bundle.
    pub(crate) fn start(bundle: &Path) -> Self {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", incoming.local_addr().unwrap());
        let offered = Arc::new(Mutex::new((bundle.to_owned(), TransferFault::None)));
        let channel = Self { url, offered, requests: watch::Sender::default() };
        let service = BundleServiceServer::new(channel.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        channel
    }

    /// Changes the offered bundle and the treatment of its files.
    pub(crate) fn offer(&self, bundle: &Path, fault: TransferFault) {
        *self.offered.lock().unwrap() = (bundle.to_owned(), fault);
    }

    /// Waits until the channel was polled `times` more times, and returns the number of downloads so far.
    pub(crate) async fn downloads_after(&self, times: usize) -> usize {
        let mut requests = self.requests.subscribe();
        let polled = requests.borrow().polls.len();
        let requests = requests.wait_for(|requests| requests.polls.len() >= polled + times).await.unwrap();
        requests.downloads.len()
    }

    /// Waits until a device that encodes with this latent space has polled the channel.
    pub(crate) async fn until_polled_by(&self, id: LatentSpaceId) {
        let has_polled = |requests: &ReceivedRequests| {
            requests.polls.last().is_some_and(|space| space[..] == id.as_bytes()[..])
        };
        self.requests.subscribe().wait_for(has_polled).await.unwrap();
    }

    /// Returns the received requests.
    pub(crate) fn requests(&self) -> ReceivedRequests {
        self.requests.borrow().clone()
    }

    fn offered(&self) -> (PathBuf, TransferFault) {
        self.offered.lock().unwrap().clone()
    }
}

/// Returns the paths of the files of the encoder part.
fn files(bundle: &Path) -> Vec<String> {
    let manifest = AnyManifest::read(bundle).unwrap();
    let rest = manifest.device_files().into_iter().map(|file| file.path.clone());
    std::iter::once("bundle.json".to_owned()).chain(rest).collect()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let digest = Digest::of(bytes);
    let byte = |index: usize| u8::from_str_radix(&digest.as_str()[2 * index..2 * index + 2], 16).unwrap();
    (0..32).map(byte).collect()
}

#[tonic::async_trait]
impl BundleService for Channel {
    async fn get_channel(
        &self,
        request: Request<GetChannelRequest>,
    ) -> Result<Response<GetChannelResponse>, Status> {
        let GetChannelRequest { channel, device, latent_space } = request.into_inner();
        assert_eq!((&channel[..], &device[..]), ("stable", "gate-7"));
        let bundle = self.offered().0;
        let file = |path: String| {
            let bytes = fs::read(bundle.join(&path)).unwrap();
            BundleFile { path, bytes: bytes.len() as u64, sha256: sha256(&bytes) }
        };
        let manifest = AnyManifest::read(&bundle).unwrap();
        let response = GetChannelResponse {
            bundle: manifest.name().to_owned(),
            latent_space: manifest.latent_space().as_bytes().to_vec(),
            files: files(&bundle).into_iter().map(file).collect(),
        };
        self.requests.send_modify(|requests| requests.polls.push(latent_space));
        Ok(Response::new(response))
    }

    type DownloadStream = tokio_stream::Iter<std::vec::IntoIter<Result<DownloadResponse, Status>>>;

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let DownloadRequest { sha256: digest, offset } = request.into_inner();
        let (bundle, fault) = self.offered();
        let mut candidates =
            files(&bundle).into_iter().map(|path| (fs::read(bundle.join(&path)).unwrap(), path));
        let file = candidates.find(|(bytes, _)| sha256(bytes) == digest);
        let (mut bytes, path) = file.ok_or_else(|| Status::not_found("no such file"))?;
        if fault == TransferFault::Damaged && path == "encoder.onnx" {
            bytes[CHUNK_BYTES] ^= 1;
        }
        self.requests.send_modify(|requests| requests.downloads.push((path, offset)));
        let chunks = bytes[offset as usize..].chunks(CHUNK_BYTES).take(if fault == TransferFault::Cut {
            1
        } else {
            usize::MAX
        });
        let responses: Vec<_> = chunks.map(|bytes| Ok(DownloadResponse { bytes: bytes.to_vec() })).collect();
        Ok(Response::new(tokio_stream::iter(responses)))
    }
}
