//! A cloud whose channel offers what a folder has, and that may spoil it on the way.

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

/// Bytes of a message, fewer than any file has.
const PIECE: usize = 50;

/// What happens to the files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Way {
    #[default]
    Fine,
    /// A bit of each encoder changes.
    Damaged,
    /// Each stream ends after its first message.
    Cut,
}

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// With which latent spaces.
    pub(crate) asked: Vec<Vec<u8>>,
    /// Which files, and from where on.
    pub(crate) downloads: Vec<(String, u64)>,
}

/// The cloud.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) url: String,
    offered: Arc<Mutex<(PathBuf, Way)>>,
    seen: watch::Sender<Seen>,
}

impl Channel {
    /// That offers this bundle.
    pub(crate) fn start(bundle: &Path) -> Self {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", incoming.local_addr().unwrap());
        let offered = Arc::new(Mutex::new((bundle.to_owned(), Way::Fine)));
        let channel = Self { url, offered, seen: watch::Sender::default() };
        let service = BundleServiceServer::new(channel.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        channel
    }

    /// From now on it offers another one, on such a way.
    pub(crate) fn offer(&self, bundle: &Path, way: Way) {
        *self.offered.lock().unwrap() = (bundle.to_owned(), way);
    }

    /// Downloads so far, when it was asked so many times more.
    pub(crate) async fn downloads_after(&self, times: usize) -> usize {
        let mut seen = self.seen.subscribe();
        let asked = seen.borrow().asked.len();
        let seen = seen.wait_for(|seen| seen.asked.len() >= asked + times).await.unwrap();
        seen.downloads.len()
    }

    /// A device has asked that encodes with this latent space.
    pub(crate) async fn until_asked_by(&self, id: LatentSpaceId) {
        let asked = |seen: &Seen| seen.asked.last().is_some_and(|space| space[..] == id.as_bytes()[..]);
        self.seen.subscribe().wait_for(asked).await.unwrap();
    }

    /// What was asked for.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    fn offered(&self) -> (PathBuf, Way) {
        self.offered.lock().unwrap().clone()
    }
}

/// The files of the edge's part.
fn files(bundle: &Path) -> Vec<String> {
    let manifest = AnyManifest::read(bundle).unwrap();
    let rest = manifest.edge_files().into_iter().map(|file| file.path.clone());
    std::iter::once("bundle.json".to_owned()).chain(rest).collect()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let digest = Digest::of(bytes);
    let byte = |at: usize| u8::from_str_radix(&digest.as_str()[2 * at..2 * at + 2], 16).unwrap();
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
        let answer = GetChannelResponse {
            bundle: manifest.name().to_owned(),
            latent_space: manifest.latent_space().as_bytes().to_vec(),
            files: files(&bundle).into_iter().map(file).collect(),
        };
        self.seen.send_modify(|seen| seen.asked.push(latent_space));
        Ok(Response::new(answer))
    }

    type DownloadStream = tokio_stream::Iter<std::vec::IntoIter<Result<DownloadResponse, Status>>>;

    async fn download(
        &self,
        request: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let DownloadRequest { sha256: wanted, offset } = request.into_inner();
        let (bundle, way) = self.offered();
        let mut found = files(&bundle).into_iter().map(|path| (fs::read(bundle.join(&path)).unwrap(), path));
        let found = found.find(|(bytes, _)| sha256(bytes) == wanted);
        let (mut bytes, path) = found.ok_or_else(|| Status::not_found("no such file"))?;
        if way == Way::Damaged && path == "encoder.onnx" {
            bytes[PIECE] ^= 1;
        }
        self.seen.send_modify(|seen| seen.downloads.push((path, offset)));
        let pieces =
            bytes[offset as usize..].chunks(PIECE).take(if way == Way::Cut { 1 } else { usize::MAX });
        let answers: Vec<_> = pieces.map(|bytes| Ok(DownloadResponse { bytes: bytes.to_vec() })).collect();
        Ok(Response::new(tokio_stream::iter(answers)))
    }
}
