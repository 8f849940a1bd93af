//! What channels offer, as JSON.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::{
    ServeError,
    channels::{Listed, Offer},
};

/// The channels by which devices get their encoders.
#[utoipa::path(
    get,
    path = "/v1/channels",
    operation_id = "channels",
    tag = "bundles",
    responses((status = 200, description = "All channels, in the order of the server's file; none where it has no file", body = Channels))
)]
pub(super) async fn all(State(api): State<Api>) -> Json<Channels> {
    let channels = api.channels.all().await;
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
    /// The bundle's name.
    bundle: String,
    #[serde(flatten)]
    offer: OfferBody,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Offer)]
enum OfferBody {
    /// What devices get.
    Offered {
        version: u32,
        /// 16 hexadecimal digits.
        latent_space: String,
        /// Bytes of all files that devices get.
        bytes: u64,
    },
    /// Devices get nothing at the moment.
    Refused {
        /// Why, and how to put it right.
        problem: String,
    },
}

impl From<Listed> for ChannelBody {
    fn from((channel, offer): Listed) -> Self {
        let offer = match offer {
            Ok(offer) => OfferBody::from(offer.as_ref()),
            Err(ServeError::NotOffered { reason, .. }) => OfferBody::Refused { problem: reason },
            Err(error) => OfferBody::Refused { problem: error.to_string() },
        };
        let (bundle, _) = channel.asks_for();
        Self { name: channel.name().to_owned(), bundle: bundle.to_owned(), offer }
    }
}

impl From<&Offer> for OfferBody {
    fn from(offer: &Offer) -> Self {
        let (version, bytes) = (offer.version, offer.bytes());
        Self::Offered { version, latent_space: offer.latent_space.to_string(), bytes }
    }
}
