//! A small router with REST and gRPC behind API keys.

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
    body::{Body, Bytes},
    http::{HeaderMap, Request, StatusCode},
    response::Response,
};
use cloud_decoder::{
    auth::{Access, ApiRouter, Authenticator, GeneratedKey, KeyName, Scope, ServiceAccess, generate_key},
    transport::{FrontSettings, FrontStats},
};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tonic::{Status, server::NamedService};
use tower::{Service, ServiceExt as _};

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

/// A response that begins and never ends.
async fn endless() -> Body {
    let first = stream::once(async { Ok::<_, Infallible>("first") });
    Body::from_stream(first.chain(stream::pending()))
}

/// Routes that API keys protect, and the key file.
pub(crate) struct ProtectedRouter {
    pub(crate) router: Router,
    pub(crate) authenticator: Authenticator,
    pub(crate) stats: Arc<FrontStats>,
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

impl ProtectedRouter {
    pub(crate) fn new(keys: &str) -> Self {
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
            .get("/stream", Scope::Infer, endless)
            .post("/mirror", Scope::Infer, |body: Bytes| async { body })
            .post("/v2/repository/models/{model}/load", Scope::Admin, || async { "loaded" })
            .service(health, probes)
            .service(
                Repository,
                ServiceAccess { default: Access::Needs(Scope::Infer), methods: ADMIN_METHODS },
            )
            .map_router(|router| {
                router.route("/forgotten", axum::routing::get(|| async { "secret" })).fallback(unimplemented)
            });
        let authenticator = Authenticator::start(&settings, &stats).unwrap();
        Self { router: authenticator.protect(router), authenticator, stats, path, _folder: folder }
    }

    pub(crate) fn write(&self, text: &str) {
        let temporary = self.path.with_extension("new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, &self.path).unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned())
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::get(path).header("authorization", format!("Bearer {key}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn grpc(&self, method: &str, key: Option<&str>) -> Status {
        let mut request = Request::post(method).header("content-type", "application/grpc");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let (status, headers, _) = self.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "gRPC errors are in the trailers");
        Status::from_header_map(&headers).unwrap()
    }
}

/// Returns a key with the scope `infer`.
pub(crate) fn infer(name: &str) -> GeneratedKey {
    generate_key(name, &[Scope::Infer]).unwrap()
}
