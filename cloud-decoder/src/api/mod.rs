//! The interfaces of the server: gRPC, REST, and the Open Inference Protocol over both.
//!
//! Each route declares its access where it is defined, see [`ApiRouter`].

mod compression;
pub(crate) mod cost;
pub(crate) mod error_grpc;
pub(crate) mod error_http;
mod error_message;
pub(crate) mod extract;
pub(crate) mod grpc;
mod grpc_encoding;
mod grpc_guard;
mod grpc_request;
mod grpc_response;
pub(crate) mod oip;
pub(crate) mod openapi;
pub(crate) mod openapi_errors;
pub(crate) mod openapi_schemas;
pub(crate) mod request_options;
pub(crate) mod rest;

use std::{convert::Infallible, future::Future, sync::Arc};

use axum::http::{Request, Response};
use lopside_proto::{
    FILE_DESCRIPTOR_SET,
    inference::grpc_inference_service_server::GrpcInferenceServiceServer,
    v1::{
        bundle_service_server::BundleServiceServer, decoder_service_server::DecoderServiceServer,
        ingest_service_server::IngestServiceServer,
    },
};
use tonic::{body::Body, server::NamedService};
use tonic_reflection::server::Builder as ReflectionBuilder;
use tower::{Service, util::MapRequestLayer};

use self::{
    grpc::DecoderGrpc,
    grpc_guard::{GrpcGuard, GrpcSettings},
    oip::OipService,
    rest::{ApiState, unknown_path},
};
use crate::{
    GrpcCompression, StartError,
    auth::{Access, ApiRouter, KeyName, Scope, ServiceAccess},
    channels::GrpcBundleService,
    health,
    ingest::GrpcIngestService,
    transport::{BodyPermit, max_body_bytes},
};

/// Upper bound on the bytes of one gRPC request, with all of its frames. A REST request contains one frame.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// The settings of the interfaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApiSettings {
    /// Memory that the bodies of all requests may occupy together, in bytes. It also limits the size of one body.
    pub(crate) request_memory: usize,
    /// When responses of gRPC are compressed.
    pub(crate) grpc_compression: GrpcCompression,
}

/// Returns the names of the gRPC services whose health is reported.
pub(crate) fn grpc_services() -> Vec<(&'static str, health::Service)> {
    vec![
        (DecoderServiceServer::<DecoderGrpc>::NAME, health::Service::Decoder),
        (IngestServiceServer::<GrpcIngestService>::NAME, health::Service::Ingest),
        (BundleServiceServer::<GrpcBundleService>::NAME, health::Service::Channels),
        (GrpcInferenceServiceServer::<OipService>::NAME, health::Service::Decoder),
    ]
}

/// Returns all routes except the metrics.
///
/// # Errors
/// [`StartError::Reflection`].
pub(crate) fn router<H>(state: ApiState, settings: ApiSettings, health: H) -> Result<ApiRouter, StartError>
where
    H: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    H::Future: Future + Send + 'static,
{
    let grpc = settings.grpc_settings();
    let max_body = state.decoder.limits().max_frame_bytes.min(grpc.max_message_bytes);
    let oip = OipService::new(
        state.decoder.clone(),
        state.default_options,
        state.health.clone(),
        state.audit.clone(),
    );
    let health = GrpcGuard::new(health, grpc);
    Ok(rest::router(state.clone(), max_body)
        .merge(oip::router(oip.clone(), grpc.max_message_bytes))
        .merge(openapi::router())
        .merge(grpc_router(state, grpc, oip)?.service(health, service_access(Access::Open)))
        .map_router(|router| router.fallback(unknown_path).layer(MapRequestLayer::new(assign_key))))
}

/// Counts the memory of a request's body for its key as well.
fn assign_key(request: axum::extract::Request) -> axum::extract::Request {
    let extensions = request.extensions();
    if let Some(KeyName(name)) = extensions.get::<KeyName>()
        && let Some(permit) = extensions.get::<Arc<BodyPermit>>()
    {
        permit.assign_key(name);
    }
    request
}

impl ApiSettings {
    fn grpc_settings(self) -> GrpcSettings {
        GrpcSettings {
            max_message_bytes: MAX_REQUEST_BYTES.min(max_body_bytes(self.request_memory)),
            compression: self.grpc_compression,
        }
    }
}

fn grpc_router(state: ApiState, settings: GrpcSettings, oip: OipService) -> Result<ApiRouter, StartError> {
    let ApiState { decoder, archive, channels, default_options, ready, .. } = state;
    let reflection =
        reflection_builder().build_v1().map_err(|error| StartError::Reflection(error.to_string()))?;
    // Some clients, such as Postman and older versions of grpcurl, know only the previous version.
    let old_reflection =
        reflection_builder().build_v1alpha().map_err(|error| StartError::Reflection(error.to_string()))?;
    let max_pixels = decoder.limits().max_pixels;
    let decoder = DecoderServiceServer::new(DecoderGrpc::new(decoder, default_options))
        .max_decoding_message_size(settings.max_message_bytes)
        .max_encoding_message_size(usize::MAX);
    let oip = GrpcInferenceServiceServer::new(oip)
        .max_decoding_message_size(settings.max_message_bytes)
        .max_encoding_message_size(usize::MAX);
    let ingest = GrpcIngestService::new(archive, max_pixels, ready.clone());
    let ingest = IngestServiceServer::new(ingest).max_decoding_message_size(settings.max_message_bytes);
    let bundles = BundleServiceServer::new(GrpcBundleService::new(channels, ready));
    Ok(ApiRouter::new()
        .service(GrpcGuard::new(decoder, settings), service_access(Scope::Infer))
        .service(GrpcGuard::new(oip, settings), oip::GRPC_ACCESS)
        .service(GrpcGuard::new(reflection, settings), service_access(Scope::Infer))
        .service(GrpcGuard::new(old_reflection, settings), service_access(Scope::Infer))
        .service(GrpcGuard::new(ingest, settings), service_access(Scope::Ingest))
        .service(GrpcGuard::new(bundles, settings), service_access(Scope::Ingest)))
}

/// Returns a builder of the service that describes all gRPC services.
fn reflection_builder() -> ReflectionBuilder<'static> {
    ReflectionBuilder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Returns the same access for all methods of a service.
fn service_access(access: impl Into<Access>) -> ServiceAccess {
    ServiceAccess { default: access.into(), methods: &[] }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc, time::Duration};

    use lopside_decoder::{BatchSettings, DEFAULT_TIMEOUT, Decoder, Device, Registry, Runtime};
    use lopside_latent::Limits;
    use tokio::sync::watch;
    use tonic_health::server::health_reporter;

    use super::{request_options::DefaultOptions, *};
    use crate::{
        audit::AuditLog, auth::AccessTable, channels::Channels, health::HealthState, transport::FrontStats,
    };

    /// The reviewed access of every route: a change of this list changes the permissions of clients.
    const REVIEWED: &str = include_str!("../../tests/golden/access.txt");

    fn access() -> AccessTable {
        let library =
            std::env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH is set by `cargo xtask test`");
        let runtime = Runtime::load(library.as_ref(), Device::Cpu, 1).unwrap();
        let registry = Arc::new(Registry::load(&[], &runtime, BatchSettings::default()).unwrap());
        let (_, ready) = watch::channel(true);
        let stats = Arc::new(FrontStats::default());
        let channels =
            Channels::start(None, Duration::from_secs(1), &registry, &stats, ready.clone()).unwrap();
        let state = ApiState {
            decoder: Decoder::new(registry, Limits::default()),
            archive: None,
            channels,
            default_options: DefaultOptions { timeout: DEFAULT_TIMEOUT },
            ready,
            health: HealthState::new(health_reporter().0, grpc_services(), true),
            audit: AuditLog::new(None),
        };
        let settings = ApiSettings { request_memory: 1 << 30, grpc_compression: GrpcCompression::default() };
        let router = router(state, settings, health_reporter().1).unwrap().merge(rest::metrics::router());
        router.into_parts().1
    }

    #[tokio::test]
    async fn every_route_has_the_access_that_was_reviewed() {
        let declared = access().declared();
        let listed: String = declared
            .iter()
            .map(|(route, access)| match access {
                Access::Open => format!("{route} open\n"),
                Access::Needs(scope) => format!("{route} {}\n", format!("{scope:?}").to_lowercase()),
            })
            .collect();
        assert_eq!(
            listed, REVIEWED,
            "if the change is meant, replace tests/golden/access.txt by this:\n{listed}"
        );
    }

    #[tokio::test]
    async fn every_documented_path_declares_its_access() {
        let declared: BTreeSet<String> = access().declared().into_iter().map(|(route, _)| route).collect();
        let document = openapi::openapi_document();
        let documented: BTreeSet<String> = document
            .paths
            .paths
            .iter()
            .flat_map(|(path, item)| {
                [("GET", &item.get), ("POST", &item.post), ("DELETE", &item.delete)]
                    .into_iter()
                    .filter(|(_, operation)| operation.is_some())
                    .map(move |(method, _)| format!("{method} {path}"))
            })
            .collect();
        let rest_routes: BTreeSet<String> =
            declared.into_iter().filter(|route| !route.starts_with("gRPC ")).collect();
        assert_eq!(documented, rest_routes);
    }
}
