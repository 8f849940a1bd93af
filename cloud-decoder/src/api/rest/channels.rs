//! The offers of the channels, as JSON.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use crate::{
    ServeError,
    api::openapi_errors,
    channels::{ChannelOffer, Offer},
};

/// Lists the channels from which devices get their encoders.
#[utoipa::path(
    get,
    path = "/v1/channels",
    operation_id = "list_channels",
    tag = "bundles",
    responses(
        (status = 200, description = "All channels, in the order of the channel file; an empty list without such a file", body = Channels),
        openapi_errors::KeyErrors,
    )
)]
pub(super) async fn list_channels(State(api): State<ApiState>) -> Json<Channels> {
    let channels = api.channels.list_offers().await;
    Json(Channels { channels: channels.into_iter().map(ChannelBody::from).collect() })
}

#[derive(Serialize, ToSchema)]
pub(super) struct Channels {
    channels: Vec<ChannelBody>,
}

/// A channel: with its offer, or with the problem that prevents it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Channel)]
enum ChannelBody {
    Offered(OfferedBody),
    Refused(RefusedBody),
}

/// A channel with its current offer to devices.
#[derive(Serialize, ToSchema)]
#[schema(as = OfferedChannel)]
struct OfferedBody {
    name: String,
    /// The name of the bundle.
    bundle: String,
    version: u32,
    /// The latent space, as 16 hexadecimal digits.
    latent_space: String,
    /// Total size in bytes of the files that devices download.
    bytes: u64,
}

/// A channel that offers nothing to devices at present.
#[derive(Serialize, ToSchema)]
#[schema(as = RefusedChannel)]
struct RefusedBody {
    name: String,
    /// The name of the bundle.
    bundle: String,
    /// The reason, and how to fix it.
    problem: String,
}

impl From<ChannelOffer> for ChannelBody {
    fn from((channel, offer): ChannelOffer) -> Self {
        let (bundle, _) = channel.bundle_and_version();
        let (name, bundle) = (channel.name().to_owned(), bundle.to_owned());
        match offer {
            Ok(offer) => Self::Offered(OfferedBody::new(name, bundle, &offer)),
            Err(ServeError::ChannelUnavailable { reason, .. }) => {
                Self::Refused(RefusedBody { name, bundle, problem: reason })
            }
            Err(error) => Self::Refused(RefusedBody { name, bundle, problem: error.to_string() }),
        }
    }
}

impl OfferedBody {
    fn new(name: String, bundle: String, offer: &Offer) -> Self {
        let (version, bytes) = (offer.version, offer.total_bytes());
        Self { name, bundle, version, latent_space: offer.latent_space.to_string(), bytes }
    }
}
