//! The audit log: changes by clients and by files are recorded, with their causes.

use std::{fs, path::PathBuf};

use axum::{body::Body, http::Request};
use cloud_decoder::{
    auth::{GeneratedKey, Scope, generate_key},
    transport::FrontSettings,
};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_proto::inference::{
    RepositoryModelUnloadRequest, grpc_inference_service_client::GrpcInferenceServiceClient,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    process::{ServerProcess, cloud_decoder},
    service::{start, start_with},
};

/// The files of a server with keys, channels and an archive.
struct Files {
    boss: GeneratedKey,
    reader: GeneratedKey,
    keys: PathBuf,
    channels: PathBuf,
    archive: String,
    _folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self {
            boss: generate_key("boss", &[Scope::Admin]).unwrap(),
            reader: generate_key("reader", &[Scope::Archive]).unwrap(),
            keys: folder.path().join("keys.toml"),
            channels: folder.path().join("channels.toml"),
            archive: format!("sqlite:{}", folder.path().join("archive.db").display()),
            _folder: folder,
        };
        fs::write(&files.keys, format!("{}{}", files.boss.toml, files.reader.toml)).unwrap();
        fs::write(&files.channels, "[[channel]]\nname = 'stable'\nbundle = 'fashion'\n").unwrap();
        files
    }

    /// Starts a process that reads changed files only at SIGHUP.
    fn start_process(&self) -> ServerProcess {
        let (keys, channels) = (self.keys.to_str().unwrap(), self.channels.to_str().unwrap());
        let options = ["--api-keys", keys, "--channels", channels, "--archive", &self.archive];
        ServerProcess::start(&[&options[..], &["--reload-seconds", "3600"]].concat())
    }
}

/// Sends a request with a key and an id, and returns the status and the body of the response.
async fn send(request: axum::http::request::Builder, key: &str) -> (u16, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let request =
        request.header("x-api-key", key).header("x-request-id", "ticket-7").body(Body::empty()).unwrap();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
}

/// Returns the action, the subject and the outcome of each entry, the oldest first.
fn changes(page: &Value) -> Vec<[String; 3]> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let entries = page["entries"].as_array().unwrap().iter().rev();
    entries.map(|entry| ["action", "subject", "outcome"].map(|name| text(entry, name))).collect()
}

#[tokio::test]
async fn changes_by_clients_are_recorded_with_the_key_and_the_request() {
    let files = Files::new();
    let front = FrontSettings { api_keys: Some(files.keys.clone()), ..FrontSettings::default() };
    let server = start_with(front, |args| {
        args.archive.url = Some(files.archive.clone());
        args.archive.scores = Some(false);
    })
    .await;
    let url = server.url().to_owned();
    tokio::spawn(server.run_until(std::future::pending()));
    let boss = &files.boss.key;
    let post = |path: &str| Request::post(format!("{url}{path}"));
    assert_eq!(send(post("/v2/repository/models/fashion/load"), boss).await.0, 200);
    let mut client = GrpcInferenceServiceClient::connect(url.clone()).await.unwrap();
    let unload = RepositoryModelUnloadRequest { model_name: "fashion".into(), ..Default::default() };
    let mut unload = tonic::Request::new(unload);
    unload.metadata_mut().insert("x-api-key", boss.parse().unwrap());
    unload.metadata_mut().insert("x-request-id", "call-8".parse().unwrap());
    client.repository_model_unload(unload).await.unwrap();
    assert_eq!(send(post("/v2/repository/models/fashion/unload"), boss).await.0, 404);
    assert_eq!(send(Request::delete(format!("{url}/v1/frames/7")), boss).await.0, 404);
    // A request that is refused before it reaches its handler changes nothing.
    assert_eq!(send(post("/v2/repository/models/fashion/load"), &files.reader.key).await.0, 403);

    let audit = format!("{url}/v1/audit");
    assert_eq!(send(Request::get(&audit), &files.reader.key).await.0, 403);
    let (status, page) = send(Request::get(&audit), boss).await;
    assert_eq!((status, &page["next"]), (200, &Value::Null));
    let found = changes(&page);
    let expected = [
        ["bundle.load", "fashion", "done"],
        ["bundle.unload", "fashion", "done"],
        ["bundle.unload", "fashion", "refused: "],
        ["frame.delete", "frame 7", "refused: the archive does not contain frame 7"],
    ];
    assert_eq!(found.len(), expected.len(), "{page}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found[..2], expected[..2]);
        assert!(found[2].starts_with(expected[2]), "{found:?}");
    }
    let entry = |index: usize| &page["entries"][index];
    let causes = |index: usize| {
        ["number", "actor", "peer", "request_id", "certificate"].map(|name| &entry(index)[name])
    };
    let (actor, peer) = (json!("key:boss"), json!("127.0.0.1"));
    assert_eq!(causes(0), [&json!(4), &actor, &peer, &json!("ticket-7"), &Value::Null]);
    assert_eq!(causes(2), [&json!(2), &actor, &peer, &json!("call-8"), &Value::Null]);
    let report = lopside_archive::Archive::verify_audit(&files.archive).await.unwrap();
    assert_eq!((report.rows, report.fault), (4, None));

    let (_, first) = send(Request::get(format!("{audit}?limit=3")), boss).await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = send(Request::get(format!("{audit}?limit=3&after={next}")), boss).await;
    assert_eq!((changes(&first), changes(&second)), (found[1..].to_vec(), found[..1].to_vec()));
    assert_eq!(second["next"], Value::Null);
}

#[tokio::test]
async fn changes_of_files_are_recorded_and_the_program_checks_the_log() {
    let files = Files::new();
    let mut server = files.start_process();
    let added = generate_key("added", &[Scope::Infer]).unwrap();
    fs::write(&files.keys, format!("{}{}", files.boss.toml, added.toml)).unwrap();
    server.send_signal(Signal::HUP);
    let line = server.wait_for_log("action=\"keys.reload\"");
    for part in
        [" audit: ", "actor=\"file\"", "outcome=\"done: added added; removed reader\"", "number=1", "hash="]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    fs::write(&files.channels, "[[channel]]\nname = 'canary'\nbundle = 'fashion'\nversion = 1\n").unwrap();
    server.send_signal(Signal::HUP);
    let line = server.wait_for_log("action=\"channels.reload\"");
    let outcome = "outcome=\"done: added canary (fashion 1); removed stable\"";
    assert!(line.contains(outcome) && line.contains("number=2"), "{line}");
    fs::write(&files.keys, "[[key]]\nname = 'half").unwrap();
    server.send_signal(Signal::HUP);
    let line = server.wait_for_log("action=\"keys.reload\"");
    assert!(line.contains("outcome=\"refused: ") && line.contains("number=3"), "{line}");

    let verify = |archive: &str| {
        let output =
            cloud_decoder().args(["audit", "verify", "--json", "--archive", archive]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.success(), report, String::from_utf8(output.stderr).unwrap())
    };
    let (is_ok, report, _) = verify(&files.archive);
    assert!(is_ok && report["ok"] == true && report["rows"] == 3, "{report}");
    assert!(line.contains(report["hash"].as_str().unwrap()), "the log has the hash of the last row: {line}");
    let (is_ok, _, error) = verify("sqlite:/nowhere/archive.db");
    assert!(!is_ok && error.contains("/nowhere/archive.db"), "{error}");
}

#[tokio::test]
async fn without_an_archive_changes_are_only_in_the_log() {
    let mut server = ServerProcess::start(&[]);
    let (status, _) =
        send(Request::post(format!("{}/v2/repository/models/fashion/unload", server.url)), "-").await;
    assert_eq!(status, 200);
    let line = server.wait_for_log("action=\"bundle.unload\"");
    for part in ["actor=\"anonymous\"", "request_id=\"ticket-7\"", "outcome=\"done\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("number="), "{line}");

    let server = start(FrontSettings::default()).await;
    let audit = Request::get(format!("{}/v1/audit", server.url()));
    tokio::spawn(server.run_until(std::future::pending()));
    let (status, body) = send(audit, "-").await;
    assert!(status == 404 && body["error"].as_str().unwrap().contains("--archive"), "{body}");
}
