//! API keys in front of a small router with REST and gRPC.

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
    response::Response,
};
use cloud_decoder::{
    auth::{Access, ApiRouter, GeneratedKey, KeyName, Scope, ServiceAccess, generate_key, require_keys},
    transport::{FrontEvent, FrontSettings, FrontStats},
};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tonic::{Code, Status, server::NamedService};
use tonic_types::StatusExt as _;
use tower::{Service, ServiceExt as _};

use super::service;

/// The methods of [`Repository`] for administrators.
const ADMIN_METHODS: &[(&str, Access)] = &[("RepositoryModelLoad", Access::Needs(Scope::Admin))];

/// A gRPC service that implements no method.
#[derive(Clone)]
struct Repository;

impl NamedService for Repository {
    const NAME: &'static str = "inference.GRPCInferenceService";
}

impl Service<Request<tonic::body::Body>> for Repository {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<tonic::body::Body>) -> Self::Future {
        ready(Ok(Status::unimplemented("nothing").into_http()))
    }
}

async fn unimplemented() -> Response {
    Status::unimplemented("nothing").into_http()
}

/// Routes that API keys protect, and the key file.
struct ProtectedRouter {
    router: Router,
    stats: Arc<FrontStats>,
    path: PathBuf,
    _folder: TempDir,
}

impl ProtectedRouter {
    fn new(keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        fs::write(&path, keys).unwrap();
        let settings = FrontSettings {
            api_keys: Some(path.clone()),
            reload_interval: Duration::from_millis(10),
            ..FrontSettings::default()
        };
        let stats = Arc::new(FrontStats::default());
        let (_reporter, health) = tonic_health::server::health_reporter();
        let name = |axum::Extension(KeyName(name)): axum::Extension<KeyName>| async move { name.to_string() };
        let probes = ServiceAccess { default: Access::Open, methods: &[] };
        let router = ApiRouter::new()
            .get("/v1/bundles", Scope::Infer, name)
            .get("/healthz", Access::Open, || async { "ok" })
            .get("/metrics", Scope::Metrics, || async { "metrics" })
            .post("/v2/repository/models/{model}/load", Scope::Admin, || async { "loaded" })
            .service(health, probes)
            .service(
                Repository,
                ServiceAccess { default: Access::Needs(Scope::Infer), methods: ADMIN_METHODS },
            )
            .map_router(|router| {
                router.route("/forgotten", axum::routing::get(|| async { "secret" })).fallback(unimplemented)
            });
        Self { router: require_keys(router, &settings, &stats).unwrap(), stats, path, _folder: folder }
    }

    fn write(&self, text: &str) {
        let temporary = self.path.with_extension("new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, &self.path).unwrap();
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned())
    }

    async fn get(&self, path: &str, key: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::get(path).header("authorization", format!("Bearer {key}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn grpc(&self, method: &str, key: Option<&str>) -> Status {
        let mut request = Request::post(method).header("content-type", "application/grpc");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let (status, headers, _) = self.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "gRPC errors are in the trailers");
        Status::from_header_map(&headers).unwrap()
    }
}

fn infer(name: &str) -> GeneratedKey {
    generate_key(name, &[Scope::Infer]).unwrap()
}

#[tokio::test]
async fn without_a_valid_key_only_health_checks_are_answered() {
    let key = infer("line-3");
    let protected = ProtectedRouter::new(&key.toml);
    let (status, headers, body) =
        protected.send(Request::get("/v1/bundles").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (status, &headers["www-authenticate"]),
        (StatusCode::UNAUTHORIZED, &"Bearer realm=\"cloud-decoder\"".parse().unwrap())
    );
    assert!(body.contains("\"error\"") && body.contains("x-api-key"), "{body}");
    let (status, headers, _) = protected.get("/v1/bundles", "lps_guessed").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(headers["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    assert_eq!(protected.stats.snapshot().count_of(FrontEvent::Unauthenticated), 2);

    let (status, _, body) = protected.get("/v1/bundles", &key.key).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, "line-3"), "handlers receive the name of the key");
    let request = Request::get("/v1/bundles").header("x-api-key", &key.key).body(Body::empty()).unwrap();
    assert_eq!(protected.send(request).await.0, StatusCode::OK);
    assert_eq!(protected.send(Request::get("/healthz").body(Body::empty()).unwrap()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_key_is_limited_to_its_scopes() {
    let (reader, operator) =
        (infer("reader"), generate_key("operator", &[Scope::Admin, Scope::Metrics]).unwrap());
    let protected = ProtectedRouter::new(&format!("{}{}", reader.toml, operator.toml));
    let load = |key: &str| {
        let request = Request::post("/v2/repository/models/a/load").header("x-api-key", key);
        protected.send(request.body(Body::empty()).unwrap())
    };
    let (status, headers, body) = load(&reader.key).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(headers["www-authenticate"].to_str().unwrap().contains("scope=\"admin\""));
    assert!(body.contains("admin"), "{body}");
    assert_eq!(load(&operator.key).await.0, StatusCode::OK);
    assert_eq!(protected.get("/metrics", &reader.key).await.0, StatusCode::FORBIDDEN);
    assert_eq!(protected.get("/metrics", &operator.key).await.0, StatusCode::OK);
    assert_eq!(protected.get("/v1/bundles", &operator.key).await.0, StatusCode::FORBIDDEN);
    // A route that does not declare its access is for administrators.
    assert_eq!(protected.get("/forgotten", &reader.key).await.0, StatusCode::FORBIDDEN);
    assert_eq!(protected.get("/forgotten", &operator.key).await.0, StatusCode::OK);
    assert_eq!(protected.stats.snapshot().count_of(FrontEvent::Forbidden), 4);
}

#[tokio::test]
async fn grpc_clients_receive_the_same_refusals_as_status_codes() {
    let key = infer("line-3");
    let protected = ProtectedRouter::new(&format!("{}requests_per_day = 1", key.toml));
    let health = "/grpc.health.v1.Health/Check";
    // The service reports that the message is missing, so the request reached it.
    assert_ne!(protected.grpc(health, None).await.code(), Code::Unauthenticated);
    let decode = "/lopside.v1.DecoderService/Decode";
    assert_eq!(protected.grpc(decode, None).await.code(), Code::Unauthenticated);
    assert_eq!(protected.grpc(decode, Some("wrong")).await.code(), Code::Unauthenticated);
    let load = "/inference.GRPCInferenceService/RepositoryModelLoad";
    assert_eq!(protected.grpc(load, Some(&key.key)).await.code(), Code::PermissionDenied);
    assert_eq!(
        protected.grpc(decode, Some(&key.key)).await.code(),
        Code::Unimplemented,
        "the request reached the router"
    );
    let status = protected.grpc(decode, Some(&key.key)).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let delay = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    let pushback: u128 =
        status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap().parse().unwrap();
    assert_eq!(delay.as_millis(), pushback);
    assert!(delay <= Duration::from_hours(24));
}

#[tokio::test]
async fn a_key_over_its_rate_or_daily_quota_receives_a_retry_time() {
    let (fast, daily) = (infer("fast"), infer("daily"));
    let protected = ProtectedRouter::new(&format!(
        "{}requests_per_second = 0.001\nburst = 2\n{}requests_per_day = 2\n",
        fast.toml, daily.toml
    ));
    for (key, event) in [(&fast.key, FrontEvent::RateLimited), (&daily.key, FrontEvent::QuotaExceeded)] {
        for _ in 0..2 {
            assert_eq!(protected.get("/v1/bundles", key).await.0, StatusCode::OK);
        }
        let (status, headers, _) = protected.get("/v1/bundles", key).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert!(headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        assert_eq!(protected.stats.snapshot().count_of(event), 1);
    }
}

#[tokio::test]
async fn a_changed_key_file_is_used_and_an_invalid_one_is_not() {
    let (old, new) = (infer("old"), infer("new"));
    let limited = |key: &GeneratedKey| format!("{}requests_per_day = 2\n", key.toml);
    let protected = ProtectedRouter::new(&limited(&old));
    let mut reloads = protected.stats.subscribe_reloads();
    assert_eq!(protected.get("/v1/bundles", &old.key).await.0, StatusCode::OK);

    protected.write("[[key]]\nname = 'half");
    reloads.wait_for(|reloads| reloads.failed == 1).await.unwrap();
    assert_eq!(protected.get("/v1/bundles", &old.key).await.0, StatusCode::OK, "the old file remains in use");

    protected.write(&format!("{}{}", limited(&old), new.toml));
    reloads.wait_for(|reloads| reloads.done == 1).await.unwrap();
    assert_eq!(protected.get("/v1/bundles", &new.key).await.0, StatusCode::OK);
    assert_eq!(
        protected.get("/v1/bundles", &old.key).await.0,
        StatusCode::TOO_MANY_REQUESTS,
        "the usage of a key survives a reload"
    );

    protected.write(&new.toml);
    reloads.wait_for(|reloads| reloads.done == 2).await.unwrap();
    assert_eq!(protected.get("/v1/bundles", &old.key).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_whole_server_is_protected_by_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let key = infer("line-3");
    fs::write(&path, &key.toml).unwrap();
    let server = service::start(FrontSettings { api_keys: Some(path), ..FrontSettings::default() }).await;
    let url = server.url().to_owned();
    tokio::spawn(server.run_until(std::future::pending()));
    assert_eq!(service::status(&url, "/v1/bundles").await, 401);
    assert_eq!(service::status(&url, "/nowhere").await, 401);
    assert_eq!(service::status(&url, "/readyz").await, 200);
    let mut client = service::decoder_client(&url).await;
    let list_request = |key: Option<&str>| {
        let mut request = tonic::Request::new(lopside_proto::v1::ListBundlesRequest {});
        if let Some(key) = key {
            request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        request
    };
    assert_eq!(client.list_bundles(list_request(None)).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(
        client.list_bundles(list_request(Some(&key.key))).await.unwrap().into_inner().bundles.len(),
        1
    );
}
