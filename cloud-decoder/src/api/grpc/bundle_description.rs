//! Bundle descriptions as messages of `lopside.v1`.

use lopside_bundle::{HeadKind, ImageSpec, InputSpec, ScorePartSpec, TensorSpec, TimeSeriesSpec};
use lopside_decoder::{
    BundleDescription, HeadCost, HeadDescription, HeadKindDescription, InputDescription, LayerDescription,
    LayerShape,
};
use lopside_proto::v1;

/// Converts the description of a bundle to a message. `max_pixels` is the largest image that the server decodes.
pub(super) fn bundle_message(bundle: BundleDescription<'_>, max_pixels: u64) -> v1::Bundle {
    let takes_any_size = bundle.has_images_of_any_size();
    v1::Bundle {
        name: bundle.name.to_owned(),
        description: bundle.description.to_owned(),
        latent_space: bundle.latent_space.to_string(),
        latent_shape: bundle.latent_shape,
        heads: bundle.heads.iter().map(head_message).collect(),
        layers: bundle.layers.into_iter().map(layer_message).collect(),
        input: bundle.input.map(input_message),
        max_pixels: if takes_any_size { max_pixels } else { 0 },
    }
}

fn input_message(InputDescription { spec, dims }: InputDescription<'_>) -> v1::InputSpec {
    use v1::input_spec::Kind;
    let kind = match spec {
        InputSpec::Picture(ImageSpec { width, height, channels, .. }) => {
            Kind::Picture(v1::PictureSpec { width: *width, height: *height, channels: channels.count() })
        }
        InputSpec::Series(TimeSeriesSpec { length, stride, channels, .. }) => {
            Kind::Series(v1::SeriesSpec { length: *length, stride: *stride, channels: channels.clone() })
        }
        InputSpec::Tensor {} => Kind::Tensor(v1::TensorSpec { shape: dims }),
    };
    v1::InputSpec { kind: Some(kind) }
}

fn layer_message(layer: LayerDescription<'_>) -> v1::Layer {
    let tensor = layer.tensor.to_owned();
    match layer.shape {
        LayerShape::Fixed(shape) => v1::Layer { tensor, shape, ..v1::Layer::default() },
        LayerShape::FeatureMaps { channels, stride } => {
            v1::Layer { tensor, channels, stride, shape: Vec::new() }
        }
    }
}

fn head_message(head: &HeadDescription<'_>) -> v1::Head {
    let (macs, macs_per_pixel) = match head.cost {
        HeadCost::MacsPerItem(macs) => (macs, 0.0),
        HeadCost::MacsPerPixel(macs_per_pixel) => (0, macs_per_pixel),
    };
    let message = v1::Head {
        name: head.name.to_owned(),
        version: head.version,
        kind: head_kind(head.kind).into(),
        output_shape: head.output.and_then(TensorSpec::item_dims).unwrap_or_default(),
        parameters: head.parameters,
        macs,
        macs_per_pixel,
        seconds_per_megapixel: head.seconds_per_megapixel.unwrap_or(0.0),
        ..v1::Head::default()
    };
    match head.kind {
        HeadKindDescription::Image { scale } => v1::Head { scale, ..message },
        HeadKindDescription::FixedLatent(HeadKind::Classify { labels }) => {
            v1::Head { labels: labels.clone(), ..message }
        }
        HeadKindDescription::FixedLatent(HeadKind::Score(score)) => {
            let parts = score.parts.iter().map(part_message).collect();
            v1::Head { threshold: score.threshold, parts, ..message }
        }
        HeadKindDescription::FixedLatent(_) => message,
    }
}

fn head_kind(kind: HeadKindDescription<'_>) -> v1::HeadKind {
    match kind {
        HeadKindDescription::Image { .. } => v1::HeadKind::Picture,
        HeadKindDescription::FixedLatent(HeadKind::Reconstruct(_)) => v1::HeadKind::Reconstruct,
        HeadKindDescription::FixedLatent(HeadKind::Classify { .. }) => v1::HeadKind::Classify,
        HeadKindDescription::FixedLatent(HeadKind::Series(_)) => v1::HeadKind::Series,
        HeadKindDescription::FixedLatent(HeadKind::Score(_)) => v1::HeadKind::Score,
        HeadKindDescription::FixedLatent(HeadKind::Tensor {}) => v1::HeadKind::Tensor,
    }
}

fn part_message(part: &ScorePartSpec) -> v1::ScorePart {
    v1::ScorePart { name: part.name.clone(), weight: part.weight, needs_input: part.source.needs_input() }
}
