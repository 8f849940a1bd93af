//! The offers of the channels, as JSON.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use crate::{
    ServeError,
    channels::{ChannelOffer, Offer},
};

/// Lists the channels from which devices get their encoders.
#[utoipa::path(
    get,
    path = "/v1/channels",
    operation_id = "channels",
    tag = "bundles",
    responses((status = 200, description = "All channels, in the order of the channel file; an empty list without such a file", body = Channels))
)]
pub(super) async fn list_channels(State(api): State<ApiState>) -> Json<Channels> {
    let channels = api.channels.list_offers().await;
    Json(Channels { channels: channels.into_iter().map(ChannelBody::from).collect() })
}

#[derive(Serialize, ToSchema)]
pub(super) struct Channels {
    channels: Vec<ChannelBody>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Channel)]
struct ChannelBody {
    name: String,
    /// The name of the bundle.
    bundle: String,
    #[serde(flatten)]
    offer: OfferBody,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Offer)]
enum OfferBody {
    /// The current offer to devices.
    Offered {
        version: u32,
        /// The latent space, as 16 hexadecimal digits.
        latent_space: String,
        /// Total size in bytes of the files that devices download.
        bytes: u64,
    },
    /// Nothing is offered to devices at present.
    Refused {
        /// The reason, and how to fix it.
        problem: String,
    },
}

impl From<ChannelOffer> for ChannelBody {
    fn from((channel, offer): ChannelOffer) -> Self {
        let offer = match offer {
            Ok(offer) => OfferBody::from(offer.as_ref()),
            Err(ServeError::ChannelUnavailable { reason, .. }) => OfferBody::Refused { problem: reason },
            Err(error) => OfferBody::Refused { problem: error.to_string() },
        };
        let (bundle, _) = channel.bundle_and_version();
        Self { name: channel.name().to_owned(), bundle: bundle.to_owned(), offer }
    }
}

impl From<&Offer> for OfferBody {
    fn from(offer: &Offer) -> Self {
        let (version, bytes) = (offer.version, offer.total_bytes());
        Self::Offered { version, latent_space: offer.latent_space.to_string(), bytes }
    }
}
