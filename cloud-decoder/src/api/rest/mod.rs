//! The REST API.

mod accept;
mod archive;
mod body;
mod bundles;
mod channels;
mod decode;
mod fallback;
mod flag;
mod head_kind;
mod manifest_schemas;
pub(crate) mod metrics;
mod outputs;
mod probes;
mod state;

use axum::extract::DefaultBodyLimit;
use utoipa::OpenApi;

pub(crate) use self::{
    fallback::{method_not_allowed, unknown_path},
    state::ApiState,
};
use crate::auth::{Access, ApiRouter, Scope};

/// The OpenAPI description of the handlers.
#[derive(OpenApi)]
#[openapi(
    paths(
        bundles::list_bundles,
        bundles::get_bundle,
        channels::list_channels,
        decode::decode,
        archive::audit::list_audit,
        archive::devices::list_devices,
        archive::frames::list_frames,
        archive::frames::get_frame,
        archive::frames::delete_frame,
        archive::decoded::decode_frame,
        archive::live::stream_frames,
        archive::export::export_frames,
        probes::healthz,
        probes::readyz,
        probes::readyz_check
    ),
    components(schemas(archive::decoded::FormatName, archive::export::FileFormat))
)]
pub(crate) struct HttpDocument;

/// Returns the routes. Request bodies are limited to `max_body` bytes.
pub(crate) fn router(api: ApiState, max_body: usize) -> ApiRouter {
    ApiRouter::new()
        .get("/v1/bundles", Scope::Infer, bundles::list_bundles)
        .get("/v1/bundles/{name}", Scope::Infer, bundles::get_bundle)
        .post("/v1/bundles/{name}/decode", Scope::Infer, decode::decode)
        .get("/v1/channels", Scope::Infer, channels::list_channels)
        .merge(archive::router())
        .get("/healthz", Access::Open, probes::healthz)
        .get("/readyz", Access::Open, probes::readyz)
        .get("/readyz/{check}", Access::Open, probes::readyz_check)
        .map_router(|router| {
            router
                .method_not_allowed_fallback(method_not_allowed)
                .layer(DefaultBodyLimit::max(max_body))
                .with_state(api)
        })
}
