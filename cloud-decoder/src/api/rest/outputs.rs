//! Outputs of heads as response bodies.

use axum::{
    Json,
    http::header,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use lopside_decoder::{Anomaly, AnomalyPart, Output, OutputValue};
use serde::Serialize;
use utoipa::ToSchema;

/// The outputs of several heads.
#[derive(Serialize, ToSchema)]
#[schema(as = Outputs)]
pub(super) struct OutputsBody<'a> {
    bundle: &'a str,
    outputs: Vec<OutputBody>,
}

/// The output of one head.
#[derive(Serialize, ToSchema)]
#[schema(as = SingleOutput)]
pub(super) struct SingleBody<'a> {
    bundle: &'a str,
    #[serde(flatten)]
    output: OutputBody,
}

/// A response body in JSON.
#[derive(ToSchema)]
#[schema(as = Decoded)]
#[serde(untagged)]
#[allow(dead_code, reason = "only the schema is used: each variant is serialised without this type")]
pub(super) enum DecodedBody<'a> {
    One(SingleBody<'a>),
    Several(OutputsBody<'a>),
}

#[derive(Serialize, ToSchema)]
#[schema(as = Output)]
struct OutputBody {
    head: String,
    head_version: u32,
    #[serde(flatten)]
    value: ValueBody,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Value)]
enum ValueBody {
    Tensor {
        shape: Vec<u32>,
        values: Vec<f32>,
    },
    /// A PNG file, in base64.
    Png {
        png: String,
    },
    Scores {
        class_scores: Vec<ScoreBody>,
    },
    Anomaly {
        anomaly: AnomalyBody,
    },
}

#[derive(Serialize, ToSchema)]
#[schema(as = ClassScore)]
struct ScoreBody {
    label: String,
    probability: f32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Anomaly)]
struct AnomalyBody {
    score: f32,
    quantile: f32,
    anomalous: bool,
    parts: Vec<PartBody>,
    /// A PNG file, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    heat_map: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AnomalyPart)]
struct PartBody {
    name: String,
    value: f32,
    quantile: f32,
}

/// Returns the number of values to serialise; four bytes of a PNG file count as one value.
pub(super) fn count_values(output: &Output) -> usize {
    match &output.value {
        OutputValue::Png(png) => png.len() / 4,
        OutputValue::Tensor { values, .. } => values.len(),
        OutputValue::ClassScores(scores) => scores.len(),
        OutputValue::Anomaly(anomaly) => anomaly.heat_map.as_ref().map_or(0, |png| png.len() / 4),
    }
}

/// Builds the response for one head: an image as PNG, any other output as JSON.
pub(super) fn output_response(bundle: &str, output: Output) -> Response {
    match output.value {
        OutputValue::Png(png) => ([(header::CONTENT_TYPE, "image/png")], png).into_response(),
        _ => Json(SingleBody { bundle, output: output.into() }).into_response(),
    }
}

/// Builds the response for several heads.
pub(super) fn outputs_response(bundle: &str, outputs: Vec<Output>) -> Response {
    Json(OutputsBody { bundle, outputs: outputs.into_iter().map(OutputBody::from).collect() }).into_response()
}

impl From<Output> for OutputBody {
    fn from(output: Output) -> Self {
        let value = match output.value {
            OutputValue::Png(png) => ValueBody::Png { png: BASE64_STANDARD.encode(png) },
            OutputValue::Tensor { shape, values } => ValueBody::Tensor { shape, values },
            OutputValue::ClassScores(scores) => {
                let scores = scores.into_iter().map(|(label, probability)| ScoreBody { label, probability });
                ValueBody::Scores { class_scores: scores.collect() }
            }
            OutputValue::Anomaly(anomaly) => ValueBody::Anomaly { anomaly: anomaly.into() },
        };
        Self { head: output.head, head_version: output.version, value }
    }
}

impl From<Anomaly> for AnomalyBody {
    fn from(anomaly: Anomaly) -> Self {
        Self {
            score: anomaly.score,
            quantile: anomaly.quantile,
            anomalous: anomaly.anomalous,
            parts: anomaly.parts.into_iter().map(PartBody::from).collect(),
            heat_map: anomaly.heat_map.map(|png| BASE64_STANDARD.encode(png)),
        }
    }
}

impl From<AnomalyPart> for PartBody {
    fn from(part: AnomalyPart) -> Self {
        Self { name: part.name, value: part.value, quantile: part.quantile }
    }
}
