//! Outputs of heads as response bodies.

use axum::{
    Json,
    http::header,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use lopside_decoder::{Anomaly, AnomalyPart, Output, OutputValue};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// The outputs of several heads.
#[derive(Serialize, ToSchema)]
#[schema(as = Outputs)]
pub(super) struct OutputsBody<'a> {
    bundle: &'a str,
    outputs: Vec<OutputBody>,
}

/// The output of one head.
#[derive(ToSchema)]
#[schema(as = SingleOutput)]
#[serde(untagged)]
#[allow(dead_code, reason = "only the schema is used: each variant is serialised without this type")]
pub(super) enum SingleBody<'a> {
    Tensor(SingleTensorBody<'a>),
    ClassScores(SingleClassScoresBody<'a>),
    Anomaly(SingleAnomalyBody<'a>),
}

/// A response body in JSON: the output of one head, or the outputs of several.
#[derive(ToSchema)]
#[schema(as = Decoded)]
#[serde(untagged)]
#[allow(dead_code, reason = "only the schema is used: each variant is serialised without this type")]
pub(super) enum DecodedBody<'a> {
    One(SingleBody<'a>),
    Several(OutputsBody<'a>),
}

/// A tensor from one head.
#[derive(Serialize, ToSchema)]
#[schema(as = SingleTensorOutput)]
pub(super) struct SingleTensorBody<'a> {
    bundle: &'a str,
    #[serde(flatten)]
    output: TensorBody,
}

/// Class scores from one head.
#[derive(Serialize, ToSchema)]
#[schema(as = SingleClassScoresOutput)]
pub(super) struct SingleClassScoresBody<'a> {
    bundle: &'a str,
    #[serde(flatten)]
    output: ClassScoresBody,
}

/// An anomaly score from one head.
#[derive(Serialize, ToSchema)]
#[schema(as = SingleAnomalyOutput)]
pub(super) struct SingleAnomalyBody<'a> {
    bundle: &'a str,
    #[serde(flatten)]
    output: AnomalyOutputBody,
}

/// The output of a head, one of several. The properties after the version differ by kind.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Output)]
enum OutputBody {
    Tensor(TensorBody),
    Png(PngBody),
    ClassScores(ClassScoresBody),
    Anomaly(AnomalyOutputBody),
}

/// An output as numbers.
#[derive(Serialize, ToSchema)]
#[schema(as = TensorOutput)]
struct TensorBody {
    head: String,
    head_version: u32,
    shape: Vec<u32>,
    /// The numbers, row-major.
    values: Vec<f32>,
}

/// An output as an image.
#[derive(Serialize, ToSchema)]
#[schema(as = PngOutput)]
struct PngBody {
    head: String,
    head_version: u32,
    /// A PNG file, in base64.
    #[serde(serialize_with = "serialize_base64")]
    #[schema(value_type = String)]
    png: Vec<u8>,
}

/// An output of a head that classifies.
#[derive(Serialize, ToSchema)]
#[schema(as = ClassScoresOutput)]
struct ClassScoresBody {
    head: String,
    head_version: u32,
    class_scores: Vec<ScoreBody>,
}

/// An output of a head that scores.
#[derive(Serialize, ToSchema)]
#[schema(as = AnomalyOutput)]
struct AnomalyOutputBody {
    head: String,
    head_version: u32,
    anomaly: AnomalyBody,
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
    #[schema(nullable = false)]
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
    match OutputBody::from(output) {
        OutputBody::Tensor(output) => Json(SingleTensorBody { bundle, output }).into_response(),
        OutputBody::Png(output) => ([(header::CONTENT_TYPE, "image/png")], output.png).into_response(),
        OutputBody::ClassScores(output) => Json(SingleClassScoresBody { bundle, output }).into_response(),
        OutputBody::Anomaly(output) => Json(SingleAnomalyBody { bundle, output }).into_response(),
    }
}

/// Builds the response for several heads.
pub(super) fn outputs_response(bundle: &str, outputs: Vec<Output>) -> Response {
    Json(OutputsBody { bundle, outputs: outputs.into_iter().map(OutputBody::from).collect() }).into_response()
}

fn serialize_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

impl From<Output> for OutputBody {
    fn from(Output { head, version: head_version, value }: Output) -> Self {
        match value {
            OutputValue::Tensor { shape, values } => {
                Self::Tensor(TensorBody { head, head_version, shape, values })
            }
            OutputValue::Png(png) => Self::Png(PngBody { head, head_version, png }),
            OutputValue::ClassScores(scores) => {
                let scores = scores.into_iter().map(|(label, probability)| ScoreBody { label, probability });
                let class_scores = scores.collect();
                Self::ClassScores(ClassScoresBody { head, head_version, class_scores })
            }
            OutputValue::Anomaly(anomaly) => {
                Self::Anomaly(AnomalyOutputBody { head, head_version, anomaly: anomaly.into() })
            }
        }
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
