//! A server with an archive in this process, and its clients.

use std::{env, net::Ipv4Addr, path::PathBuf, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode, request},
};
use cloud_decoder::{ServeArgs, Settings, serve};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_archive::{Archive, Batch, NewRecord};
use lopside_decoder::{Device, Registry};
use lopside_delivery::{Class, FrameMarks};
use lopside_latent::peek_latent_space;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use super::bundle;

/// The time from which captures are counted: 2026-07-01T12:00:00Z.
pub(crate) const START_US: i64 = 1_782_907_200_000_000;
pub(crate) const EPOCH: u64 = 0xe0;

/// Options of the server.
#[derive(Clone, Copy)]
pub(crate) struct ServerOptions {
    pub(crate) archive: bool,
    pub(crate) scores: bool,
}

/// A running server; stopped when dropped.
pub(crate) struct Cloud {
    pub(crate) url: String,
    pub(crate) registry: Arc<Registry>,
    archive: Option<Archive>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
    folder: TempDir,
}

/// A response to a request.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A stream of events.
pub(crate) struct Events {
    body: Incoming,
    text: String,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<i64>,
    pub(crate) data: Value,
}

impl Cloud {
    /// Starts a server with an archive and without scoring.
    pub(crate) async fn start() -> Self {
        Self::start_with(ServerOptions { archive: true, scores: false }).await
    }

    pub(crate) async fn start_with(options: ServerOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        bundle::write(&folder.path().join("toy"), 1);
        let library = env::var_os("ORT_DYLIB_PATH");
        let mut args = ServeArgs {
            bundles: vec![folder.path().join("toy")],
            listen: Some((Ipv4Addr::LOCALHOST, 0).into()),
            device: Some(Device::Cpu),
            onnxruntime: Some(library.expect("ORT_DYLIB_PATH is not set: run `cargo xtask test`").into()),
            threads: Some(1),
            ..ServeArgs::default()
        };
        args.archive.url =
            options.archive.then(|| format!("sqlite:{}", folder.path().join("archive.db").display()));
        args.archive.scores = Some(options.scores);
        let server = serve::start_server(&Settings::merge(args).unwrap()).await.unwrap();
        let (url, registry, archive) = (server.url().to_owned(), server.registry(), server.archive());
        let (stop, stop_receiver) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run_until(async {
            let _ = stop_receiver.await;
        }));
        Self { url, registry, archive, stop: Some(stop), task, folder }
    }

    pub(crate) fn archive(&self) -> &Archive {
        self.archive.as_ref().unwrap()
    }

    /// Returns the folder of the bundle.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.folder.path().join("toy")
    }

    /// Commits frames of a device, numbered from `first`. Frame `n` is captured `n` seconds after
    /// [`START_US`].
    pub(crate) async fn commit(&self, device: &str, first: u64, frames: Vec<Vec<u8>>) {
        self.commit_marked(device, first, frames, FrameMarks::default()).await;
    }

    /// Commits frames like [`commit`](Self::commit), all with these marks.
    pub(crate) async fn commit_marked(
        &self,
        device: &str,
        first: u64,
        frames: Vec<Vec<u8>>,
        marks: FrameMarks,
    ) {
        let record = |(number, frame): (u64, Vec<u8>)| NewRecord {
            captured_us: START_US + number as i64 * 1_000_000,
            source: "gate camera".into(),
            digest: crc32c::crc32c(&frame),
            latent_space: peek_latent_space(&frame).ok().flatten().map_or([0; 8], |space| *space.as_bytes()),
            trace: (number == 1).then(|| "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            marks,
            frame: frame.into(),
        };
        let records = (first..).zip(frames).map(record).collect();
        let batch = Batch { records, ..Batch::new(device, EPOCH, Class::High, first) };
        self.archive().apply(batch).await.unwrap();
    }

    pub(crate) async fn send(&self, request: request::Builder) -> HttpResponse {
        let (parts, body) = self.open(request, Body::empty()).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        HttpResponse { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> HttpResponse {
        self.send(Request::get(path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> HttpResponse {
        let (parts, body) = self.open(Request::post(path), body.into()).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        HttpResponse { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn events(&self, request: request::Builder) -> Events {
        let response = self.open(request, Body::empty()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: response.into_body(), text: String::new() }
    }

    async fn open(&self, request: request::Builder, body: Body) -> axum::http::Response<Incoming> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
        let uri = format!("{}{}", self.url, request.uri_ref().unwrap());
        client.request(request.uri(uri).body(body).unwrap()).await.unwrap()
    }

    /// Returns the ids of all frames, newest captured first.
    pub(crate) async fn ids(&self) -> Vec<i64> {
        let list = self.get("/v1/frames?limit=1000").await.json();
        list["frames"].as_array().unwrap().iter().map(|frame| frame["id"].as_i64().unwrap()).collect()
    }
}

impl HttpResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Events {
    /// Returns the next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                // Comments only keep the connection alive.
                if !event.starts_with(':') {
                    return Some(Event::parse(&event));
                }
                continue;
            }
            let data = self.body.frame().await?.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

impl Event {
    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            lines.next()
        };
        Self {
            name: field("event").unwrap().to_owned(),
            id: field("id").map(|id| id.parse().unwrap()),
            data: serde_json::from_str(field("data").unwrap()).unwrap(),
        }
    }
}
