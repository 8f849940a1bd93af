//! Serialises a latent-space id as its text, 16 hexadecimal digits: `#[serde(with = "id_text")]`.

use lopside_latent::LatentSpaceId;
use serde::{Deserialize, Deserializer, Serializer, de};

/// Serialises the id as a string.
///
/// # Errors
/// Returns the error of the serialiser.
pub fn serialize<S: Serializer>(id: &LatentSpaceId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Deserialises the id from a string.
///
/// # Errors
/// Returns an error of the deserialiser if the value is not a string of 16 hexadecimal digits.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LatentSpaceId, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}
