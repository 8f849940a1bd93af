//! The interfaces of the server: gRPC, REST, and the Open Inference Protocol over both.
//!
//! Each route declares its access where it is defined, see [`ApiRouter`].

pub(crate) mod error_grpc;
pub(crate) mod error_http;
pub(crate) mod extract;
pub(crate) mod grpc;
pub(crate) mod grpc_guard;
pub(crate) mod oip;
pub(crate) mod openapi;
pub(crate) mod openapi_errors;
pub(crate) mod openapi_schemas;
pub(crate) mod request_options;
pub(crate) mod rest;

use std::{convert::Infallible, future::Future};

use axum::http::{Request, Response};
use lopside_proto::{
    FILE_DESCRIPTOR_SET,
    inference::grpc_inference_service_server::GrpcInferenceServiceServer,
    v1::{
        bundle_service_server::BundleServiceServer, decoder_service_server::DecoderServiceServer,
        ingest_service_server::IngestServiceServer,
    },
};
use tonic::{body::Body, codec::CompressionEncoding, server::NamedService};
use tonic_reflection::server::Builder as ReflectionBuilder;
use tower::Service;

use self::{
    grpc::DecoderGrpc,
    grpc_guard::GrpcGuard,
    oip::OipService,
    rest::{ApiState, unknown_path},
};
use crate::{
    StartError,
    auth::{Access, ApiRouter, Scope, ServiceAccess},
    channels::GrpcBundleService,
    ingest::GrpcIngestService,
};

/// Upper bound on the bytes of one gRPC request, with all of its frames. A REST request contains one frame.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// Returns the names of the gRPC services whose health is reported.
pub(crate) fn grpc_services() -> Vec<&'static str> {
    vec![
        DecoderServiceServer::<DecoderGrpc>::NAME,
        IngestServiceServer::<GrpcIngestService>::NAME,
        BundleServiceServer::<GrpcBundleService>::NAME,
        GrpcInferenceServiceServer::<OipService>::NAME,
    ]
}

/// Returns all routes except the metrics.
///
/// # Errors
/// [`StartError::Reflection`].
pub(crate) fn router<H>(state: ApiState, health: H) -> Result<ApiRouter, StartError>
where
    H: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    H::Future: Future + Send + 'static,
{
    let max_body = state.decoder.limits().max_frame_bytes;
    let oip = OipService::new(state.decoder.clone(), state.default_options, state.ready.clone());
    Ok(rest::router(state.clone(), max_body)
        .merge(oip::router(oip.clone(), MAX_REQUEST_BYTES))
        .merge(openapi::router())
        .merge(grpc_router(state, oip)?.service(GrpcGuard(health), service_access(Access::Open)))
        .map_router(|router| router.fallback(unknown_path)))
}

fn grpc_router(state: ApiState, oip: OipService) -> Result<ApiRouter, StartError> {
    let ApiState { decoder, archive, channels, default_options, ready } = state;
    let reflection =
        reflection_builder().build_v1().map_err(|error| StartError::Reflection(error.to_string()))?;
    // Some clients, such as Postman and older versions of grpcurl, know only the previous version.
    let old_reflection =
        reflection_builder().build_v1alpha().map_err(|error| StartError::Reflection(error.to_string()))?;
    let decoder = DecoderServiceServer::new(DecoderGrpc::new(decoder, default_options))
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(usize::MAX);
    let oip = GrpcInferenceServiceServer::new(oip)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Deflate);
    let ingest = GrpcIngestService::new(archive.map(|archive| archive.archive), ready.clone());
    let ingest = IngestServiceServer::new(ingest).max_decoding_message_size(MAX_REQUEST_BYTES);
    let bundles = BundleServiceServer::new(GrpcBundleService::new(channels, ready));
    Ok(ApiRouter::new()
        .service(GrpcGuard(decoder), service_access(Scope::Infer))
        .service(GrpcGuard(oip), oip::GRPC_ACCESS)
        .service(GrpcGuard(reflection), service_access(Scope::Infer))
        .service(GrpcGuard(old_reflection), service_access(Scope::Infer))
        .service(GrpcGuard(ingest), service_access(Scope::Ingest))
        .service(GrpcGuard(bundles), service_access(Scope::Ingest)))
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
    use crate::{auth::AccessTable, channels::Channels, transport::FrontStats};

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
        };
        let router = router(state, health_reporter().1).unwrap().merge(rest::metrics::router());
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
