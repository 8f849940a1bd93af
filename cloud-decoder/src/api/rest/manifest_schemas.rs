//! Schemas of the types of the manifest that responses contain. The types themselves are serialised; their crate
//! also runs on devices and does not know OpenAPI, so their schemas are here, and a test compares both.

use serde::Serialize;
use utoipa::ToSchema;

/// A dimension as in the manifest: a number or a name.
#[derive(ToSchema)]
#[schema(as = Dim)]
#[serde(untagged)]
#[allow(dead_code, reason = "the schema of `lopside_bundle::Dim`")]
pub(super) enum DimSchema {
    Fixed(u32),
    Symbol(String),
}

/// The input of an encoder. Exactly one property is present; its name is the kind of input.
#[derive(ToSchema)]
#[schema(as = EncoderInput, min_properties = 1, max_properties = 1)]
#[allow(dead_code, reason = "the schema of `lopside_bundle::InputSpec`")]
pub(super) struct InputSchema {
    /// An image of any size, which is resized to this one.
    #[schema(nullable = false)]
    picture: Option<ImageSchema>,
    /// A window of a time series.
    #[schema(nullable = false)]
    series: Option<TimeSeriesSchema>,
    /// Numbers in the shape of the encoder's input tensor, without preprocessing.
    #[schema(nullable = false)]
    tensor: Option<PlainTensor>,
}

/// An image. Each 8-bit sample 0 to 255 corresponds linearly to a value from `low` to `high`.
#[derive(ToSchema)]
#[schema(as = ImageSpec)]
#[allow(dead_code, reason = "the schema of `lopside_bundle::ImageSpec`")]
pub(super) struct ImageSchema {
    /// Width in pixels.
    width: u32,
    /// Height in pixels.
    height: u32,
    channels: ColourChannels,
    /// The value of sample 0, one per channel.
    low: Vec<f32>,
    /// The value of sample 255, one per channel.
    high: Vec<f32>,
}

/// The colour planes of an image.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "the schema of `lopside_bundle::Channels`")]
pub(super) enum ColourChannels {
    Grey,
    Rgb,
}

/// A window of a time series: rows of measurements, one per channel.
#[derive(ToSchema)]
#[schema(as = TimeSeriesSpec)]
#[allow(dead_code, reason = "the schema of `lopside_bundle::TimeSeriesSpec`")]
pub(super) struct TimeSeriesSchema {
    /// Rows per window.
    length: u32,
    /// Rows from the start of one window to the start of the next.
    stride: u32,
    /// The names of the channels.
    channels: Vec<String>,
    /// The mean of each channel.
    mean: Vec<f32>,
    /// The standard deviation of each channel.
    deviation: Vec<f32>,
}

/// A tensor whose meaning only the caller defines; it has no properties.
#[derive(Serialize, ToSchema)]
pub(super) struct PlainTensor {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lopside_bundle::{Channels, ImageSpec, InputSpec, TimeSeriesSpec};
    use serde_json::Value;
    use utoipa::PartialSchema;

    use super::*;
    use crate::api::openapi_schemas::assert_same_properties;

    fn image() -> ImageSpec {
        ImageSpec::with_uniform_range(1, 1, Channels::Rgb, 0.0, 1.0)
    }

    fn series() -> TimeSeriesSpec {
        TimeSeriesSpec {
            length: 1,
            stride: 1,
            channels: vec!["a".into()],
            mean: vec![0.0],
            deviation: vec![1.0],
        }
    }

    fn schema<S: PartialSchema>() -> Value {
        serde_json::to_value(S::schema()).unwrap()
    }

    fn keys(object: &Value) -> BTreeSet<String> {
        object.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn the_schemas_have_the_properties_of_the_manifest_s_types() {
        assert_same_properties::<ImageSchema>(&image());
        assert_same_properties::<TimeSeriesSchema>(&series());
        let inputs = [InputSpec::Picture(image()), InputSpec::Series(series()), InputSpec::Tensor {}];
        let kinds = inputs.iter().flat_map(|input| keys(&serde_json::to_value(input).unwrap()));
        let kinds: BTreeSet<String> = kinds.collect();
        assert_eq!(kinds, keys(&schema::<InputSchema>()["properties"]));
        let planes = [Channels::Grey, Channels::Rgb];
        assert_eq!(schema::<ColourChannels>()["enum"], serde_json::to_value(planes).unwrap());
    }
}
