//! The kind of a head as JSON: an object with one property, whose name is the kind.

use lopside_bundle::{HeadKind, ImageSpec, ScorePartSpec, ScoreSpec, TimeSeriesSpec};
use lopside_decoder::HeadKindDescription;
use serde::Serialize;
use utoipa::ToSchema;

use super::manifest_schemas::{ImageSchema, PlainTensor, TimeSeriesSchema};

/// The meaning of a head's output. Exactly one property is present; its name is the kind. Other kinds may be added.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = HeadKind, min_properties = 1, max_properties = 1)]
pub(super) struct KindBody {
    /// An image of one size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ImageSchema>, nullable = false)]
    reconstruct: Option<ImageSpec>,
    /// A window of a time series.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TimeSeriesSchema>, nullable = false)]
    series: Option<TimeSeriesSpec>,
    /// One probability per class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    classify: Option<ClassNamesBody>,
    /// An anomaly score of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    score: Option<ScoreBody>,
    /// Numbers whose meaning only the caller defines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tensor: Option<PlainTensor>,
    /// An image, `scale` times as wide and high as the encoded one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    picture: Option<ImageScaleBody>,
}

/// The classes of a head that classifies.
#[derive(Serialize, ToSchema)]
#[schema(as = ClassNames)]
struct ClassNamesBody {
    labels: Vec<String>,
}

/// An anomaly score without its quantile tables, which only the server needs.
#[derive(Serialize, ToSchema)]
#[schema(as = Score)]
struct ScoreBody {
    /// The quantile from which on the verdict is "anomalous".
    threshold: f32,
    parts: Vec<PartBody>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ScorePart)]
struct PartBody {
    name: String,
    weight: f32,
    /// Whether the part counts only if the reference input is sent along.
    needs_input: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ImageScale)]
struct ImageScaleBody {
    scale: u32,
}

impl From<HeadKindDescription<'_>> for KindBody {
    fn from(kind: HeadKindDescription<'_>) -> Self {
        match kind {
            HeadKindDescription::Image { scale } => {
                Self { picture: Some(ImageScaleBody { scale }), ..Self::default() }
            }
            HeadKindDescription::FixedLatent(kind) => Self::from(kind),
        }
    }
}

impl From<&HeadKind> for KindBody {
    fn from(kind: &HeadKind) -> Self {
        match kind {
            HeadKind::Reconstruct(image) => Self { reconstruct: Some(image.clone()), ..Self::default() },
            HeadKind::Series(series) => Self { series: Some(series.clone()), ..Self::default() },
            HeadKind::Classify { labels } => {
                Self { classify: Some(ClassNamesBody { labels: labels.clone() }), ..Self::default() }
            }
            HeadKind::Score(score) => Self { score: Some(score.into()), ..Self::default() },
            HeadKind::Tensor {} => Self { tensor: Some(PlainTensor {}), ..Self::default() },
        }
    }
}

impl From<&ScoreSpec> for ScoreBody {
    fn from(score: &ScoreSpec) -> Self {
        Self { threshold: score.threshold, parts: score.parts.iter().map(PartBody::from).collect() }
    }
}

impl From<&ScorePartSpec> for PartBody {
    fn from(part: &ScorePartSpec) -> Self {
        Self { name: part.name.clone(), weight: part.weight, needs_input: part.source.needs_input() }
    }
}

#[cfg(test)]
mod tests {
    use lopside_bundle::{Channels, Quantiles};
    use serde_json::{Value, json};

    use super::*;

    fn body(kind: HeadKindDescription<'_>) -> Value {
        serde_json::to_value(KindBody::from(kind)).unwrap()
    }

    #[test]
    fn a_kind_is_an_object_with_one_property_as_in_the_manifest() {
        let image = ImageSpec::with_uniform_range(4, 2, Channels::Grey, 0.0, 1.0);
        let series = TimeSeriesSpec {
            length: 8,
            stride: 4,
            channels: vec!["volts".into()],
            mean: vec![0.5],
            deviation: vec![2.0],
        };
        for kind in [
            HeadKind::Reconstruct(image),
            HeadKind::Series(series),
            HeadKind::Classify { labels: vec!["shoe".into()] },
            HeadKind::Tensor {},
        ] {
            let body = body(HeadKindDescription::FixedLatent(&kind));
            assert_eq!(body, serde_json::to_value(&kind).unwrap());
        }
        assert_eq!(body(HeadKindDescription::Image { scale: 2 }), json!({ "picture": { "scale": 2 } }));
    }

    #[test]
    fn a_score_is_listed_without_its_quantiles() {
        let score = ScoreSpec {
            parts: Vec::new(),
            quantiles: Quantiles::from_samples(&[0.0, 1.0], 2).unwrap(),
            quantiles_with_input: None,
            threshold: 0.5,
            reconstruction: None,
        };
        let kind = HeadKind::Score(score);
        let expected = json!({ "score": { "threshold": 0.5, "parts": [] } });
        assert_eq!(body(HeadKindDescription::FixedLatent(&kind)), expected);
    }
}
