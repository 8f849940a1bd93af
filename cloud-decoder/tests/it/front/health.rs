//! The health of the server by service: each fault has an effect on the services that it concerns, and on no other.

use std::{fs, path::PathBuf, time::Duration};

use axum::{body::Body, http::Request};
use cloud_decoder::{
    auth::{GeneratedKey, Scope, generate_key},
    serve::{self, Server},
    transport::FrontSettings,
};
use http_body_util::BodyExt as _;
use hyper::{Response, body::Incoming};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_archive::Batch;
use lopside_delivery::Class;
use tempfile::TempDir;
use tonic::Streaming;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};

use super::{
    process::{ServerProcess, cloud_decoder},
    service::{get, health_client, json, settings, start, status},
    support::NEVER,
};

const INGEST: &str = "lopside.v1.IngestService";
const DECODER: &str = "lopside.v1.DecoderService";

/// A running server with an archive in a folder.
struct ArchiveServer {
    server_url: String,
    archive: lopside_archive::Archive,
    database: PathBuf,
    _folder: TempDir,
}

impl ArchiveServer {
    /// Starts a server that checks its archive at this interval.
    async fn start(check_interval: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("archive.db");
        let url = format!("sqlite:{}", database.display());
        let mut settings = settings(FrontSettings::default(), |args| args.archive.url = Some(url));
        settings.archive.as_mut().unwrap().check_interval = check_interval;
        let server = serve::start_server(&settings).await.unwrap();
        let archive = server.archive().unwrap();
        Self { server_url: run(server), archive, database, _folder: folder }
    }

    fn aside(&self) -> PathBuf {
        self.database.with_extension("aside")
    }
}

/// Runs a server until the end of the test, and returns its URL.
fn run(server: Server) -> String {
    let url = server.url().to_owned();
    tokio::spawn(server.run_until(std::future::pending()));
    url
}

/// The reported states of a service, one after the other.
struct Watched(Streaming<HealthCheckResponse>);

impl Watched {
    async fn open(url: &str, service: &str) -> Self {
        let request = HealthCheckRequest { service: service.to_owned() };
        Self(health_client(url).await.watch(request).await.unwrap().into_inner())
    }

    async fn next(&mut self) -> ServingStatus {
        self.0.message().await.unwrap().unwrap().status()
    }
}

async fn reported(url: &str, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    health_client(url).await.check(request).await.unwrap().into_inner().status()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn get_json(url: &str, path: &str) -> Response<Incoming> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let request = Request::get(format!("{url}{path}")).header("accept", "application/json");
    client.request(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_database_that_has_gone_stops_uploads_and_not_the_decoder() {
    let server = ArchiveServer::start(Duration::from_millis(10)).await;
    let url = &server.server_url;
    let mut ingest = Watched::open(url, INGEST).await;
    assert_eq!(ingest.next().await, ServingStatus::Serving);
    // Without an upload, only a check can notice this.
    fs::rename(&server.database, server.aside()).unwrap();
    assert_eq!(ingest.next().await, ServingStatus::NotServing);
    for service in ["", DECODER] {
        assert_eq!(reported(url, service).await, ServingStatus::Serving, "{service:?}");
    }
    assert_eq!(status(url, "/readyz").await, 200);
    assert_eq!(status(url, "/readyz/decoder").await, 200);
    for check in ["ingest", "archive"] {
        let response = get(url, &format!("/readyz/{check}")).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
        let error = json(response).await["error"].as_str().unwrap().to_owned();
        assert!(error.contains("files replaced") && error.contains("archive.db"), "{error}");
    }
    let listed = text(get(url, "/readyz?verbose").await).await;
    for line in ["[+]decoder ok\n", "[-]ingest failed: files replaced", "[-]archive failed: files replaced"] {
        assert!(listed.contains(line), "{listed}");
    }
    let answer = json(get_json(url, "/readyz").await).await;
    assert_eq!(answer["ready"], true);
    let archive =
        answer["checks"].as_array().unwrap().iter().find(|check| check["name"] == "archive").unwrap();
    assert_eq!((&archive["ok"], &archive["fault"]), (&false.into(), &"files replaced".into()));
    assert!(archive["reason"].as_str().unwrap().contains("archive.db"), "{archive}");

    fs::rename(server.aside(), &server.database).unwrap();
    assert_eq!(ingest.next().await, ServingStatus::Serving);
    assert_eq!(status(url, "/readyz/ingest").await, 200);
}

#[tokio::test]
async fn a_write_that_fails_is_reported_without_a_check() {
    let server = ArchiveServer::start(NEVER).await;
    let mut ingest = Watched::open(&server.server_url, INGEST).await;
    assert_eq!(ingest.next().await, ServingStatus::Serving);
    fs::rename(&server.database, server.aside()).unwrap();
    server.archive.apply(Batch::new("gate", 1, Class::Normal, 1)).await.unwrap_err();
    assert_eq!(ingest.next().await, ServingStatus::NotServing);
    fs::rename(server.aside(), &server.database).unwrap();
    server.archive.apply(Batch::new("gate", 1, Class::Normal, 1)).await.unwrap();
    assert_eq!(ingest.next().await, ServingStatus::Serving);
}

#[tokio::test]
async fn without_an_archive_there_are_no_uploads() {
    let url = run(start(FrontSettings::default()).await);
    assert_eq!(reported(&url, INGEST).await, ServingStatus::NotServing);
    assert_eq!(reported(&url, DECODER).await, ServingStatus::Serving);
    let ingest = get(&url, "/readyz/ingest").await;
    assert_eq!(ingest.status(), 503);
    assert!(json(ingest).await["error"].as_str().unwrap().contains("--archive"));
    assert!(!text(get(&url, "/readyz?verbose=true").await).await.contains("ingest"));
    assert_eq!(text(get(&url, "/readyz?verbose=false").await).await, "ready");
    let unknown = get(&url, "/readyz/anything").await;
    assert_eq!(unknown.status(), 404);
    assert!(json(unknown).await["error"].as_str().unwrap().contains("decoder"));
    assert_eq!(status(&url, "/readyz?verbose=perhaps").await, 400);
}

#[tokio::test]
async fn a_server_that_accepts_no_key_is_not_ready_and_names_no_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let GeneratedKey { toml, .. } = generate_key("line-3", &[Scope::Infer]).unwrap();
    fs::write(&path, &toml).unwrap();
    let front = FrontSettings {
        api_keys: Some(path.clone()),
        reload_interval: Duration::from_millis(10),
        ..FrontSettings::default()
    };
    let url = run(start(front).await);
    let replace = |text: &str| {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
    };
    let mut whole = Watched::open(&url, "").await;
    assert_eq!(whole.next().await, ServingStatus::Serving);
    replace("");
    assert_eq!(whole.next().await, ServingStatus::NotServing);
    let response = get(&url, "/readyz?verbose").await;
    assert_eq!(response.status(), 503);
    let listed = text(response).await;
    assert!(listed.contains("[-]keys failed: no key is accepted\n"), "{listed}");
    assert!(!listed.contains("keys.toml") && !listed.contains('('), "reasons are not for everyone: {listed}");
    let ready = get(&url, "/v2/health/ready").await;
    assert_eq!(ready.status(), 503);
    assert!(json(ready).await["error"].as_str().unwrap().contains("no key is accepted"));
    let answer = json(get_json(&url, "/readyz").await).await;
    assert_eq!((&answer["ready"], answer["error"].is_string()), (&false.into(), true), "{answer}");
    replace(&toml);
    assert_eq!(whole.next().await, ServingStatus::Serving);
}

#[test]
fn the_program_checks_the_whole_server_or_one_service() {
    let server = ServerProcess::start(&[]);
    let check = |arguments: &[&str]| {
        let output = cloud_decoder().args(["health", &server.url]).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(check(&[]).0 && check(&["--service", DECODER]).0);
    let (is_ok, error) = check(&["--service", INGEST]);
    assert!(!is_ok && error.contains(INGEST) && error.contains("NOT_SERVING"), "{error}");
    let (is_ok, error) = check(&["--service", "lopside.v1.Nothing"]);
    assert!(!is_ok && error.contains("does not have the service"), "{error}");
}
