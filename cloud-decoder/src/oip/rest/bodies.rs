//! The bodies of answers.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::request::{BASE64, CONTENT_TYPE};
use crate::{
    oip::{
        EXTENSIONS, PLATFORM,
        model::{Model, TensorInfo},
        tensor::{OutputTensor, Values},
    },
    registry::Indexed,
};

/// The server.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerMetadata {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; EXTENSIONS.len()],
}

/// A model and its tensors.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelMetadata {
    name: String,
    /// The newest first.
    versions: Vec<String>,
    platform: &'static str,
    inputs: Vec<TensorMetadata>,
    outputs: Vec<TensorMetadata>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TensorMetadata {
    name: String,
    datatype: &'static str,
    /// −1 for a dimension that the caller chooses; the batch first.
    shape: Vec<i64>,
}

/// A model of the repository.
#[derive(Serialize, ToSchema)]
pub(super) struct IndexRow {
    name: String,
    version: String,
    /// `READY` or `UNAVAILABLE`.
    state: &'static str,
    /// Why it is not ready.
    reason: String,
}

/// What a model made.
#[derive(Serialize, ToSchema)]
#[schema(as = InferenceResponse)]
pub(super) struct Inference<'a> {
    pub(super) model_name: &'a str,
    pub(super) model_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) id: Option<String>,
    pub(super) outputs: Vec<Tensor<'a>>,
}

/// A tensor: flat, row-major.
#[derive(Serialize, ToSchema)]
#[schema(as = OutputTensor)]
pub(super) struct Tensor<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [i64],
    /// `binary_data_size` where the data follow the JSON, `content_type` where byte strings are in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    parameters: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data: Option<Data<'a>>,
}

/// Elements, of a kind each tensor.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = TensorData)]
enum Data<'a> {
    Floats(&'a [f32]),
    Bools(&'a [bool]),
    Texts(Vec<Cow<'a, str>>),
}

impl ServerMetadata {
    pub(super) fn own() -> Self {
        Self { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), extensions: EXTENSIONS }
    }
}

impl From<Model> for ModelMetadata {
    fn from(model: Model) -> Self {
        Self {
            versions: model.versions().iter().map(ToString::to_string).collect(),
            platform: PLATFORM,
            inputs: model.inputs().into_iter().map(TensorMetadata::from).collect(),
            outputs: model.outputs().into_iter().map(TensorMetadata::from).collect(),
            name: model.name,
        }
    }
}

impl From<TensorInfo> for TensorMetadata {
    fn from(TensorInfo { name, datatype, shape }: TensorInfo) -> Self {
        Self { name, datatype: datatype.name(), shape }
    }
}

impl From<Indexed> for IndexRow {
    fn from(row: Indexed) -> Self {
        let state = row.state();
        Self { name: row.name, version: row.version.to_string(), state, reason: row.reason }
    }
}

impl<'a> Tensor<'a> {
    /// An output; without its data, when these follow the JSON in so many bytes.
    pub(super) fn of(output: &'a OutputTensor, binary: Option<usize>) -> Self {
        let OutputTensor { name, shape, values } = output;
        let (parameter, data) = match (binary, values) {
            (Some(size), _) => (Some(("binary_data_size", json!(size))), None),
            (None, Values::Share(..) | Values::Floats(_)) => (None, Some(Data::Floats(values.floats()))),
            (None, Values::Bools(values)) => (None, Some(Data::Bools(values))),
            (None, Values::Texts(texts)) => {
                let plain: Result<_, _> =
                    texts.iter().map(|text| str::from_utf8(text).map(Cow::Borrowed)).collect();
                if let Ok(plain) = plain {
                    (None, Some(Data::Texts(plain)))
                } else {
                    let packed = texts.iter().map(|text| BASE64_STANDARD.encode(text).into());
                    (Some((CONTENT_TYPE, json!(BASE64))), Some(Data::Texts(packed.collect())))
                }
            }
        };
        let parameters = parameter.map(|(key, value)| Map::from_iter([(key.to_owned(), value)]));
        Self { name, datatype: values.datatype().name(), shape, parameters, data }
    }
}
